package ssm_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/remediation"
)

func TestStop(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	olga := as("olga", auth.RoleOperator, dev)
	ask(t, h, olga, "StopAutomationExecution", object{"AutomationExecutionId": id})
	ask(t, h, olga, "StopAutomationExecution", object{"AutomationExecutionId": id, "Type": "Complete"})
	if diff := cmp.Diff([]remediation.Signal{{Execution: id, Kind: "Cancel", By: "olga"}, {Execution: id, Kind: "Complete", By: "olga"}}, w.signals); diff != "" {
		t.Error(diff)
	}
	e := w.executions[id]
	e.Status = "Pending"
	w.executions[id] = e
	ask(t, h, olga, "StopAutomationExecution", object{"AutomationExecutionId": id})
	if len(w.cancelled) != 1 || len(w.signals) != 2 {
		t.Errorf("%v %v", w.cancelled, w.signals)
	}
	w.began = true
	ask(t, h, olga, "StopAutomationExecution", object{"AutomationExecutionId": id})
	if len(w.cancelled) != 1 || len(w.signals) != 3 {
		t.Errorf("%v %v", w.cancelled, w.signals)
	}
	e.Status = "Success"
	w.executions[id] = e
	refused(t, h, olga, "StopAutomationExecution", object{"AutomationExecutionId": id}, "InvalidAutomationStatusUpdateException")
	for _, role := range []auth.Role{auth.RoleReader, auth.RoleApprover, auth.RoleSource} {
		refused(t, h, as("eve", role, auth.All), "StopAutomationExecution", object{"AutomationExecutionId": id}, "AccessDeniedException")
	}
}

func signal(id, kind string, payload object) object {
	in := object{"AutomationExecutionId": id, "SignalType": kind}
	if payload != nil {
		in["Payload"] = payload
	}
	return in
}

// TestApproval: a listed approver decides, whoever is not listed does not, and
// nobody without the right to decide.
func TestApproval(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	w.approvers = []string{"bob"}
	bob, eve := as("bob", auth.RoleApprover, dev), as("eve", auth.RoleApprover, dev)
	if got := refused(t, h, bob, "SendAutomationSignal", signal(id, "Approve", nil), "InvalidAutomationSignalException"); !strings.Contains(got, "is waiting") {
		t.Error(got)
	}
	w.steps[id] = append(w.steps[id], remediation.StepExecution{ID: "ask", Execution: id, Name: "Ask", Action: "aws:approve", Status: "Waiting"})
	refused(t, h, eve, "SendAutomationSignal", signal(id, "Approve", nil), "AccessDeniedException")
	for _, role := range []auth.Role{auth.RoleReader, auth.RoleOperator, auth.RoleSource} {
		refused(t, h, as("bob", role, dev), "SendAutomationSignal", signal(id, "Reject", nil), "AccessDeniedException")
	}
	inside := bob
	inside.Parent = &ssm.Parent{Execution: id, Account: dev}
	refused(t, h, inside, "SendAutomationSignal", signal(id, "Approve", nil), "AccessDeniedException")
	refused(t, h, bob, "SendAutomationSignal", signal(id, "Approve", object{"Comment": []string{"a", "b"}}), "InvalidAutomationSignalException")
	ask(t, h, bob, "SendAutomationSignal", signal(id, "Approve", object{"Comment": []string{"fine"}}))
	ask(t, h, bob, "SendAutomationSignal", signal(id, "Reject", nil))
	if diff := cmp.Diff([]string{id + " Ask bob true fine", id + " Ask bob false "}, w.decisions); diff != "" {
		t.Error(diff)
	}
}

func TestSignals(t *testing.T) {
	t.Parallel()
	w, h, id := running(t)
	olga := as("olga", auth.RoleOperator, dev)
	w.steps[id] = append(w.steps[id],
		remediation.StepExecution{ID: "halt", Execution: id, Name: "Halt", Action: "aws:pause", Status: "Waiting"},
		remediation.StepExecution{ID: "rest", Execution: id, Name: "Rest", Action: "aws:sleep", Status: "InProgress"},
	)
	const bad = "InvalidAutomationSignalException"
	name, stepID := func(v string) object { return object{"StepName": []string{v}} }, func(v string) object { return object{"StepExecutionId": []string{v}} }
	for _, c := range []struct {
		kind    string
		payload object
		code    string
	}{
		{"Resume", stepID("rest"), bad},
		{"Resume", name("Nothing"), "AutomationStepNotFoundException"},
		{"StartStep", nil, bad},
		{"StartStep", name("Rest"), bad},
		{"StopStep", nil, bad},
		{"StopStep", stepID("none"), "AutomationStepNotFoundException"},
		{"StopStep", stepID("step-1"), bad},
		{"Revoke", nil, bad},
		{"Shout", nil, "ValidationException"},
	} {
		refused(t, h, olga, "SendAutomationSignal", signal(id, c.kind, c.payload), c.code)
	}
	e := w.executions[id]
	e.Mode = "Interactive"
	w.executions[id] = e
	refused(t, h, olga, "SendAutomationSignal", signal(id, "StartStep", name("Nothing")), "AutomationStepNotFoundException")
	ask(t, h, olga, "SendAutomationSignal", signal(id, "Resume", nil))
	ask(t, h, olga, "SendAutomationSignal", signal(id, "Resume", stepID("halt")))
	ask(t, h, olga, "SendAutomationSignal", signal(id, "StartStep", name("Rest")))
	ask(t, h, olga, "SendAutomationSignal", signal(id, "StopStep", stepID("rest")))
	want := []remediation.Signal{
		{Execution: id, Kind: "Resume", Step: "Halt", By: "olga"},
		{Execution: id, Kind: "Resume", Step: "Halt", By: "olga"},
		{Execution: id, Kind: "StartStep", Step: "Rest", By: "olga"},
		{Execution: id, Kind: "StopStep", Step: "Rest", By: "olga"},
	}
	if diff := cmp.Diff(want, w.signals); diff != "" {
		t.Error(diff)
	}
	for _, role := range []auth.Role{auth.RoleReader, auth.RoleApprover} {
		for _, kind := range []string{"Resume", "StartStep", "StopStep", "Revoke"} {
			refused(t, h, as("eve", role, auth.All), "SendAutomationSignal", signal(id, kind, nil), "AccessDeniedException")
		}
	}
	for _, status := range []string{"Pending", "Success"} {
		e.Status = status
		w.executions[id] = e
		refused(t, h, olga, "SendAutomationSignal", signal(id, "Resume", nil), bad)
	}
}
