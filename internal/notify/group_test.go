package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

// groupWorld is a stage over a real store whose outbox the test delivers. Without labels it
// does not group.
type groupWorld struct {
	*notify.Stage
	t     *testing.T
	store *store.Store
	clock *service.FixedClock
	mail  *fakeSender
}

func newGroupWorld(t *testing.T, g notify.Grouping) *groupWorld {
	t.Helper()
	w := &groupWorld{t: t, store: storetest.SQLite(t), mail: &fakeSender{}}
	var ok bool
	if w.clock, ok = w.store.Clock().(*service.FixedClock); !ok {
		t.Fatal("no fixed clock")
	}
	groups := map[string]notify.Grouping{}
	if len(g.By) > 0 {
		groups["mail"] = g
	}
	var err error
	if w.Stage, err = notify.New(notify.Config{
		Channels: map[string]notify.Sender{"mail": w.mail}, Groups: groups, Log: w.store, Findings: fakeFindings{}, Clock: w.clock,
	}); err != nil {
		t.Fatal(err)
	}
	return w
}

// tell hands a notification about remediation n to the stage.
func (w *groupWorld) tell(n int, to remediation.State, edit func(*remediation.StateChange)) {
	w.t.Helper()
	e := change(to, func(c *remediation.StateChange) {
		c.Remediation.ID = remediation.ID(fmt.Sprintf("rem-%03d", n))
		c.Remediation.Resource = fmt.Sprintf("arn:aws:s3:::bucket-%03d", n)
		if to == remediation.AwaitingApproval {
			c.ApprovalID = fmt.Sprintf("apr-%03d", n)
		}
		if edit != nil {
			edit(c)
		}
	})
	e.ID = fmt.Sprintf("evt-%03d-%s", n, to)
	if err := w.Handle(w.t.Context(), payload(w.t, notify.Notification{Channel: "mail", Rule: "all", Event: e})); err != nil {
		w.t.Fatal(err)
	}
}

// deliver hands over what is due, and acknowledges it unless the stage failed.
func (w *groupWorld) deliver() (failed []error) {
	w.t.Helper()
	for {
		all, err := w.store.ClaimMessages(w.t.Context(), store.Execution, []string{store.TopicNotifyGroup}, 10, "node", time.Minute)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range all {
			if err := w.HandleGroup(w.t.Context(), d.Payload); err != nil {
				failed = append(failed, err)
				err = w.store.RetryMessage(w.t.Context(), d, w.clock.Now().Add(time.Second), err.Error())
				if err != nil {
					w.t.Fatal(err)
				}
				continue
			}
			if err := w.store.AckMessage(w.t.Context(), d); err != nil {
				w.t.Fatal(err)
			}
		}
		if len(all) == 0 {
			return failed
		}
	}
}

func (w *groupWorld) subjects() []string {
	var out []string
	for _, m := range w.mail.sent {
		out = append(out, m.Subject)
	}
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
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
}

