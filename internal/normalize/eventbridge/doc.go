// Package eventbridge finds out what a document from outside is and has it
// normalized: an EventBridge event of one of AWS's detectors or of Security
// Hub, or a bare finding in ASFF or in GuardDuty's own form.
//
// # Takes
//
// The text of one document.
//
// # Gives
//
// A Message: the findings in it, valid and complete; those that are none, with
// the reason; and the event itself where it says more than its findings do.
//
// # States
//
// None.
//
// # Never
//
// Guesses: what it does not know is an event without findings, or refused.
//
// # When it fails
//
// An error is for the document as a whole; repeating it is of no use. A finding
// that does not fit ASFF is refused alone.
package eventbridge
