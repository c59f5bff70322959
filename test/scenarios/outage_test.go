package scenarios_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// AWS dies in the middle of an execution and comes back without what had been
// done. The execution goes on where it was and sends nothing twice; reading back
// tells that the first change is not there.
func TestAWSDiesAndForgets(t *testing.T) {
	t.Parallel()
	here := earth(t)
	w := &world{dir: here.dir, program: here.program, owner: map[string]string{}}
	w.env = envtest.For(t) // of its own: the others' must live
	n := w.install(t).serve(t)
	b := &bucket{w: w, member: "dev", name: w.env.Estate.Members["dev"].PublicBucket, control: "S3.2", since: w.now()}
	hold := b.disturb(t, awswall.Fault{Kind: awswall.HoldBefore, Operation: "PutBucketAcl", Times: 1})
	n.report(b)
	select {
	case <-hold.Hit():
	case <-time.After(patience):
		t.Fatal("the call to be held did not come")
	}
	w.env.KillMoto()
	hold.Release()
	// It waits for AWS, and says so to nobody: nothing is decided.
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		n.await(b, remediation.KindFix, remediation.Running)
	}
	n.stop()
	if err := w.env.RestartMoto(t.Context()); err != nil {
		t.Fatal(err)
	}
	back := w.now()
	n.write(t, w.configuration()) // the new estate has another external id
	n.start()
	r := n.await(b, remediation.KindFix, remediation.Unverified)
	says(t, "reason", r.Reason, "no statement of the bucket policy is public")
	says(t, "hint", r.Hint, "parry remediation show ")
	if diff := cmp.Diff([]string{"PutBucketAcl", "PutPublicAccessBlock"}, b.changed(back)); diff != "" {
		t.Errorf("changes after AWS came back (-want +got):\n%s", diff)
	}
	n.whole(r.ID, theFix)
	n.settled()
}
