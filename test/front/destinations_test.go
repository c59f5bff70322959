package front_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv"
)

// TestAPIDestinations: connections of all three types as boto3 and the AWS CLI make them, and
// what a receiver gets of them; an authorization server issues, expires and revokes tokens.
func TestAPIDestinations(t *testing.T) {
	onBoth(t, "destinations", func(t *testing.T, s *server, python string) {
		t.Helper()
		r := newShop(t)
		s.makeDestinations(t, python, r)
		s.reachesShop(t, r)
		s.tokensOfShop(t, r)
		s.connectionCLI(t, python)
		s.keepsSecrets(t)
	})
}

// shop is a receiver with an authorization server.
type shop struct {
	url string

	mu      sync.Mutex
	got     []received
	token   string // the one that is good
	issued  int
	expires int // seconds
}

// received is a call that was taken.
type received struct {
	Method, URI, Body string
	header            http.Header
}

func newShop(t *testing.T) *shop {
	t.Helper()
	r := &shop{expires: 3600}
	srv := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

func (r *shop) serve(w http.ResponseWriter, q *http.Request) {
	raw, _ := io.ReadAll(q.Body) // what is missing fails the test that waits for it
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case q.URL.Path == "/token":
		id, secret, _ := q.BasicAuth()
		if id != "parry" || secret != "hush-oauth" || string(raw) != "grant_type=client_credentials&pin=hush-pin" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"error":"invalid_client"}`)
			return
		}
		r.issued++
		r.token = fmt.Sprintf("hush-token-%d", r.issued)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d}`, r.token, r.expires)
	case strings.HasPrefix(q.URL.Path, "/oauth/") && q.Header.Get("Authorization") != "Bearer "+r.token:
		w.WriteHeader(http.StatusUnauthorized)
	default:
		r.got = append(r.got, received{q.Method, q.RequestURI, string(raw), q.Header})
	}
}

