package triage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

const low = `"Severity":{"Label":"LOW"}`

// TestAThreatRaisesWhatIsOnTheResource follows a weakness while a threat on the same
// resource comes and goes.
func TestAThreatRaisesWhatIsOnTheResource(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.put("hub", true, epoch(), asff("weak", 1, low))
	s.drain(t)
	if got := s.store.record(t, "weak").Priority; got != 1 {
		t.Fatalf("priority %d before the threat", got)
	}
	rank := func(want int) {
		t.Helper()
		asked := s.store.topic(triage.TopicRank)
		if len(asked) != want {
			t.Fatalf("%d requests to rank, want %d", len(asked), want)
		}
		if err := s.HandleRank(t.Context(), asked[want-1].Payload); err != nil {
			t.Fatal(err)
		}
	}
	s.store.put("hub", true, epoch(), asff("threat", 1, low, `"Types":["TTPs/Initial Access"]`))
	s.drain(t)
	rank(1)
	if weak, threat := s.store.record(t, "weak"), s.store.record(t, "threat"); weak.Priority != 21 || threat.Priority != 1 || !threat.Threat {
		t.Errorf("priority %d with the threat, the threat itself %d", weak.Priority, threat.Priority)
	}
	// What comes now is ranked with the threat at once.
	s.store.put("hub", true, epoch(), asff("later", 1, low))
	s.drain(t)
	if got := s.store.record(t, "later").Priority; got != 21 {
		t.Errorf("priority %d of a finding that comes after the threat", got)
	}
	s.store.put("hub", true, epoch(), asff("threat", 2, low, `"Types":["TTPs/Initial Access"],"RecordState":"ARCHIVED"`))
	s.drain(t)
	rank(2)
	if got := s.store.record(t, "weak").Priority; got != 1 {
		t.Errorf("priority %d after the threat", got)
	}
	for _, bad := range []string{`{}`, `[]`, `x`} {
		if err := s.HandleRank(t.Context(), json.RawMessage(bad)); !fault.IsTerminal(err) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestOverdueFindingsAreToldOnce lets a deadline pass.
func TestOverdueFindingsAreToldOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.put("hub", true, epoch(), asff("late", 1), asff("f1", 1, low), asff("f2", 1, `"Severity":{"Label":"INFORMATIONAL"}`))
	s.drain(t)
	f1 := s.store.record(t, "f1")
	if f1.DueAt.IsZero() || f1.Overdue {
		t.Fatalf("due %s, overdue %v", f1.DueAt, f1.Overdue)
	}
	mark := func(want int) {
		t.Helper()
		if n, err := s.MarkOverdue(t.Context()); err != nil || n != want {
			t.Errorf("%d marked, want %d: %v", n, want, err)
		}
	}
	mark(1) // it came after its deadline, and is told of like others
	if !s.store.record(t, "late").Overdue {
		t.Error("a finding that came after its deadline is not overdue")
	}
	s.store.put("hub", true, epoch(), asff("late", 2))
	s.drain(t)
	mark(0) // a report of what is overdue tells nothing anew
	s.clock.Advance(f1.DueAt.Sub(s.clock.Now()))
	before := len(s.store.topic(store.TopicEvent))
	mark(1)
	mark(0)
	told := s.store.topic(store.TopicEvent)[before:]
	if got := s.store.record(t, "f1"); !got.Overdue || got.Priority != 11 || got.Rev != f1.Rev {
		t.Errorf("%+v", got)
	}
	var event struct {
		pattern.Envelope
		Detail struct {
			Priority int
			DueAt    time.Time
			Findings []struct{ Id string } //nolint:revive // AWS's name
		} `json:"detail"`
	}
	if len(told) != 1 {
		t.Fatalf("%d events", len(told))
	}
	if err := json.Unmarshal(told[0].Payload, &event); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(event.DetailType, event.Source, event.Detail.Priority, len(event.Detail.Findings), event.Detail.DueAt.Equal(f1.DueAt)); got != "Parry Finding Overdueparry11 1 true" {
		t.Error(got)
	}
}

// paged gives the pages of a long list of findings, one finding each.
type paged struct {
	*fake
	pages   int
	asked   []string
	queries []store.FindingQuery
}

func (p *paged) QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error) {
	p.asked, p.queries = append(p.asked, q.Cursor), append(p.queries, q)
	page, err := p.fake.QueryFindings(ctx, q)
	if len(p.asked) < p.pages {
		page.Next = fmt.Sprint(len(p.asked))
	}
	return page, err
}

// TestAnAccountThatMovesIsRankedAnew: in parts, each a message of its own, by where the
// account is then.
func TestAnAccountThatMovesIsRankedAnew(t *testing.T) {
	t.Parallel()
	account := org.Account{ID: "111111111111", Unit: "dev"}
	scorer, err := triage.NewScorer(triage.Priority{Assets: []triage.Asset{{Name: "production", Units: []string{"prod"}, Points: 30}}}, func(string) (org.Account, bool) { return account, true })
	if err != nil {
		t.Fatal(err)
	}
	f := &paged{fake: newFake(), pages: 45}
	tr, err := triage.New(triage.Config{Store: f, Scorer: scorer, Clock: service.NewFixedClock(epoch())})
	if err != nil {
		t.Fatal(err)
	}
	f.put("hub", true, epoch(), asff("one", 1, low))
	if _, err := tr.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	handle := func(want, parts int) {
		t.Helper()
		m, err := triage.RankAccount(account.ID, "m1", epoch())
		if err != nil || m.Topic != triage.TopicRank || !m.NotBefore.Equal(epoch()) {
			t.Fatalf("%+v %v", m, err)
		}
		f.asked = nil
		ids := map[string]bool{}
		for n := 1; ; n++ {
			ids[m.ID] = true
			before := len(f.topic(triage.TopicRank))
			if err := tr.HandleRank(t.Context(), m.Payload); err != nil {
				t.Fatal(err)
			}
			rest := f.topic(triage.TopicRank)
			if len(rest) == before {
				if n != parts || len(ids) != parts {
					t.Errorf("%d parts, %d ids, want %d", n, len(ids), parts)
				}
				break
			}
			m = rest[len(rest)-1]
		}
		if got := f.record(t, "one").Priority; got != want {
			t.Errorf("priority %d, want %d", got, want)
		}
	}
	account.Unit = "prod/payments"
	handle(31, 3) // 45 pages, 20 in a message
	if len(f.asked) != 45 || f.asked[20] != "20" || f.asked[44] != "44" || f.queries[0].Accounts[0] != account.ID {
		t.Errorf("asked at %v", f.asked)
	}
	account.State = org.Suspended
	handle(0, 3)
	if r := f.record(t, "one"); !r.DueAt.IsZero() {
		t.Errorf("due %s in an account that is suspended", r.DueAt)
	}
	score, err := tr.Explain(t.Context(), f.record(t, "one"))
	if err != nil || len(score.Reasons) != 1 || score.Reasons[0].Text != "the account cannot be worked in: AWS Organizations has it as SUSPENDED" {
		t.Errorf("%+v %v", score, err)
	}
	for _, bad := range []string{`{"resource":"a","account":"b"}`} {
		if err := tr.HandleRank(t.Context(), json.RawMessage(bad)); !fault.IsTerminal(err) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
