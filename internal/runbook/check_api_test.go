package runbook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

func models(t *testing.T) *apimodel.Catalog {
	t.Helper()
	m, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestCheckAgainstModels(t *testing.T) {
	t.Parallel()
	const head = `
schemaVersion: '0.3'
parameters:
  Text: {type: String, default: x}
  List: {type: StringList, default: []}
  Map: {type: StringMap, default: {}}
  Maps: {type: MapList, default: []}
  Number: {type: Integer, default: 1}
mainSteps:
`
	api := func(service, op, input, outputs string) string {
		return head + "- name: A\n  action: aws:executeAwsApi\n  inputs: {Service: " + service + ", Api: " + op + ", " + input + "}\n" + outputs
	}
	tests := map[string]struct {
		text string
		want []string // "code severity: part of the message or fix"
	}{
		"right":              {api("s3", "PutBucketVersioning", "Bucket: '{{ Text }}', VersioningConfiguration: {Status: Enabled}", ""), nil},
		"any spelling":       {api("S3", "put_bucket_versioning", "Bucket: b, VersioningConfiguration: {Status: '{{ Text }}'}", ""), nil},
		"no such service":    {api("s33", "GetBucketAcl", "Bucket: b", ""), []string{`api error: there is no AWS service "s33"`}},
		"no such operation":  {api("s3", "GetBucketAcls", "Bucket: b", ""), []string{`api error: s3 has no operation "GetBucketAcls"`}},
		"templated":          {api("'{{ Text }}'", "GetBucketAcls", "Bucket: b", ""), nil},
		"required":           {api("s3", "GetBucketAcl", "ExpectedBucketOwner: a", ""), []string{"missing_member error: the member Bucket is required"}},
		"unknown member":     {api("s3", "GetBucketAcl", "Bucket: b, Buket: c", ""), []string{`unknown_member error: "Buket" is not a member`}},
		"wrong case":         {api("s3", "GetBucketAcl", "bucket: b", ""), []string{"missing_member", `unknown_member error: "bucket"`}},
		"alias":              {api("ec2", "DescribeInstances", "Filters: [{Name: vpc-id, Values: ['{{ List }}']}]", ""), nil},
		"alias is checked":   {api("ec2", "DescribeInstances", "Filters: [{Name: vpc-id, Value: x}]", ""), []string{`unknown_member error: "Value"`}},
		"nested required":    {api("s3", "PutBucketAcl", "Bucket: b, AccessControlPolicy: {Grants: [{Grantee: {ID: x}}]}", ""), []string{"missing_member error: the member Type is required"}},
		"token is filled in": {api("ec2", "CreateSnapshots", "InstanceSpecification: {InstanceId: i-1}", ""), nil},
		"stream":             {api("s3", "GetObject", "Bucket: b, Key: k", ""), []string{"api error: s3:GetObject answers a stream"}},
		"stream of events":   {api("lambda", "InvokeWithResponseStream", "FunctionName: f", ""), []string{"api error: answers a stream"}},
		"blob is no stream":  {api("lambda", "Invoke", "FunctionName: f", ""), nil},
		"stream to AWS":      {api("s3", "PutObject", "Bucket: b, Key: k, Body: text", ""), nil},
		"list for text":      {api("s3", "GetBucketAcl", "Bucket: [b]", ""), []string{"member_type error: it is a list, not text"}},
		"text for list":      {api("ec2", "StopInstances", "InstanceIds: i-1", ""), []string{`member_type error: it is "i-1", not a list`}},
		"text for map":       {api("s3", "PutBucketVersioning", "Bucket: b, VersioningConfiguration: Enabled", ""), []string{"member_type error: it is \"Enabled\", not a map"}},
		"text for Boolean":   {api("s3", "PutPublicAccessBlock", "Bucket: b, PublicAccessBlockConfiguration: {BlockPublicAcls: 'true', IgnorePublicAcls: maybe}", ""), []string{"member_type error: it is \"maybe\", not true or false"}},
		"text for number":    {api("logs", "PutRetentionPolicy", "logGroupName: g, retentionInDays: '30'", ""), nil},
		"letters for number": {api("logs", "PutRetentionPolicy", "logGroupName: g, retentionInDays: many", ""), []string{"member_type error: it is \"many\", not a whole number"}},
		"enumeration":        {api("s3", "PutBucketVersioning", "Bucket: b, VersioningConfiguration: {Status: On}", ""), []string{`enum warning: no value "On"`}},
		"list is spliced":    {api("ec2", "StopInstances", "InstanceIds: ['{{ List }}', '{{ Text }}']", ""), nil},
		"list as whole":      {api("ec2", "StopInstances", "InstanceIds: '{{ List }}'", ""), nil},
		"text as list":       {api("ec2", "StopInstances", "InstanceIds: '{{ Text }}'", ""), []string{"type_fit warning: {{ Text }} is of type String, AWS takes a list"}},
		"map as list item":   {api("ec2", "StopInstances", "InstanceIds: ['{{ Map }}']", ""), []string{"type_fit warning: {{ Map }} is of type StringMap"}},
		"maps as list":       {api("ec2", "CreateTags", "Resources: [r], Tags: '{{ Maps }}'", ""), nil},
		"map as structure":   {api("s3", "PutBucketVersioning", "Bucket: b, VersioningConfiguration: '{{ Map }}'", ""), nil},
		"number as text":     {api("s3", "GetBucketAcl", "Bucket: '{{ Number }}'", ""), nil},
		"input of none":      {api("ec2", "DescribeInstances", "DryRun: false", ""), nil},
		"selector":           {api("s3", "GetBucketAcl", "Bucket: b", "  outputs: [{Name: O, Selector: '$.Grants[0].Grantee.URI', Type: String}]\n"), nil},
		"selector misses":    {api("s3", "GetBucketAcl", "Bucket: b", "  outputs: [{Name: O, Selector: '$.Grant[0].URI', Type: String}]\n"), []string{"selector_shape warning: there is no member \"Grant\""}},
		"index into map":     {api("s3", "GetBucketAcl", "Bucket: b", "  outputs: [{Name: O, Selector: '$.Owner[0]', Type: String}]\n"), []string{"selector_shape warning: no list to take an item from"}},
		"deep":               {api("ec2", "DescribeInstances", "MaxResults: 5", "  outputs: [{Name: O, Selector: '$..InstanceId', Type: StringList}]\n"), nil},
		"deep misses":        {api("ec2", "DescribeInstances", "MaxResults: 5", "  outputs: [{Name: O, Selector: '$..InstanceNumber', Type: StringList}]\n"), []string{"selector_shape warning"}},
		"deep into scalar":   {api("ec2", "DescribeInstances", "MaxResults: 5", "  outputs: [{Name: O, Selector: '$..InstanceId', Type: Integer}]\n"), []string{"output_type warning"}},
		"metadata":           {api("s3", "DeleteBucketPolicy", "Bucket: b", "  outputs: [{Name: O, Selector: '$.ResponseMetadata.HTTPStatusCode', Type: Integer}, {Name: P, Selector: '$', Type: StringMap}]\n"), nil},
		"no answer":          {api("s3", "DeleteBucketPolicy", "Bucket: b", "  outputs: [{Name: O, Selector: '$.Policy', Type: String}]\n"), []string{"selector_shape warning: answers with nothing but ResponseMetadata"}},
		"map as Boolean":     {api("s3", "GetPublicAccessBlock", "Bucket: b", "  outputs: [{Name: O, Selector: '$.PublicAccessBlockConfiguration', Type: Boolean}]\n"), []string{"output_type warning: is a map in AWS's answer"}},
		"filter":             {api("ec2", "DescribeVolumes", "MaxResults: 5", "  outputs: [{Name: O, Selector: \"$.Volumes[?(@.Encrypted == false)].VolumeId\", Type: StringList}]\n"), nil},
		"decoded policy":     {api("iam", "GetRole", "RoleName: r", "  outputs: [{Name: O, Selector: '$.Role.AssumeRolePolicyDocument.Statement', Type: MapList}]\n"), nil},
		"wait":               {head + "- {name: A, action: 'aws:waitForAwsResourceProperty', inputs: {Service: rds, Api: DescribeDBInstances, DBInstanceIdentifier: x, PropertySelector: '$.DBInstances[0].Status', DesiredValues: [available]}}\n", []string{`selector_shape warning: no member "Status"`}},
	}
	m := models(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblems(t, runbook.Check(parse(t, tt.text), runbook.CheckOptions{Models: m}).Problems, tt.want)
		})
	}
}