// take waits for n calls, and gives them by the first part of their path.
func (r *shop) take(t *testing.T, s *server, n int) map[string]received {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		r.mu.Lock()
		if len(r.got) >= n {
			out := map[string]received{}
			for _, g := range r.got {
				out[strings.Split(g.URI, "/")[1]] = g
			}
			r.got = nil
			r.mu.Unlock()
			return out
		}
		have := len(r.got)
		r.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("%d calls of %d; log:\n%s", have, n, s.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) makeDestinations(t *testing.T, python string, r *shop) {
	t.Helper()
	in, err := json.Marshal(map[string]any{"keys": s.keysForPython(), "receiver": r.url, "hub": hubAccount})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "destinations.py"), s.url)
	cmd.Env, cmd.Stdin = awsEnvironment(key{}), bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	for name, want := range map[string]string{
		"operator makes": "may not do event_rule.write", "operator changes": "may not do event_rule.write", "reader makes": "AccessDeniedException", "reader changes": "AccessDeniedException",
		"source makes": "AccessDeniedException", "source changes": "AccessDeniedException", "source reads": "may not do event_rule.read",
		"elsewhere": "list it under webhooks.hosts in parry.yaml", "metadata": "AccessDeniedException", "private": "VPC Lattice", "why": "answered 401 (invalid_client)",
	} {
		if text, _ := got[name].(string); !strings.Contains(text, want) {
			t.Errorf("%s: %v; want %q", name, got[name], want)
		}
		delete(got, name)
	}
	want := map[string]any{
		"states": []any{"AUTHORIZED", "AUTHORIZED", "AUTHORIZED"}, "secrets": false, "seen": []any{map[string]any{"Key": "from", "Value": "parry", "IsValueSecret": false}},
		"destination": map[string]any{"ApiDestinationState": "ACTIVE", "HttpMethod": "PUT", "InvocationRateLimitPerSecond": 50.0}, "connections": []any{"basic", "key", "oauth"},
		"destinations": []any{"key"}, "nobody": "DEAUTHORIZED", "deleted": "DELETING", "put": 0.0,
		"failed": map[string]any{"x": "ValidationException", "y": "ResourceNotFoundException"}, "rules of": []any{"sold"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// sell puts an event for the targets of the rule.
func (s *server) sell(t *testing.T, detail string) {
	t.Helper()
	entry, err := json.Marshal(map[string]any{"Entries": []any{map[string]string{"Source": "shop", "DetailType": "Sold", "Detail": detail}}})
	if err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, call{key: "scanner", service: "events", target: "AWSEvents.PutEvents", path: "/", body: string(entry)}); a.status != http.StatusOK || !strings.Contains(string(a.body), `"FailedEntryCount":0`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

// reachesShop: each call is as target, destination and connection have it together.
func (s *server) reachesShop(t *testing.T, r *shop) {
	t.Helper()
	s.sell(t, `{"id":"a/b","n":7}`)
	got := r.take(t, s, 3)
	want := map[string]received{
		"basic": {Method: "POST", URI: "/basic/a%2Fb?fixed=1&from=parry&n=7", Body: `{"id":"a/b","n":7,"pass":"hush-body"}`},
		"key":   {Method: "PUT", URI: "/key/a%2Fb?fixed=1&n=7", Body: `{"id":"a/b","n":7}`},
		"oauth": {Method: "POST", URI: "/oauth/a%2Fb?fixed=1&n=7", Body: `{"id":"a/b","n":7}`},
	}
	headers := map[string]map[string]string{"basic": {"Authorization": "Basic YWRhOmh1c2gtYmFzaWM=", "X-Tenant": "hush-tenant"}, "key": {"X-Shop-Key": "hush-key", "Authorization": ""}, "oauth": {"Authorization": "Bearer " + r.token}}
	for name, w := range want {
		g := got[name]
		h := g.header
		if g.Method != w.Method || g.URI != w.URI || g.Body != w.Body {
			t.Errorf("%s: got %+v, want %+v", name, g, w)
		}
		for header, value := range headers[name] {
			if h.Get(header) != value {
				t.Errorf("%s: %s is %q", name, header, h.Get(header))
			}
		}
		if h.Get("User-Agent") != "Parry/ApiDestinations" || h.Get("Content-Type") != "application/json; charset=utf-8" || len(h.Get("X-Event")) != 36 {
			t.Errorf("%s: headers %v", name, h)
		}
	}
	// A value that leads elsewhere is given up, and the other targets are not called either
	// by it: they have the same parameter.
	s.sell(t, `{"id":"../admin","n":7}`)
	s.letters(t, "--rule default/sold", 3, "INVALID_INPUT", "leads out of the endpoint's path")
}

// tokensOfShop: a token is asked for anew when it was revoked, and before its end.
func (s *server) tokensOfShop(t *testing.T, r *shop) {
	t.Helper()
	count := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.issued
	}
	before := count()
	s.sell(t, `{"id":"again","n":8}`)
	r.take(t, s, 3)
	if n := count(); n != before {
		t.Errorf("%d tokens were asked for, with one at hand", n-before)
	}
	r.mu.Lock()
	r.token, r.expires = "revoked", 62 // with the minute before its end: two seconds
	r.mu.Unlock()
	s.sell(t, `{"id":"revoked","n":9}`)
	if got := r.take(t, s, 3); got["oauth"].URI == "" || count() != before+1 {
		t.Errorf("after a token was revoked: %v, %d tokens", got, count()-before)
	}
	time.Sleep(2200 * time.Millisecond)
	s.sell(t, `{"id":"expired","n":10}`)
	if got := r.take(t, s, 3); got["oauth"].URI == "" || count() != before+2 {
		t.Errorf("after a token expired: %v, %d tokens", got, count()-before)
	}
}

// connectionCLI: the AWS CLI takes authorization away and gives it back.
func (s *server) connectionCLI(t *testing.T, python string) {
	t.Helper()
	aws, err := (&testenv.Env{Python: python}).AWS()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key, words string
		fails      bool
		args       []string
	}{
		{"reader", "(AccessDeniedException) when calling the DeauthorizeConnection operation", true, []string{"deauthorize-connection", "--name", "key"}},
		{"admin", `"ConnectionState": "DEAUTHORIZED"`, false, []string{"deauthorize-connection", "--name", "key"}},
		{"reader", `"ApiDestinationState": "INACTIVE"`, false, []string{"describe-api-destination", "--name", "key"}},
		{"admin", "needs ApiKeyAuthParameters", true, []string{"update-connection", "--name", "key", "--authorization-type", "API_KEY"}},
		{"admin", `"ConnectionState": "AUTHORIZED"`, false, []string{"update-connection", "--name", "key", "--auth-parameters", `{"ApiKeyAuthParameters":{"ApiKeyName":"X-Shop-Key","ApiKeyValue":"hush-other"}}`}},
		{"reader", `"ApiDestinationState": "ACTIVE"`, false, []string{"list-api-destinations", "--name-prefix", "ke"}},
		{"admin", "", false, []string{"delete-api-destination", "--name", "key"}},
		{"admin", `"ConnectionState": "DELETING"`, false, []string{"delete-connection", "--name", "key"}},
	} {
		cmd := exec.CommandContext(t.Context(), aws, append(append([]string{"events"}, c.args...), "--endpoint-url", s.url, "--output", "json")...)
		cmd.Env = awsEnvironment(s.keys[c.key])
		if out, err := cmd.CombinedOutput(); (err != nil) != c.fails || !strings.Contains(string(out), c.words) || strings.Contains(string(out), "hush") {
			t.Errorf("aws events %v: %v: %s", c.args, err, out)
		}
	}
	s.sell(t, `{"id":"gone","n":11}`)
	s.letters(t, "--rule default/sold --target key --code NO_RESOURCE", 1, "NO_RESOURCE", "deleted")
}

// keepsSecrets: none is in the log, nor in the audit log, nor in any file.
func (s *server) keepsSecrets(t *testing.T) {
	t.Helper()
	if strings.Contains(s.log.String(), "hush") {
		t.Errorf("the log has a secret:\n%s", s.log)
	}
	if out := s.says(t, "admin", 0, []string{"audit", "export"}, "connection.deauthorized", "secrets_sha256"); strings.Contains(out, "hush") {
		t.Errorf("the audit log has a secret: %s", out)
	}
	err := filepath.WalkDir(s.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil // of the database's own, which come and go
		}
		if bytes.Contains(raw, []byte("hush-")) {
			t.Errorf("%s has a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// letter is a delivery that was given up.
type letter struct {
	Target, Code, Reason string
	Attempts             int
	Event                struct {
		Detail struct{ ID string }
	}
}

// letters waits for n dead letters, each with code and words.
func (s *server) letters(t *testing.T, filter string, n int, code, words string) []letter {
	t.Helper()
	var all []letter
	for deadline := time.Now().Add(45 * time.Second); ; {
		all = nil
		out, _ := s.parry(t, "admin", append([]string{"dlq", "list", "-o", "json"}, strings.Fields(filter)...)...)
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if len(all) == n {
			break
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("%d dead letters instead of %d: %+v; log:\n%s", len(all), n, all, s.log)
		}
		pause(t.Context(), 200*time.Millisecond)
	}
	for _, l := range all {
		if l.Code != code && code != "" || !strings.Contains(l.Reason, words) || strings.Contains(l.Reason, "fixed=1") {
			t.Errorf("given up with %+v; want %s, %q", l, code, words)
		}
	}
	return all
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
