// Package ingest is the stage by which findings come into Parry. Each way in is
// a package of its own below this one.
//
// # Takes
//
// Messages from a source: a key, later a queue, a pull or a file.
//
// # Gives
//
// Rows in the inbox, each with the name and the trust of its source.
//
// # States
//
// A finding is received.
//
// # Never
//
// Takes a finding from a source that may not speak for its account or product,
// or decides anything about it: that is triage.
//
// # When it fails
//
// What was not stored was not accepted, and the sender is told so.
package ingest
