package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/console"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// door lets in whoever has the token "<role> <accounts>", as that.
type door struct{ ended map[store.Secret]bool }

func (d door) Who(_ context.Context, token store.Secret) (auth.SignedIn, error) {
	role, account, ok := strings.Cut(token.Reveal(), ".")
	roles, err := auth.ParseRoles([]string{role})
	if !ok || err != nil || d.ended[token] {
		return auth.SignedIn{}, fault.Errorf(fault.NotFound, "find session", "none")
	}
	if account == "all" {
		account = auth.All
	}
	return auth.SignedIn{Principal: auth.Principal{Name: role, Session: "ses-1", Roles: roles, Accounts: []string{account}}, Role: role}, nil
}

func (d door) Still(ctx context.Context, token store.Secret) (auth.SignedIn, error) {
	return d.Who(ctx, token)
}

func (d door) SignIn(ctx context.Context, a auth.Attempt) (auth.SignedIn, store.Secret, error) {
	switch a.Password {
	case "right":
		s, err := d.Who(ctx, "viewer.all")
		return s, "viewer.all", err
	case "often":
		return auth.SignedIn{}, "", fault.Errorf(fault.Exhausted, "sign in", "too many")
	}
	return auth.SignedIn{}, "", auth.ErrSignIn
}

func (d door) SignOut(_ context.Context, token store.Secret) error {
	d.ended[token] = true
	return nil
}

