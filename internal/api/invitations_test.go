package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// postbox takes invitations, or does not.
type postbox struct {
	to   string
	got  api.InvitationMail
	fail error
}

func (p *postbox) SendInvitation(_ context.Context, to string, v api.InvitationMail) error {
	if p.fail == nil {
		p.to, p.got = to, v
	}
	return p.fail
}

// peopleBench is a server with people, sessions and a store, and a client of an
// administrator.
func peopleBench(t *testing.T, edit func(*api.Config)) (bench, *client.Client, *store.Store) {
	t.Helper()
	b, db := insightBenchOf(t, func(cfg *api.Config, db *store.Store) {
		people, err := auth.NewPeople(auth.PeopleConfig{Persons: db, Sessions: db, Tries: db, Updater: db, Cost: auth.Cost{Memory: 64, Passes: 1, Threads: 1}, Clock: db.Clock()})
		if err != nil {
			t.Fatal(err)
		}
		cfg.Persons, cfg.Remover, cfg.People, cfg.Joiner, cfg.Passwords, cfg.Clock = db, db, people, people, people, db.Clock()
		if edit != nil {
			edit(cfg)
		}
	})
	admin := b.as(t, "admin", "*")
	if _, err := admin.AddPerson(t.Context(), "ada", "administrator", []string{"*"}, goodPassword); err != nil {
		t.Fatal(err)
	}
	return b, admin, db
}

// post sends what a browser without a session sends.
func (b bench) post(t *testing.T, path string, body any) (int, string, string) {
	t.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s may be kept: %v", path, res.Header)
	}
	return res.StatusCode, res.Header.Get("Set-Cookie"), answer.String()
}

func TestAnInvitationOverREST(t *testing.T) {
	t.Parallel()
	b, admin, db := peopleBench(t, nil)
	ctx := t.Context()
	invited, err := admin.InvitePerson(ctx, "bob", "approver", []string{dev}, "")
	if err != nil || !strings.HasPrefix(invited.Code, "bob.") || invited.State != "invited" || invited.InvitedBy != "admin" || invited.Link != "" {
		t.Fatalf("%+v, %v", invited, err)
	}
	if list, err := admin.People(ctx); err != nil || list.Items[1].State != "invited" || list.Items[1].InvitationEnds.Sub(db.Clock().Now()) <= 71*time.Hour {
		t.Fatalf("%+v, %v", list, err)
	}
	status, _, body := b.post(t, "/v1/invitation/look", map[string]string{"code": invited.Code})
	if status != http.StatusOK || !strings.Contains(body, `"name":"bob"`) || !strings.Contains(body, `"by":"admin"`) {
		t.Fatalf("%d %s", status, body)
	}
	// A password that is none says so, shows none, and leaves the invitation.
	if status, _, body := b.post(t, "/v1/invitation", map[string]string{"code": invited.Code, "password": "hunter2"}); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest || strings.Contains(body, "hunter2") {
		t.Errorf("a short password: %d %s", status, body)
	}
	status, cookie, body := b.post(t, "/v1/invitation", map[string]string{"code": invited.Code, "password": "my own long sentence"})
	if status != http.StatusOK || !strings.HasPrefix(cookie, "parry_session=") || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(body, `"role":"approver"`) || strings.Contains(body, "parry_session") {
		t.Fatalf("%d %q %s", status, cookie, body)
	}
	if status, _, body := b.post(t, "/v1/session", map[string]string{"name": "bob", "password": "my own long sentence"}); status != http.StatusOK {
		t.Errorf("the chosen password: %d %s", status, body)
	}
	for path, in := range map[string]map[string]string{
		"/v1/invitation/look": {"code": invited.Code}, "/v1/invitation": {"code": invited.Code, "password": "another long sentence"},
	} {
		if status, cookie, body := b.post(t, path, in); status != http.StatusForbidden || cookie != "" || !strings.Contains(body, "not valid") || !strings.Contains(body, "ask an administrator") {
			t.Errorf("%s, used: %d %q %s", path, status, cookie, body)
		}
	}
	if status, _, _ := b.post(t, "/v1/session", map[string]string{"name": "bob", "password": "another long sentence"}); status != http.StatusUnauthorized {
		t.Errorf("the second password: %d", status)
	}

	// A reset ends password and sessions, and what came before.
	reset, err := admin.ResetPerson(ctx, "bob", "")
	if err != nil || reset.Code == "" || reset.Code == invited.Code {
		t.Fatalf("%+v, %v", reset, err)
	}
	if status, _, _ := b.post(t, "/v1/session", map[string]string{"name": "bob", "password": "my own long sentence"}); status != http.StatusUnauthorized {
		t.Errorf("the password from before: %d", status)
	}
	if sessions, err := db.ListSessions(ctx, "bob", db.Clock().Now().Add(-time.Hour)); err != nil || len(sessions) != 0 {
		t.Errorf("sessions: %+v, %v", sessions, err)
	}
	disabled := true
	if _, err := admin.ChangePerson(ctx, "bob", api.PersonChange{Disabled: &disabled}); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := b.post(t, "/v1/invitation/look", map[string]string{"code": reset.Code}); status != http.StatusForbidden {
		t.Errorf("of who is disabled: %d", status)
	}
	if _, err := admin.ResetPerson(ctx, "bob", ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.HintOf(err), "parry people enable bob") {
		t.Errorf("a reset of who is disabled: %v", err)
	}
	noSecretIn(t, db, invited.Code[4:], reset.Code[4:], "sentence")
}

