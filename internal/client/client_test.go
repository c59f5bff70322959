package client_test

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  client.Config
		hint string
	}{
		"no address":    {client.Config{AccessKey: "a", Secret: "b"}, "PARRY_ENDPOINT"},
		"other scheme":  {client.Config{Endpoint: "ftp://x", AccessKey: "a", Secret: "b"}, "PARRY_ENDPOINT"},
		"plain, remote": {client.Config{Endpoint: "http://parry.example.com", AccessKey: "a", Secret: "b"}, "https://"},
		"no key":        {client.Config{Endpoint: "http://localhost:1"}, "parry key create"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := client.New(c.cfg)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.HintOf(err))
			}
		})
	}
}

func to(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Endpoint: server.URL + "/ignored?x=1", AccessKey: "PARRYX", Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestErrorsOfTheServer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status            int
		media, body       string
		code              fault.Code
		says, hint        string
		transient, broken bool
	}{
		"problem":        {409, "application/problem+json; charset=utf-8", `{"code":"conflict","detail":"expired","hint":"plan again"}`, fault.Conflict, "expired", "plan again", false, false},
		"unavailable":    {503, "application/problem+json", `{"code":"unavailable","detail":"later"}`, fault.Unavailable, "later", "", true, false},
		"unknown code":   {418, "application/problem+json", `{"code":"teapot","detail":"short"}`, fault.Internal, "short", "", false, false},
		"another server": {502, "text/html", `<h1>Bad gateway</h1>`, fault.Internal, "HTTP 502 and no error of Parry", "check the address", false, false},
		"redirect":       {302, "text/html", ``, fault.Internal, "HTTP 302", "check the address", false, false},
		"not JSON":       {200, "text/html", `hello`, fault.Internal, "read answer", "same version", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visits := 0
			_, err := to(t, func(w http.ResponseWriter, r *http.Request) {
				visits++
				w.Header().Set("Content-Type", c.media)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}).VerifyAudit(t.Context())
			if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(fault.HintOf(err), c.hint) || visits != 1 {
				t.Errorf("%v (%s), hint %q, %d visits", err, fault.CodeOf(err), fault.HintOf(err), visits)
			}
			if _, again := fault.IsTransient(err); again != c.transient {
				t.Errorf("transient: %v", again)
			}
		})
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	c, err := client.New(client.Config{Endpoint: "http://127.0.0.1:1", AccessKey: "a", Secret: "very-secret"})
	if err != nil {
		t.Fatal(err)
	}
	err = c.Health(t.Context())
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "parry serve") || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func TestServerWhoseCertificateNobodyKnows(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it would tell of the handshake
	server.StartTLS()
	t.Cleanup(server.Close)
	c, err := client.New(client.Config{Endpoint: server.URL, AccessKey: "PARRYX", Secret: "s"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.StopSwitch(t.Context())
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "SSL_CERT_FILE") {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
}

func TestIDsStayOneStep(t *testing.T) {
	t.Parallel()
	c := to(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s %s", r.Method, r.URL) })
	for _, id := range []string{"", ".", "..", "../keys", "a/b", `a\b`} {
		if err := c.RevokeKey(t.Context(), id); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestEveryRequestHasASignatureOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	c := to(t, func(w http.ResponseWriter, r *http.Request) {
		a := r.Header.Get("Authorization")
		if seen[a] || !strings.Contains(a, strings.ToLower(client.NonceHeader)) || !strings.Contains(a, "/parry/aws4_request") || r.URL.Path != "/v1/health" || r.URL.RawQuery != "" {
			t.Errorf("%s %s", r.URL, a)
		}
		seen[a] = true
	})
	for range 3 {
		if err := c.Health(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAnExportThatBreaksOffIsAnError(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := to(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("{}\n"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}).ExportAudit(t.Context(), 0, &out)
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "not whole") || out.String() != "{}\n" {
		t.Errorf("%v after %q", err, out.String())
	}
}
