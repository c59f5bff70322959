package triage_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is the store as its contract says, in memory.
type fake struct {
	mu      sync.Mutex
	seq     int64
	inbox   []store.InboxRow
	records map[finding.ID]store.FindingRecord
	history map[finding.ID][]store.HistoryEntry
	outbox  []store.Message
	audit   []store.AuditRecord
	commits int
	// before runs ahead of each commit, without the lock; an error is the answer.
	before func(w []store.FindingWrite, done []int64) error
}

func newFake() *fake {
	return &fake{records: map[finding.ID]store.FindingRecord{}, history: map[finding.ID][]store.HistoryEntry{}}
}

func (f *fake) put(source string, trusted bool, at time.Time, docs ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range docs {
		f.seq++
		f.inbox = append(f.inbox, store.InboxRow{Seq: f.seq, InboxItem: store.InboxItem{
			Source: source, Trusted: trusted, Finding: json.RawMessage(d), ReceivedAt: at,
		}})
	}
}

func (f *fake) PeekInboxAfter(ctx context.Context, seq int64, n int) ([]store.InboxRow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := slices.DeleteFunc(slices.Clone(f.inbox), func(r store.InboxRow) bool { return r.Seq <= seq })
	return rows[:min(n, len(rows))], ctx.Err()
}

func (f *fake) Findings(_ context.Context, ids []finding.ID) ([]store.FindingRecord, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []store.FindingRecord
	for id, r := range f.records {
		if slices.Contains(ids, id) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (f *fake) Threatened(_ context.Context, resources []string) (map[string]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]bool{}
	for _, r := range f.records {
		if r.Threat && slices.Contains(resources, r.ResourceID) {
			out[r.ResourceID] = true
		}
	}
	return out, nil
}

func (f *fake) QueryFindings(context.Context, store.FindingQuery) (store.FindingPage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return store.FindingPage{Records: slices.Collect(maps.Values(f.records))}, nil
}

func (f *fake) DueFindings(_ context.Context, now time.Time, n int) ([]finding.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []finding.ID
	for _, r := range f.records {
		if !r.Overdue && !r.DueAt.IsZero() && !r.DueAt.After(now) && len(out) < n {
			out = append(out, r.ID)
		}
	}
	return out, nil
}

func (f *fake) RankFindings(_ context.Context, records []store.FindingRecord, eff store.Effects) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		if have := f.records[r.ID]; have.Rev == r.Rev {
			have.Priority, have.DueAt, have.Overdue = r.Priority, r.DueAt, r.Overdue
			f.records[r.ID] = have
		}
	}
	f.outbox = append(f.outbox, eff.Outbox...)
	return nil
}

func (f *fake) CommitFindings(_ context.Context, w []store.FindingWrite, done []int64, eff store.Effects) error {
	if f.before != nil {
		if err := f.before(w, done); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range w {
		have := f.records[one.Record.ID]
		if have.Rev != one.ExpectRev || have.Rev > 0 && have.Account != one.Record.Account {
			return store.ErrConflict
		}
	}
	for _, seq := range done {
		if !slices.ContainsFunc(f.inbox, func(r store.InboxRow) bool { return r.Seq == seq }) {
			return store.ErrConflict
		}
	}
	f.inbox = slices.DeleteFunc(f.inbox, func(r store.InboxRow) bool { return slices.Contains(done, r.Seq) })
	for _, one := range w {
		r := one.Record
		r.Rev = one.ExpectRev + 1
		f.records[r.ID] = r
		f.history[r.ID] = append(f.history[r.ID], one.History...)
	}
	for _, m := range eff.Outbox {
		if !slices.ContainsFunc(f.outbox, func(have store.Message) bool { return have.ID == m.ID }) {
			f.outbox = append(f.outbox, m)
		}
	}
	f.audit = append(f.audit, eff.Audit...)
	f.commits++
	return nil
}

// topic gives the messages of one topic, each event for itself.
func (f *fake) topic(name string) []store.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []store.Message
	for _, m := range f.outbox {
		if m.Topic == name {
			out = append(out, apart(m)...)
		}
	}
	return out
}

