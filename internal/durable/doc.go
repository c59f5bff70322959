// Package durable runs work that survives the process: DBOS Transact for Go
// behind seven calls (Start, Signal, Cancel, List, Steps, Schedule and a step's
// Step), and what DBOS leaves open for several equal nodes: the node's lease,
// the fence before each change, and the takeover of a dead node's work.
//
// There is one workflow, the generic interpreter, under one fixed application
// version: runbooks are data, so an upgrade of Parry strands no execution.
// No other package imports DBOS.
//
// What is durable. Work is started once by its id. A step that completed is
// never run again; a step that was under way when the process died runs again
// from its start. The body between steps runs again from its beginning and must
// take the same way.
//
// What is secret. Inputs, step outputs, errors and signals are sealed before
// they reach DBOS; its tables hold ids, step names, times and statuses.
//
// Invariant: a node whose lease ran out records and changes nothing more. When
// the lease cannot be renewed within half its length the engine cancels all
// work with a cause that DBOS does not take for a cancellation by a person, so
// that the rows stay as they are for the node that takes them over. The
// process should then exit: see Lost.
package durable
