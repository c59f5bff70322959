// Package route holds events against rules and hands what matches to its
// targets: a playbook, by a request to plan, or a channel, by a notification.
//
// # Takes
//
// Events in EventBridge's envelope from both outboxes (topic event), and rules
// from the configuration, compiled into a Table.
//
// And events that a person asked for by a custom action (topic action), with who that is:
// the request to which one leads is that person's.
//
// # Gives
//
// For a playbook, one remediation.Request for every finding of the event that
// the rule selects (topic plan). For a channel, one Notification for the event
// (topic notify). All of a message goes out in one transaction, under ids that
// are a function of the events, so that a repeated delivery is dropped.
//
// # States
//
// None of its own. Which failing state a request is for, its generation, is the
// last settled remediation of the same finding and playbook. The id of a request
// is "rem-" and the first 20 hexadecimal digits of SHA-256 over finding,
// playbook and generation:
//
//   - none settled yet: every event of the finding gives the same id, so a
//     repeated delivery, a customer's update and the provider's next report are
//     all the first remediation;
//   - one is under way: nothing is sent;
//   - the last one was verified, and the provider's UpdatedAt is later than that:
//     the finding fails anew, and the id is another;
//   - the last one failed, expired, was superseded or cancelled, and the
//     provider reported since: it is tried again under another id;
//   - the last one was rejected or undone by people, or stayed unverified: as
//     before, but only when the Quiet time has passed;
//   - the report is older than the settlement: nothing is sent.
//
// When a person asked, only a remediation that is under way keeps another from being
// asked for.
//
// # Never
//
// Remediates because of an event that is replayed, that Parry caused, that somebody put
// on a bus under a source of their own, or that has passed more rules than the rule allows.
// Remediates a finding that the rule
// would not have selected alone. Takes a playbook's or channel's name from an
// event.
//
// # When it fails
//
// A rule that does not parse is disabled and reported as a Refusal; the others
// go on. An event that is no event, or that a rule cannot judge within the
// limits of package pattern, becomes a dead letter with the reason, after what
// the other rules made of it went out. A store that does not answer is tried
// again by the bus.
package route
