// Package ssm answers AWS Systems Manager's API for Automation documents and
// their executions, in AWS JSON 1.1.
//
// It checks the form of a request against AWS's own model and what its caller
// may do, and hands on to the stages that do the work. Starting a document makes
// a plan, under the same policy as any other: the execution is Pending until the
// plan is approved. What a caller may see and change is limited to the accounts
// of its key here, on the server, whatever the request says.
package ssm
