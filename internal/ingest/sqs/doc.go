// Package sqs collects what EventBridge rules put into a queue.
//
// # Takes
//
// Messages of one queue of Amazon SQS, each an EventBridge event or what SNS
// has put around one.
//
// # Gives
//
// Rows in the inbox for the findings that the queue may bring, events on the
// bus for what is no finding where the configuration asks for it, and rows of
// rejected messages for the rest. Only then the message is deleted.
//
// # States
//
// A finding is received.
//
// # Never
//
// Deletes a message before what it said is stored, or takes a finding of an
// account or product that the queue may not speak for.
//
// # When it fails
//
// At least once: a message that was stored and not deleted comes again and
// changes nothing. When the store or SQS is away, messages stay in the queue
// and the collector tries again, more and more slowly, up to once a minute. A
// message that cannot be read is kept aside with its reason.
package sqs
