// Package apimodel holds AWS's own API models for every service: operations,
// shapes, wire names, what an operation may do to an account (Class), which IAM
// actions it needs, and how a change is undone (images).
//
// With them come how listings are paged and resources waited for (Paginator,
// Waiter), and where a service is: its endpoint rule set (RuleSet) and AWS's
// partitions.
//
// The models are botocore's, stripped of documentation and packed by gen into
// the embedded archive models.bin; `make models` writes it anew. A service is
// unpacked when it is first asked for, and its paginators, waiters and rules
// when these are. Everything here is data and pure functions: no I/O, no clock,
// no logger.
package apimodel
