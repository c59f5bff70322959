package route_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// archived is an archive in memory.
type archived []json.RawMessage

func (a archived) ArchivedEvents(_ context.Context, archive string, from, to, after time.Time, afterSeq int64, n int) (out []store.BusEvent, err error) {
	if archive != "findings" {
		return nil, fault.Errorf(fault.NotFound, "read", "there is no archive %q", archive)
	}
	for i, raw := range a {
		var e bus.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			e.Time = from
		}
		if seq := int64(i + 1); !e.Time.Before(from) && e.Time.Before(to) && seq > afterSeq && len(out) < n {
			out = append(out, store.BusEvent{Seq: seq, Bus: "default", At: e.Time, Doc: raw})
		}
	}
	return out, nil
}

func days(n int) route.BacktestRequest {
	return route.BacktestRequest{Archive: "findings", From: at.AddDate(0, 0, -n), To: at.AddDate(0, 0, 1), Scope: []string{"*"}}
}

func TestABacktestTellsWhatARuleWouldHaveDone(t *testing.T) {
	t.Parallel()
	var events archived
	for i := range 450 {
		events = append(events, event(t, nil, report{id: fmt.Sprintf("f%d", i%300)}))
	}
	events = append(events,
		event(t, nil, report{id: "g1", control: "S3.1"}), // another control
		event(t, nil, report{id: "g2"}, report{id: "g3", control: "S3.1"}),
		event(t, nil, report{id: "g4", record: "ARCHIVED"}), event(t, nil, report{id: "g5", workflow: "SUPPRESSED"}), event(t, nil, report{id: "g6", compliance: "PASSED"}),
		event(t, func(e *bus.Event) { e.Parry = &pattern.Cause{By: "parry"} }, report{id: "g7"}),
		event(t, func(e *bus.Event) { e.Account = "444455556666" }, report{id: "g8"}),
		json.RawMessage(`{"version":`),
	)
	s := stage(t, &fakeStore{})
	q := days(1)
	q.Pattern, q.Playbooks = s38.Pattern, []string{"S3.8"}
	got, err := s.Backtest(t.Context(), events, q)
	if err != nil {
		t.Fatal(err)
	}
	if got.Scanned != 458 || got.Matched != 456 || !got.Complete || got.Unjudged != 1 || got.Plans != 302 || len(got.Planned) != 200 || len(got.Events) != 20 {
		t.Errorf("%d scanned, %d matched, complete %v, %d unjudged, %d plans, %d named, %d events", got.Scanned, got.Matched, got.Complete, got.Unjudged, got.Plans, len(got.Planned), len(got.Events))
	}
	if diff := cmp.Diff(map[string]int{"111122223333": 455, "444455556666": 1}, got.Accounts); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{
		"the finding is archived": 1, "the finding's workflow is SUPPRESSED": 1, "the check has passed": 1, "the event was replayed or caused by Parry": 1,
	}, got.NotPlans); diff != "" {
		t.Errorf("not planned (-want +got):\n%s", diff)
	}
	if p := got.Planned[0]; p.Finding.Id != "f0" || p.Playbook != "S3.8" || p.Account != "111122223333" || p.Title != "bucket is public" || p.Control != "S3.8" {
		t.Errorf("planned %+v", p)
	}
	q.Scope = []string{"444455556666"}
	if got, err = s.Backtest(t.Context(), events, q); err != nil || got.Matched != 1 || got.Plans != 1 {
		t.Errorf("of one account: %d matched, %d plans, %v", got.Matched, got.Plans, err)
	}
	q.Scope, q.Most = []string{"*"}, 100
	if got, err = s.Backtest(t.Context(), events, q); err != nil || got.Scanned != 100 || got.Complete || got.Until.IsZero() {
		t.Errorf("the first 100: %d scanned, complete %v until %s, %v", got.Scanned, got.Complete, got.Until, err)
	}
}

func TestABacktestOfAnAutomationRule(t *testing.T) {
	t.Parallel()
	r, err := rule.Parse([]byte(`{"RuleName":"x","RuleOrder":1,"Description":"d","RuleStatus":"DISABLED",
		"Criteria":{"ComplianceSecurityControlId":[{"Value":"S3.8","Comparison":"EQUALS"}]},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Workflow":{"Status":"SUPPRESSED"}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	q := days(1)
	q.Rule = &r
	got, err := stage(t, &fakeStore{}).Backtest(t.Context(), archived{event(t, nil, report{}), event(t, nil, report{workflow: "SUPPRESSED"}), event(t, nil, report{control: "S3.1"})}, q)
	if err != nil || got.Matched != 2 || got.Changed != 1 || got.Fields["Workflow.Status"]+got.Fields["Workflow"] != 1 || got.Plans != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestABacktestIsRefused(t *testing.T) {
	t.Parallel()
	s := stage(t, &fakeStore{})
	for name, change := range map[string]func(*route.BacktestRequest){
		"nothing to test":   func(q *route.BacktestRequest) { q.Pattern = nil },
		"a broken pattern":  func(q *route.BacktestRequest) { q.Pattern = []byte(`{"a":1}`) },
		"an empty span":     func(q *route.BacktestRequest) { q.To = q.From },
		"an archive amiss":  func(q *route.BacktestRequest) { q.Archive = "other" },
		"both at once":      func(q *route.BacktestRequest) { q.Rule = &rule.Rule{} },
		"an unknown member": func(q *route.BacktestRequest) { q.Pattern = []byte(`{"a":[{"no":1}]}`) },
	} {
		q := days(1)
		q.Pattern = s38.Pattern
		change(&q)
		if _, err := s.Backtest(t.Context(), archived{}, q); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWhoWatchesSeesEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCounter(t)
		c.Use([]string{"default", "orders"}, nil, nil)
		p, err := pattern.Parse([]byte(ofShop))
		if err != nil {
			t.Fatal(err)
		}
		all, stopAll, err := c.Tail("", nil)
		if err != nil {
			t.Fatal(err)
		}
		shop, stopShop, err := c.Tail("default", p)
		if err != nil {
			t.Fatal(err)
		}
		c.put(t, "default", entry("shop", `{}`), entry("bank", `{}`))
		c.put(t, "orders", entry("shop", `{}`))
		if len(all) != 3 || len(shop) != 1 {
			t.Errorf("%d and %d seen", len(all), len(shop))
		}
		if s := <-all; s.Bus != "default" || s.Missed != 0 || len(s.Text) == 0 {
			t.Errorf("seen %+v", s)
		}
		for range 300 { // nobody reads: the bus goes on
			c.put(t, "default", entry("bank", `{}`))
		}
		for range 256 {
			<-all
		}
		c.put(t, "default", entry("bank", `{}`))
		if s := <-all; s.Missed != 46 {
			t.Errorf("%d missed", s.Missed)
		}
		stopAll()
		stopShop()
		for range 32 {
			if _, _, err := c.Tail("", nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := c.Tail("", nil); !fault.Is(err, fault.Exhausted) {
			t.Errorf("the 33rd: %v", err)
		}
	})
}