// noSecretIn looks through the audit log.
func noSecretIn(t *testing.T, db *store.Store, secrets ...string) {
	t.Helper()
	entries, err := db.AuditPending(t.Context(), store.Findings, 100)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for _, e := range entries {
		for _, secret := range secrets {
			if strings.Contains(string(e.Detail)+e.Object+e.Actor, secret) {
				t.Errorf("a secret is audited: %s %s", e.Action, e.Detail)
			}
		}
	}
}

func TestGuessesAtInvitationsOverRESTAreLimited(t *testing.T) {
	t.Parallel()
	b, admin, _ := peopleBench(t, nil)
	invited, err := admin.InvitePerson(t.Context(), "bob", "viewer", []string{"*"}, "")
	if err != nil {
		t.Fatal(err)
	}
	guess := map[string]string{"code": "bob." + strings.Repeat("A", 43)}
	for range 10 {
		if status, _, _ := b.post(t, "/v1/invitation/look", guess); status != http.StatusForbidden {
			t.Fatalf("a guess: %d", status)
		}
	}
	if status, _, body := b.post(t, "/v1/invitation", map[string]string{"code": invited.Code, "password": "my own long sentence"}); status != http.StatusTooManyRequests {
		t.Errorf("after ten guesses: %d %s", status, body)
	}
}

func TestInvitationsByMail(t *testing.T) {
	t.Parallel()
	box := &postbox{}
	_, admin, _ := peopleBench(t, func(cfg *api.Config) { cfg.Inviter, cfg.ConsoleURL = box, "https://parry.example.com" })
	ctx := t.Context()
	if list, err := admin.People(ctx); err != nil || !list.Mails {
		t.Fatalf("%+v, %v", list, err)
	}
	sent, err := admin.InvitePerson(ctx, "bob", "viewer", []string{"*"}, "bob@example.com")
	if err != nil || sent.MailedTo != "bob@example.com" || sent.Code != "" || sent.Link != "" {
		t.Fatalf("%+v, %v", sent, err)
	}
	if box.to != "bob@example.com" || box.got.Name != "bob" || box.got.By != "admin" || !strings.HasPrefix(box.got.Link, "https://parry.example.com/invitation#bob.") {
		t.Errorf("mailed %q %+v", box.to, box.got)
	}
	for _, address := range []string{"bob", "Bob <bob@example.com>", "bob@example.com, eve@example.com", "bob@example.com\r\nBcc: eve@example.com"} {
		if _, err := admin.ResetPerson(ctx, "bob", address); !fault.Is(err, fault.Invalid) {
			t.Errorf("to %q: %v", address, err)
		}
	}
	// What cannot be sent is handed over.
	box.fail = errors.New("the server says no")
	held, err := admin.ResetPerson(ctx, "bob", "bob@example.com")
	if err != nil || held.MailedTo != "" || held.MailProblem != "the server says no" || held.Link != "https://parry.example.com/invitation#"+held.Code {
		t.Errorf("%+v, %v", held, err)
	}
}

func TestWithoutMailInvitationsAreHandedOver(t *testing.T) {
	t.Parallel()
	_, admin, db := peopleBench(t, nil)
	if _, err := admin.InvitePerson(t.Context(), "bob", "viewer", []string{"*"}, "bob@example.com"); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), "invitations.channel") {
		t.Errorf("%v", err)
	}
	if all, err := db.ListPersons(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
