// Package runbook holds Systems Manager Automation documents (schema 0.3) as
// nouns: parsing YAML and JSON with positions, parameters and their
// constraints, references between steps, the selector dialect, branch
// conditions, and the static check. It runs nothing: package automation does.
//
// A document is material from outside. Every parser here has limits on size,
// depth and count, and answers with the line, the column, the path inside the
// document and what to change.
package runbook
