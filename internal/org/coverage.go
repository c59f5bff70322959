package org

import (
	"fmt"
	"slices"
	"time"
)

// CoverageState says what Parry can see and do in a region of an account.
type CoverageState string

// The states of coverage.
const (
	Covered  CoverageState = "covered"  // the member role can be taken, and sources bring what they should
	Degraded CoverageState = "degraded" // the role can be taken, but a source fails or is silent
	Lost     CoverageState = "lost"     // the role could be taken and no longer can
	Never    CoverageState = "never"    // the role could not be taken yet
)

// CoverageStates lists them all.
func CoverageStates() []CoverageState { return []CoverageState{Covered, Degraded, Lost, Never} }

// Reach is what trying to take the member role said.
type Reach string

// What trying the role says. AWS answers a role that is not there and one that does
// not trust the caller alike.
const (
	ReachOK      Reach = "ok"
	ReachRole    Reach = "role"           // the role is missing, or does not trust Parry's principal
	ReachPolicy  Reach = "policy"         // a policy of the organization denies it
	ReachOwn     Reach = "own_permission" // Parry's own principal may not assume it
	ReachState   Reach = "account_state"  // the account is suspended, closed or gone
	ReachUnknown Reach = "unknown"        // AWS gave no answer; nothing is concluded
	ReachSource  Reach = "source"         // a source fails
	ReachSilent  Reach = "silent"         // a source brings nothing
)

// Coverage is what Parry can see and do in one region of an account.
type Coverage struct {
	Account   string
	Region    string
	State     CoverageState
	Since     time.Time
	Reason    Reach // "ok" where it is covered
	Detail    string
	Next      string // what to do
	CheckedAt time.Time
}

// Sighting is when a source last brought something of a region of an account.
type Sighting struct {
	Account, Region, Source string
	At                      time.Time
}

// Feed is a source that should bring findings, as it stands.
type Feed struct {
	Name string
	// Covers says whether it may report of the account; Regions are those it reports
	// of, none = it is not known.
	Covers  func(account string) bool
	Regions []string
	// Silence is for how long it may bring nothing of a region; 0 = for ever.
	Silence time.Duration
	Problem string
}

// Attempt is one try of the member role.
type Attempt struct {
	Reach  Reach
	Detail string
	Next   string
}

// Judge says how a region of an account is covered. Was is its last coverage, the zero
// value where there is none; seen gives when a feed last brought something of it.
func Judge(was Coverage, a Account, region string, try Attempt, feeds []Feed, seen func(source string) time.Time, firstSeen, now time.Time) Coverage {
	next := Coverage{Account: a.ID, Region: region, State: Covered, Reason: ReachOK, CheckedAt: now}
	switch try.Reach {
	case ReachOK:
		next.feeds(feeds, seen, firstSeen, now)
	case ReachUnknown:
		// Nothing is known that was not known before; but what was not answered once
		// must not look as if it had been.
		if was.State == "" {
			next.State, next.Reason, next.Detail, next.Next = Never, try.Reach, try.Detail, try.Next
			break
		}
		return was
	default:
		next.State, next.Reason, next.Detail, next.Next = Lost, try.Reach, try.Detail, try.Next
		if was.State == "" || was.State == Never {
			next.State = Never
		}
	}
	next.Since = was.Since
	if was.State != next.State || was.Since.IsZero() {
		next.Since = now
	}
	return next
}

// feeds looks at those who should bring findings of the region.
func (c *Coverage) feeds(feeds []Feed, seen func(string) time.Time, firstSeen, now time.Time) {
	for _, f := range feeds {
		if !f.Covers(c.Account) || len(f.Regions) > 0 && !slices.Contains(f.Regions, c.Region) {
			continue
		}
		if f.Problem != "" {
			c.State, c.Reason, c.Detail = Degraded, ReachSource, "source "+f.Name+": "+f.Problem
			c.Next = "run: parry source list"
			return
		}
		last := seen(f.Name)
		if last.Before(firstSeen) {
			last = firstSeen
		}
		if quiet := now.Sub(last); f.Silence > 0 && quiet > f.Silence {
			c.State, c.Reason, c.Detail = Degraded, ReachSilent, fmt.Sprintf("nothing from %s for %d hours", f.Name, int(quiet.Hours()))
			c.Next = "is Security Hub on in " + c.Region + " of account " + c.Account + ", and the account a member of the administrator?"
		}
	}
}
