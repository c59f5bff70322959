// Package webhook posts notifications as JSON to an HTTPS address, signed so
// that the receiver can tell who sent them and when.
package webhook
