package runbook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/runbook"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	const head = "schemaVersion: '0.3'\nparameters: {P: {type: String, default: x}}\nmainSteps:\n"
	a := "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Get}, outputs: [{Name: O, Selector: $.X, Type: String}]}\n"
	tests := map[string]struct {
		text string
		want []string // "line code severity: part of the message"
	}{
		"clean":               {head + a + "- {name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}\noutputs: [A.O]\n", nil},
		"unknown action":      {head + "- {name: A, action: 'aws:execteAwsApi', inputs: {}}\n", []string{"4 unknown_action error: is not an action"}},
		"script":              {head + "- {name: A, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: h, Script: '{{ P }} {{ nobody.X }}'}}\n", nil},
		"powershell":          {head + "- {name: A, action: 'aws:executeScript', inputs: {Runtime: PowerShell 7.4, Script: x}}\n", []string{"4 unsupported_runtime error: Parry runs Python scripts"}},
		"unknown next":        {head + a + "- {name: B, action: 'aws:sleep', nextStep: C, inputs: {Duration: PT1S}}\n", []string{`5 unknown_step error: there is no step "C"`}},
		"wrong case":          {head + a + "- {name: B, action: 'aws:sleep', onFailure: 'step:a', inputs: {Duration: PT1S}}\n", []string{`5 unknown_step error: there is no step "a"`}},
		"isEnd and nextStep":  {head + a + "- {name: B, action: 'aws:sleep', isEnd: true, nextStep: A, inputs: {Duration: PT1S}}\n", []string{"5 schema warning: isEnd wins"}},
		"unreachable":         {head + "- {name: A, action: 'aws:sleep', isEnd: true, inputs: {Duration: PT1S}}\n- {name: B, action: 'aws:sleep', inputs: {Duration: PT1S}}\n", []string{"5 unreachable_step warning: no path leads to step B"}},
		"no exit":             {head + "- {name: A, action: 'aws:sleep', inputs: {Duration: PT1S}}\n- {name: B, action: 'aws:sleep', nextStep: A, inputs: {Duration: PT1S}}\n", []string{"4 no_exit error: from step A", "5 no_exit error: from step B"}},
		"unknown parameter":   {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ Q }}'}}\n", []string{"4 unknown_reference error: {{ Q }} names no parameter"}},
		"unknown output":      {head + a + "- {name: B, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Get, X: ['{{ A.Nope }}']}}\n", []string{"5 unknown_reference error: step A has no output Nope"}},
		"unknown step output": {head + a + "- {name: B, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Get, X: '{{ Z.O }}'}}\n", []string{"5 unknown_reference error: names no step"}},
		"own output":          {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ A.O }}'}, outputs: [{Name: O, Selector: $.X, Type: String}]}\n", []string{"4 unknown_reference error: output of the step itself"}},
		"unknown variable":    {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ variable:V }}'}}\n", []string{"4 unknown_reference error: names no variable"}},
		"unknown global":      {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ global:TIME }}'}}\n", []string{"4 unknown_reference error: {{ global:TIME }} is not known"}},
		"parameter store":     {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ ssm:/a/b }}'}}\n", []string{"4 reference error: cannot stand in a step's input"}},
		"stray braces":        {head + "- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: '{{ a b }}'}}\n", []string{"4 reference warning: stay as they are"}},
		"missing inputs":      {head + "- {name: A, action: 'aws:assertAwsResourceProperty', inputs: {Service: s3, Api: ''}}\n", []string{"4 input error: the input Api", "4 input error: the input PropertySelector", "4 input error: the input DesiredValues"}},
		"bad selector":        {head + "- {name: A, action: 'aws:waitForAwsResourceProperty', inputs: {Service: s3, Api: Get, PropertySelector: '$.[', DesiredValues: [a]}}\n", []string{"4 selector error: does not parse"}},
		"bad desired":         {head + "- {name: A, action: 'aws:waitForAwsResourceProperty', inputs: {Service: s3, Api: Get, PropertySelector: $.A, DesiredValues: []}}\n", []string{"4 input error: DesiredValues is not a list with values"}},
		"bad duration":        {head + "- {name: A, action: 'aws:sleep', inputs: {Duration: 10s}}\n", []string{"4 input error: not an ISO 8601 duration"}},
		"no duration":         {head + "- {name: A, action: 'aws:sleep', inputs: {}}\n", []string{"4 input error: exactly one of Duration and Timestamp"}},
		"bad branch":          {head + "- {name: A, action: 'aws:branch', inputs: {Choices: []}}\n", []string{"4 input error: Choices needs a list"}},
		"branch to nowhere":   {head + "- {name: A, action: 'aws:branch', inputs: {Choices: [{Variable: x, StringEquals: x, NextStep: Q}], Default: R}}\n", []string{`4 unknown_step error: there is no step "Q"`, `4 unknown_step error: there is no step "R"`}},
		"document output":     {head + a + "outputs: [A.O, A.P, Z.O]\n", []string{"5 unknown_reference error: step A has no output P", "5 unknown_reference error: names no step"}},
		"unknown keys":        {head + "- {name: A, action: 'aws:sleep', onFail: Abort, inputs: {Duration: PT1S}}\nextra: 1\n", []string{`4 unknown_key warning: "onFail" is not a key of a step`, `5 unknown_key warning: "extra" is not a key`}},
		"bad pattern":         {"schemaVersion: '0.3'\nparameters:\n  P: {type: String, allowedPattern: '(a'}\nmainSteps:\n" + a, []string{"3 pattern warning: the pattern cannot be evaluated"}},
		"default":             {"schemaVersion: '0.3'\nparameters:\n  P: {type: String, default: y, allowedValues: [x]}\nmainSteps:\n" + a, []string{"3 parameter warning: the default breaks"}},
		"on cancel":           {head + a + "- {name: B, action: 'aws:sleep', isEnd: true, onCancel: 'step:C', inputs: {Duration: PT1S}}\n- {name: C, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: Get}}\n", nil},
		"on cancel to sleep":  {head + a + "- {name: B, action: 'aws:sleep', isEnd: true, onCancel: 'step:C', inputs: {Duration: PT1S}}\n- {name: C, action: 'aws:sleep', inputs: {Duration: PT1S}}\n", []string{"5 on_cancel error: aws:sleep cannot run after cancelling"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := runbook.Check(parse(t, tt.text), runbook.CheckOptions{}).Problems
			if len(problems) != len(tt.want) {
				t.Fatalf("problems %v, want %v", problems, tt.want)
			}
			for i, p := range problems {
				if p.Fix == "" || p.Line < 1 || p.Column < 1 {
					t.Errorf("problem %+v has no place or fix", p)
				}
				head, message, _ := strings.Cut(tt.want[i], ": ")
				got := strings.TrimSpace(strings.Join([]string{itoa(p.Line), p.Code, string(p.Severity)}, " "))
				if got != head || !strings.Contains(p.Message, message) {
					t.Errorf("problem %d is %q %q, want %q", i, got, p.Message, tt.want[i])
				}
			}
		})
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}

func TestErrorsLeavesWarningsOut(t *testing.T) {
	t.Parallel()
	problems := []runbook.Problem{{Severity: runbook.SeverityWarning, Message: "w"}, {Severity: runbook.SeverityError, Message: "e", Line: 3, Column: 4, Path: "a.b"}}
	errs := runbook.Errors(problems)
	if len(errs) != 1 || errs[0].String() != "3:4 a.b: e" {
		t.Errorf("errors %v", errs)
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "runbook-check.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range runbook.Codes() {
		if strings.Count(string(raw), "\n| `"+code+"` |") != 1 {
			t.Errorf("docs/runbook-check.md does not explain %s", code)
		}
	}
}
