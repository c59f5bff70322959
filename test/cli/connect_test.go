package cli_test

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// wholeConfig makes every part of the templates appear.
const wholeConfig = `
organization:
  hub_account: "999988887777"
  management_account: "123456789012"
  home_region: eu-west-1
  external_id: "it's: {a} \"test\" ${x} %{y}"
  sync: {enabled: true}
  accounts: [{id: "111122223333", name: dev, unit: dev}]
sources:
  hubs: [{name: hub, region: eu-west-1, linked_regions: [us-east-1], accounts: ["*"], products: [aws/securityhub], write_back: true}]
bus_rules:
  - {name: a, playbooks: [S3.8, EC2.2], pattern: {source: [a]}}
  - {name: b, playbooks: [KMS.4], pattern: {source: [a]}, disabled: true}
channels:
  - {name: sns, kind: sns, topic: "arn:aws:sns:eu-west-1:999988887777:parry"}
`

// connectFiles runs parry org connect, with a configuration where there is one, and
// gives what it wrote.
func connectFiles(t *testing.T, configuration string, flags ...string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	args := append([]string{"org", "connect", "--dir", filepath.Join(dir, "out")}, flags...)
	if configuration != "" {
		file := filepath.Join(dir, "parry.yaml")
		if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", file)
	}
	var out, problems bytes.Buffer
	if code := cli.Run(t.Context(), cli.Program{In: strings.NewReader(""), Out: &out, Err: &problems}, args); code != 0 {
		t.Fatalf("org connect %q: exit %d: %s", flags, code, problems.String())
	}
	return readTree(t, filepath.Join(dir, "out"))
}

func readTree(t *testing.T, root string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// variants are the ways of connecting that the templates are held to.
func variants(t *testing.T) map[string]map[string][]byte {
	t.Helper()
	return map[string]map[string][]byte{
		"default": connectFiles(t, ""),
		"whole": connectFiles(t, wholeConfig, "--service", "security-hub,security-hub-v2,guardduty,inspector,macie,access-analyzer",
			"--administrator", "guardduty=222233334444", "--regions", "eu-west-1,us-east-1,ap-southeast-2", "--server", "eks"),
		"one service": connectFiles(t, wholeConfig, "--service", "guardduty", "--server", "user/parry", "--playbook", "S3.8"),
	}
}

// TestDeployIsWhatConnectWrites holds deploy/ to what the command writes where nothing
// is configured; -update writes it anew.
func TestDeployIsWhatConnectWrites(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "deploy")
	want := connectFiles(t, "")
	if *update {
		for name, content := range want {
			path := filepath.Join(root, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, content, 0o644); err != nil { //nolint:gosec // a file of the repository
				t.Fatal(err)
			}
		}
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			t.Fatalf("%v: run make deploy", err)
		}
		if diff := cmp.Diff(string(content), string(got)); diff != "" {
			t.Errorf("deploy/%s is not what parry org connect writes: run make deploy (-want +got):\n%s", name, diff)
		}
	}
}

// TestTemplatesPassCfnLint runs AWS's own linter, with the schemas of every resource
// type, over the templates.
func TestTemplatesPassCfnLint(t *testing.T) {
	t.Parallel()
	python := envtest.Needs(t)
	for name, files := range variants(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := []string{"-c", "import sys; from cfnlint.runner import main; sys.exit(main())", "--non-zero-exit-code", "informational", "--regions", "us-east-1,eu-west-1,us-gov-west-1", "--"}
			for file, content := range files {
				if filepath.Dir(file) == "." && file != "parry-connect.yaml" {
					path := filepath.Join(dir, file)
					if err := os.WriteFile(path, content, 0o600); err != nil {
						t.Fatal(err)
					}
					args = append(args, path)
				}
			}
			if out, err := exec.CommandContext(t.Context(), python, args...).CombinedOutput(); err != nil {
				t.Errorf("cfn-lint: %v\n%s", err, out)
			}
		})
	}
}

// template reads CloudFormation as plain YAML: short functions are maps.
func template(t *testing.T, raw []byte) map[string]any {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal(raw, &n); err != nil {
		t.Fatal(err)
	}
	v, _ := plain(t, n.Content[0]).(map[string]any)
	return v
}

