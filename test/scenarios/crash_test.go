package scenarios_test

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// crashEverywhere, in the environment, kills at every point: of all documents where it
// is "all", else of those that it lists, with commas. Without it some points of each
// are taken.
const crashEverywhere = "PARRY_TEST_CRASH"

// crashChoice gives what a test that takes every n-th point of docs is to take.
func crashChoice(t *testing.T, docs []crashDocument, n int) ([]crashDocument, int) {
	t.Helper()
	text := os.Getenv(crashEverywhere)
	switch text {
	case "":
		return docs, n
	case "all":
		return docs, 1
	}
	var some []crashDocument
	for _, d := range docs {
		if slices.Contains(strings.Split(text, ","), d.name) {
			some = append(some, d)
		}
	}
	if len(some) == 0 {
		t.Skipf("%s names none of this test's documents", crashEverywhere)
	}
	return some, 1
}

// TestKilledAtEveryJournalPoint: wherever in its journal a run is when the process
// dies, it comes to the same end as undisturbed: the same outputs, the same steps,
// the same state in AWS, by the same calls. Undisturbed, it makes the calls of its plan.
func TestKilledAtEveryJournalPoint(t *testing.T) {
	t.Parallel()
	docs, n := crashChoice(t, crashDocuments, 3)
	crashing(t, "sqlite").killEverywhere(t, docs, n)
}

// TestKilledAtJournalPointsOnPostgreSQL: a fresh process takes over when the lease of
// the dead one has run out.
func TestKilledAtJournalPointsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	docs, n := crashChoice(t, slices.DeleteFunc(slices.Clone(crashDocuments), func(d crashDocument) bool {
		return !slices.Contains([]string{"script", "child", "people", "wide", "rest"}, d.name)
	}), 5)
	crashing(t, "postgresql", earth(t).onPostgres(t)).killEverywhere(t, docs, n)
}

// killEverywhere kills the documents at every n-th of their points.
func (c *crashWorld) killEverywhere(t *testing.T, docs []crashDocument, n int) {
	t.Helper()
	whole := map[string]*crashRun{}
	c.gate.set(false)
	var first []*crashRun
	for _, d := range docs {
		first = append(first, c.run(t, target{doc: d}))
	}
	c.finish(t, first)
	for _, r := range first {
		whole[r.doc.name] = r
		c.planned(t, r)
		t.Logf("%s: %d points, %d calls", r.doc.name, len(r.points), len(r.calls))
	}
	tally := newTally()
	todo := crashTargets(docs, whole, n)
	for len(todo) > 0 {
		var missed []target
		for _, batch := range spread(todo) {
			missed = append(missed, c.killBatch(t, batch, 0, whole, tally)...)
		}
		todo = missed
	}
	for _, d := range docs {
		if d.rests > 0 {
			c.killParked(t, d, whole, tally)
		}
	}
	tally.log(t, docs)
	c.settled()
	if len(docs) < len(crashDocuments) {
		return
	}
	for _, kind := range []string{"checkpoint", "journal", "intent", "outcome", "segment", "look", "child-start", "child-end", "start", "timer", "fired", whileParked, "state"} {
		if tally.kinds[kind] == 0 {
			t.Errorf("nothing was killed at any %s", kind)
		}
	}
}

// killParked kills a document that rests while it is parked, once back before its time
// and once after, and where its timer ends. Each has a process for itself.
func (c *crashWorld) killParked(t *testing.T, d crashDocument, whole map[string]*crashRun, y *tally) {
	t.Helper()
	type kill struct {
		at   place
		down time.Duration
	}
	var kills []kill
	for _, at := range whole[d.name].points {
		switch {
		case at.Kind == "fired":
			kills = append(kills, kill{at, 0})
		case at.Kind == "look" && at.Side == "after":
			parked := place{point{Kind: whileParked}, at.nth}
			kills = append(kills, kill{parked, 0}, kill{parked, d.rests + time.Second})
		}
	}
	if len(kills) != 4 {
		t.Fatalf("%s is parked at %d places, want 4: %v", d.name, len(kills), kills)
	}
	for _, k := range kills {
		todo := []target{{doc: d, at: k.at}}
		for len(todo) > 0 {
			todo = c.killBatch(t, todo, k.down, whole, y)
		}
	}
}

