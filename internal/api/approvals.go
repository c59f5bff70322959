package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

type approvalsInput struct {
	Paging
	State string `query:"state" enum:"pending,approved,rejected,expired,superseded"`
}

// ApprovalPath names an approval.
type ApprovalPath struct {
	ID string `path:"id" maxLength:"128"`
}

type approvalOutput struct{ Body remediation.Approval }

type decisionInput struct {
	ApprovalPath
	Body DecisionRequest
}

// DecisionRequest is a person's word on an approval. It binds to the plan that the
// person has seen.
type DecisionRequest struct {
	PlanHash remediation.Hash `json:"plan_hash" pattern:"^[0-9a-f]{64}$" doc:"The hash of the plan that was looked at."`
	Reason   string           `json:"reason,omitempty" maxLength:"1000"`
}

func (a *API) registerApprovals() {
	const tag = "approvals"
	register(a, operation{id: "list-approvals", method: http.MethodGet, path: "/v1/approvals", summary: "List approvals, the latest first", tag: tag}, auth.ApprovalRead,
		func(ctx context.Context, p auth.Principal, in *approvalsInput) (*page[remediation.Approval], error) {
			items, next, err := a.cfg.Approvals.ListApprovals(ctx, remediation.ApprovalState(in.State), auth.Scope(p), in.Limit, in.Cursor)
			if err != nil {
				return nil, err
			}
			return pageOf(items, next), nil
		})
	register(a, operation{id: "get-approval", method: http.MethodGet, path: "/v1/approvals/{id}", summary: "Show an approval", tag: tag}, auth.ApprovalRead,
		func(ctx context.Context, p auth.Principal, in *ApprovalPath) (*approvalOutput, error) {
			approval, err := a.approval(ctx, p, in.ID)
			return &approvalOutput{approval}, err
		})
	register(a, operation{id: "grant-approval", method: http.MethodPost, path: "/v1/approvals/{id}/grant", summary: "Agree to a plan", tag: tag}, auth.ApprovalDecide,
		func(ctx context.Context, p auth.Principal, in *decisionInput) (*approvalOutput, error) {
			return a.decide(ctx, p, in, a.cfg.Approver.Grant)
		})
	register(a, operation{id: "reject-approval", method: http.MethodPost, path: "/v1/approvals/{id}/reject", summary: "Refuse a plan", tag: tag}, auth.ApprovalDecide,
		func(ctx context.Context, p auth.Principal, in *decisionInput) (*approvalOutput, error) {
			return a.decide(ctx, p, in, a.cfg.Approver.Reject)
		})
}

// approval gives the approval with id if it is within p's accounts.
func (a *API) approval(ctx context.Context, p auth.Principal, id string) (remediation.Approval, error) {
	approval, err := a.cfg.Approvals.Approval(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && !p.Covers(approval.Account) {
		return remediation.Approval{}, notFound("approval", id, "list them: parry approval list")
	}
	return approval, err
}

type verdict func(ctx context.Context, id, principal string, hash remediation.Hash, reason string) (remediation.Approval, error)

func (a *API) decide(ctx context.Context, p auth.Principal, in *decisionInput, say verdict) (*approvalOutput, error) {
	approval, err := a.approval(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	// The approve stage checks this again; here it also holds for whatever
	// stands behind Approver.
	if in.Body.PlanHash != approval.Plan {
		return nil, fault.Errorf(fault.Conflict, "", "the decision names plan %.12s, the approval %s is for plan %.12s", in.Body.PlanHash, approval.ID, approval.Plan).
			WithHint("look at the plan again: parry plan show %s", approval.Remediation)
	}
	decided, err := say(ctx, approval.ID, p.Name, in.Body.PlanHash, in.Body.Reason)
	return &approvalOutput{decided}, err
}
