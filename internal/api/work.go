package api

import (
	"context"
	"net/http"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// FindingUpdate is a person's word on a finding.
type FindingUpdate struct {
	Workflow string `json:"workflow,omitempty" enum:"NEW,NOTIFIED,SUPPRESSED,RESOLVED" doc:"The new workflow status."`
	Note     string `json:"note,omitempty" maxLength:"512" doc:"Why; it is the finding's note from then on."`
}

// StopRequest says why something is stopped.
type StopRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
}

// FindingGroups counts the findings that a search finds by one attribute.
type FindingGroups struct {
	Groups []FindingGroupCount `json:"groups" nullable:"false" doc:"The greatest first."`
	More   bool                `json:"more" doc:"There are groups beyond the limit."`

	Hidden     int64 `json:"hidden,omitempty" doc:"How many findings are not counted because their accounts are out of use; all_accounts=true counts them."`
	HiddenMore bool  `json:"hidden_more,omitempty" doc:"Findings are hidden, and too many would have to be read to count them."`
}

// FindingGroupCount is one value and how many findings have it.
type FindingGroupCount struct {
	Value string `json:"value" doc:"Untrusted text."`
	Count int64  `json:"count"`
}

type (
	updateFindingInput struct {
		FindingPath
		Body FindingUpdate
	}
	stopInput struct {
		ID   string `path:"id" maxLength:"128"`
		Body StopRequest
	}
	groupsInput struct {
		FindingSelection
		AccountsOutOfUse
		By    string `query:"by" required:"true" enum:"severity,account,region,control,workflow,record_state,compliance,product,resource_type,resource" doc:"The attribute."`
		Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many groups."`
		Body  FindingSearch
	}
	groupsOutput struct{ Body FindingGroups }
)

func (a *API) registerWork() {
	register(a, operation{id: "update-finding", method: http.MethodPatch, path: "/v1/findings/{key}", summary: "Set the workflow status of a finding, with a note", tag: "findings", status: http.StatusNoContent}, auth.FindingUpdate, a.updateFinding)
	register(a, operation{id: "group-findings", method: http.MethodPost, path: "/v1/findings/groups", summary: "Count what a search finds by one attribute", tag: "findings"}, auth.FindingRead, a.groupFindings)
	register(a, operation{id: "cancel-remediation", method: http.MethodPost, path: "/v1/remediations/{id}/cancel", summary: "End a remediation that waits, or ask one that runs to end", tag: "remediations", status: http.StatusAccepted}, auth.ExecutionControl,
		func(ctx context.Context, p auth.Principal, in *stopInput) (*struct{}, error) {
			r, err := a.remediation(ctx, p, in.ID)
			if err != nil {
				return nil, err
			}
			return nil, a.cfg.Work.StopRemediation(ctx, r, p.Name, in.Body.Reason)
		})
}

// updateFinding does what BatchUpdateFindings does, for one finding and in the words of
// the console. The note is signed by who is signed in, never by what a request says.
func (a *API) updateFinding(ctx context.Context, p auth.Principal, in *updateFindingInput) (*struct{}, error) {
	const op = "update finding"
	r, err := a.finding(ctx, p, in.Key)
	if err != nil {
		return nil, err
	}
	if in.Body.Workflow == "" && in.Body.Note == "" {
		return nil, fault.Errorf(fault.Invalid, op, "nothing is to be changed").WithHint("give workflow, note or both")
	}
	if r.Exception != "" && in.Body.Workflow != "" {
		return nil, fault.Errorf(fault.Conflict, op, "the exception %s decides over the workflow status", r.Exception).
			WithHint("see it: parry exception show %s; end it: parry exception expire %s", r.Exception, r.Exception)
	}
	req := triage.UpdateRequest{Identifiers: []finding.ID{r.ID}}
	if in.Body.Workflow != "" {
		req.Patch.Workflow = &finding.WorkflowUpdate{Status: finding.Workflow(in.Body.Workflow)}
	}
	if in.Body.Note != "" {
		req.Patch.Note = &finding.NoteUpdate{Text: in.Body.Note, UpdatedBy: p.Name}
	}
	result, err := a.cfg.Work.UpdateFindings(ctx, req, p.Name, auth.Scope(p))
	if err != nil {
		return nil, err
	}
	if len(result.Unprocessed) == 0 {
		return nil, nil
	}
	u := result.Unprocessed[0] // one was asked for
	if u.ErrorCode == triage.CodeNotFound {
		return nil, unknownFinding(r.ID.Id)
	}
	return nil, fault.Errorf(fault.Conflict, op, "%s", u.ErrorMessage).WithHint("read the finding again, then repeat it: parry finding show ID")
}

// groupFindings counts within the caller's accounts. Severity has few values, and every
// finding has one: grouped by it, the counts add up to the total.
func (a *API) groupFindings(ctx context.Context, p auth.Principal, in *groupsInput) (*groupsOutput, error) {
	q, err := (&searchInput{FindingColumns: FindingColumns{FindingSelection: in.FindingSelection}, Body: in.Body}).query()
	if err != nil {
		return nil, err
	}
	if q.Exception != "" {
		return nil, fault.Errorf(fault.Invalid, "group findings", "findings that an exception suppresses are listed, not grouped").WithHint("leave excepted and exception out")
	}
	by := in.By
	if by == "resource" {
		by = "ResourceId"
	}
	without, err := a.hides(ctx, p, hiding{in.AccountsOutOfUse, in.FindingSelection, q.Filter})
	if err != nil {
		return nil, err
	}
	counts, err := a.cfg.Counter.GroupFindings(ctx, store.GroupQuery{Accounts: auth.Scope(p), WithoutAccounts: without, Where: q.Where, Filter: q.Filter, By: by, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	out := FindingGroups{Groups: []FindingGroupCount{}, More: len(counts) > in.Limit}
	if out.Hidden, out.HiddenMore, err = a.hiddenBy(ctx, store.CountQuery{WithoutAccounts: without, Where: q.Where}, q.Filter); err != nil {
		return nil, err
	}
	for _, c := range counts[:min(len(counts), in.Limit)] {
		out.Groups = append(out.Groups, FindingGroupCount{c.Value, c.N})
	}
	return &groupsOutput{out}, nil
}
