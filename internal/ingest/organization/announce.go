package organization

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// actor is who changes accounts and coverage, in the audit log.
const actor = "parry/organization"

// AccountEvent is the detail of the events of accounts.
type AccountEvent struct {
	Account      string    `json:"account"`
	Name         string    `json:"name"`
	Unit         string    `json:"unit"`
	UnitBefore   string    `json:"unitBefore,omitempty"`
	State        org.State `json:"state"`
	StateBefore  org.State `json:"stateBefore,omitempty"`
	Organization string    `json:"organization"`
	Seen         time.Time `json:"seen"`
}

// CoverageEvent is the detail of the events of coverage.
type CoverageEvent struct {
	Account string            `json:"account"`
	Name    string            `json:"name"`
	Regions []string          `json:"regions"`
	State   org.CoverageState `json:"state"`
	Reason  org.Reach         `json:"reason"`
	Detail  string            `json:"detail,omitempty"`
	Next    string            `json:"next,omitempty"`
	Since   time.Time         `json:"since"`
}

// detailType names the event of a change; "" = there is none.
func detailType(c org.Change) string {
	switch c.Kind {
	case org.HasJoined:
		return pattern.AccountJoined
	case org.HasMoved:
		return pattern.AccountMoved
	case org.HasLeft:
		return pattern.AccountLeft
	case org.HasState:
		if org.State(c.After).Idle() == "" {
			return pattern.AccountActivated
		}
		return pattern.AccountSuspended
	}
	return ""
}

// announce gives the events, the audit entries and the requests to rank of an update.
func (f *Follower) announce(s *Status, u org.Update, rank map[string]bool) (store.Effects, error) {
	var eff store.Effects
	byID := make(map[string]org.Member, len(u.Members))
	for _, m := range u.Members {
		byID[m.ID] = m
	}
	var events []store.Message
	rank = maps.Clone(rank)
	if rank == nil {
		rank = map[string]bool{}
	}
	for _, c := range u.Changes {
		m := byID[c.Account]
		detail := AccountEvent{Account: c.Account, Name: m.Name, Unit: m.Unit, State: m.State, Organization: s.Organization, Seen: c.At}
		switch c.Kind {
		case org.HasMoved:
			detail.UnitBefore = c.Before
		case org.HasState, org.HasLeft:
			detail.StateBefore = org.State(c.Before)
		}
		rank[c.Account] = rank[c.Account] || c.Kind == org.HasState || c.Kind == org.HasLeft || c.Before == string(org.Left) || f.cfg.Ranks
		raw, err := json.Marshal(detail)
		if err != nil {
			return eff, fmt.Errorf("tell of account %s: %w", c.Account, err)
		}
		eff.Audit = append(eff.Audit, store.AuditRecord{At: c.At, Actor: actor, Action: "organization.account." + string(c.Kind), Object: c.Account, Detail: raw})
		if kind := detailType(c); kind != "" {
			event, err := f.event(kind, c.Account, fmt.Sprint(m.Rev), c.At, raw)
			if err != nil {
				return eff, err
			}
			events = append(events, event)
		}
	}
	for _, m := range u.Members {
		if f.cfg.Rank == nil || !rank[m.ID] && !(f.cfg.Ranks && m.Rev == 1) {
			continue
		}
		message, err := f.cfg.Rank(m.ID, fmt.Sprint(m.Rev), f.cfg.Clock.Now().Add(rankDelay))
		if err != nil {
			return eff, err
		}
		eff.Outbox = append(eff.Outbox, message)
	}
	eff.Outbox = append(eff.Outbox, store.Bundle(events)...)
	return eff, nil
}

// event gives an event of an account, whose id is a function of the occasion.
func (f *Follower) event(kind, account, occasion string, at time.Time, detail json.RawMessage) (store.Message, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d", kind, account, occasion, at.UnixMicro()))
	id := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
	o := f.cfg.Organization
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: kind, Source: pattern.SourceParry, Account: account, Region: o.HomeRegion,
		Time: at.UTC().Truncate(time.Second), Resources: []string{"arn:" + o.Partition + ":iam::" + account + ":root"}, Detail: detail,
	})
	if err != nil {
		return store.Message{}, fmt.Errorf("tell of account %s: %w", account, err)
	}
	return store.Message{ID: "org-" + id, Topic: store.TopicEvent, Payload: envelope}, nil
}
