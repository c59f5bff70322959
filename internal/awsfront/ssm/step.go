package ssm

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// stepShape is StepExecution.
type stepShape struct {
	StepName           string              `json:"StepName"`
	Action             string              `json:"Action"`
	TimeoutSeconds     int64               `json:"TimeoutSeconds,omitempty"`
	OnFailure          string              `json:"OnFailure,omitempty"`
	MaxAttempts        int64               `json:"MaxAttempts,omitempty"`
	ExecutionStartTime timestamp           `json:"ExecutionStartTime,omitzero"`
	ExecutionEndTime   timestamp           `json:"ExecutionEndTime,omitzero"`
	StepStatus         string              `json:"StepStatus"`
	Inputs             map[string]string   `json:"Inputs,omitempty"`
	Outputs            map[string][]string `json:"Outputs,omitempty"`
	FailureMessage     string              `json:"FailureMessage,omitempty"`
	FailureDetails     *failureDetails     `json:"FailureDetails,omitempty"`
	StepExecutionID    string              `json:"StepExecutionId"`
	IsEnd              *bool               `json:"IsEnd,omitempty"`
	NextStep           string              `json:"NextStep,omitempty"`
	IsCritical         *bool               `json:"IsCritical,omitempty"`
	ValidNextSteps     []string            `json:"ValidNextSteps,omitempty"`
	TargetLocation     *targetLocation     `json:"TargetLocation,omitempty"`
	ParentStepDetails  *parentStep         `json:"ParentStepDetails,omitempty"`
}

// targetLocation is where the child of a run over several accounts runs.
type targetLocation struct {
	Accounts          []string `json:"Accounts"`
	Regions           []string `json:"Regions"`
	ExecutionRoleName string   `json:"ExecutionRoleName,omitempty"`
}

type failureDetails struct {
	FailureStage string              `json:"FailureStage,omitempty"`
	FailureType  string              `json:"FailureType,omitempty"`
	Details      map[string][]string `json:"Details,omitempty"`
}

type parentStep struct {
	StepExecutionID string `json:"StepExecutionId"`
	StepName        string `json:"StepName,omitempty"`
	Action          string `json:"Action"`
	Iteration       int    `json:"Iteration,omitempty"`
	IteratorValue   string `json:"IteratorValue,omitempty"`
}

// stepOf shows a step with what its document says of it.
func stepOf(s remediation.StepExecution, doc *runbook.Document) stepShape {
	out := stepShape{
		StepName: s.Name, Action: s.Action, ExecutionStartTime: timestamp(s.StartedAt), ExecutionEndTime: timestamp(s.EndedAt), StepStatus: s.Status,
		Inputs: inputTexts(s.Inputs), Outputs: outputTexts(s.Outputs), FailureMessage: s.Failure, StepExecutionID: s.ID,
	}
	if !automation.Status(s.Status).Ended() {
		out.ExecutionEndTime = timestamp{} // a step that waits has ended a round, not itself
	}
	if s.FailureStage != "" || s.FailureType != "" || len(s.FailureDetails) > 0 {
		out.FailureDetails = detailsOf(s)
	}
	if s.ParentStep != "" {
		out.ParentStepDetails = &parentStep{s.ParentStep, s.ParentStepName, runbook.ActionLoop, s.Iteration, s.IteratorValue}
	}
	if !s.Declared {
		out.declared(doc)
		return out
	}
	out.IsEnd, out.IsCritical, out.NextStep, out.ValidNextSteps = &s.IsEnd, &s.IsCritical, s.NextStep, s.ValidNextSteps
	out.OnFailure, out.MaxAttempts, out.TimeoutSeconds = s.OnFailure, int64(s.MaxAttempts), int64(s.TimeoutSeconds)
	return out
}

// detailsOf words a failure with the stages and types that AWS documents.
//
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_FailureDetails.html
func detailsOf(s remediation.StepExecution) *failureDetails {
	out := &failureDetails{FailureStage: s.FailureStage, FailureType: "Action", Details: s.FailureDetails}
	if out.FailureStage == "Verification" {
		out.FailureStage = "PostVerification"
	}
	code := strings.Join(s.FailureDetails["ErrorCode"], "")
	switch {
	case s.FailureType == string(automation.FailureVerification):
		out.FailureType = "Verification"
	case s.FailureType == string(automation.FailureSandbox):
		out.FailureType = "Internal"
	case strings.Contains(code, "AccessDenied"), strings.Contains(code, "Unauthorized"), code == "NotAuthorized", code == "AuthorizationError":
		out.FailureType = "Permission"
	case strings.Contains(code, "Throttl"), code == "RequestLimitExceeded", code == "TooManyRequestsException", code == "SlowDown":
		out.FailureType = "Throttling"
	}
	return out
}

// declared adds what the document says of the step.
func (s *stepShape) declared(doc *runbook.Document) {
	if doc == nil {
		return
	}
	step, ok := doc.Step(s.StepName)
	if !ok {
		return
	}
	critical, end := step.Critical(), step.IsEnd
	s.IsCritical, s.IsEnd, s.NextStep = &critical, &end, step.NextStep
	s.OnFailure = step.OnFailure
	if step.OnFailureStep {
		s.OnFailure = "step:" + step.OnFailure
	}
	s.TimeoutSeconds, s.MaxAttempts = whole(step.Timeout), whole(step.MaxAttempts)
	if s.MaxAttempts == 0 {
		s.MaxAttempts = 1
	}
	if s.NextStep == "" && !end && step.Within == "" {
		if next, ok := doc.After(step.Name); ok {
			s.NextStep = next.Name
		}
	}
	if s.NextStep != "" {
		s.ValidNextSteps = []string{s.NextStep}
	}
}

