package org

import (
	"strings"
	"sync/atomic"
)

// Live is the accounts as they are known now: what is asked at every call, finding and
// plan, and replaced whole when something has changed. Safe for concurrent use; nobody
// waits.
type Live struct {
	at atomic.Pointer[accounts]
	id atomic.Value // string: the organization's
}

type accounts struct {
	list []Account
	byID map[string]int
}

// NewLive gives a Live of these accounts.
func NewLive(list []Account) *Live {
	l := &Live{}
	l.Set(list)
	return l
}

// Set replaces the accounts. The list must not be changed afterwards.
func (l *Live) Set(list []Account) {
	next := &accounts{list: list, byID: make(map[string]int, len(list))}
	for i, a := range list {
		next.byID[a.ID] = i
	}
	l.at.Store(next)
}

// SetOrganization says which organization was read: o-....
func (l *Live) SetOrganization(id string) { l.id.Store(id) }

// Membership gives the organization of an account that is active in it, and the account's
// path there as aws:PrincipalOrgPaths has it: o-.../r-.../ou-.../ with a slash at the end.
// Both are "" where that is not known of the account: it is of parry.yaml alone, foreign,
// suspended, closed or gone.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalorgpaths
func (l *Live) Membership(account string) (organization, path string) {
	id, _ := l.id.Load().(string)
	a, ok := l.Account(account)
	if id == "" || !ok || a.State != Active || len(a.UnitIDs) == 0 {
		return "", ""
	}
	return id, id + "/" + strings.Join(a.UnitIDs, "/") + "/"
}

// Account gives the account with id, also one that has left.
func (l *Live) Account(id string) (Account, bool) {
	now := l.at.Load()
	i, ok := now.byID[id]
	if !ok {
		return Account{}, false
	}
	return now.list[i], true
}

// Accounts gives all of them, also those that have left. It must not be changed.
func (l *Live) Accounts() []Account { return l.at.Load().list }
