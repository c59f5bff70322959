package org

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// ChangeKind is what happened to an account.
type ChangeKind string

// What happens to accounts.
const (
	HasJoined ChangeKind = "joined"
	HasMoved  ChangeKind = "moved"   // into another unit, or its unit has another name
	HasState  ChangeKind = "state"   // suspended, closed, active again
	HasLeft   ChangeKind = "left"    // no longer in the organization
	HasName   ChangeKind = "renamed" // has another name
	HasTags   ChangeKind = "tagged"
)

// Change is one thing that happened to an account, as far as Parry saw.
type Change struct {
	Account       string
	At            time.Time
	Kind          ChangeKind
	Before, After string
}

// Update is what a reading of AWS Organizations changes.
type Update struct {
	Members []Member // those that are new or other than before
	Changes []Change
}

// Follow compares what is known with all accounts as they were read at now. Missing
// are those that AWS no longer has. Of the first reading nothing is told: it is where
// Parry begins.
func Follow(known []Member, read []Account, joined map[string]time.Time, missing []string, now time.Time) Update {
	var u Update
	before := make(map[string]Member, len(known))
	for _, m := range known {
		before[m.ID] = m
	}
	for _, a := range read {
		was, ok := before[a.ID]
		if !ok {
			m := Member{Account: a, Joined: joined[a.ID], FirstSeen: now, LastSeen: now, Rev: 1}
			u.Members = append(u.Members, m)
			if len(known) > 0 {
				u.tell(a.ID, now, HasJoined, "", a.Unit)
			}
			continue
		}
		m := was
		m.Name, m.Unit, m.UnitIDs, m.State, m.Joined, m.LastSeen = a.Name, a.Unit, a.UnitIDs, a.State, joined[a.ID], now
		n := len(u.Changes)
		if was.State == Left {
			u.tell(a.ID, now, HasJoined, string(Left), a.Unit)
		} else if was.State != a.State {
			u.tell(a.ID, now, HasState, string(was.State), string(a.State))
		}
		if was.Unit != a.Unit || !slices.Equal(was.UnitIDs, a.UnitIDs) {
			u.tell(a.ID, now, HasMoved, was.Unit, a.Unit)
		}
		if was.Name != a.Name {
			u.tell(a.ID, now, HasName, was.Name, a.Name)
		}
		if len(u.Changes) > n || !was.Joined.Equal(m.Joined) {
			m.Rev++
			u.Members = append(u.Members, m)
		}
	}
	for _, id := range missing {
		m, ok := before[id]
		if !ok || m.State == Left {
			continue
		}
		u.tell(id, now, HasLeft, string(m.State), string(Left))
		m.State, m.LastSeen, m.Rev = Left, now, m.Rev+1
		u.Members = append(u.Members, m)
	}
	return u
}

// Tagged gives m with tags as they were read at now, and whether they are others.
func Tagged(m Member, tags map[string]string, now time.Time) (Member, []Change) {
	var changes []Change
	if !m.TagsAt.IsZero() && !maps.Equal(m.Tags, tags) {
		changes = append(changes, Change{m.ID, now, HasTags, tagText(m.Tags), tagText(tags)})
	}
	m.Tags, m.TagsAt, m.Rev = tags, now, m.Rev+1
	return m, changes
}

// tagText shows tags in one line.
func tagText(tags map[string]string) string {
	parts := make([]string, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, k+"="+tags[k])
	}
	return strings.Join(parts, ", ")
}

func (u *Update) tell(account string, at time.Time, kind ChangeKind, before, after string) {
	u.Changes = append(u.Changes, Change{account, at, kind, before, after})
}

// Vanished gives the members that read does not hold, of those that had not left.
func Vanished(known []Member, read []Account) []string {
	there := make(map[string]bool, len(read))
	for _, a := range read {
		there[a.ID] = true
	}
	var out []string
	for _, m := range known {
		if !there[m.ID] && m.State != Left {
			out = append(out, m.ID)
		}
	}
	slices.Sort(out)
	return out
}
