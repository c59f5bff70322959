package ssm

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

type previewInput struct {
	DocumentName    string
	DocumentVersion string
	ExecutionInputs struct{ Automation *automationInputs }
}

type automationInputs struct {
	Parameters          map[string][]string
	TargetParameterName string
	Targets             []map[string]any
	TargetMaps          []map[string]any
	TargetLocations     []map[string]any
	TargetLocationsURL  string
}

type startPreviewOutput struct {
	ExecutionPreviewID string `json:"ExecutionPreviewId"`
}

// startPreview plans a document without running it: the plan is a real one, so
// the preview says what AWS's leaves undetermined.
func (h *Handler) startPreview(ctx context.Context, c Caller, in *previewInput) (any, error) {
	start := &startInput{DocumentName: in.DocumentName, DocumentVersion: in.DocumentVersion, preview: true}
	if a := in.ExecutionInputs.Automation; a != nil {
		start.TargetParameterName, start.Targets, start.TargetMaps = a.TargetParameterName, a.Targets, a.TargetMaps
		var err error
		if start.Parameters, start.Tags, err = previewTags(a.Parameters); err != nil {
			return nil, err
		}
		start.TargetLocations, start.TargetLocationsURL = a.TargetLocations, a.TargetLocationsURL
	}
	run, err := h.prepare(ctx, c, start)
	if err != nil {
		return nil, previewError(err)
	}
	id, err := h.request(ctx, c, run)
	return startPreviewOutput{id}, err
}

// previewTags takes the tags that say how Parry runs a document out of the
// parameters: this operation takes no tags, and no parameter of a document has a colon
// in its name.
func previewTags(given map[string][]string) (parameters map[string][]string, tags []tag, err error) {
	parameters = map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		values := given[name]
		if name != AccountTag && name != WavesTag {
			parameters[name] = values
			continue
		}
		if len(values) != 1 {
			return nil, nil, refuse("ValidationException", "The parameter %s stands for the tag of that name, which StartExecutionPreview has no member for. Give it one value.", name)
		}
		tags = append(tags, tag{Key: name, Value: values[0]})
	}
	return parameters, tags, nil
}

// previewError gives what is wrong with a request the one code that this
// operation has for it.
func previewError(err error) error {
	e := ErrorOf(err)
	if e.Status != http.StatusBadRequest || e.Code == "AccessDeniedException" {
		return err
	}
	return &protocol.Error{Status: e.Status, Code: "ValidationException", Message: e.Message}
}

type getPreviewInput struct {
	ExecutionPreviewID string `json:"ExecutionPreviewId"`
}

type previewOutput struct {
	ExecutionPreviewID string            `json:"ExecutionPreviewId"`
	EndedAt            timestamp         `json:"EndedAt,omitzero"`
	Status             string            `json:"Status"`
	StatusMessage      string            `json:"StatusMessage,omitempty"`
	ExecutionPreview   *executionPreview `json:"ExecutionPreview,omitempty"`
}

type executionPreview struct {
	Automation automationPreview `json:"Automation"`
}

type automationPreview struct {
	StepPreviews   map[string]int  `json:"StepPreviews"`
	Regions        []string        `json:"Regions"`
	TargetPreviews []targetPreview `json:"TargetPreviews"`
	TotalAccounts  int             `json:"TotalAccounts"`
}

type targetPreview struct {
	Count      int    `json:"Count"`
	TargetType string `json:"TargetType"`
}

