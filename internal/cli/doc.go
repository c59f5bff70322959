// Package cli is the command line of Parry: what a person or a script says to
// a server, and the few commands that work without one.
//
// Every command takes -o table|json|yaml|csv and --query (JMESPath, as in the
// AWS CLI). Results go to standard output, logs and hints to standard error.
// Exit codes: 0 ok, 1 error, 2 usage, 3 failing or pending items, 4 partly
// failed, 5 waiting for approval.
package cli
