// Package sweep looks for the resources that fail a control, whether or not a finding
// says so: a playbook's own check, read-only, over accounts and Regions.
//
// # Takes
//
// A playbook with a Sweep section, and where to look: accounts and Regions.
//
// # Gives
//
// For every place (an account in a Region) as soon as it is done: how many resources
// were looked at, which fail and whether a finding reports them, which could not be
// read, and for a place that could not be swept why not. What could not be read is
// never counted as clean.
//
// # States
//
// None. Nothing is stored but an entry in the audit log where the caller has one.
//
// # Never
//
// Sends anything but reads: the gate's read-only session refuses the rest. Changes,
// plans or closes anything because of what it found.
//
// # When it fails
//
// A place that AWS refuses, or that takes too long, is in the report with its reason,
// and the others go on. When the caller is gone the sweep ends.
package sweep
