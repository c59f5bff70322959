package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/store"
)

func busEventTests() []conformance {
	return []conformance{
		{"bus event/a settled event is gone, one that is archived stays", busEventSettled},
		{"bus event/open events of dead nodes are claimed, those of the living are not", busEventClaimed},
		{"bus event/of many at once each has its own number", busEventMany},
		{"bus event/who lost an event settles nothing", busEventLost},
		{"bus event/what is no event is refused", busEventRefused},
		{"bus delivery/it waits, is claimed once, and is made again when the lease ends", busDeliveryClaimed},
		{"bus delivery/addresses that wait are found in order", busDeliveryAddresses},
		{"bus delivery/one that is given up is listed and sent again", busDeliveryDead},
		{"bus delivery/what dead nodes hold is released", busDeliveryReleased},
		{"bus delivery/dead letters are pruned with their events", busDeliveryPruned},
		{"bus delivery/a halt sets aside what is to be made", busHalted},
		{"archive/events come in the order of their times, by page", archivePage},
		{"archive/it is pruned, and shared events stay for the others", archivePruned},
	}
}

func busEvent(n int, targets ...string) *store.BusEvent {
	at := time.Date(2026, 11, 30, 12, 0, n, 0, time.UTC)
	e := &store.BusEvent{Bus: "default", At: at, Since: at.Add(time.Second), Doc: json.RawMessage(fmt.Sprintf(`{"id":"event-%03d"}`, n))}
	for _, t := range targets {
		e.Targets = append(e.Targets, store.TargetRef{Rule: "default/r", Target: t, Address: "address-" + t})
	}
	return e
}

func appendEvents(t testing.TB, s *store.Store, owner string, events ...*store.BusEvent) {
	t.Helper()
	ok(t, s.AppendEvents(t.Context(), owner, events, store.Effects{}))
}

// claimable gives the documents of what a node would take over from dead ones.
func claimable(t testing.TB, s *store.Store, dead ...string) []string {
	t.Helper()
	var out []string
	for _, e := range must(s.ClaimEvents(t.Context(), "node-9", dead, 100))(t) {
		out = append(out, string(e.Doc))
	}
	return out
}

func busEventSettled(t *testing.T, s *store.Store) {
	plain, archived := busEvent(1, "a", "b"), busEvent(2, "a")
	archived.Archives = []string{"all"}
	only := busEvent(3)
	only.Archives = []string{"all"}
	appendEvents(t, s, "node-1", plain, archived, only)
	if plain.Seq == 0 || archived.Seq <= plain.Seq || only.Seq <= archived.Seq {
		t.Fatalf("numbers %d, %d, %d", plain.Seq, archived.Seq, only.Seq)
	}
	ok(t, s.SettleEvents(t.Context(), "node-1", []store.SettledEvent{{Seq: plain.Seq}, {Seq: archived.Seq}}))
	if got := claimable(t, s, "node-1"); len(got) != 0 {
		t.Errorf("still open: %v", got)
	}
	same(t, []string{`{"id":"event-002"}`, `{"id":"event-003"}`}, archive(t, s, "all"))
}

// archive gives the documents of an archive.
func archive(t testing.TB, s *store.Store, name string) []string {
	t.Helper()
	var out []string
	for _, e := range must(s.ArchivedEvents(t.Context(), name, time.Unix(1, 0), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, 0, 100))(t) {
		out = append(out, string(e.Doc))
	}
	return out
}

func busEventMany(t *testing.T, s *store.Store) {
	var events []*store.BusEvent
	for n := range 23 {
		e := busEvent(n, "a")
		e.Doc = json.RawMessage(fmt.Sprintf(`{"id":"event-%03d","text":%q}`, n, strings.Repeat("long ", n*100)))
		if n%7 == 0 {
			e.Archives = []string{"all"}
		}
		events = append(events, e)
	}
	appendEvents(t, s, "node-1", events...)
	text := map[int64]string{}
	for _, e := range must(s.ClaimEvents(t.Context(), "node-9", []string{"node-1"}, 100))(t) {
		text[e.Seq] = string(e.Doc)
	}
	for i, e := range events {
		same(t, string(e.Doc), text[e.Seq])
		if i > 0 && e.Seq <= events[i-1].Seq {
			t.Errorf("event %d has number %d after %d", i, e.Seq, events[i-1].Seq)
		}
	}
}

