// Package verify reads the resource back from AWS, in a session of its own, and
// says whether the fix, or its undo, is really there.
//
// # Takes
//
// The id of a remediation in state verifying, from the outbox (topic verify).
//
// # Gives
//
// The remediation verified or unverified, an annotation for the finding
// (RESOLVED after a verified fix, NEW after a verified undo), and for an undo
// the first remediation undone.
//
// # States
//
// verifying -> verified | unverified; for an undo, on the first remediation,
// undoing -> undone | unverified.
//
// # Never
//
// Trusts what the execution said: it makes its own reads. Changes anything.
//
// # When it fails
//
// A read that AWS refuses or does not answer is tried again by the bus. A
// resource that does not comply yet is read again for some seconds, because
// AWS's reads may lag, and is then unverified with what was seen; one that cannot
// be looked at, because its playbook is gone, is unverified at once.
package verify
