package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// policyTemplate prints policies as a CloudFormation template of managed
// policies, each to be attached to the role that carries out the calls.
func policyTemplate(w io.Writer, name string, policies []apimodel.Policy) error {
	resources := map[string]any{}
	for i, p := range policies {
		plain, err := generic(p)
		if err != nil {
			return err
		}
		resources[numbered(logicalID(name), i, len(policies))] = map[string]any{
			"Type": "AWS::IAM::ManagedPolicy",
			"Properties": map[string]any{
				"Description":    "Least privilege, derived by parry aws policy",
				"PolicyDocument": plain,
			},
		}
	}
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Least-privilege permissions derived by parry aws policy",
		"Resources":                resources,
	}); err != nil {
		return err
	}
	return enc.Close()
}

// logicalID makes a name CloudFormation takes: letters and digits.
func logicalID(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, name)
}

// numbered tells the parts of a divided policy apart.
func numbered(name string, i, n int) string {
	if n == 1 {
		return name
	}
	return fmt.Sprintf("%s%d", name, i+1)
}

// policyHCL prints policies as Terraform: a policy document each, and a managed
// policy made of it.
func policyHCL(w io.Writer, name string, policies []apimodel.Policy) error {
	var b strings.Builder
	for i, p := range policies {
		if strings.Contains(p.String(), "&{") {
			return fault.Errorf(fault.Invalid, "write Terraform", "a resource has &{ in its name, which aws_iam_policy_document would replace").
				WithHint("use --format json")
		}
		// Names begin with a letter, so a label is one too.
		label := numbered(strings.ReplaceAll(name, "-", "_"), i, len(policies))
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "data \"aws_iam_policy_document\" %s {\n", quoted(label))
		for j, s := range p.Statement {
			if j > 0 {
				b.WriteString("\n")
			}
			hclStatement(&b, s)
		}
		fmt.Fprintf(&b, "}\n\nresource \"aws_iam_policy\" %s {\n", quoted(label))
		fmt.Fprintf(&b, "  name        = %s\n", quoted(numbered(name, i, len(policies))))
		fmt.Fprintf(&b, "  description = \"Least privilege, derived by parry aws policy\"\n")
		fmt.Fprintf(&b, "  policy      = data.aws_iam_policy_document.%s.json\n}\n", label)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func hclStatement(b *strings.Builder, s apimodel.Statement) {
	fmt.Fprintf(b, "  statement {\n    sid    = %s\n    effect = %s\n\n", quoted(s.Sid), quoted(s.Effect))
	hclList(b, "    actions = ", s.Action, "    ")
	b.WriteString("\n")
	hclList(b, "    resources = ", s.Resource, "    ")
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, k := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			fmt.Fprintf(b, "\n    condition {\n      test     = %s\n      variable = %s\n", quoted(operator), quoted(k))
			b.WriteString("\n")
			hclList(b, "      values = ", s.Condition[operator][k], "      ")
			b.WriteString("    }\n")
		}
	}
	b.WriteString("  }\n")
}

func hclList(b *strings.Builder, head string, list []string, indent string) {
	if len(list) == 1 {
		fmt.Fprintf(b, "%s[%s]\n", head, quoted(list[0]))
		return
	}
	b.WriteString(head + "[\n")
	for _, v := range list {
		fmt.Fprintf(b, "%s  %s,\n", indent, quoted(v))
	}
	b.WriteString(indent + "]\n")
}

// quoted writes an HCL string. Terraform fills in ${ and %{ itself: neither may
// come from a value.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteString("\\" + string(r))
		case r == '\n':
			b.WriteString("\\n")
		case steers(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(b.String())
}
