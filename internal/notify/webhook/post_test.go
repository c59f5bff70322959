package webhook_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/webhook"
)

// receiver is an HTTPS server under the name example.com, at a loopback address.
func receiver(t *testing.T, h http.HandlerFunc) (*httptest.Server, string) {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return s, u.Port()
}

func poster(t *testing.T, s *httptest.Server, private bool, hosts ...string) *webhook.Poster {
	t.Helper()
	cfg := webhook.PostConfig{Hosts: hosts, AllowPrivate: private}
	if s != nil {
		transport, ok := s.Client().Transport.(*http.Transport)
		if !ok {
			t.Fatal("no transport")
		}
		cfg.Transport = transport.Clone()
	}
	p, err := webhook.NewPoster(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPost(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body string
	s, port := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body = string(raw)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, strings.Repeat("x", webhook.MaxAnswer+10))
	})
	p := poster(t, s, true, "127.0.0.1.nip.example", "*.0.0.1")
	at := "https://127.0.0.1:" + port
	answer, err := p.Do(t.Context(), webhook.Post{ID: "id-1", URL: at + "/hook?token=s3cret", Headers: map[string]string{"x-a": "b", "content-type": "text/plain"}, Body: "hello"})
	if err != nil || answer.Code != http.StatusTeapot || len(answer.Body) != webhook.MaxAnswer {
		t.Fatalf("%v: %d, %d bytes", err, answer.Code, len(answer.Body))
	}
	if body != "hello" || got.Header.Get("X-A") != "b" || got.Header.Get("Content-Type") != "text/plain" || got.Header.Get(webhook.HeaderPost) != "id-1" {
		t.Errorf("received %q with %v", body, got.Header)
	}
	if answer, err = p.Do(t.Context(), webhook.Post{URL: at + "/moved"}); err != nil || answer.Code != http.StatusFound {
		t.Errorf("a redirect: %v, %d", err, answer.Code)
	}
}

func TestPostGoesNowhereElse(t *testing.T) {
	t.Parallel()
	s, port := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("it was received") })
	open, closed := poster(t, s, false, "hooks.example.com", "*.0.0.1"), poster(t, s, true)
	for name, tt := range map[string]struct {
		p    *webhook.Poster
		post webhook.Post
		code fault.Code
	}{
		"nothing is allowed":    {closed, webhook.Post{URL: "https://hooks.example.com/"}, fault.Denied},
		"another host":          {open, webhook.Post{URL: "https://hooks.example.com.evil.example/s3cret"}, fault.Denied},
		"the name below itself": {open, webhook.Post{URL: "https://.0.0.1/s3cret"}, fault.Denied},
		"plain http":            {open, webhook.Post{URL: "http://hooks.example.com/s3cret"}, fault.Denied},
		"a user name":           {open, webhook.Post{URL: "https://u:s3cret@hooks.example.com/"}, fault.Denied},
		"a private address":     {open, webhook.Post{URL: "https://127.0.0.1:" + port + "/s3cret"}, fault.Denied},
		"no address":            {open, webhook.Post{URL: "s3cret"}, fault.Invalid},
		"not parsed":            {open, webhook.Post{URL: "https://[s3cret"}, fault.Invalid},
		"too much":              {open, webhook.Post{URL: "https://hooks.example.com/", Body: strings.Repeat("x", webhook.MaxPost+1)}, fault.Invalid},
		"a smuggled header":     {open, webhook.Post{URL: "https://hooks.example.com/", Headers: map[string]string{"X": "a\r\nHost: b"}}, fault.Invalid},
		"another host's name":   {open, webhook.Post{URL: "https://hooks.example.com/", Headers: map[string]string{"host": "b"}}, fault.Invalid},
	} {
		_, err := tt.p.Do(t.Context(), tt.post)
		if !fault.Is(err, tt.code) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHostsOfPosts(t *testing.T) {
	t.Parallel()
	for _, h := range []string{"*", "*.*.com", "localhost", "a.example/x", "https://a.example", "a.example:1", ""} {
		if _, err := webhook.NewPoster(webhook.PostConfig{Hosts: []string{h}}); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%q: %v", h, err)
		}
	}
}
