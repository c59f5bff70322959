package scenarios_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// AWS turns calls away, or breaks connections before and after it has done what
// it was asked. No execution fails, and no change is made twice: S3's changes
// carry no token, so the log must hold each planned change once.
func TestAWSIsUnwilling(t *testing.T) {
	t.Parallel()
	here := earth(t)
	w := &world{dir: here.dir, program: here.program, owner: map[string]string{}}
	w.env = envtest.For(t) // of its own: all its calls are disturbed
	if err := w.readEstate(); err != nil {
		t.Fatal(err)
	}
	n := w.install(t, func(cfg document) {
		cfg["policies"] = []document{{"id": "all", "units": []string{"dev", "prod"}, "mode": "automatic"}}
		cfg["bus_rules"] = append(cfg["bus_rules"].([]document), fixes("S3.8"))
	}).serve(t)
	for _, tc := range []struct {
		name   string
		each   int  // remediations in each account
		small  bool // of one change and not three
		faults []awswall.Fault
	}{
		{"10 % throttled", 4, false, []awswall.Fault{{Kind: awswall.Throttle, Percent: 10, Seed: 1}}},
		{"90 % throttled", 1, true, []awswall.Fault{{Kind: awswall.Throttle, Percent: 90, Seed: 2}}},
		{"20 calls a second for each account", 6, false, []awswall.Fault{{Kind: awswall.Throttle, PerSecond: 20, Burst: 1}}},
		{"10 % reset before, 10 % after", 4, false, []awswall.Fault{{Kind: awswall.DropBefore, Percent: 10, Seed: 3}, {Kind: awswall.DropAfter, Percent: 10, Seed: 4}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var buckets []*bucket
			for i := range 2 * tc.each {
				buckets = append(buckets, w.exposed(t, []string{"dev", "prod"}[i%2], tc.small))
			}
			t.Cleanup(w.env.Wall.ClearFaults) // for the next part, when this one fails
			var set []*awswall.Injection
			for _, f := range tc.faults {
				in, err := w.env.Wall.Inject(f)
				if err != nil {
					t.Fatal(err)
				}
				set = append(set, in)
			}
			begin, after := time.Now(), w.now()
			n := n.in(t)
			n.report(buckets...)
			for _, b := range buckets {
				n.awaitWithin(3*time.Minute, b, remediation.KindFix, remediation.Verified) // Parry slows down as AWS wants it to
			}
			disturbed := 0
			for _, in := range set {
				disturbed += in.Count()
			}
			w.env.Wall.ClearFaults()
			t.Logf("%d remediations in %s, %d of %d calls disturbed", len(buckets), time.Since(begin).Round(time.Millisecond), disturbed, w.now()-after)
			if disturbed == 0 {
				t.Error("nothing was disturbed")
			}
			want := theFix
			if tc.small {
				want = theFix[2:]
			}
			for _, b := range buckets {
				if diff := cmp.Diff(want, b.changed(0)); diff != "" {
					t.Errorf("changes of %s (-want +got):\n%s", b.name, diff)
				}
			}
			if !tc.small {
				w.judge(t, "fixed", buckets...)
			}
		})
	}
	n.settled()
}

// exposed is bucket, or one that only lacks Block Public Access, for which it is reported.
func (w *world) exposed(t *testing.T, member string, small bool) *bucket {
	t.Helper()
	if !small {
		return w.bucket(t, member)
	}
	b := &bucket{w: w, member: member, name: fmt.Sprintf("%s-small-%d", member, w.buckets.Add(1)), control: "S3.8"}
	for _, c := range [][2]string{{http.MethodPut, "/" + b.name}, {http.MethodDelete, "/" + b.name + "?publicAccessBlock"}} {
		if a := b.call(t, c[0], c[1], ""); a.Err != nil || a.Status >= 300 {
			t.Fatalf("make bucket %s: %s: %d %s %v", b.name, c[0], a.Status, a.Body, a.Err)
		}
	}
	b.since = w.now()
	return b
}

// in gives the node to a part of the test.
func (n *node) in(t *testing.T) *node {
	part := *n
	part.t = t
	return &part
}
