package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/store"
)

// pages is a server whose findings and views are real, as people with a session meet it.
type pages struct {
	t       *testing.T
	handler http.Handler
}

func newPages(t *testing.T) pages {
	t.Helper()
	return newPagesOf(t, nil)
}

// newPagesOf is newPages with these accounts, nil for its own.
func newPagesOf(t *testing.T, accounts []org.Account) pages {
	t.Helper()
	var handler http.Handler
	insightBenchOf(t, func(cfg *api.Config, db *store.Store) {
		cfg.Findings, cfg.Views = db, db
		if accounts != nil {
			cfg.Accounts = func() []org.Account { return accounts }
		}
		var err error
		if handler, err = api.New(*cfg); err != nil {
			t.Fatal(err)
		}
	})
	return pages{t, handler}
}

// ask asks as a person with one role of the table and accounts, and gives the status and
// what the answer says.
func (p pages) ask(name, role string, accounts []string, method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	roles, err := auth.ParseRoles([]string{role})
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}
	text := string(raw)
	if body == nil {
		text = ""
	}
	ctx := auth.WithPrincipal(context.Background(), auth.Principal{Name: name, Roles: roles, Accounts: accounts})
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	out := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			p.t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	}
	return w.Code, out
}

// nobody holds that who has no role, and who is not known at all, is told nothing.
func (p pages) nobody(path string) {
	p.t.Helper()
	for name, who := range map[string]auth.Principal{"nobody": {}, "no role": {Name: "x", Accounts: []string{auth.All}}, "an odd role": {Name: "x", Roles: []auth.Role{"root"}, Accounts: []string{auth.All}}} {
		r := httptest.NewRequestWithContext(auth.WithPrincipal(context.Background(), who), http.MethodGet, path, nil)
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden && w.Code != http.StatusUnauthorized {
			p.t.Errorf("%s gets %s: %d %s", name, path, w.Code, w.Body)
		}
	}
}

// counted gives the numbers of a list as label=count.
func counted(list any) string {
	items, _ := list.([]any)
	var out []string
	for _, i := range items {
		one, _ := i.(map[string]any)
		label := one["label"]
		if label == nil {
			label = one["value"]
		}
		out = append(out, fmt.Sprintf("%v=%v", label, one["count"]))
	}
	return strings.Join(out, " ")
}

// The overview counts what lies within the caller's accounts, and leaves out what the
// caller may not read.
func TestOverviewIsOfOnesOwnAccounts(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for _, c := range []struct {
		accounts []string
		open     string
		top      string
	}{
		{[]string{auth.All}, "CRITICAL=0 HIGH=3 MEDIUM=0 LOW=0 INFORMATIONAL=0", dev + "=2 " + prod + "=1"},
		{[]string{dev}, "CRITICAL=0 HIGH=2 MEDIUM=0 LOW=0 INFORMATIONAL=0", dev + "=2"},
		{[]string{prod}, "CRITICAL=0 HIGH=1 MEDIUM=0 LOW=0 INFORMATIONAL=0", prod + "=1"},
	} {
		code, got := p.ask("vera", "viewer", c.accounts, http.MethodGet, "/v1/overview", nil)
		if code != http.StatusOK || counted(got["open"]) != c.open || counted(got["top_accounts"]) != c.top {
			t.Errorf("%v: %d %v %v", c.accounts, code, counted(got["open"]), counted(got["top_accounts"]))
		}
		if tasks, _ := got["needs_you"].([]any); len(tasks) != 0 {
			t.Errorf("a viewer is asked to decide: %v", tasks)
		}
	}
	// An approver is asked; within one's own accounts only.
	for account, want := range map[string]int{dev: 1, prod: 1, auth.All: 2} {
		_, got := p.ask("ada", "approver", []string{account}, http.MethodGet, "/v1/overview", nil)
		if tasks, _ := got["needs_you"].([]any); len(tasks) != want {
			t.Errorf("%s: %d tasks, want %d: %v", account, len(tasks), want, tasks)
		}
	}
	// A source may read findings and nothing else.
	code, got := p.ask("hub", "source", []string{auth.All}, http.MethodGet, "/v1/overview", nil)
	for _, part := range []string{"waiting_approvals", "failed_remediations_7d", "fixes_30d", "stop"} {
		if _, there := got[part]; code != http.StatusOK || there {
			t.Errorf("a source is told %s: %d", part, code)
		}
	}
	p.nobody("/v1/overview")
}

