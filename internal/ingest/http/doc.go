// Package http takes the findings of BatchImportFindings.
//
// # Takes
//
// One batch of raw findings and the source that signed it: what accounts and
// products it may speak for, and whether it is trusted.
//
// # Gives
//
// One commit of inbox rows for the findings that are valid and the source's to
// report; for every other an error of its own, in AWS's form.
//
// # States
//
// A finding is received.
//
// # Never
//
// Stores part of a batch and says otherwise, keeps a finding that the source
// may not report, or looks at stored findings.
//
// # When it fails
//
// A batch over the limits is refused whole, with code invalid, before any of
// it is read. If the inbox cannot be written nothing was accepted; the sender
// may send the batch again, since a repeated finding is ignored by triage.
package http