func busEventClaimed(t *testing.T, s *store.Store) {
	mine, theirs, free := busEvent(1, "a"), busEvent(2, "a", "b"), busEvent(3, "a")
	appendEvents(t, s, "node-1", mine)
	appendEvents(t, s, "node-2", theirs)
	appendEvents(t, s, "", free)
	got := must(s.ClaimEvents(t.Context(), "node-9", []string{"node-2"}, 100))(t)
	if len(got) != 2 {
		t.Fatalf("claimed %+v", got)
	}
	for _, e := range got {
		want := theirs
		if e.Seq == free.Seq {
			want = free
		}
		same(t, *want, e)
	}
	if again := claimable(t, s, "node-2"); len(again) != 0 {
		t.Errorf("claimed twice: %v", again)
	}
}

func busEventLost(t *testing.T, s *store.Store) {
	e := busEvent(1, "a")
	appendEvents(t, s, "node-1", e)
	_ = must(s.ClaimEvents(t.Context(), "node-2", []string{"node-1"}, 10))(t)
	lost := store.SettledEvent{Seq: e.Seq, Again: []store.Waiting{{TargetRef: e.Targets[0], Since: e.Since, Due: e.Since, Attempts: 1}}}
	ok(t, s.SettleEvents(t.Context(), "node-1", []store.SettledEvent{lost}))
	if due := must(s.DueAddresses(t.Context(), "", 10))(t); len(due) != 0 {
		t.Errorf("a delivery of who lost the event waits: %v", due)
	}
	if got := claimable(t, s, "node-2"); len(got) != 1 {
		t.Errorf("the event is not open any more: %v", got)
	}
}

func busEventRefused(t *testing.T, s *store.Store) {
	for name, e := range map[string]*store.BusEvent{
		"no bus":    {Doc: json.RawMessage(`{}`)},
		"no object": {Bus: "default", Doc: json.RawMessage(`[]`)},
		"too large": {Bus: "default", Doc: json.RawMessage(`{"a":"` + string(make([]byte, 1<<20)) + `"}`)},
	} {
		if err := s.AppendEvents(t.Context(), "node-1", []*store.BusEvent{busEvent(1, "a"), e}, store.Effects{}); err == nil {
			t.Errorf("%s: stored", name)
		}
	}
	if got := claimable(t, s, "node-1"); len(got) != 0 {
		t.Errorf("stored beside what was refused: %v", got)
	}
}

// waiting stores an event whose deliveries to targets failed once.
func waiting(t testing.TB, s *store.Store, n int, targets ...string) *store.BusEvent {
	t.Helper()
	e := busEvent(n, targets...)
	appendEvents(t, s, "node-1", e)
	settled := store.SettledEvent{Seq: e.Seq}
	for _, ref := range e.Targets {
		settled.Again = append(settled.Again, store.Waiting{TargetRef: ref, Since: e.Since, Due: s.Clock().Now(), Attempts: 1, Code: "TIMEOUT", Reason: "no answer"})
	}
	ok(t, s.SettleEvents(t.Context(), "node-1", []store.SettledEvent{settled}))
	return e
}

func busDeliveryClaimed(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	e := waiting(t, s, 1, "a", "b")
	first := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-1", time.Minute))(t)
	if len(first) != 1 || first[0].Event != e.Seq || first[0].Attempts != 1 || first[0].Target != "a" || first[0].Bus != "default" || string(first[0].Doc) != string(e.Doc) || !first[0].Since.Equal(e.Since) {
		t.Fatalf("claimed %+v", first)
	}
	if more := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-2", time.Minute))(t); len(more) != 0 {
		t.Fatalf("claimed twice: %+v", more)
	}
	c.Advance(2 * time.Minute)
	second := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-2", time.Minute))(t)
	if len(second) != 1 {
		t.Fatalf("after the lease: %+v", second)
	}
	ok(t, s.SettleDeliveries(ctx, []store.DeliveryOutcome{{BusDelivery: first[0]}})) // too late: does nothing
	if due := must(s.DueAddresses(ctx, "", 10))(t); len(due) != 2 {
		t.Fatalf("who lost the claim settled it: %v", due)
	}
	ok(t, s.SettleDeliveries(ctx, []store.DeliveryOutcome{{BusDelivery: second[0]}}))
	other := must(s.ClaimDeliveries(ctx, "address-b", 10, "node-2", time.Minute))(t)
	later := other[0].Waiting
	later.Due, later.Attempts, later.Code = c.Now().Add(time.Hour), 2, "THROTTLING"
	ok(t, s.SettleDeliveries(ctx, []store.DeliveryOutcome{{BusDelivery: other[0], Again: &later}}))
	same(t, []store.AddressDue{{Address: "address-b", Due: later.Due}}, must(s.DueAddresses(ctx, "", 10))(t))
	c.Advance(time.Hour)
	other = must(s.ClaimDeliveries(ctx, "address-b", 10, "node-2", time.Minute))(t)
	if len(other) != 1 || other[0].Attempts != 2 || other[0].Code != "THROTTLING" || string(other[0].Doc) != string(e.Doc) {
		t.Fatalf("made again: %+v", other)
	}
	ok(t, s.SettleDeliveries(ctx, []store.DeliveryOutcome{{BusDelivery: other[0]}}))
	if due := must(s.DueAddresses(ctx, "", 10))(t); len(due) != 0 {
		t.Errorf("still waits: %v", due)
	}
}

