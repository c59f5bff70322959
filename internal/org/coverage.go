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
	Degraded CoverageState = "degraded" // the role can be taken, but a source fails or is silent, or the account does not say whether the Region is on
	Lost     CoverageState = "lost"     // the role could be taken and no longer can
	Never    CoverageState = "never"    // the role could not be taken yet
	Off      CoverageState = "off"      // the Region is turned off in the account
)

// CoverageStates lists them all.
func CoverageStates() []CoverageState {
	return []CoverageState{Covered, Degraded, Lost, Never, Off}
}

// Worse reports whether a says worse of an account than b.
func (a CoverageState) Worse(b CoverageState) bool {
	rank := []CoverageState{Off, Covered, Degraded, Never, Lost}
	return slices.Index(rank, a) > slices.Index(rank, b)
}

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
	ReachOff     Reach = "region_off"     // nobody turned the Region on in the account
	ReachRegions Reach = "regions"        // the account does not say whether the Region is on
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
	// Regions is what the account said of its Regions; nil = it was not asked.
	Regions *Regions
}

// Regions is what an account said when it was asked which Regions are on in it.
type Regions struct {
	On map[string]bool // whether it is, by Region; nil = it did not say
	// Refused says why it would not say; "" = no answer came.
	Refused string
}

// Judge says how a region of an account is covered. Was is its last coverage, the zero
// value where there is none; seen gives when a feed last brought something of it.
func Judge(was Coverage, a Account, region string, try Attempt, feeds []Feed, seen func(source string) time.Time, firstSeen, now time.Time) Coverage {
	next := Coverage{Account: a.ID, Region: region, State: Covered, Reason: ReachOK, CheckedAt: now}
	switch try.Reach {
	case ReachOK:
		if was.State == Off && next.unanswered(try.Regions) {
			return was
		}
		next.feeds(feeds, seen, firstSeen, now)
		next.region(was, try.Regions)
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

// unanswered reports whether the account was asked for its Regions, and nothing is known
// that was not known before.
func (c *Coverage) unanswered(r *Regions) bool {
	return r != nil && !AlwaysOn(c.Region) && r.On == nil && r.Refused == ""
}

// region holds against c what the account says of the Region. Where nobody turned it on
// nothing can be seen or done; whatever its sources say.
func (c *Coverage) region(was Coverage, r *Regions) {
	if r == nil || AlwaysOn(c.Region) {
		return
	}
	on, known := r.On[c.Region]
	switch {
	case on:
	case known:
		c.State, c.Reason, c.Detail, c.Next = Off, ReachOff, "the Region is turned off in the account", ""
	case c.State != Covered:
	case r.On != nil:
		c.State, c.Reason, c.Detail = Degraded, ReachRegions, "AWS lists no such Region for the account"
		c.Next = "look at organization.coverage.regions in parry.yaml"
	case r.Refused != "":
		c.State, c.Reason, c.Detail = Degraded, ReachRegions, "whether the Region is on is not known: "+r.Refused
		c.Next = "let the member role do ec2:DescribeRegions: write its template anew with parry org connect"
	case was.State != Covered && was.State != Degraded || was.Reason == ReachRegions:
		c.State, c.Reason, c.Detail = Degraded, ReachRegions, "whether the Region is on is not known: AWS gave no answer"
		c.Next = "it is asked again within the hour, or now: parry org sync"
	}
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
