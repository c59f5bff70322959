// Package audit chains what was done into one log that shows when it was
// altered.
//
// # Takes
//
// The audit outboxes of both database files, which every state change fills in
// its own transaction. One appender per installation works at a time, held by a
// lease; should two meet all the same, the store lets one of them through.
//
// # Gives
//
// Entries, each with the hash of the one before: SHA-256 over the canonical JSON
// of index, previous hash, file, row and record. Canonical means no white space,
// members sorted by name, repeated members kept in order, and numbers as they
// were written. Verify and VerifyExport name the first entry that is broken and
// why. Export writes JSON lines that can be verified without Parry's database.
//
// # States
//
// A record waits in its outbox, then is in the chain; (file, row) appears once.
//
// # Never
//
// Changes or leaves out a record. Trusts the log's own end: whoever may write the
// database can rewrite a whole chain, so a Checkpoint, an index and its hash, is
// to be kept elsewhere and given to Verify.
//
// # When it fails
//
// Records stay in their outboxes and are tried again at the next poll; nothing
// else waits for them. A record that cannot be hashed stops the appender there,
// loudly, because what follows must not overtake it.
package audit
