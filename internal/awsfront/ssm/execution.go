package ssm

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// shownSteps is how many steps GetAutomationExecution gives; the others are told
// by DescribeAutomationStepExecutions.
const shownSteps = 100

type executionInput struct {
	AutomationExecutionID string `json:"AutomationExecutionId"`
}

// common is what AutomationExecution and AutomationExecutionMetadata share.
type common struct {
	AutomationExecutionID     string              `json:"AutomationExecutionId"`
	DocumentName              string              `json:"DocumentName"`
	DocumentVersion           string              `json:"DocumentVersion,omitempty"`
	ExecutionStartTime        timestamp           `json:"ExecutionStartTime,omitzero"`
	ExecutionEndTime          timestamp           `json:"ExecutionEndTime,omitzero"`
	AutomationExecutionStatus string              `json:"AutomationExecutionStatus"`
	Outputs                   map[string][]string `json:"Outputs,omitempty"`
	FailureMessage            string              `json:"FailureMessage,omitempty"`
	Mode                      string              `json:"Mode,omitempty"`
	ParentID                  string              `json:"ParentAutomationExecutionId,omitempty"`
	ExecutedBy                string              `json:"ExecutedBy,omitempty"`
	CurrentStepName           string              `json:"CurrentStepName,omitempty"`
	CurrentAction             string              `json:"CurrentAction,omitempty"`
	TargetParameterName       string              `json:"TargetParameterName,omitempty"`
	Targets                   []map[string]any    `json:"Targets,omitempty"`
	TargetMaps                []map[string]any    `json:"TargetMaps,omitempty"`
	ResolvedTargets           *resolvedTargets    `json:"ResolvedTargets,omitempty"`
	MaxConcurrency            string              `json:"MaxConcurrency,omitempty"`
	MaxErrors                 string              `json:"MaxErrors,omitempty"`
	Target                    string              `json:"Target,omitempty"`
}

type resolvedTargets struct {
	ParameterValues []string `json:"ParameterValues"`
	Truncated       bool     `json:"Truncated"`
}

type executionShape struct {
	common
	StepExecutions          []stepShape         `json:"StepExecutions"`
	StepExecutionsTruncated bool                `json:"StepExecutionsTruncated"`
	Parameters              map[string][]string `json:"Parameters,omitempty"`
	Variables               map[string][]string `json:"Variables,omitempty"`
	TargetLocations         []map[string]any    `json:"TargetLocations,omitempty"`
	ProgressCounters        *counters           `json:"ProgressCounters,omitempty"`
}

type counters struct {
	TotalSteps     int `json:"TotalSteps"`
	SuccessSteps   int `json:"SuccessSteps"`
	FailedSteps    int `json:"FailedSteps"`
	CancelledSteps int `json:"CancelledSteps"`
	TimedOutSteps  int `json:"TimedOutSteps"`
}

type getExecutionOutput struct {
	AutomationExecution executionShape `json:"AutomationExecution"`
}

