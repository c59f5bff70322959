package destination_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/destination"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/target"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// clock is set by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) Now() time.Time { return time.Unix(1_800_000_000+c.at.Load(), 0) }

func sender(t *testing.T, hosts ...string) (*destination.Sender, *clock) {
	t.Helper()
	g, err := webhook.NewGuard(hosts, true)
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	s, err := destination.New(destination.Config{Guard: g, Clock: c, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "Parry/ApiDestinations" || r.Header.Get("Idempotency-Key") != "" {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
			return
		case "/close":
			panic(http.ErrAbortHandler)
		case "/garbage":
			hijacked, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(hijacked, "\x16\x03\x01 what?\r\n\r\n")
			_ = hijacked.Close()
			return
		case "/endless":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 32<<10))
			}
			return
		}
		code := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &code)
		w.Header().Set("Retry-After", r.URL.Query().Get("after"))
		if code/100 == 3 {
			w.Header().Set("Location", elsewhere.URL)
		}
		w.WriteHeader(code)
	}))
	defer server.Close()
	s, _ := sender(t, "127.0.0.1")
	for path, want := range map[string]struct {
		code     fault.Code
		terminal bool
		after    time.Duration
	}{
		"/200": {}, "/204": {}, "/299": {}, "/endless": {},
		"/301": {fault.Denied, true, 0}, "/302": {fault.Denied, true, 0}, "/308": {fault.Denied, true, 0}, "/304": {fault.Denied, true, 0},
		"/400": {fault.Invalid, true, 0}, "/403": {fault.Denied, true, 0}, "/404": {fault.NotFound, true, 0}, "/410": {fault.NotFound, true, 0}, "/408": {fault.Invalid, true, 0},
		"/401": {fault.Denied, false, 0}, "/407": {fault.Denied, false, 0}, "/409": {fault.Unavailable, false, 0},
		"/429?after=7": {fault.Exhausted, false, 7 * time.Second}, "/500": {fault.Unavailable, false, 0}, "/503?after=90000": {fault.Unavailable, false, time.Hour},
		"/503?after=-1": {fault.Unavailable, true, 0}, "/599": {fault.Unavailable, false, 0},
		"/slow": {fault.Unavailable, false, 0}, "/close": {fault.Unavailable, false, 0}, "/garbage": {fault.Unavailable, false, 0},
	} {
		err := s.Send(t.Context(), target.Connection{}, target.HTTPRequest{Method: http.MethodPost, URL: server.URL + path, Body: []byte(`{}`)})
		if want.code == "" {
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		after, again := fault.IsTransient(err)
		if !fault.Is(err, want.code) || fault.IsTerminal(err) != want.terminal || again == want.terminal || after != want.after {
			t.Errorf("%s: %v, again %v after %s; want %+v", path, err, again, after, want)
		}
		if err != nil && strings.Contains(err.Error(), "after=") {
			t.Errorf("%s: the error shows the address: %v", path, err)
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

func TestGoesNowhereElse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was called") }))
	defer server.Close()
	for name, tt := range map[string]struct {
		hosts   []string
		private bool
		url     string
	}{
		"not listed":             {nil, true, server.URL},
		"loopback":               {[]string{"127.0.0.1"}, false, server.URL},
		"http to a name":         {[]string{"h.example"}, true, "http://h.example/"},
		"a name that looks like": {[]string{"h.example"}, true, "https://evil-h.example/"},
		"metadata":               {[]string{"169.254.169.254"}, true, "https://169.254.169.254/latest/meta-data"},
		"metadata by http":       {[]string{"169.254.169.254"}, true, "http://169.254.169.254/latest/meta-data"},
		"unspecified":            {[]string{"0.0.0.0"}, true, "https://0.0.0.0/"},
		"private":                {[]string{"10.0.0.1"}, false, "https://10.0.0.1/"},
	} {
		g, err := webhook.NewGuard(tt.hosts, tt.private)
		if err != nil {
			t.Fatal(err)
		}
		s, err := destination.New(destination.Config{Guard: g, Clock: &clock{}})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), target.Connection{}, target.HTTPRequest{Method: http.MethodPost, URL: tt.url})
		if !fault.Is(err, fault.Denied) || !fault.IsTerminal(err) || fault.HintOf(err) == "" && !strings.Contains(err.Error(), "https") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// issuer is an authorization server with an endpoint that takes its last token alone.
type issuer struct {
	*httptest.Server
	mu      sync.Mutex
	issued  int
	refuse  int // code of refusals; 0: none
	expires int
	last    string
	asked   []*http.Request
	form    []string
	calls   int
	form200 string // in place of a token
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{expires: 3600}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if r.URL.Path == "/call" {
		i.calls++
		if r.Header.Get("Authorization") != "Bearer "+i.last || i.last == "" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return
	}
	raw, _ := io.ReadAll(r.Body)
	i.asked, i.form = append(i.asked, r), append(i.form, string(raw))
	switch {
	case i.refuse != 0:
		w.WriteHeader(i.refuse)
		_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"hush"}`)
	case i.form200 != "":
		_, _ = io.WriteString(w, i.form200)
	default:
		i.issued++
		i.last = fmt.Sprintf("token-%d", i.issued)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": i.last, "token_type": "bearer", "expires_in": i.expires})
	}
}

func (i *issuer) revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last = "revoked"
}

func (i *issuer) counts() (issued, calls int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.issued, i.calls
}

func (i *issuer) connection() target.Connection {
	return target.Connection{ARN: "arn", Version: "1", Auth: target.AuthParameters{OAuth: &target.OAuth{
		Client: target.OAuthClient{ID: "i d", Secret: "s:1"}, Endpoint: i.URL + "/token?fixed=1", Method: http.MethodPost,
		HTTP: &target.ConnectionHTTP{
			Header: []target.Parameter{{Key: "X-A", Value: "a"}, {Key: "Host", Value: "evil"}}, Query: []target.Parameter{{Key: "tenant", Value: "t"}}, Body: []target.Parameter{{Key: "scope", Value: "all of it"}},
		},
	}}}
}

func (i *issuer) send(ctx context.Context, s *destination.Sender, c target.Connection) error {
	return s.Send(ctx, c, target.HTTPRequest{Method: http.MethodPost, URL: i.URL + "/call", Body: []byte(`{}`)})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, clock := sender(t, "127.0.0.1")
	c := i.connection()
	step := func(what string, wantIssued, wantCalls int) {
		t.Helper()
		if err := i.send(t.Context(), s, c); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if issued, calls := i.counts(); issued != wantIssued || calls != wantCalls {
			t.Errorf("%s: %d tokens and %d calls, want %d and %d", what, issued, calls, wantIssued, wantCalls)
		}
	}
	step("the first", 1, 1)
	step("with the token at hand", 1, 2)
	clock.at.Store(3600 - 61)
	step("a moment before the margin", 1, 3)
	clock.at.Store(3600 - 59)
	step("within a minute of its end", 2, 4)
	i.revoke()
	step("a revoked one", 3, 6)
	c.Version = "2"
	step("a connection that changed", 4, 7)
	s.Keep(func(string, string) bool { return false })
	step("a token that was dropped", 5, 8)

	r, form := i.asked[0], i.form[0]
	if id, secret, ok := r.BasicAuth(); !ok || id != "i+d" || secret != "s%3A1" || r.Header.Get("X-A") != "a" || r.Host == "evil" || r.URL.RawQuery != "fixed=1&tenant=t" || form != "grant_type=client_credentials&scope=all+of+it" {
		t.Errorf("asked by %s %v %q", r.URL, r.Header, form)
	}
	get := c
	o := *c.Auth.OAuth
	o.Method, o.HTTP = http.MethodGet, &target.ConnectionHTTP{Body: []target.Parameter{{Key: "client_id", Value: "i"}, {Key: "client_secret", Value: "s"}}}
	get.Auth.OAuth = &o
	if err := s.Authorize(t.Context(), get); err != nil {
		t.Error(err)
	}
	if r := i.asked[len(i.asked)-1]; r.Header.Get("Authorization") != "" || r.URL.RawQuery != "client_id=i&client_secret=s&fixed=1&grant_type=client_credentials" || r.Method != http.MethodGet {
		t.Errorf("asked by %s %s %v", r.Method, r.URL, r.Header)
	}
}

// TestTokensAreShared: many deliveries at once ask for one token.
func TestTokensAreShared(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, _ := sender(t, "127.0.0.1")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := i.send(t.Context(), s, i.connection()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if issued, calls := i.counts(); issued != 1 || calls != 50 {
		t.Errorf("%d tokens, %d calls", issued, calls)
	}
}

func TestNoToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refuse int
		body   string
		code   fault.Code
		words  string
	}{
		"refused":       {401, "", fault.Denied, "answered 401 (invalid_client)"},
		"down":          {503, "", fault.Unavailable, "answered 503"},
		"no token":      {0, `{"access_token":""}`, fault.Denied, "no token"},
		"no JSON":       {0, `<html>`, fault.Denied, "no token"},
		"another type":  {0, `{"access_token":"a","token_type":"mac"}`, fault.Denied, "another type"},
		"lines":         {0, `{"access_token":"a\r\nX: y"}`, fault.Denied, "no token"},
		"far too long":  {0, strings.Repeat("x", 100<<10), fault.Unavailable, "too long"},
		"redirected":    {302, "", fault.Denied, "answered 302"},
		"slow down":     {429, "", fault.Unavailable, "answered 429"},
		"not even HTTP": {-1, "", fault.Unavailable, ""},
	} {
		i := newIssuer(t)
		i.refuse, i.form200 = tt.refuse, tt.body
		s, _ := sender(t, "127.0.0.1")
		if tt.refuse < 0 {
			i.Close()
		}
		for _, err := range []error{s.Authorize(t.Context(), i.connection()), i.send(t.Context(), s, i.connection())} {
			if _, again := fault.IsTransient(err); !fault.Is(err, tt.code) || !again || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "tenant") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if i.calls > 0 {
			t.Errorf("%s: the endpoint was called without a token", name)
		}
	}
}

// TestRefusedAnew: an endpoint that takes no token at all is asked twice in a delivery, no more.
func TestRefusedAnew(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	s, _ := sender(t, "127.0.0.1")
	if err := i.send(t.Context(), s, i.connection()); err != nil {
		t.Fatal(err)
	}
	never := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer never.Close()
	err := s.Send(t.Context(), i.connection(), target.HTTPRequest{Method: http.MethodPost, URL: never.URL})
	if _, again := fault.IsTransient(err); !again || !fault.Is(err, fault.Denied) {
		t.Errorf("%v", err)
	}
	if issued, _ := i.counts(); issued != 2 {
		t.Errorf("%d tokens", issued)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped"))
	if err := i.send(ctx, s, i.connection()); err == nil {
		t.Error("it was sent after its end")
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := destination.New(destination.Config{}); !fault.Is(err, fault.Internal) {
		t.Error(err)
	}
	s, _ := sender(t, "h.example")
	if err := s.Authorize(t.Context(), target.Connection{}); err != nil {
		t.Error(err)
	}
	for address, ok := range map[string]bool{"https://h.example/a": true, "https://other.example": false, "http://h.example": false, "://": false} {
		if err := s.Allowed(address); (err == nil) != ok {
			t.Errorf("%s: %v", address, err)
		}
	}
}
