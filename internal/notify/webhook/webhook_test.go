package webhook_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/service"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

var message = notify.Message{
	ID: "ntf-1", Subject: "s", Body: "b <script>\n",
	Event: bus.Event{Version: "0", ID: "e", Source: bus.SourceParry, Time: at, Resources: []string{}, Detail: json.RawMessage(`{"a":1}`)},
}

func sender(t *testing.T, url string) *webhook.Sender {
	t.Helper()
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	s, err := webhook.New(webhook.Config{URL: url, Secret: secret, Clock: service.NewFixedClock(at), Timeout: 5 * time.Second, Base: base})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSend(t *testing.T) {
	t.Parallel()
	var header http.Header
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, body = r.Header.Clone(), must(io.ReadAll(r.Body))
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	if answer, err := sender(t, srv.URL+"/hook?token=t").Send(t.Context(), message); err != nil || answer != "HTTP 202 Accepted" {
		t.Fatalf("answer %q, %v", answer, err)
	}
	if err := webhook.Verify([]byte(secret), at.Add(time.Minute), header.Get(webhook.HeaderSignature), body); err != nil {
		t.Errorf("the signature does not verify: %v", err)
	}
	if header.Get(webhook.HeaderID) != "ntf-1" || header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", header)
	}
	var got webhook.Payload
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	want := webhook.Payload{ID: "ntf-1", Subject: "s", Text: "b <script>\n", Event: message.Event}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func TestVerify(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	good := webhook.Sign([]byte(secret), at, body)
	for name, tc := range map[string]struct {
		header, body, secret string
		now                  time.Time
		ok                   bool
	}{
		"good":         {good, "{}", secret, at, true},
		"other body":   {good, "{ }", secret, at, false},
		"other secret": {good, "{}", secret + "x", at, false},
		"too old":      {good, "{}", secret, at.Add(6 * time.Minute), false},
		"from ahead":   {good, "{}", secret, at.Add(-6 * time.Minute), false},
		"other time":   {strings.Replace(good, "t=1", "t=2", 1), "{}", secret, at, false},
		"empty":        {"", "{}", secret, at, false},
		"no time":      {"t=x,v1=00", "{}", secret, at, false},
		"no hex":       {"t=1,v1=zz", "{}", secret, at, false},
	} {
		if err := webhook.Verify([]byte(tc.secret), tc.now, tc.header, []byte(tc.body)); (err == nil) != tc.ok {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code       int
		retryAfter string
		wait       time.Duration // 0 = terminal
	}{
		"no content comes as no":  {code: 404},
		"gone":                    {code: 410},
		"redirect":                {code: 302},
		"too many":                {code: 429, wait: 10 * time.Second},
		"too many, wait":          {code: 429, retryAfter: "120", wait: 2 * time.Minute},
		"too many, wait for date": {code: 503, retryAfter: at.Add(time.Minute).Format(http.TimeFormat), wait: time.Minute},
		"too many, wait for ever": {code: 503, retryAfter: "999999999", wait: time.Hour},
		"nonsense wait":           {code: 500, retryAfter: "soon", wait: 10 * time.Second},
		"negative wait":           {code: 500, retryAfter: "-5", wait: 10 * time.Second},
		"timeout":                 {code: 408, wait: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			followed := false
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/elsewhere" {
					followed = true
				}
				w.Header().Set("Location", "/elsewhere")
				if tc.retryAfter != "" {
					w.Header().Set("Retry-After", tc.retryAfter)
				}
				w.WriteHeader(tc.code)
			}))
			defer srv.Close()
			_, err := sender(t, srv.URL).Send(t.Context(), message)
			wait, transient := fault.IsTransient(err)
			if err == nil || transient != (tc.wait > 0) || wait != tc.wait || fault.IsTerminal(err) == transient {
				t.Errorf("error %v, wait %s, want %s", err, wait, tc.wait)
			}
			if followed {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestAwayIsTriedAgainAndTheTokenStaysSecret(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	_, err := sender(t, srv.URL+"/hook?token=hunter2").Send(t.Context(), message)
	if _, ok := fault.IsTransient(err); !ok {
		t.Errorf("error %v is not transient", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %q prints the token", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	clock := service.NewFixedClock(at)
	for url, ok := range map[string]bool{
		"https://hooks.example.com/x": true, "http://127.0.0.1:8080/x": true, "http://[::1]:8080/": true,
		"http://hooks.example.com/x": false, "http://localhost:8080/": false, "http://10.0.0.1/": false, "ftp://127.0.0.1/": false,
		"https://user:hunter2@hooks.example.com/": false, "https:///x": false, "": false, "https://a b/?token=hunter2": false, "file:///etc/passwd": false,
	} {
		_, err := webhook.New(webhook.Config{URL: url, Secret: secret, Clock: clock})
		if ok != (err == nil) || !ok && !fault.Is(err, fault.Invalid) {
			t.Errorf("url %q gives %v", url, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q prints the secret", err)
		}
	}
	if _, err := webhook.New(webhook.Config{URL: "https://a/", Secret: "short", Clock: clock}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a short key gives %v", err)
	}
}
