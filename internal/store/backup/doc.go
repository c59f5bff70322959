// Package backup copies what the store keeps: into an archive, out of one, and from
// one database to another.
//
// Whole moments. A source is read as it was at one moment over both files: on
// PostgreSQL in one snapshot, on SQLite in two that begin while both writers stand
// still. So a message that crosses from one file to the other is never delivered in
// one and unknown in the other, whichever way it goes.
//
// An archive is a ZIP file whose manifest names every table with its columns, rows
// and digests, under a code that only the installation's data key gives. What is
// sealed stays sealed. Rows are written as values, so that either database reads
// what the other wrote.
//
// Copies in the making. A target is filled beside what is there, looked through, and
// put in its place by renaming: a process that dies leaves what was there, or a mark
// by which the store refuses to open.
//
// Invariant: what was under way when a backup was made does not go on by itself after
// its restore, see Settle. The durable engine's own tables are in no archive.
package backup