// browserBench is the one port as browsers meet it.
func browserBench(t *testing.T) (*httptest.Server, *api.API, *api.Streams, *vault) {
	t.Helper()
	v, d := newVault(), door{map[store.Secret]bool{}}
	streams := noStreams()
	h, err := api.New(api.Config{
		Findings: v, Ranker: v, Remediations: v, Journal: v, Redact: redact, Approvals: v, Approver: v, Requester: v, Work: v, Audit: v, Switch: v, Keys: v, Persons: noPersons{}, Remover: noPersons{}, People: d, Joiner: nobody{}, Passwords: nobody{}, Streams: streams, Views: noViews{}, Attacher: v, Rules: ruleVault{v}, Exceptions: exceptionVault{v}, Cases: noCases{}, Insights: unasked{}, Counter: unasked{}, Executions: v, Sweeper: v, Channels: channelVault{v}, Bus: noBus(), Sources: v, Guards: v.guards, Controls: v, Follower: orgVault{v}, Directory: orgVault{v}, Followed: true, Accounts: orgAccounts,
	})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := auth.NewKeyring(v)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := console.From(fstest.MapFS{"index.html": {Data: []byte("<!doctype html>page")}, "assets/a-1.js": {Data: []byte("script")}, ".vite/manifest.json": {Data: []byte("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	front, err := awsfront.New(awsfront.Config{
		Keys: ring, Signatures: v, Services: map[string]awsfront.Service{api.Service: h}, Health: h, People: d, Pages: pages, Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	t.Cleanup(streams.Close)
	return server, h, streams, v
}

// browse sends a request as a browser would, with the cookie of a session.
func browse(t *testing.T, server *httptest.Server, method, path, token, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Cookie", "parry_session="+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(raw)
}

// TestEveryRoleAndEveryOperation holds each registered operation to its action for
// each role of people: who lacks it gets 403 before anything else is looked at, and
// nobody is let in without a session.
func TestEveryRoleAndEveryOperation(t *testing.T) {
	t.Parallel()
	server, h, _, v := browserBench(t)
	ops := h.Operations()
	if len(ops) < 80 {
		t.Fatalf("only %d operations", len(ops))
	}
	var open []string
	refused := 0
	for _, op := range ops {
		path := strings.NewReplacer("{id}", "x", "{key}", "x", "{name}", "x", "{arn}", "x", "{account}", dev).Replace(op.Path)
		if op.Action == "" {
			open = append(open, op.ID)
			continue
		}
		for _, token := range []string{"", "nobody.all", "viewer", "root.all"} {
			if res, body := browse(t, server, op.Method, path, token, ""); res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
				t.Errorf("%s with token %q: %d %s", op.ID, token, res.StatusCode, body)
			}
		}
		for _, title := range auth.PersonRoles() {
			roles, err := auth.ParseRoles([]string{title})
			if err != nil {
				t.Fatal(err)
			}
			if roles[0].May(op.Action) {
				continue
			}
			refused++
			// What a request says, and whether it keeps the contract, does not matter to who may
			// not ask at all.
			for _, body := range []string{"", "{}", "[]", "{"} {
				res, answer := browse(t, server, op.Method, path, title+".all", body)
				var p api.Problem
				if err := json.Unmarshal([]byte(answer), &p); err != nil {
					t.Errorf("%s as %s: %s", op.ID, title, answer)
				}
				if res.StatusCode != http.StatusForbidden || !strings.Contains(p.Detail, string(op.Action)) {
					t.Errorf("%s as %s: %d %s", op.ID, title, res.StatusCode, answer)
				}
			}
		}
	}
	if refused < 40 {
		t.Errorf("only %d refusals were tried", refused)
	}
	slices.Sort(open)
	if got := strings.Join(open, " "); got != "change-own-password follow-changes get-health get-invitation get-session sign-in sign-out use-invitation" {
		t.Errorf("open to everybody: %s", got)
	}
	if len(v.calls) > 0 || len(v.audited) > 0 {
		t.Errorf("a refused request had an effect: %v %v", v.calls, v.audited)
	}
}

func TestAnotherSiteChangesNothing(t *testing.T) {
	t.Parallel()
	server, _, _, v := browserBench(t)
	const stop = `{"on":true,"reason":"x"}`
	for name, header := range map[string][]string{
		"another origin": {"Origin", "https://evil.example"}, "null origin": {"Origin", "null"}, "cross-site": {"Sec-Fetch-Site", "cross-site"},
		"same site, other host": {"Sec-Fetch-Site", "same-site"}, "other port": {"Origin", "http://127.0.0.1:1"},
	} {
		for _, c := range [][3]string{{"PUT", "/v1/stop-switch", stop}, {"POST", "/v1/session", `{"name":"a","password":"right"}`}, {"DELETE", "/v1/session", ""}, {"POST", "/v1/invitation", `{"code":"ada.x","password":"right"}`}, {"POST", "/v1/invitation/look", `{"code":"ada.x"}`}} {
			res, body := browse(t, server, c[0], c[1], "administrator.all", c[2], header...)
			if res.StatusCode != http.StatusForbidden || len(res.Header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s: %s %s: %d %s", name, c[0], c[1], res.StatusCode, body)
			}
		}
	}
	if v.on {
		t.Error("the switch was set")
	}
	for name, header := range map[string][]string{"own origin": {"Origin", server.URL}, "same origin": {"Sec-Fetch-Site", "same-origin"}} {
		if res, body := browse(t, server, "PUT", "/v1/stop-switch", "administrator.all", stop, header...); res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, res.StatusCode, body)
		}
	}
	// A cookie does not sign what AWS's services take.
	if res, _ := browse(t, server, "POST", "/findings/import", "administrator.all", "{}"); res.StatusCode != http.StatusForbidden {
		t.Errorf("import by cookie: %d", res.StatusCode)
	}
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	server, _, _, _ := browserBench(t)
	res, body := browse(t, server, "POST", "/v1/session", "", `{"name":"ada","password":"right"}`)
	if got := res.Header.Get("Set-Cookie"); res.StatusCode != http.StatusOK || got != "parry_session=viewer.all; Path=/; HttpOnly; SameSite=Strict" || strings.Contains(body, "viewer.all") {
		t.Errorf("%d %q %s", res.StatusCode, got, body)
	}
	for says, c := range map[string]struct {
		body   string
		status int
	}{
		"name or password": {`{"name":"ada","password":"hunter2hunter2"}`, 401}, "too many": {`{"name":"ada","password":"often"}`, 429}, "password": {`{"name":"ada"}`, 422},
		"length": {`{"name":"ada","password":"` + strings.Repeat("hunter2", 100) + `"}`, 422}, "smaller": {`{"name":"ada","password":"` + strings.Repeat("hunter2", 1000) + `"}`, 413},
	} {
		res, body := browse(t, server, "POST", "/v1/session", "", c.body)
		if res.StatusCode != c.status || strings.Contains(body, "hunter2") || len(res.Header.Values("Set-Cookie")) > 0 || c.status == 429 != (res.Header.Get("Retry-After") == "900") {
			t.Errorf("%s: %d %s %v", says, res.StatusCode, body, res.Header)
		}
	}
	if res, _ := browse(t, server, "GET", "/v1/session", "viewer.all", ""); res.StatusCode != http.StatusOK {
		t.Errorf("who am I: %d", res.StatusCode)
	}
	res, _ = browse(t, server, "DELETE", "/v1/session", "viewer.all", "")
	if got := res.Header.Get("Set-Cookie"); res.StatusCode != http.StatusNoContent || got != "parry_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" {
		t.Errorf("%d %q", res.StatusCode, got)
	}
	for _, path := range []string{"/v1/session", "/v1/findings"} {
		if res, _ := browse(t, server, "GET", path, "viewer.all", ""); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s after sign-out: %d", path, res.StatusCode)
		}
	}
	// Who is no trusted proxy does not say that there was TLS.
	res, _ = browse(t, server, "POST", "/v1/session", "", `{"name":"ada","password":"right"}`, "X-Forwarded-Proto", "https", "X-Forwarded-For", "203.0.113.9")
	if strings.Contains(res.Header.Get("Set-Cookie"), "Secure") || res.Header.Get("Strict-Transport-Security") != "" {
		t.Errorf("a header was believed: %v", res.Header)
	}
}

