package notify_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
)

func TestTestMessage(t *testing.T) {
	t.Parallel()
	a, b := &fakeSender{}, &fakeSender{err: fault.Terminal(fault.Errorf(fault.Denied, "post", "answered\n404").WithHint("look at the url"))}
	s, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"a": a, "b": b}, Kinds: map[string]string{"a": "email", "b": "slack"}, Clock: service.NewFixedClock(at)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]notify.Report{{Name: "a", Kind: "email"}, {Name: "b", Kind: "slack"}}, s.Reports()); diff != "" {
		t.Error(diff)
	}
	said := map[string]string{"queued": "remediation queued", "succeeded": "succeeded", "failed": "failed", "approval": "awaiting approval", "group": "5 remediations awaiting approval: S3.8 in 111122223333"}
	for _, event := range notify.TestEvents() {
		got, err := s.Test(t.Context(), "a", event, "alice\x1b[2J")
		if err != nil || got.Problem != "" || got.Answer != "taken" {
			t.Fatalf("%s: %+v, %v", event, got, err)
		}
		m := a.sent[len(a.sent)-1]
		check(t, m)
		if !m.Test || m.ID != got.Notification || !strings.HasPrefix(m.Subject, "[TEST] ") || !strings.Contains(m.Subject, said[event]) || !strings.HasPrefix(m.Body, "This is a test of channel a, asked for by alice [2J.") || m.Content.Notice == "" {
			t.Errorf("%s: %+v", event, m)
		}
		// No rule that waits for a remediation's event may take it for one.
		if m.Event.DetailType == bus.RemediationChanged || !json.Valid(m.Event.Detail) {
			t.Errorf("%s: event %+v", event, m.Event)
		}
	}
	if got, err := s.Test(t.Context(), "b", "failed", "alice"); err != nil || got.Answer != "" && got.Problem == "" || !strings.Contains(got.Problem, "answered 404") || got.Hint != "look at the url" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Test(t.Context(), "c", "failed", "alice"); !fault.Is(err, fault.NotFound) {
		t.Errorf("an unknown channel gives %v", err)
	}
	if _, err := s.Test(t.Context(), "a", "party", "alice"); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), "approval") {
		t.Errorf("an unknown event gives %v", err)
	}
	b.err = fault.Transient(errors.New("away"), time.Second)
	n := notify.Notification{Channel: "b", Event: change(remediation.Verified, nil)}
	if err := s.Handle(t.Context(), payload(t, n)); err == nil {
		t.Error("no error")
	}
	r := s.Reports()
	if r[0].Sent != 5 || r[0].Failed != 0 || r[0].Answer != "taken" || !r[0].SentAt.Equal(at) || r[1].Sent != 0 || r[1].Failed != 2 || r[1].Problem != "away" || !r[1].FailedAt.Equal(at) {
		t.Errorf("%+v", r)
	}
}

// One remediation is one thread, with its undo in it; what is not an id of ours is none.
func TestThread(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"rem-0123": "rem-0123", "x\r\nBcc: y": "", "a b": "", "": "", "<x>": ""} {
		m, _, err := notify.Render(change(remediation.Verified, func(c *remediation.StateChange) { c.Remediation.ID = remediation.ID(id) }), "", "")
		if err != nil || m.Thread != want {
			t.Errorf("id %q gives thread %q, %v", id, m.Thread, err)
		}
	}
	m, _, err := notify.Render(change(remediation.Verified, func(c *remediation.StateChange) {
		c.Remediation.Kind, c.Remediation.UndoOf = remediation.KindUndo, "rem-first"
	}), "", "")
	if err != nil || m.Thread != "rem-first" {
		t.Errorf("an undo has the thread %q, %v", m.Thread, err)
	}
}
