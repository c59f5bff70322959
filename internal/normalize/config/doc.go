// Package config turns evaluations of Config rules into ASFF, as Config's integration with Security Hub does.
// docs/sources.md has the mapping field by field.
//
// # Takes
//
// One event with source aws.config and detail type "Config Rules Compliance Change".
//
// # Gives
//
// One finding for each rule and resource. Nothing for the rules that Security Hub
// itself keeps in Config: it reports those as controls.
//
// # States
//
// None.
//
// # Never
//
// Says more of a resource than the event does.
//
// # When it fails
//
// An event without a rule, resource or result gives an error.
package config
