package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

type remediationsInput struct {
	Paging
	State   string `query:"state" enum:"planned,awaiting_approval,queued,running,verifying,verified,unverified,failed,cancelled,rejected,expired,superseded,undoing,undone,regressed"`
	Account string `query:"account" maxLength:"64"`
	Control string `query:"control" maxLength:"128"`
	Finding string `query:"finding" maxLength:"4096" doc:"The key of a finding."`
	UndoOf  string `query:"undo_of" maxLength:"128" doc:"The remediation that is undone."`
}

type remediationInput struct {
	ID string `path:"id" maxLength:"128"`
}

type callsInput struct {
	Paging
	ID string `path:"id" maxLength:"128"`
}

type remediationOutput struct{ Body RemediationDetail }

type planOutput struct{ Body PlanDocument }

type requestInput struct{ Body RemediationRequest }

// RemediationRequest names the finding to remediate.
type RemediationRequest struct {
	ProductArn string `json:"product_arn" minLength:"12" maxLength:"2048"`
	ID         string `json:"id" minLength:"1" maxLength:"512" doc:"The finding's Id."`
	Playbook   string `json:"playbook,omitempty" maxLength:"128" doc:"Default: the playbook for the finding's control."`
}

type requestOutput struct{ Body Requested }

func (a *API) registerRemediations() {
	const tag = "remediations"
	register(a, operation{id: "list-remediations", method: http.MethodGet, path: "/v1/remediations", summary: "List remediations, the latest first", tag: tag}, auth.RemediationRead, a.listRemediations)
	register(a, operation{id: "get-remediation", method: http.MethodGet, path: "/v1/remediations/{id}", summary: "Show a remediation with its changes and steps", tag: tag}, auth.RemediationRead, a.getRemediation)
	register(a, operation{id: "list-calls", method: http.MethodGet, path: "/v1/remediations/{id}/calls", summary: "List the AWS calls made for a remediation, the first first", tag: tag}, auth.RemediationRead, a.listCalls)
	register(a, operation{id: "get-plan", method: http.MethodGet, path: "/v1/plans/{id}", summary: "Show the plan of a remediation: every call, before and after", tag: tag}, auth.PlanRead, a.getPlan)
	register(a, operation{id: "request-remediation", method: http.MethodPost, path: "/v1/remediations", summary: "Ask for the remediation of a finding", tag: tag, status: http.StatusAccepted}, auth.RemediationRequest,
		func(ctx context.Context, p auth.Principal, in *requestInput) (*requestOutput, error) {
			r, err := a.findingByID(ctx, p, finding.ID{ProductArn: in.Body.ProductArn, Id: in.Body.ID})
			if err != nil {
				return nil, err
			}
			id, err := a.cfg.Requester.RequestFix(ctx, r.ID, in.Body.Playbook, p.Name)
			return &requestOutput{Requested{id}}, err
		})
	register(a, operation{id: "request-undo", method: http.MethodPost, path: "/v1/remediations/{id}/undo", summary: "Ask for the undo of a remediation", tag: tag, status: http.StatusAccepted}, auth.RemediationUndo,
		func(ctx context.Context, p auth.Principal, in *remediationInput) (*requestOutput, error) {
			r, err := a.remediation(ctx, p, in.ID)
			if err != nil {
				return nil, err
			}
			id, err := a.cfg.Requester.RequestUndo(ctx, r.ID, p.Name)
			return &requestOutput{Requested{id}}, err
		})
}

func (a *API) listRemediations(ctx context.Context, p auth.Principal, in *remediationsInput) (*page[remediation.Remediation], error) {
	f := store.RemediationFilter{
		Accounts: auth.Scope(p), State: remediation.State(in.State), Account: in.Account, Control: in.Control, UndoOf: remediation.ID(in.UndoOf),
	}
	if in.Finding != "" {
		id, ok := finding.ParseKey(in.Finding)
		if !ok {
			return nil, unknownFinding(in.Finding)
		}
		f.Finding = id
	}
	items, next, err := a.cfg.Remediations.ListRemediations(ctx, f, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return pageOf(items, next), nil
}

// remediation gives the remediation with id if it is within p's accounts.
func (a *API) remediation(ctx context.Context, p auth.Principal, id string) (remediation.Remediation, error) {
	r, err := a.cfg.Remediations.Remediation(ctx, remediation.ID(id))
	if fault.Is(err, fault.NotFound) || err == nil && !p.Covers(r.Account) {
		return remediation.Remediation{}, notFound("remediation", id, "list them: parry remediation list")
	}
	return r, err
}

func (a *API) getRemediation(ctx context.Context, p auth.Principal, in *remediationInput) (*remediationOutput, error) {
	r, err := a.remediation(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	out := RemediationDetail{Remediation: r, Changes: []Change{}, Steps: []Step{}}
	if out.Approval, err = a.approvalFor(ctx, r.ID); err != nil {
		return nil, err
	}
	changes, err := a.cfg.Journal.Changes(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if out.Changes, err = a.changes(ctx, r, changes); err != nil {
		return nil, err
	}
	if r.Execution != "" {
		steps, err := a.cfg.Journal.Steps(ctx, r.Execution)
		if err != nil {
			return nil, err
		}
		for _, s := range steps {
			out.Steps = append(out.Steps, stepOf(s))
		}
	}
	return &remediationOutput{out}, nil
}

// changes lists what an execution changed, and what its plan holds beside it and
// was not sent.
func (a *API) changes(ctx context.Context, r remediation.Remediation, recorded []remediation.Change) ([]Change, error) {
	out := []Change{}
	seen := map[int]bool{}
	for _, c := range recorded {
		out, seen[c.Call.Seq] = append(out, changeOf(c)), true
	}
	if r.Execution == "" || r.PlanHash == "" {
		return out, nil
	}
	plan, err := a.cfg.Remediations.Plan(ctx, r.PlanHash)
	if err != nil {
		return nil, err
	}
	for _, c := range plan.Calls {
		if c.Class == apimodel.Change && !seen[c.Seq] {
			out = append(out, plannedChange(c))
		}
	}
	return out, nil
}

func (a *API) listCalls(ctx context.Context, p auth.Principal, in *callsInput) (*page[remediation.CallRecord], error) {
	r, err := a.remediation(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	items, next, err := a.cfg.Journal.Calls(ctx, r.ID, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return pageOf(items, next), nil
}

// approvalFor gives the approval of a remediation, nil where there is none yet.
func (a *API) approvalFor(ctx context.Context, id remediation.ID) (*remediation.Approval, error) {
	approval, err := a.cfg.Approvals.ApprovalFor(ctx, id)
	switch {
	case fault.Is(err, fault.NotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &approval, nil
}

func (a *API) getPlan(ctx context.Context, p auth.Principal, in *remediationInput) (*planOutput, error) {
	r, err := a.remediation(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	if r.PlanHash == "" {
		return nil, fault.Errorf(fault.NotFound, "", "remediation %s has no plan: %s", r.ID, r.Reason).WithHint("run: parry remediation show %s", r.ID)
	}
	plan, err := a.cfg.Remediations.Plan(ctx, r.PlanHash)
	if err != nil {
		return nil, err
	}
	out := PlanDocument{Hash: r.PlanHash, State: r.State, Plan: a.cfg.Redact(plan)}
	approval, err := a.approvalFor(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if approval != nil {
		out.ApprovalID = approval.ID
	}
	if out.Alike, err = a.alike(ctx, p, r, plan); err != nil {
		return nil, err
	}
	return &planOutput{out}, nil
}
