// Package accessanalyzer turns findings of IAM Access Analyzer into ASFF, as its integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.access-analyzer and one of its finding detail types.
//
// # Gives
//
// One finding for each finding of an analyzer; archived when it is archived,
// resolved or deleted.
//
// # States
//
// None.
//
// # Never
//
// Takes a preview of access for a finding.
//
// # When it fails
//
// An event without finding id or resource gives an error.
package accessanalyzer
