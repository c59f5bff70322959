package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// trialDraft is one plan to be made: several findings may be about one resource.
type trialDraft struct {
	playbook playbook.Playbook
	record   store.FindingRecord
	findings []int // in the report

	made  remediation.Remediation
	plan  *remediation.Plan
	reads []apimodel.Call
	err   error
}

// plan plans for the findings in the report whose account can be entered, by the stage
// that a server plans with.
func (t *trial) plan(ctx context.Context) {
	drafts := t.drafts(ctx)
	engine, err := automation.New(automation.Config{Clock: automation.RealClock{Clock: t.clock}, Logger: t.cfg.Logger, Class: t.models.ClassifyCall})
	if err != nil {
		t.problem("planning", "", "", err)
		return
	}
	todo := make(chan *trialDraft)
	var workers sync.WaitGroup
	for range min(trialPlanners, len(drafts)) {
		workers.Go(func() {
			for d := range todo {
				t.draft(ctx, d, engine)
			}
		})
	}
	for i, d := range drafts {
		if ctx.Err() != nil {
			d.err = context.Cause(ctx)
			continue
		}
		t.told(fmt.Sprintf("planning %d of %d: %s", i+1, len(drafts), d.playbook.ID))
		todo <- d
	}
	close(todo)
	workers.Wait()
	for _, d := range drafts {
		t.settle(d)
	}
	alike(t.report.Plans)
	for _, f := range t.found.all {
		t.report.Findings = append(t.report.Findings, f.shown)
	}
}

// alike notes which plans for one resource make some of the same changes: two controls are
// often failed by one thing.
func alike(plans []TrialPlan) {
	byResource := map[[2]string][]int{}
	for i, p := range plans {
		key := [2]string{p.Plan.Account, p.Plan.Resource}
		byResource[key] = append(byResource[key], i)
	}
	for _, same := range byResource {
		for _, i := range same {
			for _, j := range same {
				if n := remediation.Shared(plans[i].Plan, plans[j].Plan); i != j && n > 0 {
					plans[i].Alike = append(plans[i].Alike, TrialAlike{Number: plans[j].Number, Control: plans[j].Plan.Control, Shared: n, Changes: plans[j].Plan.Changes()})
				}
			}
		}
	}
}

// drafts says which plans there are to be made, and of the other findings why not.
func (t *trial) drafts(ctx context.Context) []*trialDraft {
	var out []*trialDraft
	byThing := map[[3]string]*trialDraft{}
	for i := range t.found.all {
		f := &t.found.all[i]
		pb, ok := t.content.PlaybookFor(f.record.Control)
		if !ok {
			f.shown.Unplanned, f.shown.Hint = NoFix, "fix it by hand, or write a fix (a playbook): docs/writing-a-runbook.md; what has one: parry playbook list"
			continue
		}
		key := [3]string{pb.ID, f.record.Account, f.record.ResourceID}
		if d := byThing[key]; d != nil {
			d.findings = append(d.findings, i)
			continue
		}
		if !t.open(ctx, f.record.Account) {
			err := t.closed[f.record.Account]
			f.shown.Unplanned, f.shown.Hint = err.Error(), fault.HintOf(err)
			continue
		}
		d := &trialDraft{playbook: pb, record: f.record, findings: []int{i}}
		byThing[key] = d
		out = append(out, d)
	}
	return out
}

// draft makes one plan. Nothing of it is kept outside d.
func (t *trial) draft(ctx context.Context, d *trialDraft, engine *automation.Interpreter) {
	kept := &trialStore{draft: d}
	sessions := trialPlanning{t, d}
	stage, err := plan.New(plan.Config{
		Store: kept, Content: t.content, Gate: sessions, Dry: interpreter{engine: engine, partition: apimodel.Partition(d.record.Region)}, Account: t.account,
		MemberRole: t.identity(d.record.Account).Role, Clock: t.clock, Logger: t.cfg.Logger,
	})
	if err != nil {
		d.err = err
		return
	}
	id := remediation.ID(fmt.Sprintf("try-%d", d.findings[0]+1))
	payload, err := json.Marshal(remediation.Request{ID: id, Kind: remediation.KindFix, Finding: d.record.ID, Playbook: d.playbook.ID, RequestedBy: "try"})
	if err != nil {
		d.err = err
		return
	}
	d.err = stage.Handle(ctx, payload)
}

// settle puts a plan, or why there is none, into the report.
func (t *trial) settle(d *trialDraft) {
	why, hint := "", ""
	switch {
	case d.err != nil:
		why, hint = d.err.Error(), fault.HintOf(d.err)
	case d.plan == nil:
		why = d.made.Reason
		if d.made.State == remediation.Failed && !strings.HasSuffix(d.made.Hint, d.made.Again()) {
			hint = d.made.Hint // not the one that names a command of a server
		}
	}
	if why == "" {
		t.report.Plans = append(t.report.Plans, TrialPlan{
			Number: len(t.report.Plans) + 1, Title: d.playbook.Title, Risk: d.playbook.Risk, Impact: d.playbook.Impact, Hash: d.made.PlanHash,
			Plan: t.gate.Redacted(*d.plan), Reads: d.reads,
		})
	}
	for _, i := range d.findings {
		f := &t.found.all[i].shown
		if f.Unplanned, f.Hint = why, hint; why == "" {
			f.Plan = len(t.report.Plans)
		}
	}
}

// trialPlanning opens the session of one plan.
type trialPlanning struct {
	t     *trial
	draft *trialDraft
}

// Planner opens it.
func (p trialPlanning) Planner(r remediation.Remediation, roles ...string) plan.Planner {
	return notedLooks{p.t.gate.Planning(p.t.identity(r.Account), awsapi.PlanOptions{Roles: roles}), p.draft}
}

// GuardsRevision is that of the guards in force.
func (p trialPlanning) GuardsRevision() string { return p.t.gate.GuardsRevision() }

// notedLooks notes the reads that confirm a violation: the role of a server makes them
// too, and its policy has to allow them.
type notedLooks struct {
	*awsapi.Planner
	draft *trialDraft
}

// Look makes such a read.
func (n notedLooks) Look(ctx context.Context, c apimodel.Call) (apimodel.Reply, error) {
	n.draft.reads = append(n.draft.reads, c)
	return n.Planner.Look(ctx, c)
}

// trialStore is the store of one plan, in memory.
type trialStore struct{ draft *trialDraft }

// Findings gives the finding that is planned for.
func (s *trialStore) Findings(context.Context, []finding.ID) ([]store.FindingRecord, error) {
	return []store.FindingRecord{s.draft.record}, nil
}

// Remediation gives none: nothing was planned before.
func (s *trialStore) Remediation(context.Context, remediation.ID) (remediation.Remediation, error) {
	return remediation.Remediation{}, store.ErrNotFound
}

// CreateRemediation keeps what was planned.
func (s *trialStore) CreateRemediation(_ context.Context, r remediation.Remediation, p *remediation.Plan, _ store.Effects) error {
	s.draft.made, s.draft.plan = r, p
	return nil
}

// Changes gives none: nothing was changed.
func (s *trialStore) Changes(context.Context, remediation.ID) ([]remediation.Change, error) {
	return nil, nil
}
