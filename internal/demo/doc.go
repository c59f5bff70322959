// Package demo runs Parry's story on this machine: an emulated AWS Organization
// (moto behind the wall), a real parry server as a process of its own, the AWS
// CLI and a queue as the sources of findings, Parry's own command line as the
// people, and a separate boto3 program as the judge of what really happened.
//
// Each step checks what it claims; the first that is not so ends the story. The
// chapters, in the order in which they are told, are the files
//
//	world.go    an organization with things that are wrong, and a server
//	arrive.go   an accepted risk, findings by two ways, rules, priorities
//	freeze.go   the stop switch: everything is planned, nothing is changed
//	dev.go      automatic, in the canary account first
//	prod.go     by approval; one fix is denied by AWS
//	hand.go     asked for by hand, here and in AWS's console
//	undo.go     one is taken back
//	judge.go    what the judge, the mail and the audit log say
package demo