func TestEveryAnswerHasItsHeaders(t *testing.T) {
	t.Parallel()
	server, _, _, _ := browserBench(t)
	html := []string{"Accept", "text/html"}
	for path, want := range map[string]struct {
		status int
		page   bool
	}{
		"/": {200, true}, "/findings": {200, true}, "/findings/abc": {200, true}, "/sign-in": {200, true}, "/assets/a-1.js": {200, true},
		"/assets/none.js": {404, true}, "/assets/../index.html": {404, true}, "/assets/%2e%2e/%2e%2e/etc/passwd": {404, true}, "/.vite/manifest.json": {200, true}, // the page, not the file
		"/v1/findings": {401, false}, "/v1/none": {401, false}, "/v1/health": {200, false}, "/%0d%0aSet-Cookie:%20x=y": {200, true},
	} {
		res, body := browse(t, server, "GET", path, "", "", html...)
		csp := res.Header.Get("Content-Security-Policy")
		if res.StatusCode != want.status || !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || want.page != strings.Contains(csp, "script-src 'self'") {
			t.Errorf("%s: %d, %q", path, res.StatusCode, csp)
		}
		for header, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin"} {
			if res.Header.Get(header) != value {
				t.Errorf("%s: %s is %q", path, header, res.Header.Get(header))
			}
		}
		if strings.Contains(body, "root:") || body == "{}" || len(res.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %q %v", path, body, res.Header)
		}
	}
	// Without text/html it is a client of AWS's, which gets AWS's refusal.
	if res, _ := browse(t, server, "GET", "/", "", ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("a client: %d", res.StatusCode)
	}
	if res, _ := browse(t, server, "POST", "/", "", "x", html...); res.StatusCode != http.StatusForbidden {
		t.Errorf("a post of a page: %d", res.StatusCode)
	}
}

func TestStreamsAreLimitedAndFiltered(t *testing.T) {
	t.Parallel()
	server, _, streams, _ := browserBench(t)
	open := func(token, last string) (*http.Response, *bufio.Scanner) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", "parry_session="+token)
		if last != "" {
			r.Header.Set("Last-Event-ID", last)
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = res.Body.Close() })
		return res, bufio.NewScanner(res.Body)
	}
	next := func(s *bufio.Scanner, prefix string) string {
		for s.Scan() {
			if rest, ok := strings.CutPrefix(s.Text(), prefix); ok {
				return rest
			}
		}
		return "(ended)"
	}
	if res, _ := open("nobody.all", ""); res.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody: %d", res.StatusCode)
	}
	_, one := open("viewer."+dev, "")
	first := next(one, "id: ")
	next(one, "data: ")
	streams.Put([]store.Hint{
		{Kind: store.HintFinding, ID: "prod-1", Account: prod, Rev: 2},
		{Kind: store.HintException, ID: "exc-1"},
		{Kind: store.HintFinding, ID: "dev-1", Account: dev, Rev: 2},
		{Kind: store.HintFinding, ID: "dev-1", Account: dev, Rev: 3},
	}, false)
	if a, b := next(one, "data: "), next(one, "data: "); a != `{"type":"exception"}` || b != `{"type":"finding","id":"dev-1","rev":3}` {
		t.Errorf("a viewer of dev was told %s %s", a, b)
	}
	// Who comes back gets what was missed; who was away for too long is told so.
	_, again := open("viewer."+dev, first)
	if got := []string{next(again, "data: "), next(again, "data: "), next(again, "data: ")}; got[0] != `{"type":"ready"}` || got[2] != `{"type":"finding","id":"dev-1","rev":3}` {
		t.Errorf("resumed: %v", got)
	}
	for _, last := range []string{"0000-1", "x", strings.Split(first, "-")[0] + "-99999", strings.Split(first, "-")[0] + "--1"} {
		_, lost := open("approver."+dev, last)
		if got := []string{next(lost, "data: "), next(lost, "data: ")}; got[1] != `{"type":"reset"}` {
			t.Errorf("last event %s: %v", last, got)
		}
	}
	streams.Put(nil, true)
	if got := next(one, "data: "); got != `{"type":"reset"}` {
		t.Errorf("after a gap: %s", got)
	}
	var refused *http.Response
	for range 20 {
		if res, _ := open("responder.all", ""); res.StatusCode != http.StatusOK {
			refused = res
		}
	}
	if refused == nil || refused.StatusCode != http.StatusTooManyRequests {
		t.Errorf("20 streams of one person: %v", refused)
	}
	done := make(chan string, 1)
	go func() { done <- next(one, "data: ") }()
	streams.Close()
	select {
	case got := <-done:
		if got != "(ended)" {
			t.Errorf("after the end: %s", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("a stream outlives the server")
	}
}
