// Package approve decides who must agree to a plan, and records who did.
//
// # Takes
//
// The id of a planned remediation (topic approve), and the word of people:
// grant or reject, each naming the plan's hash. What a step of a running document
// asks (aws:approve) comes by AskStep and is decided by those whom it names.
//
// # Gives
//
// An approval bound to the plan's hash, and for an approved plan a job for
// execute.
//
// # States
//
// remediation: planned -> queued (automatic) | awaiting_approval;
// awaiting_approval -> queued | rejected | expired. Approval: pending ->
// approved | rejected | expired | superseded.
//
// # Never
//
// Approves automatically without a policy that says so, for an open or
// irreversible plan, for a source that is not trusted, for an undo, or for a
// document that no policy names; only a run whose plan changes nothing needs none. Lets a
// person approve what they asked for themselves.
//
// # When it fails
//
// A decision that comes late, twice or for another hash is refused with what
// happened instead. A crash between two decisions loses nothing: each is one
// transaction.
package approve