func plain(t *testing.T, n *yaml.Node) any {
	t.Helper()
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plain(t, n.Content[i+1])
		}
		v = m
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, plain(t, c))
		}
		v = list
	default:
		v = n.Value
	}
	if name, short := strings.CutPrefix(n.Tag, "!"); short && !strings.HasPrefix(n.Tag, "!!") {
		return map[string]any{name: v}
	}
	return v
}

// actionsIn gives every value of Action in a document.
func actionsIn(v any) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			if key == "Action" {
				out = append(out, textsIn(x)...)
				continue
			}
			out = append(out, actionsIn(x)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, actionsIn(x)...)
		}
	}
	return out
}

func textsIn(v any) []string {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, ":") {
			return []string{v}
		}
	case []any:
		var out []string
		for _, x := range v {
			out = append(out, textsIn(x)...)
		}
		return out
	case map[string]any:
		var out []string
		for _, x := range v {
			out = append(out, textsIn(x)...)
		}
		return out
	}
	return nil
}

// TestTemplatesNameActionsThatIAMHas: no wildcard, and none that IAM does not know.
func TestTemplatesNameActionsThatIAMHas(t *testing.T) {
	t.Parallel()
	for name, files := range variants(t) {
		for _, file := range []string{"hub.yaml", "forward.yaml", "member.yaml"} {
			actions := actionsIn(template(t, files[file]))
			if len(actions) == 0 {
				t.Errorf("%s: %s has no action", name, file)
			}
			for _, a := range actions {
				if !apimodel.KnownAction(a) {
					t.Errorf("%s: %s has the action %q, which IAM does not", name, file, a)
				}
			}
		}
	}
}

// statements gives what a policy allows, action by action.
func statements(t *testing.T, list []any) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, s := range list {
		m := s.(map[string]any)
		for _, a := range textsIn(m["Action"]) {
			switch r := m["Resource"].(type) {
			case map[string]any:
				out[a] = append(out[a], r["Sub"].(string))
			case []any:
				for _, one := range r {
					out[a] = append(out[a], one.(map[string]any)["Sub"].(string))
				}
			default:
				out[a] = append(out[a], m["Resource"].(string))
			}
		}
	}
	return out
}

// TestTerraformIsTheSameRole reads Terraform by HashiCorp's own parser, fills it in, and
// compares trust and permissions with those of the StackSet.
func TestTerraformIsTheSameRole(t *testing.T) {
	t.Parallel()
	for name, files := range variants(t) {
		member := template(t, files["member.yaml"])["Resources"].(map[string]any)
		var policies []any
		for _, id := range slices.Sorted(maps.Keys(member)) {
			r := member[id].(map[string]any)
			if r["Type"] == "AWS::IAM::ManagedPolicy" {
				policies = append(policies, r["Properties"].(map[string]any)["PolicyDocument"].(map[string]any)["Statement"].([]any)...)
			}
		}
		tf := terraform(t, files["terraform/main.tf"])
		want := statements(t, policies)
		if len(want) == 0 {
			t.Fatalf("%s: the member role is allowed nothing", name)
		}
		if diff := cmp.Diff(want, tf.allowed); diff != "" {
			t.Errorf("%s: Terraform allows something else (-StackSet +Terraform):\n%s", name, diff)
		}
		trust := member["Role"].(map[string]any)["Properties"].(map[string]any)["AssumeRolePolicyDocument"].(map[string]any)["Statement"].([]any)
		conditions := map[string]string{}
		for _, s := range trust {
			m := s.(map[string]any)
			for operator, keys := range asMap(m["Condition"]) {
				for key, value := range asMap(keys) {
					if ref, ok := value.(map[string]any); ok {
						value = "ref " + ref["Ref"].(string)
					}
					conditions[m["Action"].(string)+" "+operator+" "+key] = value.(string)
				}
			}
			conditions[m["Action"].(string)] = "allowed"
		}
		if diff := cmp.Diff(conditions, tf.trust); diff != "" {
			t.Errorf("%s: Terraform trusts otherwise (-StackSet +Terraform):\n%s", name, diff)
		}
	}
}

func asMap(v any) map[string]any { m, _ := v.(map[string]any); return m }

