package scenarios_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// TestTheStopSwitchHoldsWithinASecond: changes flow on every node, one of them
// waiting for its next attempt, when the switch is turned on at the last node. A
// second later nothing leaves any more; nothing fails of it, and when the switch
// is off everything goes on from where it stood.
func TestTheStopSwitchHoldsWithinASecond(t *testing.T) {
	t.Parallel()
	for name, names := range map[string][]string{"one node": {"node"}, "two nodes": {"one", "two"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := earth(t)
			var edits []func(document)
			if len(names) > 1 {
				edits = append(edits, w.onPostgres(t))
			}
			shared := w.install(t, edits...)
			var nodes []*node
			for _, n := range names {
				nodes = append(nodes, shared.serveAs(t, n))
			}
			stopWhileChangesFlow(t, w, nodes)
		})
	}
}

func stopWhileChangesFlow(t *testing.T, w *world, nodes []*node) {
	var all []*bucket
	for range 8 {
		b := w.bucket(t, "dev")
		b.disturb(t, awswall.Fault{Kind: awswall.Delay, Class: "change", Wait: 700 * time.Millisecond})
		all = append(all, b)
	}
	// One that AWS is too busy for: it is tried again and again.
	busy := w.bucket(t, "dev")
	busy.disturb(t, awswall.Fault{Kind: awswall.Throttle, Class: "change", For: 6 * time.Second})
	all = append(all, busy)
	nodes[0].report(all...)
	poll(t, patience, func() string { return "no change was made" }, func(context.Context) bool {
		return len(busy.changes()) > 0 && len(all[0].changes()) > 0
	})
	last := nodes[len(nodes)-1]
	if _, err := last.parry(t, last.endpoint, "stop", "on", "--reason", "drill"); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	time.Sleep(4 * time.Second) // the switch is on that long; what is watched is that nothing happens
	made := 0
	for _, b := range all {
		for _, e := range b.changes() {
			if late := e.Time.Sub(stopped); late > time.Second {
				t.Errorf("%s of %s left %s after the switch was on", e.Operation, b.name, late)
			}
			if e.Forwarded {
				made++
			}
		}
	}
	if total := len(all) * len(theFix); made == 0 || made >= total {
		t.Errorf("%d of %d changes were made when the switch came: the test proves nothing", made, total)
	}
	waits := 0
	for _, b := range all {
		r := nodes[0].await(b, remediation.KindFix, remediation.Planned, remediation.AwaitingApproval, remediation.Queued, remediation.Running, remediation.Verifying, remediation.Verified)
		for _, s := range nodes[0].detail(r.ID).Steps {
			if s.Status == "Waiting" && strings.Contains(s.Failure, "stopped: drill") {
				waits++
			}
		}
	}
	if waits == 0 {
		t.Error("no step says that it waits for the stop switch")
	}
	if _, err := last.parry(t, last.endpoint, "stop", "off", "--reason", "drill over"); err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		nodes[0].fixed(b)
	}
	w.judge(t, "fixed", all...)
	for _, n := range nodes[1:] {
		n.stop()
	}
	nodes[0].settled()
}

// changes gives Parry's changing calls about the bucket, done or not.
func (b *bucket) changes() []awswall.Entry {
	return slices.DeleteFunc(b.calls("", 0), func(e awswall.Entry) bool { return e.Class != "change" })
}
