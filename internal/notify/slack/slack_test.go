package slack_test

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/slack"
	"github.com/parry-security/parry/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// secret is the part of a webhook's URL that nobody may see.
const secret = "/services/T000/B000/hunter2"

const failed = `{"remediation":{"id":"rem-0123","kind":"fix","control":"S3.8","playbook":"S3.8","account":"111122223333","region":"us-east-1","resource":"arn:aws:s3:::open-bucket","state":"failed",
	"reason":"AccessDenied"},"from":"running","to":"failed","changes":1}`

func rendered(t testing.TB, kind, source, detail, title string) notify.Message {
	t.Helper()
	m, ok, err := notify.Render(bus.Event{ID: "e", DetailType: kind, Source: source, Detail: json.RawMessage(detail)}, "HIGH", title)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	m.ID = "ntf-1"
	return m
}

// receive answers code and word, and keeps the body that it got.
func receive(t testing.TB, code int, word string) (*slack.Sender, *string) {
	t.Helper()
	body := new(string)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || r.URL.Path != secret || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %s %v", err, r.URL.Path, r.Header)
		}
		*body = string(raw)
		w.Header().Set("Location", "https://hooks.slack.com/elsewhere")
		if after, ok := strings.CutPrefix(word, "after "); ok {
			w.Header().Set("Retry-After", after)
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, word)
	}))
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport, ok := srv.Client().Transport.(*http.Transport)
	if !ok {
		t.Fatal("no transport")
	}
	s, err := slack.New(slack.Config{URL: "https://127.0.0.1:" + u.Port() + secret, Hosts: []string{"*.0.0.1"}, Transport: transport.Clone()})
	if err != nil {
		t.Fatal(err)
	}
	return s, body
}

