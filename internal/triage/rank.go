package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// TopicRank is the outbox topic of resources on which a threat came or went, and of
// accounts that moved, were tagged or changed their state.
// HandleRank handles it.
const TopicRank = "rank"

const (
	// rankPage is how many findings are ranked in one transaction, rankPages how many
	// such pages one resource or one sweep takes at most.
	rankPage  = 500
	rankPages = 20
)

// rankRequest is the payload of topic rank.
type rankRequest struct {
	Resource string `json:"resource,omitempty"`
	// Account asks for all active findings of an account, from Cursor on; Mark tells
	// one occasion from another.
	Account string `json:"account,omitempty"`
	Mark    string `json:"mark,omitempty"`
	Cursor  string `json:"cursor,omitempty"`
	Part    int    `json:"part,omitempty"`
}

// RankAccount asks for the findings of an account to be ranked anew, once for each
// mark, at or after notBefore.
func RankAccount(account, mark string, notBefore time.Time) (store.Message, error) {
	return rankRequest{Account: account, Mark: mark}.message(notBefore)
}

func (r rankRequest) message(notBefore time.Time) (store.Message, error) {
	payload, err := json.Marshal(r)
	return store.Message{ID: fmt.Sprintf("%s-%s-%s-%d", TopicRank, r.Account, r.Mark, r.Part), Topic: TopicRank, Payload: payload, NotBefore: notBefore}, err
}

// resources gives the first resources of the batch's findings.
func (b *batch) resources() []string {
	var out []string
	for _, s := range b.open {
		if r := s.resource(); r != "" && len(s.versions) > 0 {
			out = append(out, r)
		}
	}
	return out
}

func (s *subject) resource() string { return firstResource(s.doc) }

func firstResource(f finding.Finding) string {
	id, _ := f.FirstResource()
	return id
}

// rank gives record the priority that doc has.
func (b *batch) rank(record store.FindingRecord, doc finding.Finding) store.FindingRecord {
	before := record.Overdue
	record = ranked(record, b.scorer.Score(doc, b.threatened[record.ResourceID], b.now))
	record.Threat = IsThreat(doc)
	// That a deadline has passed is marked where it is told of: MarkOverdue finds what
	// is due and not marked, also a finding that comes too late already.
	record.Overdue = record.Overdue && before
	return record
}

func ranked(record store.FindingRecord, s Score) store.FindingRecord {
	record.Priority, record.DueAt, record.Overdue = s.Value, s.DueAt, s.Overdue
	return record
}

// ranks asks for the other findings on a resource to be ranked anew where a threat
// came or went.
func (b *batch) ranks(ids []finding.ID) ([]store.Message, error) {
	var out []store.Message
	for _, id := range ids {
		s := b.open[id]
		resource := s.resource()
		if resource == "" || s.record.Threat == IsThreat(s.doc) {
			continue
		}
		payload, err := json.Marshal(rankRequest{Resource: resource})
		if err != nil {
			return nil, fmt.Errorf("rank %s anew: %w", resource, err)
		}
		out = append(out, store.Message{ID: TopicRank + "-" + eventID(id, s.record.Rev+1, 0), Topic: TopicRank, Payload: payload})
	}
	return out, nil
}