func busDeliveryAddresses(t *testing.T, s *store.Store) {
	for n := range 7 {
		_ = waiting(t, s, n, string(rune('a'+n%5)))
		clock(t, s).Advance(time.Second)
	}
	all := must(s.DueAddresses(t.Context(), "", 100))(t)
	if len(all) != 5 || all[0].Address != "address-a" || !all[0].Due.Before(all[1].Due) {
		t.Fatalf("addresses: %v", all)
	}
	same(t, all[2:4], must(s.DueAddresses(t.Context(), "address-b", 2))(t))
	if none := must(s.DueAddresses(t.Context(), "address-e", 2))(t); len(none) != 0 {
		t.Errorf("after the last: %v", none)
	}
}

func busDeliveryDead(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	for n, target := range []string{"a", "a", "b"} {
		e := busEvent(n, target)
		appendEvents(t, s, "node-1", e)
		ok(t, s.SettleEvents(ctx, "node-1", []store.SettledEvent{{Seq: e.Seq, Again: []store.Waiting{{
			TargetRef: e.Targets[0], Since: e.Since, Attempts: 3, Dead: true, Code: "NO_PERMISSIONS", Reason: "refused",
		}}}}))
		c.Advance(time.Second)
	}
	if due := must(s.DueAddresses(ctx, "", 10))(t); len(due) != 0 {
		t.Fatalf("dead letters wait: %v", due)
	}
	page, next, err := s.DeadDeliveries(ctx, store.DeadFilter{}, 2, "")
	ok(t, err)
	if len(page) != 2 || page[0].Target != "b" || !page[0].Dead || page[0].Code != "NO_PERMISSIONS" || page[0].Attempts != 3 || page[0].Died.IsZero() {
		t.Fatalf("page: %+v", page)
	}
	rest, end, err := s.DeadDeliveries(ctx, store.DeadFilter{}, 2, next)
	ok(t, err)
	if len(rest) != 1 || end != "" || string(rest[0].Doc) != `{"id":"event-000"}` {
		t.Fatalf("rest: %+v, %q", rest, end)
	}
	if n := must(s.Redrive(ctx, store.DeadFilter{Target: "a", Code: "TIMEOUT"}, nil, 10, store.Effects{}))(t); n != 0 {
		t.Errorf("redriven %d of another code", n)
	}
	if n := must(s.Redrive(ctx, store.DeadFilter{}, []int64{rest[0].Seq, 999_999}, 10, store.Effects{}))(t); n != 1 {
		t.Errorf("redriven %d by number", n)
	}
	if n := must(s.Redrive(ctx, store.DeadFilter{Target: "a", Bus: "default", Rule: "default/r"}, nil, 10, store.Effects{}))(t); n != 1 {
		t.Errorf("redriven %d by target", n)
	}
	got := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-1", time.Minute))(t)
	if len(got) != 2 || got[0].Attempts != 0 || !got[0].Since.Equal(c.Now()) || got[0].Dead {
		t.Errorf("redriven: %+v", got)
	}
}

func busDeliveryReleased(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_ = waiting(t, s, 1, "a")
	held := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-1", time.Hour))(t)
	if n := must(s.ReleaseDeliveries(ctx, []string{"node-2"}))(t); n != 0 {
		t.Errorf("released %d of the living", n)
	}
	if n := must(s.ReleaseDeliveries(ctx, []string{"node-1"}))(t); n != 1 {
		t.Errorf("released %d", n)
	}
	again := must(s.ClaimDeliveries(ctx, "address-a", 10, "node-2", time.Hour))(t)
	if len(again) != 1 || again[0].Claim <= held[0].Claim {
		t.Errorf("claimed again: %+v", again)
	}
}

