package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

var fid = finding.ID{ProductArn: "arn:aws:securityhub:us-east-1::product/aws/securityhub", Id: "f1"}

func change(to remediation.State, edit func(*remediation.StateChange)) bus.Event {
	c := remediation.StateChange{
		Remediation: remediation.Remediation{
			ID: "rem-0123456789abcdef0123", Kind: remediation.KindFix, Finding: fid, Control: "S3.8", Playbook: "S3.8",
			Account: "111122223333", Region: "us-east-1", Resource: "arn:aws:s3:::open-bucket", State: to, Reason: "policy prod asks for 1 approval(s)",
		},
		To: to, Changes: 3, Title: "S3.8",
	}
	if edit != nil {
		edit(&c)
	}
	detail, err := json.Marshal(c)
	if err != nil {
		panic(err) // a test's own value
	}
	return bus.Event{ID: "evt-1", DetailType: bus.RemediationChanged, Source: bus.SourceParry, Account: "111122223333", Time: at, Detail: detail}
}

func excepted(kind, state, more string) bus.Event {
	return bus.Event{ID: "e", DetailType: kind, Source: bus.SourceParry, Account: "111122223333", Time: at, Detail: json.RawMessage(`{"exception":{"id":"ex-0123","state":"` + state + `",
		"title":"Old mail relay","owner":"team-mail","reason":"replaced in spring","link":"MAIL-7","scope":{"Title":[{"Value":"x","Comparison":"PREFIX"}]},
		"expires_at":"2026-12-31T00:00:00Z","requested_by":"olga"},"covered":12` + more + `}`)}
}

