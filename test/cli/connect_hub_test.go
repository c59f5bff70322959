package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// hubResources is a hub, resource by resource, in words of neither CloudFormation nor
// Terraform: what AWS is asked for.
type hubResources map[string]any

// TestTerraformIsTheSameHub fills in hub.yaml and terraform/hub/main.tf, as AWS and
// Terraform would, and compares what they make resource by resource.
func TestTerraformIsTheSameHub(t *testing.T) {
	t.Parallel()
	all := variants(t)
	all["topics and forwarding"] = connectFiles(t, wholeConfig, "--administrator", "guardduty=222233334444,macie=333344445555", "--server", "ecs")
	all["role that is there"] = connectFiles(t, "", "--server", "role/parry")
	for name, files := range all {
		want, got := formation(t, files["hub.yaml"]), hubOfTerraform(t, files["terraform/hub/main.tf"])
		action := got["action"]
		delete(got, "action") // CloudFormation has no type for it: the command makes it
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: Terraform makes another hub (-CloudFormation +Terraform):\n%s", name, diff)
		}
		_, taken := want["rule parry-security-hub"]
		if taken != (action != nil) {
			t.Errorf("%s: Security Hub is taken: %t, the custom action is %v", name, taken, action)
		}
		if action != nil && !cmp.Equal(action, map[string]any{"id": "ParryRemediate", "name": "Remediate with Parry", "text": "Plans a remediation in Parry"}) {
			t.Errorf("%s: %v", name, action)
		}
		if len(want) < 6 {
			t.Errorf("%s: only %v", name, slices.Sorted(maps.Keys(want)))
		}
	}
}

// cloud fills in a template.
type cloud struct {
	t                     *testing.T
	parameters, resources map[string]any
	conditions, mappings  map[string]any
}

// formation gives what hub.yaml makes with its own defaults.
func formation(t *testing.T, raw []byte) hubResources {
	t.Helper()
	whole := template(t, raw)
	c := cloud{t, map[string]any{}, asMap(whole["Resources"]), asMap(whole["Conditions"]), asMap(whole["Mappings"])}
	for name, p := range asMap(whole["Parameters"]) {
		value := asMap(p)["Default"]
		if asMap(p)["Type"] == "CommaDelimitedList" {
			list := []any{}
			for _, v := range strings.Split(value.(string), ",") {
				list = append(list, v)
			}
			value = list
		}
		c.parameters[name] = value
	}
	out := hubResources{}
	for id, r := range c.resources {
		if on, ok := asMap(r)["Condition"].(string); ok && !c.holds(c.conditions[on]) {
			continue
		}
		p := asMap(c.value(asMap(r)["Properties"]))
		switch kind := asMap(r)["Type"]; kind {
		case "AWS::SQS::Queue":
			out["queue "+p["QueueName"].(string)] = without(map[string]any{
				"encrypted": p["SqsManagedSseEnabled"], "retention": p["MessageRetentionPeriod"], "visibility": p["VisibilityTimeout"], "wait": p["ReceiveMessageWaitTimeSeconds"],
				"redrive": p["RedrivePolicy"], "allow": p["RedriveAllowPolicy"],
			})
		case "AWS::SQS::QueuePolicy":
			out["policy of "+p["Queues"].([]any)[0].(string)] = ordered(p["PolicyDocument"])
		case "AWS::Events::EventBus":
			out["bus "+p["Name"].(string)] = true
		case "AWS::Events::EventBusPolicy":
			st := asMap(p["Statement"])
			st["Sid"] = p["StatementId"]
			out["policy of bus "+p["EventBusName"].(string)] = ordered(map[string]any{"Version": "2012-10-17", "Statement": []any{st}})
		case "AWS::Events::Rule":
			target := asMap(p["Targets"].([]any)[0])
			out["rule "+p["Name"].(string)] = without(map[string]any{
				"text": p["Description"], "bus": p["EventBusName"], "pattern": ordered(p["EventPattern"]),
				"target": target["Id"], "to": target["Arn"], "dead": asMap(target["DeadLetterConfig"])["Arn"],
			})
		case "AWS::IAM::Role":
			out["role "+p["RoleName"].(string)] = map[string]any{"text": p["Description"], "trust": ordered(p["AssumeRolePolicyDocument"])}
		case "AWS::IAM::InstanceProfile":
			out["profile "+p["InstanceProfileName"].(string)] = p["Roles"].([]any)[0]
		case "AWS::IAM::ManagedPolicy":
			out["policy"] = map[string]any{"text": p["Description"], "document": ordered(p["PolicyDocument"])}
			for _, who := range []string{"Roles", "Users"} {
				for _, name := range anyTexts(p[who]) {
					out["attached to "+strings.ToLower(strings.TrimSuffix(who, "s"))] = name
				}
			}
		default:
			t.Errorf("%s is of type %v, which this test does not know", id, kind)
		}
	}
	return out
}

