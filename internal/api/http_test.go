package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
)

// ask sends a request signed with the key of role for accounts, which as() made.
func (b bench) ask(t *testing.T, keyID, method, path, body string) (*http.Response, api.Problem) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if keyID != "" {
		sum := sha256.Sum256([]byte(body))
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "parry", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	return do(t, r)
}

func do(t *testing.T, r *http.Request) (*http.Response, api.Problem) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p api.Problem
	if res.StatusCode >= 400 {
		if err := json.Unmarshal(raw, &p); err != nil || res.Header.Get("Content-Type") != "application/problem+json" || p.Status != res.StatusCode {
			t.Errorf("HTTP %d is no problem: %s", res.StatusCode, raw)
		}
	}
	return res, p
}

func TestRequestsThatDoNotFitTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.as(t, "admin", "*")
	const key = "PARRYADMINALL"
	for name, c := range map[string]struct {
		key, method, path, body string
		status                  int
		code, says              string
	}{
		"unsigned":            {"", "GET", "/v1/findings", "", 401, "denied", "Missing Authentication Token"},
		"unknown key":         {"PARRYNOBODY", "GET", "/v1/findings", "", 403, "denied", "security token"},
		"no such endpoint":    {key, "GET", "/v1/nothing", "", 404, "not_found", "no such endpoint"},
		"no such method":      {key, "DELETE", "/v1/findings", "", 404, "not_found", "no such endpoint"},
		"limit too large":     {key, "GET", "/v1/findings?limit=201", "", 422, "invalid", "query.limit"},
		"limit 0":             {key, "GET", "/v1/remediations?limit=0", "", 422, "invalid", "query.limit"},
		"limit is text":       {key, "GET", "/v1/approvals?limit=x", "", 422, "invalid", "query.limit"},
		"unknown parameter":   {key, "GET", "/v1/findings?accounts=*", "", 422, "invalid", "accounts"},
		"unknown state":       {key, "GET", "/v1/remediations?state=done", "", 422, "invalid", "query.state"},
		"key is no key":       {key, "GET", "/v1/findings/x", "", 404, "not_found", "no finding"},
		"body is broken":      {key, "POST", "/v1/remediations", "{", 400, "invalid", ""},
		"body is a list":      {key, "POST", "/v1/remediations", "[]", 422, "invalid", "expected object"},
		"member unknown":      {key, "POST", "/v1/approvals/apr-dev/grant", `{"plan_hash":"` + string(hash("a")) + `","force":true}`, 422, "invalid", "force"},
		"hash is missing":     {key, "POST", "/v1/approvals/apr-dev/grant", `{"reason":"x"}`, 422, "invalid", "plan_hash"},
		"body over 1 MB":      {key, "POST", "/v1/remediations", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "invalid", "smaller than 1048576 bytes"},
		"encoded dots":        {key, "GET", "/v1/plans/%2e%2e", "", 400, "invalid", "The path"},
		"cursor is too long":  {key, "GET", "/v1/findings?cursor=" + strings.Repeat("x", 33000), "", 422, "invalid", "query.cursor"},
		"export from a text":  {key, "GET", "/v1/audit/export?after=x", "", 422, "invalid", "query.after"},
		"finding key foreign": {key, "GET", "/v1/remediations?finding=%20", "", 404, "not_found", "no finding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, p := b.ask(t, c.key, c.method, c.path, c.body)
			if res.StatusCode != c.status || p.Code != c.code || !strings.Contains(p.Detail, c.says) {
				t.Errorf("want %d %s %q, got %d %+v", c.status, c.code, c.says, res.StatusCode, p)
			}
			for _, h := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Cache-Control", "X-Frame-Options"} {
				if res.Header.Get(h) == "" {
					t.Errorf("no %s", h)
				}
			}
			if res.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Error("other origins are let in")
			}
		})
	}
}

func TestAChangeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.as(t, "operator", "*")
	sum := sha256.Sum256(nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/v1/remediations/rem-dev/undo", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "PARRYOPERATORALL", SecretAccessKey: "secret"}, r, hex.EncodeToString(sum[:]), "parry", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	if res, p := do(t, r.Clone(t.Context())); res.StatusCode != http.StatusAccepted {
		t.Fatal(res.StatusCode, p)
	}
	if res, p := do(t, r.Clone(t.Context())); res.StatusCode != http.StatusConflict || p.Code != "conflict" || !strings.Contains(p.Detail, "accepted already") {
		t.Errorf("replay: %d %+v", res.StatusCode, p)
	}
	if len(b.calls) != 1 {
		t.Errorf("%v", b.calls)
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.as(t, "admin", "*")
	b.fail = errors.New("table finding_v3 is gone")
	res, p := b.ask(t, "PARRYADMINALL", "GET", "/v1/findings", "")
	if res.StatusCode != http.StatusInternalServerError || p.Code != "internal" || strings.Contains(p.Detail, "finding_v3") {
		t.Errorf("%d %+v", res.StatusCode, p)
	}
}

func TestHealthSaysNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		status int
		body   string
	}{
		"ready":     {nil, 200, `{"status":"ok"}`},
		"not ready": {errors.New("password of database is wrong"), 503, `{"status":"unavailable"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVault()
			h, err := api.New(api.Config{
				Findings: v, Ranker: v, Remediations: v, Journal: v, Redact: redact, Approvals: v, Approver: v, Requester: v, Work: v, Audit: v, Switch: v, Keys: v, Persons: noPersons{}, Remover: noPersons{}, People: nobody{}, Joiner: nobody{}, Passwords: nobody{}, Streams: noStreams(), Views: noViews{}, Attacher: v, Rules: ruleVault{v}, Exceptions: exceptionVault{v}, Cases: noCases{}, Insights: unasked{}, Counter: unasked{}, Executions: v, Sources: v, Guards: v.guards, Controls: v, Follower: orgVault{v}, Directory: orgVault{v}, Sweeper: v, Channels: channelVault{v}, Bus: noBus(),
				Ready: func(context.Context) error { return c.err },
			})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/health", nil))
			if w.Code != c.status || strings.TrimSpace(w.Body.String()) != c.body {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			// So does what answers without the other endpoints.
			for _, path := range []string{"/v1/health", "/v1/health?verbose=true"} {
				alone, among := httptest.NewRecorder(), httptest.NewRecorder()
				h.ServeHealth(alone, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
				h.ServeHTTP(among, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
				if diff := cmp.Diff([]any{among.Code, among.Header(), among.Body.String()}, []any{alone.Code, alone.Header(), alone.Body.String()}); diff != "" {
					t.Errorf("%s (-endpoint +alone):\n%s", path, diff)
				}
			}
		})
	}
}

// TestNobodyMayDoAnything: without the front, hence without a principal, every
// endpoint but health refuses.
func TestNobodyMayDoAnything(t *testing.T) {
	t.Parallel()
	v := newVault()
	h, err := api.New(api.Config{Findings: v, Ranker: v, Remediations: v, Journal: v, Redact: redact, Approvals: v, Approver: v, Requester: v, Work: v, Audit: v, Switch: v, Keys: v, Persons: noPersons{}, Remover: noPersons{}, People: nobody{}, Joiner: nobody{}, Passwords: nobody{}, Streams: noStreams(), Views: noViews{}, Attacher: v, Rules: ruleVault{v}, Exceptions: exceptionVault{v}, Cases: noCases{}, Insights: unasked{}, Counter: unasked{}, Executions: v, Sources: v, Guards: v.guards, Controls: v, Follower: orgVault{v}, Directory: orgVault{v}, Sweeper: v, Channels: channelVault{v}, Bus: noBus()})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/findings", "/v1/findings/x", "/v1/controls", "/v1/controls/S3.8", "/v1/scores", "/v1/resources", "/v1/remediations", "/v1/plans/rem-dev", "/v1/remediations/rem-dev/calls", "/v1/approvals", "/v1/audit/export", "/v1/stop-switch", "/v1/guards", "/v1/keys", "/v1/channels"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestAnExportThatFailsOnTheWay must not look like a whole one.
func TestAnExportThatFailsOnTheWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.brokenAfter = 500
	var out bytes.Buffer
	if err := b.as(t, "admin", "*").ExportAudit(t.Context(), 0, &out); !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v after %d bytes", err, out.Len())
	}
}
