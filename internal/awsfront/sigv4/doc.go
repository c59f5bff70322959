// Package sigv4 verifies requests that are signed with AWS Signature Version 4,
// by the keys that Parry issued.
//
// A request passes in this order, cheapest first, so that who has no key costs
// little: the Authorization header is read, the date is held against the clock,
// the key is looked up, the body is read up to its limit while it is hashed,
// and the signature is computed and compared in constant time. A request that
// changes something must then be the first with its signature, see
// docs/design/0002-replay-protection.md.
//
// Refused although AWS knows them: presigned URLs, unsigned and streamed
// payloads, session tokens, and paths that are not in their plain form. Nothing
// that Parry answers needs them, and each is a second way to be wrong.
package sigv4
