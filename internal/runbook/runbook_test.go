package runbook_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

const blockPublicAccess = `# A comment before the document.
schemaVersion: "0.3"
description: Blocks public access of a bucket.
assumeRole: "{{ AutomationAssumeRole }}"
parameters:
  AutomationAssumeRole:
    type: AWS::IAM::Role::Arn
    default: ''
  BucketName:
    type: AWS::S3::Bucket::Name
    description: The bucket.
  PolicyAction:
    type: String
    default: keep
    allowedValues: [keep, replace, delete]
mainSteps:
  - name: BlockPublicAccess
    action: aws:executeAwsApi
    onFailure: Abort
    maxAttempts: 2
    inputs:
      Service: s3
      Api: PutPublicAccessBlock
      Bucket: "{{ BucketName }}"
      PublicAccessBlockConfiguration:
        BlockPublicAcls: true
        IgnorePublicAcls: true
  - name: Choose
    action: aws:branch
    inputs:
      Choices:
        - Variable: "{{ PolicyAction }}"
          StringEquals: delete
          NextStep: DeletePolicy
      Default: Done
  - name: DeletePolicy
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: "{{ BucketName }}"}
  - name: Done
    action: aws:assertAwsResourceProperty
    isEnd: "true"
    inputs:
      Service: s3
      Api: GetPublicAccessBlock
      Bucket: "{{ BucketName }}"
      PropertySelector: $.PublicAccessBlockConfiguration.BlockPublicAcls
      DesiredValues: ["True"]
    outputs:
      - Name: Config
        Selector: $.PublicAccessBlockConfiguration
        Type: StringMap
outputs:
  - Done.Config
`

func parse(t *testing.T, text string) *runbook.Document {
	t.Helper()
	d, err := runbook.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse: %v (hint: %s)", err, fault.HintOf(err))
	}
	return d
}

func TestParseReadsADocument(t *testing.T) {
	t.Parallel()
	d := parse(t, blockPublicAccess)
	var names []string
	for _, s := range d.Steps {
		names = append(names, s.Name)
	}
	if diff := cmp.Diff([]string{"BlockPublicAccess", "Choose", "DeletePolicy", "Done"}, names); diff != "" {
		t.Error(diff)
	}
	done, _ := d.Step("Done")
	if !done.IsEnd || done.Outputs[0].Type != runbook.TypeStringMap || !done.Critical() {
		t.Errorf("step Done is %+v", done)
	}
	if got := d.Steps[0].MaxAttempts; got != int64(2) {
		t.Errorf("maxAttempts = %v", got)
	}
	if diff := cmp.Diff([]runbook.Problem{}, runbook.Check(d, runbook.CheckOptions{}).Problems); diff != "" {
		t.Error(diff)
	}
	if d.Revision != runbook.Revision([]byte(blockPublicAccess)) || len(d.Revision) != 64 {
		t.Errorf("revision %q", d.Revision)
	}
}

func TestParsePrintParse(t *testing.T) {
	t.Parallel()
	d := parse(t, blockPublicAccess)
	printed, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	again := parse(t, string(printed))
	reprinted, err := again.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(printed), string(reprinted)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(d.Steps[0].Inputs, again.Steps[0].Inputs); diff != "" {
		t.Error(diff)
	}
}

