package api_test

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

const goodPassword = store.Secret("a long and private sentence")

// TestPeopleAreForAdministratorsAlone: every other role, and an administrator of some
// accounts, neither sees nor changes anybody.
func TestPeopleAreForAdministratorsAlone(t *testing.T) {
	t.Parallel()
	b, db := insightBenchOf(t, func(cfg *api.Config, db *store.Store) { cfg.Persons, cfg.Remover = db, db })
	ctx := t.Context()
	disabled := true
	// There is somebody whom they could do it to.
	if _, err := b.as(t, "admin", "*").AddPerson(ctx, "ada", "viewer", []string{"*"}, goodPassword); err != nil {
		t.Fatal(err)
	}
	before, err := db.Person(ctx, "ada")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client.Client{
		"operator": b.as(t, "operator", "*"), "approver": b.as(t, "approver", "*"), "reader": b.as(t, "reader", "*"), "source": b.as(t, "source", "*"), "admin of an account": b.as(t, "admin", dev),
	} {
		for what, ask := range map[string]func() error{
			"list": func() error { _, err := c.People(ctx); return err },
			"add": func() error {
				_, err := c.AddPerson(ctx, "mallory", "administrator", []string{"*"}, goodPassword)
				return err
			},
			"role": func() error {
				_, err := c.ChangePerson(ctx, "ada", api.PersonChange{Role: "administrator"})
				return err
			},
			"disable":  func() error { _, err := c.ChangePerson(ctx, "ada", api.PersonChange{Disabled: &disabled}); return err },
			"password": func() error { return c.SetPassword(ctx, "ada", goodPassword) },
			"invite":   func() error { _, err := c.InvitePerson(ctx, "mallory", "administrator", []string{"*"}, ""); return err },
			"reset":    func() error { _, err := c.ResetPerson(ctx, "ada", ""); return err },
			"remove":   func() error { return c.RemovePerson(ctx, "ada") },
		} {
			if err := ask(); !fault.Is(err, fault.Denied) {
				t.Errorf("%s may %s: %v", name, what, err)
			}
		}
	}
	if all, err := db.ListPersons(ctx); err != nil || len(all) != 1 || all[0].Rev != before.Rev {
		t.Errorf("people: %+v, %v", all, err)
	}
}

func TestPeopleOverREST(t *testing.T) {
	t.Parallel()
	b, db := insightBenchOf(t, func(cfg *api.Config, db *store.Store) { cfg.Persons, cfg.Remover = db, db })
	ctx := t.Context()
	admin := b.as(t, "admin", "*")
	if _, err := admin.AddPerson(ctx, "ada", "administrator", []string{"*"}, goodPassword); err != nil {
		t.Fatal(err)
	}
	got, err := admin.AddPerson(ctx, "bob", "responder", []string{dev}, goodPassword)
	if err != nil || got.Name != "bob" || got.Role != "responder" || len(got.Accounts) != 1 || got.CreatedAt.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, err := range map[string]error{
		"taken":          second(admin.AddPerson(ctx, "bob", "viewer", []string{"*"}, goodPassword)),
		"short password": second(admin.AddPerson(ctx, "eve", "viewer", []string{"*"}, "short")),
		"upper case":     second(admin.AddPerson(ctx, "Eve", "viewer", []string{"*"}, goodPassword)),
		"no role":        second(admin.AddPerson(ctx, "eve", "god", []string{"*"}, goodPassword)),
		"no account":     second(admin.AddPerson(ctx, "eve", "viewer", []string{"x"}, goodPassword)),
		"unknown":        second(admin.ChangePerson(ctx, "nobody", api.PersonChange{Role: "viewer"})),
		"nothing":        second(admin.ChangePerson(ctx, "bob", api.PersonChange{})),
		"unknown's":      admin.SetPassword(ctx, "nobody", goodPassword),
	} {
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The last administrator of all accounts stays one, whichever way.
	yes, no := true, false
	for name, change := range map[string]api.PersonChange{"disabled": {Disabled: &yes}, "another role": {Role: "approver"}, "some accounts": {Accounts: []string{dev}}} {
		if _, err := admin.ChangePerson(ctx, "ada", change); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "last administrator") || fault.HintOf(err) == "" {
			t.Errorf("the last administrator, %s: %v", name, err)
		}
	}
	if err := admin.SetPassword(ctx, "ada", goodPassword+" again"); err != nil {
		t.Error(err)
	}
	if got, err := admin.ChangePerson(ctx, "bob", api.PersonChange{Role: "administrator", Accounts: []string{"*"}}); err != nil || got.Role != "administrator" {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err := admin.ChangePerson(ctx, "ada", api.PersonChange{Disabled: &yes}); err != nil || got.DisabledAt.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := admin.ChangePerson(ctx, "bob", api.PersonChange{Disabled: &yes}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a disabled administrator counts: %v", err)
	}
	if got, err := admin.ChangePerson(ctx, "ada", api.PersonChange{Disabled: &no}); err != nil || !got.DisabledAt.IsZero() {
		t.Fatalf("%+v, %v", got, err)
	}
	// Who has yet to choose a password is no administrator that others can rely on.
	if _, err := admin.ChangePerson(ctx, "bob", api.PersonChange{Role: "responder"}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.InvitePerson(ctx, "carl", "administrator", []string{"*"}, ""); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"removed": admin.RemovePerson(ctx, "ada"), "reset": second(admin.ResetPerson(ctx, "ada", ""))} {
		if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "last administrator") || fault.HintOf(err) == "" {
			t.Errorf("the last administrator, %s: %v", name, err)
		}
	}
	if err := admin.RemovePerson(ctx, "carl"); err != nil {
		t.Error(err)
	}
	if err := admin.RemovePerson(ctx, "carl"); !fault.Is(err, fault.NotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := admin.ChangePerson(ctx, "bob", api.PersonChange{Role: "administrator"}); err != nil {
		t.Fatal(err)
	}
	list, err := admin.People(ctx)
	if err != nil || len(list.Items) != 2 || list.Items[0].Name != "ada" || list.Items[1].Role != "administrator" {
		t.Errorf("%+v, %v", list, err)
	}

	// Each change is audited, by whom, and without the password.
	entries, err := db.AuditPending(ctx, store.Findings, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		if e.Actor != "admin" || strings.Contains(string(e.Detail), "sentence") {
			t.Errorf("%+v", e)
		}
		actions = append(actions, e.Action+" "+e.Object)
	}
	if want := "user.created ada, user.created bob, user.password_set ada, user.role_set bob, user.disabled ada, user.enabled ada, user.role_set bob, user.invited carl, user.removed carl, user.role_set bob"; strings.Join(actions, ", ") != want {
		t.Errorf("audited %q", actions)
	}
}
