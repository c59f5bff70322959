package triage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// excepted is triage with an exception desk on a real database.
type excepted struct {
	world
	desk *triage.ExceptionDesk
}

func newExcepted(t testing.TB, rules ...rule.Rule) excepted {
	t.Helper()
	db := openStore(t)
	return exceptedOn(t, db, db, service.NewFixedClock(epoch()), rules...)
}

// exceptedOn is another process on the same database.
func exceptedOn(t testing.TB, db *store.Store, exceptions triage.ExceptionStore, clock *service.FixedClock, rules ...rule.Rule) excepted {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	tr, err := triage.New(triage.Config{Store: db, Rules: triage.FixedRules(rules...), Exceptions: triage.NewExceptionBook(db, log), Clock: clock, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	desk, err := triage.NewExceptionDesk(triage.ExceptionDeskConfig{Triage: tr, Store: exceptions, Pages: db, Account: "999988887777", Warn: []int{14, 3}, Clock: clock, Poll: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return excepted{world{Triage: tr, db: db, clock: clock}, desk}
}

func scopeOf(t testing.TB, text string) filter.Filter {
	t.Helper()
	f, err := filter.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const titled = `{"Title":[{"Value":"bucket is public","Comparison":"EQUALS"}]}`

// ask requests an exception of 30 days.
func (w excepted) ask(t testing.TB, scope string) string {
	t.Helper()
	e, err := w.desk.Request(t.Context(), triage.NewException{
		Title: "accepted", Owner: "team", Reason: "r", Scope: scopeOf(t, scope), ExpiresAt: w.clock.Now().AddDate(0, 0, 30),
	}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func (w excepted) approve(t testing.TB, id string) {
	t.Helper()
	if _, err := w.desk.Approve(t.Context(), id, "ben", "fine"); err != nil {
		t.Fatal(err)
	}
}

func (w excepted) inForce(t testing.TB, scope string) string {
	t.Helper()
	id := w.ask(t, scope)
	w.approve(t, id)
	w.work(t)
	return id
}

func (w excepted) work(t testing.TB) {
	t.Helper()
	if err := w.desk.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (w excepted) expire(t testing.TB, id string) {
	t.Helper()
	if _, err := w.desk.Expire(t.Context(), id, "cleo", ""); err != nil {
		t.Fatal(err)
	}
	w.work(t)
}

func (w excepted) state(t testing.TB, id string) exception.State {
	t.Helper()
	e, err := w.desk.Exception(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return e.State
}

// set is a person's BatchUpdateFindings.
func (w excepted) set(t testing.TB, id, patch string) {
	t.Helper()
	p, err := finding.ParsePatch([]byte(patch), "data")
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.Update(t.Context(), triage.UpdateRequest{Identifiers: []finding.ID{identity(id)}, Patch: p}, "dora", store.AllAccounts())
	if err != nil || len(out.Processed) != 1 {
		t.Fatal(out, err)
	}
}

// status checks workflow status and holder of a finding.
func (w excepted) status(t testing.TB, id string, want finding.Workflow, holder string) {
	t.Helper()
	r := w.find(t, id)
	if r.Workflow != string(want) || r.Exception != holder || w.doc(t, id).Workflow() != want {
		t.Errorf("%s is %s (document %s), held by %q; want %s, %q", id, r.Workflow, w.doc(t, id).Workflow(), r.Exception, want, holder)
	}
}

func (w excepted) latest(t testing.TB, id string, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, w.story(t, id)[:len(want)]); diff != "" {
		t.Errorf("history of %s: %s", id, diff)
	}
}

// told gives the events of exceptions: what, which and how many it covers.
func (w excepted) told(t testing.TB) []string {
	t.Helper()
	var out []string
	for {
		got, err := w.db.ClaimMessages(t.Context(), store.Findings, []string{store.TopicEvent}, 1000, "test", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			return out
		}
		for _, m := range got {
			var e struct {
				Type   string `json:"detail-type"`
				Detail struct {
					Exception exception.Exception
					Covered   int
					DaysLeft  int
				}
			}
			if json.Unmarshal(m.Payload, &e) == nil && strings.HasPrefix(e.Type, "Parry Exception ") {
				out = append(out, fmt.Sprintf("%s %s %d %d", strings.TrimPrefix(e.Type, "Parry Exception "), e.Detail.Exception.Owner, e.Detail.Covered, e.Detail.DaysLeft))
			}
		}
	}
}

func TestExceptionSuppressesUntilItExpires(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1), asff("other", 1, `"Title":"another"`))
	due := w.find(t, "a").DueAt
	id := w.ask(t, titled)
	w.work(t)
	w.status(t, "a", finding.New, "") // nobody has approved it

	if _, err := w.desk.Approve(t.Context(), id, "ada", ""); !fault.Is(err, fault.Denied) || fault.HintOf(err) == "" {
		t.Errorf("the requester approves: %v", err)
	}
	w.approve(t, id)
	w.work(t)
	w.status(t, "a", finding.Suppressed, id)
	w.status(t, "other", finding.New, "")
	w.latest(t, "a", "EXCEPTION "+id+" Workflow:NEW->SUPPRESSED", "BATCH_IMPORT_FINDINGS hub created")
	if r := w.find(t, "a"); due.IsZero() || !r.DueAt.IsZero() || r.Priority != 0 {
		t.Errorf("due %s, then %s, priority %d", due, r.DueAt, r.Priority)
	}
	// At ingest: a new finding, and a report of one that it holds.
	w.give(t, asff("b", 1), asff("a", 2))
	w.status(t, "b", finding.Suppressed, id)
	w.status(t, "a", finding.Suppressed, id)
	w.latest(t, "b", "EXCEPTION "+id+" Workflow:NEW->SUPPRESSED", "BATCH_IMPORT_FINDINGS hub created")
	if n := len(w.story(t, "a")); n != 2 {
		t.Errorf("a report that changes nothing made history: %v", w.story(t, "a"))
	}
	if got := w.doc(t, "a").String("FindingProviderFields", "Severity", "Label"); got != "MEDIUM" {
		t.Errorf("provider's severity is %q", got)
	}
	e, err := w.desk.Exception(t.Context(), id)
	if err != nil || e.Covered != 2 || e.Working || e.DecidedBy != "ben" {
		t.Errorf("%+v, %v", e, err)
	}

	w.clock.Advance(30 * 24 * time.Hour)
	// Its time has passed, and the work was not done yet: what comes in is not covered.
	w.give(t, asff("c", 1), asff("b", 2))
	w.status(t, "c", finding.New, "")
	w.status(t, "b", finding.New, "")
	w.work(t)
	w.status(t, "a", finding.New, "")
	w.latest(t, "a", "EXCEPTION "+id+" Workflow:SUPPRESSED->NEW")
	entries, _, err := w.db.FindingHistory(t.Context(), identity("a"), 1, "")
	if err != nil || entries[0].Reason != "it expired" {
		t.Errorf("%+v, %v", entries, err)
	}
	if w.state(t, id) != exception.Ended || !w.find(t, "a").DueAt.Equal(due) {
		t.Errorf("state %s, due %s, want %s", w.state(t, id), w.find(t, "a").DueAt, due)
	}
	// Both warnings were due by then, and too late to be of use.
	want := []string{"Requested team 0 0", "Approved team 0 0", "Ended team 1 0"}
	if diff := gocmp.Diff(want, w.told(t)); diff != "" {
		t.Error(diff)
	}
	wantAudit := []string{"ada exception.requested " + id, "ben exception.approved " + id, "parry/triage exception.applied " + id, "parry/triage exception.expired " + id, "parry/triage exception.released " + id}
	if diff := gocmp.Diff(wantAudit, w.auditedExceptions(t)); diff != "" {
		t.Error(diff)
	}
}

func (w excepted) auditedExceptions(t testing.TB) []string {
	t.Helper()
	pending, err := w.db.AuditPending(t.Context(), store.Findings, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range pending {
		out = append(out, p.Actor+" "+p.Action+" "+p.Object)
	}
	return out
}

// What is not open is not taken, and what an ended exception lets go stands as it
// would without it.
func TestExceptionAndTheStateMachine(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	passed, failed, archived := `"Compliance":{"Status":"PASSED"}`, `"Compliance":{"Status":"FAILED"}`, `"RecordState":"ARCHIVED"`
	w.give(t, asff("new", 1, failed), asff("notified", 1, failed), asff("resolved", 1, failed), asff("suppressed", 1, failed), asff("passed", 1, passed), asff("archived", 1, archived),
		asff("passes", 1, failed), asff("goes", 1, failed))
	for id, status := range map[string]string{"notified": "NOTIFIED", "resolved": "RESOLVED", "suppressed": "SUPPRESSED"} {
		w.set(t, id, `{"Workflow":{"Status":"`+status+`"}}`)
	}
	w.clock.Advance(time.Minute)
	ex := w.inForce(t, titled)
	for id, want := range map[string]struct {
		status finding.Workflow
		held   bool
	}{
		"new": {finding.Suppressed, true}, "notified": {finding.Suppressed, true}, "resolved": {finding.Resolved, false}, "suppressed": {finding.Suppressed, false},
		"passed": {finding.Resolved, false}, "archived": {finding.New, false},
	} {
		holder := ""
		if want.held {
			holder = ex
		}
		w.status(t, id, want.status, holder)
	}
	// As in AWS, a suppressed finding stays so, whatever its provider says.
	w.give(t, asff("passes", 2, passed), asff("goes", 2, failed, archived), asff("archived", 2, failed), asff("passed", 2, failed))
	for _, id := range []string{"passes", "goes", "archived", "passed"} {
		w.status(t, id, finding.Suppressed, ex)
	}
	w.expire(t, ex)
	for id, want := range map[string]finding.Workflow{
		"new": finding.New, "notified": finding.New, "resolved": finding.Resolved, "suppressed": finding.Suppressed, "passed": finding.New, "archived": finding.New,
		"passes": finding.Resolved, "goes": finding.New,
	} {
		w.status(t, id, want, "")
	}
	entries, _, err := w.db.FindingHistory(t.Context(), identity("new"), 1, "")
	if err != nil || entries[0].Reason != "it was withdrawn by cleo" {
		t.Errorf("%+v, %v", entries, err)
	}
}

func TestExceptionFollowsAPersonsUpdate(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	ex := w.inForce(t, `{"UserDefinedFields":[{"Key":"risk","Value":"accepted","Comparison":"EQUALS"}]}`)
	w.status(t, "a", finding.New, "")
	w.set(t, "a", `{"UserDefinedFields":{"risk":"accepted"}}`)
	w.status(t, "a", finding.Suppressed, ex)
	w.latest(t, "a", "EXCEPTION "+ex+" Workflow:NEW->SUPPRESSED", `BATCH_UPDATE_FINDINGS dora UserDefinedFields:-->{"risk":"accepted"}`)
	w.set(t, "a", `{"UserDefinedFields":{"risk":"open"}}`)
	w.status(t, "a", finding.New, "")
	w.latest(t, "a", "EXCEPTION "+ex+" Workflow:SUPPRESSED->NEW")
	w.set(t, "a", `{"UserDefinedFields":{"risk":"accepted"},"Workflow":{"Status":"NEW"}}`)
	w.status(t, "a", finding.New, "") // the status is a person's
}

func TestExceptionLetsGoWhatItDoesNotCoverAnyMore(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	ex := w.inForce(t, titled)
	w.status(t, "a", finding.Suppressed, ex)
	w.give(t, asff("a", 2, `"Title":"bucket is public and holds secrets"`))
	w.status(t, "a", finding.New, "")
	w.latest(t, "a", "EXCEPTION "+ex+" Workflow:SUPPRESSED->NEW", "BATCH_IMPORT_FINDINGS hub Title:bucket is public->bucket is public and holds secrets")
}

func TestAPersonsStatusStands(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	failed := `"Compliance":{"Status":"FAILED"}`
	w.give(t, asff("a", 1, failed), asff("b", 1, failed), asff("c", 1, failed))
	ex := w.inForce(t, titled)
	w.set(t, "a", `{"Workflow":{"Status":"NEW"}}`)
	w.set(t, "b", `{"Workflow":{"Status":"RESOLVED"}}`)
	w.set(t, "c", `{"Workflow":{"Status":"SUPPRESSED"}}`)
	w.clock.Advance(2 * time.Hour)
	w.give(t, asff("a", 2, failed), asff("b", 2, failed), asff("c", 2, failed))
	w.work(t) // with a look through everything
	w.status(t, "a", finding.New, "")
	w.status(t, "b", finding.Resolved, "")
	w.status(t, "c", finding.Suppressed, "")
	w.latest(t, "a", "BATCH_UPDATE_FINDINGS dora Workflow:SUPPRESSED->NEW")
	// The provider opens it again: that is news to the person too.
	w.give(t, asff("b", 3, `"Compliance":{"Status":"PASSED"}`), asff("b", 4, failed))
	w.status(t, "b", finding.Suppressed, ex)
	// A later exception is a later decision.
	later := w.inForce(t, titled)
	w.status(t, "a", finding.Suppressed, later)
	w.status(t, "c", finding.Suppressed, "")
}

func TestExceptionsComeAfterRules(t *testing.T) {
	t.Parallel()
	w := newExcepted(t,
		ruleOf(t, "notify", 1, `{"Title":[{"Value":"bucket","Comparison":"PREFIX"}]}`, `{"Workflow":{"Status":"NOTIFIED"}}`),
		ruleOf(t, "raise", 2, `{"Id":[{"Value":"b","Comparison":"EQUALS"}]}`, `{"Severity":{"Label":"CRITICAL"}}`),
		ruleOf(t, "suppress", 3, `{"Id":[{"Value":"s","Comparison":"EQUALS"}]}`, `{"Workflow":{"Status":"SUPPRESSED"}}`))
	ex := w.inForce(t, `{"Title":[{"Value":"bucket is public","Comparison":"EQUALS"}],"SeverityLabel":[{"Value":"MEDIUM","Comparison":"EQUALS"}]}`)
	w.give(t, asff("a", 1), asff("b", 1), asff("s", 1))
	w.status(t, "a", finding.Suppressed, ex)
	w.status(t, "b", finding.Notified, "") // the rule raised it out of the scope
	w.status(t, "s", finding.Suppressed, "")
	w.latest(t, "a", "EXCEPTION "+ex+" Workflow:NOTIFIED->SUPPRESSED", "AUTOMATION_RULE notify Workflow:NEW->NOTIFIED", "BATCH_IMPORT_FINDINGS hub created")
	w.give(t, asff("a", 2), asff("s", 2))
	if n := len(w.story(t, "a")); n != 3 {
		t.Errorf("a report that changes nothing made history: %v", w.story(t, "a"))
	}
	w.expire(t, ex)
	w.status(t, "a", finding.New, "")
	w.status(t, "s", finding.Suppressed, "")
	w.give(t, asff("a", 3))
	w.status(t, "a", finding.Notified, "")
}

func TestExceptionsOverlap(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	first := w.inForce(t, titled)
	w.clock.Advance(time.Minute)
	second := w.inForce(t, `{"GeneratorId":[{"Value":"security-control/S3.8","Comparison":"EQUALS"}]}`)
	w.status(t, "a", finding.Suppressed, first)
	w.expire(t, first)
	w.status(t, "a", finding.Suppressed, second)
	w.latest(t, "a", "EXCEPTION "+second+" Exception:"+first+"->"+second)
	w.expire(t, second)
	w.status(t, "a", finding.New, "")
}

func TestExceptionAndARemediationsWord(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	ex := w.inForce(t, titled)
	for _, step := range []struct{ say, want finding.Workflow }{{finding.Resolved, finding.Resolved}, {finding.New, finding.Suppressed}} {
		if err := w.Annotate(t.Context(), finding.Annotation{Finding: identity("a"), Workflow: string(step.say), Note: "n " + string(step.say), By: "parry/remediation/rem-1"}); err != nil {
			t.Fatal(err)
		}
		if got := w.doc(t, "a").Workflow(); got != step.want {
			t.Errorf("%s: %s, want %s", step.say, got, step.want)
		}
	}
	w.status(t, "a", finding.Suppressed, ex)
}

func TestExceptionIsWarnedOfOnce(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1), asff("b", 1))
	w.inForce(t, titled)
	w.told(t)
	day := 24 * time.Hour
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{
		{15 * day, nil}, {day, []string{"Expiring team 2 14"}}, {day, nil}, {10 * day, []string{"Expiring team 2 3"}}, {day, nil}, {3 * day, []string{"Ended team 2 0"}}, {day, nil},
	} {
		w.clock.Advance(step.after)
		w.work(t)
		if diff := gocmp.Diff(step.want, w.told(t)); diff != "" {
			t.Errorf("at %s: %s", w.clock.Now(), diff)
		}
	}
	// Of two that fell due without a server, one is sent.
	w.inForce(t, titled)
	w.told(t)
	w.clock.Advance(28 * day)
	w.work(t)
	w.work(t)
	if diff := gocmp.Diff([]string{"Expiring team 2 3"}, w.told(t)); diff != "" {
		t.Error(diff)
	}
}

func TestExceptionSlides(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	created := func(days int) string {
		return `"FirstObservedAt":"` + w.clock.Now().AddDate(0, 0, days).Format(time.RFC3339) + `"`
	}
	w.give(t, asff("young", 1, created(-1)), asff("old", 1, created(-9)), asff("ageing", 1, created(-6)))
	ex := w.inForce(t, `{"FirstObservedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}]}`)
	w.status(t, "young", finding.Suppressed, ex)
	w.status(t, "old", finding.New, "")
	w.status(t, "ageing", finding.Suppressed, ex)
	w.clock.Advance(25 * time.Hour)
	w.work(t)
	w.status(t, "young", finding.Suppressed, ex)
	w.status(t, "ageing", finding.New, "")
	older := w.inForce(t, `{"FirstObservedAt":[{"DateRange":{"Value":30,"Unit":"DAYS","Comparison":"OLDER_THAN"}}]}`)
	w.status(t, "old", finding.New, "")
	w.clock.Advance(22 * 24 * time.Hour)
	w.work(t)
	w.status(t, "old", finding.Suppressed, older)
}

// stopsAfter fails after some commits, as a process that was killed.
type stopsAfter struct {
	*store.Store
	left int
}

var errKilled = errors.New("killed")

func (s *stopsAfter) CommitException(ctx context.Context, e store.Exception, w []store.FindingWrite, eff store.Effects) error {
	if s.left--; s.left < 0 {
		return errKilled
	}
	return s.Store.CommitException(ctx, e, w, eff)
}

func TestExceptionGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	db, clock := openStore(t), service.NewFixedClock(epoch())
	killed := &stopsAfter{Store: db, left: 1}
	w := exceptedOn(t, db, killed, clock)
	const n = 450 // three commits of 200 at most
	var docs []string
	for i := range n {
		docs = append(docs, asff(fmt.Sprintf("f-%d", i), i%60))
	}
	w.give(t, docs...)
	ex := w.ask(t, titled)
	w.approve(t, ex)
	halfway := func(want int64) {
		t.Helper()
		if err := w.desk.Work(t.Context()); !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		held, err := db.CountHeld(t.Context(), nil)
		if err != nil || held[ex] != want {
			t.Fatalf("%v are held, %v", held, err)
		}
	}
	halfway(200)
	again := exceptedOn(t, db, db, clock)
	again.work(t)
	e, err := again.desk.Exception(t.Context(), ex)
	if err != nil || e.Covered != n || e.Working {
		t.Fatalf("%+v, %v", e, err)
	}
	killed.left = 1
	if _, err := w.desk.Expire(t.Context(), ex, "cleo", ""); err != nil {
		t.Fatal(err)
	}
	halfway(n - 200)
	again.work(t)
	for i := range n {
		id := fmt.Sprintf("f-%d", i)
		again.status(t, id, finding.New, "")
		again.latest(t, id, "EXCEPTION "+ex+" Workflow:SUPPRESSED->NEW", "EXCEPTION "+ex+" Workflow:NEW->SUPPRESSED", "BATCH_IMPORT_FINDINGS hub created")
		if n := len(again.story(t, id)); n != 3 {
			t.Fatalf("%s has %d entries", id, n)
		}
	}
}

// A node that did not know of the end may have suppressed a finding after it.
func TestSweepReopensWhatAnEndedExceptionHolds(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	ex := w.inForce(t, titled)
	held := w.find(t, "a")
	w.expire(t, ex)
	late := held
	late.Rev = w.find(t, "a").Rev
	if err := w.db.CommitFindings(t.Context(), []store.FindingWrite{{Record: late, ExpectRev: late.Rev}}, nil, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	w.status(t, "a", finding.Suppressed, ex)
	w.work(t)
	w.status(t, "a", finding.Suppressed, ex)
	if err := w.desk.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.work(t)
	w.status(t, "a", finding.New, "")
}

func TestExceptionThatCannotBeReadSuppressesNothing(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1))
	good := w.inForce(t, titled)
	for i, doc := range []string{`{"scope":{}}`, `{"scope":{"Nothing":[]}}`, `{"scope":7}`} {
		id := fmt.Sprintf("ex-broken-%d", i)
		if err := w.db.CreateException(t.Context(), store.Exception{ID: id, State: "active", Rev: 1, DueAt: w.clock.Now(), Doc: json.RawMessage(doc)}, store.ExceptionLimits{Exceptions: 99, Bytes: 1 << 20}, store.Effects{}); err != nil {
			t.Fatal(err)
		}
	}
	w.give(t, asff("b", 1), asff("other", 1, `"Title":"another"`))
	w.status(t, "b", finding.Suppressed, good)
	w.status(t, "other", finding.New, "")
	w.clock.Advance(31 * 24 * time.Hour)
	if err := w.desk.Work(t.Context()); err == nil {
		t.Error("a row that cannot be read is not told of")
	}
	w.status(t, "a", finding.New, "") // and does not hold up others
}

func TestDecisionsOnExceptions(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	decide := map[string]func(id string) error{
		"approve": func(id string) error { _, err := w.desk.Approve(t.Context(), id, "ben", ""); return err },
		"reject":  func(id string) error { _, err := w.desk.Reject(t.Context(), id, "ben", "no"); return err },
		"expire":  func(id string) error { _, err := w.desk.Expire(t.Context(), id, "cleo", ""); return err },
	}
	for first, want := range map[string]struct {
		state exception.State
		then  map[string]exception.State
	}{
		"approve": {exception.Active, map[string]exception.State{"expire": exception.Ended}},
		"reject":  {exception.Rejected, nil},
		"expire":  {exception.Withdrawn, nil},
	} {
		for second := range decide {
			id := w.ask(t, titled)
			if err := decide[first](id); err != nil || w.state(t, id) != want.state {
				t.Errorf("%s: %v, %s", first, err, w.state(t, id))
			}
			err := decide[second](id)
			if state, legal := want.then[second]; legal != (err == nil) || legal && w.state(t, id) != state || !legal && (w.state(t, id) != want.state || !fault.Is(err, fault.Conflict)) {
				t.Errorf("%s, then %s: %v, %s", first, second, err, w.state(t, id))
			}
		}
	}
	late := w.ask(t, titled)
	w.clock.Advance(30 * 24 * time.Hour)
	if err := decide["approve"](late); !fault.Is(err, fault.Conflict) {
		t.Errorf("approved after its time: %v", err)
	}
	w.work(t)
	if w.state(t, late) != exception.Expired {
		t.Errorf("it is %s", w.state(t, late))
	}
	if _, err := w.desk.Exception(t.Context(), "ex-none"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if _, err := w.desk.Request(t.Context(), triage.NewException{Title: "t", Owner: "o", Reason: "r", ExpiresAt: w.clock.Now().AddDate(0, 0, 3)}, "ada"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an empty scope: %v", err)
	}
}

func TestExceptionPreview(t *testing.T) {
	t.Parallel()
	w := newExcepted(t)
	w.give(t, asff("a", 1), asff("b", 2, `"Severity":{"Label":"HIGH"}`), asff("c", 3, `"RecordState":"ARCHIVED"`), asff("d", 1, `"Title":"another"`))
	got, err := w.desk.Preview(t.Context(), scopeOf(t, titled), store.AllAccounts())
	if err != nil || got.Covered != 3 || got.Open != 2 || !got.Complete || got.BySeverity["HIGH"] != 1 || len(got.Examples) != 2 || got.Examples[0].Finding.Id != "b" {
		t.Errorf("%+v, %v", got, err)
	}
	if none, err := w.desk.Preview(t.Context(), scopeOf(t, titled), []string{prod}); err != nil || none.Covered != 0 {
		t.Errorf("%+v, %v", none, err)
	}
	if _, err := w.desk.Preview(t.Context(), filter.Filter{}, store.AllAccounts()); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	w.status(t, "a", finding.New, "")
}

// BenchmarkIngestUnderExceptions is how long 1,000 findings take from the inbox, with
// so many exceptions in force, each for a resource of its own.
func BenchmarkIngestUnderExceptions(b *testing.B) {
	for _, n := range []int{0, 1000, triage.MaxExceptions} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newExcepted(b)
			for i := range n {
				doc := fmt.Sprintf(`{"id":"ex-%d","scope":{"AwsAccountId":[{"Value":%q,"Comparison":"EQUALS"}],"ResourceId":[{"Value":"arn:aws:s3:::b-%d","Comparison":"EQUALS"}]},"expires_at":"2030-01-01T00:00:00Z","decided_at":"2024-01-01T00:00:00Z"}`, i, dev, i)
				if err := w.db.CreateException(b.Context(), store.Exception{ID: fmt.Sprintf("ex-%d", i), State: "active", Rev: 1, Doc: json.RawMessage(doc)}, store.ExceptionLimits{Exceptions: triage.MaxExceptions, Bytes: 64 << 20}, store.Effects{}); err != nil {
					b.Fatal(err)
				}
			}
			w.give(b, asff("warm", 1))
			round := 0
			for b.Loop() {
				b.StopTimer()
				var docs []string
				for i := range 1000 {
					docs = append(docs, asff(fmt.Sprintf("f-%d-%d", round, i), 1))
				}
				round++
				w.put(b, docs...)
				b.StartTimer()
				w.drain(b)
			}
		})
	}
}
