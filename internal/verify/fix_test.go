package verify_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/verify"
)

// TestWhatIsKnownIsNotReadAgain: the policy was in order when the fix was planned, and
// the fix changes Block Public Access alone.
func TestWhatIsKnownIsNotReadAgain(t *testing.T) {
	t.Parallel()
	all, changed := []string{"GetPublicAccessBlock", "GetBucketPolicy"}, []string{"GetPublicAccessBlock"}
	tests := map[string]struct {
		edit func(w *world, p *remediation.Plan)
		want []string
	}{
		"recent":            {func(*world, *remediation.Plan) {}, changed},
		"too old":           {func(_ *world, p *remediation.Plan) { p.LookedAt = noon.Add(-6 * time.Second) }, all},
		"from the future":   {func(_ *world, p *remediation.Plan) { p.LookedAt = noon.Add(time.Second) }, all},
		"of no known time":  {func(_ *world, p *remediation.Plan) { p.LookedAt = time.Time{} }, all},
		"an open plan":      {func(_ *world, p *remediation.Plan) { p.Open = true }, all},
		"another playbook":  {func(_ *world, p *remediation.Plan) { p.PlaybookRevision = "r2" }, all},
		"it had failed":     {func(_ *world, p *remediation.Plan) { p.Violation[1].Passed = false }, all},
		"changed as well":   {func(w *world, _ *remediation.Plan) { w.changed("PutBucketPolicy") }, all},
		"nobody knows what": {func(w *world, _ *remediation.Plan) { w.changed("CreateMultipartUpload") }, all},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			pb := w.shelf["S3.8"]
			pb.Revision = "r1"
			w.shelf["S3.8"] = pb
			r := w.remediations["rem-1"]
			r.PlanHash, r.CreatedAt = "hash", noon.Add(-5*time.Second)
			w.remediations["rem-1"] = r
			p := remediation.Plan{
				LookedAt: r.CreatedAt, PlaybookRevision: "r1",
				Violation: []remediation.CheckResult{{Check: "blocked"}, {Check: "the policy is not public", Passed: true}},
			}
			w.changed("PutPublicAccessBlock")
			tt.edit(w, &p)
			w.plans = map[remediation.Hash]remediation.Plan{"hash": p}
			stage, err := verify.New(verify.Config{Store: w.memory, Playbooks: w.shelf, Gate: w.bucket, Clock: service.NewFixedClock(noon), RereadAfter: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			if err := stage.Handle(t.Context(), []byte(`"rem-1"`), 1); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, w.bucket.asked); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
			got := w.remediations["rem-1"]
			want := "read back from AWS: all 2 checks pass"
			if len(tt.want) == 1 {
				want = "read back from AWS: the check of what was changed passes, and 1 that no change touches passed right before"
			}
			if got.State != remediation.Verified || got.Reason != want {
				t.Errorf("it is %s: %s", got.State, got.Reason)
			}
		})
	}
}

// A fix that did not work is found out by the same reads.
func TestAFixThatDidNotWorkIsNotVerifiedByWhatIsKnown(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.bucket.on = false
	r := w.remediations["rem-1"]
	r.PlanHash, r.CreatedAt = "hash", noon
	w.remediations["rem-1"] = r
	w.changed("PutPublicAccessBlock")
	w.plans = map[remediation.Hash]remediation.Plan{"hash": {
		LookedAt: noon, Violation: []remediation.CheckResult{{Check: "blocked"}, {Check: "the policy is not public", Passed: true}},
	}}
	stage, err := verify.New(verify.Config{Store: w.memory, Playbooks: w.shelf, Gate: w.bucket, Clock: service.NewFixedClock(noon), RereadAfter: time.Minute, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Handle(t.Context(), []byte(`"rem-1"`), 1); err != nil {
		t.Fatal(err)
	}
	if got := w.remediations["rem-1"]; got.State != remediation.Unverified {
		t.Errorf("it is %s: %s", got.State, got.Reason)
	}
	if diff := cmp.Diff([]string{"GetPublicAccessBlock"}, w.bucket.asked); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
}

// changed puts a change of the bucket beside those that were made.
func (w *world) changed(operation string) {
	w.changes = append(w.changes, remediation.Change{Remediation: "rem-1", Outcome: remediation.Applied, Call: remediation.PlannedCall{
		Service: "s3", Operation: operation, Account: "111122223333", Region: "us-east-1", Input: map[string]any{"Bucket": "reports"},
	}})
}