func TestFacetsAreOfOnesOwnAccounts(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	for _, c := range []struct {
		accounts []string
		query    string
		want     string
	}{
		{[]string{auth.All}, "field=account", dev + "=3 " + prod + "=1"},
		{[]string{dev}, "field=account", dev + "=3"},
		{[]string{prod}, "field=severity", "HIGH=1"},
		{[]string{auth.All}, "field=account&prefix=" + prod[:4], prod + "=1"},
	} {
		code, got := p.ask("vera", "viewer", c.accounts, http.MethodGet, "/v1/findings/facets?"+c.query, nil)
		if code != http.StatusOK || counted(got["groups"]) != c.want {
			t.Errorf("%v %s: %d %v, want %s", c.accounts, c.query, code, got, c.want)
		}
	}
	for _, query := range []string{"", "field=shoe", "field=" + url.QueryEscape("account; DROP TABLE finding")} {
		if code, got := p.ask("vera", "viewer", []string{auth.All}, http.MethodGet, "/v1/findings/facets?"+query, nil); code != http.StatusUnprocessableEntity {
			t.Errorf("%q: %d %v", query, code, got)
		}
	}
	p.nobody("/v1/findings/facets?field=account")
}

// A view is its owner's: others see it when it is shared, and change it never.
func TestViewsAreTheirOwners(t *testing.T) {
	t.Parallel()
	p := newPages(t)
	everything := []string{auth.All}
	view := func(name string, shared bool) map[string]any {
		return map[string]any{"name": name, "page": "findings", "query": map[string]any{"f": []string{"severity=HIGH"}}, "shared": shared}
	}
	ids := map[string]string{}
	for name, shared := range map[string]bool{"own": false, "shared": true} {
		code, got := p.ask("ada", "viewer", everything, http.MethodPost, "/v1/views", view(name, shared))
		if code != http.StatusCreated || got["owner"] != "ada" || got["name"] != name {
			t.Fatalf("%d %v", code, got)
		}
		ids[name], _ = got["id"].(string)
	}
	listed := func(who string) (out []string) {
		_, got := p.ask(who, "viewer", everything, http.MethodGet, "/v1/views", nil)
		items, _ := got["items"].([]any)
		for _, i := range items {
			one, _ := i.(map[string]any)
			out = append(out, fmt.Sprint(one["name"]))
		}
		return out
	}
	if got := listed("ada"); len(got) != 2 {
		t.Errorf("the owner sees %v", got)
	}
	if diff := cmp.Diff([]string{"shared"}, listed("bob")); diff != "" {
		t.Errorf("another sees: %s", diff)
	}
	for _, who := range []struct {
		name, role string
	}{{"bob", "viewer"}, {"root", "administrator"}} {
		for name, want := range map[string]int{"own": http.StatusNotFound, "shared": http.StatusForbidden} {
			for method, body := range map[string]any{http.MethodPut: view("stolen", true), http.MethodDelete: nil} {
				if code, got := p.ask(who.name, who.role, everything, method, "/v1/views/"+ids[name], body); code != want {
					t.Errorf("%s: %s of the %s view: %d %v, want %d", who.name, method, name, code, got, want)
				}
			}
		}
	}
	if got := listed("ada"); len(got) != 2 || strings.Contains(strings.Join(got, " "), "stolen") {
		t.Errorf("after what others tried: %v", got)
	}
	for name, bad := range map[string]map[string]any{
		"no name": {"name": "", "page": "findings", "query": map[string]any{}}, "odd page": {"name": "x", "page": "../etc", "query": map[string]any{}},
		"no query": {"name": "x", "page": "findings"}, "an owner": {"name": "x", "page": "findings", "query": map[string]any{}, "owner": "bob"},
	} {
		if code, got := p.ask("ada", "viewer", everything, http.MethodPost, "/v1/views", bad); code != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %v", name, code, got)
		}
	}
	long := view("x", false)
	long["query"] = map[string]any{"f": strings.Repeat("x", 9<<10)}
	if code, got := p.ask("ada", "viewer", everything, http.MethodPost, "/v1/views", long); code != http.StatusBadRequest {
		t.Errorf("a query of 9 KB: %d %v", code, got)
	}
	p.nobody("/v1/views")
	if code, _ := p.ask("ada", "viewer", everything, http.MethodDelete, "/v1/views/"+ids["own"], nil); code != http.StatusNoContent {
		t.Errorf("the owner cannot forget a view: %d", code)
	}
}