// killBatch starts a run for each target, kills the process when all are held, has it
// back after down, and holds the ends of all runs against the undisturbed ones. It gives
// those targets that were not reached, for another try.
func (c *crashWorld) killBatch(t *testing.T, batch []target, down time.Duration, whole map[string]*crashRun, y *tally) []target {
	t.Helper()
	began := time.Now()
	c.gate.set(false)
	runs := make([]*crashRun, 0, len(batch))
	for _, g := range batch {
		runs = append(runs, c.run(t, g))
	}
	deadline := time.Now().Add(patience)
	for {
		missing, quiet := 0, time.Duration(0)
		for _, r := range runs {
			var held bool
			if held, quiet = c.gate.state(r); !held && !c.look(t, r) {
				missing++
			}
		}
		if missing == 0 || quiet > 20*time.Second || time.Now().After(deadline) {
			break
		}
		time.Sleep(30 * time.Millisecond)
	}
	c.kill()
	killed := time.Now()
	c.gate.set(true)
	time.Sleep(down)
	c.start()
	ready := time.Now()
	c.finish(t, runs)
	var missed []target
	for i, r := range runs {
		c.same(t, whole[r.doc.name], r)
		switch g := batch[i]; {
		case r.held && !r.woken && (r.where.Kind != whileParked || r.due(t).After(ready) == (down == 0)):
			y.count(r)
			if r.alive < r.underWay() {
				t.Errorf("%s: %d children were under way, want %d", r, r.alive, r.underWay())
			}
			if down > 0 {
				r.overslept(t, ready)
			}
		case g.tries < 3: // too many of the batch were held by the same workers
			g.tries++
			missed = append(missed, g)
		default:
			t.Errorf("%s was never reached; the run came to %v", r, r.points)
		}
	}
	t.Logf("%d runs killed, %d of them not at their points; held after %s, ready again %s later, all ended after %s",
		len(runs), len(missed), killed.Sub(began).Round(time.Millisecond), ready.Sub(killed).Round(time.Millisecond), time.Since(ready).Round(time.Millisecond))
	return missed
}

// over are the states in which a remediation's run has come to its end.
var over = []remediation.State{
	remediation.Verified, remediation.Unverified, remediation.Failed, remediation.Cancelled, remediation.Superseded, remediation.Rejected, remediation.Expired,
}

