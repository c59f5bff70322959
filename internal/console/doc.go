// Package console serves the pages of the console: the files that `make build` makes
// from web/ and puts into dist, embedded in the binary. It has no data and asks for
// none; the pages ask the REST API (package api) with the session cookie.
//
// A page may load scripts, styles, fonts and images from its own origin, ask only its
// own origin, and be framed by nobody. There is nothing to compute in an answer: paths
// are looked up in a table made at the start, never on a disk.
//
// A binary that was built without the pages answers with one that says how to build
// them.
package console
