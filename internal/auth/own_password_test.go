package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// signedIn gives the token of a new session.
func signedIn(t *testing.T, people *auth.People, name, word string) store.Secret {
	t.Helper()
	_, token, err := people.SignIn(t.Context(), attempt(name, word))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAPersonChangesTheirOwnPassword(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	ctx := t.Context()
	here, elsewhere, bobs := signedIn(t, people, "ada", password), signedIn(t, people, "ada", password), signedIn(t, people, "bob", password)
	a := attempt("ada", password)
	a.Token = here
	who, token, err := people.ChangePassword(ctx, a, chosen)
	if err != nil || who.Name != "ada" || token == "" || token == here {
		t.Fatalf("%+v, %v", who, err)
	}
	for _, old := range []store.Secret{here, elsewhere} {
		if _, err := people.Who(ctx, old); !fault.Is(err, fault.NotFound) {
			t.Errorf("a session from before is good: %v", err)
		}
	}
	for _, good := range []store.Secret{token, bobs} {
		if _, err := people.Who(ctx, good); err != nil {
			t.Errorf("a session ended that should not: %v", err)
		}
	}
	if _, _, err := people.SignIn(ctx, attempt("ada", password)); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the old password: %v", err)
	}
	signedIn(t, people, "ada", chosen)
	if got := h.actions(); !strings.Contains(got, "ada user.password_changed, ada session.started, ada session.refused") {
		t.Errorf("audited %q", got)
	}
	for _, r := range h.audit {
		if text := string(r.Detail); strings.Contains(text, chosen) || strings.Contains(text, password) {
			t.Errorf("a password is audited: %s", text)
		}
	}

	// By a key there is no session to go on with.
	if _, token, err := people.ChangePassword(ctx, attempt("ada", chosen), password); err != nil || token != "" || len(h.sessions) != 1 {
		t.Errorf("%q, %v, %d sessions", token, err, len(h.sessions))
	}
}

func TestOwnPasswordsThatStay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		who, old string
		next     store.Secret
		spoil    func(h *house)
		wrong    bool // ErrOwnPassword, else invalid
		audited  string
	}{
		"the old one is wrong":       {"ada", "another long sentence", chosen, nil, true, "ada user.password_refused"},
		"the old one is another's":   {"ada", chosen, chosen + "!", nil, true, "ada user.password_refused"},
		"a name that is no person's": {"eve", password, chosen, nil, true, ""},
		"no name":                    {"", password, chosen, nil, true, ""},
		"who is disabled": {"ada", password, chosen, func(h *house) {
			p := h.people["ada"]
			auth.Disable(&p, h.clock.Now())
			h.people["ada"] = p
		}, true, "ada user.password_refused"},
		"who has none yet": {"ada", password, chosen, func(h *house) {
			p, _, _ := auth.Invite(h.people["ada"], "root", h.clock.Now(), nil)
			h.people["ada"] = p
		}, true, "ada user.password_refused"},
		"the same":          {"ada", password, password, nil, false, ""},
		"a short one":       {"ada", password, "short", nil, false, ""},
		"one of few signs":  {"ada", password, "aaaaaaaaaaaaaaaa", nil, false, ""},
		"one that is a key": {"ada", password, "a\x00 long sentence", nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, people := newHouse(t)
			if c.spoil != nil {
				c.spoil(h)
			}
			before := h.people["ada"].Hash
			_, token, err := people.ChangePassword(t.Context(), attempt(c.who, c.old), c.next)
			if c.wrong != errors.Is(err, auth.ErrOwnPassword) || !c.wrong && !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
				t.Errorf("%v", err)
			}
			if token != "" || h.people["ada"].Hash != before || h.actions() != c.audited {
				t.Errorf("%q, audited %q", token, h.actions())
			}
		})
	}
}

// Who has a session and not the password cannot guess at it for long, and keeps nobody
// from signing in by trying.
func TestTriesAtTheOwnPasswordAreLimited(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	for i := range 10 {
		if _, _, err := people.ChangePassword(t.Context(), attempt("ada", fmt.Sprint("wrong sentence ", i)), chosen); !errors.Is(err, auth.ErrOwnPassword) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	for range 2 {
		if _, _, err := people.ChangePassword(t.Context(), attempt("ada", password), chosen); !fault.Is(err, fault.Exhausted) {
			t.Fatalf("the right one after too many: %v", err)
		}
	}
	if n := strings.Count(h.actions(), "ada user.password_refused"); n != 11 {
		t.Errorf("%d refusals are audited", n)
	}
	signedIn(t, people, "ada", password)
	h.tries = map[string]int64{} // as after TryWindow
	if _, _, err := people.ChangePassword(t.Context(), attempt("ada", password), chosen); err != nil {
		t.Error(err)
	}
}

// Of two changes at the same moment one is made.
func TestAnOwnPasswordMeetsAnotherChange(t *testing.T) {
	t.Parallel()
	h, _ := newHouse(t)
	late, err := auth.NewPeople(auth.PeopleConfig{Persons: stale{h}, Sessions: h, Tries: h, Updater: h, Cost: cheap(), Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := late.ChangePassword(t.Context(), attempt("ada", password), chosen); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
}

// stale reads people as they were before somebody changed them.
type stale struct{ *house }

func (s stale) Person(ctx context.Context, name string) (store.Person, error) {
	p, err := s.house.Person(ctx, name)
	p.Rev--
	return p, err
}
