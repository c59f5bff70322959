package auth_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

const chosen = "a sentence of their own choice"

// invite gives a person of h an invitation by root.
func (h *house) invite(t *testing.T, name string) store.Secret {
	t.Helper()
	p, code, err := auth.Invite(h.people[name], "root", h.clock.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h.people[name] = p
	return code
}

func TestAnInvitationIsUsedOnce(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	ctx := t.Context()
	code := h.invite(t, "ada")
	if _, _, err := people.SignIn(ctx, attempt("ada", password)); !errors.Is(err, auth.ErrSignIn) {
		t.Fatalf("the password from before lets in: %v", err)
	}
	if p, err := people.Invited(ctx, code, attempt("", "")); err != nil || p.Name != "ada" || p.Role != "responder" {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, _, err := people.Join(ctx, code, attempt("", "short")); !fault.Is(err, fault.Invalid) {
		t.Fatalf("a password that is none: %v", err)
	}
	who, token, err := people.Join(ctx, code, attempt("", chosen))
	if err != nil || who.Name != "ada" || who.Role != "responder" || h.people["ada"].Invitation != nil {
		t.Fatalf("%+v, %v", who, err)
	}
	if got, err := people.Who(ctx, token); err != nil || got.Name != "ada" {
		t.Fatalf("who joined is not signed in: %+v, %v", got, err)
	}
	if _, _, err := people.SignIn(ctx, attempt("ada", chosen)); err != nil {
		t.Fatalf("the chosen password: %v", err)
	}
	if _, _, err := people.Join(ctx, code, attempt("", "another sentence altogether")); !errors.Is(err, auth.ErrInvitation) || fault.HintOf(err) == "" {
		t.Fatalf("used again: %v", err)
	}
	if _, err := people.Invited(ctx, code, attempt("", "")); !errors.Is(err, auth.ErrInvitation) {
		t.Fatalf("looked at after it was used: %v", err)
	}
	want := "ada session.refused, ada invitation.used, ada session.started, ada session.started, ada invitation.refused, ada invitation.refused"
	if got := h.actions(); got != want {
		t.Errorf("audited %q", got)
	}
	for _, a := range h.audit {
		if strings.Contains(string(a.Detail), code.Reveal()[4:]) || strings.Contains(string(a.Detail), "sentence") {
			t.Errorf("a secret is audited: %s", a.Detail)
		}
	}
}

func TestInvitationsThatAreNotValid(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, h *house, code store.Secret) store.Secret{
		"of a name that is nobody's": func(_ *testing.T, _ *house, code store.Secret) store.Secret { return "eve" + code[3:] },
		"of somebody else":           func(_ *testing.T, _ *house, code store.Secret) store.Secret { return "bob" + code[3:] },
		"another token": func(*testing.T, *house, store.Secret) store.Secret {
			return "ada." + store.Secret(strings.Repeat("A", 43))
		},
		"without a token": func(*testing.T, *house, store.Secret) store.Secret { return "ada." },
		"no code":         func(*testing.T, *house, store.Secret) store.Secret { return "ada" },
		"nothing":         func(*testing.T, *house, store.Secret) store.Secret { return "" },
		"expired": func(_ *testing.T, h *house, code store.Secret) store.Secret {
			h.clock.Advance(auth.InvitationLasts)
			return code
		},
		"replaced": func(t *testing.T, h *house, code store.Secret) store.Secret {
			h.invite(t, "ada")
			return code
		},
		"of who was given a password": func(_ *testing.T, h *house, code store.Secret) store.Secret {
			p := h.people["ada"]
			auth.GivePassword(&p, "$argon2id$")
			h.people["ada"] = p
			return code
		},
		"of who is disabled": func(_ *testing.T, h *house, code store.Secret) store.Secret {
			p := h.people["ada"]
			p.DisabledAt = h.clock.Now()
			h.people["ada"] = p
			return code
		},
		"of who was disabled and enabled again": func(_ *testing.T, h *house, code store.Secret) store.Secret {
			p := h.people["ada"]
			auth.Disable(&p, h.clock.Now())
			p.DisabledAt = time.Time{}
			h.people["ada"] = p
			return code
		},
		"of who was removed": func(_ *testing.T, h *house, code store.Secret) store.Secret {
			delete(h.people, "ada")
			return code
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, people := newHouse(t)
			code := spoil(t, h, h.invite(t, "ada"))
			before := h.people["ada"].Hash
			if _, err := people.Invited(t.Context(), code, attempt("", "")); !errors.Is(err, auth.ErrInvitation) {
				t.Errorf("looked at: %v", err)
			}
			if _, _, err := people.Join(t.Context(), code, attempt("", chosen)); !errors.Is(err, auth.ErrInvitation) {
				t.Errorf("used: %v", err)
			}
			if len(h.sessions) != 0 || h.people["ada"].Hash != before {
				t.Error("something was changed")
			}
		})
	}
}

