package org

import (
	"slices"
	"strings"
	"time"
)

// State is where an account stands in its life: one of AWS Organizations' states, Left
// for one that is no longer in the organization, "" where only parry.yaml knows it.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_accounts_account_state.html
type State string

// The states of an account.
const (
	PendingActivation State = "PENDING_ACTIVATION"
	Active            State = "ACTIVE"
	Suspended         State = "SUSPENDED"
	PendingClosure    State = "PENDING_CLOSURE"
	Closed            State = "CLOSED"
	Left              State = "LEFT"
)

// States lists them all.
func States() []State {
	return []State{PendingActivation, Active, Suspended, PendingClosure, Closed, Left}
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Idle says why nothing can be done in an account of this state, "" when it can.
func (s State) Idle() string {
	switch s {
	case "", Active:
		return ""
	case Left:
		return "it is no longer in the organization"
	case PendingActivation:
		return "it is not activated yet"
	}
	return "AWS Organizations has it as " + string(s)
}

// Out reports whether an account of this state is out of use: suspended, closed or
// being closed, or no longer in the organization. What it was found to lack is nobody's
// work any more. One that is not activated yet is not out of use.
func (s State) Out() bool {
	return s == Suspended || s == PendingClosure || s == Closed || s == Left
}

// Unseen reports whether AWS shows no findings of an account of this state to the
// administrator of Security Hub: one that was closed is removed as a member, and one that
// has left its organization is no longer looked into. Those of a suspended account stay.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-data-retention.html
func (s State) Unseen() bool { return s == Closed || s == Left }

// Root is the unit of an account that stands in no organizational unit, as far as
// that is known: "" is not known.
const Root = "/"

// Member is an account as AWS Organizations showed it last.
type Member struct {
	Account
	Joined    time.Time
	FirstSeen time.Time
	// LastSeen is when it was last in the organization, for one that has left.
	LastSeen time.Time
	// TagsAt is when its tags were last read; zero = never.
	TagsAt time.Time
	// Rev counts its versions, from 1.
	Rev int64
}

// Merge puts what parry.yaml lists over what AWS Organizations showed: a name, unit or
// tags that are listed win, the state is always AWS's. The result is in the order of
// the ids.
func Merge(listed []Account, members []Member) []Account {
	byID := make(map[string]Account, len(members)+len(listed))
	for _, m := range members {
		m.TagsUnknown = m.TagsAt.IsZero()
		byID[m.ID] = m.Account
	}
	for _, l := range listed {
		a, known := byID[l.ID]
		if !known {
			l.Listed = true
			byID[l.ID] = l
			continue
		}
		a.Listed = true
		if l.Name != "" {
			a.Name = l.Name
		}
		if l.Unit != "" {
			a.Unit = l.Unit
		}
		if l.Tags != nil {
			a.Tags, a.TagsUnknown = l.Tags, false
		}
		byID[l.ID] = a
	}
	out := make([]Account, 0, len(byID))
	for _, a := range byID {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Account) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// UnitName makes the name of an organizational unit, which may be any text, fit for a
// path: a slash in it is no step down.
func UnitName(name string) string {
	return strings.NewReplacer("%", "%25", "/", "%2F").Replace(name)
}
