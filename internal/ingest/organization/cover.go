package organization

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

const (
	// reachers try roles at once, of as many accounts.
	reachers = 8
	// coverBatch is how many accounts are judged and stored together.
	coverBatch = 100
)

// key is a region of an account.
type key struct{ account, region string }

// cover tries the member role of accounts, all or only some, and stores how their
// regions are covered.
func (f *Follower) cover(ctx context.Context, s *Status, only map[string]bool) error {
	if f.cfg.Organization.Coverage.Every == 0 {
		return nil
	}
	if err := f.flushSightings(ctx); err != nil {
		return err
	}
	facts, err := f.facts(ctx, s)
	if err != nil {
		return err
	}
	accounts := slices.DeleteFunc(slices.Clone(f.cfg.Live.Accounts()), func(a org.Account) bool {
		return a.State == org.Left || len(a.ID) != 12 || only != nil && !only[a.ID]
	})
	for n := 0; n < len(accounts); n += coverBatch {
		batch := accounts[n:min(n+coverBatch, len(accounts))]
		tries := f.tries(ctx, batch)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := f.hold(ctx); err != nil {
			return err
		}
		if err := f.judge(ctx, facts, batch, tries); err != nil {
			return err
		}
	}
	if only != nil {
		return nil
	}
	s.CoveredAt = facts.now
	return f.forget(ctx, facts)
}

// facts are what coverage is judged by.
type facts struct {
	now, began time.Time
	was        map[key]org.Coverage
	seen       map[key]map[string]time.Time
	first      map[string]time.Time
	feeds      []org.Feed
}

func (f *Follower) facts(ctx context.Context, s *Status) (*facts, error) {
	now := f.cfg.Clock.Now().UTC().Truncate(time.Microsecond)
	if s.Began.IsZero() {
		s.Began = now
	}
	x := &facts{now: now, began: s.Began, was: map[key]org.Coverage{}, seen: map[key]map[string]time.Time{}, first: map[string]time.Time{}, feeds: f.cfg.Feeds()}
	all, err := f.cfg.Store.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		x.was[key{c.Account, c.Region}] = c
	}
	sightings, err := f.cfg.Store.Sightings(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, one := range sightings {
		k := key{one.Account, one.Region}
		if x.seen[k] == nil {
			x.seen[k] = map[string]time.Time{}
		}
		x.seen[k][one.Source] = one.At
	}
	members, err := f.cfg.Store.Members(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range members {
		x.first[m.ID] = m.FirstSeen
	}
	return x, nil
}

// tries takes the member role of each of accounts, some at once.
func (f *Follower) tries(ctx context.Context, accounts []org.Account) []org.Attempt {
	out := make([]org.Attempt, len(accounts))
	var all sync.WaitGroup
	turns := make(chan struct{}, reachers)
	for i, a := range accounts {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			out[i] = f.try(ctx, a)
		})
	}
	all.Wait()
	return out
}

// try takes the member role of one account. The management account is not entered:
// nothing is changed there.
func (f *Follower) try(ctx context.Context, a org.Account) org.Attempt {
	if why := a.State.Idle(); why != "" {
		return org.Attempt{Reach: org.ReachState, Detail: why, Next: "run: parry org show " + a.ID}
	}
	if a.ID == f.cfg.Organization.ManagementAccount {
		return org.Attempt{Reach: org.ReachOK}
	}
	inside, err := f.cfg.Reach(ctx, a.ID)
	if err != nil {
		return f.failed(a.ID, err)
	}
	return org.Attempt{Reach: org.ReachOK, Regions: f.regions(ctx, inside)}
}

// regions asks an account which Regions are on in it, where one is to be covered that
// may be off.
func (f *Follower) regions(ctx context.Context, inside Inside) *org.Regions {
	if !slices.ContainsFunc(f.cfg.Regions, func(r string) bool { return !org.AlwaysOn(r) }) {
		return nil
	}
	on, err := inside.Regions(ctx)
	if err == nil {
		return &org.Regions{On: on}
	}
	var api *apimodel.APIError
	if fault.Is(err, fault.Denied) || errors.As(err, &api) && !api.Throttled && (api.HTTPStatus == http.StatusForbidden || api.HTTPStatus == http.StatusUnauthorized) {
		return &org.Regions{Refused: err.Error()}
	}
	return &org.Regions{}
}

