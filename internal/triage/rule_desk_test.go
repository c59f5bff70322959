package triage_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// world is triage with a rule desk on a real database.
type world struct {
	*triage.Triage
	*triage.RuleDesk
	db    *store.Store
	clock *service.FixedClock
}

func newWorld(t testing.TB, configured ...rule.Rule) world {
	t.Helper()
	return worldOn(t, openStore(t), service.NewFixedClock(epoch()), configured...)
}

// worldOn is another process on the same database.
func worldOn(t testing.TB, db *store.Store, clock *service.FixedClock, configured ...rule.Rule) world {
	t.Helper()
	book := triage.NewRulebook(db, configured, slog.New(slog.DiscardHandler))
	tr, err := triage.New(triage.Config{Store: db, Rules: book, Clock: clock, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := triage.NewRuleDesk(triage.RuleDeskConfig{Triage: tr, Book: book, Rules: db, Runs: db, Pages: db, Account: "999988887777", Clock: clock, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return world{tr, desk, db, clock}
}

func (w world) put(t testing.TB, docs ...string) {
	t.Helper()
	var items []store.InboxItem
	for _, d := range docs {
		items = append(items, store.InboxItem{Source: "hub", Trusted: true, Finding: json.RawMessage(d), ReceivedAt: w.clock.Now()})
	}
	if err := w.db.AppendInbox(t.Context(), items); err != nil {
		t.Fatal(err)
	}
}

func (w world) drain(t testing.TB) {
	t.Helper()
	if _, err := w.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w world) give(t testing.TB, docs ...string) {
	t.Helper()
	w.put(t, docs...)
	w.drain(t)
}

func document(head, update string) json.RawMessage {
	if !strings.Contains(head, `"RuleOrder"`) {
		head += `,"RuleOrder":1`
	}
	return fmt.Appendf(nil, `{"Description":"d",%s,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":%s}]}`, head, update)
}

func (w world) create(t testing.TB, head, update string) triage.StoredRule {
	t.Helper()
	r, err := w.CreateRule(t.Context(), triage.NewRule{Version: 1, Document: document(head, update), Region: "eu-west-1", By: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w world) change(t testing.TB, r triage.StoredRule, members string) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(members), &m); err != nil {
		t.Fatal(err)
	}
	out, err := w.UpdateRules(t.Context(), 1, []triage.RuleChange{{Rule: r.ARN, Members: m}}, "ben")
	if err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
}

func (w world) named(t testing.TB, name string) triage.StoredRule {
	t.Helper()
	all, _, err := w.ListRules(t.Context(), triage.RuleQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no rule %q", name)
	return triage.StoredRule{}
}

func (w world) find(t testing.TB, id string) store.FindingRecord {
	t.Helper()
	found, err := w.db.Findings(t.Context(), []finding.ID{identity(id)})
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %d findings, %v", id, len(found), err)
	}
	return found[0]
}

func (w world) doc(t testing.TB, id string) finding.Finding {
	t.Helper()
	f, err := finding.Reopen(w.find(t, id).Doc)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (w world) hit(t testing.TB, r triage.StoredRule) store.RuleHit {
	t.Helper()
	hits, err := w.RuleHits(t.Context(), []triage.StoredRule{r})
	if err != nil {
		t.Fatal(err)
	}
	return hits[r.ID()]
}

// story prints the history of a finding, the latest first.
func (w world) story(t testing.TB, id string) []string {
	t.Helper()
	entries, _, err := w.db.FindingHistory(t.Context(), identity(id), 100, "")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, h := range entries {
		line := h.Source + " " + h.Identity
		if h.Created {
			line += " created"
		}
		for _, u := range h.Updates {
			line += fmt.Sprintf(" %s:%s->%s", u.UpdatedField, cmp.Or(u.OldValue, "-"), cmp.Or(u.NewValue, "-"))
		}
		out = append(out, line)
	}
	return out
}

// events takes what was announced: id and workflow status of each finding.
func (w world) events(t testing.TB) []string {
	t.Helper()
	// The system's clock decides what is due.
	got, err := w.db.ClaimMessages(t.Context(), store.Findings, []string{store.TopicEvent}, 1000, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range got {
		type event struct {
			Detail struct{ Findings []finding.Finding }
		}
		var list []event
		raw := []byte(m.Payload)
		if raw[0] != '[' {
			raw = append(append([]byte("["), raw...), ']')
		}
		if err := json.Unmarshal(raw, &list); err != nil {
			t.Fatalf("%v: %s", err, m.Payload)
		}
		for _, e := range list {
			if len(e.Detail.Findings) != 1 {
				t.Fatalf("an event of %d findings", len(e.Detail.Findings))
			}
			f := e.Detail.Findings[0]
			out = append(out, f.ID().Id+" "+string(f.Workflow()))
		}
	}
	slices.Sort(out)
	return out
}

func (w world) audited(t testing.TB) []string {
	t.Helper()
	rows, err := w.db.AuditPending(t.Context(), store.Findings, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, r.Action+" by "+r.Actor)
	}
	return out
}

func TestRulesAreStoredAndServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.create(t, `"RuleName":"low","RuleOrder":7,"Tags":{"team":"a"},"IsTerminal":true,"Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	if !strings.HasPrefix(r.ARN, "arn:aws:securityhub:eu-west-1:999988887777:automation-rule/") || r.CreatedBy != "ada" || !r.CreatedAt.Equal(epoch()) {
		t.Errorf("%+v", r)
	}
	w.clock.Advance(time.Minute)
	w.change(t, r, `{"RuleOrder":9,"RuleStatus":"DISABLED","RuleArn":"arn:forged","CreatedBy":"eve","CreatedAt":"2001-01-01T00:00:00Z"}`)
	// Another process has the rule as it is now.
	other := worldOn(t, w.db, w.clock)
	got, err := other.Rule(t.Context(), r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got.ARN != r.ARN || got.Order != 9 || got.Enabled || !got.Terminal || got.CreatedBy != "ada" || !got.CreatedAt.Equal(epoch()) ||
		!got.UpdatedAt.Equal(epoch().Add(time.Minute)) || got.Tags["team"] != "a" {
		t.Errorf("%+v", got)
	}
	out, err := other.DeleteRules(t.Context(), 1, []string{r.ARN, r.ARN, "arn:none"}, "cleo")
	if err != nil || out[0].Err != nil || !fault.Is(out[1].Err, fault.Invalid) || !fault.Is(out[2].Err, fault.NotFound) {
		t.Errorf("%v %+v", err, out)
	}
	if _, err := w.Rule(t.Context(), r.ARN); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the deletion: %v", err)
	}
	if diff := gocmp.Diff([]string{"rule.created by ada", "rule.updated by ben", "rule.deleted by cleo"}, w.audited(t)); diff != "" {
		t.Error(diff)
	}
}

func TestRuleOfConfigurationIsShownAndNotChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, ruleOf(t, "configured", 1, anyBucket, `{"Severity":{"Label":"LOW"}}`))
	w.give(t, asff("f1", 1))
	r, err := w.Rule(t.Context(), "configured")
	if err != nil || !r.Configured || !strings.HasPrefix(r.Key, "config-") {
		t.Fatalf("%v %+v", err, r)
	}
	if hit := w.hit(t, r); hit.Matched != 1 {
		t.Errorf("%+v", hit)
	}
	out, err := w.UpdateRules(t.Context(), 0, []triage.RuleChange{{Rule: r.Key, Members: map[string]json.RawMessage{"RuleOrder": json.RawMessage(`2`)}}}, "ada")
	if err != nil || !fault.Is(out[0].Err, fault.Conflict) || !strings.Contains(fault.HintOf(out[0].Err), "parry.yaml") {
		t.Errorf("%v %v", err, out)
	}
	if out, err = w.DeleteRules(t.Context(), 0, []string{r.Key}, "ada"); err != nil || !fault.Is(out[0].Err, fault.Conflict) {
		t.Errorf("%v %v", err, out)
	}
	if page, _, err := w.ListRules(t.Context(), triage.RuleQuery{Version: 1}); err != nil || len(page) != 0 {
		t.Errorf("AWS's list has %d rules, %v", len(page), err)
	}
}

func TestRuleListPagesByOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, order := range []int{5, 1, 3, 3, 2} {
		w.create(t, fmt.Sprintf(`"RuleName":"n%d","RuleOrder":%d,"Criteria":%s`, order, order, anyBucket), `{"Confidence":1}`)
	}
	var got []float64
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		rules, next, err := w.ListRules(t.Context(), triage.RuleQuery{Version: 1, Limit: 2, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			got = append(got, r.Order)
		}
		if page == 0 {
			// A rule that goes between two pages hides no other.
			if _, err := w.DeleteRules(t.Context(), 1, []string{rules[1].ARN}, "ada"); err != nil {
				t.Fatal(err)
			}
		}
		cursor = next
	}
	if diff := gocmp.Diff([]float64{1, 2, 3, 3, 5}, got); diff != "" {
		t.Error(diff)
	}
	_, next, err := w.ListRules(t.Context(), triage.RuleQuery{Version: 1, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []triage.RuleQuery{{Cursor: next}, {Version: 1, Cursor: next + "00"}, {Version: 1, Cursor: "zz"}, {Version: 1, Cursor: strings.Repeat("00", 9000)}} {
		if _, _, err := w.ListRules(t.Context(), q); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.20q: %v", q.Cursor, err)
		}
	}
}

// A rule that is stored and cannot be read is switched off loudly, shown, and can
// be deleted; the others go on.
func TestRuleThatCannotBeReadIsShownAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	arn := "arn:aws:securityhub:eu-west-1:999988887777:automation-rule/broken"
	if err := w.db.CreateRule(t.Context(), store.AutomationRule{ID: "broken", ARN: arn, Version: 1, Doc: json.RawMessage(`{"RuleName":"of tomorrow","Criteria":{"New":1}}`)},
		store.RuleLimits{Rules: 9, Bytes: 999}, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	w.create(t, `"RuleName":"good","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	w.give(t, asff("f1", 1))
	if got := w.find(t, "f1").SeverityLabel; got != "LOW" {
		t.Error(got)
	}
	if r := w.named(t, "of tomorrow"); r.Status(w.clock.Now()) != "BROKEN" || r.Problem == "" {
		t.Errorf("%+v", r)
	}
	out, err := w.DeleteRules(t.Context(), 1, []string{arn}, "ada")
	if err != nil || out[0].Err != nil {
		t.Errorf("%v %v", err, out)
	}
}

func TestTokenMakesCreationIdempotent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(name, by, token string) (triage.StoredRule, error) {
		return w.CreateRule(t.Context(), triage.NewRule{Version: 1, Document: document(`"RuleName":"`+name+`","Criteria":`+anyBucket, `{"Confidence":1}`), Region: "r", By: by, Token: token})
	}
	first, err := ask("a", "ada", "t")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ask("a", "ada", "t"); err != nil || again.ARN != first.ARN {
		t.Errorf("%v %s", err, again.ARN)
	}
	if _, err := ask("b", "ada", "t"); !fault.Is(err, fault.Conflict) {
		t.Errorf("another rule under the same token: %v", err)
	}
	if other, err := ask("a", "ben", "t"); err != nil || other.ARN == first.ARN {
		t.Errorf("another person's token: %v", err)
	}
}

// TestTokenStandsForTheWholeRequest: the same request is one however it is written and
// also when the rule was changed since; whatever else differs is a conflict.
func TestTokenStandsForTheWholeRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(text string) (triage.StoredRule, error) {
		return w.CreateRule(t.Context(), triage.NewRule{Version: 2, Document: json.RawMessage(text), Region: "r", By: "ada", Token: "t"})
	}
	const (
		criteria = `{"OcsfFindingCriteria":{"CompositeFilters":[{"StringFilters":[{"FieldName":"finding_info.title","Filter":{"Value":"x","Comparison":"PREFIX"}}]}]}}`
		asked    = `{"RuleName":"n","Description":"d","RuleOrder":1.5,"RuleStatus":"DISABLED","Tags":{"a":"b"},"Criteria":` + criteria + `,"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"StatusId":3}}]}`
	)
	first, err := ask(asked)
	if err != nil {
		t.Fatal(err)
	}
	same := func(what, text string) {
		t.Helper()
		if again, err := ask(text); err != nil || again.ARN != first.ARN {
			t.Errorf("%s: %v %s", what, err, again.ARN)
		}
	}
	same("again", asked)
	same("in another order", strings.Replace(asked, `"Value":"x","Comparison":"PREFIX"`, `"Comparison": "PREFIX", "Value": "x"`, 1))
	for _, change := range [][2]string{
		{`"n"`, `"m"`},
		{`"d"`, `"e"`},
		{`1.5`, `1.25`},
		{`DISABLED`, `ENABLED`},
		{`{"a":"b"}`, `{"a":"c"}`},
		{`"Value":"x"`, `"Value":"y"`},
		{`"StatusId":3`, `"StatusId":2`},
	} {
		if _, err := ask(strings.Replace(asked, change[0], change[1], 1)); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", change[1], err)
		}
	}
	out, err := w.UpdateRules(t.Context(), 2, []triage.RuleChange{{Rule: first.Key, Members: map[string]json.RawMessage{"RuleOrder": json.RawMessage(`2`)}}}, "ada")
	if err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
	same("after a change of the rule", asked)
	if _, err := ask(strings.Replace(asked, `1.5`, `2`, 1)); !fault.Is(err, fault.Conflict) {
		t.Errorf("what the rule is now: %v", err)
	}
	if out, err := w.DeleteRules(t.Context(), 2, []string{first.Key}, "ada"); err != nil || out[0].Err != nil {
		t.Fatal(err, out)
	}
	if next, err := ask(asked); err != nil || next.ARN == first.ARN {
		t.Errorf("after the rule is deleted: %v %s", err, next.ARN)
	}
}

func TestPreviewSaysWhatARunWouldDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.give(t, asff("f1", 1), asff("f2", 1, `"Severity":{"Label":"LOW"}`), asff("f3", 1), strings.Replace(asff("f4", 1), dev, prod, 1))
	w.Update(t.Context(), triage.UpdateRequest{Identifiers: []finding.ID{identity("f3")}, Patch: finding.Patch{Severity: &finding.SeverityUpdate{Label: "LOW"}}}, "ada", store.AllAccounts())
	r, err := rule.Parse(document(`"RuleName":"low","RuleStatus":"DISABLED","Criteria":{"SeverityLabel":[{"Value":"MEDIUM","Comparison":"EQUALS"}]}`, `{"Severity":{"Label":"LOW"},"Confidence":5}`))
	if err != nil {
		t.Fatal(err)
	}
	before := w.audited(t)
	got, err := w.PreviewRule(t.Context(), triage.PreviewRequest{Rule: r, Accounts: store.AllAccounts(), Examples: 1})
	if err != nil {
		t.Fatal(err)
	}
	// f3 matches as its provider sent it, and has the severity already.
	if got.Scanned != 4 || got.Matched != 3 || got.Changed != 3 || !got.Complete || len(got.Examples) != 1 {
		t.Errorf("%+v", got)
	}
	if diff := gocmp.Diff(map[string]int{"Severity": 2, "Confidence": 3}, got.Fields); diff != "" {
		t.Error(diff)
	}
	if part, err := w.PreviewRule(t.Context(), triage.PreviewRequest{Rule: r, Accounts: []string{prod}}); err != nil || part.Scanned != 1 || part.Examples[0].Account != prod {
		t.Errorf("%+v %v", part, err)
	}
	if part, err := w.PreviewRule(t.Context(), triage.PreviewRequest{Rule: r, Accounts: []string{}}); err != nil || part.Scanned != 0 || len(part.Examples) != 0 {
		t.Errorf("no accounts: %+v %v", part, err)
	}
	if part, err := w.PreviewRule(t.Context(), triage.PreviewRequest{Rule: r, Accounts: store.AllAccounts(), Scan: 2}); err != nil || part.Scanned != 2 || part.Complete {
		t.Errorf("bounded: %+v %v", part, err)
	}
	if w.find(t, "f1").SeverityLabel != "MEDIUM" || len(w.audited(t)) != len(before) {
		t.Error("the preview wrote something")
	}
}

// f3's severity was changed by a customer: the rule sees the provider's, and would
// change what is left to change.
func TestExplainSaysWhyARuleApplies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.give(t, asff("f2", 1, `"Severity":{"Label":"LOW"}`), asff("f3", 1))
	w.Update(t.Context(), triage.UpdateRequest{Identifiers: []finding.ID{identity("f3")}, Patch: finding.Patch{Severity: &finding.SeverityUpdate{Label: "LOW"}}}, "ada", store.AllAccounts())
	r, err := rule.Parse(document(`"RuleName":"low","RuleStatus":"DISABLED","Criteria":{"SeverityLabel":[{"Value":"MEDIUM","Comparison":"EQUALS"}]}`, `{"Severity":{"Label":"LOW"},"Confidence":5}`))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]bool{"f2": false, "f3": true} {
		got, err := w.ExplainRule(r, w.find(t, id))
		if err != nil || got.Matched != want || len(got.Reasons) != 1 || got.Reasons[0].Field != "SeverityLabel" || got.Reasons[0].Matched != want {
			t.Errorf("%s: %+v %v", id, got, err)
		}
		var fields []string
		for _, u := range got.Updates {
			fields = append(fields, u.UpdatedField)
		}
		if want != (len(fields) == 1 && fields[0] == "Confidence") {
			t.Errorf("%s: would change %v", id, fields)
		}
	}
}

