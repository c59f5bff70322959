// Package organization follows AWS Organizations, and finds out what of it Parry covers.
//
// # Takes
//
// All roots, units, accounts and tags of the organization, by a session that only
// reads: at the start, every hour, when somebody asks, and soon after an event of
// CloudTrail says that something was changed. Attempts to take the member role.
// What sources brought, by account and region.
//
// # Gives
//
// The accounts as they are now, for everything that asks about accounts; rows for
// accounts, for what happened to them and for coverage; an event on the bus for what
// people should know; requests to rank findings anew.
//
// # States
//
// An account's state is AWS's, or LEFT. Coverage is covered, degraded, lost, never, or off.
//
// # Never
//
// Applies a reading that broke off, that is of another organization, or in which more
// than a fifth of the accounts, and more than ten, are missing: that is kept aside
// until somebody accepts it. Takes an account for gone because a listing lacks it: AWS
// is asked for that very account.
//
// # When it fails
//
// What was known holds, the reason is shown, and the next round reads all of it again.
// What a reading changed, its history and its events are one transaction.
package organization
