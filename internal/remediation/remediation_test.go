package remediation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

func TestMovedIsWhatIsStored(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	before := remediation.Remediation{ID: "rem-1", Control: "S3.8", State: remediation.Running, Reason: "old", Hint: "old", Version: 4}
	got, change := before.Moved(remediation.Failed, "why", "", at)
	want := remediation.Remediation{ID: "rem-1", Control: "S3.8", State: remediation.Failed, Reason: "why", UpdatedAt: at, Version: 4}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("to write (-want +got):\n%s", diff)
	}
	want.Version = 5
	if diff := cmp.Diff(remediation.StateChange{Remediation: want, From: remediation.Running, To: remediation.Failed, Title: "S3.8"}, change); diff != "" {
		t.Errorf("to announce (-want +got):\n%s", diff)
	}
}

func TestAgainNamesTheCommand(t *testing.T) {
	t.Parallel()
	id := finding.ID{ProductArn: "p", Id: "f"}
	fix := remediation.Remediation{ID: "rem-1", Kind: remediation.KindFix, Finding: id}
	undo := remediation.Remediation{ID: "rem-2", Kind: remediation.KindUndo, Finding: id, UndoOf: "rem-1"}
	got := []string{fix.Again(), undo.Again()}
	if diff := cmp.Diff([]string{"parry finding remediate rem-1", "parry remediation undo rem-1"}, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

func TestOnlyARefusalIsCertain(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[remediation.Outcome]bool{
		remediation.Intended: true, remediation.Applied: true, remediation.Uncertain: true, remediation.Refused: false,
	} {
		if got := (remediation.Change{Outcome: outcome}).MayHaveHappened(); got != want {
			t.Errorf("%s: %v", outcome, got)
		}
	}
}