// execution gives an execution within the caller's accounts. One of a foreign
// account is not told from one that does not exist.
func (h *Handler) execution(ctx context.Context, c Caller, id string) (remediation.Execution, error) {
	e, err := h.cfg.Executions.AutomationExecution(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && (!c.covers(e) || e.Asked != nil && e.Asked.Preview) {
		return remediation.Execution{}, refuse("AutomationExecutionNotFoundException", "Automation execution %s not found.", protocol.Clip(id))
	}
	return e, err
}

// covers reports whether the caller may see e. A run over several accounts stands
// on the account that it was started for; its children on theirs.
func (c Caller) covers(e remediation.Execution) bool {
	if c.Parent != nil && e.Account != c.Parent.Account {
		return false
	}
	return c.Principal.Covers(e.Account)
}

func (h *Handler) getExecution(ctx context.Context, c Caller, in *executionInput) (any, error) {
	e, err := h.execution(ctx, c, in.AutomationExecutionID)
	if err != nil {
		return nil, err
	}
	steps, next, err := h.steps(ctx, c, e, remediation.StepFilter{}, shownSteps, "")
	if err != nil {
		return nil, err
	}
	out := h.shape(e)
	out.StepExecutions, out.StepExecutionsTruncated = steps, next != ""
	if !e.OnTargets {
		doc, err := h.content(ctx, e)
		if err != nil {
			return nil, err
		}
		if out.Variables, err = h.variables(ctx, e, doc); err != nil {
			return nil, err
		}
		if next == "" {
			out.StepExecutions, out.StepExecutionsTruncated = pendingSteps(out.StepExecutions, e.ID, doc)
		}
	}
	out.targets(e)
	return getExecutionOutput{out}, nil
}

// shape gives what is told of an execution without its steps.
func (h *Handler) shape(e remediation.Execution) executionShape {
	return executionShape{common: h.common(e), Parameters: e.Parameters, Variables: e.Variables, StepExecutions: []stepShape{}}
}

// targets adds what is told of a run on targets, of which StepExecutions has the steps.
func (s *executionShape) targets(e remediation.Execution) {
	if !e.OnTargets {
		return
	}
	s.ProgressCounters = count(s.StepExecutions)
	if e.Asked == nil {
		return
	}
	s.TargetLocations = e.Asked.TargetLocations
	if len(e.Asked.Targets) > 0 && len(e.Asked.TargetLocations) == 0 {
		s.ResolvedTargets = resolved(e, s.StepExecutions, s.StepExecutionsTruncated)
	}
}

func (h *Handler) common(e remediation.Execution) common {
	out := common{
		AutomationExecutionID: e.ID, DocumentName: e.Document, DocumentVersion: e.Version, ExecutionStartTime: timestamp(e.StartedAt),
		ExecutionEndTime: timestamp(e.EndedAt), AutomationExecutionStatus: e.Status, Outputs: e.Outputs, FailureMessage: e.Failure, Mode: e.Mode,
		ParentID: e.Parent, ExecutedBy: "arn:" + h.cfg.Partition + ":iam::" + h.cfg.Account + ":user/parry/" + e.StartedBy,
		CurrentStepName: e.CurrentStep, CurrentAction: e.CurrentAction, Target: e.Target,
	}
	if out.DocumentVersion == "" {
		out.DocumentVersion = "1"
	}
	if out.Mode == "" {
		out.Mode = "Auto"
	}
	if e.Status == string(automation.Pending) && e.Failure == "" && e.Remediation != "" {
		out.FailureMessage = "Pending until its plan is approved; see: parry remediation show " + string(e.Remediation)
	}
	if e.Target != "" {
		out.ResolvedTargets = &resolvedTargets{ParameterValues: []string{e.Target}}
	}
	if a := e.Asked; a != nil {
		out.TargetParameterName, out.Targets, out.TargetMaps = a.TargetParameterName, a.Targets, a.TargetMaps
		out.MaxConcurrency, out.MaxErrors = a.MaxConcurrency, a.MaxErrors
	}
	return out
}

func count(steps []stepShape) *counters {
	c := &counters{TotalSteps: len(steps)}
	for _, s := range steps {
		switch automation.Status(s.StepStatus) {
		case automation.Success:
			c.SuccessSteps++
		case automation.Failed:
			c.FailedSteps++
		case automation.Cancelled:
			c.CancelledSteps++
		case automation.TimedOut:
			c.TimedOutSteps++
		}
	}
	return c
}

// content gives the document that e runs, as it was pinned; nil where it can no
// longer be told, so that an old execution is still shown.
func (h *Handler) content(ctx context.Context, e remediation.Execution) (*runbook.Document, error) {
	text, err := h.cfg.Plans.DocumentText(ctx, e)
	switch {
	case fault.Is(err, fault.NotFound), err == nil && text == "":
		return nil, nil // said above
	case err != nil:
		return nil, err
	}
	doc, err := h.parsed.parse(text)
	if err != nil {
		return nil, nil //nolint:nilerr // a later version may refuse what an earlier one ran
	}
	return doc, nil
}

type filter struct {
	Key    string
	Values []string
}

type describeExecutionsInput struct {
	Filters    []filter
	MaxResults *int
	NextToken  string
}

type describeExecutionsOutput struct {
	AutomationExecutionMetadataList []metadata `json:"AutomationExecutionMetadataList"`
	NextToken                       string     `json:"NextToken,omitempty"`
}

type metadata struct {
	common
	AutomationType string `json:"AutomationType"`
}

func (h *Handler) describeExecutions(ctx context.Context, c Caller, in *describeExecutionsInput) (any, error) {
	f, err := executionFilter(in.Filters)
	if err != nil {
		return nil, err
	}
	f.Accounts = c.scope()
	after, err := cursor(c, "DescribeAutomationExecutions", in.Filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	all, next, err := h.cfg.Executions.ListAutomationExecutions(ctx, f, pageSize(in.MaxResults), after)
	if err != nil {
		return nil, as(err, fault.Invalid, "InvalidNextToken", "The specified token isn't valid for this request. Start again without NextToken.")
	}
	out := describeExecutionsOutput{AutomationExecutionMetadataList: []metadata{}, NextToken: token(c, "DescribeAutomationExecutions", in.Filters, next)}
	for _, e := range all {
		if !c.covers(e) || e.Asked != nil && e.Asked.Preview {
			continue // The store has been asked for the scope; this holds whatever it answers.
		}
		m := metadata{common: h.common(e), AutomationType: "Local"}
		if e.Asked != nil && len(e.Asked.TargetLocations) > 0 {
			m.AutomationType = "CrossAccount"
		}
		out.AutomationExecutionMetadataList = append(out.AutomationExecutionMetadataList, m)
	}
	return out, nil
}

// scope gives the accounts whose executions the caller may see.
func (c Caller) scope() []string {
	if c.Parent != nil {
		return []string{c.Parent.Account}
	}
	accounts := c.Principal.Accounts
	if accounts == nil {
		return []string{}
	}
	return slices.Clone(accounts)
}

func executionFilter(filters []filter) (remediation.ExecutionFilter, error) {
	var f remediation.ExecutionFilter
	seen := map[string]bool{}
	for _, one := range filters {
		if seen[one.Key] {
			return f, refuse("InvalidFilterKey", "The filter key %s is given twice.", one.Key)
		}
		seen[one.Key] = true
		if err := addFilter(&f, one); err != nil {
			return f, err
		}
	}
	return f, nil
}

func addFilter(f *remediation.ExecutionFilter, one filter) error {
	var err error
	switch one.Key {
	case "DocumentNamePrefix":
		f.DocumentPrefix = one.Values
	case "ExecutionStatus":
		f.Statuses = one.Values
	case "ExecutionId":
		f.IDs = one.Values
	case "ParentExecutionId":
		f.Parents = one.Values
	case "CurrentAction":
		f.Actions = one.Values
	case "StartTimeBefore":
		f.StartedBefore, err = filterTime(one)
	case "StartTimeAfter":
		f.StartedAfter, err = filterTime(one)
	case "AutomationType":
		if len(one.Values) == 1 && (one.Values[0] == "CrossAccount" || one.Values[0] == "Local") {
			cross := one.Values[0] == "CrossAccount"
			f.CrossAccount = &cross
			return nil
		}
		return refuse("InvalidFilterValue", "AutomationType takes one value: CrossAccount or Local.")
	default:
		return refuse("InvalidFilterKey", "Parry does not filter executions by %s. It filters by DocumentNamePrefix, ExecutionStatus, ExecutionId, ParentExecutionId, CurrentAction, StartTimeBefore, StartTimeAfter and AutomationType.", one.Key)
	}
	return err
}

// filterTime reads the one time of a filter: ISO 8601, or seconds since 1970.
func filterTime(one filter) (time.Time, error) {
	if len(one.Values) == 1 {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", time.DateOnly} {
			if t, err := time.Parse(layout, strings.TrimSpace(one.Values[0])); err == nil && t.Year() >= 1970 && t.Year() < 10000 {
				return t.UTC(), nil
			}
		}
		if n, err := json.Number(one.Values[0]).Int64(); err == nil && n > 0 && n < 1<<37 {
			return time.Unix(n, 0).UTC(), nil
		}
	}
	return time.Time{}, refuse("InvalidFilterValue", "%s takes one time, such as 2026-03-01T00:00:00Z.", one.Key)
}