// terraformRole is what main.tf says, filled in.
type terraformRole struct {
	allowed map[string][]string
	trust   map[string]string
}

// terraformArguments are those of each block of the AWS provider that is used: by its
// documentation.
func terraformArguments() map[string][]string {
	return map[string][]string{
		"resource aws_iam_role": {"count", "name", "description", "assume_role_policy", "permissions_boundary"}, "resource aws_iam_policy": {"name", "name_prefix", "description", "policy"},
		"resource aws_iam_role_policy_attachment": {"count", "role", "policy_arn"}, "data aws_partition": {}, "data aws_iam_policy_document": {},
		"variable": {"description", "type", "default"}, "output": {"value", "description"}, "terraform": {"required_version"},
		"statement": {"sid", "effect", "actions", "resources"}, "principals": {"type", "identifiers"}, "condition": {"test", "variable", "values"},
		"validation": {"condition", "error_message"}, "required_providers": {"aws"}, "locals": {"account", "partition", "region", "is_user", "make_role", "rules"},
		"data aws_caller_identity": {}, "data aws_region": {}, "dead_letter_config": {"arn"},
		"resource aws_sqs_queue": {
			"name", "sqs_managed_sse_enabled", "message_retention_seconds", "visibility_timeout_seconds", "receive_wait_time_seconds", "redrive_policy", "redrive_allow_policy",
		},
		"resource aws_sqs_queue_policy": {"for_each", "queue_url", "policy"}, "resource aws_cloudwatch_event_bus": {"name"},
		"resource aws_cloudwatch_event_bus_policy": {"count", "event_bus_name", "policy"},
		"resource aws_cloudwatch_event_rule":       {"for_each", "name", "description", "event_bus_name", "event_pattern"},
		"resource aws_cloudwatch_event_target":     {"for_each", "rule", "event_bus_name", "target_id", "arn"},
		"resource aws_securityhub_action_target":   {"count", "identifier", "name", "description"},
		"resource aws_iam_instance_profile":        {"count", "name", "role"}, "resource aws_iam_user_policy_attachment": {"count", "user", "policy_arn"},
	}
}

func terraform(t *testing.T, raw []byte) terraformRole {
	t.Helper()
	f, problems := hclsyntax.ParseConfig(raw, "main.tf", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	body := f.Body.(*hclsyntax.Body)
	checkArguments(t, body.Blocks)
	partition := cty.ObjectVal(map[string]cty.Value{"current": cty.ObjectVal(map[string]cty.Value{"partition": cty.StringVal("${AWS::Partition}")})})
	scope := &hcl.EvalContext{Variables: map[string]cty.Value{
		"data": cty.ObjectVal(map[string]cty.Value{"aws_partition": partition}),
		"var": cty.ObjectVal(map[string]cty.Value{
			"external_id": cty.StringVal("ref ExternalId"), "server_principal_arn": cty.StringVal("ref ServerPrincipalArn"),
		}),
	}}
	out := terraformRole{allowed: map[string][]string{}, trust: map[string]string{}}
	for _, b := range body.Blocks {
		if b.Type != "data" || b.Labels[0] != "aws_iam_policy_document" {
			continue
		}
		for _, st := range b.Body.Blocks {
			out.statement(t, st.Body, scope, b.Labels[1] == "trust")
		}
	}
	return out
}

func checkArguments(t *testing.T, blocks hclsyntax.Blocks) {
	t.Helper()
	for _, b := range blocks {
		kind := b.Type
		if kind == "resource" || kind == "data" {
			kind += " " + b.Labels[0]
		}
		known, ok := terraformArguments()[kind]
		if !ok {
			t.Errorf("Terraform has a block %s", kind)
		}
		for name := range b.Body.Attributes {
			if !slices.Contains(known, name) {
				t.Errorf("Terraform: %s has the argument %s", kind, name)
			}
		}
		checkArguments(t, b.Body.Blocks)
	}
}

func (r terraformRole) statement(t *testing.T, body *hclsyntax.Body, scope *hcl.EvalContext, trust bool) {
	t.Helper()
	list := func(b *hclsyntax.Body, name string) []string {
		v, problems := b.Attributes[name].Expr.Value(scope)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		if v.Type() == cty.String {
			return []string{v.AsString()}
		}
		var out []string
		for _, e := range v.AsValueSlice() {
			out = append(out, e.AsString())
		}
		return out
	}
	for _, a := range list(body, "actions") {
		if !trust {
			r.allowed[a] = append(r.allowed[a], list(body, "resources")...)
			continue
		}
		r.trust[a] = "allowed"
		for _, b := range body.Blocks {
			switch b.Type {
			case "principals":
				if got := list(b.Body, "identifiers"); !slices.Equal(got, []string{"ref ServerPrincipalArn"}) || list(b.Body, "type")[0] != "AWS" {
					t.Errorf("%s trusts %q", a, got)
				}
			case "condition":
				r.trust[a+" "+list(b.Body, "test")[0]+" "+list(b.Body, "variable")[0]] = strings.Join(list(b.Body, "values"), " ")
			}
		}
	}
}

// TestTerraformValidates asks Terraform itself where it is, with a mirror of the AWS
// provider: TF_CLI_CONFIG_FILE says where. Elsewhere it skips.
func TestTerraformValidates(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("terraform")
	if err != nil || os.Getenv("PARRY_TEST_TERRAFORM") == "" {
		t.Skip("set PARRY_TEST_TERRAFORM where terraform and a mirror of the AWS provider are: terraform validate")
	}
	for name, files := range variants(t) {
		for _, file := range []string{"terraform/main.tf", "terraform/hub/main.tf"} {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.tf"), files[file], 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"fmt", "-check", "-diff"}, {"init", "-backend=false", "-no-color"}, {"validate", "-no-color"}} {
				cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%s: %s: terraform %s: %v\n%s", name, file, args[0], err, out)
				}
			}
		}
	}
}

