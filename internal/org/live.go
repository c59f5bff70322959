package org

import "sync/atomic"

// Live is the accounts as they are known now: what is asked at every call, finding and
// plan, and replaced whole when something has changed. Safe for concurrent use; nobody
// waits.
type Live struct{ at atomic.Pointer[accounts] }

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