func TestAnInvitationFromBeforeARestoreIsNotValid(t *testing.T) {
	t.Parallel()
	h, _ := newHouse(t)
	code := h.invite(t, "ada")
	restored, err := auth.NewPeople(auth.PeopleConfig{Persons: h, Sessions: h, Tries: h, Updater: h, Cost: cheap(), Clock: h.clock, NotBefore: h.clock.Now().Add(time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := restored.Join(t.Context(), code, attempt("", chosen)); !errors.Is(err, auth.ErrInvitation) {
		t.Errorf("it may have been used since: %v", err)
	}
}

// TestGuessesAtInvitationsAreLimited as tries to sign in are, and apart from them.
func TestGuessesAtInvitationsAreLimited(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	code := h.invite(t, "ada")
	for range 10 {
		if _, err := people.Invited(t.Context(), "ada."+store.Secret(strings.Repeat("A", 43)), attempt("", "")); !errors.Is(err, auth.ErrInvitation) {
			t.Fatal(err)
		}
	}
	if _, _, err := people.Join(t.Context(), code, attempt("", chosen)); !fault.Is(err, fault.Exhausted) {
		t.Errorf("the right one after ten wrong ones: %v", err)
	}
	if _, _, err := people.SignIn(t.Context(), attempt("bob", password)); err != nil {
		t.Errorf("somebody else signs in: %v", err)
	}
	if _, _, err := people.SignIn(t.Context(), attempt("ada", password)); !errors.Is(err, auth.ErrSignIn) {
		t.Errorf("the guesses are counted as tries to sign in: %v", err)
	}
	elsewhere := attempt("", chosen)
	elsewhere.Address = "198.51.100.7"
	if _, _, err := people.Join(t.Context(), code, elsewhere); err != nil {
		t.Errorf("who guesses elsewhere keeps ada out: %v", err)
	}
}

// TestManyUseOneInvitation: one of them joins.
func TestManyUseOneInvitation(t *testing.T) {
	t.Parallel()
	h, people := newHouse(t)
	code := h.invite(t, "ada")
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { _, _, errs[i] = people.Join(t.Context(), code, attempt("", chosen)) })
	}
	all.Wait()
	joined := 0
	for _, err := range errs {
		switch {
		case err == nil:
			joined++
		case !errors.Is(err, auth.ErrInvitation):
			t.Errorf("%v", err)
		}
	}
	if joined != 1 || h.people["ada"].Rev != 1 {
		t.Errorf("%d joined, revision %d", joined, h.people["ada"].Rev)
	}
}

// TestAChangeWhileSomebodyJoins is no end of the invitation.
func TestAChangeWhileSomebodyJoins(t *testing.T) {
	t.Parallel()
	h, _ := newHouse(t)
	code := h.invite(t, "ada")
	stale := staleHouse{h}
	people, err := auth.NewPeople(auth.PeopleConfig{Persons: h, Sessions: h, Tries: h, Updater: stale, Cost: cheap(), Clock: h.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := people.Join(t.Context(), code, attempt("", chosen)); !fault.Is(err, fault.Conflict) || errors.Is(err, auth.ErrInvitation) {
		t.Errorf("%v", err)
	}
}

// staleHouse answers as a house whose people are changed all the time.
type staleHouse struct{ *house }

func (staleHouse) UpdatePerson(context.Context, store.Person, bool, store.Effects) error {
	return fault.E(fault.Conflict, "update person", store.ErrConflict)
}