// wantProblems compares problems with "code severity: part of the message".
func wantProblems(t *testing.T, problems []runbook.Problem, want []string) {
	t.Helper()
	if len(problems) != len(want) {
		t.Fatalf("problems %v, want %q", problems, want)
	}
	for _, w := range want {
		head, message, _ := strings.Cut(w, ": ")
		if !slices.ContainsFunc(problems, func(p runbook.Problem) bool {
			return strings.HasPrefix(p.Code+" "+string(p.Severity), head) && strings.Contains("there is "+p.Message+" "+p.Fix, message) && p.Fix != "" && p.Line > 0 && p.Column > 0
		}) {
			t.Errorf("problems %+v, want %q", problems, w)
		}
	}
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	d := parse(t, "schemaVersion: '0.3'\nmainSteps:\n- {name: A, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: GetBuketAcl, Bucket: b}}\n- {name: B, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: GetBucketAcl, bucket: b}}\n")
	problems := runbook.Check(d, runbook.CheckOptions{Models: models(t)}).Problems
	if len(problems) != 3 || !strings.HasSuffix(problems[0].Fix, ": GetBucketAcl") || !strings.HasSuffix(problems[2].Fix, ": Bucket") {
		t.Errorf("problems %+v", problems)
	}
}

// The order in which outputs are set, and the types of what they are used for.
func TestCheckOrderAndTypes(t *testing.T) {
	t.Parallel()
	const head = "schemaVersion: '0.3'\nvariables: {V: {type: Integer, default: 0}, S: {type: String, default: ''}}\nparameters: {P: {type: String, default: x}}\nmainSteps:\n"
	read := func(name, extra string) string {
		return "- {name: " + name + ", action: 'aws:executeAwsApi', inputs: {Service: s3, Api: GetBucketLocation, Bucket: b}, outputs: [{Name: O, Selector: $.LocationConstraint, Type: String}]" + extra + "}\n"
	}
	use := func(name, ref string) string {
		return "- {name: " + name + ", action: 'aws:executeAwsApi', isEnd: true, inputs: {Service: s3, Api: GetBucketAcl, Bucket: '{{ " + ref + " }}'}}\n"
	}
	branch := func(to string) string {
		return "- {name: X, action: 'aws:branch', inputs: {Choices: [{Variable: '{{ P }}', StringEquals: a, NextStep: " + to + "}]}}\n"
	}
	tests := map[string]struct {
		text string
		want []string
	}{
		"straight":          {head + read("A", "") + use("B", "A.O"), nil},
		"past a branch":     {head + branch("B") + read("A", "") + use("B", "A.O"), []string{"not_always_set warning: {{ A.O }} has no value where step A was not on the way"}},
		"after":             {head + use("B", "A.O") + read("A", ""), []string{"unreachable", "not_always_set warning: never has a value"}},
		"failure handler":   {head + read("A", ", onFailure: 'step:C'") + use("B", "A.O") + use("C", "A.O"), nil},
		"on cancel":         {head + read("A", "") + read("D", ", onCancel: 'step:C'") + use("B", "D.O") + use("C", "A.O"), nil},
		"variable":          {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: 'variable:V', Value: 1}}\n", nil},
		"no variable":       {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: 'variable:W', Value: 1}}\n", []string{`unknown_reference error: there is no variable "W"`}},
		"variable name":     {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: V, Value: 1}}\n", []string{"input error: is written variable:NAME"}},
		"variable type":     {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: 'variable:V', Value: one}}\n", []string{"type_fit warning: of type Integer"}},
		"variable ref type": {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: 'variable:V', Value: '{{ P }}'}}\n", []string{"type_fit warning: of type Integer"}},
		"variable empty":    {head + "- {name: A, action: 'aws:updateVariable', inputs: {Name: 'variable:S', Value: ''}}\n", nil},
		"role":              {"schemaVersion: '0.3'\nassumeRole: '{{ Q }}'\nmainSteps:\n" + read("A", ""), []string{"unknown_reference error: names no parameter"}},
		"role from store":   {"schemaVersion: '0.3'\nassumeRole: '{{ ssm:role }}'\nmainSteps:\n" + read("A", ""), []string{"reference error: cannot stand in assumeRole"}},
		"role text":         {"schemaVersion: '0.3'\nassumeRole: admin\nmainSteps:\n" + read("A", ""), []string{"input warning: assumeRole is no ARN"}},
		"approve":           {head + "- {name: A, action: 'aws:approve', inputs: {Mesage: x}}\n", []string{"input error: needs the input Approvers", `unknown_key warning: "Mesage"`}},
		"change template":   {head + "- {name: A, action: 'aws:approve', inputs: {EnhancedApprovals: {Approvers: []}}}\n", []string{"unsupported_input error: Change Manager"}},
		"state":             {head + "- {name: A, action: 'aws:changeInstanceState', inputs: {InstanceIds: [i], DesiredState: asleep}}\n", []string{`input error: "asleep" is not a state`}},
		"one instance":      {head + "- {name: A, action: 'aws:changeInstanceState', inputs: {InstanceIds: i-1, DesiredState: stopped}}\n", []string{"input warning: not a list"}},
		"command nowhere":   {head + "- {name: A, action: 'aws:runCommand', inputs: {DocumentName: AWS-RunShellScript}}\n", []string{"input error: needs InstanceIds or Targets"}},
		"no code":           {head + "- {name: A, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: h}}\n", []string{"input error: needs Script or Attachment"}},
		"no file":           {head + "- {name: A, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: m.h, Attachment: m.py}}\n", []string{"attachment warning"}},
		"system default":    {"schemaVersion: '0.3'\nparameters: {P: {type: String, default: 'a-{{ global:DATE }}'}, Q: {type: String, default: '{{ P }}'}}\nmainSteps:\n" + read("A", ""), []string{"reference warning: a default cannot refer to parameters"}},
	}
	m := models(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblems(t, runbook.Check(parse(t, tt.text), runbook.CheckOptions{Models: m}).Problems, tt.want)
		})
	}
}

