// Package inspector turns Inspector's findings into ASFF, as Inspector's own integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.inspector2 and detail type "Inspector2 Finding".
//
// # Gives
//
// One finding; archived when Inspector has closed or suppressed it.
//
// # States
//
// None.
//
// # Never
//
// Drops what is known of exploits: EPSS score, exploit and fix are in Vulnerabilities.
//
// # When it fails
//
// An event without a finding's ARN gives an error.
package inspector
