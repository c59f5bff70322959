// Package demo runs Parry's story on this machine: an emulated AWS Organization
// (moto behind the wall), a real parry server as a process of its own, the AWS
// CLI as the source of findings, Parry's own command line as the people, and a
// separate boto3 program as the judge of what really happened.
//
// Each step checks what it claims; the first that is not so ends the story.
package demo