// whole is v where it is a whole number; a templated one is known to the step
// alone.
func whole(v any) int64 {
	n, _ := v.(int64)
	return max(n, 0)
}

// inputTexts gives inputs as Systems Manager shows them: each as JSON text.
func inputTexts(inputs map[string]any) map[string]string {
	if len(inputs) == 0 {
		return nil
	}
	out := make(map[string]string, len(inputs))
	for name, v := range inputs {
		raw, err := json.Marshal(v)
		if err != nil {
			continue // They came from JSON.
		}
		out[name] = string(raw)
	}
	return out
}

// outputTexts gives outputs as lists of text.
func outputTexts(outputs map[string]any) map[string][]string {
	if len(outputs) == 0 {
		return nil
	}
	out := make(map[string][]string, len(outputs))
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		items, isList := outputs[name].([]any)
		if !isList {
			items = []any{outputs[name]}
		}
		texts := []string{}
		for _, item := range items {
			if text, err := runbook.Text(item); err == nil {
				texts = append(texts, text)
			}
		}
		out[name] = texts
	}
	return out
}

// pendingSteps adds the steps of the document that have not been reached, as AWS
// lists them, and says whether some had to be left out.
func pendingSteps(reached []stepShape, execution string, doc *runbook.Document) (all []stepShape, truncated bool) {
	if doc == nil {
		return reached, false
	}
	seen := map[string]bool{}
	for _, s := range reached {
		seen[s.StepName] = true
	}
	for _, step := range doc.Steps {
		if seen[step.Name] {
			continue
		}
		if len(reached) == shownSteps {
			return reached, true
		}
		s := stepShape{StepName: step.Name, Action: step.Action, StepStatus: string(automation.Pending), StepExecutionID: DerivedUUID(execution, step.Name)}
		s.declared(doc)
		reached = append(reached, s)
	}
	return reached, false
}

type describeStepsInput struct {
	AutomationExecutionID string `json:"AutomationExecutionId"`
	Filters               []filter
	MaxResults            *int
	NextToken             string
	ReverseOrder          bool
}

type describeStepsOutput struct {
	StepExecutions []stepShape `json:"StepExecutions"`
	NextToken      string      `json:"NextToken,omitempty"`
}

func (h *Handler) describeSteps(ctx context.Context, c Caller, in *describeStepsInput) (any, error) {
	e, err := h.execution(ctx, c, in.AutomationExecutionID)
	if err != nil {
		return nil, err
	}
	f, err := stepFilter(in.Filters)
	if err != nil {
		return nil, err
	}
	f.Reverse = in.ReverseOrder
	query := []any{e.ID, in.Filters, in.ReverseOrder}
	after, err := cursor(c, "DescribeAutomationStepExecutions", query, in.NextToken)
	if err != nil {
		return nil, err
	}
	steps, next, err := h.steps(ctx, c, e, f, pageSize(in.MaxResults), after)
	if err != nil {
		return nil, as(err, fault.Invalid, "InvalidNextToken", "The specified token isn't valid for this request. Start again without NextToken.")
	}
	return describeStepsOutput{StepExecutions: steps, NextToken: token(c, "DescribeAutomationStepExecutions", query, next)}, nil
}

// steps gives a page of the steps of an execution that were reached, or of the
// targets that it runs on.
func (h *Handler) steps(ctx context.Context, c Caller, e remediation.Execution, f remediation.StepFilter, limit int, after string) ([]stepShape, string, error) {
	targets, err := h.onTargets(ctx, c, e)
	if err != nil {
		return nil, "", err
	}
	if targets {
		return h.targetSteps(ctx, c, e, f, limit, after)
	}
	list, next, err := h.cfg.Executions.ListStepExecutions(ctx, e.ID, f, limit, after)
	if err != nil {
		return nil, "", err
	}
	doc, err := h.content(ctx, e)
	if err != nil {
		return nil, "", err
	}
	steps := make([]stepShape, 0, len(list))
	for _, s := range list {
		steps = append(steps, stepOf(s, doc))
	}
	return steps, next, nil
}

func stepFilter(filters []filter) (remediation.StepFilter, error) {
	var f remediation.StepFilter
	for _, one := range filters {
		var err error
		switch one.Key {
		case "StepExecutionStatus":
			f.Statuses = one.Values
		case "StepExecutionId":
			f.IDs = one.Values
		case "StepName":
			f.Names = one.Values
		case "Action":
			f.Actions = one.Values
		case "ParentStepExecutionId":
			f.ParentSteps = one.Values
		case "ParentStepIteratorValue":
			f.IteratorValues = one.Values
		case "ParentStepIteration":
			f.Iterations, err = iterations(one.Values)
		case "StartTimeBefore":
			f.StartedBefore, err = filterTime(one)
		case "StartTimeAfter":
			f.StartedAfter, err = filterTime(one)
		default:
			err = refuse("InvalidFilterKey", "Steps are not filtered by %s.", one.Key)
		}
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

func iterations(values []string) ([]int, error) {
	out := make([]int, len(values))
	for i, v := range values {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return nil, refuse("InvalidFilterValue", "ParentStepIteration takes whole numbers from 1.")
		}
		out[i] = n
	}
	return out, nil
}