func TestCheckOfScripts(t *testing.T) {
	t.Parallel()
	d := parse(t, `schemaVersion: '0.3'
mainSteps:
- name: Good
  action: aws:executeScript
  inputs:
    Runtime: python3.11
    Handler: main
    Script: |-
      import boto3
      def main(events, context):
          boto3.client('s3').put_public_access_block()
- name: Broken
  action: aws:executeScript
  inputs:
    Runtime: python3.6
    Handler: run
    Script: |
      def run(
- name: Other
  action: aws:executeScript
  inputs: {Runtime: python3.11, Handler: missing, Script: "def main(e, c): pass"}
  outputs: [{Name: O, Selector: $.Value, Type: String}]
`)
	r := runbook.Check(d, runbook.CheckOptions{Models: models(t), Scripts: map[string]runbook.ScriptFacts{
		"Good": {
			Calls: []runbook.ScriptCall{{Service: "s3", Operation: "put_public_access_block", Line: 3}}, Imports: []string{"boto3"},
			Lists: []runbook.ScriptList{{Function: "main", Line: 2, Items: 101}, {Function: "helper", Line: 3, Items: 200}, {Function: "main", Line: 3, Items: 100}},
		},
		"Broken": {Error: &runbook.ScriptError{Line: 1, Column: 8, Message: "'(' was never closed"}},
		"Other":  {Calls: []runbook.ScriptCall{{Service: "s3", Operation: "explode", Line: 1}, {Service: "iam", Operation: "get_role", Line: 1}}, Imports: []string{"numpy"}, Unresolved: []runbook.ScriptGap{{Line: 1, What: "a client that is not known"}}},
	}})
	wantProblems(t, r.Problems, []string{
		"script_return warning: line 2 returns a list of 101 items",
		"script_syntax error: line 1, column 8: '(' was never closed", "old_runtime warning", "input warning: defines no function \"missing\"",
		"script_call warning: s3.explode", `script_import warning: imports "numpy"`, "selector_shape warning: is in Payload",
	})
	if i := slices.IndexFunc(r.Problems, func(p runbook.Problem) bool { return p.Code == runbook.CodeScriptSyntax }); r.Problems[i].Line != 18 {
		t.Errorf("the error is said to stand in line %d", r.Problems[i].Line)
	}
	want := []runbook.Effect{{Service: "s3", Operation: "PutPublicAccessBlock", Class: apimodel.Change, Step: "Good", Line: 11}}
	if diff := cmp.Diff(want, r.Changes); diff != "" {
		t.Error(diff)
	}
	var impacts []runbook.Impact
	for _, s := range r.Steps {
		impacts = append(impacts, s.Impact)
	}
	if diff := cmp.Diff([]runbook.Impact{runbook.Mutating, runbook.Undetermined, runbook.Undetermined}, impacts); diff != "" {
		t.Error(diff)
	}
	if len(r.Gaps) != 2 || len(r.Policies) != 1 {
		t.Errorf("gaps %v, policies %v", r.Gaps, r.Policies)
	}
}

