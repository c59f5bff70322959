package target_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// guideEvent is the event of the user guide's page on input transformation.
const guideEvent = `{
  "version": "0",
  "id": "7bf73129-1428-4cd3-a780-95db273d1602",
  "detail-type": "EC2 Instance State-change Notification",
  "source": "aws.ec2",
  "account": "123456789012",
  "time": "2015-11-11T21:29:54Z",
  "region": "us-east-1",
  "resources": [
    "arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"
  ],
  "detail": {
    "instance-id": "i-0123456789",
    "state": "RUNNING"
  }
}`

func guideMeta() target.Meta {
	return target.Meta{
		RuleARN: "arn:aws:events:us-east-2:123456789012:rule/example", RuleName: "example",
		IngestionTime: time.Date(2015, 11, 11, 22, 29, 55, 900, time.FixedZone("", 3600)),
	}
}

func guidePaths() map[string]string {
	return map[string]string{"timestamp": "$.time", "instance": "$.detail.instance-id", "state": "$.detail.state", "resource": "$.resources[0]"}
}

func compile(t *testing.T, o target.Options, paths map[string]string, template string) *target.Input {
	t.Helper()
	in, err := target.Target{ID: "t", InputTransformer: &target.InputTransformer{InputPathsMap: paths, InputTemplate: template}}.Compile(o)
	if err != nil {
		t.Fatalf("%s: %v", template, err)
	}
	return in
}

