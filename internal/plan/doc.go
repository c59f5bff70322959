// Package plan turns a finding and its playbook into an immutable plan: the
// exact AWS calls, with before and after, and nothing changed.
//
// # Takes
//
// A remediation.Request from the outbox (topic plan): a finding to fix, a
// remediation to undo, or a document that somebody started.
//
// # Gives
//
// A remediation.Plan bound to its hash, a remediation in state planned, and a
// job for approve. Where no plan can be made, a remediation that says why.
//
// # States
//
// (none) -> planned; (none) -> failed when the account cannot be read or the
// runbook cannot be planned; (none) -> cancelled when a live read finds nothing
// to fix.
//
// # Never
//
// Sends a change. Takes a role, an account outside the organization or a runbook
// name from a finding's text.
//
// # When it fails
//
// A throttled or unreachable AWS is tried again by the bus. A refusal (no such
// role, access denied) becomes a failed remediation with the next step for a
// person. The request's id makes a repeated delivery harmless.
package plan
