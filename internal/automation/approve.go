package automation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// Limits of aws:approve and aws:pause.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-approve.html
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-pause.html
const (
	defaultPatience = 7 * 24 * time.Hour
	maxPatience     = 30 * 24 * time.Hour
	maxApprovers    = 10
	maxMessage      = 4096
)

// approve is aws:approve. Whoever puts a decision into the inbox has seen that
// the person is one of the approvers.
func (x *execution) approve(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	inputs, err := runbook.ResolveInputs(s.Inputs, sc)
	if err == nil && !x.run.Planning {
		err = needs(x.run.Approvals, "asking people")
	}
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	ask, err := x.request(s, inputs)
	if err != nil {
		return x.failed(ctx, s, attempt, inputs, inputFailure(err))
	}
	c := &call{step: s, attempt: attempt, inputs: inputs, timeout: timeout, idle: true}
	if x.state.Park != nil {
		c.park = *x.state.Park
	}
	if c.park.Deadline.IsZero() { // nobody was asked yet
		r, err := x.announce(ctx, c)
		if err == nil && (r.status == Failed || r.status == TimedOut) && r.abort == nil {
			return x.failed(ctx, s, attempt, inputs, r.failure)
		}
		if err != nil || r.status != Success {
			return r, err
		}
	}
	return x.checkpoint(ctx, c, fmt.Sprintf("%d.%d", attempt, c.park.Round), func(ctx context.Context, c *call) (record, error) {
		return x.decide(ctx, c, ask)
	})
}

// request reads what the document asks. Approvers are names, not references to
// people whom the text could choose: the inputs are the document's and those of
// whoever started it.
func (x *execution) request(s *runbook.Step, inputs map[string]any) (ApprovalRequest, error) {
	ask := ApprovalRequest{Execution: x.run.ExecutionID, Step: s.Name, Label: x.label(s), Minimum: 1}
	list, err := runbook.Coerce(inputs["Approvers"], runbook.TypeStringList)
	if err != nil {
		return ask, fmt.Errorf("Approvers: %w", err)
	}
	for _, text := range texts(list) {
		if text = strings.TrimSpace(text); text != "" {
			ask.Approvers = append(ask.Approvers, text)
		}
	}
	if len(ask.Approvers) == 0 || len(ask.Approvers) > maxApprovers {
		return ask, fmt.Errorf("Approvers needs 1 to %d names, it has %d", maxApprovers, len(ask.Approvers))
	}
	if raw, ok := inputs["MinRequiredApprovals"]; ok && raw != nil && !x.unknown(raw) {
		n, err := runbook.Coerce(raw, runbook.TypeInteger)
		minimum, _ := n.(int64)
		if err != nil || minimum < 1 || minimum > int64(len(ask.Approvers)) {
			return ask, fmt.Errorf("MinRequiredApprovals needs a number from 1 to the %d approvers", len(ask.Approvers))
		}
		ask.Minimum = int(minimum)
	}
	ask.Message, err = runbook.Text(inputs["Message"])
	if err == nil && len(ask.Message) > maxMessage {
		err = fmt.Errorf("Message has %d bytes, the limit is %d", len(ask.Message), maxMessage)
	}
	return ask, err
}

// announce publishes to the step's topic, once: a change, which the plan holds.
func (x *execution) announce(ctx context.Context, c *call) (result, error) {
	arn, _ := c.inputs["NotificationArn"].(string)
	if arn == "" {
		return result{status: Success}, nil
	}
	note := &call{step: c.step, attempt: c.attempt, inputs: c.inputs, park: c.park, idle: true, silent: true}
	message, _ := runbook.Text(c.inputs["Message"])
	note.api = x.apiCall("sns", "Publish", map[string]any{
		"TopicArn": arn, "Subject": "Automation approval request",
		"Message": fmt.Sprintf("Automation execution %s waits for approval of step %s. %s", x.run.ExecutionID, c.step.Name, message),
	})
	return x.checkpoint(ctx, note, fmt.Sprintf("%d.%d/announce", c.attempt, c.park.Round), func(ctx context.Context, c *call) (record, error) {
		_, failure, err := x.once(ctx, c)
		if err != nil || failure != nil {
			return record{Status: Failed, Failure: failure}, err
		}
		return record{Status: Success, Outputs: map[string]any{}}, nil
	})
}

// apiCall is a call that an action makes by itself.
func (x *execution) apiCall(service, operation string, input map[string]any) apimodel.Call {
	return apimodel.Call{Service: service, Operation: operation, Account: x.run.Account, Region: x.run.Region, As: x.run.Role, Input: input}
}