// look asks how far a run is, and says what people have to say to it.
func (c *crashWorld) look(t *testing.T, r *crashRun) (ended bool) {
	t.Helper()
	if r.ended {
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e, err := c.as("olga").Execution(ctx, r.execution)
	if err != nil {
		return false
	}
	r.remediation = e.Remediation
	switch {
	case slices.Contains(over, e.State):
		r.ended = true
	case e.State == remediation.AwaitingApproval && !r.told["plan"]:
		d, err := c.as("alice").Remediation(ctx, e.Remediation)
		if err == nil && d.Approval != nil {
			_, err = c.as("alice").Grant(ctx, d.Approval.ID, d.Approval.Plan, "reviewed")
		}
		r.told["plan"] = err == nil && d.Approval != nil
	case e.Status == "Waiting" && r.doc.name == "people":
		for signal, person := range map[string]string{"Approve": "alice", "Resume": "olga"} {
			if r.told[signal] || !c.gate.parked(r) {
				continue
			}
			if _, err := c.ssm(ctx, person, "SendAutomationSignal", document{"AutomationExecutionId": r.execution, "SignalType": signal}); err != nil {
				continue // it is not yet, or no longer, that step's turn
			}
			r.told[signal] = true
			c.gate.took(r)
		}
	}
	return r.ended
}

// finish waits for the ends of all runs and reads what they left.
func (c *crashWorld) finish(t *testing.T, runs []*crashRun) {
	t.Helper()
	poll(t, 2*patience, func() string {
		var left string
		for _, r := range runs {
			if !r.ended {
				e, err := c.as("olga").Execution(t.Context(), r.execution)
				left += r.String() + ": " + e.Status + " " + string(e.State) + " " + e.Failure + " " + e.Reason + "\n"
				if err != nil {
					left += err.Error() + "\n"
				}
			}
		}
		return "not ended:\n" + left
	}, func(context.Context) bool {
		all := true
		for _, r := range runs {
			all = c.look(t, r) && all
		}
		return all
	})
	log := c.w.env.Wall.Log()
	for _, r := range runs {
		c.gather(t, r, log)
	}
}

// gather reads what a run left.
func (c *crashWorld) gather(t *testing.T, r *crashRun, log []awswall.Entry) {
	t.Helper()
	p, err := c.as("olga").Plan(t.Context(), r.remediation)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	r.plan = p.Plan
	e, err := c.ssm(t.Context(), "olga", "GetAutomationExecution", document{"AutomationExecutionId": r.execution})
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	shown, _ := e["AutomationExecution"].(map[string]any)
	shown["state"] = string(p.State)
	r.shown, _ = r.plain(shown).(map[string]any)
	r.children = map[string]map[string]any{}
	if slices.Contains([]string{"child", "fan", "wide"}, r.doc.name) {
		c.gatherChildren(t, r)
	}
	r.calls = r.made(log)
	r.after = c.left(t, r)
}

// gatherChildren reads what the children of a run left.
func (c *crashWorld) gatherChildren(t *testing.T, r *crashRun) {
	t.Helper()
	list, err := c.ssm(t.Context(), "olga", "DescribeAutomationExecutions", document{
		"Filters": []document{{"Key": "ParentExecutionId", "Values": []string{r.execution}}},
	})
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	rows, _ := list["AutomationExecutionMetadataList"].([]any)
	for _, row := range rows {
		m, _ := row.(map[string]any)
		e, err := c.ssm(t.Context(), "olga", "GetAutomationExecution", document{"AutomationExecutionId": m["AutomationExecutionId"]})
		if err != nil {
			t.Fatalf("%s: %v", r, err)
		}
		target, _ := m["Target"].(string)
		if r.children[r.text(target)] != nil {
			t.Errorf("%s: two children have the target %q", r, target)
		}
		shown, _ := e["AutomationExecution"].(map[string]any)
		r.children[r.text(target)], _ = r.plain(shown).(map[string]any)
	}
	if len(r.children) == 0 {
		t.Errorf("%s: has no children", r)
	}
}

// same holds a run that was killed against the undisturbed one.
func (c *crashWorld) same(t *testing.T, want, got *crashRun) {
	t.Helper()
	if diff := cmp.Diff(want.shown, got.shown); diff != "" {
		t.Errorf("%s: execution (-undisturbed +killed):\n%s", got, diff)
	}
	if diff := cmp.Diff(want.children, got.children); diff != "" {
		t.Errorf("%s: executions of children (-undisturbed +killed):\n%s", got, diff)
	}
	if diff := cmp.Diff(want.after, got.after); diff != "" {
		t.Errorf("%s: state in AWS (-undisturbed +killed):\n%s", got, diff)
	}
	wanted, changed := want.lanes(want.changes(t)), got.lanes(got.changes(t))
	for _, lane := range slices.Sorted(maps.Keys(merged(wanted, changed))) {
		if again := once(changed[lane], wanted[lane]); again != "" && got.repeats(again) {
			t.Logf("%s: %s was under way and sent again", got, again)
		} else if diff := cmp.Diff(wanted[lane], changed[lane]); diff != "" {
			t.Errorf("%s: changes %s(-undisturbed +killed):\n%s", got, lane, diff)
		}
	}
	most := maxReadsAgain * max(1, got.alive) // each child that was under way
	if extra, lost := differ(want.reads(), got.reads()); len(lost) > 0 || len(extra) > most {
		t.Errorf("%s: reads made again %v, reads not made %v", got, extra, lost)
	}
	if got.doc.rests > 0 {
		got.rested(t)
	}
}

func merged[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// rested holds a run that rests between its two changes against the time that it took.
func (r *crashRun) rested(t *testing.T) {
	t.Helper()
	if first, second := r.between(t); second.Sub(first) < r.doc.rests {
		t.Errorf("%s: rested for %s, want %s or more", r, second.Sub(first), r.doc.rests)
	}
}

// due gives the earliest time at which a run may have rested enough.
func (r *crashRun) due(t *testing.T) time.Time {
	t.Helper()
	first, _ := r.between(t)
	return first.Add(r.doc.rests)
}

// overslept fails the test when a run that had rested enough when the process was ready
// again began to rest anew.
func (r *crashRun) overslept(t *testing.T, ready time.Time) {
	t.Helper()
	if _, second := r.between(t); second.Sub(ready) >= r.doc.rests {
		t.Errorf("%s: rested for %s more, after its time was over", r, second.Sub(ready))
	}
}

func (r *crashRun) between(t *testing.T) (first, second time.Time) {
	t.Helper()
	var at []time.Time
	for _, e := range r.calls {
		if e.Changed() {
			at = append(at, e.Time)
		}
	}
	if len(at) != 2 {
		t.Fatalf("%s: %d changes were made, want 2", r, len(at))
	}
	return at[0], at[1]
}
