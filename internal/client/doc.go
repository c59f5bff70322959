// Package client calls Parry's REST API: one method per endpoint, requests
// signed with an access key, errors given back as the fault errors that the
// server made, with code and hint.
//
// It repeats nothing by itself. Every request carries a signed random nonce, so
// that no two have one signature: see docs/design/0002-replay-protection.md.
package client
