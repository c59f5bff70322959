package scenarios_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// A machine sleeps longer than the node's lease counts, in the middle of a fix. The
// process comes back by itself as a new node and ends the fix, with each change once.
func TestAPausedServerComesBack(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "dev")
	hold := b.disturb(t, awswall.Fault{Kind: awswall.HoldBefore, Operation: "PutBucketAcl", Times: 1})
	n.report(b)
	select {
	case <-hold.Hit():
	case <-time.After(patience):
		t.Fatal("the call to be held did not come")
	}
	log, err := os.Stat(n.log)
	if err != nil {
		t.Fatal(err)
	}
	n.signal(syscall.SIGSTOP)
	time.Sleep(6 * time.Second) // a lease of ten seconds counts for five
	n.signal(syscall.SIGCONT)
	hold.Release()
	n.awaitReady(log.Size())
	r := n.await(b, remediation.KindFix, remediation.Verified)
	n.whole(r.ID, theFix)
	n.settled()
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}
