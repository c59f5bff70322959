package scenarios_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// Every step of an execution with its calls, in order; a change is preceded by
// the read of its before-image.
var (
	fixSteps = [][]string{
		{"GetBucketPolicy", "PutBucketPolicy"},           // ReplaceBucketPolicy
		{"GetBucketAcl"},                                 // ReadGrants
		{"GetBucketAcl", "PutBucketAcl"},                 // RemoveGrants
		{"GetPublicAccessBlock", "PutPublicAccessBlock"}, // BlockPublicAccess
	}
	undoSteps = [][]string{
		{"GetPublicAccessBlock", "DeletePublicAccessBlock"},
		{"GetBucketAcl", "PutBucketAcl"},
		{"GetBucketPolicy", "PutBucketPolicy"},
	}
)

// reread says how long what a plan read is trusted, what several people write parts of
// included: "0s" reads before each change.
func reread(after string) func(document) {
	return func(cfg document) { cfg["aws"] = document{"reread_after": after, "reread_shared_after": after} }
}

// quickSteps are fixSteps where the plan's reading is recent: only changes are left.
var quickSteps = [][]string{{"PutBucketPolicy"}, {"PutBucketAcl"}, {"PutPublicAccessBlock"}}

// checkpoint is a call at which the server is killed.
type checkpoint struct {
	operation string
	nth       int // of this operation on the bucket in the run, from 0
	after     bool
	stage     string   // plan, apply or verify
	rest      []string // what the execution calls after the restart
}

func (c checkpoint) String() string {
	side := "before"
	if c.after {
		side = "after"
	}
	return fmt.Sprintf("%s/%s %s %d", c.stage, side, c.operation, c.nth+1)
}

// checkpoints gives both sides of every call of a run.
func checkpoints(run []awswall.Entry, steps [][]string) []checkpoint {
	var out []checkpoint
	nth := map[string]int{}
	step, at := 0, 0
	for _, e := range run {
		c := checkpoint{operation: e.Operation, nth: nth[e.Operation]}
		nth[e.Operation]++
		var before, after []string
		switch {
		case strings.HasPrefix(e.Session, "parry-plan-"):
			c.stage, before = "plan", slices.Concat(steps...)
			after = before
		case strings.HasPrefix(e.Session, "parry-apply-"):
			c.stage = "apply"
			again, change := steps[step], at
			if thing, alone := strings.CutPrefix(e.Operation, "Put"); alone && len(again) == 1 {
				// Nothing was read before it. Once it was begun, it is.
				again, change = []string{"Get" + thing, e.Operation}, 1
			}
			later := slices.Concat(steps[step+1:]...)
			before = slices.Concat(again, later)
			after = before
			if change == 1 {
				// The change was made: it is recognised by reading, and not sent again.
				after = slices.Concat(again[:1], later)
			}
			if at++; at == len(steps[step]) {
				step, at = step+1, 0
			}
		default:
			c.stage = "verify"
		}
		c.rest = before
		out = append(out, c)
		c.after, c.rest = true, after
		out = append(out, c)
	}
	return out
}

// killAt holds the call, kills the server, lets go and starts it again. act
// brings the call about.
func (n *node) killAt(b *bucket, c checkpoint, act func()) (restarted int64) {
	n.t.Helper()
	kind := awswall.HoldBefore
	if c.after {
		kind = awswall.HoldAfter
	}
	hold, err := n.w.env.Wall.Inject(awswall.Fault{Kind: kind, Service: "s3", Operation: c.operation, Bucket: b.name, Skip: c.nth, Times: 1})
	if err != nil {
		n.t.Fatal(err)
	}
	n.killHeld(hold, kind, b.name, act)
	restarted = n.w.now()
	n.start()
	return restarted
}

func (n *node) killHeld(hold *awswall.Injection, kind awswall.Kind, bucket string, act func()) {
	n.t.Helper()
	defer hold.Release()
	after := n.w.now()
	act()
	select {
	case <-hold.Hit():
	case <-time.After(patience):
		n.t.Fatalf("the call to be held did not come")
	}
	if kind == awswall.HoldAfter {
		// AWS did it: the entry is written when the answer begins to wait.
		n.held(kind, bucket, after)
		n.kill()
		return
	}
	n.kill()
	// The wall gives the call up when it sees that its client is gone.
	n.held(kind, bucket, after)
}

func (n *node) held(kind awswall.Kind, bucket string, after int64) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	if _, err := n.w.env.Wall.Await(ctx, func(e awswall.Entry) bool { return e.Seq > after && e.Fault == kind && e.Bucket == bucket }); err != nil {
		n.t.Fatalf("the held call is not in the log: %v", err)
	}
}

// undisturbed runs the fix, and the undo if asked, without a fault.
func undisturbed(t *testing.T, w *world, undo bool, edits ...func(document)) (fix, back []awswall.Entry) {
	t.Helper()
	n := w.install(t, edits...).serve(t)
	b := w.bucket(t, "dev")
	n.report(b)
	n.fixed(b)
	fix = b.calls("", 0)
	if undo {
		since := w.now()
		id := n.undo(b)
		n.approveUndo(b, id)
		n.reopened(b, id)
		back = b.calls("", since)
	}
	n.settled()
	return fix, back
}

func (n *node) approveUndo(b *bucket, id remediation.ID) {
	n.t.Helper()
	n.await(b, remediation.KindUndo, remediation.AwaitingApproval)
	n.grant(id)
}

