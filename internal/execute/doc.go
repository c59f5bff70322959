// Package execute carries out an approved plan through the automation engine,
// durably: a crash at any point leaves a step either done once or not begun.
//
// # Takes
//
// The id of a queued remediation, from the outbox (topic execute); the id of an
// execution to which a signal was put (topic wake).
//
// # Gives
//
// Every change of the plan made through the gate, recorded with its
// before-image, and a job for verify.
//
// # States
//
// queued -> running -> verifying | failed | cancelled | superseded; for an undo, on the first
// remediation, verified | unverified | failed | superseded | regressed ->
// undoing, back when the undo ends before its first change, and to unverified
// when it ends later.
//
// # Never
//
// Runs without an approval that is bound to the plan's hash. Sends a change that
// the plan does not hold; the gate refuses it.
//
// # When it fails
//
// The remediation is failed with the step, what AWS said and how many changes
// were made, and can be undone. A resource that changed since the plan was made
// ends the execution as superseded before the change. A process that dies is
// continued by the durable engine, here or on another node.
package execute
