// Package events answers Amazon EventBridge's API for event buses, rules, targets,
// permissions, archives, replays, connections, API destinations and events, in AWS JSON 1.1.
//
// It checks the form of a request against AWS's own model and what its caller may do, and
// hands on to route's desk, which keeps what people make, and to the exchange, which
// takes events. An account is what the caller's key says, never what a request says.
package events