// reopened requires all that an undisturbed undo leaves behind, and nothing more.
func (n *node) reopened(b *bucket, id remediation.ID) {
	n.t.Helper()
	n.await(b, remediation.KindUndo, remediation.Verified)
	n.await(b, remediation.KindFix, remediation.Undone)
	n.awaitWorkflow(b, "NEW")
	if diff := cmp.Diff(slices.Concat(theFix, theUndo), b.changed(0)); diff != "" {
		n.t.Errorf("changes of %s (-want +got):\n%s", b.name, diff)
	}
	n.whole(id, theUndo)
}

// groups spreads checkpoints over n installations that run side by side.
func groups(all []checkpoint, n int) [][]checkpoint {
	out := make([][]checkpoint, n)
	for i, c := range all {
		out[i%n] = append(out[i%n], c)
	}
	return out
}

func inStage(run []awswall.Entry, stage string) []string {
	var out []string
	for _, e := range run {
		if strings.HasPrefix(e.Session, "parry-"+stage+"-") {
			out = append(out, e.Operation)
		}
	}
	return out
}

func TestKilledAtEveryCallOfTheFix(t *testing.T) {
	t.Parallel()
	w := earth(t)
	run, _ := undisturbed(t, w, false, reread("0s"))
	if diff := cmp.Diff(slices.Concat(fixSteps...), inStage(run, "apply")); diff != "" {
		t.Fatalf("calls of an undisturbed execution (-want +got):\n%s", diff)
	}
	all := checkpoints(run, fixSteps)
	for i, group := range groups(all, 3) {
		t.Run(fmt.Sprintf("SQLite %d", i+1), func(t *testing.T) {
			t.Parallel()
			w.install(t, reread("0s")).serve(t).surviveFixes(group)
		})
	}
	// Each of these waits for the end of a lease.
	var some []checkpoint
	for _, c := range all {
		if c.operation == "PutBucketPolicy" || c.after && c.operation == "PutPublicAccessBlock" || !c.after && c.operation == "GetBucketAcl" && c.nth != 2 {
			some = append(some, c)
		}
	}
	for i, group := range groups(some, 2) {
		t.Run(fmt.Sprintf("PostgreSQL %d", i+1), func(t *testing.T) {
			t.Parallel()
			w.install(t, w.onPostgres(t), reread("0s")).serve(t).surviveFixes(group)
		})
	}
}

// TestKilledAtEveryCallOfAFixOnARecentReading: the same where the plan's reading is
// the before-image. After the restart it still is, and nothing is made twice.
func TestKilledAtEveryCallOfAFixOnARecentReading(t *testing.T) {
	t.Parallel()
	w := earth(t)
	run, _ := undisturbed(t, w, false, reread("1m"))
	if diff := cmp.Diff(slices.Concat(quickSteps...), inStage(run, "apply")); diff != "" {
		t.Fatalf("calls of an undisturbed execution (-want +got):\n%s", diff)
	}
	for i, group := range groups(checkpoints(run, quickSteps), 2) {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			t.Parallel()
			w.install(t, reread("1m")).serve(t).surviveFixes(group)
		})
	}
}

// surviveFixes kills the server at each of the checkpoints, while it fixes a
// bucket of its own.
func (n *node) surviveFixes(group []checkpoint) {
	n.t.Helper()
	var all []*bucket
	for _, c := range group {
		began := time.Now()
		b := n.w.bucket(n.t, "dev")
		all = append(all, b)
		restarted := n.killAt(b, c, func() { n.report(b) })
		up := time.Now()
		n.fixed(b)
		if diff := cmp.Diff(c.rest, operations(b.calls("apply", restarted))); diff != "" {
			n.t.Errorf("%s: calls of the execution after the restart (-want +got):\n%s", c, diff)
		}
		n.t.Logf("%s: %s, %s of it after the restart", c, time.Since(began).Round(time.Millisecond), time.Since(up).Round(time.Millisecond))
	}
	n.w.judge(n.t, "fixed", all...)
	n.settled()
}

func TestKilledAtEveryCallOfTheUndo(t *testing.T) {
	t.Parallel()
	w := earth(t)
	_, run := undisturbed(t, w, true)
	if diff := cmp.Diff(slices.Concat(undoSteps...), inStage(run, "apply")); diff != "" {
		t.Fatalf("calls of an undisturbed undo (-want +got):\n%s", diff)
	}
	for i, group := range groups(checkpoints(run, undoSteps), 3) {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			t.Parallel()
			n := w.install(t).serve(t)
			var all []*bucket
			for range group {
				all = append(all, w.bucket(t, "dev"))
			}
			n.report(all...)
			for _, b := range all {
				n.fixed(b)
			}
			for i, c := range group {
				n.surviveUndo(all[i], c)
			}
			w.judge(t, "original", all...)
			n.settled()
		})
	}
}

// surviveUndo kills the server at c while it takes the fix of b back.
func (n *node) surviveUndo(b *bucket, c checkpoint) {
	n.t.Helper()
	began := time.Now()
	var id remediation.ID
	restarted := n.killAt(b, c, func() {
		id = n.undo(b)
		if c.stage != "plan" {
			n.approveUndo(b, id)
		}
	})
	if c.stage == "plan" {
		n.approveUndo(b, id)
	}
	n.reopened(b, id)
	if diff := cmp.Diff(c.rest, operations(b.calls("apply", restarted))); diff != "" {
		n.t.Errorf("%s: calls of the undo after the restart (-want +got):\n%s", c, diff)
	}
	n.t.Logf("%s: %s", c, time.Since(began).Round(time.Millisecond))
}