func TestReportTellsWhatADocumentDoes(t *testing.T) {
	t.Parallel()
	d := parse(t, `schemaVersion: '0.3'
parameters: {Bucket: {type: String}}
mainSteps:
- {name: Read, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: GetBucketAcl, Bucket: '{{ Bucket }}'}}
- {name: Close, action: 'aws:executeAwsApi', inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: '{{ Bucket }}'}}
- {name: Burn, action: 'aws:executeAwsApi', inputs: {Service: ec2, Api: TerminateInstances, InstanceIds: [i-1]}}
- name: Each
  action: aws:loop
  inputs:
    Iterators: [a]
    Steps:
    - {name: Look, action: 'aws:executeAwsApi', inputs: {Service: iam, Api: GetRole, RoleName: r}}
    - {name: Nap, action: 'aws:sleep', inputs: {Duration: PT1S}}
- {name: Child, action: 'aws:executeAutomation', inputs: {DocumentName: Other}}
- {name: Script, action: 'aws:executeScript', inputs: {Runtime: python3.11, Handler: h, Script: 'def h(e, c): pass'}}
- {name: Tags, action: 'aws:createTags', inputs: {ResourceIds: [i-1], Tags: [{Key: a, Value: b}]}}
- {name: End, action: 'aws:pause', inputs: {}}
`)
	r := runbook.Check(d, runbook.CheckOptions{Models: models(t)})
	if errs := runbook.Errors(r.Problems); len(errs) > 0 {
		t.Errorf("errors %v", errs)
	}
	got := map[string]runbook.Impact{}
	for _, s := range r.Steps {
		got[s.Step] = s.Impact
	}
	want := map[string]runbook.Impact{
		"Read": runbook.NonMutating, "Close": runbook.Mutating, "Burn": runbook.Mutating, "Each": runbook.NonMutating, "Look": runbook.NonMutating,
		"Nap": runbook.NonMutating, "Child": runbook.Undetermined, "Script": runbook.Undetermined, "Tags": runbook.Mutating, "End": runbook.NonMutating,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var lost []string
	for _, e := range r.Changes {
		if e.Irreversible {
			lost = append(lost, e.Service+":"+e.Operation)
		}
	}
	if diff := cmp.Diff([]string{"ec2:TerminateInstances", "ssm:StartAutomationExecution"}, lost); diff != "" || len(r.Policies) == 0 {
		t.Errorf("irreversible %s, policies %+v", diff, r.Policies)
	}
}

type fixed map[string]any

func (f fixed) Lookup(r runbook.Ref) (any, error) { return f[r.String()], nil }

func TestDefaultsWithSystemValues(t *testing.T) {
	t.Parallel()
	d := parse(t, "schemaVersion: '0.3'\nparameters: {P: {type: String, default: 'a-{{global:DATE}}-{{ Q }}'}, Q: {type: String, default: '{{ Q }}'}}\nmainSteps: [{name: A, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n")
	p, _ := d.Parameter("P")
	scope := fixed{"global:DATE": "2026-11-28", "Q": "never"}
	if got, err := p.Expand(p.Default, scope); err != nil || got != "a-2026-11-28-{{ Q }}" {
		t.Errorf("default %v, %v", got, err)
	}
	if got, err := p.Expand("b-{{global:DATE}}", scope); err != nil || got != "b-{{global:DATE}}" {
		t.Errorf("given %v, %v", got, err)
	}
}

// The largest document that parses is checked in a moment, however its steps
// lead to each other.
func TestCheckOfALargeDocument(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a second or two")
	}
	var b strings.Builder
	b.WriteString("schemaVersion: '0.3'\nmainSteps:\n")
	const steps = 480
	for i := range steps {
		fmt.Fprintf(&b, "- name: S%d\n  action: aws:branch\n  inputs:\n    Choices:\n", i)
		for j := range 18 {
			fmt.Fprintf(&b, "    - {Variable: '{{ S%d.NextStep }}', StringEquals: '{{ S%d.NextStep }}', NextStep: S%d}\n", (i*7+j*31)%steps, (i*11+j*17)%steps, (i*13+j*29)%steps)
		}
	}
	d := parse(t, b.String())
	begin := time.Now()
	r := runbook.Check(d, runbook.CheckOptions{Models: models(t)})
	if took := time.Since(begin); took > 20*time.Second || len(r.Problems) != runbook.MaxProblems || r.LeftOut == 0 {
		t.Errorf("%d problems after %s", len(r.Problems), took)
	}
	t.Logf("%d problems in %s", len(r.Problems), time.Since(begin))
}
