package plan

import (
	"context"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// fix plans the remediation of a finding.
func (s *Stage) fix(ctx context.Context, req remediation.Request) error {
	records, err := s.Store.Findings(ctx, []finding.ID{req.Finding})
	if err != nil {
		return err
	}
	if len(records) == 0 {
		return fault.Terminal(fault.Errorf(fault.NotFound, "plan remediation", "there is no finding %s", req.Finding))
	}
	record := records[0]
	pb, ok := s.Content.Playbook(req.Playbook)
	if !ok {
		return fault.Terminal(fault.Errorf(fault.NotFound, "plan remediation", "there is no playbook %q", req.Playbook).
			WithHint("run: parry playbook list"))
	}
	r := remediation.Remediation{
		CreatedAt: s.now(),
		ID:        req.ID, Kind: remediation.KindFix, Finding: req.Finding, Control: pb.ID, Playbook: pb.ID, Runbook: pb.Runbook,
		Account: record.Account, Region: record.Region, Resource: record.ResourceID, RequestedBy: req.RequestedBy,
	}
	if record.Exception != "" {
		r.State, r.Exception = remediation.Cancelled, record.Exception
		r.Reason = "the finding is suppressed by the exception " + record.Exception
		r.Hint = "end it: parry exception expire " + record.Exception
		return s.save(ctx, r, nil, record.Title)
	}
	if record.RecordState == "ARCHIVED" || record.Workflow == "SUPPRESSED" || record.Workflow == "RESOLVED" {
		r.State = remediation.Cancelled
		r.Reason = "the finding is " + strings.ToLower(record.RecordState+" and "+record.Workflow)
		return s.save(ctx, r, nil, record.Title)
	}
	resource, err := s.resource(record, pb)
	if err != nil {
		return s.refuse(ctx, r, record.Title, err)
	}
	r.Resource = resource.ARN
	planner := s.Gate.Planner(r)
	readings, violation, err := s.look(ctx, pb, resource, r.CreatedAt, planner)
	if err != nil {
		return s.refuse(ctx, r, record.Title, err)
	}
	if playbook.Passed(violation) {
		r.State = remediation.Cancelled
		r.Reason = noViolation(pb, violation)
		return s.save(ctx, r, nil, record.Title)
	}
	p, err := s.interpret(ctx, r, pb, resource, readings, planner)
	if err != nil {
		return s.refuse(ctx, r, record.Title, err)
	}
	p.Violation, p.Standing, p.LookedAt = violation, pb.Standing(readings), r.CreatedAt
	return s.seal(ctx, r, p, record.Title)
}

// look reads the resource for a plan that was begun at the time at.
func (s *Stage) look(ctx context.Context, pb playbook.Playbook, resource playbook.Resource, at time.Time, planner Planner) (playbook.Readings, []remediation.CheckResult, error) {
	o := playbook.Looking{
		Recall:   func(c apimodel.Call) (map[string]any, bool) { return s.recall.get(c, at, s.RereadAfter) },
		Deferred: func(c apimodel.Call, answer map[string]any) { s.recall.put(c, answer, at) },
	}
	return pb.Look(resource, o, func(_ string, c apimodel.Call) (apimodel.Reply, error) { return planner.Look(ctx, c) })
}

// noViolation says why there is nothing to fix.
func noViolation(pb playbook.Playbook, results []remediation.CheckResult) string {
	if len(results) == 1 {
		return "a live read found no violation: " + results[0].Detail
	}
	return "a live read found no violation: every check of playbook " + pb.ID + " passes"
}

// seal gives the plan its times and its hash and stores it.
func (s *Stage) seal(ctx context.Context, r remediation.Remediation, p *remediation.Plan, title string) error {
	p.CreatedAt = s.Clock.Now().UTC()
	p.ExpiresAt = p.CreatedAt.Add(s.Lifetime)
	hash, err := p.Hash()
	if err != nil {
		return s.refuse(ctx, r, title, fault.E(fault.Internal, "hash plan", err))
	}
	r.State, r.PlanHash = remediation.Planned, hash
	if p.Run != nil && p.Run.Preview {
		r.State, r.Reason = remediation.Cancelled, "it was planned only, as asked"
	}
	return s.save(ctx, r, p, title)
}

// resource finds the resource of the playbook's type in the finding and checks
// that Parry answers for its account.
func (s *Stage) resource(record store.FindingRecord, pb playbook.Playbook) (playbook.Resource, error) {
	if _, err := s.account("find resource", record.Account); err != nil {
		return playbook.Resource{}, err
	}
	if record.ResourceType != pb.Resource {
		return playbook.Resource{}, fault.Errorf(fault.Invalid, "find resource", "playbook %s fixes %s, the finding names %s", pb.ID, pb.Resource, record.ResourceType)
	}
	r, err := playbook.NewResource(record.ResourceType, record.ResourceID, record.Account, record.Region)
	if p := r.Partition(); err == nil && p != "" && p != s.Partition {
		return r, fault.Errorf(fault.Invalid, "find resource", "the ARN is of partition %s, this organization is in %s", p, s.Partition)
	}
	return r, err
}

// interpret runs the runbook with every change recorded and none sent.
func (s *Stage) interpret(ctx context.Context, r remediation.Remediation, pb playbook.Playbook, resource playbook.Resource, readings playbook.Readings, planner Planner) (*remediation.Plan, error) {
	pinned, doc, ok := s.Content.Runbook(pb.Runbook)
	if !ok {
		return nil, fault.Errorf(fault.NotFound, "plan remediation", "playbook %s names runbook %q, which is not in the catalog", pb.ID, pb.Runbook).
			WithHint("run: parry runbook list")
	}
	raw, err := pb.RunbookParameters(resource, readings)
	if err != nil {
		return nil, err
	}
	parameters, err := doc.ResolveParameters(raw, nil)
	if err != nil {
		return nil, err
	}
	open, err := s.Dry.Dry(ctx, doc, parameters, string(r.ID), r, planner)
	if err != nil {
		return nil, err
	}
	calls := planner.Calls()
	return &remediation.Plan{
		Remediation: r.ID, Kind: r.Kind, Finding: r.Finding, Control: r.Control, Playbook: pb.ID, PlaybookRevision: pb.Revision,
		Runbook: pinned, Parameters: parameters, Account: r.Account, Region: r.Region, Resource: r.Resource, Role: s.MemberRole,
		GuardsRevision: s.Gate.GuardsRevision(), Calls: calls, Open: open != "", OpenReason: open, Problems: remediation.ProblemsOf(calls),
	}, nil
}