// holds evaluates a condition.
func (c cloud) holds(v any) bool {
	m := asMap(v)
	if name, ok := m["Condition"].(string); ok {
		return c.holds(c.conditions[name])
	}
	if list, ok := m["Equals"].([]any); ok {
		return cmp.Equal(c.value(list[0]), c.value(list[1]))
	}
	if list, ok := m["Not"].([]any); ok {
		return !c.holds(list[0])
	}
	if list, ok := m["Or"].([]any); ok {
		return slices.ContainsFunc(list, c.holds)
	}
	c.t.Fatalf("condition %v", v)
	return false
}

// none is AWS::NoValue.
type none struct{}

// value evaluates functions. What only AWS knows becomes a word of its own.
func (c cloud) value(v any) any {
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, x := range v {
			if x = c.value(x); x != (none{}) {
				out = append(out, x)
			}
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, arg := range v {
				if f, ok := c.functions()[name]; ok {
					return f(arg)
				}
			}
		}
		out := map[string]any{}
		for k, x := range v {
			if x = c.value(x); x != (none{}) {
				out[k] = x
			}
		}
		return out
	}
	return v
}

func (c cloud) functions() map[string]func(any) any {
	return map[string]func(any) any{
		"Ref":    func(v any) any { return c.ref(v.(string)) },
		"GetAtt": func(v any) any { return "arn(" + c.named(strings.TrimSuffix(v.(string), ".Arn")) + ")" },
		"Sub": func(v any) any {
			text := v.(string)
			for name, value := range c.parameters {
				if s, ok := value.(string); ok {
					text = strings.ReplaceAll(text, "${"+name+"}", s)
				}
			}
			return text
		},
		"If": func(v any) any {
			list := v.([]any)
			if c.holds(c.conditions[list[0].(string)]) {
				return c.value(list[1])
			}
			return c.value(list[2])
		},
		"Join": func(v any) any {
			return strings.Join(anyTexts(c.value(v.([]any)[1])), v.([]any)[0].(string))
		},
		"FindInMap": func(v any) any {
			list := c.value(v).([]any)
			return asMap(asMap(c.mappings[list[0].(string)])[list[1].(string)])[list[2].(string)]
		},
	}
}

func (c cloud) ref(name string) any {
	if name == "AWS::NoValue" {
		return none{}
	}
	if v, ok := c.parameters[name]; ok {
		return v
	}
	if asMap(c.resources[name])["Type"] == "AWS::SQS::Queue" {
		return "url(" + c.named(name) + ")"
	}
	return c.named(name)
}

// named is the name of what a resource makes.
func (c cloud) named(id string) string {
	p := asMap(asMap(c.resources[id])["Properties"])
	for _, key := range []string{"QueueName", "RoleName", "Name"} {
		if v, ok := p[key]; ok {
			return c.value(v).(string)
		}
	}
	c.t.Fatalf("%s has no name", id)
	return ""
}

func anyTexts(v any) []string {
	var out []string
	list, ok := v.([]any)
	if !ok && v != nil {
		list = []any{v}
	}
	for _, x := range list {
		out = append(out, x.(string))
	}
	return out
}

