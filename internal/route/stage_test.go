package route_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
)

// fakeStore keeps what was enqueued and answers with remediations, the latest
// first. A message id is taken once, as in the store.
type fakeStore struct {
	remediations []remediation.Remediation
	linked       map[finding.ID]remediation.Remediation // other findings of the control on the resource
	sent         []store.Message
	ids          map[string]bool
	calls        int
	err          error
}

func (f *fakeStore) LinkedFindings(context.Context, finding.ID) ([]finding.ID, error) {
	return slices.Collect(maps.Keys(f.linked)), f.err
}

func (f *fakeStore) ListRemediations(_ context.Context, q store.RemediationFilter, _ int, cursor string) ([]remediation.Remediation, string, error) {
	if f.err != nil {
		return nil, "", f.err
	}
	if r, ok := f.linked[q.Finding]; ok {
		return []remediation.Remediation{r}, "", nil
	}
	// Pages of one, so that paging is exercised.
	var at int
	_, _ = fmt.Sscan(cursor, &at)
	if at >= len(f.remediations) {
		return nil, "", nil
	}
	return f.remediations[at : at+1], fmt.Sprint(at + 1), nil
}

func (f *fakeStore) Enqueue(_ context.Context, file store.File, eff store.Effects) error {
	if f.err != nil {
		return f.err
	}
	f.calls++
	if file != store.Execution {
		return errors.New("wrong file")
	}
	for _, m := range eff.Outbox {
		if f.ids == nil {
			f.ids = map[string]bool{}
		}
		if !f.ids[m.ID] {
			f.ids[m.ID] = true
			f.sent = append(f.sent, m)
		}
	}
	return nil
}

func (f *fakeStore) requests(t *testing.T) []remediation.Request {
	t.Helper()
	var out []remediation.Request
	for _, m := range f.sent {
		if m.Topic != store.TopicPlan {
			continue
		}
		var r remediation.Request
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			t.Fatal(err)
		}
		if m.ID != "plan-"+string(r.ID) {
			t.Errorf("message id %q does not follow from request %q", m.ID, r.ID)
		}
		out = append(out, r)
	}
	return out
}

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

const product = "arn:aws:securityhub:us-east-1::product/aws/securityhub"

// report is one finding of a provider.
type report struct {
	id, control, workflow, record, compliance string
	updated                                   time.Time
}

func (r report) doc() map[string]any {
	def := func(s, d string) string {
		if s == "" {
			return d
		}
		return s
	}
	updated := r.updated
	if updated.IsZero() {
		updated = at
	}
	return map[string]any{
		"Id": def(r.id, "f1"), "ProductArn": product, "AwsAccountId": "111122223333", "Title": "bucket is public",
		"UpdatedAt": finding.FormatTime(updated), "RecordState": def(r.record, "ACTIVE"), "Workflow": map[string]any{"Status": def(r.workflow, "NEW")},
		"Compliance": map[string]any{"Status": def(r.compliance, "FAILED"), "SecurityControlId": def(r.control, "S3.8")},
	}
}

