package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func peopleTests() []conformance {
	return []conformance{
		{"person/is kept, listed and changed", personLife},
		{"person/refuses", personRefuses},
		{"person/the last of a kind stays", personLast},
		{"person/an invitation is kept until it is used", personInvited},
		{"person/is removed with their sessions", personRemoved},
		{"session/begins, is used and ends", sessionLife},
		{"session/the oldest end", sessionMost},
		{"session/is pruned", sessionPruned},
		{"try/is counted within its window", tryWindow},
		{"try/many at once are counted each", tryRace},
	}
}

// personLast: two who take the right from each other at the same moment leave one with it.
func personLast(t *testing.T, s *store.Store) {
	ctx := t.Context()
	keeps := func(p store.Person) bool { return p.DisabledAt.IsZero() && p.Role == "administrator" }
	for _, name := range []string{"ada", "bob"} {
		p := person(name)
		p.Role = "administrator"
		ok(t, s.PutPerson(ctx, p, store.Effects{}))
	}
	disable := func(name string) error {
		p, err := s.Person(ctx, name)
		if err != nil {
			return err
		}
		p.DisabledAt = Start()
		return s.UpdatePersonKeeping(ctx, p, true, keeps, event("disabled "+name))
	}
	errs := make([]error, 2)
	var all sync.WaitGroup
	for i, name := range []string{"ada", "bob"} {
		all.Go(func() { errs[i] = disable(name) })
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("of two, one is let: %v, %v", errs[0], errs[1])
	}
	last := "ada"
	if errs[0] == nil {
		last = "bob"
	}
	sentinel(t, disable(last), store.ErrLast)
	p := must(s.Person(ctx, last))(t)
	if !keeps(p) {
		t.Errorf("%+v", p)
	}
	p.Accounts = []string{"222222222222"} // what does not touch the right is changed
	ok(t, s.UpdatePersonKeeping(ctx, p, false, keeps, store.Effects{}))
	same(t, 1, len(claimIDs(t, s, store.Findings)))
}

// personInvited: an invitation is used up by the write that was first.
func personInvited(t *testing.T, s *store.Store) {
	ctx := t.Context()
	p := person("ada")
	p.Invitation = &store.Invitation{Digest: token(7), By: "root", CreatedAt: Start(), ExpiresAt: Start().Add(time.Hour)}
	ok(t, s.PutPerson(ctx, p, store.Effects{}))
	read := must(s.Person(ctx, "ada"))(t)
	same(t, p, read)
	same(t, p.Invitation, must(s.ListPersons(ctx))(t)[0].Invitation)
	errs := make([]error, 4)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			used := read
			used.Hash, used.Invitation = store.Secret(fmt.Sprintf("$argon2id$%d", i)), nil
			errs[i] = s.UpdatePerson(ctx, used, true, event(fmt.Sprintf("joined %d", i)))
		})
	}
	all.Wait()
	joined := 0
	for _, err := range errs {
		if err == nil {
			joined++
			continue
		}
		sentinel(t, err, store.ErrConflict)
	}
	same(t, 1, joined)
	same(t, 1, len(claimIDs(t, s, store.Findings)))
	if got := must(s.Person(ctx, "ada"))(t); got.Invitation != nil || got.Rev != 2 {
		t.Errorf("%+v", got)
	}
}

func personRemoved(t *testing.T, s *store.Store) {
	ctx := t.Context()
	keeps := func(p store.Person) bool { return p.Role == "administrator" }
	for _, name := range []string{"ada", "bob"} {
		p := person(name)
		if name == "ada" {
			p.Role = "administrator"
		}
		ok(t, s.PutPerson(ctx, p, store.Effects{}))
	}
	ok(t, s.PutSession(ctx, token(1), session(1, "bob"), 5, store.Effects{}))
	bob := must(s.Person(ctx, "bob"))(t)
	stale := bob
	stale.Rev--
	sentinel(t, s.RemovePerson(ctx, stale, keeps, event("removed too soon")), store.ErrConflict)
	sentinel(t, s.RemovePerson(ctx, must(s.Person(ctx, "ada"))(t), keeps, event("removed the last")), store.ErrLast)
	ok(t, s.RemovePerson(ctx, bob, keeps, event("removed")))
	sentinel(t, s.RemovePerson(ctx, bob, keeps, event("removed again")), store.ErrConflict)
	_, err := s.Person(ctx, "bob")
	sentinel(t, err, store.ErrNotFound)
	same(t, 1, len(must(s.ListPersons(ctx))(t)))
	// Whoever comes by the name later has none of the sessions.
	ok(t, s.PutPerson(ctx, person("bob"), store.Effects{}))
	_, _, err = s.Session(ctx, token(1))
	sentinel(t, err, store.ErrNotFound)
	same(t, []string{"removed"}, claimIDs(t, s, store.Findings))
}

