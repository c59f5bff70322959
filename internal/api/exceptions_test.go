package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/triage"
)

// exceptionVault is an exception desk with three exceptions: in dev, in both accounts,
// and of all; it notes what reaches it.
type exceptionVault struct{ *vault }

func scopeOfAccounts(accounts ...string) map[string]any {
	tests := []any{}
	for _, a := range accounts {
		tests = append(tests, map[string]any{"Value": a, "Comparison": "EQUALS"})
	}
	return map[string]any{"AwsAccountId": tests, "Title": []any{map[string]any{"Value": "x", "Comparison": "PREFIX"}}}
}

func heldException(id string, accounts ...string) triage.HeldException {
	raw, err := json.Marshal(scopeOfAccounts(accounts...))
	if err != nil {
		panic(err)
	}
	scope, err := filter.Parse(raw)
	if err != nil {
		panic(err)
	}
	return triage.HeldException{Exception: exception.Exception{ID: id, State: exception.Pending, Title: "t " + id, Owner: "o", Reason: "r", Scope: scope}, Covered: 3}
}

func exceptionsThere() []triage.HeldException {
	return []triage.HeldException{heldException("ex-all"), heldException("ex-both", dev, prod), heldException("ex-dev", dev)}
}

func (v exceptionVault) Exception(_ context.Context, id string) (triage.HeldException, error) {
	for _, e := range exceptionsThere() {
		if e.ID == id {
			return e, nil
		}
	}
	return triage.HeldException{}, fault.Errorf(fault.NotFound, "find exception", "there is no such exception")
}

func (v exceptionVault) Exceptions(_ context.Context, state string, limit int, cursor string) ([]triage.HeldException, string, error) {
	at := 0
	if _, err := fmt.Sscan(cursor, &at); err != nil && cursor != "" {
		return nil, "", err
	}
	all := exceptionsThere()[at:]
	if state == "ended" || len(all) <= limit {
		return all, "", nil
	}
	return all[:limit], fmt.Sprint(at + limit), nil
}

func (v exceptionVault) Preview(_ context.Context, f filter.Filter, accounts []string) (triage.ExceptionPreview, error) {
	v.note(fmt.Sprint("preview ", len(f.Criteria), " for ", accounts))
	return triage.ExceptionPreview{Covered: 2, Open: 1, Complete: true, BySeverity: map[string]int{"HIGH": 1}, Examples: []triage.ExceptionExample{}}, nil
}

func (v exceptionVault) Request(_ context.Context, n triage.NewException, by string) (triage.HeldException, error) {
	v.note(fmt.Sprint("request ", n.Title, " for ", exception.AccountsOf(n.Scope), " by ", by))
	return triage.HeldException{Exception: exception.Exception{ID: "ex-new", Title: n.Title, Scope: n.Scope}}, nil
}

func (v exceptionVault) Approve(ctx context.Context, id, by, note string) (triage.HeldException, error) {
	v.note("approve " + id + " by " + by + " " + note)
	return v.Exception(ctx, id)
}

func (v exceptionVault) Reject(ctx context.Context, id, by, note string) (triage.HeldException, error) {
	v.note("reject " + id + " by " + by + " " + note)
	return v.Exception(ctx, id)
}

func (v exceptionVault) Expire(ctx context.Context, id, by, note string) (triage.HeldException, error) {
	v.note("expire " + id + " by " + by + " " + note)
	return v.Exception(ctx, id)
}

func requestFor(accounts ...string) api.ExceptionRequest {
	r := api.ExceptionRequest{Title: "t", Owner: "o", Reason: "r", Scope: scopeOfAccounts(accounts...), ExpiresAt: time.Now().Add(time.Hour)}
	if len(accounts) == 0 {
		delete(r.Scope, "AwsAccountId")
	}
	return r
}

