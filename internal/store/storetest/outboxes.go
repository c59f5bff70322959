package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func outboxTests() []conformance {
	var out []conformance
	for _, f := range []store.File{store.Findings, store.Execution} {
		for _, c := range []struct {
			name string
			run  func(*testing.T, *store.Store, store.File)
		}{
			{"is claimed, acknowledged and never repeated", outboxLife},
			{"a lease that ended can be claimed again", outboxLease},
			{"of a dead owner is released", outboxRelease},
			{"waits, retries and dies", outboxRetry},
			{"is held without growing old", outboxHeld},
			{"is claimed in order, by topic and number", outboxOrder},
			{"two owners never get one message", outboxOwners},
			{"a lost claim sends nothing", outboxLost},
			{"wakes", outboxWakes},
		} {
			out = append(out, conformance{"outbox/" + string(f) + "/" + c.name, func(t *testing.T, s *store.Store) { c.run(t, s, f) }})
		}
	}
	return append(out, conformance{"outbox/refuses", outboxRefuses})
}

func claim(t testing.TB, s *store.Store, f store.File, n int) []store.Delivery {
	t.Helper()
	return must(s.ClaimMessages(t.Context(), f, []string{store.TopicEvent, store.TopicPlan}, n, "node-1", time.Minute))(t)
}

// claimIDs claims everything of topic event and gives the ids.
func claimIDs(t testing.TB, s *store.Store, f store.File) []string {
	t.Helper()
	var out []string
	for _, d := range claim(t, s, f, 100) {
		out = append(out, d.ID)
	}
	return out
}

func outboxLife(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	ok(t, s.Enqueue(ctx, f, event("a")))
	ok(t, s.Enqueue(ctx, f, event("a"))) // dropped: the id is there
	got := claim(t, s, f, 10)
	want := []store.Delivery{{Message: store.Message{ID: "a", Topic: store.TopicEvent, Payload: json.RawMessage(`{"id":"a"}`)}, File: f, Seq: got[0].Seq, Attempts: 1, Since: Start(), Claim: 1}}
	same(t, want, got)
	same(t, 0, len(claim(t, s, f, 10)))
	ok(t, s.AckMessage(ctx, got[0]))
	ok(t, s.AckMessage(ctx, got[0]))     // again: nothing happens
	ok(t, s.Enqueue(ctx, f, event("a"))) // still dropped: delivered ids are remembered
	clock(t, s).Advance(time.Hour)
	same(t, 0, len(claimIDs(t, s, f)))
}

func outboxLease(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	ok(t, s.Enqueue(ctx, f, event("a")))
	first := claim(t, s, f, 1)
	clock(t, s).Advance(time.Minute - time.Microsecond)
	same(t, 0, len(claim(t, s, f, 1)))
	clock(t, s).Advance(time.Microsecond)
	second := must(s.ClaimMessages(ctx, f, []string{store.TopicEvent}, 1, "node-2", time.Minute))(t)
	if len(second) != 1 || second[0].Attempts != 2 || second[0].Claim <= first[0].Claim {
		t.Fatalf("claimed again: %+v", second)
	}
	ok(t, s.AckMessage(ctx, second[0]))
}

func outboxRelease(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	ok(t, s.Enqueue(ctx, f, event("a")))
	dead := claim(t, s, f, 1)
	ok(t, s.Enqueue(ctx, f, event("b")))
	same(t, 1, len(must(s.ClaimMessages(ctx, f, []string{store.TopicEvent}, 1, "node-2", time.Minute))(t)))
	same(t, int64(0), must(s.ReleaseClaims(ctx, f, nil))(t))
	same(t, int64(0), must(s.ReleaseClaims(ctx, f, []string{"node-3"}))(t))
	same(t, int64(1), must(s.ReleaseClaims(ctx, f, []string{"node-3", "node-1"}))(t))
	again := must(s.ClaimMessages(ctx, f, []string{store.TopicEvent}, 10, "node-2", time.Minute))(t)
	if len(again) != 1 || again[0].ID != "a" || again[0].Claim <= dead[0].Claim {
		t.Fatalf("claimed after the release: %+v", again)
	}
	if err := s.AckMessage(ctx, dead[0]); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the dead owner acknowledges: %v", err)
	}
	ok(t, s.AckMessage(ctx, again[0]))
	same(t, int64(1), must(s.ReleaseClaims(ctx, f, []string{"node-1", "node-2"}))(t)) // "b"; "a" is done
}