func busDeliveryPruned(t *testing.T, s *store.Store) {
	ctx, c := t.Context(), clock(t, s)
	kept := busEvent(1, "a")
	kept.Archives = []string{"all"}
	for _, e := range []*store.BusEvent{kept, busEvent(2, "a", "b")} {
		appendEvents(t, s, "node-1", e)
		settled := store.SettledEvent{Seq: e.Seq}
		for _, ref := range e.Targets {
			settled.Again = append(settled.Again, store.Waiting{TargetRef: ref, Dead: true})
		}
		ok(t, s.SettleEvents(ctx, "node-1", []store.SettledEvent{settled}))
	}
	c.Advance(time.Hour)
	p := must(s.Prune(ctx, store.Cutoffs{Dead: c.Now()}))(t)
	if p.DeadLetters != 3 {
		t.Errorf("pruned %d", p.DeadLetters)
	}
	if left, _, err := s.DeadDeliveries(ctx, store.DeadFilter{}, 10, ""); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	same(t, []string{`{"id":"event-001"}`}, archive(t, s, "all"))
	events, bytes, err := s.ArchiveSize(ctx, "all")
	if err != nil || events != 1 || bytes <= 0 {
		t.Errorf("archive: %d events, %d bytes, %v", events, bytes, err)
	}
}

func archivePage(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, n := range []int{5, 1, 3, 3, 2} {
		e := busEvent(n)
		e.Archives = []string{"all"}
		appendEvents(t, s, "node-1", e)
	}
	at := func(n int) time.Time { return busEvent(n).At }
	page := must(s.ArchivedEvents(ctx, "all", at(2), at(5), time.Time{}, 0, 2))(t)
	if len(page) != 2 || !page[0].At.Equal(at(2)) || !page[1].At.Equal(at(3)) {
		t.Fatalf("page: %+v", page)
	}
	rest := must(s.ArchivedEvents(ctx, "all", at(2), at(5), page[1].At, page[1].Seq, 2))(t)
	if len(rest) != 1 || !rest[0].At.Equal(at(3)) || rest[0].Seq == page[1].Seq {
		t.Fatalf("rest: %+v", rest)
	}
	if none := must(s.ArchivedEvents(ctx, "other", at(0), at(9), time.Time{}, 0, 10))(t); len(none) != 0 {
		t.Errorf("of another archive: %+v", none)
	}
}

func archivePruned(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for n := range 4 {
		e := busEvent(n)
		e.Archives = []string{"short", "long"}
		appendEvents(t, s, "node-1", e)
	}
	if n := must(s.PruneArchive(ctx, "short", busEvent(2).At))(t); n != 2 {
		t.Errorf("pruned %d", n)
	}
	if n := must(s.PruneArchive(ctx, "short", busEvent(2).At))(t); n != 0 {
		t.Errorf("pruned %d more", n)
	}
	if short, long := archive(t, s, "short"), archive(t, s, "long"); len(short) != 2 || len(long) != 4 {
		t.Errorf("short %v, long %v", short, long)
	}
	_ = must(s.PruneArchive(ctx, "short", busEvent(9).At))(t)
	_ = must(s.PruneArchive(ctx, "long", busEvent(3).At))(t)
	same(t, []string{`{"id":"event-003"}`}, archive(t, s, "long"))
}

func busHalted(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_ = waiting(t, s, 1, "a")
	_ = must(s.ClaimDeliveries(ctx, "address-a", 1, "node-1", time.Hour))(t)
	open := busEvent(2, "a", "b")
	appendEvents(t, s, "node-1", open, busEvent(3))
	if n := must(s.HaltBus(ctx, "restored"))(t); n != 3 {
		t.Errorf("halted %d", n)
	}
	if n := must(s.HaltBus(ctx, "restored"))(t); n != 0 {
		t.Errorf("halted %d more", n)
	}
	dead, _, err := s.DeadDeliveries(ctx, store.DeadFilter{Code: "SET_ASIDE"}, 10, "")
	ok(t, err)
	if len(dead) != 3 || dead[0].Reason != "restored" {
		t.Errorf("set aside: %+v", dead)
	}
	if due := must(s.DueAddresses(ctx, "", 10))(t); len(due) != 0 {
		t.Errorf("still waits: %v", due)
	}
	if got := claimable(t, s, "node-1", "halted"); len(got) != 0 {
		t.Errorf("still open: %v", got)
	}
}
