// Package triage decides what a finding that came in means: whether it is new,
// what of it the provider may say, what the automation rules make of it, and
// where its workflow stands. It is the only writer of findings.
//
// # Takes
//
// Rows of the inbox, each with the name and trust of its source; updates by
// customers (BatchUpdateFindings); annotations by the verify stage (topic
// annotate); refused rows that an operator sends again (topic inbox).
//
// # Gives
//
// Stored findings with their history, and for every accepted write one event
// "Security Hub Findings - Imported" in the outbox, all in one commit.
//
// # States
//
// Workflow status NEW, NOTIFIED, SUPPRESSED, RESOLVED and record state ACTIVE,
// ARCHIVED of a finding (docs/states/finding.md).
//
// # Never
//
// Lets a finding change its account, lets one source's finding become trusted
// by what another said, lets a provider overwrite what a customer set, or acts
// on AWS.
//
// # When it fails
//
// A row that cannot become a finding goes to the dead letters of topic inbox
// with its reason, in the commit that takes it out of the inbox; the rows
// behind it go on. When the store or the rules cannot be read, rows stay in the
// inbox and are tried again.
package triage
