package scenarios_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// No other scenario runs meanwhile: whose call to STS is held cannot be told.
func TestKilledWhileARoleIsAssumed(t *testing.T) {
	w := earth(t)
	n := w.install(t, reread("0s")).serve(t)
	var all []*bucket
	for _, c := range []checkpoint{
		{stage: "plan", nth: 0, rest: slices.Concat(fixSteps...)},
		{stage: "apply", nth: 1, rest: slices.Concat(fixSteps...)},
		{stage: "verify", nth: 2},
	} {
		for _, kind := range []awswall.Kind{awswall.HoldBefore, awswall.HoldAfter} {
			b := w.bucket(t, "dev")
			all = append(all, b)
			hold, err := w.env.Wall.Inject(awswall.Fault{Kind: kind, Service: "sts", Operation: "AssumeRole", Skip: c.nth, Times: 1})
			if err != nil {
				t.Fatal(err)
			}
			n.killHeld(hold, kind, "", func() { n.report(b) })
			restarted := w.now()
			n.start()
			n.fixed(b)
			if diff := cmp.Diff(c.rest, operations(b.calls("apply", restarted))); diff != "" {
				t.Errorf("%s %s: calls of the execution after the restart (-want +got):\n%s", c.stage, kind, diff)
			}
		}
	}
	w.judge(t, "fixed", all...)
	n.settled()
}

// Whatever Security Hub was told is accepted is there after a kill, at whichever
// moment it comes.
func TestKilledAfterAnImport(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	var all []*bucket
	for round, wait := range []time.Duration{0, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond} {
		b := w.bucket(t, "dev")
		all = append(all, b)
		findings := []document{asff(b, "FAILED", time.Now())}
		for i := range 20 {
			f := asff(b, "PASSED", time.Now())
			f["Id"] = fmt.Sprintf("%s/%d-%d", f["Id"], round, i)
			findings = append(findings, f)
		}
		n.importAll(findings)
		time.Sleep(wait) // so that each round is killed at another place
		n.kill()
		n.start()
		n.fixed(b)
		if got, want := n.query("findings", "SELECT count(*) FROM finding"), (round+1)*len(findings); got != want {
			t.Errorf("round %d: %d findings are stored of %d accepted", round, got, want)
		}
	}
	w.judge(t, "fixed", all...)
	n.settled()
}

// A plan that was approved is carried out after a kill, and not before the stop
// switch is off.
func TestKilledBetweenApprovalAndExecution(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	atOnce, stopped := w.bucket(t, "prod"), w.bucket(t, "prod")
	n.report(atOnce, stopped)
	first := n.await(atOnce, remediation.KindFix, remediation.AwaitingApproval)
	second := n.await(stopped, remediation.KindFix, remediation.AwaitingApproval)

	// Killed while it waits for approval, and as soon as the approval is given.
	n.kill()
	n.start()
	n.grant(first.ID)
	n.kill()
	n.start()
	n.fixed(atOnce)

	n.stopSwitch(true)
	n.grant(second.ID)
	n.kill()
	n.start()
	n.remainsQueued(stopped, 3*time.Second)
	n.stopSwitch(false)
	n.fixed(stopped)
	w.judge(t, "fixed", atOnce, stopped)
	n.settled()
}

func (n *node) stopSwitch(on bool) {
	n.t.Helper()
	if _, err := n.as("olga").SetStopSwitch(n.t.Context(), on, "a drill"); err != nil {
		n.t.Fatal(err)
	}
}

// remainsQueued requires that for a time nothing is changed about the bucket.
func (n *node) remainsQueued(b *bucket, d time.Duration) {
	n.t.Helper()
	n.await(b, remediation.KindFix, remediation.Queued)
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if made := b.changed(0); len(made) > 0 {
			n.t.Fatalf("%v was made while the stop switch was on", made)
		}
		n.await(b, remediation.KindFix, remediation.Queued)
	}
}

func TestStopSwitch(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "dev")
	n.stopSwitch(true)
	n.report(b)
	n.remainsQueued(b, 3*time.Second)
	n.stopSwitch(false)
	n.fixed(b)
	w.judge(t, "fixed", b)
	n.settled()
}
