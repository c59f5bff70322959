package app

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

// between lets something happen after a look at a remediation.
type between struct {
	*store.Store
	looked func()
}

func (b *between) Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, err := b.Store.Remediation(ctx, id)
	if b.looked != nil {
		act := b.looked
		b.looked = nil
		act()
	}
	return r, err
}

type stopWorld struct {
	*testing.T
	db       *store.Store
	approve  *approve.Stage // as the bus runs it
	desk     runDesk
	stopping *between
	run      remediation.Execution
	id       remediation.ID
}

func newStopWorld(t *testing.T) *stopWorld {
	t.Helper()
	content, err := LoadContent(catalog.FS)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.SQLite(t)
	w := &stopWorld{T: t, db: db, stopping: &between{Store: db}}
	stage := func(s approve.Store) *approve.Stage {
		a, err := approve.New(approve.Config{Store: s, Clock: db.Clock()})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	w.approve = stage(db)
	desk := plan.NewDesk(db, content, service.RandomIDs{}, db.Clock()).StartsDocuments(deskRuns{db, &documents{db, content}})
	w.desk = runDesk{desk, stage(w.stopping), executions{db}, db.Clock()}
	var id string
	id, w.id, err = desk.RequestRun(t.Context(), remediation.Run{
		Document: remediation.Runbook{Name: "Loop-Rest", Content: loopDocument}, Account: loopDev, Region: "eu-central-1",
	}, "olga")
	if err != nil {
		t.Fatal(err)
	}
	if w.run, err = (executions{db}).AutomationExecution(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return w
}

// plan stores what the plan stage made of the run before it was stopped.
func (w *stopWorld) plan() {
	w.Helper()
	now := w.db.Clock().Now()
	r := remediation.Remediation{
		ID: w.id, Kind: remediation.KindRun, Runbook: "Loop-Rest", Account: loopDev, Region: "eu-central-1", Resource: "arn:aws:ssm:::x",
		Execution: w.run.ID, RequestedBy: "olga", State: remediation.Planned, CreatedAt: now, UpdatedAt: now,
	}
	p := remediation.Plan{Remediation: w.id, Kind: r.Kind, Account: loopDev, Region: r.Region, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	p.Open, p.OpenReason = true, "so that a person has to agree"
	var err error
	if r.PlanHash, err = p.Hash(); err != nil {
		w.Fatal(err)
	}
	if err := w.db.CreateRemediation(w.Context(), r, &p, store.Effects{}); err != nil {
		w.Fatal(err)
	}
}

// putUp is the approve stage's turn.
func (w *stopWorld) putUp() {
	w.Helper()
	raw, err := json.Marshal(w.id)
	if err != nil {
		w.Fatal(err)
	}
	if err := w.approve.Handle(w.Context(), raw); err != nil {
		w.Fatal(err)
	}
}

// A run that is stopped while it is planned does not come up for approval, whatever
// the order in which its planning, its being put up, and the stop are stored.
func TestARunStoppedWhileItIsPlannedNeverComesUp(t *testing.T) {
	t.Parallel()
	for name, story := range map[string]func(w *stopWorld){
		"stopped, then planned":             func(w *stopWorld) { w.stop(); w.plan(); w.putUp() },
		"planned, then stopped":             func(w *stopWorld) { w.plan(); w.stop(); w.putUp() },
		"planned while it was stopped":      func(w *stopWorld) { w.stopping.looked = w.plan; w.stop(); w.putUp() },
		"put up while it was stopped":       func(w *stopWorld) { w.plan(); w.stopping.looked = w.putUp; w.stop() },
		"both while it was stopped":         func(w *stopWorld) { w.stopping.looked = func() { w.plan(); w.putUp() }; w.stop() },
		"put up, then stopped, as it waits": func(w *stopWorld) { w.plan(); w.putUp(); w.stop() },
	} {
		w := newStopWorld(t)
		story(w)
		r, err := w.db.Remediation(t.Context(), w.id)
		if err != nil || r.State != remediation.Cancelled {
			t.Errorf("%s: the remediation is %s (%s), %v", name, r.State, r.Reason, err)
		}
		if a, err := w.db.ApprovalFor(t.Context(), w.id); err == nil && a.State == remediation.ApprovalPending || err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: approval %+v, %v", name, a, err)
		}
		if e, err := w.db.Execution(t.Context(), w.run.ID); err != nil || e.Status != "Cancelled" || e.EndedAt.IsZero() {
			t.Errorf("%s: the execution is %s, %v", name, e.Status, err)
		}
	}
}

func (w *stopWorld) stop() {
	w.Helper()
	if err := w.desk.CancelRun(w.Context(), w.run, "olga"); err != nil {
		w.Fatal(err)
	}
}