func TestSend(t *testing.T) {
	t.Parallel()
	s, body := receive(t, http.StatusOK, "ok")
	m := rendered(t, bus.RemediationChanged, bus.SourceParry, failed, "S3 buckets should block public access")
	answer, err := s.Send(t.Context(), m)
	if err != nil || answer != "HTTP 200 ok" {
		t.Fatalf("%q, %v", answer, err)
	}
	var pretty strings.Builder
	enc := json.NewEncoder(&pretty)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(json.RawMessage(*body)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "failed.json")
	if *update {
		if err := os.WriteFile(path, []byte(pretty.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestSlackSaysWhen: what Slack asks for is waited for, and no less than by ourselves.
// https://docs.slack.dev/apis/web-api/rate-limits
func TestSlackSaysWhen(t *testing.T) {
	t.Parallel()
	m := rendered(t, bus.RemediationChanged, bus.SourceParry, failed, "t")
	began := time.Now()
	date := began.Add(3 * time.Minute).UTC().Format(http.TimeFormat)
	for after, want := range map[string][2]time.Duration{
		"1": {30 * time.Second, 0}, "90": {90 * time.Second, 0}, "86400": {time.Hour, 0}, "-5": {30 * time.Second, 0}, "soon": {30 * time.Second, 0}, date: {3 * time.Minute, 5 * time.Second},
	} {
		s, _ := receive(t, http.StatusTooManyRequests, "after "+after)
		_, err := s.Send(t.Context(), m)
		wait, again := fault.IsTransient(err)
		_, err = bot(t, &workspace{code: http.StatusTooManyRequests, answer: "slow", after: after}, storetest.SQLite(t)).Send(t.Context(), m)
		waitBot, againBot := fault.IsTransient(err)
		if after == date { // a second is what a date is exact to; and time goes on meanwhile
			want[1] = time.Since(began) + time.Second
		}
		if !again || !againBot || (wait-want[0]).Abs() > want[1] || (waitBot-want[0]).Abs() > want[1] {
			t.Errorf("Retry-After %s gives %s, to the bot %s, want %s", after, wait, waitBot, want[0])
		}
	}
}

func TestAnswersAndTheSecret(t *testing.T) {
	t.Parallel()
	m := rendered(t, bus.RemediationChanged, bus.SourceParry, failed, "t")
	for code, transient := range map[int]bool{302: false, 400: false, 403: false, 404: false, 408: true, 410: false, 429: true, 500: true, 503: true} {
		s, _ := receive(t, code, "no_service\x1b[2J")
		_, err := s.Send(t.Context(), m)
		_, again := fault.IsTransient(err)
		if err == nil || again != transient || fault.IsTerminal(err) == transient || !strings.Contains(err.Error(), "no_service [2J") {
			t.Errorf("%d gives %v, transient %v", code, err, again)
		}
		if err != nil && strings.Contains(err.Error()+fault.HintOf(err), "hunter2") {
			t.Errorf("error %q prints the secret", err)
		}
	}
	s, err := slack.New(slack.Config{URL: "https://127.0.0.1:1" + secret, Hosts: []string{"*.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Send(t.Context(), m)
	if _, ok := fault.IsTransient(err); !ok || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a receiver that is away gives %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for u, ok := range map[string]bool{
		"https://hooks.slack.com" + secret: true, "https://HOOKS.slack.com" + secret: true,
		"": false, "http://hooks.slack.com" + secret: false, "https://hooks.slack.com.evil.example" + secret: false, "https://evil.example/hooks.slack.com" + secret: false,
		"https://hooks.slack.com@evil.example" + secret: false, "https://x:hunter2@hooks.slack.com/": false, "https://a b" + secret: false, "https://slack.com" + secret: false,
	} {
		_, err := slack.New(slack.Config{URL: u})
		if ok != (err == nil) || !ok && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q gives %v", u, err)
		}
		if err != nil && strings.Contains(err.Error()+fault.HintOf(err), "hunter2") {
			t.Errorf("error %q prints the secret", err)
		}
	}
	if _, err := slack.New(slack.Config{URL: "https://chat.example.com" + secret, Hosts: []string{"chat.example.com"}}); err != nil {
		t.Error(err)
	}
	if _, err := slack.New(slack.Config{URL: "https://hooks.slack.com" + secret, Hosts: []string{"chat.example.com"}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a host that is not listed gives %v", err)
	}
}

// FuzzBlocks posts any text: what arrives keeps Slack's limits, and nothing from outside
// is markup.
func FuzzBlocks(f *testing.F) {
	f.Add("<!channel> <https://evil.example|ok>", "`*x*`\n> quote")
	f.Add("[ok](https://evil.example) & co", strings.Repeat("<&>`", 9000))
	f.Add(strings.Repeat("ä", 149), "\u202e\x00")
	f.Add("", "")
	s, body := receive(f, http.StatusOK, "ok")
	f.Fuzz(func(t *testing.T, title, reason string) {
		// A finding has at most 240 KB; three of its texts are these.
		title, reason = title[:min(len(title), 10_000)], reason[:min(len(reason), 10_000)]
		quoted, err := json.Marshal(reason)
		if err != nil {
			t.Fatal(err)
		}
		finding, err := json.Marshal(title)
		if err != nil {
			t.Fatal(err)
		}
		many := `{"findings":[` + strings.TrimSuffix(strings.Repeat(`{"Id":`+string(quoted)+`,"Title":`+string(finding)+`,"AwsAccountId":"1","Resources":[{"Id":`+string(quoted)+`},{"Id":"b"},{"Id":"c"}]},`, 60), ",") + `]}`
		for _, m := range []notify.Message{
			rendered(t, bus.RemediationChanged, bus.SourceParry, strings.NewReplacer(`"AccessDenied"`, string(quoted), `"arn:aws:s3:::open-bucket"`, string(quoted)).Replace(failed), title),
			rendered(t, bus.FindingsImported, bus.SourceSecurityHub, many, ""),
			rendered(t, "Other", "other", `{"x":`+string(quoted)+`}`, ""),
		} {
			if _, err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			hold(t, *body)
		}
	})
}

// hold checks a post against Slack's limits.
func hold(t *testing.T, body string) {
	t.Helper()
	type words struct{ Type, Text string }
	var got struct {
		Text   string
		Blocks []struct {
			Type     string
			Text     *words
			Elements []words
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Blocks) < 2 || len(got.Blocks) > 50 || got.Text == "" || strings.ContainsAny(got.Text, "<>") {
		t.Errorf("%d blocks, text %q", len(got.Blocks), got.Text)
	}
	for _, b := range got.Blocks {
		limit := map[string]int{"header": 150, "section": 3000}[b.Type]
		if limit == 0 {
			if b.Type != "context" || len(b.Elements) != 1 {
				t.Errorf("block %+v", b)
			}
			continue
		}
		n := utf8.RuneCountInString(b.Text.Text)
		if n == 0 || n > limit || (b.Type == "header") != (b.Text.Type == "plain_text") {
			t.Errorf("%s of %d characters", b.Type, n)
		}
		if b.Text.Type != "mrkdwn" {
			continue
		}
		for line := range strings.Lines(b.Text.Text) {
			line = strings.TrimSuffix(line, "\n")
			if strings.ContainsAny(line, "<>") || strings.Count(line, "`")%2 != 0 || strings.Contains(line, "`") && !strings.HasSuffix(line, "`") {
				t.Errorf("line %q", line)
			}
			for _, part := range strings.Split(line, "&")[1:] {
				if !strings.HasPrefix(part, "amp;") && !strings.HasPrefix(part, "lt;") && !strings.HasPrefix(part, "gt;") {
					t.Errorf("line %q is not escaped", line)
				}
			}
		}
	}
}

// A table of as many rows as MaxItems allows, each as long as it may be, is all there.
func TestATableFits(t *testing.T) {
	t.Parallel()
	s, body := receive(t, http.StatusOK, "ok")
	m := rendered(t, bus.RemediationChanged, bus.SourceParry, failed, "t")
	m.Content.Table = notify.Table{Columns: []string{"Severity", "Control", "Account", "Region", "Remediation", "Resource", "Reason"}}
	for n := range s.MaxItems() {
		m.Content.Table.Rows = append(m.Content.Table.Rows, []string{"CRITICAL", "S3.8", "111122223333", "us-gov-west-1", "rem-" + strconv.Itoa(n) + "-end", strings.Repeat("<&`é", 40), strings.Repeat("<", 120)})
	}
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	hold(t, *body)
	for n := range s.MaxItems() {
		if !strings.Contains(*body, "rem-"+strconv.Itoa(n)+"-end") {
			t.Errorf("row %d is lost in %s", n, *body)
		}
	}
}