func outboxRetry(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	later := event("later")
	later.Outbox[0].NotBefore = Start().Add(time.Hour)
	ok(t, s.Enqueue(ctx, f, later))
	ok(t, s.Enqueue(ctx, f, event("a")))
	d := claim(t, s, f, 10)
	same(t, 1, len(d))
	ok(t, s.RetryMessage(ctx, d[0], Start().Add(10*time.Second), "no answer"))
	sentinel(t, s.RetryMessage(ctx, d[0], Start(), "twice"), store.ErrConflict)
	same(t, 0, len(claim(t, s, f, 10)))
	clock(t, s).Advance(10 * time.Second)
	d = claim(t, s, f, 10)
	same(t, []int{1, 2}, []int{len(d), d[0].Attempts})
	ok(t, s.DeadMessage(ctx, d[0], "gave up: \x00"))
	sentinel(t, s.AckMessage(ctx, d[0]), store.ErrConflict)
	sentinel(t, s.DeadMessage(ctx, d[0], "twice"), store.ErrConflict)
	dead := must(s.DeadMessages(ctx, f, 10))(t)
	if len(dead) != 1 || dead[0].ID != "a" || dead[0].Reason != "gave up: \uFFFD" || !dead[0].DiedAt.Equal(Start().Add(10*time.Second)) {
		t.Fatalf("dead %+v", dead)
	}
	ok(t, s.RequeueDead(ctx, f, dead[0].Seq))
	sentinel(t, s.RequeueDead(ctx, f, dead[0].Seq), store.ErrNotFound)
	again := claim(t, s, f, 10)
	if len(again) != 1 || again[0].Attempts != 1 || !again[0].Since.Equal(Start().Add(10*time.Second)) {
		t.Fatalf("requeued %+v", again)
	}
	sentinel(t, s.AckMessage(ctx, d[0]), store.ErrConflict) // a claim of its former life
	clock(t, s).Advance(time.Hour)
	ok(t, s.AckMessage(ctx, again[0]))
	same(t, []string{"later"}, claimIDs(t, s, f))
}

func outboxHeld(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	ok(t, s.Enqueue(ctx, f, event("a")))
	ok(t, s.RetryMessage(ctx, claim(t, s, f, 1)[0], Start(), "no answer"))
	second := claim(t, s, f, 1)
	same(t, 2, second[0].Attempts)
	until := Start().Add(time.Hour)
	ok(t, s.HoldMessage(ctx, second[0], until, "the stop switch is on"))
	sentinel(t, s.HoldMessage(ctx, second[0], until, "twice"), store.ErrConflict)
	same(t, 0, len(claim(t, s, f, 1)))
	clock(t, s).Advance(time.Hour)
	again := claim(t, s, f, 1)
	if len(again) != 1 || again[0].Attempts != 1 || !again[0].Since.Equal(until) {
		t.Fatalf("held %+v", again)
	}
	ok(t, s.AckMessage(ctx, again[0]))
}

func outboxOrder(t *testing.T, s *store.Store, f store.File) {
	for i := range 6 {
		eff := event(fmt.Sprint(i))
		eff.Outbox[0].Topic = []string{store.TopicEvent, store.TopicPlan, store.TopicNotify}[i%3]
		ok(t, s.Enqueue(t.Context(), f, eff))
	}
	same(t, 0, len(claim(t, s, f, 0)))
	same(t, 0, len(must(s.ClaimMessages(t.Context(), f, nil, 5, "n", time.Minute))(t)))
	var got []string
	for _, d := range claim(t, s, f, 3) {
		got = append(got, d.ID)
	}
	same(t, []string{"0", "1", "3"}, got)
	same(t, []string{"4"}, claimIDs(t, s, f))
}