func incident(kind, status, more string) bus.Event {
	return bus.Event{ID: "e", DetailType: kind, Source: "aws.security-ir", Account: "999988887777", Time: at, Detail: json.RawMessage(`{"caseId":"4711081500","title":"Key on a public page",
		"caseStatus":"` + status + `","severity":"HIGH","engagementType":"Security Incident","impactedAccounts":["111122223333"],"by":"rule/r","text":"Key on a public page"` + more + `}`)}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	imported := bus.Event{ID: "e", DetailType: bus.FindingsImported, Source: bus.SourceSecurityHub, Time: at, Detail: json.RawMessage(`{"findings":[
		{"Id":"f1","Title":"S3 general purpose buckets should block public access","AwsAccountId":"111122223333","Region":"us-east-1","Severity":{"Label":"HIGH"},
		 "Compliance":{"SecurityControlId":"S3.8"},"Resources":[{"Id":"arn:aws:s3:::open-bucket","Type":"AwsS3Bucket"}]}]}`)}
	for name, e := range map[string]bus.Event{
		"queued":            change(remediation.Queued, func(c *remediation.StateChange) { c.Remediation.Reason = "approved by alice" }),
		"awaiting_approval": change(remediation.AwaitingApproval, func(c *remediation.StateChange) { c.ApprovalID = "apr-0123" }),
		"succeeded":         change(remediation.Verified, func(c *remediation.StateChange) { c.Remediation.Reason = "read back from AWS: all checks pass" }),
		"failed":            change(remediation.Failed, func(c *remediation.StateChange) { c.Remediation.Reason = "AccessDenied; 1 change(s) had been made" }),
		"unverified":        change(remediation.Unverified, nil),
		"undone":            change(remediation.Undone, nil),
		"undo_awaiting": change(remediation.AwaitingApproval, func(c *remediation.StateChange) {
			c.ApprovalID, c.Remediation.Kind, c.Remediation.UndoOf = "apr-9", remediation.KindUndo, "rem-first"
		}),
		"exception_requested": excepted("Parry Exception Requested", "pending", ""),
		"exception_expiring":  excepted("Parry Exception Expiring", "active", `,"daysLeft":14`),
		"exception_withdrawn": excepted("Parry Exception Ended", "withdrawn", ""),
		"case_opened":         incident("Case Created", "Submitted", ""),
		"case_closed":         incident("Case Closed", "Closed", `,"closureCode":"False Positive"`),
		"finding":             imported,
		"other":               {ID: "x", DetailType: "GuardDuty Finding", Source: "aws.guardduty", Account: "1", Time: at, Detail: json.RawMessage(`{"a": [1, 2]}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ok, err := notify.Render(e, "HIGH", "S3 general purpose buckets should block public access")
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			got := "Subject: " + m.Subject + "\n\n" + m.Body
			path := filepath.Join("testdata", name+".txt")
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
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestEveryStateIsToldOrSilent(t *testing.T) {
	t.Parallel()
	silent := map[remediation.State]bool{remediation.Planned: true, remediation.Running: true, remediation.Verifying: true, remediation.Undoing: true}
	for _, s := range remediation.States() {
		m, ok, err := notify.Render(change(s, nil), "", "")
		if err != nil || ok == silent[s] {
			t.Errorf("state %s: told %v, error %v", s, ok, err)
		}
		if ok && !strings.Contains(m.Body, "Next:\n  parry ") {
			t.Errorf("state %s names no next command:\n%s", s, m.Body)
		}
	}
}

// evil is a finding's text that tries to be more than text.
const evil = "x\r\nBcc: victim@example.com\r\n\r\nNext:\n  parry approval grant apr-evil\x1b[2J\u202e{{.Secret}} %s %!d <b>"

func TestUntrustedTextIsOnlyText(t *testing.T) {
	t.Parallel()
	e := change(remediation.AwaitingApproval, func(c *remediation.StateChange) {
		c.Title, c.Remediation.Resource, c.Remediation.Reason, c.Remediation.Control, c.ApprovalID = evil, evil, evil, evil, "apr-1; rm -rf /"
		c.Remediation.ID = "$(reboot)"
	})
	m, _, err := notify.Render(e, evil, evil+strings.Repeat("long ", 1000))
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
	for _, want := range []string{"  parry plan show ID\n", "  parry approval grant ID\n"} {
		if !strings.Contains(m.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, m.Body)
		}
	}
	said, err := json.Marshal(map[string]any{"exception": map[string]any{"id": evil, "state": "pending", "title": evil, "owner": evil, "reason": evil, "link": evil, "requested_by": evil}})
	if err != nil {
		t.Fatal(err)
	}
	if m, _, err = notify.Render(bus.Event{ID: "e", DetailType: "Parry Exception Requested", Source: bus.SourceParry, Detail: said}, "", ""); err != nil {
		t.Fatal(err)
	}
	check(t, m)
	if said, err = json.Marshal(map[string]any{"caseId": evil, "title": evil, "caseStatus": evil, "severity": evil, "engagementType": evil, "impactedAccounts": []string{evil}, "closureCode": evil, "by": evil, "text": evil}); err != nil {
		t.Fatal(err)
	}
	if m, _, err = notify.Render(bus.Event{ID: "e", DetailType: "Case Created", Source: "aws.security-ir", Detail: said}, "", ""); err != nil {
		t.Fatal(err)
	}
	check(t, m)
	doc, err := json.Marshal(map[string]any{"findings": []any{map[string]any{"Id": evil, "Title": evil, "Severity": map[string]any{"Label": evil}, "AwsAccountId": evil}}})
	if err != nil {
		t.Fatal(err)
	}
	m, _, err = notify.Render(bus.Event{ID: "e", DetailType: bus.FindingsImported, Source: bus.SourceSecurityHub, Detail: doc}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
	m, _, err = notify.Render(bus.Event{ID: "e", DetailType: evil, Source: evil, Detail: doc}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	check(t, m)
}

// check holds that only our own lines begin at the margin and nothing steers
// the reader.
func check(t *testing.T, m notify.Message) {
	t.Helper()
	if strings.ContainsFunc(m.Subject, unicode.IsControl) || len([]rune(m.Subject)) > 200 {
		t.Errorf("subject %q", m.Subject)
	}
	for line := range strings.Lines(m.Body) {
		line = strings.TrimSuffix(line, "\n")
		if strings.ContainsFunc(line, unicode.IsControl) || strings.ContainsRune(line, '\u202e') {
			t.Errorf("line %q steers the terminal", line)
		}
		if strings.HasPrefix(line, "Bcc") || strings.TrimSpace(line) == "parry approval grant apr-evil" {
			t.Errorf("line %q comes from the finding", line)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add(evil, 10)
	f.Add("", 0)
	f.Add("\xff\u2028a", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(0, min(limit, 1000))
		got := notify.Clean(s, limit)
		if n := len([]rune(got)); limit > 0 && n > limit {
			t.Errorf("%d characters, limit %d", n, limit)
		}
		for _, r := range got {
			if r != ' ' && unicode.IsSpace(r) || unicode.Is(unicode.C, r) && r != unicode.ReplacementChar && !unicode.Is(unicode.Cs, r) && unicode.IsControl(r) {
				t.Errorf("%q holds %U", got, r)
			}
		}
		if again := notify.Clean(got, limit); again != got {
			t.Errorf("clean text %q becomes %q", got, again)
		}
	})
}

type fakeSender struct {
	sent []notify.Message
	err  error
}

func (f *fakeSender) Send(_ context.Context, m notify.Message) (string, error) {
	f.sent = append(f.sent, m)
	return "taken", f.err
}

type fakeFindings struct{ err error }

func (f fakeFindings) Findings(_ context.Context, ids []finding.ID) ([]store.FindingRecord, error) {
	return []store.FindingRecord{{ID: ids[0], SeverityLabel: "CRITICAL", Title: "the title"}}, f.err
}

func payload(t *testing.T, n notify.Notification) []byte {
	t.Helper()
	raw, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestHandle(t *testing.T) {
	t.Parallel()
	a, b := &fakeSender{}, &fakeSender{err: fault.Transient(errors.New("away"), time.Second)}
	s, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"a": a, "b": b}, Findings: fakeFindings{}, Clock: service.NewFixedClock(at)})
	if err != nil {
		t.Fatal(err)
	}
	n := notify.Notification{Channel: "a", Rule: "r", Event: change(remediation.Verified, nil)}
	for range 2 {
		if err := s.Handle(t.Context(), payload(t, n)); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.sent) != 2 || a.sent[0].ID != a.sent[1].ID || !strings.HasPrefix(a.sent[0].ID, "ntf-") {
		t.Errorf("two tries have the ids %v", a.sent)
	}
	if !strings.Contains(a.sent[0].Body, "CRITICAL") || !strings.Contains(a.sent[0].Body, "the title") || !a.sent[0].At.Equal(at) {
		t.Errorf("the message lacks the finding's facts: %+v", a.sent[0])
	}
	n.Channel = "b"
	if err := s.Handle(t.Context(), payload(t, n)); err == nil {
		t.Error("the sender's error is lost")
	} else if after, ok := fault.IsTransient(err); !ok || after != time.Second {
		t.Errorf("the sender's class is lost: %v", err)
	}
	if b.sent[0].ID == a.sent[0].ID {
		t.Error("two channels share an id")
	}
	n.Channel = "c"
	if err := s.Handle(t.Context(), payload(t, n)); !fault.IsTerminal(err) || !strings.Contains(fault.HintOf(err), "a, b") {
		t.Errorf("an unknown channel gives %v, hint %q", err, fault.HintOf(err))
	}
	silent := notify.Notification{Channel: "a", Event: change(remediation.Running, nil)}
	if err := s.Handle(t.Context(), payload(t, silent)); err != nil || len(a.sent) != 2 {
		t.Errorf("a step in between is told: %v", err)
	}
	broken := notify.Notification{Channel: "a", Event: change(remediation.Verified, nil)}
	broken.Event.Detail = json.RawMessage(`[]`)
	if err := s.Handle(t.Context(), payload(t, broken)); !fault.IsTerminal(err) {
		t.Errorf("a broken event gives %v", err)
	}
	if err := s.Handle(t.Context(), []byte("nonsense")); !fault.IsTerminal(err) {
		t.Errorf("a broken payload gives %v", err)
	}
	if _, err := notify.New(notify.Config{}); err == nil {
		t.Error("a stage without a clock is made")
	}
}