// decide counts the answers that came: one rejection ends the step.
func (x *execution) decide(ctx context.Context, c *call, ask ApprovalRequest) (record, error) {
	if x.run.Planning {
		// The plan shows what approval leads to.
		return approvalRecord(c.park, Success, "Approved"), nil
	}
	now := x.run.Clock.Now().UTC()
	park := x.patience(c, now)
	park.Decisions = decisions(park.Decisions, c)
	yes := 0
	for _, d := range park.Decisions {
		if !d.Approve {
			rec := approvalRecord(park, Failed, "Rejected")
			rec.Failure = &Failure{Stage: "Approval", Type: FailureAction, Message: fmt.Sprintf("Step fails when it is waiting for approval. It was rejected%s.", by(Signal{By: d.By, Comment: d.Comment}))}
			return rec, nil
		}
		yes++
	}
	switch {
	case yes >= ask.Minimum:
		return approvalRecord(park, Success, "Approved"), nil
	case !now.Before(park.Deadline):
		rec := approvalRecord(park, TimedOut, "Waiting")
		rec.Failure = timeoutFailure("%d of %d approvals had been given.", yes, ask.Minimum)
		return rec, nil
	}
	ask.ExpiresAt = park.Deadline
	if err := x.run.Approvals.Ask(ctx, ask); err != nil {
		return record{}, fmt.Errorf("ask for approval of step %s: %w", c.step.Name, err)
	}
	park.Round++
	park.Until = park.Deadline
	return record{Status: Waiting, Park: &park, Outputs: approvalRecord(park, Waiting, "Waiting").Outputs}, nil
}

// patience gives the park of a step that waits for people, with its deadline.
func (x *execution) patience(c *call, now time.Time) Park {
	park := c.park
	if park.Deadline.IsZero() {
		limit := c.timeout
		if limit <= 0 {
			limit = defaultPatience
		}
		park.Attempt, park.Deadline = c.attempt, now.Add(min(limit, maxPatience))
		if park.StartedAt.IsZero() {
			park.StartedAt = now
		}
	}
	return park
}

// decisions adds what came; each person has one decision, the first.
func decisions(have []Decision, c *call) []Decision {
	out := append([]Decision(nil), have...)
	for _, s := range c.mail.list {
		if s.Kind != SignalApprove && s.Kind != SignalReject || s.Step != "" && s.Step != c.step.Name {
			continue
		}
		known := false
		for _, d := range out {
			known = known || d.By == s.By
		}
		if !known && len(out) < maxApprovers {
			out = append(out, Decision{By: s.By, Approve: s.Kind == SignalApprove, Comment: s.Comment, At: s.At})
		}
	}
	return out
}

// approvalRecord has the outputs of aws:approve.
func approvalRecord(park Park, status Status, word string) record {
	list := make([]any, 0, len(park.Decisions))
	for _, d := range park.Decisions {
		decision := "Approved"
		if !d.Approve {
			decision = "Rejected"
		}
		list = append(list, map[string]any{
			"ApproverName": d.By, "Decision": decision, "Comment": d.Comment, "DecisionTime": d.At.UTC().Format(runbook.TimeFormat),
		})
	}
	return record{Status: status, Outputs: map[string]any{"ApprovalStatus": word, "ApproverDecisions": list}}
}

// pauseStep is aws:pause: it waits for a Resume signal.
func (x *execution) pauseStep(ctx context.Context, s *runbook.Step, _ scope, attempt int, timeout time.Duration) (result, error) {
	c := &call{step: s, attempt: attempt, inputs: map[string]any{}, timeout: timeout, idle: true}
	if x.state.Park != nil {
		c.park = *x.state.Park
	}
	return x.checkpoint(ctx, c, fmt.Sprintf("%d.%d", attempt, c.park.Round), func(_ context.Context, c *call) (record, error) {
		resumed := x.run.Planning
		for _, sig := range c.mail.list {
			resumed = resumed || sig.Kind == SignalResume && (sig.Step == "" || sig.Step == s.Name)
		}
		now := x.run.Clock.Now().UTC()
		park := x.patience(c, now)
		switch {
		case resumed:
			return record{Status: Success, Outputs: map[string]any{}}, nil
		case !now.Before(park.Deadline):
			return record{Status: TimedOut, Failure: timeoutFailure("Nobody resumed it.")}, nil
		}
		park.Round++
		park.Until = park.Deadline
		return record{Status: Waiting, Park: &park}, nil
	})
}
