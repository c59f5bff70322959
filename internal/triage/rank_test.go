package triage_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
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
