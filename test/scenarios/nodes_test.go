package scenarios_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// Two nodes share a database. The one that executes dies while a call is held;
// the other takes over, and what was done is not done again.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	w := earth(t)
	shared := w.install(t, w.onPostgres(t))
	nodes := []*node{shared.serveAs(t, "one"), shared.serveAs(t, "two")}
	var all []*bucket
	for _, c := range []struct {
		kind awswall.Kind
		rest []string
	}{
		{awswall.HoldBefore, []string{"GetBucketAcl", "PutBucketAcl", "GetPublicAccessBlock", "PutPublicAccessBlock"}},
		{awswall.HoldAfter, []string{"GetBucketAcl", "GetPublicAccessBlock", "PutPublicAccessBlock"}},
	} {
		b := w.bucket(t, "dev")
		all = append(all, b)
		hold := b.disturb(t, awswall.Fault{Kind: c.kind, Operation: "PutBucketAcl", Times: 1})
		since := w.now()
		nodes[0].report(b)
		select {
		case <-hold.Hit():
		case <-time.After(patience):
			t.Fatal("the call to be held did not come")
		}
		r := nodes[0].await(b, remediation.KindFix, remediation.Running)
		dead, alive := nodes[0], nodes[1]
		if !dead.executes(r.ID) {
			dead, alive = alive, dead
		}
		dead.kill()
		died := time.Now()
		dead.held(c.kind, b.name, since)
		hold.Release()
		killed := w.now()
		var took time.Duration
		poll(t, patience, func() string { return "nobody took " + b.name + " over" }, func(context.Context) bool {
			took = time.Since(died)
			return len(b.calls("apply", killed)) > 0
		})
		if limit := durable.DefaultLeaseTTL + 5*time.Second; took > limit {
			t.Errorf("taken over after %s, the limit is %s", took, limit)
		}
		t.Logf("%s: %s died, %s took over after %s", c.kind, dead.name, alive.name, took.Round(10*time.Millisecond))
		alive.fixed(b)
		if diff := cmp.Diff(c.rest, operations(b.calls("apply", killed))); diff != "" {
			t.Errorf("%s: calls of the other node (-want +got):\n%s", c.kind, diff)
		}
		dead.start()
	}
	w.judge(t, "fixed", all...)
	nodes[0].stop()
	nodes[1].settled()
}

// executes reports whether the node's log says that it began an execution.
func (n *node) executes(id remediation.ID) bool {
	n.t.Helper()
	raw, err := os.ReadFile(n.log)
	if err != nil {
		n.t.Fatal(err)
	}
	return strings.Contains(string(raw), "remediation="+string(id)+" state=running")
}
