// Package store keeps everything Parry knows, in SQLite or PostgreSQL, behind
// one concrete type.
//
// There are two files (two schemas on PostgreSQL): Findings holds the inbox,
// the findings with their history and counters, and the keys; Execution holds
// remediations, plans, approvals, changes, executions and the audit log. Each
// has an outbox and an audit outbox, written in the transaction of the change
// they announce. No transaction spans both files: work crosses from one to the
// other by a message whose id is deterministic, so that delivering it twice is
// delivering it once.
//
// Times are stored as microseconds since 1970; what is below a microsecond is
// in the documents only. Key secrets, plans, recorded changes, execution state
// and step data are sealed, bound to the table and key of their row.
//
// Lists are scoped by account and default closed: a list without a scope is an
// error, one with an empty scope is empty, and AllAccounts is everything.
package store
