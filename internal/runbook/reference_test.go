package runbook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// values is a scope with fixed values by the text of the reference.
type values map[string]any

func (v values) Lookup(r runbook.Ref) (any, error) {
	x, ok := v[r.String()]
	if !ok {
		return nil, fmt.Errorf("it has no value")
	}
	return x, nil
}

func scope() values {
	return values{
		"Name": "alpha", "Names": []any{"a", "b"}, "Map": map[string]any{"k": "v"}, "Flag": true, "Count": int64(3), "Empty": []any{},
		"Read.Out": "{{ Name }}", "variable:V": "var", "global:REGION": "eu-west-1", "Nothing": nil,
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want any }{
		{"plain", "plain"},
		{"{{ Name }}", "alpha"},
		{"{{Name}}", "alpha"},
		{"{{ Names }}", []any{"a", "b"}},
		{"{{ Flag }}", true},
		{"{{ Count }}", int64(3)},
		{"{{ Nothing }}", nil},
		{"x-{{ Nothing }}", "x-"},
		{"{{ Name }}-{{ Count }}", "alpha-3"},
		{"{{ Name }} ", "alpha "},
		{"n={{ Names }} m={{ Map }} f={{ Flag }}", `n=["a","b"] m={"k":"v"} f=true`},
		{[]any{"{{ Names }}", "c"}, []any{"a", "b", "c"}},
		{[]any{"x{{ Names }}"}, []any{`x["a","b"]`}},
		{[]any{"{{ Empty }}", "{{ Name }}"}, []any{"alpha"}},
		{[]any{[]any{"{{ Names }}"}}, []any{[]any{"a", "b"}}},
		{map[string]any{"{{ Name }}": "{{ Map }}"}, map[string]any{"{{ Name }}": map[string]any{"k": "v"}}},
		// What was put in is never read as a template again.
		{"{{ Read.Out }}", "{{ Name }}"},
		{"<{{ Read.Out }}>", "<{{ Name }}>"},
		{"{{ variable:V }}/{{ global:REGION }}", "var/eu-west-1"},
		// What is no reference stays as it is.
		{"{{ .Values.x }} {{}} {{ a b }} {{ a.b.c }} }} {{", "{{ .Values.x }} {{}} {{ a b }} {{ a.b.c }} }} {{"},
		{"{{{ Name }}}", "{alpha}"},
		{"{{ {{ Name }} }}", "{{ alpha }}"},
		{int64(4), int64(4)},
	} {
		got, err := runbook.Resolve(tt.in, scope())
		if err != nil {
			t.Errorf("%v: %v", tt.in, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v: %s", tt.in, diff)
		}
	}
	if _, err := runbook.Resolve([]any{map[string]any{"a": "{{ Gone }}"}}, scope()); err == nil || !strings.Contains(err.Error(), "resolve {{ Gone }}: it has no value") {
		t.Errorf("error %v", err)
	}
}

func TestScriptIsNeverATemplate(t *testing.T) {
	t.Parallel()
	script := "print('{{ Name }}')"
	got, err := runbook.ResolveInputs(map[string]any{"Script": script, "InputPayload": map[string]any{"n": "{{ Name }}"}}, scope())
	want := map[string]any{"Script": script, "InputPayload": map[string]any{"n": "alpha"}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestBranch(t *testing.T) {
	t.Parallel()
	cond := func(op string, left, right any) map[string]any { return map[string]any{"Variable": left, op: right} }
	yes, no := cond("StringEquals", "a", "a"), cond("StringEquals", "a", "b")
	tests := []struct {
		name string
		c    map[string]any
		want bool
	}{
		{"equals", cond("StringEquals", "{{ Name }}", "alpha"), true},
		{"equals is exact", cond("StringEquals", "{{ Name }}", "Alpha"), false},
		{"equals on both sides", cond("StringEquals", "{{ Name }}", "{{ Name }}"), true},
		{"Boolean as text", cond("StringEquals", "{{ Flag }}", "True"), true},
		{"ignore case", cond("EqualsIgnoreCase", "{{ Name }}", "ALPHA"), true},
		{"starts", cond("StartsWith", "{{ Name }}", "al"), true},
		{"ends", cond("EndsWith", "{{ Name }}", "al"), false},
		{"contains text", cond("Contains", "{{ Name }}", "ph"), true},
		{"contains item", cond("Contains", "{{ Names }}", "b"), true},
		{"contains no part of an item", cond("Contains", "{{ Names }}", "c"), false},
		{"numeric", cond("NumericEquals", "{{ Count }}", "3"), true},
		{"greater", cond("NumericGreater", "{{ Count }}", int64(3)), false},
		{"greater or equal", cond("NumericGreaterOrEquals", "{{ Count }}", 3.0), true},
		{"lesser", cond("NumericLesser", "{{ Count }}", int64(10)), true},
		{"lesser or equal", cond("NumericLesserOrEquals", "{{ Count }}", int64(2)), false},
		{"boolean", cond("BooleanEquals", "{{ Flag }}", "true"), true},
		{"and", map[string]any{"And": []any{yes, yes}}, true},
		{"and fails", map[string]any{"And": []any{yes, no}}, false},
		{"or", map[string]any{"Or": []any{no, yes}}, true},
		{"or fails", map[string]any{"Or": []any{no, no}}, false},
		{"not", map[string]any{"Not": no}, true},
		{"nested", map[string]any{"And": []any{map[string]any{"Not": map[string]any{"Or": []any{no, no}}}, yes}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.c["NextStep"] = "Then"
			b, err := runbook.ParseBranch(map[string]any{"Choices": []any{tt.c}, "Default": "Else"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.Choose(scope())
			if err != nil || (got == "Then") != tt.want {
				t.Errorf("chose %s, %v", got, err)
			}
		})
	}
}

func TestBranchRefuses(t *testing.T) {
	t.Parallel()
	deep := map[string]any{"Variable": "a", "StringEquals": "a"}
	for range 30 {
		deep = map[string]any{"Not": deep}
	}
	deep["NextStep"] = "A"
	for want, choice := range map[string]any{
		"not a map":                    "x",
		"has no NextStep":              map[string]any{"Variable": "a", "StringEquals": "b"},
		`"Equals" is not an operator`:  map[string]any{"NextStep": "A", "Variable": "a", "Equals": "b"},
		"has 0 operators":              map[string]any{"NextStep": "A", "Variable": "a"},
		"has 2 operators":              map[string]any{"NextStep": "A", "Variable": "a", "StringEquals": "b", "Contains": "b"},
		"an operator needs a Variable": map[string]any{"NextStep": "A", "StringEquals": "b"},
		"needs a list of 1 to":         map[string]any{"NextStep": "A", "And": []any{}},
		"needs one condition":          map[string]any{"NextStep": "A", "Not": []any{}},
		"nested more than":             deep,
	} {
		if _, err := runbook.ParseBranch(map[string]any{"Choices": []any{choice}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", choice, err, want)
		}
	}
	b, err := runbook.ParseBranch(map[string]any{"Choices": []any{map[string]any{"NextStep": "A", "Variable": "{{ Name }}", "NumericGreater": int64(1)}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Choose(scope()); err == nil || !strings.Contains(err.Error(), "NumericGreater needs two numbers") {
		t.Errorf("error %v", err)
	}
}

const parameters = `
schemaVersion: "0.3"
parameters:
  Role: {type: "AWS::IAM::Role::Arn", default: ''}
  Bucket: {type: "AWS::S3::Bucket::Name"}
  Instances: {type: "List<AWS::EC2::Instance::Id>", default: []}
  Mode: {type: String, default: keep, allowedValues: [keep, drop]}
  Size: {type: Integer, default: 5, allowedPattern: "^[0-9]{1,3}$"}
  On: {type: Boolean, default: false, allowedValues: [true, false]}
  Tags: {type: StringList, default: [], maxItems: 2, minChars: 2, maxChars: 4}
  Map: {type: StringMap, default: {}}
  List: {type: MapList, default: []}
  Long: {type: String, default: '', allowedPattern: '^[a-z]{0,4096}$'}
mainSteps:
- {name: A, action: "aws:sleep", inputs: {Duration: PT1S}}
`

func TestResolveParameters(t *testing.T) {
	t.Parallel()
	d := parse(t, parameters)
	defaults := map[string]any{
		"Role": "", "Bucket": "my-bucket", "Instances": []any{}, "Mode": "keep", "Size": int64(5), "On": false, "Tags": []any{},
		"Map": map[string]any{}, "List": []any{}, "Long": "",
	}
	with := func(name string, v any) map[string]any {
		out := map[string]any{}
		for k, have := range defaults {
			out[k] = have
		}
		out[name] = v
		return out
	}
	tests := map[string]struct {
		given map[string]any
		want  map[string]any
		fails string
	}{
		"defaults":           {map[string]any{"Bucket": "my-bucket"}, defaults, ""},
		"from the wire":      {runbook.FromWire(map[string][]string{"Bucket": {"my-bucket"}, "Size": {"42"}}), with("Size", int64(42)), ""},
		"wire map":           {runbook.FromWire(map[string][]string{"Bucket": {"my-bucket"}, "Map": {`{"a":"b"}`}}), with("Map", map[string]any{"a": "b"}), ""},
		"wire map list":      {runbook.FromWire(map[string][]string{"Bucket": {"my-bucket"}, "List": {`{"a":"b"}`, `{}`}}), with("List", []any{map[string]any{"a": "b"}, map[string]any{}}), ""},
		"wire list":          {runbook.FromWire(map[string][]string{"Bucket": {"my-bucket"}, "Tags": {"aa", "bb"}}), with("Tags", []any{"aa", "bb"}), ""},
		"Boolean text":       {map[string]any{"Bucket": "my-bucket", "On": "True"}, with("On", true), ""},
		"long repetition":    {map[string]any{"Bucket": "my-bucket", "Long": strings.Repeat("x", 2000)}, with("Long", strings.Repeat("x", 2000)), ""},
		"instances":          {map[string]any{"Bucket": "my-bucket", "Instances": []any{"i-12345678"}}, with("Instances", []any{"i-12345678"}), ""},
		"missing":            {nil, nil, "parameter Bucket: a value is required"},
		"unknown":            {map[string]any{"Bucket": "my-bucket", "Bukket": 1}, nil, "parameter Bukket is not declared"},
		"not allowed":        {map[string]any{"Bucket": "my-bucket", "Mode": "burn"}, nil, "parameter Mode: allowedValues: the value is none of"},
		"pattern":            {map[string]any{"Bucket": "my-bucket", "Size": 1234}, nil, "parameter Size: allowedPattern: the value does not match"},
		"resource pattern":   {map[string]any{"Bucket": "My_Bucket"}, nil, "parameter Bucket: type AWS::S3::Bucket::Name: the value does not match"},
		"role":               {map[string]any{"Bucket": "my-bucket", "Role": "admin"}, nil, "parameter Role: type AWS::IAM::Role::Arn: the value does not match"},
		"instance":           {map[string]any{"Bucket": "my-bucket", "Instances": []any{"i-12345678", "x"}}, nil, "parameter Instances: item 2"},
		"too many items":     {map[string]any{"Bucket": "my-bucket", "Tags": []any{"aa", "bb", "cc"}}, nil, "maxItems is 2, the value has 3 items"},
		"item length":        {map[string]any{"Bucket": "my-bucket", "Tags": []any{"aa", "b"}}, nil, "item 2: minChars is 2, the value has 1 characters"},
		"type":               {map[string]any{"Bucket": "my-bucket", "Size": "many"}, nil, "parameter Size: a text of 4 characters is not Integer"},
		"several at a time":  {map[string]any{"Size": "many"}, nil, "Bucket: a value is required; parameter Size"},
		"repetition counts":  {map[string]any{"Bucket": "my-bucket", "Long": strings.Repeat("x", 4097)}, nil, "parameter Long"},
		"long, wrong letter": {map[string]any{"Bucket": "my-bucket", "Long": "X"}, nil, "parameter Long"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := d.ResolveParameters(tt.given, nil)
			if tt.fails != "" {
				if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.fails) || fault.HintOf(err) == "" {
					t.Errorf("error %v, want %q", err, tt.fails)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Error(err, diff)
			}
		})
	}
}

func TestParametersFromParameterStore(t *testing.T) {
	t.Parallel()
	d := parse(t, `
schemaVersion: "0.3"
parameters:
  Key: {type: String, default: "{{ssm:/app/key}}", allowedPattern: "^[a-z]+$"}
  Image: {type: String, default: "ami/{{ ssm:/app/image:3 }}"}
  Subnets: {type: StringList, default: "{{ ssm:/app/subnets }}", maxItems: 2}
  Again: {type: String, default: "{{ssm:/app/key}}"}
  Plain: {type: String, default: x}
mainSteps: [{name: A, action: "aws:sleep", inputs: {Duration: PT1S}}]
`)
	if diff := cmp.Diff([]string{"/app/key", "/app/image:3", "/app/subnets"}, d.StoreParameters()); diff != "" {
		t.Error(diff)
	}
	stored := map[string]any{"/app/key": "abc", "/app/image:3": "i-1", "/app/subnets": "a, b"}
	got, err := d.ResolveParameters(map[string]any{"Again": "given"}, stored)
	want := map[string]any{"Key": "abc", "Image": "ami/i-1", "Subnets": []any{"a", "b"}, "Again": "given", "Plain": "x"}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if diff := cmp.Diff(map[string][]string{"Key": {"abc"}, "Image": {"ami/i-1"}, "Subnets": {"a", "b"}, "Again": {"given"}, "Plain": {"x"}}, runbook.ToWire(got)); diff != "" {
		t.Error(diff)
	}
	for name, stored := range map[string]map[string]any{
		"parameter Key: its default":                           {"/app/image:3": "i-1", "/app/subnets": "a"},
		"parameter Key: allowedPattern: the value does not":    {"/app/key": "TOPSECRET", "/app/image:3": "i-1", "/app/subnets": "a"},
		"parameter Subnets: maxItems is 2, the value has 3 it": {"/app/key": "abc", "/app/image:3": "i-1", "/app/subnets": []any{"a", "b", "c"}},
	} {
		_, err := d.ResolveParameters(nil, stored)
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("error %v, want %q", err, name)
		}
	}
}

// A pattern that cannot be read stops nobody from reading the document, but no
// value passes it.
func TestPatternThatCannotBeRead(t *testing.T) {
	t.Parallel()
	d := parse(t, "schemaVersion: '0.3'\nparameters:\n  P: {type: String, default: '', allowedPattern: '[a'}\nmainSteps: [{name: A, action: 'aws:sleep', inputs: {Duration: PT1S}}]\n")
	if problems := runbook.Check(d, runbook.CheckOptions{}).Problems; len(problems) != 1 || problems[0].Code != runbook.CodePattern || problems[0].Severity != runbook.SeverityWarning {
		t.Errorf("problems %v", problems)
	}
	if _, err := d.ResolveParameters(nil, nil); err != nil {
		t.Errorf("the default: %v", err)
	}
	if _, err := d.ResolveParameters(map[string]any{"P": "a"}, nil); err == nil || !strings.Contains(err.Error(), "parameter P: allowedPattern: the pattern cannot be evaluated: at character 3: a class is not closed") {
		t.Errorf("a value: %v", err)
	}
}

func TestDurations(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"PT10S": 10 * time.Second, "PT1H30M": 90 * time.Minute, "P1DT2H": 26 * time.Hour, "pt0.5s": 500 * time.Millisecond, "P6D": 144 * time.Hour,
	} {
		if got, err := runbook.ParseDuration(text); err != nil || got != want {
			t.Errorf("%s = %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "10S", "PT10", "P1M", "P1Y", "PT1X", "P8D", "PT999999999999999999999S", "P99999999999W", "PT-5S", "PT1.2.3S"} {
		if got, err := runbook.ParseDuration(text); err == nil {
			t.Errorf("%q gave %s", text, got)
		}
	}
}