func event(t *testing.T, change func(*bus.Event), reports ...report) []byte {
	t.Helper()
	docs := make([]map[string]any, len(reports))
	for i, r := range reports {
		docs[i] = r.doc()
	}
	detail, err := json.Marshal(map[string]any{"findings": docs})
	if err != nil {
		t.Fatal(err)
	}
	e := bus.Event{
		Version: "0", ID: "e1", DetailType: bus.FindingsImported, Source: bus.SourceSecurityHub, Account: "111122223333",
		Time: at.Add(time.Minute), Region: "us-east-1", Resources: []string{}, Detail: detail,
	}
	if change != nil {
		change(&e)
	}
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var s38 = route.Rule{
	ID: "s3", Enabled: true, Pattern: json.RawMessage(`{"detail":{"findings":{"Compliance":{"SecurityControlId":["S3.8"]}}}}`),
	Targets: []route.Target{{Kind: route.Playbook, Name: "S3.8"}},
}

func stage(t *testing.T, s *fakeStore, rules ...route.Rule) *route.Stage {
	t.Helper()
	table := route.Compile(rules, route.Known{})
	if len(table.Refusals()) > 0 {
		t.Fatal(table.Refusals())
	}
	st, err := route.New(route.Config{Store: s, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// What another standard's finding of the same control on the same resource is
// having fixed is not fixed a second time; once that has ended, it is.
func TestALinkedFindingsRemediationIsWaitedFor(t *testing.T) {
	t.Parallel()
	for state, want := range map[remediation.State]int{remediation.AwaitingApproval: 0, remediation.Running: 0, remediation.Failed: 1, remediation.Verified: 1} {
		other := finding.ID{ProductArn: product, Id: "cis"}
		s := &fakeStore{linked: map[finding.ID]remediation.Remediation{other: {ID: "rem-cis", Kind: remediation.KindFix, Playbook: "S3.8", State: state}}}
		if err := stage(t, s, s38).Handle(t.Context(), event(t, nil, report{})); err != nil {
			t.Fatal(err)
		}
		if got := len(s.requests(t)); got != want {
			t.Errorf("%s: %d requests, want %d", state, got, want)
		}
		s.linked[other] = remediation.Remediation{ID: "rem-cis", Kind: remediation.KindFix, Playbook: "another", State: state}
		if err := stage(t, s, s38).Handle(t.Context(), event(t, nil, report{})); err != nil {
			t.Fatal(err)
		}
		if got := len(s.requests(t)); got != 1 {
			t.Errorf("%s by another playbook: %d requests", state, got)
		}
	}
}

func TestAFindingBecomesOneRequest(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	also := s38
	also.ID = "s3-too"
	st := stage(t, s, s38, also)
	for range 2 { // delivered twice
		if err := st.Handle(t.Context(), event(t, nil, report{})); err != nil {
			t.Fatal(err)
		}
	}
	// The customer wrote a note, the provider reported again: another event, the same failing state.
	if err := st.Handle(t.Context(), event(t, func(e *bus.Event) { e.ID = "e2" }, report{updated: at.Add(time.Hour)})); err != nil {
		t.Fatal(err)
	}
	f := finding.ID{ProductArn: product, Id: "f1"}
	want := []remediation.Request{{ID: route.RequestID(f, "S3.8", ""), Kind: remediation.KindFix, Finding: f, Playbook: "S3.8", RequestedBy: "rule/s3"}}
	if diff := cmp.Diff(want, s.requests(t)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if id := string(want[0].ID); len(id) != 24 || !strings.HasPrefix(id, "rem-") {
		t.Errorf("id %q is not rem- and 20 digits", id)
	}
}

func TestRequestIDDependsOnEveryPart(t *testing.T) {
	t.Parallel()
	seen := map[remediation.ID]bool{}
	for _, id := range []remediation.ID{
		route.RequestID(finding.ID{ProductArn: "p", Id: "i"}, "b", ""), route.RequestID(finding.ID{ProductArn: "pi", Id: ""}, "b", ""),
		route.RequestID(finding.ID{ProductArn: "p", Id: "ib"}, "", ""), route.RequestID(finding.ID{ProductArn: "p", Id: "i"}, "", "b"),
		route.RequestID(finding.ID{ProductArn: "p", Id: "i"}, "b", "r"),
	} {
		if seen[id] {
			t.Errorf("id %s is given twice", id)
		}
		seen[id] = true
	}
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	settled := at.Add(time.Hour)
	for name, tc := range map[string]struct {
		state    remediation.State
		reported time.Time
		now      time.Time
		want     bool
	}{
		"fails anew after a verified fix":            {remediation.Verified, settled.Add(time.Minute), time.Time{}, true},
		"old report after a verified fix":            {remediation.Verified, at, time.Time{}, false},
		"report of the very moment":                  {remediation.Verified, settled, time.Time{}, false},
		"regressed":                                  {remediation.Regressed, settled.Add(time.Minute), time.Time{}, true},
		"under way":                                  {remediation.Running, settled.Add(time.Minute), time.Time{}, false},
		"waiting for people":                         {remediation.AwaitingApproval, settled.Add(time.Minute), time.Time{}, false},
		"being undone":                               {remediation.Undoing, settled.Add(time.Minute), time.Time{}, false},
		"failed, reported again":                     {remediation.Failed, settled.Add(time.Minute), time.Time{}, true},
		"failed, delivered again":                    {remediation.Failed, at, time.Time{}, false},
		"superseded":                                 {remediation.Superseded, settled.Add(time.Minute), time.Time{}, true},
		"expired":                                    {remediation.Expired, settled.Add(time.Minute), time.Time{}, true},
		"cancelled":                                  {remediation.Cancelled, settled.Add(time.Minute), time.Time{}, true},
		"people said no":                             {remediation.Rejected, settled.Add(time.Minute), settled.Add(time.Hour), false},
		"people said no long ago":                    {remediation.Rejected, settled.Add(time.Minute), settled.Add(route.DefaultQuiet), true},
		"people undid it":                            {remediation.Undone, settled.Add(time.Minute), settled.Add(time.Hour), false},
		"the fix does not show":                      {remediation.Unverified, settled.Add(time.Minute), settled.Add(time.Hour), false},
		"the fix does not show and nobody came back": {remediation.Unverified, settled.Add(time.Minute), settled.Add(8 * 24 * time.Hour), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := finding.ID{ProductArn: product, Id: "f1"}
			s := &fakeStore{remediations: []remediation.Remediation{
				{ID: "rem-undo", Kind: remediation.KindUndo, Finding: f, Playbook: "S3.8", State: remediation.Verified, UpdatedAt: settled},
				{ID: "rem-other", Kind: remediation.KindFix, Finding: f, Playbook: "S3.1", State: remediation.Running, UpdatedAt: settled},
				{ID: "rem-last", Kind: remediation.KindFix, Finding: f, Playbook: "S3.8", State: tc.state, UpdatedAt: settled},
				{ID: "rem-first", Kind: remediation.KindFix, Finding: f, Playbook: "S3.8", State: remediation.Running, UpdatedAt: settled},
			}}
			now := tc.now
			if now.IsZero() {
				now = settled.Add(2 * time.Minute)
			}
			err := stage(t, s, s38).Handle(t.Context(), event(t, func(e *bus.Event) { e.Time = now }, report{updated: tc.reported}))
			if err != nil {
				t.Fatal(err)
			}
			got := s.requests(t)
			if (len(got) == 1) != tc.want {
				t.Fatalf("requests %v, want one: %v", got, tc.want)
			}
			if tc.want && got[0].ID != route.RequestID(f, "S3.8", "rem-last") {
				t.Errorf("id %s is not of the generation after rem-last", got[0].ID)
			}
		})
	}
}

// TestWhatAnExceptionStoppedIsPlannedAnew: by the report that asked for it first, which
// comes again when the exception ends. Without the exception's id it would be too old.
func TestWhatAnExceptionStoppedIsPlannedAnew(t *testing.T) {
	t.Parallel()
	settled := at.Add(time.Hour)
	for name, c := range map[string]struct {
		state     remediation.State
		exception string
		want      int
	}{
		"superseded by it":       {remediation.Superseded, "ex-1", 1},
		"cancelled by it":        {remediation.Cancelled, "ex-1", 1},
		"superseded by a change": {remediation.Superseded, "", 0},
		"cancelled by people":    {remediation.Cancelled, "", 0},
		"failed":                 {remediation.Failed, "ex-1", 0},
		"under way":              {remediation.Running, "ex-1", 0},
	} {
		s := &fakeStore{remediations: []remediation.Remediation{
			{ID: "rem-last", Kind: remediation.KindFix, Finding: finding.ID{ProductArn: product, Id: "f1"}, Playbook: "S3.8", State: c.state, Exception: c.exception, UpdatedAt: settled},
		}}
		if err := stage(t, s, s38).Handle(t.Context(), event(t, func(e *bus.Event) { e.Time = settled.Add(time.Minute) }, report{updated: at})); err != nil {
			t.Fatal(err)
		}
		if got := s.requests(t); len(got) != c.want {
			t.Errorf("%s: %d requests, want %d", name, len(got), c.want)
		}
	}
}

func TestWhatIsNeverRemediated(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string][]byte{
		"replayed":     event(t, func(e *bus.Event) { e.ReplayName = "r" }, report{}),
		"own event":    event(t, func(e *bus.Event) { e.Source = bus.SourceParry }, report{}),
		"self-caused":  event(t, func(e *bus.Event) { e.Parry = &pattern.Cause{By: "parry/remediation/rem-1"} }, report{}),
		"many hops":    event(t, func(e *bus.Event) { e.Parry = &pattern.Cause{Hops: 99} }, report{}),
		"resolved":     event(t, nil, report{workflow: "RESOLVED"}),
		"suppressed":   event(t, nil, report{workflow: "SUPPRESSED"}),
		"archived":     event(t, nil, report{record: "ARCHIVED"}),
		"passed":       event(t, nil, report{compliance: "PASSED"}),
		"other":        event(t, nil, report{control: "S3.1"}),
		"no findings":  event(t, func(e *bus.Event) { e.Detail = json.RawMessage(`{}`) }),
		"no selection": event(t, nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &fakeStore{}
			if err := stage(t, s, s38).Handle(t.Context(), raw); err != nil {
				t.Fatal(err)
			}
			if len(s.sent) > 0 {
				t.Errorf("sent %v", s.sent)
			}
		})
	}
}

func TestOnlySelectedFindingsOfAnEvent(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	err := stage(t, s, s38).Handle(t.Context(), event(t, nil, report{id: "a", control: "S3.1"}, report{id: "b"}, report{id: "c", workflow: "RESOLVED"}, report{id: "d"}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.requests(t) {
		got = append(got, r.Finding.Id)
	}
	if diff := cmp.Diff([]string{"b", "d"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s.calls != 1 {
		t.Errorf("%d transactions for one event, want 1", s.calls)
	}
}

func TestChannelsGetEachEventOnce(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	changed := route.Rule{
		ID: "mail", Enabled: true, Pattern: json.RawMessage(`{"source":["parry"]}`),
		Targets: []route.Target{{Kind: route.Channel, Name: "team"}, {Kind: route.Channel, Name: "hook"}},
	}
	again := changed
	again.ID = "mail-too"
	st := stage(t, s, changed, again)
	raw := event(t, func(e *bus.Event) { e.Source, e.DetailType = bus.SourceParry, bus.RemediationChanged })
	for range 2 {
		if err := st.Handle(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, m := range s.sent {
		var n route.Notification
		if err := json.Unmarshal(m.Payload, &n); err != nil {
			t.Fatal(err)
		}
		got = append(got, m.ID+" "+m.Topic+" "+n.Channel+" "+n.Rule+" "+n.Event.ID)
	}
	if diff := cmp.Diff([]string{"notify-e1-team notify team mail e1", "notify-e1-hook notify hook mail e1"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestARuleThatDoesNotParseIsDisabledLoudly(t *testing.T) {
	t.Parallel()
	with := func(change func(*route.Rule)) route.Rule { r := s38; change(&r); return r }
	rules := []route.Rule{
		with(func(r *route.Rule) { r.ID, r.Pattern = "broken", json.RawMessage(`{"detail":{"a":5}}`) }),
		with(func(r *route.Rule) { r.ID, r.Pattern, r.Enabled = "off", nil, false }),
		s38,
		with(func(r *route.Rule) { r.Name = "twin" }),
		with(func(r *route.Rule) { r.ID = "" }),
		with(func(r *route.Rule) { r.ID, r.Targets = "aimless", nil }),
		with(func(r *route.Rule) { r.ID, r.Targets = "lost", []route.Target{{Kind: route.Playbook, Name: "S3.999"}} }),
		with(func(r *route.Rule) { r.ID, r.Targets = "odd", []route.Target{{Kind: "lambda", Name: "x"}} }),
		with(func(r *route.Rule) { r.ID, r.Pattern = "trailing", append(bytes.Clone(s38.Pattern), " nonsense"...) }),
	}
	table := route.Compile(rules, route.Known{Playbook: func(n string) bool { return n == "S3.8" }})
	var got []string
	for _, r := range table.Refusals() {
		got = append(got, r.Rule)
	}
	if diff := cmp.Diff([]string{"broken", "s3", "rules[4]", "aimless", "lost", "odd"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := table.Refusals()[0]; !strings.Contains(err.Error(), "$.detail.a") || !fault.Is(err, fault.Invalid) || fault.HintOf(err.Err) == "" {
		t.Errorf("refusal %q does not name the place", err)
	}
	if table.Len() != 2 || len(table.Warnings()) != 1 {
		t.Errorf("%d rules and warnings %v, want 2 and 1", table.Len(), table.Warnings())
	}
	var log bytes.Buffer
	s := &fakeStore{}
	st, err := route.New(route.Config{Store: s, Table: table, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "rule disabled"); n != 6 {
		t.Errorf("%d rules are reported in the log, want 6:\n%s", n, log.String())
	}
	if err := st.Handle(t.Context(), event(t, nil, report{})); err != nil || len(s.requests(t)) != 1 {
		t.Errorf("the rule that is right does not go on: %v, %v", s.sent, err)
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	down := fault.Transient(errors.New("store is away"), time.Second)
	if err := stage(t, &fakeStore{err: down}, s38).Handle(t.Context(), event(t, nil, report{})); fault.IsTerminal(err) || !errors.Is(err, down) {
		t.Errorf("a store that is away gives %v, want it to be tried again", err)
	}
	for name, raw := range map[string][]byte{
		"no JSON": []byte("nonsense"),
		"no id":   []byte(`{}`),
		"broken findings": event(t, func(e *bus.Event) {
			e.Detail = json.RawMessage(`{"findings":{"Compliance":{"SecurityControlId":"S3.8"}}}`)
		}),
		"many findings": event(t, nil, make([]report, route.MaxFindings+1)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &fakeStore{}
			if err := stage(t, s, s38).Handle(t.Context(), raw); !fault.IsTerminal(err) {
				t.Errorf("error is %v, want a terminal one", err)
			}
		})
	}
	if _, err := route.New(route.Config{}); err == nil {
		t.Error("a stage without a store is made")
	}
}

// TestAListOfEvents sends several events in one message, one of them broken.
func TestAListOfEvents(t *testing.T) {
	t.Parallel()
	one := func(id string) []byte {
		return event(t, func(e *bus.Event) { e.ID = id }, report{id: id})
	}
	list := bytes.Join([][]byte{[]byte("["), one("a"), []byte(`,{},`), one("b"), []byte("]")}, nil)
	s := &fakeStore{}
	st := stage(t, s, s38)
	for range 2 {
		if err := st.Handle(t.Context(), list); !fault.IsTerminal(err) || !fault.Is(err, fault.Invalid) {
			t.Errorf("error is %v, want a terminal one", err)
		}
	}
	if got := s.requests(t); len(got) != 2 {
		t.Errorf("%d requests, want those of the two good events: %v", len(got), got)
	}
	down := fault.Transient(errors.New("store is away"), time.Second)
	if err := stage(t, &fakeStore{err: down}, s38).Handle(t.Context(), list); fault.IsTerminal(err) || !errors.Is(err, down) {
		t.Errorf("a store that is away gives %v, want all to be tried again", err)
	}
	if err := st.Handle(t.Context(), []byte("[{]")); !fault.IsTerminal(err) {
		t.Errorf("a broken list gives %v, want a terminal error", err)
	}
}

// TestOtherRulesGoOn sends an event that one rule cannot judge.
func TestOtherRulesGoOn(t *testing.T) {
	t.Parallel()
	hard := s38
	hard.ID, hard.Pattern = "hard", json.RawMessage(`{"detail":{"x":{"a":[1],"b":[1],"c":[1],"d":[2]}}}`)
	hard.Targets = []route.Target{{Kind: route.Channel, Name: "team"}}
	rows := strings.TrimSuffix(strings.Repeat(`{"a":1,"c":1},`, 4000), ",")
	more := strings.TrimSuffix(strings.Repeat(`{"b":1,"d":1},`, 4000), ",")
	finding := report{}.doc()
	doc, err := json.Marshal(finding)
	if err != nil {
		t.Fatal(err)
	}
	raw := event(t, func(e *bus.Event) {
		e.Detail = json.RawMessage(`{"findings":[` + string(doc) + `],"x":[` + rows + `],"x":[` + more + `],"x":[{"d":2,"a":3},{"b":2}]}`)
	})
	s := &fakeStore{}
	err = stage(t, s, hard, s38).Handle(t.Context(), raw)
	if !fault.IsTerminal(err) || !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), `rule "hard"`) {
		t.Errorf("error is %v, want a terminal one that names the rule", err)
	}
	if len(s.requests(t)) != 1 {
		t.Errorf("the other rule did not go on: %v", s.sent)
	}
}

func TestHopLimitIsPerRule(t *testing.T) {
	t.Parallel()
	strict := route.Rule{ID: "strict", Enabled: true, MaxHops: 1, Pattern: json.RawMessage(`{"version":["0"]}`), Targets: []route.Target{{Kind: route.Channel, Name: "a"}}}
	lax := strict
	lax.ID, lax.MaxHops, lax.Targets = "lax", 3, []route.Target{{Kind: route.Channel, Name: "b"}}
	s := &fakeStore{}
	if err := stage(t, s, strict, lax).Handle(t.Context(), event(t, func(e *bus.Event) { e.Parry = &pattern.Cause{Hops: 2} })); err != nil {
		t.Fatal(err)
	}
	if len(s.sent) != 1 || s.sent[0].ID != "notify-e1-b" {
		t.Errorf("sent %v, want only the lax rule's", s.sent)
	}
}

// asked is an event that somebody asked for by a custom action.
func asked(t *testing.T, by string, reports ...report) []byte {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"by": by, "event": json.RawMessage(event(t, func(e *bus.Event) {
		e.DetailType, e.Resources = pattern.FindingsCustomAction, []string{"arn:aws:securityhub:us-east-1:999988887777:action/custom/Fix"}
	}, reports...))})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestACustomActionIsThePersonsRequest: a rule that matches the action's ARN leads to a
// request of the person who asked, whatever became of an earlier one, unless one is under
// way.
func TestACustomActionIsThePersonsRequest(t *testing.T) {
	t.Parallel()
	rule := route.Rule{
		ID: "on-request", Enabled: true, Targets: []route.Target{{Kind: route.Playbook, Name: "S3.8"}},
		Pattern: json.RawMessage(`{"source":["aws.securityhub"],"detail-type":["Security Hub Findings - Custom Action"],"resources":["arn:aws:securityhub:us-east-1:999988887777:action/custom/Fix"]}`),
	}
	for name, c := range map[string]struct {
		last remediation.State
		want int
	}{"first": {"", 1}, "rejected a moment ago": {remediation.Rejected, 1}, "verified": {remediation.Verified, 1}, "under way": {remediation.Running, 0}, "waits for approval": {remediation.AwaitingApproval, 0}} {
		s := &fakeStore{}
		if c.last != "" {
			s.remediations = []remediation.Remediation{{ID: "rem-old", Kind: remediation.KindFix, Playbook: "S3.8", State: c.last, UpdatedAt: at.Add(time.Hour)}}
		}
		st := stage(t, s, rule)
		for range 2 { // delivered twice
			if err := st.HandleAction(t.Context(), asked(t, "olga", report{})); err != nil {
				t.Fatal(err)
			}
		}
		got := s.requests(t)
		if len(got) != c.want || c.want == 1 && (got[0].RequestedBy != "olga" || got[0].Kind != remediation.KindFix) {
			t.Errorf("%s: %+v", name, got)
		}
		// The same finding, imported, is not for this rule.
		if err := st.Handle(t.Context(), event(t, nil, report{id: "other"})); err != nil {
			t.Fatal(err)
		}
		if n := len(s.requests(t)); n != c.want {
			t.Errorf("%s: %d requests after an import", name, n)
		}
	}
	s := &fakeStore{}
	for _, payload := range []string{`{"event":{}}`, `{"by":"olga"}`, `[]`, `{"by":"","event":{"id":"e"}}`} {
		if err := stage(t, s, rule).HandleAction(t.Context(), []byte(payload)); !fault.IsTerminal(err) {
			t.Errorf("%s: %v", payload, err)
		}
	}
	// Findings that need nothing are not fixed for being sent.
	if err := stage(t, s, rule).HandleAction(t.Context(), asked(t, "olga", report{workflow: "SUPPRESSED"})); err != nil || len(s.sent) > 0 {
		t.Errorf("%v: %v", err, s.sent)
	}
}

// TestThePlaybookThatAnswers: "*" is for each finding the playbook of its control, and none
// for a control without one.
func TestThePlaybookThatAnswers(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	table := route.Compile([]route.Rule{{ID: "all", Enabled: true, Pattern: json.RawMessage(`{"source":["aws.securityhub"]}`), Targets: []route.Target{{Kind: route.Playbook, Name: route.Answering}}}},
		route.Known{Playbook: func(string) bool { return false }})
	if len(table.Refusals()) > 0 {
		t.Fatal(table.Refusals())
	}
	st, err := route.New(route.Config{Store: s, Table: table, Answers: func(control string) (string, bool) { return "book of " + control, control != "EC2.99" }})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Handle(t.Context(), event(t, nil, report{id: "a", control: "S3.8"}, report{id: "b", control: "EC2.99"}, report{id: "c", control: "KMS.4"})); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range s.requests(t) {
		got = append(got, r.Finding.Id+": "+r.Playbook)
	}
	if diff := cmp.Diff([]string{"a: book of S3.8", "c: book of KMS.4"}, got); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestACustomActionOfAWSsConsole comes by a queue, so nobody knows whose word it is; it is
// a person's all the same.
func TestACustomActionOfAWSsConsole(t *testing.T) {
	t.Parallel()
	rule := route.Rule{
		ID: "on-request", Enabled: true, Targets: []route.Target{{Kind: route.Playbook, Name: "S3.8"}},
		Pattern: json.RawMessage(`{"source":["aws.securityhub"],"detail-type":["Security Hub Findings - Custom Action"]}`),
	}
	for state, want := range map[remediation.State]int{remediation.Rejected: 1, remediation.Verified: 1, remediation.Running: 0} {
		s := &fakeStore{remediations: []remediation.Remediation{{ID: "rem-old", Kind: remediation.KindFix, Playbook: "S3.8", State: state, UpdatedAt: at.Add(time.Hour)}}}
		if err := stage(t, s, rule).Handle(t.Context(), event(t, func(e *bus.Event) { e.DetailType = pattern.FindingsCustomAction }, report{})); err != nil {
			t.Fatal(err)
		}
		if got := s.requests(t); len(got) != want || want == 1 && got[0].RequestedBy != "rule/on-request" {
			t.Errorf("%s: %+v", state, got)
		}
	}
}
