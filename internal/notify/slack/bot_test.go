package slack_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/slack"
	"github.com/parry-security/parry/internal/store/storetest"
)

const token = "xoxb-hunter2"

// posted is what the API got.
type posted struct {
	Channel   string `json:"channel"`
	Text      string `json:"text"`
	Thread    string `json:"thread_ts"`
	Broadcast bool   `json:"reply_broadcast"`
	Metadata  struct {
		Payload map[string]string `json:"event_payload"`
	} `json:"metadata"`
}

// workspace answers chat.postMessage.
type workspace struct {
	mu     sync.Mutex
	got    []posted
	code   int
	answer string // "" = taken
	after  string // Retry-After of an answer
}

func (w *workspace) ServeHTTP(res http.ResponseWriter, req *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	raw, err := io.ReadAll(req.Body)
	var p posted
	if err != nil || json.Unmarshal(raw, &p) != nil || req.URL.Path != "/api/chat.postMessage" || req.Header.Get("Authorization") != "Bearer "+token {
		res.WriteHeader(http.StatusTeapot)
		return
	}
	if w.answer != "" {
		if w.after != "" {
			res.Header().Set("Retry-After", w.after)
		}
		res.WriteHeader(w.code)
		_, _ = io.WriteString(res, w.answer)
		return
	}
	w.got = append(w.got, p)
	_, _ = io.WriteString(res, `{"ok":true,"ts":"17000000`+strconv.Itoa(10+len(w.got))+`.000100"}`)
}

func bot(t *testing.T, w *workspace, threads slack.Threads) *slack.Bot {
	t.Helper()
	srv := httptest.NewTLSServer(w)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport, ok := srv.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	b, err := slack.NewBot(slack.BotConfig{Token: token, Channel: "C0123ABCD", Name: "chat", Threads: threads, Host: "127.0.0.1:" + u.Port(), Transport: transport.Clone()})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// All messages about one remediation are answers to the first, also after a restart;
// what asks a person to act is shown in the channel too.
func TestOneRemediationIsOneThread(t *testing.T) {
	t.Parallel()
	w, threads := &workspace{}, storetest.SQLite(t)
	about := func(id, to, undoes string) notify.Message {
		return rendered(t, bus.RemediationChanged, bus.SourceParry, `{"remediation":{"id":"`+id+`","undo_of":"`+undoes+`","kind":"fix","state":"`+to+`"},"to":"`+to+`"}`, "t")
	}
	trial := about("rem-1", "queued", "")
	trial.Test = true
	for _, m := range []notify.Message{about("rem-1", "queued", ""), about("rem-2", "queued", ""), about("rem-1", "verified", ""), about("rem-9", "failed", "rem-1"), trial} {
		answer, err := bot(t, w, threads).Send(t.Context(), m)
		if err != nil || !strings.HasPrefix(answer, "HTTP 200, Slack message 17000000") {
			t.Fatalf("%q, %v", answer, err)
		}
	}
	var got []string
	for _, p := range w.got {
		got = append(got, p.Thread)
		if p.Broadcast != (p.Thread != "" && strings.Contains(p.Text, "failed")) || p.Channel != "C0123ABCD" || p.Metadata.Payload["id"] != "ntf-1" {
			t.Errorf("%+v", p)
		}
	}
	if diff := cmp.Diff([]string{"", "", "1700000011.000100", "1700000011.000100", ""}, got); diff != "" {
		t.Error(diff)
	}
}

func TestBotAnswers(t *testing.T) {
	t.Parallel()
	threads := storetest.SQLite(t)
	m := rendered(t, bus.RemediationChanged, bus.SourceParry, failed, "t")
	for _, c := range []struct {
		code      int
		answer    string
		transient bool
		hint      string
	}{
		{200, `{"ok":false,"error":"ratelimited"}`, true, ""},
		{429, `slow`, true, ""},
		{503, `<html>`, true, ""},
		{302, `{}`, false, ""},
		{200, `<html>`, false, ""},
		{200, `{"ok":true,"ts":"<script>"}`, false, ""},
		{200, `{"ok":false,"error":"not_in_channel"}`, false, "/invite"},
		{200, `{"ok":false,"error":"invalid_auth"}`, false, "token_env"},
		{200, `{"ok":false,"error":"missing_scope"}`, false, "chat:write"},
		{200, `{"ok":false,"error":"odd\u001b[2J"}`, false, "chat.postMessage"},
	} {
		_, err := bot(t, &workspace{code: c.code, answer: c.answer}, threads).Send(t.Context(), m)
		_, again := fault.IsTransient(err)
		if err == nil || again != c.transient || fault.IsTerminal(err) == again || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%d %s gives %v, hint %q", c.code, c.answer, err, fault.HintOf(err))
		}
		if err != nil && strings.ContainsAny(err.Error(), "\x1b") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %q", err)
		}
	}
	if ref, err := threads.NotificationThread(context.Background(), "chat", m.Thread); err != nil || ref != "" {
		t.Errorf("a message that was not taken began thread %q, %v", ref, err)
	}
}

func TestBotConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := slack.BotConfig{Token: token, Channel: "C0123ABCD", Name: "chat", Threads: storetest.SQLite(t)}
	if _, err := slack.NewBot(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*slack.BotConfig){
		"no token": func(c *slack.BotConfig) { c.Token = "" }, "a name": func(c *slack.BotConfig) { c.Channel = "#security" },
		"a path": func(c *slack.BotConfig) { c.Host = "slack.com/evil" }, "a user": func(c *slack.BotConfig) { c.Host = "slack.com@evil.example" },
		"a query": func(c *slack.BotConfig) { c.Host = "slack.com?x=" }, "no store": func(c *slack.BotConfig) { c.Threads = nil },
	} {
		c := good
		edit(&c)
		if _, err := slack.NewBot(c); err == nil || strings.Contains(err.Error()+fault.HintOf(err), "hunter2") {
			t.Errorf("%s gives %v", name, err)
		}
	}
}
