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
//
// # Classes
//
// Every operation has one of three classes, made by these steps; the first that
// speaks decides:
//
//  1. The reviewed table (classes.json, "operations"): what does not follow from
//     the name, each with its reason.
//  2. Traits: the method PUT, PATCH or DELETE, or an idempotency token, makes a
//     change of what is named like a read.
//  3. The verb (classes.json, "read_verbs"): Get, List, Describe and so on are
//     reads.
//  4. Everything else, an unknown service or operation too, is a change.
//
// A sensitive read answers with a value that opens something by itself: a
// password, a token, a private or symmetric key, credentials, a decrypted
// secret, or an address that needs no sign-in. Names, addresses and the like
// that a model marks as sensitive are not that; nor are secrets that AWS takes
// and never gives back or masks (an RDS master password), the ARN of a secret,
// or a customer's own text that may hold anything (objects, logs, environment
// variables). Where it is not known whether AWS masks it, it counts as sensitive.
//
// Invariant: the answer of no plain read has a member that is marked sensitive
// and named like a secret, unless the table says why; testdata/reads.txt names
// every read, so that new models show what they move; test/classes calls the
// reads on moto and fails when one alters its state.
package apimodel