// without leaves out what is not said.
func without(m map[string]any) map[string]any {
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

// ordered gives a document in which one value and a list of one are the same, and the
// order of lists of texts does not count: so IAM and EventBridge read them.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if s, ok := x.(string); ok && slices.Contains([]string{"Action", "Resource", "AWS", "aws:SourceArn"}, k) {
				x = []any{s}
			}
			out[k] = ordered(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = ordered(x)
		}
		slices.SortFunc(out, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return out
	case string:
		return v
	}
	return fmt.Sprint(v)
}

// terraformHub fills in main.tf.
type terraformHub struct {
	t     *testing.T
	scope *hcl.EvalContext
	out   hubResources
}

// hubOfTerraform gives what main.tf makes with its own defaults.
func hubOfTerraform(t *testing.T, raw []byte) hubResources {
	t.Helper()
	f, problems := hclsyntax.ParseConfig(raw, "main.tf", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	blocks := f.Body.(*hclsyntax.Body).Blocks
	checkArguments(t, blocks)
	texts := func(pairs ...string) cty.Value {
		m := map[string]cty.Value{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = cty.StringVal(pairs[i+1])
		}
		return cty.ObjectVal(m)
	}
	h := terraformHub{t: t, out: hubResources{}, scope: &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"data": cty.ObjectVal(map[string]cty.Value{
				"aws_partition":       cty.ObjectVal(map[string]cty.Value{"current": texts("partition", "${AWS::Partition}")}),
				"aws_caller_identity": cty.ObjectVal(map[string]cty.Value{"current": texts("account_id", "${AWS::AccountId}")}),
				"aws_region":          cty.ObjectVal(map[string]cty.Value{"current": texts("name", "${AWS::Region}")}),
			}),
		},
		Functions: map[string]function.Function{
			"jsonencode": stdlib.JSONEncodeFunc, "contains": stdlib.ContainsFunc, "length": stdlib.LengthFunc, "concat": stdlib.ConcatFunc, "lookup": stdlib.LookupFunc,
		},
	}}
	variables, locals := map[string]cty.Value{}, map[string]cty.Value{}
	for _, b := range blocks {
		if b.Type == "variable" {
			variables[b.Labels[0]] = h.eval(b.Body.Attributes["default"].Expr, nil)
		}
	}
	h.scope.Variables["var"] = cty.ObjectVal(variables)
	queue := variables["queue_name"].AsString()
	h.scope.Variables["aws_sqs_queue"] = cty.ObjectVal(map[string]cty.Value{
		"queue": texts("arn", "arn("+queue+")", "id", "url("+queue+")"), "dead": texts("arn", "arn("+queue+"-dead)", "id", "url("+queue+"-dead)"),
	})
	h.scope.Variables["aws_cloudwatch_event_bus"] = cty.ObjectVal(map[string]cty.Value{"bus": texts("name", "parry", "arn", "arn(parry)")})
	h.scope.Variables["aws_iam_policy"] = cty.ObjectVal(map[string]cty.Value{"server": texts("arn", "arn(policy)")})
	h.scope.Variables["aws_iam_role"] = cty.ObjectVal(map[string]cty.Value{"server": cty.TupleVal([]cty.Value{texts("name", variables["server_name"].AsString())})})
	for _, b := range blocks {
		if b.Type == "locals" { // in their order: each stands before who needs it
			for _, a := range sortedAttributes(b.Body) {
				locals[a.Name] = h.eval(a.Expr, nil)
				h.scope.Variables["local"] = cty.ObjectVal(locals)
			}
		}
	}
	rules := map[string]cty.Value{}
	for name := range locals["rules"].AsValueMap() {
		rules[name] = texts("name", name, "arn", "arn("+name+")")
	}
	h.scope.Variables["aws_cloudwatch_event_rule"] = cty.ObjectVal(map[string]cty.Value{"rule": cty.ObjectVal(rules)})
	for _, b := range blocks {
		if b.Type == "resource" {
			h.resource(b)
		}
	}
	return h.out
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	list := slices.Collect(maps.Values(body.Attributes))
	slices.SortFunc(list, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return list
}