// The first of a group is told at once and stands alone; what follows within the interval
// is one message; kinds and states never mix, and what is sent twice is told once.
func TestManyBecomeOneMessage(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: []string{"playbook", "account"}})
	w.tell(0, remediation.AwaitingApproval, nil)
	w.deliver()
	for n := 1; n < 6; n++ {
		w.tell(n, remediation.AwaitingApproval, nil)
		w.tell(n, remediation.AwaitingApproval, nil) // delivered twice
		w.tell(n, remediation.Failed, func(c *remediation.StateChange) {
			c.Remediation.Reason = "AccessDenied on s3:PutBucketPolicy; 1 change(s) had been made"
		})
	}
	w.tell(7, remediation.AwaitingApproval, func(c *remediation.StateChange) { c.Remediation.Account = "444455556666" })
	w.tell(8, remediation.AwaitingApproval, func(c *remediation.StateChange) {
		c.Remediation.Kind, c.Remediation.UndoOf = remediation.KindUndo, "rem-000"
	})
	w.deliver()
	want := []string{
		"[CRITICAL] Parry: remediation awaiting approval: S3.8 on arn:aws:s3:::bucket-000 in 111122223333",
		"[CRITICAL] Parry: 5 remediations failed: S3.8 in 111122223333",
		"[CRITICAL] Parry: remediation awaiting approval: S3.8 on arn:aws:s3:::bucket-007 in 444455556666",
		"[CRITICAL] Parry: undo awaiting approval: S3.8 on arn:aws:s3:::bucket-008 in 111122223333",
	}
	if diff := cmp.Diff(want, w.subjects()); diff != "" {
		t.Fatal(diff)
	}
	w.clock.Advance(notify.DefaultInterval)
	w.deliver()
	want = append(want, "[CRITICAL] Parry: 5 remediations awaiting approval: S3.8 in 111122223333")
	if diff := cmp.Diff(want, w.subjects()); diff != "" {
		t.Fatal(diff)
	}
	first, failed, undo, group := w.mail.sent[0], w.mail.sent[1], w.mail.sent[3], w.mail.sent[4]
	golden(t, "group_awaiting_approval.txt", "Subject: "+group.Subject+"\n\n"+group.Body)
	golden(t, "group_failed.txt", "Subject: "+failed.Subject+"\n\n"+failed.Body)
	if first.Thread != "rem-000" || undo.Thread != "rem-000" || !strings.HasPrefix(group.Thread, "grp-") || group.Thread == failed.Thread {
		t.Errorf("threads %q %q %q %q", first.Thread, undo.Thread, group.Thread, failed.Thread)
	}
	for n := 1; n < 6; n++ {
		if !strings.Contains(group.Body, fmt.Sprintf("apr-%03d", n)) {
			t.Errorf("approval %d is not in\n%s", n, group.Body)
		}
	}
	if group.Event.DetailType != notify.GroupEvent || !json.Valid(group.Event.Detail) || group.Event.Account != "111122223333" || group.Event.ID != group.ID {
		t.Errorf("event %+v", group.Event)
	}
	// Nothing waits, nothing is told again.
	w.clock.Advance(time.Hour)
	w.deliver()
	if len(w.mail.sent) != 5 {
		t.Errorf("%q", w.subjects())
	}
}

// What asks a person to act is listed to the last, in further messages; of the rest there
// is a count.
func TestNothingThatAsksForAPersonIsCutOff(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: []string{"kind"}, Max: 3})
	for _, state := range remediation.States() {
		w.mail.sent = nil
		for n := range 8 {
			w.tell(n, state, nil)
		}
		w.deliver()
		all := strings.Join(w.subjects(), "\n")
		for _, m := range w.mail.sent {
			all += m.Body
		}
		listed := 0
		for n := range 8 {
			listed += min(1, strings.Count(all, fmt.Sprintf("bucket-%03d", n)))
		}
		switch state {
		case remediation.Planned, remediation.Running, remediation.Verifying, remediation.Undoing:
			if len(w.mail.sent) != 0 {
				t.Errorf("%s: %q", state, w.subjects())
			}
		case remediation.AwaitingApproval, remediation.Failed, remediation.Unverified, remediation.Regressed:
			if len(w.mail.sent) != 3 || listed != 8 || strings.Contains(all, "more, not listed") {
				t.Errorf("%s: %d of 8 are listed in %q", state, listed, w.subjects())
			}
		default:
			if len(w.mail.sent) != 1 || listed != 3 || !strings.Contains(all, "8 remediations ") || !strings.Contains(all, "And 5 more, not listed here.") || !strings.Contains(all, "Next:\n  parry remediation list") {
				t.Errorf("%s: %s", state, all)
			}
		}
	}
}

