// Package file reads findings and events out of files.
//
// # Takes
//
// A file of JSON: one document, a list of them, an object with the list in
// Findings or findings (as GetFindings and BatchImportFindings have it), or one
// document a line; compressed by gzip or not.
//
// # Gives
//
// Each document as it stands, with its place: the line, and the number in its
// list. Nothing is normalized here.
//
// # States
//
// None.
//
// # Never
//
// Holds more than one document, its list's brackets apart, or reads more than
// its limits, whatever a compressed file expands to.
//
// # When it fails
//
// A line that is no JSON is given as it is, for its reader to refuse; the lines
// behind it go on. A list that breaks off ends the reading with the place.
package file
