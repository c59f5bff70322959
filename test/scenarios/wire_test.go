package scenarios_test

import (
	"slices"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// disturb puts a fault in force for the calls about b. It ends with the test.
func (b *bucket) disturb(t *testing.T, f awswall.Fault) *awswall.Injection {
	t.Helper()
	f.Service, f.Bucket = "s3", b.name
	in, err := b.w.env.Wall.Inject(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.Release)
	return in
}

// A change that AWS answers and does not make is found out by reading back.
func TestChangeThatAWSDidNotMake(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "dev")
	lost := b.disturb(t, awswall.Fault{Kind: awswall.Swallow, Operation: "PutBucketPolicy"})
	n.report(b)
	r := n.await(b, remediation.KindFix, remediation.Unverified)
	if lost.Count() != 1 {
		t.Errorf("the change was sent %d times", lost.Count())
	}
	says(t, "reason", r.Reason, "no statement of the bucket policy is public")
	says(t, "hint", r.Hint, "parry remediation show "+string(r.ID))
	m := n.mail(r.ID, "unverified")
	says(t, "mail", plain(m), "no statement of the bucket policy is public", "parry remediation ")
	if f, err := n.as("olga").Finding(t.Context(), b.finding()); err != nil || f.Workflow == "RESOLVED" {
		t.Errorf("the finding is %s (%v)", f.Workflow, err)
	}
	lost.Release()

	// What was made is taken back; what was not is as the undo would leave it.
	id := n.undo(b)
	n.approveUndo(b, id)
	n.await(b, remediation.KindUndo, remediation.Verified)
	n.await(b, remediation.KindFix, remediation.Undone)
	n.whole(id, theUndo)
	w.judge(t, "original", b)
	n.settled()
}

// A connection that breaks, before AWS was asked or after it did what it was
// asked: every change is made once.
func TestConnectionBreaksAtAChange(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	var all []*bucket
	for _, kind := range []awswall.Kind{awswall.DropBefore, awswall.DropAfter} {
		for _, op := range theFix {
			b := w.bucket(t, "dev")
			b.disturb(t, awswall.Fault{Kind: kind, Operation: op, Times: 1})
			all = append(all, b)
		}
	}
	n.report(all...)
	for _, b := range all {
		n.fixed(b)
	}
	w.judge(t, "fixed", all...)
	n.settled()
}

// An error of the service during a change says nothing about whether it was
// made.
func TestServerErrorsAtEveryCall(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	var all []*bucket
	for _, op := range slices.Concat(theFix, []string{"GetBucketPolicy", "GetBucketAcl", "GetPublicAccessBlock"}) {
		b := w.bucket(t, "dev")
		b.disturb(t, awswall.Fault{Kind: awswall.ServerError, Operation: op, Times: 2})
		all = append(all, b)
	}
	n.report(all...)
	for _, b := range all {
		n.fixed(b)
	}
	w.judge(t, "fixed", all...)
	n.settled()
}

// During a storm every call is refused for coming too fast; nothing that
// succeeded is repeated.
func TestThrottlingStorm(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t, reread("0s")).serve(t)
	var all []*bucket
	for _, skip := range []int{0, 3, 4, 5, 7, 11} { // at each stage
		b := w.bucket(t, "dev")
		b.disturb(t, awswall.Fault{Kind: awswall.Throttle, Skip: skip, For: 8 * time.Second})
		all = append(all, b)
	}
	began := time.Now()
	n.report(all...)
	for _, b := range all {
		n.awaitWithin(3*time.Minute, b, remediation.KindFix, remediation.Verified)
		n.fixed(b)
		t.Logf("%s: verified after %s", b.name, time.Since(began).Round(time.Millisecond))
		if n := count(b.calls("apply", 0), "GetBucketAcl"); n > 3 {
			// Of ReadGrants and before the change, which is refused in one storm at most.
			t.Errorf("%s: the access control list was read %d times", b.name, n)
		}
	}
	w.judge(t, "fixed", all...)
	n.settled()
}

func count(entries []awswall.Entry, operation string) (n int) {
	for _, e := range entries {
		if e.Forwarded && e.Operation == operation {
			n++
		}
	}
	return n
}

// AWS is out of reach for ten seconds, from each stage on. What had been made is
// recognised; the rest goes on by itself.
func TestOutage(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t, reread("0s")).serve(t)
	var all []*bucket
	var outages []*awswall.Injection
	for _, skip := range []int{0, 3, 4, 6, 8, 11} {
		b := w.bucket(t, "dev")
		outages = append(outages, b.disturb(t, awswall.Fault{Kind: awswall.DropBefore, Skip: skip}))
		all = append(all, b)
	}
	n.report(all...)
	for _, in := range outages {
		select {
		case <-in.Hit():
		case <-time.After(patience):
			t.Fatal("the outage disturbed nothing")
		}
	}
	time.Sleep(10 * time.Second) // the outage itself
	for _, in := range outages {
		in.Release()
	}
	for _, b := range all {
		n.awaitWithin(2*time.Minute, b, remediation.KindFix, remediation.Verified)
		n.fixed(b)
	}
	w.judge(t, "fixed", all...)
	n.settled()
}
