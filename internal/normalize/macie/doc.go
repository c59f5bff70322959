// Package macie turns Macie's findings into ASFF, as Macie's own integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.macie and detail type "Macie Finding".
//
// # Gives
//
// One finding: on a bucket for a policy, on bucket and object for sensitive data.
//
// # States
//
// None.
//
// # Never
//
// Carries the sensitive data: Macie's events hold where it is, not what it is.
//
// # When it fails
//
// An event without an id gives an error.
package macie