func TestParseRefusesWithPlaceAndFix(t *testing.T) {
	t.Parallel()
	step := "schemaVersion: '0.3'\nmainSteps:\n- name: A\n  action: aws:sleep\n  inputs: {Duration: PT1S}\n"
	tests := map[string]struct{ text, want, hint string }{
		"empty":            {"", "1:1 the document is empty", "schemaVersion"},
		"not utf8":         {"\xff", "1:1 the document is not valid UTF-8", "UTF-8"},
		"broken yaml":      {"a: [1,\nb: }", "the document is not YAML", "mend"},
		"broken json":      {"{\n \"schemaVersion\": }", "2:", "mend the JSON"},
		"json cut":         {`{"schemaVersion": "0.3"`, "it ends too early", "mend the JSON"},
		"text":             {"hello", "not a map", "schemaVersion"},
		"wrong version":    {strings.Replace(step, "0.3", "2.2", 1), `1:16 schemaVersion: schemaVersion is "2.2"`, "0.3"},
		"no steps":         {"schemaVersion: '0.3'\n", "mainSteps: mainSteps is missing", "add mainSteps"},
		"duplicate key":    {"schemaVersion: '0.3'\nschemaVersion: '0.3'\n", `2:1 key "schemaVersion" is given twice`, "remove"},
		"duplicate step":   {step + "- name: A\n  action: aws:sleep\n  inputs: {Duration: PT1S}\n", `6:3 mainSteps[1].name: the name "A" is taken by the step in line 3`, "name of its own"},
		"no action":        {"schemaVersion: '0.3'\nmainSteps:\n- name: A\n  inputs: {}\n", "3:3 mainSteps[0].action: the step has no action", "aws:executeAwsApi"},
		"no inputs":        {"schemaVersion: '0.3'\nmainSteps:\n- name: A\n  action: aws:pause\n", "mainSteps[0].inputs: the step has no inputs", "inputs: {}"},
		"bad onFailure":    {step + "  onFailure: Retry\n", `6:14 mainSteps[0].onFailure: onFailure is "Retry"`, "step:NAME"},
		"bad attempts":     {step + "  maxAttempts: many\n", "mainSteps[0].maxAttempts", "whole number"},
		"bad isEnd":        {step + "  isEnd: maybe\n", "6:10 mainSteps[0].isEnd", "true or false"},
		"bad type":         {step + "  outputs: [{Name: X, Selector: $.A, Type: Text}]\n", `the output's type is "Text"`, "StringList"},
		"bad selector":     {step + "  outputs: [{Name: X, Selector: '$.A[', Type: String}]\n", "does not parse", "$.Policy"},
		"bad output":       {step + "outputs: ['{{ A.B }}']\n", "outputs[0]", "without braces"},
		"merge key":        {"a: &x {b: 1}\nc:\n  <<: *x\n", "3:3 merge keys", "write the members out"},
		"two documents":    {step + "---\nb: 1\n", "more than one YAML document", "one document"},
		"parameter type":   {step + "parameters: {P: {type: Text}}\n", "parameters.P.type", "StringMap"},
		"default mismatch": {step + "parameters: {P: {type: Integer, default: many}}\n", "parameters.P.default: the default does not fit", "type Integer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := runbook.Parse([]byte(tt.text))
			var pe *runbook.ParseError
			if !errors.As(err, &pe) || !fault.Is(err, fault.Invalid) {
				t.Fatalf("error = %v, want an invalid ParseError", err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not contain %q", err, tt.want)
			}
			if hint := fault.HintOf(err); !strings.Contains(hint, tt.hint) {
				t.Errorf("hint %q does not contain %q", hint, tt.hint)
			}
		})
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for _, pair := range []string{"ba", "cb", "dc", "ed", "fe", "gf", "hg"} {
		bomb += string(pair[0]) + ": &" + string(pair[0]) + " [" + strings.Repeat("*"+string(pair[1])+",", 9) + "*" + string(pair[1]) + "]\n"
	}
	for name, text := range map[string]string{
		"alias bomb":   bomb,
		"alias circle": "a: &a [*a]\n",
		"deep yaml":    strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"deep json":    `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}",
		"large":        strings.Repeat("# x\n", runbook.MaxSize/4+1),
		"wide json":    `{"a":[` + strings.Repeat("1,", runbook.MaxNodes) + "1]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := runbook.Parse([]byte(text)); !fault.Is(err, fault.Invalid) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestScalarsAreReadAsTheCorpusMeansThem(t *testing.T) {
	t.Parallel()
	d := parse(t, `
schemaVersion: 0.3
mainSteps:
- name: A
  action: aws:executeAwsApi
  inputs:
    Date: 2012-10-17
    Stamp: 2020-01-01T10:00:00Z
    Account: 012345678901
    Number: 42
    Float: 1.5
    Version: "1"
    Yes: yes
    Flag: True
    Empty:
    Hex: 0x10
    Big: 123456789012345678901234567890
`)
	want := map[string]any{
		"Date": "2012-10-17", "Stamp": "2020-01-01T10:00:00Z", "Account": "012345678901", "Number": int64(42), "Float": 1.5,
		"Version": "1", "Yes": "yes", "Flag": true, "Empty": nil, "Hex": "0x10", "Big": "123456789012345678901234567890",
	}
	if diff := cmp.Diff(want, d.Steps[0].Inputs); diff != "" {
		t.Error(diff)
	}
}

func TestJSONHasPositions(t *testing.T) {
	t.Parallel()
	d := parse(t, "{\t\"schemaVersion\": \"0.3\",\n\t\"mainSteps\": [\n\t\t{\"name\": \"A\", \"action\": \"aws:sleep\",\n\t\t \"inputs\": {\"Duration\": \"{{ Missing }}\"}}\n\t]\n}\n")
	problems := runbook.Check(d, runbook.CheckOptions{}).Problems
	if len(problems) != 1 || problems[0].Line != 4 || problems[0].Column != 27 {
		t.Errorf("problems = %v", problems)
	}
}
