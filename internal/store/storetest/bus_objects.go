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

func busObjectTests() []conformance {
	return []conformance{
		{"bus/objects are kept", busKept},
		{"bus/objects that are wrong are refused", busRefused},
		{"bus/objects have a limit by kind and bus", busLimit},
		{"bus/objects are paged by name, from a prefix", busPaged},
		{"bus/all of a kind are read in chunks", busAll},
		{"bus/a bus goes only without rules, and a rule comes only with its bus", busRules},
		{"bus/the revision moves with what events are held against and delivered by", busRevision},
	}
}

func busObject(kind store.BusKind, bus, name string, i int) store.BusObject {
	return store.BusObject{
		BusHead: store.BusHead{BusKey: store.BusKey{Kind: kind, Bus: bus, Name: name}, CreatedAt: Start().Add(time.Duration(i) * time.Second), Rev: 1},
		Doc:     json.RawMessage(fmt.Sprintf(`{"n":%d}`, i)),
	}
}

func busKept(t *testing.T, s *store.Store) {
	ctx := t.Context()
	o := busObject(store.BusKindRule, "default", "r", 1)
	ok(t, s.CreateBusObject(ctx, o, 5, event("a")))
	sentinel(t, s.CreateBusObject(ctx, o, 5, store.Effects{}), store.ErrExists)
	same(t, o, must(s.BusObject(ctx, o.BusKey))(t))
	same(t, []string{"a"}, claimIDs(t, s, store.Execution))
	for _, k := range []store.BusKey{{Kind: store.BusKindArchive, Bus: "default", Name: "r"}, {Kind: store.BusKindRule, Name: "r"}, {Kind: store.BusKindRule, Bus: "default", Name: "\x00"}} {
		_, err := s.BusObject(ctx, k)
		sentinel(t, err, store.ErrNotFound)
	}
	next := o
	next.Doc = json.RawMessage(`{"n":"changed"}`)
	if err := s.UpdateBusObject(ctx, next, broken()); err == nil {
		t.Error("effects that cannot be written were")
	}
	same(t, o, must(s.BusObject(ctx, o.BusKey))(t))
	ok(t, s.UpdateBusObject(ctx, next, store.Effects{}))
	sentinel(t, s.UpdateBusObject(ctx, next, store.Effects{}), store.ErrConflict)
	next.Rev = 2
	same(t, next, must(s.BusObject(ctx, o.BusKey))(t))

	sentinel(t, s.DeleteBusObject(ctx, o.BusKey, 1, store.Effects{}), store.ErrConflict)
	if err := s.DeleteBusObject(ctx, o.BusKey, 2, broken()); err == nil {
		t.Error("effects that cannot be written were")
	}
	same(t, next, must(s.BusObject(ctx, o.BusKey))(t))
	ok(t, s.DeleteBusObject(ctx, o.BusKey, 2, event("gone")))
	sentinel(t, s.DeleteBusObject(ctx, o.BusKey, 2, store.Effects{}), store.ErrConflict)
	_, err := s.BusObject(ctx, o.BusKey)
	sentinel(t, err, store.ErrNotFound)
}

func busRefused(t *testing.T, s *store.Store) {
	for name, spoil := range map[string]func(*store.BusObject){
		"no object": func(o *store.BusObject) { o.Doc = json.RawMessage(`[]`) }, "no name": func(o *store.BusObject) { o.Name = "" },
		"huge":            func(o *store.BusObject) { o.Doc = json.RawMessage(`{"a":"` + strings.Repeat("x", 2<<20) + `"}`) },
		"a rule of none":  func(o *store.BusObject) { o.Bus = "" },
		"a bus of a bus":  func(o *store.BusObject) { o.Kind = store.BusKindBus },
		"zero characters": func(o *store.BusObject) { o.Name = "a\x00" },
	} {
		o := busObject(store.BusKindRule, "default", "r", 1)
		spoil(&o)
		for _, err := range []error{s.CreateBusObject(t.Context(), o, 5, store.Effects{}), s.UpdateBusObject(t.Context(), o, store.Effects{})} {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func busLimit(t *testing.T, s *store.Store) {
	const most = 5
	ctx := t.Context()
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindBus, "", "other", 1), most, store.Effects{}))
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, full := 0, 0
	for i := range 12 {
		wg.Go(func() {
			err := s.CreateBusObject(ctx, busObject(store.BusKindRule, "default", fmt.Sprint("r", i), i), most, store.Effects{})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				made++
			case fault.Is(err, fault.Exhausted):
				full++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != most || full != 12-most {
		t.Errorf("%d made, %d refused", made, full)
	}
	all, _, err := s.ListBusObjects(ctx, store.BusKindRule, "default", "", "", 0)
	ok(t, err)
	sentinel(t, s.CreateBusObject(ctx, all[0], most, store.Effects{}), store.ErrExists) // not: the limit is reached
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindRule, "other", "r", 1), most, store.Effects{}))
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindArchive, "", "r", 1), most, store.Effects{}))
	ok(t, s.DeleteBusObject(ctx, all[0].BusKey, 1, store.Effects{}))
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindRule, "default", "r50", 50), most, store.Effects{}))
	code(t, s.CreateBusObject(ctx, busObject(store.BusKindRule, "default", "r51", 51), most, store.Effects{}), fault.Exhausted)
}

