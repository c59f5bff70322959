package ssm

import (
	"context"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

type stopInput struct {
	AutomationExecutionID string `json:"AutomationExecutionId"`
	Type                  string
}

// stopExecution ends an execution. One whose plan waits for approval has done
// nothing and is cancelled at once; another ends by its own onCancel.
func (h *Handler) stopExecution(ctx context.Context, c Caller, in *stopInput) (any, error) {
	e, err := h.execution(ctx, c, in.AutomationExecutionID)
	if err != nil {
		return nil, err
	}
	if automation.Status(e.Status).Ended() {
		return nil, refuse("InvalidAutomationStatusUpdateException", "Execution %s has ended with %s.", e.ID, e.Status)
	}
	if e.Status == string(automation.Pending) && e.Parent == "" {
		err := h.cfg.Desk.CancelRun(ctx, e, c.Principal.Name)
		if !fault.Is(err, fault.Conflict) {
			return struct{}{}, err
		}
		// It has begun meanwhile, so it is told.
	}
	kind := automation.SignalCancel
	if in.Type == "Complete" {
		kind = automation.SignalComplete
	}
	return h.put(ctx, c, e, remediation.Signal{Kind: string(kind)})
}

func (h *Handler) put(ctx context.Context, c Caller, e remediation.Execution, s remediation.Signal) (any, error) {
	s.Execution, s.By = e.ID, c.Principal.Name
	err := h.cfg.Signals.PutSignal(ctx, s)
	return struct{}{}, as(err, fault.Conflict, "InvalidAutomationStatusUpdateException", "Execution %s cannot take the signal now: it has ended, or not begun.", e.ID)
}

type signalInput struct {
	AutomationExecutionID string `json:"AutomationExecutionId"`
	SignalType            string
	Payload               map[string][]string
}

// maxComment bounds what a person says with a decision.
const maxComment = 1024

func (h *Handler) sendSignal(ctx context.Context, c Caller, in *signalInput) (any, error) {
	action := auth.ExecutionControl
	if in.SignalType == "Approve" || in.SignalType == "Reject" {
		action = auth.ApprovalDecide
	}
	if err := auth.Permit(c.Principal, action); err != nil {
		return nil, err
	}
	e, err := h.execution(ctx, c, in.AutomationExecutionID)
	if err != nil {
		return nil, err
	}
	if automation.Status(e.Status).Ended() {
		return nil, badSignal("Execution %s has ended with %s.", e.ID, e.Status)
	}
	if e.Status == string(automation.Pending) {
		return nil, badSignal("Execution %s has not begun: its plan waits for approval. See: parry remediation show %s", e.ID, e.Remediation)
	}
	switch in.SignalType {
	case "Approve", "Reject":
		return h.decide(ctx, c, e, in)
	case "Resume":
		return h.resume(ctx, c, e, in)
	case "StartStep":
		return h.startStep(ctx, c, e, in)
	case "StopStep":
		return h.stopStep(ctx, c, e, in)
	}
	return nil, badSignal("The signal %s is for access requests, which Parry does not have.", in.SignalType)
}

func badSignal(format string, args ...any) error {
	return refuse("InvalidAutomationSignalException", format, args...)
}

// decide gives a person's word on the aws:approve step that waits. An execution
// never decides: approval is for people.
func (h *Handler) decide(ctx context.Context, c Caller, e remediation.Execution, in *signalInput) (any, error) {
	if c.Parent != nil {
		return nil, fault.Errorf(fault.Denied, "decide step", "a document may not approve what a document asks")
	}
	comment, err := one(in, "Comment", maxComment)
	if err != nil {
		return nil, err
	}
	step, err := h.waiting(ctx, e, runbook.ActionApprove, remediation.StepFilter{})
	if err != nil {
		return nil, err
	}
	err = h.cfg.Decider.DecideStep(ctx, step, c.Principal.Name, in.SignalType == "Approve", comment)
	return struct{}{}, as(err, fault.Conflict, "InvalidAutomationSignalException", "Step %s no longer waits for approval, or you have decided already.", step.Name)
}

func (h *Handler) resume(ctx context.Context, c Caller, e remediation.Execution, in *signalInput) (any, error) {
	f, err := stepPayload(in)
	if err != nil {
		return nil, err
	}
	step, err := h.waiting(ctx, e, runbook.ActionPause, f)
	if err != nil {
		return nil, err
	}
	return h.put(ctx, c, e, remediation.Signal{Kind: string(automation.SignalResume), Step: step.Name})
}

// waiting gives the step of action that waits.
func (h *Handler) waiting(ctx context.Context, e remediation.Execution, action string, f remediation.StepFilter) (remediation.StepExecution, error) {
	named := len(f.IDs)+len(f.Names) > 0
	if named {
		if err := h.exists(ctx, e, f); err != nil {
			return remediation.StepExecution{}, err
		}
	}
	f.Statuses, f.Reverse = []string{string(automation.Waiting)}, true
	f.Actions = []string{action}
	steps, _, err := h.cfg.Executions.ListStepExecutions(ctx, e.ID, f, 1, "")
	if err == nil && len(steps) == 0 {
		err = badSignal("No step %s of execution %s is waiting.", action, e.ID)
	}
	if err != nil {
		return remediation.StepExecution{}, err
	}
	return steps[0], nil
}

func (h *Handler) exists(ctx context.Context, e remediation.Execution, f remediation.StepFilter) error {
	steps, _, err := h.cfg.Executions.ListStepExecutions(ctx, e.ID, f, 1, "")
	if err == nil && len(steps) == 0 {
		err = noStep(e)
	}
	return err
}

func noStep(e remediation.Execution) error {
	return refuse("AutomationStepNotFoundException", "Execution %s has no such step.", e.ID)
}

// startStep begins the named step of an execution in mode Interactive.
func (h *Handler) startStep(ctx context.Context, c Caller, e remediation.Execution, in *signalInput) (any, error) {
	name, err := one(in, "StepName", 128)
	switch {
	case err != nil:
		return nil, err
	case name == "":
		return nil, badSignal("StartStep needs the payload StepName.")
	case e.Mode != "Interactive":
		return nil, badSignal("Execution %s runs in mode %s; steps are started one by one in mode Interactive only.", e.ID, e.Mode)
	}
	doc, err := h.content(ctx, e)
	if err != nil {
		return nil, err
	}
	if doc != nil {
		if _, ok := doc.Step(name); !ok {
			return nil, noStep(e)
		}
	}
	return h.put(ctx, c, e, remediation.Signal{Kind: string(automation.SignalStartStep), Step: name})
}

func (h *Handler) stopStep(ctx context.Context, c Caller, e remediation.Execution, in *signalInput) (any, error) {
	f, err := stepPayload(in)
	if err != nil {
		return nil, err
	}
	if len(f.IDs)+len(f.Names) == 0 {
		return nil, badSignal("StopStep needs the payload StepExecutionId.")
	}
	f.Reverse = true
	steps, _, err := h.cfg.Executions.ListStepExecutions(ctx, e.ID, f, 1, "")
	switch {
	case err != nil:
		return nil, err
	case len(steps) == 0:
		return nil, noStep(e)
	case automation.Status(steps[0].Status).Ended():
		return nil, badSignal("Step %s has ended with %s.", steps[0].Name, steps[0].Status)
	}
	return h.put(ctx, c, e, remediation.Signal{Kind: string(automation.SignalStopStep), Step: steps[0].Name})
}

// stepPayload reads which step a signal is for: StepName or StepExecutionId.
func stepPayload(in *signalInput) (remediation.StepFilter, error) {
	var f remediation.StepFilter
	name, err := one(in, "StepName", 128)
	if err != nil {
		return f, err
	}
	id, err := one(in, "StepExecutionId", 128)
	if err != nil {
		return f, err
	}
	if name != "" {
		f.Names = []string{name}
	}
	if id != "" {
		f.IDs = []string{id}
	}
	return f, nil
}

// one gives the one value of a payload's member, "" where it is not given.
func one(in *signalInput, name string, most int) (string, error) {
	values, ok := in.Payload[name]
	if !ok {
		return "", nil
	}
	if len(values) != 1 || len(values[0]) > most {
		return "", badSignal("The payload %s takes one value of at most %d bytes.", name, most)
	}
	return values[0], nil
}
