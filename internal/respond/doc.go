// Package respond opens cases, writes their timelines and moves them through their
// statuses.
//
// # Takes
//
// Reports of events that a rule sends to a case (topic case), and what people say by the
// API.
//
// # Gives
//
// Cases with their timelines, AWS's events about them (source aws.security-ir), and
// audit entries for what opens, moves and closes a case and for notes.
//
// # States
//
// Those of casefile.Status. An event that belongs to an open case of the same group is
// an entry of its timeline; else it opens one. A case that is full, or whose window has
// passed, is followed by another, which names it.
//
// # Never
//
// Writes an event twice, to whatever case: its key is unique in the store. Opens a case
// for an event about cases. Puts events of one account into a case that people see who
// may not see that account: a case is seen by who has all of its accounts.
//
// # When it fails
//
// Another node that was faster is seen by the store, and the report is looked at anew. A
// store that does not answer is tried again by the bus. When too many cases are open the
// report waits and is tried again, and is given up by the bus in the end.
package respond