func (h terraformHub) eval(e hclsyntax.Expression, each map[string]cty.Value) cty.Value {
	h.t.Helper()
	scope := h.scope
	if each != nil {
		scope = scope.NewChild()
		scope.Variables = map[string]cty.Value{"each": cty.ObjectVal(each)}
	}
	v, problems := e.Value(scope)
	if problems.HasErrors() {
		h.t.Fatal(problems)
	}
	return v
}

// resource evaluates one as often as count or for_each says.
func (h terraformHub) resource(b *hclsyntax.Block) {
	attributes := b.Body.Attributes
	switch {
	case attributes["count"] != nil:
		n, _ := h.eval(attributes["count"].Expr, nil).AsBigFloat().Int64()
		for range n {
			h.add(b, nil)
		}
	case attributes["for_each"] != nil:
		for key, value := range h.eval(attributes["for_each"].Expr, nil).AsValueMap() {
			h.add(b, map[string]cty.Value{"key": cty.StringVal(key), "value": value})
		}
	default:
		h.add(b, nil)
	}
}

func (h terraformHub) add(b *hclsyntax.Block, each map[string]cty.Value) {
	get := func(name string) any {
		a := b.Body.Attributes[name]
		if a == nil {
			return nil
		}
		v := h.eval(a.Expr, each)
		if v.IsNull() {
			return nil
		}
		raw, err := ctyjson.Marshal(v, v.Type())
		if err != nil {
			h.t.Fatal(err)
		}
		var out any
		if err := json.Unmarshal(raw, &out); err != nil {
			h.t.Fatal(err)
		}
		if _, ok := out.(string); !ok {
			return string(raw) // a number or a truth, as YAML writes it
		}
		return out
	}
	document := func(name string) any {
		text, _ := get(name).(string)
		if text == "" {
			return nil
		}
		var out any
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			h.t.Fatal(err)
		}
		return ordered(out)
	}
	text := func(name string) string { s, _ := get(name).(string); return s }
	switch b.Labels[0] {
	case "aws_sqs_queue":
		h.out["queue "+text("name")] = without(map[string]any{
			"encrypted": get("sqs_managed_sse_enabled"), "retention": get("message_retention_seconds"), "visibility": get("visibility_timeout_seconds"), "wait": get("receive_wait_time_seconds"),
			"redrive": document("redrive_policy"), "allow": document("redrive_allow_policy"),
		})
	case "aws_sqs_queue_policy":
		h.out["policy of "+text("queue_url")] = document("policy")
	case "aws_cloudwatch_event_bus":
		h.out["bus "+text("name")] = true
	case "aws_cloudwatch_event_bus_policy":
		h.out["policy of bus "+text("event_bus_name")] = document("policy")
	case "aws_cloudwatch_event_rule":
		h.merge("rule "+text("name"), map[string]any{"text": get("description"), "bus": get("event_bus_name"), "pattern": document("event_pattern")})
	case "aws_cloudwatch_event_target":
		dead := h.eval(b.Body.Blocks[0].Body.Attributes["arn"].Expr, each).AsString()
		h.merge("rule "+text("rule"), map[string]any{"target": get("target_id"), "to": get("arn"), "dead": dead})
	case "aws_securityhub_action_target":
		h.out["action"] = map[string]any{"id": get("identifier"), "name": get("name"), "text": get("description")}
	case "aws_iam_role":
		h.out["role "+text("name")] = map[string]any{"text": get("description"), "trust": document("assume_role_policy")}
	case "aws_iam_instance_profile":
		h.out["profile "+text("name")] = get("role")
	case "aws_iam_policy":
		h.out["policy"] = map[string]any{"text": get("description"), "document": document("policy")}
	case "aws_iam_role_policy_attachment":
		h.out["attached to role"] = get("role")
	case "aws_iam_user_policy_attachment":
		h.out["attached to user"] = get("user")
	default:
		h.t.Errorf("%v is not known to this test", b.Labels)
	}
}

func (h terraformHub) merge(key string, members map[string]any) {
	have, _ := h.out[key].(map[string]any)
	if have == nil {
		have = map[string]any{}
	}
	maps.Copy(have, without(members))
	h.out[key] = have
}