// TestSourcesAreRead puts what is written for parry.yaml into one, which the server reads.
func TestSourcesAreRead(t *testing.T) {
	t.Parallel()
	files := connectFiles(t, wholeConfig, "--administrator", "guardduty=222233334444")
	cfg, err := config.Parse(append([]byte("organization: {hub_account: \"999988887777\"}\n"), files["parry-connect.yaml"]...))
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, files["parry-connect.yaml"])
	}
	if len(cfg.BusRules) != 1 || !strings.Contains(string(cfg.BusRules[0].Pattern), "arn:aws:securityhub:eu-west-1:999988887777:action/custom/ParryRemediate") {
		t.Errorf("rules %+v", cfg.BusRules)
	}
	q := cfg.Sources.Queues[0]
	if q.ARN() != "arn:aws:sqs:eu-west-1:999988887777:parry-findings" || !q.Events || q.Trusted {
		t.Errorf("%+v", q)
	}
	if slices.ContainsFunc(q.Rules, func(arn string) bool { return strings.HasSuffix(arn, ":rule/parry-guardduty") }) {
		t.Errorf("the hub account has no rule for GuardDuty, which another account administers: %q", q.Rules)
	}
	if !slices.Contains(q.Rules, "arn:aws:events:eu-west-1:999988887777:rule/parry/parry-forwarded") {
		t.Errorf("rules %q", q.Rules)
	}
}

// TestConfigurationIsQuoted: what the configuration says is a value in the templates,
// whatever it holds.
func TestConfigurationIsQuoted(t *testing.T) {
	t.Parallel()
	const want = `it's: {a} "test" ${x} %{y}`
	files := connectFiles(t, wholeConfig)
	member := template(t, files["member.yaml"])
	if got := member["Parameters"].(map[string]any)["ExternalId"].(map[string]any)["Default"]; got != want {
		t.Errorf("member.yaml has the external id %q", got)
	}
	f, problems := hclsyntax.ParseConfig(files["terraform/main.tf"], "main.tf", hcl.InitialPos)
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	for _, b := range f.Body.(*hclsyntax.Body).Blocks {
		if b.Type == "variable" && b.Labels[0] == "external_id" {
			if v, problems := b.Body.Attributes["default"].Expr.Value(nil); problems.HasErrors() || v.AsString() != want {
				t.Errorf("main.tf has the external id %v %v", v, problems)
			}
		}
	}
}
