// Package pull reads findings from AWS Security Hub.
//
// # Takes
//
// The pages of GetFindings in one region, by a session that only reads.
//
// # Gives
//
// Rows in the inbox for the findings that the hub's source may bring, and for
// those that are stored as active here and gone there a version that archives
// them. How far it has come is stored after every page.
//
// # States
//
// A finding is received, or archived.
//
// # Never
//
// Takes an answer that lacks a finding for its absence: only a question for
// that very finding, answered without it, archives it. Archives more than a few
// when many are missing at once: then something else is wrong.
//
// # When it fails
//
// The next round goes on at the page where this one ended. Findings come at
// least once; one that came already changes nothing.
package pull