// apart gives the events of a message that holds many as one message each.
func apart(m store.Message) []store.Message {
	if m.Topic != store.TopicEvent || m.Payload[0] != '[' {
		return []store.Message{m}
	}
	var events []json.RawMessage
	if err := json.Unmarshal(m.Payload, &events); err != nil {
		panic(err)
	}
	var out []store.Message
	for _, raw := range events {
		var e struct{ ID string }
		if err := json.Unmarshal(raw, &e); err != nil {
			panic(err)
		}
		out = append(out, store.Message{ID: "finding-" + e.ID, Topic: m.Topic, Payload: raw})
	}
	return out
}

func (f *fake) record(t testing.TB, id string) store.FindingRecord {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.records[identity(id)]
	if !ok {
		t.Fatalf("there is no finding %s", id)
	}
	return r
}

func (f *fake) doc(t testing.TB, id string) finding.Finding {
	t.Helper()
	d, err := finding.Reopen(f.record(t, id).Doc)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// story prints the history of a finding, a line per entry.
func (f *fake) story(id string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, h := range f.history[identity(id)] {
		line := h.Source + " " + h.Identity
		if h.Created {
			line += " created"
		}
		for _, u := range h.Updates {
			line += fmt.Sprintf(" %s:%s->%s", u.UpdatedField, cmp.Or(u.OldValue, "-"), cmp.Or(u.NewValue, "-"))
		}
		out = append(out, line)
	}
	return out
}

const (
	product = "arn:aws:securityhub:eu-west-1::product/aws/securityhub"
	dev     = "111111111111"
	prod    = "222222222222"
)

func identity(id string) finding.ID { return finding.ID{ProductArn: product, Id: id} }

// asff is a finding with this Id, minute of UpdatedAt, and more members.
func asff(id string, minute int, more ...string) string {
	return fmt.Sprintf(`{"SchemaVersion":"2018-10-08","Id":%q,"ProductArn":%q,"GeneratorId":"security-control/S3.8","AwsAccountId":%q,
		"Region":"eu-west-1","ProductName":"Security Hub","Title":"bucket is public","Description":"d","CreatedAt":"2024-01-01T00:00:00Z",
		"UpdatedAt":"2024-01-01T00:%02d:00Z","Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}]%s}`,
		id, product, dev, minute, strings.Join(append([]string{""}, append(more, severity(more))...), ","))
}

// severity gives a default unless more sets one.
func severity(more []string) string {
	for _, m := range more {
		if strings.HasPrefix(m, `"Severity"`) {
			return `"Sample":false`
		}
	}
	return `"Severity":{"Label":"MEDIUM"}`
}

func ruleOf(t testing.TB, name string, order int, criteria, update string) rule.Rule {
	t.Helper()
	r, err := rule.Parse(fmt.Appendf(nil, `{"RuleName":%q,"Description":"d","RuleOrder":%d,"Criteria":%s,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":%s}]}`,
		name, order, criteria, update))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func epoch() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

type setup struct {
	*triage.Triage
	store *fake
	clock *service.FixedClock
}

func start(t testing.TB, rules ...rule.Rule) setup {
	t.Helper()
	s := setup{store: newFake(), clock: service.NewFixedClock(epoch())}
	tr, err := triage.New(triage.Config{Store: s.store, Rules: triage.FixedRules(rules...), Clock: s.clock, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s.Triage = tr
	return s
}

// give imports documents of the source "hub", trusted, and drains.
func (s setup) give(t testing.TB, docs ...string) {
	t.Helper()
	s.store.put("hub", true, s.clock.Now(), docs...)
	s.drain(t)
}

func (s setup) drain(t testing.TB) int {
	t.Helper()
	n, err := s.Drain(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var errInvalid = errors.New("the row cannot be stored")

func invalid() error { return fault.E(fault.Invalid, "check finding", errInvalid) }