// work carries out all runs.
func (w world) work(t testing.TB) {
	t.Helper()
	if err := w.Work(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestRunAppliesARuleBackwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var docs []string
	for i := range 450 { // more than two commits
		docs = append(docs, asff(fmt.Sprintf("f%d", i), i%60))
	}
	w.give(t, docs...)
	w.give(t, strings.Replace(asff("foreign", 1), dev, prod, 1))
	w.events(t)
	r := w.create(t, `"RuleName":"suppress","Criteria":`+anyBucket, `{"Workflow":{"Status":"SUPPRESSED"}}`)
	run, err := w.StartRun(t.Context(), r.ARN, []string{dev}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.StartRun(t.Context(), r.Key, store.AllAccounts(), "ben"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second run of the rule: %v", err)
	}
	w.work(t)
	got, err := w.Run(t.Context(), run.ID)
	if err != nil || got.State != triage.RunDone || got.Scanned != 450 || got.Matched != 450 || got.Changed != 450 || got.EndedAt.IsZero() {
		t.Errorf("%v %+v", err, got)
	}
	if n := len(w.events(t)); n != 450 {
		t.Errorf("%d events", n)
	}
	if got := w.find(t, "f7"); got.Workflow != "SUPPRESSED" || got.Rev != 2 || len(got.Touched) != 0 {
		t.Errorf("%+v", got)
	}
	if diff := gocmp.Diff([]string{"AUTOMATION_RULE " + r.ARN + " Workflow:NEW->SUPPRESSED", "BATCH_IMPORT_FINDINGS hub created"}, w.story(t, "f7")); diff != "" {
		t.Error(diff)
	}
	if got := w.find(t, "foreign").Workflow; got != "NEW" {
		t.Errorf("a finding of another account: %s", got)
	}
	if hit := w.hit(t, r); hit.Matched != 450 || hit.Changed != 450 {
		t.Errorf("%+v", hit)
	}
	// Again: everything is as the rule wants it.
	if run, err = w.StartRun(t.Context(), r.ARN, []string{dev}, "ada"); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	if got, err = w.Run(t.Context(), run.ID); err != nil || got.Matched != 450 || got.Changed != 0 || len(w.events(t)) != 0 {
		t.Errorf("%v %+v", err, got)
	}
	if diff := gocmp.Diff([]string{"rule.created by ada", "rule.run_requested by ada", "rule.run_ended by ada", "rule.run_requested by ada", "rule.run_ended by ada"}, w.audited(t)); diff != "" {
		t.Error(diff)
	}
	if runs, next, err := w.Runs(t.Context(), r.ARN, 1, ""); err != nil || len(runs) != 1 || next == "" {
		t.Errorf("%v %v %q", err, runs, next)
	}
}

// stopAfter is a Runs that ends the process, so to speak, after some commits.
type stopAfter struct {
	*store.Store
	left   int
	cancel context.CancelFunc
}

func (s *stopAfter) CommitRuleRun(ctx context.Context, r store.RuleRun, w []store.FindingWrite, eff store.Effects) error {
	err := s.Store.CommitRuleRun(ctx, r, w, eff)
	if s.left--; s.left == 0 {
		s.cancel()
	}
	return err
}

func TestRunGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var docs []string
	for i := range 450 {
		docs = append(docs, asff(fmt.Sprintf("f%d", i), i%60))
	}
	w.give(t, docs...)
	r := w.create(t, `"RuleName":"low","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	ctx, cancel := context.WithCancel(t.Context())
	dying, err := triage.NewRuleDesk(triage.RuleDeskConfig{
		Triage: w.Triage, Book: triage.NewRulebook(w.db, nil, slog.New(slog.DiscardHandler)), Rules: w.db, Runs: &stopAfter{w.db, 1, cancel}, Pages: w.db, Account: "999988887777", Clock: w.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := dying.StartRun(t.Context(), r.ARN, store.AllAccounts(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	_ = dying.Work(ctx)
	half, err := w.Run(t.Context(), run.ID)
	if err != nil || half.State != triage.RunRunning || half.Scanned != 200 {
		t.Fatalf("%v %+v", err, half)
	}
	// The rule is changed and deleted meanwhile: the run is of the rule as it was.
	w.change(t, r, `{"RuleStatus":"DISABLED"}`)
	if _, err := w.DeleteRules(t.Context(), 1, []string{r.ARN}, "ada"); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	got, err := w.Run(t.Context(), run.ID)
	if err != nil || got.State != triage.RunDone || got.Scanned != 450 || got.Changed != 450 {
		t.Errorf("%v %+v", err, got)
	}
}

func TestRunIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.give(t, asff("f1", 1))
	r := w.create(t, `"RuleName":"low","Criteria":`+anyBucket, `{"Severity":{"Label":"LOW"}}`)
	run, err := w.StartRun(t.Context(), r.ARN, store.AllAccounts(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.CancelRun(t.Context(), run.ID, "ben")
	if err != nil || got.State != triage.RunCancelled {
		t.Fatalf("%v %+v", err, got)
	}
	w.work(t)
	if got := w.find(t, "f1").SeverityLabel; got != "MEDIUM" {
		t.Error(got)
	}
	if _, err := w.CancelRun(t.Context(), run.ID, "ben"); !fault.Is(err, fault.Invalid) {
		t.Errorf("cancelled twice: %v", err)
	}
	if _, err := w.CancelRun(t.Context(), "run-none", "ben"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
}