// A try that failed, or whose outcome was lost, is repeated with the same id and the same
// words, whatever came meanwhile; once it was noted it is not repeated.
func TestAGroupIsRepeatedAsItWas(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: []string{"playbook"}, Wait: 10 * time.Second})
	w.tell(1, remediation.Verified, nil)
	w.tell(2, remediation.Verified, nil)
	if w.deliver(); len(w.mail.sent) != 0 {
		t.Fatalf("sent before group_wait: %q", w.subjects())
	}
	w.clock.Advance(10 * time.Second)
	w.mail.err = fault.Transient(errors.New("away"), time.Second)
	if failed := w.deliver(); len(failed) != 1 {
		t.Fatalf("%v", failed)
	} else if after, ok := fault.IsTransient(failed[0]); !ok || after != time.Second {
		t.Errorf("the sender's class is lost: %v", failed[0])
	}
	w.tell(3, remediation.Verified, nil) // of the next message
	w.mail.err = nil
	w.clock.Advance(time.Second)
	w.deliver()
	if len(w.mail.sent) != 2 {
		t.Fatalf("%q", w.subjects())
	}
	if diff := cmp.Diff(w.mail.sent[0], w.mail.sent[1]); diff != "" {
		t.Errorf("two tries differ: %s", diff)
	}
	// The process died between sending and acknowledging: the message comes again.
	again := lostDue(t, w)
	if err := w.HandleGroup(t.Context(), again); err != nil || len(w.mail.sent) != 2 {
		t.Errorf("what was noted is sent again: %v, %q", err, w.subjects())
	}
	w.clock.Advance(notify.DefaultInterval)
	w.deliver()
	// What comes alone is the notification that it would be without groups, and is known by its id.
	alone := newGroupWorld(t, notify.Grouping{})
	alone.tell(3, remediation.Verified, nil)
	if diff := cmp.Diff(alone.mail.sent, w.mail.sent[2:]); diff != "" {
		t.Errorf("%q (-alone +in a group):\n%s", w.subjects(), diff)
	}
}

// lostDue gives the payload of the one group message that was sent.
func lostDue(t *testing.T, w *groupWorld) []byte {
	t.Helper()
	var d struct{ Labels map[string]string }
	m := w.mail.sent[len(w.mail.sent)-1]
	if err := json.Unmarshal(m.Event.Detail, &d); err != nil {
		t.Fatal(err)
	}
	about := `{"kind":"remediation","status":"succeeded","labels":[{"Name":"playbook","Value":"S3.8"}]}`
	group := strings.TrimSuffix(strings.TrimPrefix(m.Thread, "grp-"), "-"+m.At.Format("20060102"))
	return fmt.Appendf(nil, `{"channel":"mail","group":%q,"message":%d,"about":%s}`, group, m.At.UnixMicro(), about)
}

// Findings are grouped with the worst first, exceptions and other events stand alone.
func TestFindingsAndOthers(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: []string{"account", "region"}, Wait: time.Second, Max: 2})
	imported := func(n int, label finding.Label) bus.Event {
		return bus.Event{ID: fmt.Sprintf("f%d", n), DetailType: bus.FindingsImported, Source: bus.SourceSecurityHub, Time: at, Detail: json.RawMessage(fmt.Sprintf(`{"findings":[
			{"Id":"f%d","Title":"title %d","AwsAccountId":"111122223333","Region":"us-east-1","Severity":{"Label":%q},"Resources":[{"Id":"arn:aws:s3:::b%d"}]}]}`, n, n, label, n))}
	}
	for n, label := range []finding.Label{finding.Low, finding.Critical, finding.Medium} {
		if err := w.Handle(t.Context(), payload(t, notify.Notification{Channel: "mail", Event: imported(n, label)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Handle(t.Context(), payload(t, notify.Notification{Channel: "mail", Event: excepted("Parry Exception Requested", "pending", "")})); err != nil {
		t.Fatal(err)
	}
	if len(w.mail.sent) != 1 {
		t.Fatalf("%q", w.subjects())
	}
	w.clock.Advance(time.Second)
	w.deliver()
	m := w.mail.sent[1]
	if m.Subject != "[CRITICAL] Parry: 3 findings in 111122223333, us-east-1" || !strings.Contains(m.Body, "And 1 more") || strings.Contains(m.Body, "title 0") || strings.Index(m.Body, "title 1") > strings.Index(m.Body, "title 2") {
		t.Errorf("%s\n%s", m.Subject, m.Body)
	}
}

func TestUntrustedTextInAGroup(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: notify.Labels(), Wait: time.Second})
	for n := range 2 {
		w.tell(n, remediation.Failed, func(c *remediation.StateChange) {
			c.Remediation.Resource, c.Remediation.Reason, c.Remediation.Control, c.Remediation.Account, c.Remediation.Region, c.Remediation.Playbook = evil, evil, evil, evil, evil, evil
			c.ApprovalID = "$(reboot)"
		})
	}
	w.clock.Advance(time.Second)
	w.deliver()
	if len(w.mail.sent) != 1 {
		t.Fatalf("%q", w.subjects())
	}
	m := w.mail.sent[0]
	check(t, m)
	if !strings.Contains(m.Subject, "2 remediations failed") || strings.Contains(m.Body, "--account") || strings.Contains(m.Body, "reboot") {
		t.Errorf("%s\n%s", m.Subject, m.Body)
	}
	for _, command := range m.Content.Next {
		if strings.Contains(command, "Bcc") || strings.Contains(command, "apr-evil") {
			t.Errorf("command %q", command)
		}
	}
}

// What was noted as sent is not sent again, on any node.
func TestANotificationIsSentOnce(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	one, two := &fakeSender{}, &fakeSender{}
	for _, sender := range []*fakeSender{one, two, two} {
		stage, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"mail": sender}, Log: s, Clock: s.Clock()})
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.Handle(t.Context(), payload(t, notify.Notification{Channel: "mail", Event: change(remediation.Verified, nil)})); err != nil {
			t.Fatal(err)
		}
	}
	if len(one.sent) != 1 || len(two.sent) != 0 {
		t.Errorf("sent %d and %d times", len(one.sent), len(two.sent))
	}
	// A try that failed is not noted.
	three := &fakeSender{err: fault.Transient(errors.New("away"), time.Second)}
	stage, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"other": three}, Log: s, Clock: s.Clock()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := stage.Handle(t.Context(), payload(t, notify.Notification{Channel: "other", Event: change(remediation.Verified, nil)})); err == nil {
			t.Error("no error")
		}
	}
	if len(three.sent) != 2 || three.sent[0].ID != three.sent[1].ID {
		t.Errorf("%d tries", len(three.sent))
	}
}