func person(name string) store.Person {
	return store.Person{Name: name, Hash: "$argon2id$" + store.Secret(name), Role: "responder", Accounts: []string{"111111111111"}, CreatedAt: Start(), UpdatedAt: Start(), Rev: 1}
}

func personLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.PutPerson(ctx, person("ada"), event("made")))
	sentinel(t, s.PutPerson(ctx, person("ada"), event("made again")), store.ErrExists)
	ok(t, s.PutPerson(ctx, person("bob"), store.Effects{}))
	got := must(s.Person(ctx, "ada"))(t)
	same(t, person("ada"), got)
	if printed := fmt.Sprintf("%v %+v %#v %s", got, got, got, must(json.Marshal(got))(t)); strings.Contains(printed, "argon2id") {
		t.Errorf("the hash prints: %s", printed)
	}
	listed := must(s.ListPersons(ctx))(t)
	if len(listed) != 2 || listed[0].Name != "ada" || listed[0].Hash != "" || listed[1].Role != "responder" {
		t.Errorf("listed %+v", listed)
	}
	_, err := s.Person(ctx, "eve")
	sentinel(t, err, store.ErrNotFound)

	clock(t, s).Advance(time.Minute)
	changed := got
	changed.Role, changed.DisabledAt = "administrator", Start().Add(time.Minute)
	ok(t, s.UpdatePerson(ctx, changed, false, event("changed")))
	sentinel(t, s.UpdatePerson(ctx, changed, false, event("changed again")), store.ErrConflict)
	changed.UpdatedAt, changed.Rev = Start().Add(time.Minute), 2
	same(t, changed, must(s.Person(ctx, "ada"))(t))
	same(t, []string{"made", "changed"}, claimIDs(t, s, store.Findings))
}

func personRefuses(t *testing.T, s *store.Store) {
	bare := person("ada")
	bare.Hash = ""
	for name, p := range map[string]store.Person{"no name": person(""), "a long name": person(strings.Repeat("x", 600)), "no hash": bare} {
		code(t, s.PutPerson(t.Context(), p, store.Effects{}), fault.Invalid)
		code(t, s.UpdatePerson(t.Context(), p, false, store.Effects{}), fault.Invalid)
		_ = name
	}
	same(t, []store.Person(nil), must(s.ListPersons(t.Context()))(t), cmpopts.EquateEmpty())
	code(t, s.PutSession(t.Context(), []byte("short"), store.Session{ID: "ses-1", Name: "ada"}, 5, store.Effects{}), fault.Invalid)
	code(t, s.PutSession(t.Context(), token(1), store.Session{Name: "ada"}, 5, store.Effects{}), fault.Invalid)
}