// An exception of accounts that a key does not have is as one that is not there, and
// one is asked for only by a key that has every account that it can reach.
func TestExceptionsAreOfTheirAccounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		accounts []string
		reaches  string
	}{
		"dev": {[]string{dev}, "ex-dev"}, "both": {[]string{dev, prod}, "ex-both ex-dev"}, "prod": {[]string{prod}, ""}, "all": {[]string{"*"}, "ex-all ex-both ex-dev"}, "none": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ctx := setup(t), t.Context()
			who := b.as(t, "admin", c.accounts...)
			for _, limit := range []int{0, 1, 2} {
				var got []string
				p := client.Paging{Limit: limit}
				for page := 0; page == 0 || p.Cursor != ""; page++ {
					list, err := who.Exceptions(ctx, "open", p)
					if err != nil {
						t.Fatal(err)
					}
					for _, e := range list.Items {
						got = append(got, e.ID)
					}
					p.Cursor = list.Next
				}
				if diff := cmp.Diff(c.reaches, strings.Join(got, " ")); diff != "" {
					t.Errorf("limit %d: %s", limit, diff)
				}
			}
			for _, id := range []string{"ex-all", "ex-both", "ex-dev", "ex-none"} {
				may := strings.Contains(c.reaches+" ", id+" ")
				for verb, ask := range map[string]func() error{
					"show":    func() error { _, err := who.Exception(ctx, id); return err },
					"approve": func() error { _, err := who.ApproveException(ctx, id, "w"); return err },
					"reject":  func() error { _, err := who.RejectException(ctx, id, "w"); return err },
					"expire":  func() error { _, err := who.ExpireException(ctx, id, "w"); return err },
					"preview": func() error { _, err := who.PreviewException(ctx, api.ExceptionQuestion{ID: id}); return err },
				} {
					before := len(b.calls)
					err := ask()
					if may != (err == nil) || !may && (!fault.Is(err, fault.NotFound) || len(b.calls) != before || !strings.Contains(err.Error(), "within your accounts")) {
						t.Errorf("%s %s: %v, reached %v", verb, id, err, b.calls[before:])
					}
				}
			}
			for id, ask := range map[string]api.ExceptionRequest{"ex-all": requestFor(), "ex-both": requestFor(dev, prod), "ex-dev": requestFor(dev)} {
				may := strings.Contains(c.reaches+" ", id+" ")
				before := len(b.calls)
				_, err := who.RequestException(ctx, ask)
				if may != (err == nil) || !may && (!fault.Is(err, fault.Denied) || fault.HintOf(err) == "" || len(b.calls) != before) {
					t.Errorf("request like %s: %v (hint %s), reached %v", id, err, fault.HintOf(err), b.calls[before:])
				}
			}
		})
	}
}

func TestRolesOfExceptions(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	for verb, c := range map[string]struct {
		ask   func(c *client.Client) error
		roles string
	}{
		"list": {func(c *client.Client) error { _, err := c.Exceptions(ctx, "", client.Paging{}); return err }, "admin operator approver reader"},
		"show": {func(c *client.Client) error { _, err := c.Exception(ctx, "ex-dev"); return err }, "admin operator approver reader"},
		"preview": {func(c *client.Client) error {
			_, err := c.PreviewException(ctx, api.ExceptionQuestion{Scope: scopeOfAccounts(dev)})
			return err
		}, "admin operator approver reader"},
		"request": {func(c *client.Client) error { _, err := c.RequestException(ctx, requestFor(dev)); return err }, "admin operator"},
		"approve": {func(c *client.Client) error { _, err := c.ApproveException(ctx, "ex-dev", ""); return err }, "admin approver"},
		"reject":  {func(c *client.Client) error { _, err := c.RejectException(ctx, "ex-dev", ""); return err }, "admin approver"},
		"expire":  {func(c *client.Client) error { _, err := c.ExpireException(ctx, "ex-dev", ""); return err }, "admin operator approver"},
	} {
		for _, role := range []string{"admin", "operator", "approver", "reader", "source", "nonsense"} {
			before := len(b.calls)
			err := c.ask(b.as(t, role, dev))
			may := strings.Contains(" "+c.roles+" ", " "+role+" ")
			if may != (err == nil) || !may && (!fault.Is(err, fault.Denied) || len(b.calls) != before) {
				t.Errorf("%s by %s: %v, reached %v", verb, role, err, b.calls[before:])
			}
		}
	}
}

func TestExceptionRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	who := b.as(t, "admin", "*")
	for name, change := range map[string]func(r *api.ExceptionRequest){
		"unknown field": func(r *api.ExceptionRequest) { r.Scope = map[string]any{"Nothing": []any{}} },
		"no list":       func(r *api.ExceptionRequest) { r.Scope = map[string]any{"Title": "x"} },
		"long title":    func(r *api.ExceptionRequest) { r.Title = strings.Repeat("x", 201) },
		"long reason":   func(r *api.ExceptionRequest) { r.Reason = strings.Repeat("x", 2001) },
	} {
		r := requestFor(dev)
		change(&r)
		if _, err := who.RequestException(ctx, r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, q := range map[string]api.ExceptionQuestion{"both": {ID: "ex-dev", Scope: scopeOfAccounts(dev)}, "neither": {}} {
		if _, err := who.PreviewException(ctx, q); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := who.Exceptions(ctx, "none", client.Paging{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown state: %v", err)
	}
	if len(b.calls) > 0 {
		t.Errorf("reached %v", b.calls)
	}
	if _, err := b.as(t, "reader", dev).PreviewException(ctx, api.ExceptionQuestion{Scope: scopeOfAccounts(prod)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"preview 2 for [" + dev + "]"}, b.calls); diff != "" {
		t.Error(diff)
	}
}

// Whoever sees a finding sees which exception suppresses it and who answers for it,
// and nothing of what else the exception covers.
func TestAFindingShowsItsException(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t), t.Context()
	for i, id := range []string{"ex-all", "ex-gone"} {
		b.findings[i].Exception = id
	}
	got, err := b.as(t, "reader", dev).Finding(ctx, devFinding)
	if err != nil || got.Exception != "ex-all" || got.ExceptedBy == nil || got.ExceptedBy.Title != "t ex-all" || got.ExceptedBy.Owner != "o" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = b.as(t, "reader", prod).Finding(ctx, prodFinding); err != nil || got.ExceptedBy == nil || *got.ExceptedBy != (api.FindingException{ID: "ex-gone"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
