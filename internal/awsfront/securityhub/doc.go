// Package securityhub answers AWS Security Hub's API: BatchImportFindings,
// GetFindings, BatchUpdateFindings, EnableSecurityHub, DescribeHub, the
// operations of automation rules (rules.go) and their tags (tags.go), and the
// reads of standards (standards.go) and security controls (controls.go), in
// rest-json, with AWS's field casing and error codes.
//
// It checks the form of a request and what its caller may do, and hands on to
// the stages that do the work. What a caller may see and change is limited to
// the accounts of its key here, on the server, whatever the request's filters
// say.
package securityhub