// failed says what a refusal means. The words are those of AWS's page on access denied
// messages; a role that is missing and one that does not trust its caller are answered
// alike.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func (f *Follower) failed(account string, err error) org.Attempt {
	role := f.cfg.Organization.MemberRole
	var api *apimodel.APIError
	if !errors.As(err, &api) || api.Throttled || api.HTTPStatus == 0 || api.HTTPStatus >= 500 {
		return org.Attempt{Reach: org.ReachUnknown, Detail: err.Error(), Next: fault.HintOf(err)}
	}
	says := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(api.Message, w) })
	}
	switch {
	case api.Code == "RegionDisabledException":
		return org.Attempt{Reach: org.ReachUnknown, Detail: api.Message, Next: "turn STS on for the home region in the account"}
	case says("service control policy", "resource control policy"):
		return org.Attempt{Reach: org.ReachPolicy, Detail: api.Message, Next: "exempt " + role + " from the policy, or leave the account out"}
	case says("identity-based policy", "permissions boundary", "session policy"):
		return org.Attempt{Reach: org.ReachOwn, Detail: api.Message, Next: "let Parry's principal do sts:AssumeRole, sts:SetSourceIdentity and sts:TagSession on arn:*:iam::" + account + ":role/" + role}
	}
	return org.Attempt{
		Reach: org.ReachRole, Detail: api.Message,
		Next: "make the role " + role + " in account " + account + " by the StackSet of the member roles, with Parry's principal and the external id in its trust policy",
	}
}

// judge stores how the regions of a batch of accounts are covered, with an event for
// each account that is lost or restored.
func (f *Follower) judge(ctx context.Context, x *facts, accounts []org.Account, tries []org.Attempt) error {
	var rows []org.Coverage
	var eff store.Effects
	for i, a := range accounts {
		lost, restored := []org.Coverage{}, []org.Coverage{}
		for _, region := range f.cfg.Regions {
			k := key{a.ID, region}
			was := x.was[k]
			first := x.first[a.ID]
			if first.Before(x.began) {
				first = x.began
			}
			next := org.Judge(was, a, region, tries[i], x.feeds, func(source string) time.Time { return x.seen[k][source] }, first, x.now)
			rows = append(rows, next)
			switch {
			case next.State == org.Lost && was.State != org.Lost:
				lost = append(lost, next)
			case was.State == org.Lost && next.State != org.Lost:
				restored = append(restored, next)
			}
		}
		for kind, list := range map[string][]org.Coverage{pattern.CoverageLost: lost, pattern.CoverageRestored: restored} {
			if len(list) == 0 {
				continue
			}
			message, audit, err := f.tell(kind, a, list)
			if err != nil {
				return err
			}
			eff.Outbox, eff.Audit = append(eff.Outbox, message), append(eff.Audit, audit)
		}
	}
	eff.Outbox = store.Bundle(eff.Outbox)
	return f.cfg.Store.PutCoverage(ctx, rows, eff)
}

// tell gives the event of an account whose regions are lost or restored, and its
// audit entry.
func (f *Follower) tell(kind string, a org.Account, list []org.Coverage) (store.Message, store.AuditRecord, error) {
	c := list[0]
	detail := CoverageEvent{Account: a.ID, Name: a.Name, State: c.State, Reason: c.Reason, Detail: c.Detail, Next: c.Next, Since: c.Since}
	for _, one := range list {
		detail.Regions = append(detail.Regions, one.Region)
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Message{}, store.AuditRecord{}, err
	}
	action := "organization.coverage.lost"
	if kind == pattern.CoverageRestored {
		action = "organization.coverage.restored"
	}
	message, err := f.event(kind, a.ID, string(c.Reason), c.Since, raw)
	return message, store.AuditRecord{At: c.Since, Actor: actor, Action: action, Object: a.ID, Detail: raw}, err
}

// forget drops the coverage of accounts that have left, and of regions that are asked
// after no more.
func (f *Follower) forget(ctx context.Context, x *facts) error {
	var gone []org.Coverage
	for k, c := range x.was {
		a, ok := f.cfg.Live.Account(k.account)
		if !ok || a.State == org.Left || !slices.Contains(f.cfg.Regions, k.region) {
			gone = append(gone, c)
		}
	}
	return f.cfg.Store.DropCoverage(ctx, gone)
}