func outboxOwners(t *testing.T, s *store.Store, f store.File) {
	const n = 120
	var eff store.Effects
	for i := range n {
		eff.Outbox = append(eff.Outbox, event(fmt.Sprint(i)).Outbox...)
	}
	ok(t, s.Enqueue(t.Context(), f, eff))
	var mu sync.Mutex
	owners := map[string][]string{}
	var wg sync.WaitGroup
	for _, owner := range []string{"node-1", "node-2", "node-3", "node-4"} {
		wg.Go(func() {
			for {
				got, err := s.ClaimMessages(t.Context(), f, []string{store.TopicEvent}, 7, owner, time.Minute)
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				mu.Lock()
				for _, d := range got {
					owners[d.ID] = append(owners[d.ID], owner)
				}
				enough := len(owners) == n
				mu.Unlock()
				for _, d := range got {
					if err := s.AckMessage(t.Context(), d); err != nil {
						t.Errorf("ack: %v", err)
					}
				}
				if enough {
					return
				}
			}
		})
	}
	wg.Wait()
	for id, by := range owners {
		if len(by) != 1 {
			t.Errorf("message %s went to %v", id, by)
		}
	}
	clock(t, s).Advance(time.Hour)
	same(t, 0, len(claim(t, s, f, n)))
}

func outboxLost(t *testing.T, s *store.Store, f store.File) {
	ctx := t.Context()
	ok(t, s.Enqueue(ctx, f, event("a")))
	slow := claim(t, s, f, 1)[0]
	clock(t, s).Advance(2 * time.Minute)
	// The lease ended, but nobody took the message: its work still counts.
	ok(t, s.RetryMessage(ctx, slow, clock(t, s).Now(), "late"))
	slow = claim(t, s, f, 1)[0]
	clock(t, s).Advance(2 * time.Minute)
	fast := claim(t, s, f, 1)[0]
	sentinel(t, s.AckMessage(ctx, slow), store.ErrConflict)
	sentinel(t, s.RetryMessage(ctx, slow, Start(), "never"), store.ErrConflict)
	sentinel(t, s.DeadMessage(ctx, slow, "never"), store.ErrConflict)
	ok(t, s.AckMessage(ctx, fast))
	sentinel(t, s.AckMessage(ctx, slow), store.ErrConflict)
	same(t, 0, len(claimIDs(t, s, f)))
}

func outboxWakes(t *testing.T, s *store.Store, f store.File) {
	woken := func() bool {
		select {
		case <-s.NotifyChan(f):
			return true
		default:
			return false
		}
	}
	same(t, false, woken())
	ok(t, s.Enqueue(t.Context(), f, event("a")))
	ok(t, s.Enqueue(t.Context(), f, event("b")))
	same(t, true, woken())
	same(t, false, woken())
	ok(t, s.Enqueue(t.Context(), f, store.Effects{Audit: event("x").Audit}))
	code(t, s.Enqueue(t.Context(), f, broken()), fault.Invalid)
	same(t, false, woken())
}

func outboxRefuses(t *testing.T, s *store.Store) {
	for name, m := range map[string]store.Message{
		"no id": {Topic: "t"}, "no topic": {ID: "a"}, "a long id": {ID: strings.Repeat("x", 513), Topic: "t"},
		"a zero byte": {ID: "a\x00", Topic: "t"}, "a huge payload": {ID: "a", Topic: "t", Payload: make(json.RawMessage, 2<<20)},
	} {
		if err := s.Enqueue(t.Context(), store.Findings, store.Effects{Outbox: []store.Message{m}}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	_, err := s.ClaimMessages(t.Context(), "other", []string{"t"}, 1, "n", time.Minute)
	code(t, err, fault.Invalid)
	_, err = s.ClaimMessages(t.Context(), store.Findings, []string{"t"}, 1, "", time.Minute)
	code(t, err, fault.Invalid)
}