func busPaged(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindBus, "", "other", 1), 50, store.Effects{}))
	for i, name := range []string{"b-1", "a-10", "a-1", "a-2", "A-3", "a_4", "a-é"} {
		ok(t, s.CreateBusObject(ctx, busObject(store.BusKindRule, "default", name, i), 50, store.Effects{}))
	}
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindRule, "other", "a-9", 9), 50, store.Effects{}))
	walk := func(bus, prefix string) (names []string) {
		for after := ""; ; {
			page, more, err := s.ListBusObjects(ctx, store.BusKindRule, bus, prefix, after, 2)
			ok(t, err)
			for _, o := range page {
				names = append(names, o.Name)
			}
			if !more {
				return names
			}
			after = page[len(page)-1].Name
		}
	}
	same(t, []string{"A-3", "a-1", "a-10", "a-2", "a-é", "a_4", "b-1"}, walk("default", ""))
	same(t, []string{"a-1", "a-10", "a-2", "a-é"}, walk("default", "a-"))
	same(t, []string{"a-1", "a-10"}, walk("default", "a-1"))
	same(t, []string{"a-9"}, walk("other", ""))
	same(t, 0, len(walk("default", "z")))
}

func busAll(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateBusObject(ctx, busObject(store.BusKindBus, "", "other", 1), 50, store.Effects{}))
	const n = 1203 // more than two chunks
	want := map[store.BusKey]int64{}
	for i := range n {
		o := busObject(store.BusKindRule, []string{"default", "other"}[i%2], fmt.Sprintf("r%d", i), i)
		ok(t, s.CreateBusObject(ctx, o, n, store.Effects{}))
		want[o.BusKey] = 1
	}
	o := busObject(store.BusKindRule, "other", "r3", 3)
	o.Doc = json.RawMessage(`{"n":"new"}`)
	ok(t, s.UpdateBusObject(ctx, o, store.Effects{}))
	want[o.BusKey] = 2

	got, heads := map[store.BusKey]int64{}, map[store.BusKey]int64{}
	ok(t, s.AllBusObjects(ctx, store.BusKindRule, func(o store.BusObject) error {
		if o.Name == "r3" {
			same(t, `{"n":"new"}`, string(o.Doc))
		}
		got[o.BusKey] += o.Rev
		return nil
	}))
	same(t, want, got)
	for _, h := range must(s.BusHeads(ctx, store.BusKindRule))(t) {
		heads[h.BusKey] += h.Rev
	}
	same(t, want, heads)
	enough := errors.New("enough")
	calls := 0
	err := s.AllBusObjects(ctx, store.BusKindRule, func(store.BusObject) error { calls++; return enough })
	if !errors.Is(err, enough) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func busRules(t *testing.T, s *store.Store) {
	ctx := t.Context()
	rule := busObject(store.BusKindRule, "orders", "r", 1)
	sentinel(t, s.CreateBusObject(ctx, rule, 5, store.Effects{}), store.ErrNotFound)
	bus := busObject(store.BusKindBus, "", "orders", 1)
	ok(t, s.CreateBusObject(ctx, bus, 5, store.Effects{}))
	ok(t, s.CreateBusObject(ctx, rule, 1, store.Effects{}))
	sentinel(t, s.DeleteBusObject(ctx, bus.BusKey, 1, store.Effects{}), store.ErrInUse)
	same(t, bus, must(s.BusObject(ctx, bus.BusKey))(t))
	ok(t, s.DeleteBusObject(ctx, rule.BusKey, 1, store.Effects{}))
	ok(t, s.DeleteBusObject(ctx, bus.BusKey, 1, store.Effects{}))
	ok(t, s.CreateBusObject(ctx, bus, 5, store.Effects{}))
	ok(t, s.CreateBusObject(ctx, rule, 1, store.Effects{}))
	ok(t, s.DeleteBusObject(ctx, rule.BusKey, 1, store.Effects{}))

	// A rule and the end of its bus at the same moment: one of them is refused.
	var made, gone error
	var wg sync.WaitGroup
	wg.Go(func() { made = s.CreateBusObject(ctx, rule, 5, store.Effects{}) })
	wg.Go(func() { gone = s.DeleteBusObject(ctx, bus.BusKey, 1, store.Effects{}) })
	wg.Wait()
	switch {
	case made == nil && errors.Is(gone, store.ErrInUse), gone == nil && errors.Is(made, store.ErrNotFound):
	default:
		t.Errorf("rule: %v, bus: %v", made, gone)
	}
}

func busRevision(t *testing.T, s *store.Store) {
	ctx := t.Context()
	last := must(s.BusRevision(ctx))(t)
	moved := func(want bool, err error) {
		t.Helper()
		ok(t, err)
		now := must(s.BusRevision(ctx))(t)
		if now > last != want {
			t.Errorf("the revision went from %d to %d", last, now)
		}
		last = now
	}
	for kind, want := range map[store.BusKind]bool{
		store.BusKindBus: true, store.BusKindRule: true, store.BusKindArchive: true, store.BusKindReplay: false, store.BusKindConnection: true, store.BusKindDestination: true,
	} {
		o := busObject(kind, "", "x", 1)
		if kind == store.BusKindRule {
			o.Bus = "default"
		}
		moved(want, s.CreateBusObject(ctx, o, 5, store.Effects{}))
		moved(want, s.UpdateBusObject(ctx, o, store.Effects{}))
		moved(want, s.DeleteBusObject(ctx, o.BusKey, 2, store.Effects{}))
	}
	sentinel(t, s.UpdateBusObject(ctx, busObject(store.BusKindRule, "default", "none", 1), store.Effects{}), store.ErrConflict)
	moved(false, nil)
}