// HandleRank handles topic rank: it ranks the active findings on a resource, the
// latest 10,000 of them.
func (t *Triage) HandleRank(ctx context.Context, payload json.RawMessage) error {
	const op = "rank findings of a resource"
	var r rankRequest
	if err := json.Unmarshal(payload, &r); err != nil || (r.Resource == "") == (r.Account == "") {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload names no resource or account: %v", err))
	}
	if r.Account != "" {
		return t.rankAccount(ctx, r)
	}
	threatened, err := t.cfg.Store.Threatened(ctx, []string{r.Resource})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	q := store.FindingQuery{
		Accounts: store.AllAccounts(), Limit: rankPage,
		Where: []store.Condition{
			{Column: "resource_id", Op: store.OpEqual, Values: []string{r.Resource}},
			{Column: "record_state", Op: store.OpEqual, Values: []string{string(finding.Active)}},
		},
	}
	for range rankPages {
		page, err := t.cfg.Store.QueryFindings(ctx, q)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if _, err := t.rerank(ctx, page.Records, threatened); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
	t.log.WarnContext(ctx, "more findings on a resource than are ranked anew at once", "resource", r.Resource, "limit", rankPage*rankPages)
	return nil
}

// rankAccount ranks up to 10,000 active findings of an account, and asks for the rest in
// a message of its own: a process that dies goes on at the last of these.
func (t *Triage) rankAccount(ctx context.Context, r rankRequest) error {
	op := "rank findings of account " + r.Account
	q := store.FindingQuery{
		Accounts: []string{r.Account}, Limit: rankPage, Cursor: r.Cursor,
		Where: []store.Condition{{Column: "record_state", Op: store.OpEqual, Values: []string{string(finding.Active)}}},
	}
	for range rankPages {
		page, err := t.cfg.Store.QueryFindings(ctx, q)
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		threatened, err := t.cfg.Store.Threatened(ctx, resourcesOf(page.Records))
		if err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if _, err := t.rerank(ctx, page.Records, threatened); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
	r.Cursor, r.Part = q.Cursor, r.Part+1
	rest, err := r.message(time.Time{})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return t.cfg.Store.RankFindings(ctx, nil, store.Effects{Outbox: []store.Message{rest}})
}

func resourcesOf(records []store.FindingRecord) []string {
	out := make([]string, len(records))
	for i, r := range records {
		out[i] = r.ResourceID
	}
	return out
}

// Explain gives the priority that a stored finding has now, with its reasons.
func (t *Triage) Explain(ctx context.Context, r store.FindingRecord) (Score, error) {
	doc, err := finding.Reopen(r.Doc)
	if err != nil {
		return Score{}, fmt.Errorf("read stored finding %s: %w", r.ID, err)
	}
	threatened, err := t.cfg.Store.Threatened(ctx, []string{r.ResourceID})
	if err != nil {
		return Score{}, err
	}
	return t.cfg.Scorer.Score(doc, threatened[r.ResourceID], t.cfg.Clock.Now()), nil
}

// MarkOverdue ranks findings whose deadline has passed, and tells of each in an event.
// It takes at most 10,000 and gives how many there were.
func (t *Triage) MarkOverdue(ctx context.Context) (int, error) {
	const op = "mark overdue findings"
	total := 0
	for range rankPages {
		ids, err := t.cfg.Store.DueFindings(ctx, t.cfg.Clock.Now(), rankPage)
		if err != nil || len(ids) == 0 {
			return total, err
		}
		records, err := t.cfg.Store.Findings(ctx, ids)
		if err != nil {
			return total, fmt.Errorf("%s: %w", op, err)
		}
		threatened, err := t.cfg.Store.Threatened(ctx, resourcesOf(records))
		if err != nil {
			return total, fmt.Errorf("%s: %w", op, err)
		}
		n, err := t.rerank(ctx, records, threatened)
		if err != nil || n == 0 {
			return total, err // none changed: they were written meanwhile, the next round sees
		}
		if total += n; len(ids) < rankPage {
			break
		}
	}
	return total, nil
}

// rerank ranks records and writes those that change, with an event for each that
// becomes overdue.
func (t *Triage) rerank(ctx context.Context, records []store.FindingRecord, threatened map[string]bool) (int, error) {
	now := t.cfg.Clock.Now()
	var changed []store.FindingRecord
	var events []store.Message
	for _, r := range records {
		doc, err := finding.Reopen(r.Doc)
		if err != nil {
			return 0, fmt.Errorf("read stored finding %s: %w", r.ID, err)
		}
		score := t.cfg.Scorer.Score(doc, threatened[r.ResourceID], now)
		next := ranked(r, score)
		if next.Priority == r.Priority && next.Overdue == r.Overdue && next.DueAt.Equal(r.DueAt) {
			continue
		}
		changed = append(changed, next)
		if next.Overdue && !r.Overdue {
			event, err := overdue(next, score, now)
			if err != nil {
				return 0, err
			}
			events = append(events, event)
		}
	}
	if len(changed) == 0 {
		return 0, nil
	}
	return len(changed), t.cfg.Store.RankFindings(ctx, changed, store.Effects{Outbox: store.Bundle(events)})
}

// overdue gives the event of a finding whose deadline has passed. Its id is a function
// of finding and deadline.
func overdue(r store.FindingRecord, s Score, now time.Time) (store.Message, error) {
	detail, err := json.Marshal(struct {
		Priority int               `json:"priority"`
		Reasons  []Reason          `json:"reasons"`
		DueAt    time.Time         `json:"dueAt"`
		Findings []json.RawMessage `json:"findings"`
	}{s.Value, slices.Clip(s.Reasons), s.DueAt, []json.RawMessage{r.Doc}})
	if err != nil {
		return store.Message{}, fmt.Errorf("tell that %s is overdue: %w", r.ID, err)
	}
	id := eventID(r.ID, s.DueAt.Unix(), -1)
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: pattern.FindingOverdue, Source: pattern.SourceParry, Account: r.Account, Region: r.Region,
		Time: now.UTC().Truncate(time.Second), Resources: []string{r.ID.String()}, Detail: detail,
	})
	if err != nil {
		return store.Message{}, fmt.Errorf("tell that %s is overdue: %w", r.ID, err)
	}
	return store.Message{ID: "overdue-" + id, Topic: store.TopicEvent, Payload: envelope}, nil
}
