// Package awswall stands in front of moto and refuses what AWS refuses.
//
// moto imitates AWS's APIs well and its borders hardly: any role can be assumed,
// even one that does not exist; account B may change account A's bucket; an
// operation that it lacks is answered with a page of HTML. A test against moto
// alone therefore proves little about accounts. The wall:
//
//   - resolves the access key to its principal and account, verifies the
//     signature, and tells moto the account (x-moto-account-id);
//   - refuses AssumeRole unless the role exists and its trust policy admits the
//     caller, the ExternalId, the SourceIdentity and session tags;
//   - evaluates identity policies, session policies, and bucket policies for foreign and for
//     anonymous callers;
//   - lets the delegated administrator read the organization;
//   - turns what moto lacks into NotImplemented (501, which no client retries);
//   - injects faults, into all calls, a part of them, or those above a rate per
//     account: throttling, server errors, delays, lost requests, lost
//     answers, changes that are confirmed and not made, and holds;
//   - writes the one request log behind every "nothing changed" and "nothing
//     repeated" claim.
//
// It is a test's tool: it listens on loopback only, without TLS. It uses none of
// Parry's packages, because it is the judge of what they do.
package awswall
