package scenarios_test

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// crashEverywhere, set in the environment, kills at every point of all documents
// on SQLite; without it every third point of each is taken.
const crashEverywhere = "PARRY_TEST_CRASH"

// crashBatch is how many runs are killed with one process: each is held at its own
// point when the process dies. More would fill the workers that hold them.
const crashBatch = 20

// TestKilledAtEveryJournalPoint: wherever in its journal a run is when the process
// dies, it comes to the same end as undisturbed: the same outputs, the same steps,
// the same state in AWS, by the same calls. Undisturbed, it makes the calls of its plan.
func TestKilledAtEveryJournalPoint(t *testing.T) {
	t.Parallel()
	c := crashing(t, "sqlite")
	third := 3
	if os.Getenv(crashEverywhere) != "" {
		third = 1
	}
	c.killEverywhere(t, crashDocuments, third)
}

// TestKilledAtJournalPointsOnPostgreSQL: a fresh process takes over when the lease of
// the dead one has run out.
func TestKilledAtJournalPointsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	w := earth(t)
	c := crashing(t, "postgresql", w.onPostgres(t))
	third := 4
	if os.Getenv(crashEverywhere) != "" {
		third = 1
	}
	var some []crashDocument
	for _, d := range crashDocuments {
		if slices.Contains([]string{"script", "child", "people"}, d.name) {
			some = append(some, d)
		}
	}
	c.killEverywhere(t, some, third)
}

// killEverywhere kills the documents at every n-th of their points.
func (c *crashWorld) killEverywhere(t *testing.T, docs []crashDocument, n int) {
	t.Helper()
	whole := map[string]*crashRun{}
	c.gate.set(false)
	var first []*crashRun
	for _, d := range docs {
		first = append(first, c.run(t, d, 0))
	}
	c.finish(t, first)
	for _, r := range first {
		whole[r.doc.name] = r
		c.planned(t, r)
		t.Logf("%s: %d points, %d calls", r.doc.name, len(r.points), len(r.calls))
	}
	kinds := map[string]int{}
	todo := crashPoints(docs, whole, n)
	for len(todo) > 0 {
		var missed []target
		for _, batch := range spread(todo) {
			missed = append(missed, c.killBatch(t, batch, whole, kinds)...)
		}
		todo = missed
	}
	t.Logf("killed at: %v", kinds)
	if len(docs) < len(crashDocuments) && n > 1 {
		c.settled()
		return
	}
	for _, kind := range []string{"checkpoint", "journal", "intent", "outcome", "segment", "child-start", "child-end", "start", "timer", "state"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing was killed at any %s", kind)
		}
	}
	c.settled()
}

// target is a point of a document, by its place.
type target struct {
	doc   crashDocument
	at    int
	tries int
}

// crashPoints lists every n-th point, those of all documents in turn.
func crashPoints(docs []crashDocument, whole map[string]*crashRun, n int) []target {
	var out []target
	most := 0
	for _, d := range docs {
		most = max(most, len(whole[d.name].points))
	}
	for at := 1; at <= most; at++ {
		for i, d := range docs {
			if at <= len(whole[d.name].points) && (at+i)%n == 0 {
				out = append(out, target{doc: d, at: at})
			}
		}
	}
	return out
}

// spread makes batches that hold few points of the same place: what starts segments
// is handled by few workers, and those that are held start no others.
func spread(todo []target) [][]target {
	out := make([][]target, (len(todo)+crashBatch-1)/crashBatch)
	for i, g := range todo {
		out[i%len(out)] = append(out[i%len(out)], g)
	}
	return out
}

// killBatch starts a run for each target, kills the process when all are held, and
// holds the ends of all runs against the undisturbed ones. It gives those targets
// that were not reached, for another try.
func (c *crashWorld) killBatch(t *testing.T, batch []target, whole map[string]*crashRun, kinds map[string]int) []target {
	t.Helper()
	began := time.Now()
	c.gate.set(false)
	runs := make([]*crashRun, 0, len(batch))
	for _, g := range batch {
		runs = append(runs, c.run(t, g.doc, g.at))
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
	short := map[*crashRun]bool{} // ended before their points
	for _, r := range runs {
		short[r] = r.ended
	}
	c.kill()
	killed := time.Now()
	c.gate.set(true)
	c.start()
	ready := time.Now()
	c.finish(t, runs)
	var missed []target
	for i, r := range runs {
		c.same(t, whole[r.doc.name], r)
		if r.held {
			kinds[r.where.kind]++
		}
		switch g := batch[i]; {
		case r.held:
		case short[r]: // two children may end between two looks, and wake their parent once
			t.Logf("%s has no such point: the run had %d", r, len(r.points))
		case g.tries < 3: // too many of the batch were held by the same workers
			g.tries++
			missed = append(missed, g)
		default:
			t.Errorf("%s was never reached: the run had %d points", r, len(r.points))
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
			if !r.told[signal] {
				_, err := c.ssm(ctx, person, "SendAutomationSignal", document{"AutomationExecutionId": r.execution, "SignalType": signal})
				r.told[signal] = err == nil // else it is not yet, or no longer, that step's turn
			}
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
	r.calls = r.made(log)
	r.after = c.left(t, r)
}

// same holds a run that was killed against the undisturbed one.
func (c *crashWorld) same(t *testing.T, want, got *crashRun) {
	t.Helper()
	if diff := cmp.Diff(want.shown, got.shown); diff != "" {
		t.Errorf("%s: execution (-undisturbed +killed):\n%s", got, diff)
	}
	if diff := cmp.Diff(want.after, got.after); diff != "" {
		t.Errorf("%s: state in AWS (-undisturbed +killed):\n%s", got, diff)
	}
	wanted, changed := want.changes(t), got.changes(t)
	if again := once(changed, wanted); again != "" && got.repeats(again) {
		t.Logf("%s: %s was under way and sent again", got, again)
	} else if diff := cmp.Diff(wanted, changed); diff != "" {
		t.Errorf("%s: changes (-undisturbed +killed):\n%s", got, diff)
	}
	if extra, lost := differ(want.reads(), got.reads()); len(lost) > 0 || len(extra) > maxReadsAgain {
		t.Errorf("%s: reads made again %v, reads not made %v", got, extra, lost)
	}
}
