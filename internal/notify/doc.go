// Package notify tells people, in plain words, what became of a remediation or
// a finding, through channels: email, sns, webhook and slack below it.
//
// # Takes
//
// Notifications from the outbox (topic notify): the name of a channel and an
// event. For a remediation it also reads the finding's severity and title.
//
// # Gives
//
// One Message to the channel's Sender, whose ID is a function of event and
// channel, so that a repeated delivery is recognised by who receives it.
//
// # States
//
// None. It speaks of a remediation when it is queued, awaiting approval,
// verified, unverified, failed, undone, regressed, rejected, expired, superseded
// or cancelled, and stays silent about the steps between.
//
// # Never
//
// Makes a template, a header or a command out of a finding's text: control
// characters are taken out of it and its length is bounded. Prints a secret.
// Retries by itself.
//
// # When it fails
//
// A Sender says by fault.Transient or fault.Terminal whether another try is
// worth it; the dispatcher tries again or keeps the message with the reason. A
// channel that is not configured, and an event that cannot be read, are
// terminal.
package notify
