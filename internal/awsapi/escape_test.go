package awsapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
)

// TestAnEscapeIsBoundToWhatTheRunMade: a step that takes back what a change made may
// name that and nothing else, also after a restart, in the step's own execution and in
// one below it.
func TestAnEscapeIsBoundToWhatTheRunMade(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "Fan[a/b]/"} {
		w := newWorld(t)
		makeKey := apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region, Input: map[string]any{}}
		drop := func(id string) apimodel.Call {
			return apimodel.Call{Service: "kms", Operation: "ScheduleKeyDeletion", Account: member, Region: region, Input: map[string]any{"KeyId": id, "PendingWindowInDays": int64(7)}}
		}
		p := w.gate.Planning(as, awsapi.PlanOptions{})
		reply, err := p.Call(t.Context(), prefix+"Make", makeKey)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := reply.Output["KeyMetadata"].(map[string]any)
		id, _ := key["KeyId"].(string)
		plan := w.planOf(p.Calls())
		call := listed("Back", "kms", "ScheduleKeyDeletion", drop(id).Input)
		if plan.Beyond, err = p.Beyond([]runbook.StepCall{call}, awsapi.BeyondOptions{Prefix: prefix, Account: member, Region: region}); err != nil {
			t.Fatal(err)
		}
		plan.Beyond[0].Escape, plan.Beyond[0].Irreversible = true, true
		if text := plan.Beyond[0].String(); !strings.Contains(text, `KeyId "<known after apply: `) || strings.Contains(text, " u-") || !w.gate.Binds(plan.Calls, plan.Beyond[0]) {
			t.Fatalf("%s, bound %v", text, w.gate.Binds(plan.Calls, plan.Beyond[0]))
		}
		for name, c := range map[string]struct {
			answer  any
			asked   string
			restart bool
			want    bool
		}{
			"the key that was made":        {"1234-abcd", "1234-abcd", false, true},
			"after a restart":              {"1234-abcd", "1234-abcd", true, true},
			"another key":                  {"1234-abcd", "9999-other", false, false},
			"another, after a restart":     {"1234-abcd", "9999-other", true, false},
			"one whose name it begins":     {"1234-abcd", "1234-abcde", false, false},
			"the text that stands for it":  {"1234-abcd", "<known after apply: Make.KeyMetadata.KeyId>", false, false},
			"nothing that was answered":    {nil, "1234-abcd", false, false},
			"the marks of a pattern":       {"1234-abcd", ".*", false, false},
			"an answer that is a pattern":  {".*", "1234-abcd", false, false},
			"before anything was answered": {"", "1234-abcd", false, false},
		} {
			w := newWorld(t)
			w.aws.keys = map[string]any{"KeyMetadata": map[string]any{"KeyId": c.answer}}
			s := w.apply(plan)
			if c.answer != "" {
				if _, err := s.Call(t.Context(), prefix+"Make", makeKey); err != nil {
					t.Fatal(err)
				}
			}
			if c.restart {
				s = w.apply(plan)
			}
			_, err := s.Call(t.Context(), prefix+"Back", drop(c.asked))
			if c.want != (err == nil) || !c.want && !errors.Is(err, awsapi.ErrNotInPlan) {
				t.Errorf("%s%s: %v", prefix, name, err)
			}
		}
	}
}

// TestWhatBindsAnEscape: every member is fixed, or is what a change of the plan
// answers. What a read answers may be anybody's text.
func TestWhatBindsAnEscape(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := []remediation.PlannedCall{
		{Step: "Make", Service: "kms", Operation: "CreateKey", Class: apimodel.Change},
		{Step: "Look", Service: "kms", Operation: "DescribeKey", Class: apimodel.Read},
		{Step: "Secret", Service: "secretsmanager", Operation: "GetSecretValue", Class: apimodel.SensitiveRead},
	}
	mark := func(from string) string { return "<known after apply: " + from + ">" }
	for name, c := range map[string]struct {
		input any
		free  []string
		want  bool
	}{
		"what is fixed":              {"abc", nil, true},
		"what a change answers":      {mark("Make.KeyMetadata.KeyId"), []string{"KeyId"}, true},
		"that, within a text":        {"alias/" + mark("Make.KeyMetadata.KeyId"), []string{"KeyId"}, true},
		"that of another target":     {mark("Fan[a]/Make.KeyMetadata.KeyId"), []string{"KeyId"}, false},
		"what a read answers":        {mark("Look.KeyMetadata.KeyId"), []string{"KeyId"}, false},
		"a secret":                   {mark("Secret.SecretString"), []string{"KeyId"}, false},
		"a change and a read":        {mark("Make.KeyMetadata.KeyId") + mark("Look.KeyMetadata.KeyId"), []string{"KeyId"}, false},
		"what only running tells":    {remediation.AnyValue, []string{"KeyId"}, false},
		"members that are not known": {"abc", []string{"*"}, false},
		"no input, as of a script":   {nil, []string{"*"}, false},
	} {
		a := remediation.Allowance{Step: "Back", Service: "kms", Operation: "EnableKeyRotation", Class: apimodel.Change, FromOutputs: c.free, Escape: true}
		if c.input != nil {
			a.Input = map[string]any{"KeyId": c.input}
		}
		if got := w.gate.Binds(calls, a); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	token := remediation.Allowance{
		Service: "ec2", Operation: "CreateNatGateway", Class: apimodel.Change, FromOutputs: []string{"ClientToken"},
		Input: map[string]any{"SubnetId": "subnet-1", "ClientToken": remediation.AnyValue},
	}
	if !w.gate.Binds(calls, token) {
		t.Error("a token for repeated requests says nothing of what is called")
	}
	token.Service, token.Operation, token.Input = "kms", "CreateKey", map[string]any{}
	token.FromOutputs = nil
	if !w.gate.Binds(calls, token) {
		t.Error("a call without members is bound by account and region")
	}
}

// TestTheTextOfOthersIsNoStandIn: what a tag says while planning is fixed as it is.
func TestTheTextOfOthersIsNoStandIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	if _, _ = createKey(t, p); len(p.Calls()) != 1 {
		t.Fatal("nothing is planned")
	}
	read := "<known after apply: Make.KeyMetadata.KeyId>" // as somebody put it on a resource
	got, err := p.Beyond([]runbook.StepCall{listed("Back", "kms", "EnableKeyRotation", map[string]any{"KeyId": read})}, awsapi.BeyondOptions{Account: member, Region: region})
	if err != nil || len(got) != 1 || len(got[0].FromOutputs) != 0 || got[0].Input["KeyId"] != read {
		t.Errorf("%+v, %v", got, err)
	}
}
