package automation_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
)

// hooks records posts and answers them.
type hooks struct {
	posts  []automation.Webhook
	answer automation.WebhookAnswer
	err    error
}

func (h *hooks) Post(_ context.Context, w automation.Webhook) (automation.WebhookAnswer, error) {
	h.posts = append(h.posts, w)
	return h.answer, h.err
}

func parameter(value string) map[string]any {
	return map[string]any{"Parameter": map[string]any{"Value": value}}
}

const secretURL = "https://hooks.example.com/T0P-S3CRET"

func TestWebhook(t *testing.T) {
	t.Parallel()
	whole := `{"description": "d", "url": "` + secretURL + `", "headers": {"X-A": "b"}, "payload": {"own": 1}}`
	for name, tt := range map[string]struct {
		inputs, value string
		hooks         *hooks
		want          automation.Status
		posted        string // body
		failure       string
	}{
		"own body":          {"{IntegrationName: chat, Body: 'n={{ Count }}'}", whole, &hooks{answer: automation.WebhookAnswer{Code: 200, Body: "ok"}}, automation.Success, "n=3", ""},
		"default body":      {"{IntegrationName: chat}", whole, &hooks{answer: automation.WebhookAnswer{Code: 204}}, automation.Success, `{"own":1}`, ""},
		"body as a map":     {"{IntegrationName: chat, Body: {a: b}}", whole, &hooks{answer: automation.WebhookAnswer{Code: 200}}, automation.Success, `{"a":"b"}`, ""},
		"refused":           {"{IntegrationName: chat, Body: x}", whole, &hooks{answer: automation.WebhookAnswer{Code: 403, Body: "go away"}}, automation.Failed, "x", "answered 403: go away"},
		"host not allowed":  {"{IntegrationName: chat, Body: x}", whole, &hooks{err: fault.Errorf(fault.Denied, "post", "host is not listed")}, automation.Failed, "x", "the integration chat: post: host is not listed"},
		"out of reach":      {"{IntegrationName: chat, Body: x}", whole, &hooks{err: errors.New("connection refused")}, automation.Failed, "x", "could not be called: connection refused"},
		"no address":        {"{IntegrationName: chat}", `{"description": "d"}`, &hooks{}, automation.Failed, "", "it has no url"},
		"no JSON":           {"{IntegrationName: chat}", secretURL, &hooks{}, automation.Failed, "", "its value is no JSON object"},
		"another parameter": {"{IntegrationName: ../../prod/password}", whole, &hooks{}, automation.Failed, "", "IntegrationName is no name"},
		"not wired":         {"{IntegrationName: chat}", whole, nil, automation.Failed, "", "may call no webhooks here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, action("A", "invokeWebhook", tt.inputs, "  maxAttempts: 3\n"))
			f.caller.answers["GetParameter"] = []any{parameter(tt.value)}
			if tt.hooks != nil {
				f.run.Webhooks = tt.hooks
			}
			o := f.segment(t)
			if o.Status != tt.want || o.Abort != nil {
				t.Fatalf("outcome %+v %+v", o, o.Failure)
			}
			if tt.failure != "" && !strings.Contains(o.Failure.Message, tt.failure) {
				t.Errorf("failure %s", o.Failure.Message)
			}
			if tt.posted != "" && (len(tt.hooks.posts) == 0 || tt.hooks.posts[0].Body != tt.posted || tt.hooks.posts[0].URL != secretURL) {
				t.Errorf("posted %+v", tt.hooks.posts)
			}
			for name, raw := range f.journal.done {
				if strings.Contains(string(raw), "S3CRET") {
					t.Errorf("checkpoint %s holds the address: %s", name, raw)
				}
			}
		})
	}
}

func TestWebhookIsPlannedAndNotPosted(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "invokeWebhook", "{IntegrationName: chat, Body: x}", "")+show("A.Response", "A.ResponseCode"))
	h := &hooks{}
	f.run.Planning, f.run.Steps, f.run.Unknown, f.run.Webhooks = true, nil, isLater, h
	f.caller.answers["GetParameter"] = []any{parameter(later)}
	o := f.segment(t)
	if o.Status != automation.Success || len(h.posts) != 0 {
		t.Fatalf("outcome %+v, posted %v", o, h.posts)
	}
	want := []map[string]any{
		{"Name": "/d9d01087-4a3f-49e0-b0b4-d568d7826553/ssm/integrations/webhook/chat", "WithDecryption": true}, {"AResponse": later, "AResponseCode": later},
	}
	if diff := cmp.Diff(want, f.caller.inputs); diff != "" {
		t.Error(diff)
	}
}

// TestWebhookRepeatedAfterACrash: the receiver can tell a repetition by its id.
func TestWebhookRepeatedAfterACrash(t *testing.T) {
	t.Parallel()
	f := setup(t, action("A", "invokeWebhook", "{IntegrationName: chat, Body: x}", ""))
	h := &hooks{answer: automation.WebhookAnswer{Code: 200}}
	f.run.Webhooks = h
	f.caller.answers["GetParameter"] = []any{parameter(`{"url": "` + secretURL + `"}`)}
	f.segment(t)
	clear(f.journal.done)
	f.segment(t)
	f.segment(t)
	if len(h.posts) != 2 || h.posts[0].ID != h.posts[1].ID || h.posts[0].ID == "" {
		t.Errorf("posts %+v", h.posts)
	}
}

func FuzzIntegration(f *testing.F) {
	f.Add(`{"url":"https://x","headers":{"a":"b"},"payload":{"c":1}}`)
	f.Add(`{"headers":[]}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, text string) {
		to, err := automation.ParseIntegration([]byte(text))
		if err == nil && to == "" {
			t.Errorf("%q gave no address", text)
		}
	})
}