func (h *Handler) getPreview(ctx context.Context, c Caller, in *getPreviewInput) (any, error) {
	e, err := h.cfg.Executions.AutomationExecution(ctx, in.ExecutionPreviewID)
	if fault.Is(err, fault.NotFound) || err == nil && (!c.covers(e) || e.Asked == nil || !e.Asked.Preview) {
		return nil, refuse("ResourceNotFoundException", "Execution preview %s not found.", in.ExecutionPreviewID)
	}
	if err != nil {
		return nil, err
	}
	out := previewOutput{ExecutionPreviewID: e.ID, Status: "Pending"}
	r, err := h.cfg.Plans.Remediation(ctx, e.Remediation)
	switch {
	case fault.Is(err, fault.NotFound):
		return out, nil // The request has not been taken up.
	case err != nil:
		return nil, err
	case r.PlanHash == "" && r.State == remediation.Planned:
		out.Status = "InProgress"
		return out, nil
	case r.PlanHash == "":
		out.Status, out.StatusMessage, out.EndedAt = "Failed", r.Reason, timestamp(r.UpdatedAt)
		return out, nil
	}
	plan, err := h.cfg.Plans.Plan(ctx, r.PlanHash)
	if err != nil {
		return nil, err
	}
	preview, err := h.previewOf(ctx, e, plan)
	if err != nil {
		return nil, err
	}
	out.Status, out.EndedAt, out.ExecutionPreview = "Success", timestamp(r.UpdatedAt), &executionPreview{preview}
	out.StatusMessage = fmt.Sprintf("%d changes are planned; every call: parry plan show %s", plan.Changes(), r.ID)
	if plan.Open {
		out.StatusMessage += ". Planning could not go on to the end: " + plan.OpenReason
	}
	return out, nil
}

// The impacts of a step.
const (
	mutating     = "Mutating"
	nonMutating  = "NonMutating"
	undetermined = "Undetermined"
)

// previewOf counts the steps by what the plan says of them. A step is
// undetermined where planning could not come so far.
func (h *Handler) previewOf(ctx context.Context, e remediation.Execution, plan remediation.Plan) (automationPreview, error) {
	impact := map[string]string{}
	accounts, regions := map[string]bool{e.Account: true}, map[string]bool{e.Region: true}
	for _, call := range plan.Calls {
		step := stepName(call.Step)
		if call.Class.NeedsApproval() {
			impact[step] = mutating
		} else if impact[step] == "" {
			impact[step] = nonMutating
		}
		accounts[call.Account], regions[call.Region] = true, true
	}
	for _, a := range plan.Beyond {
		if impact[stepName(a.Step)] == "" {
			impact[stepName(a.Step)] = undetermined
		}
	}
	doc, err := h.content(ctx, e)
	if err != nil {
		return automationPreview{}, err
	}
	if doc != nil {
		for i := range doc.Steps {
			s := &doc.Steps[i]
			if impact[s.Name] == "" {
				impact[s.Name] = nonMutating
				if plan.Open && calls(s.Action) {
					impact[s.Name] = undetermined
				}
			}
		}
	}
	delete(accounts, "")
	delete(regions, "")
	out := automationPreview{StepPreviews: map[string]int{}, Regions: slices.Sorted(maps.Keys(regions)), TargetPreviews: targetsOf(e.Asked), TotalAccounts: len(accounts)}
	if len(out.Regions) > 50 {
		out.Regions = out.Regions[:50] // as many as the API's shape holds
	}
	for _, i := range impact {
		out.StepPreviews[i]++
	}
	return out, nil
}

// stepName gives the step of the document for which a label stands. What a child
// does ("Start/Inner#2", "Start[key]/Inner") counts for the step that starts it.
func stepName(label string) string {
	if i := strings.IndexAny(label, "/#["); i >= 0 {
		label = label[:i]
	}
	return label
}

// calls reports whether a step of action may call AWS.
func calls(action string) bool {
	switch action {
	case runbook.ActionBranch, runbook.ActionSleep, runbook.ActionApprove, runbook.ActionPause, runbook.ActionUpdateVariable:
		return false
	}
	return true
}

// targetsOf counts what the run was asked for.
func targetsOf(run *remediation.Run) []targetPreview {
	out := []targetPreview{}
	if run == nil {
		return out
	}
	for _, t := range run.Targets {
		key, _ := t["Key"].(string)
		values, _ := t["Values"].([]any)
		out = append(out, targetPreview{Count: len(values), TargetType: key})
	}
	if n := len(run.TargetMaps); n > 0 {
		out = append(out, targetPreview{Count: n, TargetType: "TargetMaps"})
	}
	return out
}
