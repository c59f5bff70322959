// Package awsapi is the one way to AWS (design.md decision 2): nothing else in
// the tree may talk to it.
//
// Client sends a call of any service, driven by the models in apimodel: it
// checks, writes, signs, throttles, repeats and reads, and decides nothing about
// whether the call may be made. Gate decides that, and hands out the rights to
// call as sessions:
//
//   - ReadOnly sends reads.
//   - Planning sends reads, and records changes instead of sending them, with
//     before-image, diff and inverse; later reads see the planned change.
//   - Applying sends exactly the changes that an approved plan holds, and where it
//     is open those that it allows beyond them.
//   - OwnTraffic sends a closed table of operations on configured resources.
//
// A call may be made as another role than the session's (apimodel.Call.As), where
// the session's plan lists it. A script that assumes a role gets a key that means
// that role to its session; what it stands for never leaves this package. See
// docs/design/0010-roles-and-open-plans.md.
//
// Calls wait in one queue for each account, region and service (throttle.go),
// whose rate feels for the limit that AWS sets (throttle_pace.go) and is shared
// by the nodes of an installation (throttle_share.go). Throttling is certain to
// have done nothing and is met with patience until the caller's deadline; other
// failures with a few attempts within a budget; a change whose answer was lost is
// sent again by the client only with its token.
//
// Invariants of Applying. The before-image is read, the stop switch and the lease
// are asked, and the intent is stored, in this order, before a change leaves;
// where any of these fails, nothing is sent. The outcome is stored after. A change
// of unknown outcome (lost answer, killed process) is decided by reading the
// resource back, so that nothing is applied twice: equal to the expected image
// means applied; equal to the before-image means that it is sent again, but only
// where that is harmless or it carries its token; anything else is ErrUncertain
// and needs a person.
//
// Every call is recorded (log.go) without the values that it carried, and what
// people see of a plan or an error holds no secret value (redact.go); see
// docs/design/0007-record-and-redaction.md.
package awsapi
