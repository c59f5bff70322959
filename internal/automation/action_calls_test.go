package automation_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/runbook"
)

// TestTheListedCallsAreTheCallsMade: what runbook.Calls says of a document, from
// which policies and open plans are made, is what its steps call.
func TestTheListedCallsAreTheCallsMade(t *testing.T) {
	t.Parallel()
	made, listed := map[string]bool{}, map[string]bool{}
	cases := maps.Clone(actionCases)
	cases["a webhook"] = actionCase{
		steps: action("A", "invokeWebhook", "{IntegrationName: chat, Body: x}", ""), want: automation.Success,
		answers: map[string][]any{"GetParameter": {parameter(`{"url": "https://example.com"}`)}},
	}
	for name, tt := range cases {
		if strings.Contains(tt.failure, "is required") || strings.Contains(tt.failure, "has to be") || strings.Contains(tt.failure, "limit is 1") || strings.Contains(tt.failure, "maximum <=") {
			continue // its inputs are wrong
		}
		f := tt.setup(t)
		f.run.Webhooks = &hooks{answer: automation.WebhookAnswer{Code: 200}}
		calls, gaps := f.run.Document.Calls(runbook.Where{}, nil)
		for _, g := range gaps {
			if !strings.Contains(g.Reason, "stack") {
				t.Errorf("%s: %s", name, g.Reason)
			}
		}
		byOperation := map[string]runbook.StepCall{}
		for _, c := range calls {
			if strings.HasPrefix(c.Step, "A") {
				listed[c.Call.Operation] = true
				byOperation[c.Call.Operation] = c
			}
		}
		f.finish(t)
		for i, label := range f.caller.calls {
			_, op, _ := strings.Cut(label, ":")
			if !strings.HasPrefix(label, "A") {
				continue
			}
			made[op] = true
			c, ok := byOperation[op]
			if !ok {
				t.Errorf("%s: %s is called and not listed", name, op)
				continue
			}
			if apimodelChange(op) {
				compareListed(t, name, c, f.caller.inputs[i])
			}
		}
	}
	// Made when a step is cancelled: see TestCancellingEndsWhatAStepBegan.
	made["CancelCommand"], made["StopExecution"] = true, true
	if diff := cmp.Diff(slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(made))); diff != "" {
		t.Errorf("listed and made: %s", diff)
	}
}

func apimodelChange(op string) bool {
	return !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") && !strings.HasPrefix(op, "Get")
}

// compareListed holds a call against the listed one, member by member.
func compareListed(t *testing.T, name string, listed runbook.StepCall, made map[string]any) {
	t.Helper()
	for member, want := range listed.Call.Input {
		text, err := runbook.Text(want)
		if err == nil && strings.Contains(text, apimodel.Unknown) || strings.Contains(text, `\u0000`) {
			continue
		}
		if diff := cmp.Diff(want, made[member]); diff != "" {
			t.Errorf("%s: %s.%s: %s", name, listed.Call.Operation, member, diff)
		}
	}
	for member := range made {
		if _, ok := listed.Call.Input[member]; !ok && !listed.Partial {
			t.Errorf("%s: %s has %s, which is not listed", name, listed.Call.Operation, member)
		}
	}
}
