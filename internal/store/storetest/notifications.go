package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func notificationTests() []conformance {
	return []conformance{
		{"notification/the first is due at once, what follows when the interval has passed", notificationGroup},
		{"notification/a message tells the same at every try", notificationAgain},
		{"notification/what is over the limit is counted, or told by another message", notificationMost},
		{"notification/a message that was given up does not hold up its group", notificationOverdue},
		{"notification/what was set aside is told by its own message alone", notificationHalt},
		{"notification/every one is in exactly one message", notificationRace},
		{"notification/one that stands alone is noted", notificationAlone},
		{"notification/a channel's thread is the first that was told", notificationThread},
		{"notification/what was sent is forgotten, what waits is not", notificationPrune},
	}
}

func held(n int, rank int64) store.HeldNotification {
	return store.HeldNotification{ID: fmt.Sprintf("ntf-%03d", n), Channel: "mail", Group: "g", Rank: rank, Items: 1, Doc: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}
}

func hold(t testing.TB, s *store.Store, n store.HeldNotification) {
	t.Helper()
	ok(t, s.HoldNotification(t.Context(), n, 0, time.Minute, json.RawMessage(`{"a":"b"}`)))
}

// due claims and acknowledges the messages of groups that are due.
func due(t testing.TB, s *store.Store) []store.GroupDue {
	t.Helper()
	var out []store.GroupDue
	for _, d := range must(s.ClaimMessages(t.Context(), store.Execution, []string{store.TopicNotifyGroup}, 100, "node-1", time.Minute))(t) {
		var g store.GroupDue
		ok(t, json.Unmarshal(d.Payload, &g))
		ok(t, s.AckMessage(t.Context(), d))
		out = append(out, g)
	}
	return out
}

func notificationGroup(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	hold(t, s, held(1, 0))
	first := due(t, s)
	if len(first) != 1 || string(first[0].About) != `{"a":"b"}` || first[0].Channel != "mail" || first[0].Group != "g" {
		t.Fatalf("due at once: %+v", first)
	}
	got := must(s.TakeGroup(ctx, first[0], 10, false))(t)
	same(t, store.GroupMessage{Notifications: 1, Items: 1, First: []store.HeldNotification{held(1, 0)}}, got)
	ok(t, s.GroupSent(ctx, first[0]))

	c.Advance(time.Second)
	hold(t, s, held(2, 1))
	hold(t, s, held(3, 70))
	hold(t, s, held(3, 70)) // again: dropped
	hold(t, s, held(1, 0))  // sent already: dropped
	c.Advance(58 * time.Second)
	same(t, 0, len(due(t, s)))
	c.Advance(time.Second)
	second := due(t, s)
	if len(second) != 1 || second[0].Message <= first[0].Message {
		t.Fatalf("after the interval: %+v", second)
	}
	got = must(s.TakeGroup(ctx, second[0], 10, false))(t)
	same(t, store.GroupMessage{Notifications: 2, Items: 2, First: []store.HeldNotification{held(3, 70), held(2, 1)}}, got)
	ok(t, s.GroupSent(ctx, second[0]))
	// Nothing more waits; another group of the channel, and one that waits first, are apart.
	c.Advance(time.Hour)
	same(t, 0, len(due(t, s)))
	other := held(9, 0)
	other.Group = "h"
	ok(t, s.HoldNotification(ctx, other, 30*time.Second, time.Minute, nil))
	same(t, 0, len(due(t, s)))
	c.Advance(30 * time.Second)
	same(t, 1, len(due(t, s)))
	sentinelInvalid := held(10, 0)
	sentinelInvalid.Group = ""
	code(t, s.HoldNotification(ctx, sentinelInvalid, 0, 0, nil), fault.Invalid)
}

func notificationAgain(t *testing.T, s *store.Store) {
	ctx := t.Context()
	hold(t, s, held(1, 0))
	hold(t, s, held(2, 0))
	d := due(t, s)[0]
	want := must(s.TakeGroup(ctx, d, 10, false))(t)
	same(t, int64(2), want.Notifications)
	hold(t, s, held(3, 90)) // comes while the first try is under way: is of the next message
	same(t, want, must(s.TakeGroup(ctx, d, 10, false))(t))
	ok(t, s.GroupSent(ctx, d))
	same(t, store.GroupMessage{Sent: true}, must(s.TakeGroup(ctx, d, 10, false))(t))
	clock(t, s).Advance(time.Minute)
	next := due(t, s)
	same(t, 1, len(next))
	same(t, []store.HeldNotification{held(3, 90)}, must(s.TakeGroup(ctx, next[0], 10, false))(t).First)
}

func notificationMost(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for n := range 7 {
		many := held(n, int64(n))
		many.Items = 2
		hold(t, s, many)
	}
	d := due(t, s)[0]
	got := must(s.TakeGroup(ctx, d, 3, false))(t)
	if got.Notifications != 7 || got.Items != 14 || len(got.First) != 3 || got.First[0].Rank != 6 {
		t.Errorf("cut: %+v", got)
	}
	for n := range 7 {
		whole := held(n+100, int64(n))
		whole.Group = "whole"
		hold(t, s, whole)
	}
	var told []string
	for messages := 0; ; messages++ {
		all := due(t, s)
		if len(all) == 0 {
			same(t, 3, messages)
			break
		}
		got := must(s.TakeGroup(ctx, all[0], 3, true))(t)
		same(t, int(got.Notifications), len(got.First))
		for _, n := range got.First {
			told = append(told, n.ID)
		}
		ok(t, s.GroupSent(ctx, all[0]))
	}
	same(t, []string{"ntf-106", "ntf-105", "ntf-104", "ntf-103", "ntf-102", "ntf-101", "ntf-100"}, told)
}

