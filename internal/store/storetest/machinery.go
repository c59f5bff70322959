package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func machineTests() []conformance {
	return []conformance{
		{"timer/comes, is replaced and deleted", timers},
		{"stop switch/is off at first", stopSwitch},
		{"store/migrates once for all", migrates},
		{"store/errors say what they mean", failures},
	}
}

func timers(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 4 {
		ok(t, s.PutTimer(ctx, store.Timer{ID: fmt.Sprint(i), At: Start().Add(time.Duration(4-i) * time.Minute), Payload: []byte{0, byte(i)}}))
	}
	ok(t, s.PutTimer(ctx, store.Timer{ID: "0", At: Start().Add(time.Hour)}))
	due := func(after time.Duration, n int) string {
		var got []string
		for _, d := range must(s.DueTimers(ctx, Start().Add(after), n))(t) {
			got = append(got, d.ID)
		}
		return fmt.Sprint(got)
	}
	same(t, "[]", due(time.Minute-time.Microsecond, 9))
	same(t, "[3 2]", due(2*time.Minute, 9))
	same(t, "[3]", due(2*time.Hour, 1))
	ok(t, s.DeleteTimer(ctx, "3"))
	ok(t, s.DeleteTimer(ctx, "3"))
	same(t, "[2 1 0]", due(time.Hour, 9))
	got := must(s.DueTimers(ctx, Start().Add(2*time.Minute), 1))(t)
	same(t, store.Timer{ID: "2", At: Start().Add(2 * time.Minute), Payload: []byte{0, 2}}, got[0])
	code(t, s.PutTimer(ctx, store.Timer{}), fault.Invalid)
}

func stopSwitch(t *testing.T, s *store.Store) {
	ctx := t.Context()
	read := func() string {
		on, reason, err := s.StopSwitch(ctx)
		ok(t, err)
		return fmt.Sprintf("%v %s", on, reason)
	}
	same(t, "false ", read())
	ok(t, s.SetStopSwitch(ctx, true, "incident 7", event("on")))
	same(t, "true incident 7", read())
	ok(t, s.SetStopSwitch(ctx, false, "", event("off")))
	same(t, "false ", read())
	same(t, []string{"on", "off"}, claimIDs(t, s, store.Execution))
	// What cannot be read counts as on.
	gone, cancel := context.WithCancel(ctx)
	cancel()
	on, _, err := s.StopSwitch(gone)
	if !on || err == nil {
		t.Errorf("unreadable: %v %v, want on and an error", on, err)
	}
}

func migrates(t *testing.T, s *store.Store) {
	fill(t, s, 1)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	same(t, 1, len(readAll(t, s, 0)))
	ok(t, s.Ping(t.Context()))
	if (s.ExecutionDB() == nil) != (s.ExecutionURL() != "") {
		t.Error("the durable engine gets neither a pool nor a URL, or both")
	}
}

func failures(t *testing.T, s *store.Store) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Findings(gone, ids(1))
	code(t, err, fault.Unavailable)
	code(t, s.CommitFindings(gone, []store.FindingWrite{Write(1)}, nil, store.Effects{}), fault.Unavailable)
	code(t, s.AppendInbox(gone, []store.InboxItem{item(1)}), fault.Unavailable)
	if seen, err := s.SeenSignature(gone, "a", Start()); !seen || err == nil {
		t.Errorf("an unreadable signature: %v %v, want seen and an error", seen, err)
	}
	ok(t, s.Close())
	ok(t, s.Close())
	if _, err := s.Findings(t.Context(), ids(1)); err == nil {
		t.Error("a closed store answers")
	}
}