func TestGroupingIsChecked(t *testing.T) {
	t.Parallel()
	for want, g := range map[string]notify.Grouping{
		"":                                  {},
		"need group_by":                     {Wait: time.Second},
		`"shoe" is not one of kind, rule`:   {By: []string{"shoe"}},
		"account is there twice":            {By: []string{"account", "account"}},
		"group_wait 2h0m0s is not":          {By: []string{"kind"}, Wait: 2 * time.Hour},
		"group_wait -1s is not":             {By: []string{"kind"}, Wait: -time.Second},
		"group_interval 48h0m0s is not":     {By: []string{"kind"}, Interval: 48 * time.Hour},
		"max_per_message 1000 is not":       {By: []string{"kind"}, Max: 1000},
		"max_per_message -1 is not between": {By: []string{"kind"}, Max: -1},
	} {
		err := g.Validate()
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v gives %v, want %q", g, err, want)
		}
	}
	if !slices.Contains(notify.Labels(), "account") {
		t.Error("no label account")
	}
	if _, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"a": &fakeSender{}}, Groups: map[string]notify.Grouping{"a": {By: []string{"kind"}}}, Clock: service.NewFixedClock(at)}); err == nil {
		t.Error("groups without a log are taken")
	}
}

func TestABrokenGroupIsTerminal(t *testing.T) {
	t.Parallel()
	w := newGroupWorld(t, notify.Grouping{By: []string{"kind"}})
	for _, raw := range []string{"", "[]", "{}", `{"channel":"mail"}`, `{"channel":"gone","group":"g","message":1}`} {
		if err := w.HandleGroup(t.Context(), []byte(raw)); !fault.IsTerminal(err) {
			t.Errorf("%q gives %v", raw, err)
		}
	}
	if err := w.HandleGroup(t.Context(), []byte(`{"channel":"mail","group":"g","message":1}`)); err != nil || len(w.mail.sent) != 0 {
		t.Errorf("a group of which nothing waits gives %v", err)
	}
}

func FuzzHandleGroup(f *testing.F) {
	f.Add([]byte(`{"channel":"mail","group":"g","message":1,"about":{"kind":"remediation","status":"failed","labels":[{"Name":"","Value":"x"}]}}`))
	f.Add([]byte(`{"about":null}`))
	s := storetest.SQLite(f)
	stage, err := notify.New(notify.Config{Channels: map[string]notify.Sender{"mail": &fakeSender{}}, Log: s, Clock: s.Clock()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_ = stage.HandleGroup(t.Context(), raw) // it may refuse, it may not panic
	})
}
