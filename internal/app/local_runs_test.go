package app_test

import (
	"testing"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// TestAnUnfinishedRunGoesOn: by one process at a time, with credentials of its account,
// in the place where it stood.
func TestAnUnfinishedRunGoesOn(t *testing.T) {
	ownCredentials(t)
	ctx := t.Context()
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	listed := func(runs, busy int) app.LocalRuns {
		t.Helper()
		all, err := app.ListLocal(ctx, cfg)
		if err != nil || len(all.Runs) != runs || all.Busy != busy {
			t.Fatalf("%d runs and %d processes, want %d and %d; %v", len(all.Runs), all.Busy, runs, busy, err)
		}
		return all
	}
	listed(0, 0)
	first := newLocal(t, cfg.DataDir)
	if err := first.Start(ctx); err != nil {
		t.Fatal(err)
	}
	execution, _ := waiting(t, first, asking)
	listed(0, 1)
	if err := first.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	run := listed(1, 0).Runs[0]
	if run.Execution.ID != execution || !run.Unfinished() || run.Execution.Status != "Waiting" {
		t.Errorf("%+v", run)
	}

	foreign := run
	foreign.Execution.Account = "210987654321"
	if _, err := app.ResumeLocal(ctx, app.LocalConfig{Config: cfg}, foreign); !fault.Is(err, fault.Denied) || fault.HintOf(err) == "" {
		t.Errorf("with the credentials of another account: %v", err)
	}
	listed(1, 0)

	l, err := app.ResumeLocal(ctx, app.LocalConfig{Config: cfg}, run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.ResumeLocal(ctx, app.LocalConfig{Config: cfg}, run); !fault.Is(err, fault.Conflict) {
		t.Errorf("by two processes: %v", err)
	}
	if doc, err := l.Document(ctx, run.Execution); err != nil || doc.First().Name == "" {
		t.Errorf("document %+v, %v", doc, err)
	}
	if err := l.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.Signal(ctx, execution, "Cancel", "", "enough"); err != nil {
		t.Fatal(err)
	}
	if r, err := l.Await(ctx, run.Remediation.ID, nil); err != nil || r.State != remediation.Cancelled {
		t.Errorf("%+v, %v", r, err)
	}
	if err := l.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if run := listed(1, 0).Runs[0]; run.Unfinished() || run.Execution.Status != "Cancelled" {
		t.Errorf("%+v", run)
	}
}
