// Package bus carries what happens in Parry from the outboxes to the stages
// that handle it: at least once, in order of arrival per handler, retried with
// full jitter, and kept aside with its reason when it cannot be delivered.
package bus
