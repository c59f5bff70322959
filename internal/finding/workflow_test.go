package finding_test

import (
	"fmt"
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

// Every pair of standings is walked: what spec/securityhub.md 1.4 lists moves,
// everything else stays.
func TestNextWorkflowEveryPair(t *testing.T) {
	t.Parallel()
	records := []finding.RecordState{finding.Active, finding.Archived}
	checks := []finding.Compliance{"", finding.Passed, finding.Warning, finding.Failed, finding.NotAvailable}
	n := 0
	for _, w := range finding.Workflows() {
		for _, r1 := range records {
			for _, c1 := range checks {
				for _, r2 := range records {
					for _, c2 := range checks {
						n++
						got := finding.NextWorkflow(finding.Standing{Workflow: w, Record: r1, Compliance: c1}, r2, c2)
						if want := expected(w, r1, c1, r2, c2); got != want {
							t.Errorf("%s %s %q -> %s %q: got %s, want %s", w, r1, c1, r2, c2, got, want)
						}
					}
				}
			}
		}
	}
	if n != 4*2*5*2*5 {
		t.Errorf("walked %d", n)
	}
}

// expected states the rules the other way round: what must happen, by trigger.
func expected(w finding.Workflow, r1 finding.RecordState, c1 finding.Compliance, r2 finding.RecordState, c2 finding.Compliance) finding.Workflow {
	fell := c1 == finding.Passed && (c2 == finding.Failed || c2 == finding.Warning || c2 == finding.NotAvailable)
	back := r1 == finding.Archived && r2 == finding.Active
	done := w == finding.Notified || w == finding.Resolved
	if w != finding.Suppressed && c2 == finding.Passed {
		return finding.Resolved
	}
	if done && (fell || back) {
		return finding.New
	}
	return w
}

func TestInitialWorkflow(t *testing.T) {
	t.Parallel()
	for c, want := range map[finding.Compliance]finding.Workflow{
		"": finding.New, finding.Passed: finding.Resolved, finding.Failed: finding.New,
		finding.Warning: finding.New, finding.NotAvailable: finding.New,
	} {
		if got := finding.InitialWorkflow(c); got != want {
			t.Errorf("%q: got %s, want %s", c, got, want)
		}
	}
}

// AWS's older text says that a suppressed finding is no longer updated. Parry
// keeps updating it and keeps it suppressed.
func TestDecisionSuppressedIsStillUpdated(t *testing.T) {
	t.Parallel()
	old := finding.Create(minimal(t, obj("Workflow", obj("Status", "SUPPRESSED"), "RecordState", "ARCHIVED", "Compliance", obj("Status", "PASSED"))))
	got := finding.Merge(old, minimal(t, obj("Title", "new title", "Compliance", obj("Status", "FAILED"))), nil)
	if s := fmt.Sprint(got.Title(), got.Workflow(), got.Record()); s != "new titleSUPPRESSEDACTIVE" && s != "new title SUPPRESSED ACTIVE" {
		t.Error(s)
	}
}
