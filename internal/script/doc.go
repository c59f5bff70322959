// Package script runs the Python code of aws:executeScript steps, shut in.
//
// A parent process with boto3 in its memory (the zygote) forks one child for
// each execution. Between the fork and the first line of the script the child
// gives up everything: the host's files, network, processes and environment, its
// capabilities, and most system calls. What it keeps is one socket, which alone
// says who it is. On the socket boto3 asks for AWS calls, and whoever started the
// script answers them; there are no credentials in the child, and no way to AWS.
//
// The Python code that makes boto3 speak through the socket is convenience. The
// boundary is the kernel's, and the Go side, which believes nothing that comes out
// of the socket. docs/design/0008-script-sandbox.md has the threats and the
// reasons.
//
// A program that runs scripts calls MaybeChild first thing in main; without it
// namespaces cannot be set up and the next level is taken.
package script
