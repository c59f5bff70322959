// Package destination calls the API destinations of the event bus: HTTP endpoints with the
// authorization of a connection. What is sent is package target's to say; this package has
// the connections, the tokens, and what an answer means.
//
// Answers are judged as in the EventBridge User Guide, "API destination error codes": 401,
// 407, 409, 429 and 5xx are tried again, not before Retry-After, whatever else is no 2xx is
// given up; so is what has a negative Retry-After. An endpoint has 5 seconds. Redirects are
// not followed. Of an answer's body nothing is kept.
//
// A token is asked for when a delivery needs one (RFC 6749 section 4.4), kept in memory
// until a minute before its end, and asked for anew, once for each delivery, when the
// endpoint answers 401 or 407. Deliveries that need one at the same time share the request.
package destination