func render(t *testing.T, in *target.Input, event string) string {
	t.Helper()
	out, err := in.Render([]byte(event), guideMeta())
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestExamplesOfTheGuide has every example of the page, of its tutorial and of the API
// reference's InputTransformer. Both ways of filling in give the same.
func TestExamplesOfTheGuide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ template, want string }{
		"simple string":              {`"instance <instance> is in <state>"`, `"instance i-0123456789 is in RUNNING"`},
		"string with escaped quotes": {`"instance \"<instance>\" is in <state>"`, `"instance \"i-0123456789\" is in RUNNING"`},
		"simple JSON": {
			"{\n\"instance\" : <instance>,\n\"state\": <state>\n}",
			"{\n\"instance\" : \"i-0123456789\",\n\"state\": \"RUNNING\"\n}",
		},
		"JSON with strings and variables": {
			"{\n\"instance\" : <instance>,\n\"state\": \"<state>\",\n\"instanceStatus\": \"instance \\\"<instance>\\\" is in <state>\"\n}",
			"{\n\"instance\" : \"i-0123456789\",\n\"state\": \"RUNNING\",\n\"instanceStatus\": \"instance \\\"i-0123456789\\\" is in RUNNING\"\n}",
		},
		// The guide shows the list over several lines; white space is the template's here.
		"JSON with a mix of variables and static information": {
			"{\n\"instance\" : <instance>,\n\"state\": [ 9, <state>, true ],\n\"Transformed\" : \"Yes\"\n}",
			"{\n\"instance\" : \"i-0123456789\",\n\"state\": [ 9, \"RUNNING\", true ],\n\"Transformed\" : \"Yes\"\n}",
		},
		"including reserved variables in JSON": {
			"{\n\"instance\" : <instance>,\n\"state\": <state>,\n\"ruleArn\" : <aws.events.rule-arn>,\n\"ruleName\" : <aws.events.rule-name>,\n\"originalEvent\" : <aws.events.event.json>\n}",
			"{\n\"instance\" : \"i-0123456789\",\n\"state\": \"RUNNING\",\n\"ruleArn\" : \"arn:aws:events:us-east-2:123456789012:rule/example\",\n\"ruleName\" : \"example\",\n\"originalEvent\" : " + guideEvent + "\n}",
		},
		"including reserved variables in a string": {`"<aws.events.rule-name> triggered"`, `"example triggered"`},
		// The guide shows the timestamp and the inner quotes bare, which is no JSON; its page
		// on targets wants this template for log groups, so it has to be.
		"log group": {
			"{\n\"timestamp\" : <timestamp>,\n\"message\": \"instance \\\"<instance>\\\" is in <state>\"\n}",
			"{\n\"timestamp\" : \"2015-11-11T21:29:54Z\",\n\"message\": \"instance \\\"i-0123456789\\\" is in RUNNING\"\n}",
		},
		"reference, JSON": {
			`{"myInstance": <instance>,"myStatus": "<instance> is in state \"<state>\""}`,
			`{"myInstance": "i-0123456789","myStatus": "i-0123456789 is in state \"RUNNING\""}`,
		},
		"index":          {`{"resource": <resource>}`, `{"resource": "arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"}`},
		"ingestion time": {`{"at": <aws.events.event.ingestion-time>}`, `{"at": "2015-11-11T21:29:55Z"}`},
		"whole event":    {`<aws.events.event.json>`, guideEvent},
		"without detail": {
			` <aws.events.event> `,
			` {"version":"0","id":"7bf73129-1428-4cd3-a780-95db273d1602","detail-type":"EC2 Instance State-change Notification","source":"aws.ec2","account":"123456789012","time":"2015-11-11T21:29:54Z","region":"us-east-1","resources":[
    "arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"
  ]} `,
		},
	} {
		for _, o := range []target.Options{{}, {AWSCompatible: true}} {
			if diff := cmp.Diff(c.want, render(t, compile(t, o, guidePaths(), c.template), guideEvent)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
	}
	in := compile(t, target.Options{}, map[string]string{"detail-type": "$.detail-type"}, `"This event was of <detail-type> type."`)
	if got := render(t, in, `{"detail-type": "customerCreated"}`); got != `"This event was of customerCreated type."` {
		t.Errorf("the tutorial's: %s", got)
	}
}

func TestTextOfManyLines(t *testing.T) {
	t.Parallel()
	in := compile(t, target.Options{}, map[string]string{
		"account": "$.detail.awsAccountId", "ami": "$.detail.resources[0].details.awsEc2Instance.imageId", "arn": "$.detail.findingArn",
		"severity": "$.detail.severity", "title": "$.detail.title",
	}, "\"<severity> severity finding <title>\"\n\"ARN: \\\"<arn>\\\"\"\n\"AWS Account: <account>\"\n\"AMI: <ami>\"\n")
	got := render(t, in, `{"detail":{"awsAccountId":"123456789012","findingArn":"arn:f","severity":"HIGH","title":"port \"22\" open","resources":[{"details":{"awsEc2Instance":{"imageId":"ami-1"}}}]}}`)
	want := "\"HIGH severity finding port \\\"22\\\" open\"\n\"ARN: \\\"arn:f\\\"\"\n\"AWS Account: 123456789012\"\n\"AMI: ami-1\"\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFilling has what the guide says in words, and where the two ways differ.
func TestFilling(t *testing.T) {
	t.Parallel()
	event := `{"time":"t","detail":{"s":"a \"b\"\nc","o":{ "k" : "v" },"l":[1,2.50],"n":1e400,"b":true,"z":null,"a/b":"slash","quote":"\",\"admin\":\"yes"}}`
	paths := map[string]string{
		"s": "$.detail.s", "o": "$.detail.o", "l": "$.detail.l", "n": "$.detail.n", "b": "$.detail.b", "z": "$.detail.z", "slash": "$.detail.a/b",
		"none": "$.detail.none.x", "bad": "$..s", "first": "$.detail.l[0]", "past": "$.detail.l[2]", "all": "$.detail.l[*]", "quote": "$.detail.quote",
		"k": "$.detail.*.k", "nothing": "$.none[*]", "empty": "$.detail.l[*].x", "detail": "$.detail.o", "bracket": "$['detail'][\"b\"]",
	}
	for _, c := range []struct{ template, want, aws string }{
		{`{"v":<s>}`, `{"v":"a \"b\"\nc"}`, ""},
		{`{"v":<o>,"l":<l>,"n":<n>,"b":<b>,"z":<z>}`, `{"v":{ "k" : "v" },"l":[1,2.50],"n":1e400,"b":true,"z":null}`, ""},
		{`"<slash> <n> <b> <z> <first>"`, `"slash 1e400 true null 1"`, ""},
		// Not found: nothing in a string; as a value null, or nothing as in AWS.
		{`"[<none><bad><past>]"`, `"[]"`, ""},
		{`{"v":<none>}`, `{"v":null}`, `{"v":}`},
		// Not escaped by AWS.
		{`"<s>"`, `"a \"b\"\nc"`, "\"a \"b\"\nc\""},
		{`{"user":"<quote>"}`, `{"user":"\",\"admin\":\"yes"}`, `{"user":"","admin":"yes"}`},
		// AWS removes the quotes of an object in a string.
		{`"Detail is <detail>"`, `"Detail is { \"k\" : \"v\" }"`, `"Detail is { k : v }"`},
		{`{"a":<all>,"k":<k>,"n":<nothing>,"e":<empty>}`, `{"a":[1,2.50],"k":["v"],"n":null,"e":[]}`, `{"a":[1,2.50],"k":["v"],"n":,"e":[]}`},
		{`"<all>"`, `"[1,2.50]"`, ""},
		{`{"v":<bracket>}`, `{"v":true}`, ""},
		// Signs that are no variable stand for themselves.
		{`"a < b > c <> <-"`, `"a < b > c <> <-"`, ""},
		{`"\\<slash>"`, `"\\slash"`, ""},
	} {
		if got := render(t, compile(t, target.Options{}, paths, c.template), event); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.template, got, c.want)
		}
		want := c.aws
		if want == "" {
			want = c.want
		}
		if got := render(t, compile(t, target.Options{AWSCompatible: true}, paths, c.template), event); got != want {
			t.Errorf("as AWS does: %s\n got %s\nwant %s", c.template, got, want)
		}
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range target.MaxVariables + 1 {
		many["v"+strconv.Itoa(i)] = "$"
	}
	for _, c := range []struct {
		paths                map[string]string
		template, text, hint string
	}{
		{nil, "", "InputTemplate for target t does not have 1 to 8192 characters", ""},
		{nil, `"` + strings.Repeat("x", 8191) + `"`, "does not have 1 to 8192", ""},
		{many, `"x"`, "more than 100 variables", ""},
		{map[string]string{"a.b": "$"}, `"x"`, `the variable "a.b"`, "reserved"},
		{map[string]string{"": "$"}, `"x"`, `the variable ""`, ""},
		{map[string]string{"a": "$." + strings.Repeat("x", 255)}, `"x"`, "the path of a has more than 256", ""},
		{nil, `"<a>"`, "InputTemplate for target t contains invalid placeholder a.", "define it in InputPathsMap"},
		{nil, `"<aws.events.x>"`, "contains invalid placeholder aws.events.x.", ""},
		{nil, `"the event: <aws.events.event.json>"`, "it can only be used as a value", `write {"event": <aws.events.event.json>}`},
		{nil, `{"x":"<aws.events.event>"}`, "it can only be used as a value", ""},
		{guidePaths(), `{<state>: 1}`, "is not a valid JSON text", ""},
		{guidePaths(), `{"<state>": 1}`, "a placeholder in the name of a member", "variables stand for values only"},
		{guidePaths(), `{"a":[{"x":1,"y<state>" :"<state>"}]}`, "a placeholder in the name of a member", ""},
		{guidePaths(), `<instance> is in <state>`, "is not a valid JSON text", "a text has quotes of its own"},
		{guidePaths(), `<instance> <state>`, "more than one value", ""},
		{guidePaths(), `"a" <state>`, "more than one value", ""},
		{nil, " ", "more than one value, or none", ""},
		{nil, `{"a":1`, "is not a valid JSON text", ""},
		{nil, `"a`, "is not a valid JSON text", ""},
		{guidePaths(), `{"a":-<state>}`, "is not a valid JSON text", ""},
		{guidePaths(), `{"a":"\<state>"}`, "is not a valid JSON text", ""},
	} {
		_, err := target.Target{ID: "t", InputTransformer: &target.InputTransformer{InputPathsMap: c.paths, InputTemplate: c.template}}.Compile(target.Options{})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s: %v (hint %q)", c.template, err, fault.HintOf(err))
		}
	}
}

func TestInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target target.Target
		want   string
	}{
		{target.Target{}, guideEvent},
		{target.Target{Input: `{"fixed": [1]}`}, `{"fixed": [1]}`},
		{target.Target{InputPath: "$"}, guideEvent},
		{target.Target{InputPath: "$.detail.state"}, `"RUNNING"`},
		{target.Target{InputPath: "$.resources"}, "[\n    \"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111\"\n  ]"},
		{target.Target{InputPath: "$.detail.none"}, `null`},
		{target.Target{InputPath: "$.detail."}, `null`},
	} {
		in, err := c.target.Compile(target.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := render(t, in, guideEvent); got != c.want {
			t.Errorf("%+v: %s, want %s", c.target, got, c.want)
		}
	}
	in := compile(t, target.Options{}, map[string]string{"a": "$.x..y", "b": "$.time", "c": "$.id"}, `"<a><c>"`)
	if diff := cmp.Diff([]string{"variable a: $.x..y is not a path that EventBridge knows, so it finds nothing", "variable b is not used in the template"}, in.Warnings()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	in, err := target.Target{InputPath: "detail"}.Compile(target.Options{})
	if err != nil || len(in.Warnings()) != 1 || !strings.Contains(in.Warnings()[0], "the target is sent null") {
		t.Errorf("%v, %v", in.Warnings(), err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	big, err := json.Marshal(map[string]any{"detail": map[string]any{"text": strings.Repeat("x", 200_000), "list": make([]int, 100_000)}})
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{"text": "$.detail.text", "list": "$.detail.list", "a": "$.detail.list[*]", "b": "$.*.*", "c": "$.detail.*", "d": "$['detail'].list[*]"}
	for template, over := range map[string]bool{
		`"<text>"`:                          false,
		`"<text><text>"`:                    true,
		`{"v":<text>,"w":<list>}`:           true,
		`{"a":<a>}`:                         false,
		`{"a":<a>,"b":<b>,"c":<c>,"d":<d>}`: true,
		`{"e":<aws.events.event.json>}`:     true,
	} {
		_, err := compile(t, target.Options{}, paths, template).Render(big, guideMeta())
		if fault.Is(err, fault.Exhausted) != over || (err == nil) == over {
			t.Errorf("%s: %v", template, err)
		}
		if over && !strings.Contains(fault.HintOf(err), "smaller parts") {
			t.Errorf("hint %q", fault.HintOf(err))
		}
	}
	// A list that a star makes is a copy, and so is bounded where it is made.
	p, err := target.ParsePath("$[*]")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Find([]byte("[" + strings.Repeat("1,", 400_000) + "1]")); !fault.Is(err, fault.Exhausted) {
		t.Errorf("a list of 800,000 bytes: %v", err)
	}
	for _, template := range []string{`{"a":<a>}`, `<aws.events.event>`} {
		for _, broken := range []string{``, `{"detail":`, `{"detail":{"list":[1,`, `{"x"`, `{"x":1`} {
			if _, err := compile(t, target.Options{}, paths, template).Render([]byte(broken), guideMeta()); err != nil && !fault.Is(err, fault.Invalid) {
				t.Errorf("%s of %s: %v", template, broken, err)
			}
		}
	}
}

func TestDynamic(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"plain": "plain", "$.detail.state": "RUNNING", "$.resources": "[\n    \"arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111\"\n  ]",
		"SELECT $.detail.state": "SELECT $.detail.state", "$5": "$5", "$.a b": "$.a b", "": "",
	} {
		got, err := target.Dynamic(value, []byte(guideEvent))
		if err != nil || got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	if _, err := target.Dynamic("$.detail.none", []byte(guideEvent)); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "nothing at $.detail.none") {
		t.Errorf("nothing there: %v", err)
	}
}
