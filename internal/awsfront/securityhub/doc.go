// Package securityhub answers AWS Security Hub's API: findings, automation rules
// (rules.go) and their tags (tags.go), products (products.go), the reads of
// standards (standards.go), security controls (controls.go) and the organization
// (organization.go), in rest-json, with AWS's field casing and error codes. What
// AWS's model has beyond that is refused by its name (unserved.go).
//
// It checks the form of a request and what its caller may do, and hands on to
// the stages that do the work. What a caller may see and change is limited to
// the accounts of its key here, on the server, whatever the request's filters
// say.
package securityhub