func token(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func session(n int, name string) store.Session {
	at := Start().Add(time.Duration(n) * time.Minute)
	return store.Session{ID: fmt.Sprintf("ses-%d", n), Name: name, CreatedAt: at, SeenAt: at, ExpiresAt: at.Add(24 * time.Hour), Address: "192.0.2.1", Agent: "browser"}
}

func sessionLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.PutPerson(ctx, person("ada"), store.Effects{}))
	ok(t, s.PutSession(ctx, token(1), session(0, "ada"), 5, event("began")))
	o, p, err := s.Session(ctx, token(1))
	ok(t, err)
	same(t, session(0, "ada"), o)
	same(t, person("ada"), p)
	_, _, err = s.Session(ctx, token(2))
	sentinel(t, err, store.ErrNotFound)

	clock(t, s).Advance(time.Hour)
	ok(t, s.SeenSession(ctx, token(1)))
	same(t, Start().Add(time.Hour), must(s.ListSessions(ctx, "ada", Start()))(t)[0].SeenAt)
	same(t, 0, len(must(s.ListSessions(ctx, "ada", Start().Add(time.Hour)))(t)))
	same(t, 0, len(must(s.ListSessions(ctx, "bob", Start()))(t)))

	ok(t, s.EndSession(ctx, token(2), event("nothing ended")))
	sentinel(t, s.EndSessionOf(ctx, "bob", "ses-0", event("nothing ended")), store.ErrNotFound)
	ok(t, s.EndSessionOf(ctx, "ada", "ses-0", event("ended")))
	_, _, err = s.Session(ctx, token(1))
	sentinel(t, err, store.ErrNotFound)

	ok(t, s.PutSession(ctx, token(3), session(3, "ada"), 5, store.Effects{}))
	ok(t, s.EndSession(ctx, token(3), event("ended by token")))
	ok(t, s.PutSession(ctx, token(4), session(4, "ada"), 5, store.Effects{}))
	ok(t, s.EndSessions(ctx, "ada", event("all ended")))
	ok(t, s.EndSessions(ctx, "ada", event("nothing ended")))
	ok(t, s.PutSession(ctx, token(5), session(5, "ada"), 5, store.Effects{}))
	ok(t, s.UpdatePerson(ctx, must(s.Person(ctx, "ada"))(t), true, event("changed")))
	_, _, err = s.Session(ctx, token(5))
	sentinel(t, err, store.ErrNotFound)
	same(t, []string{"began", "ended", "ended by token", "all ended", "changed"}, claimIDs(t, s, store.Findings))
}

func sessionMost(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.PutPerson(ctx, person("ada"), store.Effects{}))
	ok(t, s.PutPerson(ctx, person("bob"), store.Effects{}))
	ok(t, s.PutSession(ctx, token(100), session(100, "bob"), 2, store.Effects{}))
	for n := range 4 {
		ok(t, s.PutSession(ctx, token(byte(n)), session(n, "ada"), 2, store.Effects{}))
	}
	var ids []string
	for _, o := range must(s.ListSessions(ctx, "ada", Start().Add(-time.Hour)))(t) {
		ids = append(ids, o.ID)
	}
	same(t, []string{"ses-3", "ses-2"}, ids)
	same(t, 1, len(must(s.ListSessions(ctx, "bob", Start()))(t)))
}

func sessionPruned(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.PutPerson(ctx, person("ada"), store.Effects{}))
	ok(t, s.PutSession(ctx, token(1), session(0, "ada"), 5, store.Effects{}))
	ok(t, s.PutSession(ctx, token(2), session(60, "ada"), 5, store.Effects{}))
	must(s.CountTries(ctx, [][]byte{token(9)}, 15*time.Minute))(t)
	clock(t, s).Advance(24 * time.Hour)
	p := must(s.Prune(ctx, store.Cutoffs{}))(t)
	same(t, [2]int64{1, 1}, [2]int64{p.Sessions, p.Tries})
	_, _, err := s.Session(ctx, token(1))
	sentinel(t, err, store.ErrNotFound)
	_, _, err = s.Session(ctx, token(2))
	ok(t, err)
}

func tryWindow(t *testing.T, s *store.Store) {
	ctx := t.Context()
	both := [][]byte{token(1), token(2)}
	same(t, []int64{1, 1}, must(s.CountTries(ctx, both, time.Minute))(t))
	same(t, []int64{2}, must(s.CountTries(ctx, both[:1], time.Minute))(t))
	clock(t, s).Advance(59 * time.Second)
	same(t, []int64{3, 2}, must(s.CountTries(ctx, both, time.Minute))(t))
	clock(t, s).Advance(time.Second)
	same(t, []int64{1, 1}, must(s.CountTries(ctx, both, time.Minute))(t))
	ok(t, s.ForgetTries(ctx, both[:1]))
	same(t, []int64{1, 2}, must(s.CountTries(ctx, both, time.Minute))(t))
}

func tryRace(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for range 8 {
		wg.Go(func() {
			n, err := s.CountTries(t.Context(), [][]byte{token(1)}, time.Hour)
			if err != nil {
				t.Errorf("count: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			seen[n[0]] = true
		})
	}
	wg.Wait()
	same(t, 8, len(seen))
}
