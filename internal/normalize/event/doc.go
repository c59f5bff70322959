// Package event is what the normalizers of AWS's own events share: the envelope
// that EventBridge puts around them, a reader of their details, and the parts
// of ASFF that every one of them writes.
//
// # Takes
//
// The text of one EventBridge event, as a queue, a topic or a file brings it.
//
// # Gives
//
// An Event with its idempotency key, and a Doc to read its detail by path.
//
// # States
//
// None.
//
// # Never
//
// Guesses an account or a region that the event does not name, or lets a text
// become longer than ASFF allows.
//
// # When it fails
//
// An error says what of the envelope is wrong. A member that is missing from a
// detail reads as nothing; the finding that lacks it is refused by ASFF's rules.
package event
