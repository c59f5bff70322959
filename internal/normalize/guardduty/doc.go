// Package guardduty turns GuardDuty's findings into ASFF, as GuardDuty's own integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.guardduty and detail type "GuardDuty Finding".
//
// # Gives
//
// One finding. A repetition of a finding has the same Id and a later UpdatedAt.
//
// # States
//
// None.
//
// # Never
//
// Takes the severity from a text: the number decides.
//
// # When it fails
//
// An event without a finding's ARN gives an error; what else is missing, ASFF's rules refuse.
package guardduty
