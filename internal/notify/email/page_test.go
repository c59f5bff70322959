package email_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/service"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// parts reads a mail of exactly two parts, text and HTML.
func parts(t *testing.T, data string) (text, html string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("content type %q, %v", kind, err)
	}
	var got []string
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := r.NextPart() // decodes quoted-printable
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Header.Get("Content-Type"), strings.ReplaceAll(string(raw), "\r\n", "\n"))
	}
	if len(got) != 4 || !strings.HasPrefix(got[0], "text/plain") || !strings.HasPrefix(got[2], "text/html") {
		t.Fatalf("parts %q", got)
	}
	return got[1], got[3]
}

func rendered(t *testing.T, to, id, undoes, title string) notify.Message {
	t.Helper()
	detail, err := json.Marshal(map[string]any{
		"remediation": map[string]any{"id": id, "undo_of": undoes, "kind": "fix", "control": "S3.8", "account": "111122223333", "region": "us-east-1", "resource": "arn:aws:s3:::open-bucket", "state": to, "reason": title},
		"to":          to, "approval_id": "apr-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	m, ok, err := notify.Render(bus.Event{ID: "e", DetailType: bus.RemediationChanged, Source: bus.SourceParry, Time: message.At, Detail: detail}, "HIGH", title)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	m.ID = "ntf-1"
	return m
}

// sent sends messages and gives what arrived.
func sent(t *testing.T, messages ...notify.Message) []string {
	t.Helper()
	srv := serve(t, nil)
	s := sender(t, srv, nil)
	var out []string
	for _, m := range messages {
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range srv.received() {
		out = append(out, r.data)
	}
	return out
}

// grouped is a message about several remediations, as `parry notify test` sends it.
func grouped(t *testing.T) notify.Message {
	t.Helper()
	k := &keeper{}
	s, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"mail": k}, Clock: service.NewFixedClock(message.At)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Test(t.Context(), "mail", "group", "alice"); err != nil {
		t.Fatal(err)
	}
	return k.last
}

type keeper struct{ last notify.Message }

func (k *keeper) Send(_ context.Context, m notify.Message) (string, error) {
	k.last = m
	return "", nil
}

func invited() notify.Message {
	return notify.RenderInvitation(notify.Invitation{
		ID: "inv-1", Name: "ada", Role: "approver", By: "root", Link: "https://parry.example.com/invitation#ada.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG",
		At: message.At, Ends: message.At.Add(72 * time.Hour),
	})
}

// TestAnInvitationGoesToOnePerson and to nobody of the channel.
func TestAnInvitationGoesToOnePerson(t *testing.T) {
	t.Parallel()
	srv := serve(t, nil)
	s := sender(t, srv, nil)
	if _, err := s.SendTo(t.Context(), "ada@example.com", invited()); err != nil {
		t.Fatal(err)
	}
	got := srv.received()
	if len(got) != 1 || strings.Join(got[0].envelope[1:], " ") != "ada@example.com" {
		t.Fatalf("%+v", got)
	}
	text, page := parts(t, got[0].data)
	for name, part := range map[string]string{"text": text, "page": page} {
		if !strings.Contains(part, "https://parry.example.com/invitation#ada.0123456789abcdefghijklmnopqrstuvwxyzABCDEFG") {
			t.Errorf("the %s lacks the link:\n%s", name, part)
		}
	}
	if _, err := s.SendTo(t.Context(), "ada@example.com\r\nBcc: eve@example.com", invited()); !fault.Is(err, fault.Invalid) {
		t.Errorf("an address of two lines: %v", err)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	trial := rendered(t, "failed", "rem-1", "", "S3 buckets should block public access")
	trial.Test, trial.Content.Notice = true, "This is a test."
	for name, m := range map[string]notify.Message{
		"group":             grouped(t),
		"queued":            rendered(t, "queued", "rem-1", "", "S3 buckets should block public access"),
		"succeeded":         rendered(t, "verified", "rem-1", "", "S3 buckets should block public access"),
		"failed":            rendered(t, "failed", "rem-1", "", "S3 buckets should block public access"),
		"awaiting_approval": rendered(t, "awaiting_approval", "rem-1", "", "S3 buckets should block public access"),
		"test":              trial,
		"invitation":        invited(),
		"hostile":           rendered(t, "verified", "rem-1", "", `</title><script>alert(1)</script><img src=https://evil.example/x onerror="a()">{{.ID}} &amp; "`),
	} {
		_, got := parts(t, sent(t, m)[0])
		path := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// Whatever a finding says, the page has the elements of its template, none that loads or
// runs something, and no link.
func TestHostileTextIsOnlyText(t *testing.T) {
	t.Parallel()
	known := regexp.MustCompile(`^</?(!DOCTYPE html|html|head|meta|style|title|body|div|p|strong|table|tr|th|td|pre)\b`)
	table := rendered(t, "failed", "rem-1", "", "x")
	table.Content.Table = notify.Table{Columns: []string{"Severity", "Resource"}, Rows: [][]string{{"HIGH", ""}, {"", "HIGH"}}}
	for _, evil := range []string{
		"<script>x</script>", `"><img src=x onerror=y>`, "</td></table><a href='https://evil.example'>", "<style>*{}</style>", "<!-- ", "<svg/onload=x>", "x\r\nBcc: v@example.com\r\n\r\n<b>", "--boundary--\n\nContent-Type: text/html", "javascript:x",
	} {
		table.Content.Table.Rows[0][1], table.Content.Table.Rows[1][0] = notify.Clean(evil, 120), notify.Clean(evil, 120)
		all := sent(t, rendered(t, "failed", "rem-1", "", evil), table)
		data := strings.Join(all, "")
		_, page := parts(t, all[0])
		_, second := parts(t, all[1])
		page = strings.TrimSuffix(page, "</html>\n") + strings.Replace(second, "<style", "", 1)
		if !strings.HasSuffix(page, "</html>\n") || strings.Contains(data, "\nBcc:") {
			t.Errorf("%q gives %q", evil, data)
		}
		if strings.Count(page, "<style") != 1 {
			t.Errorf("%q gives a style of its own", evil)
		}
		for _, tag := range regexp.MustCompile(`<[^>]*`).FindAllString(page, -1) {
			if !known.MatchString(tag) || regexp.MustCompile(`(?i)\b(src|href|on[a-z]+|url)\s*[=(]`).MatchString(tag) {
				t.Errorf("%q gives the tag %q", evil, tag)
			}
		}
	}
}

func TestOneRemediationIsOneThread(t *testing.T) {
	t.Parallel()
	queued, done, undo, other, odd := rendered(t, "queued", "rem-1", "", "t"), rendered(t, "verified", "rem-1", "", "t"), rendered(t, "verified", "rem-2", "rem-1", "t"), rendered(t, "queued", "rem-3", "", "t"), rendered(t, "queued", "x>\r\nBcc: v@example.com", "", "t")
	done.ID = "ntf-2"
	var refs, ids []string
	for _, data := range sent(t, queued, done, undo, other, odd) {
		m, err := mail.ReadMessage(strings.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if m.Header.Get("In-Reply-To") != m.Header.Get("References") || m.Header.Get("Bcc") != "" || m.Header.Get("List-Unsubscribe") != "" {
			t.Errorf("headers %v", m.Header)
		}
		refs, ids = append(refs, m.Header.Get("References")), append(ids, m.Header.Get("Message-Id"))
	}
	one := "<rem-1.thread@example.com>"
	if diff := cmp.Diff([]string{one, one, one, "<rem-3.thread@example.com>", ""}, refs); diff != "" {
		t.Error(diff)
	}
	if ids[0] == ids[1] {
		t.Errorf("message ids %v", ids)
	}
}