func notificationOverdue(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	hold(t, s, held(1, 0))
	given := must(s.ClaimMessages(ctx, store.Execution, []string{store.TopicNotifyGroup}, 1, "node-1", time.Minute))(t)
	ok(t, s.DeadMessage(ctx, given[0], "no such channel"))
	hold(t, s, held(2, 0))
	same(t, 0, len(due(t, s)))
	c.Advance(10 * time.Minute)
	hold(t, s, held(3, 0))
	next := due(t, s)
	same(t, 1, len(next))
	same(t, int64(3), must(s.TakeGroup(ctx, next[0], 10, false))(t).Notifications)
	// The one that was given up tells nothing when somebody wants it delivered after all.
	ok(t, s.RequeueDead(ctx, store.Execution, given[0].Seq))
	same(t, store.GroupMessage{}, must(s.TakeGroup(ctx, due(t, s)[0], 10, false))(t))
}

func notificationHalt(t *testing.T, s *store.Store) {
	ctx := t.Context()
	hold(t, s, held(1, 0))
	aside := must(s.ClaimMessages(ctx, store.Execution, []string{store.TopicNotifyGroup}, 1, "node-1", time.Minute))(t)
	ok(t, s.DeadMessage(ctx, aside[0], "restored"))
	ok(t, s.HaltGroups(ctx))
	hold(t, s, held(2, 0))
	next := due(t, s)
	same(t, []store.HeldNotification{held(2, 0)}, must(s.TakeGroup(ctx, next[0], 10, false))(t).First)
	ok(t, s.RequeueDead(ctx, store.Execution, aside[0].Seq))
	same(t, []store.HeldNotification{held(1, 0)}, must(s.TakeGroup(ctx, due(t, s)[0], 10, false))(t).First)
}

func notificationRace(t *testing.T, s *store.Store) {
	ctx := t.Context()
	const writers, each = 4, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for n := range each {
				if err := s.HoldNotification(ctx, held(w*each+n, 0), 0, 0, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	told := map[string]int{}
	for finished := false; ; {
		select {
		case <-done:
			finished = true
		default:
		}
		messages := due(t, s)
		for _, d := range messages {
			for _, n := range must(s.TakeGroup(ctx, d, 1000, false))(t).First {
				told[n.ID]++
			}
			ok(t, s.GroupSent(ctx, d))
		}
		if finished && len(messages) == 0 {
			break
		}
	}
	for w := range writers * each {
		if id := held(w, 0).ID; told[id] != 1 {
			t.Errorf("%s was told %d times", id, told[id])
		}
	}
}

func notificationAlone(t *testing.T, s *store.Store) {
	ctx := t.Context()
	same(t, false, must(s.NotificationSent(ctx, "ntf-1"))(t))
	ok(t, s.NoteNotification(ctx, "mail", "ntf-1"))
	ok(t, s.NoteNotification(ctx, "mail", "ntf-1"))
	same(t, true, must(s.NotificationSent(ctx, "ntf-1"))(t))
	hold(t, s, held(2, 0))
	hold(t, s, held(3, 0))
	same(t, false, must(s.NotificationSent(ctx, "ntf-002"))(t))
	// One that waits and was sent alone after all is not sent again with the others.
	ok(t, s.NoteNotification(ctx, "mail", "ntf-002"))
	same(t, []store.HeldNotification{held(3, 0)}, must(s.TakeGroup(ctx, due(t, s)[0], 10, false))(t).First)
}

func notificationThread(t *testing.T, s *store.Store) {
	ctx := t.Context()
	same(t, "", must(s.NotificationThread(ctx, "slack", "rem-1"))(t))
	ok(t, s.PutNotificationThread(ctx, "slack", "rem-1", "17.1"))
	ok(t, s.PutNotificationThread(ctx, "slack", "rem-1", "17.2"))
	same(t, "17.1", must(s.NotificationThread(ctx, "slack", "rem-1"))(t))
	same(t, "", must(s.NotificationThread(ctx, "other", "rem-1"))(t))
}

func notificationPrune(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	hold(t, s, held(1, 0))
	d := due(t, s)[0]
	must(s.TakeGroup(ctx, d, 10, false))(t)
	ok(t, s.GroupSent(ctx, d))
	ok(t, s.NoteNotification(ctx, "mail", "ntf-alone"))
	ok(t, s.PutNotificationThread(ctx, "slack", "rem-1", "17.1"))
	hold(t, s, held(2, 0)) // waits
	c.Advance(10 * 24 * time.Hour)
	cut := store.Cutoffs{Notifications: c.Now().Add(-7 * 24 * time.Hour), Dead: c.Now().Add(-90 * 24 * time.Hour), Threads: c.Now().Add(-90 * 24 * time.Hour)}
	same(t, int64(2), must(s.Prune(ctx, cut))(t).Notifications) // ntf-001 and ntf-alone
	same(t, "17.1", must(s.NotificationThread(ctx, "slack", "rem-1"))(t))
	same(t, []store.HeldNotification{held(2, 0)}, must(s.TakeGroup(ctx, due(t, s)[0], 10, false))(t).First)
	c.Advance(90 * 24 * time.Hour)
	cut = store.Cutoffs{Notifications: c.Now(), Dead: c.Now(), Threads: c.Now()}
	same(t, int64(3), must(s.Prune(ctx, cut))(t).Notifications) // ntf-002 in vain, its group, the thread
}
