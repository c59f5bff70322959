// Package writeback tells AWS Security Hub what people, rules and remediations
// decided about its findings here.
//
// # Takes
//
// Messages of topic writeback: a finding of a hub whose workflow status or note
// was changed here.
//
// # Gives
//
// One BatchUpdateFindings, as own traffic, when the hub's own version differs.
//
// # States
//
// None.
//
// # Never
//
// Writes what the hub has already: the event that its own write causes changes
// nothing here, and would not be answered if it did. Writes more than five
// times a day to one finding: then somebody else writes the opposite.
//
// # When it fails
//
// The bus tries again. A finding that the hub does not have is left alone.
package writeback
