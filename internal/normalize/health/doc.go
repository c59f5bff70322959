// Package health turns events of AWS Health into ASFF, as Health's integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.health.
//
// # Gives
//
// One finding for an event that is about security; nothing for any other.
//
// # States
//
// None.
//
// # Never
//
// Makes an outage a finding.
//
// # When it fails
//
// An event without an ARN gives an error.
package health
