package api_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// plansOfBuckets are remediations that wait, each with the changes of one bucket that it
// is given: the text after "+" of its hash.
type plansOfBuckets struct{ all []remediation.Remediation }

func (p plansOfBuckets) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	for _, r := range p.all {
		if r.ID == id {
			return r, nil
		}
	}
	return remediation.Remediation{}, store.ErrNotFound
}

func (p plansOfBuckets) ListRemediations(_ context.Context, f store.RemediationFilter, _ int, _ string) ([]remediation.Remediation, string, error) {
	var out []remediation.Remediation
	for _, r := range p.all {
		if in(f.Accounts, r.Account) && f.Account == r.Account && f.State == r.State {
			out = append(out, r)
		}
	}
	return out, "", nil
}

func (p plansOfBuckets) Plan(_ context.Context, hash remediation.Hash) (remediation.Plan, error) {
	var out remediation.Plan
	for i, letter := range hash {
		out.Calls = append(out.Calls, remediation.PlannedCall{Seq: i + 1, Service: "s3", Operation: "Put" + string(letter), Class: "change", Input: map[string]any{"Bucket": "b"}})
	}
	return out, nil
}

// TestPlansThatMakeTheSameChangesAreNamed: those that wait, for the same resource, within
// the caller's accounts.
func TestPlansThatMakeTheSameChangesAreNamed(t *testing.T) {
	t.Parallel()
	waits := func(id, control, resource, account, hash string) remediation.Remediation {
		return remediation.Remediation{ID: remediation.ID(id), Control: control, Resource: resource, Account: account, PlanHash: remediation.Hash(hash), State: remediation.AwaitingApproval}
	}
	plans := plansOfBuckets{[]remediation.Remediation{
		waits("rem-1", "S3.8", "arn:aws:s3:::b", dev, "AB"), waits("rem-2", "S3.2", "arn:aws:s3:::b", dev, "BAC"), waits("rem-3", "S3.3", "arn:aws:s3:::b", dev, "XY"),
		waits("rem-4", "S3.2", "arn:aws:s3:::other", dev, "AB"), waits("rem-5", "S3.2", "arn:aws:s3:::b", prod, "AB"), waits("rem-6", "S3.1", "arn:aws:s3:::b", dev, ""),
	}}
	done := waits("rem-7", "S3.2", "arn:aws:s3:::b", dev, "AB")
	done.State = remediation.Verified
	plans.all = append(plans.all, done)
	b, _ := insightBenchOf(t, func(cfg *api.Config, _ *store.Store) { cfg.Remediations = plans })
	for id, want := range map[remediation.ID][]api.AlikePlan{
		"rem-1": {{Remediation: "rem-2", Control: "S3.2", Shared: 2, Changes: 3}},
		"rem-2": {{Remediation: "rem-1", Control: "S3.8", Shared: 2, Changes: 2}},
		"rem-3": nil,
		"rem-7": nil, // it is carried out already
	} {
		doc, err := b.as(t, "reader", dev).Plan(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, doc.Alike); diff != "" {
			t.Errorf("%s (-want +got): %s", id, diff)
		}
	}
}

// TestFewPlansAreCompared: each that is looked at is read and opened.
func TestFewPlansAreCompared(t *testing.T) {
	t.Parallel()
	var plans plansOfBuckets
	for i := range 30 {
		plans.all = append(plans.all, remediation.Remediation{ID: remediation.ID(fmt.Sprintf("rem-%d", i)), Resource: "b", Account: dev, PlanHash: "A", State: remediation.AwaitingApproval})
	}
	b, _ := insightBenchOf(t, func(cfg *api.Config, _ *store.Store) { cfg.Remediations = plans })
	doc, err := b.as(t, "reader", dev).Plan(t.Context(), "rem-7")
	if err != nil || len(doc.Alike) != 10 {
		t.Errorf("%d, %v", len(doc.Alike), err)
	}
}
