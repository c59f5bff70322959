package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/runbook"
)

// allPlaybooks is the word of --playbook for every one of the catalog; that of bus_rules
// is route.Answering.
const allPlaybooks = "all"

// membership is what the member role is allowed, and why.
type membership struct {
	policies   []apimodel.Policy
	content    []string // lines that say what it is for
	playbooks  []string
	incomplete []string // steps whose calls are not derived
}

// membership derives what the playbooks that are enabled need: their own reads, what
// lists their resources, and what their runbooks call, with the way back.
func (s *shared) membership(ctx context.Context, cfg config.Config, f connectFlags) (membership, error) {
	content, err := app.LoadContent(catalog.FS)
	if err != nil {
		return membership{}, err
	}
	books, err := enabledPlaybooks(content, cfg, f.playbooks)
	if err != nil {
		return membership{}, err
	}
	models, err := apimodel.Load()
	if err != nil {
		return membership{}, err
	}
	var m membership
	grants, err := models.Grants(org.RegionsCall("", "")) // coverage and sweeps ask it
	if err != nil {
		return m, err
	}
	named := map[string]bool{}
	for _, pb := range books {
		list, err := playbookGrants(models, pb)
		if err != nil {
			return m, fmt.Errorf("playbook %s: %w", pb.ID, err)
		}
		grants = append(grants, list...)
		named[pb.Runbook] = true
		m.playbooks = append(m.playbooks, pb.ID)
		m.content = append(m.content, fmt.Sprintf("%-7s %s (%s)", pb.ID, pb.Title, pb.Runbook))
	}
	var docs []*runbook.Document
	places := make([]string, 0, len(named)+len(f.runbooks))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		_, doc, _ := content.Runbook(name)
		docs = append(docs, doc)
		places = append(places, "")
	}
	for _, file := range f.runbooks {
		src, err := readPolicySource(file, s.In, runbook.Where{})
		if err == nil && src.document == nil {
			err = fault.Errorf(fault.Invalid, "", "it is no Automation document")
		}
		if err != nil {
			return m, usage("--runbook: %v", inFile(file, err))
		}
		docs = append(docs, src.document)
		places = append(places, file)
		m.content = append(m.content, fmt.Sprintf("%-7s %s", "runbook", printable(short(file, 100))))
	}
	facts := s.scriptFacts(ctx, docs, places)
	for i, doc := range docs {
		src := runbookCalls(doc, runbook.Where{}, facts[i])
		for _, c := range src.calls {
			list, err := models.GrantsAround(c.call, apimodel.Surround{Image: true, Undo: true})
			if err != nil {
				return m, within(c, err)
			}
			grants = append(grants, list...)
		}
		for _, g := range src.gaps {
			m.incomplete = append(m.incomplete, gapText(places[i], g))
		}
	}
	m.policies, err = apimodel.Split(grants, apimodel.MaxManagedPolicy, apimodel.Document)
	switch {
	case err != nil:
		return m, fault.E(fault.Exhausted, "divide the policy", err)
	case len(m.policies) > maxAttached:
		return m, fault.Errorf(fault.Exhausted, "", "what the playbooks need makes %d managed policies, a role takes %d", len(m.policies), maxAttached).
			WithHint("connect fewer playbooks: --playbook")
	}
	return m, nil
}

// enabledPlaybooks gives those that flags name, else those that rules of the
// configuration start, else all.
func enabledPlaybooks(content *app.Content, cfg config.Config, flags []string) ([]playbook.Playbook, error) {
	wanted, setting := flags, "--playbook"
	if len(wanted) == 0 {
		setting = "bus_rules"
		for _, r := range cfg.BusRules {
			if !r.Disabled {
				wanted = append(wanted, r.Playbooks...)
			}
		}
	}
	if len(wanted) == 0 || slices.Contains(wanted, allPlaybooks) || slices.Contains(wanted, route.Answering) {
		return content.Playbooks(), nil
	}
	var out []playbook.Playbook
	for _, id := range slices.Compact(slices.Sorted(slices.Values(wanted))) {
		pb, ok := content.Playbook(id)
		if !ok {
			return nil, exit(ExitUsage, fault.Errorf(fault.Invalid, "", "%s: there is no playbook %.80q", setting, id).WithHint("see which there are: parry playbook list"))
		}
		out = append(out, pb)
	}
	return out, nil
}

// playbookGrants is what looking at a resource and listing them takes.
func playbookGrants(models *apimodel.Catalog, pb playbook.Playbook) ([]apimodel.Grant, error) {
	whichever := playbook.Resource{Type: pb.Resource, ARN: apimodel.Unknown, Name: apimodel.Unknown}
	var calls []apimodel.Call
	for _, r := range pb.Reads {
		c, err := r.Call(whichever)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	if pb.Sweep != nil && pb.Sweep.List != nil {
		c, err := pb.Sweep.List.Call(playbook.Place{})
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
	var out []apimodel.Grant
	for _, c := range calls {
		list, err := models.Grants(c)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// partitionOf puts ref where an ARN has the partition aws, so that the policy holds in
// every one.
func partitionOf(arn, ref string) (string, bool) {
	rest, ok := strings.CutPrefix(arn, "arn:aws:")
	return "arn:" + ref + ":" + rest, ok
}

// memberStatements writes the policies as resources of CloudFormation.
func memberStatements(policies []apimodel.Policy) (string, error) {
	resources := &yaml.Node{Kind: yaml.MappingNode}
	for i, p := range policies {
		plain, err := generic(p)
		if err != nil {
			return "", err
		}
		var document yaml.Node
		if err := document.Encode(plain); err != nil {
			return "", err
		}
		if err := substitute(&document); err != nil {
			return "", err
		}
		name := numbered("Policy", i, len(policies))
		var resource yaml.Node
		if err := resource.Encode(map[string]any{"Type": "AWS::IAM::ManagedPolicy"}); err != nil {
			return "", err
		}
		properties := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
			yamlText("Description"), yamlText("What Parry's playbooks need, derived from their runbooks"),
			yamlText("Roles"),
			{Kind: yaml.SequenceNode, Style: yaml.FlowStyle, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!Ref", Style: yaml.TaggedStyle, Value: "Role"}}},
			yamlText("PolicyDocument"), &document,
		}}
		resource.Content = append(resource.Content, yamlText("Properties"), properties)
		resources.Content = append(resources.Content, yamlText(name), &resource)
	}
	var b strings.Builder
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(resources); err != nil {
		return "", err
	}
	if err := enc.Close(); err != nil {
		return "", err
	}
	var out strings.Builder
	for line := range strings.Lines(b.String()) {
		out.WriteString("  " + line)
	}
	return out.String(), nil
}

func yamlText(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// substitute writes the partition of every ARN as CloudFormation fills it in.
func substitute(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		if arn, ok := partitionOf(n.Value, "${AWS::Partition}"); ok {
			if strings.Contains(n.Value, "${") {
				return fault.Errorf(fault.Invalid, "write CloudFormation", "a resource has ${ in its name, which Fn::Sub would replace")
			}
			n.Value, n.Tag, n.Style = arn, "!Sub", yaml.TaggedStyle|yaml.DoubleQuotedStyle
		}
	}
	for _, c := range n.Content {
		if err := substitute(c); err != nil {
			return err
		}
	}
	return nil
}

// memberHCL writes the policies as Terraform, attached to the role.
func memberHCL(policies []apimodel.Policy) (string, error) {
	var b strings.Builder
	for i, p := range policies {
		if strings.Contains(p.String(), "&{") || strings.Contains(p.String(), "${") {
			return "", fault.Errorf(fault.Invalid, "write Terraform", "a resource has ${ or &{ in its name, which Terraform would replace")
		}
		label := numbered("parry", i, len(policies))
		fmt.Fprintf(&b, "data \"aws_iam_policy_document\" %q {\n", label)
		for j, st := range p.Statement {
			if j > 0 {
				b.WriteString("\n")
			}
			hclStatement(&b, st)
		}
		fmt.Fprintf(&b, "}\n\nresource \"aws_iam_policy\" %q {\n", label)
		fmt.Fprintf(&b, "  name        = \"${var.role_name}-%s\"\n", numbered("Playbooks", i, len(policies)))
		b.WriteString("  description = \"What Parry's playbooks need, derived from their runbooks\"\n")
		fmt.Fprintf(&b, "  policy      = data.aws_iam_policy_document.%s.json\n}\n\n", label)
		fmt.Fprintf(&b, "resource \"aws_iam_role_policy_attachment\" %q {\n", label)
		fmt.Fprintf(&b, "  role       = aws_iam_role.parry.name\n  policy_arn = aws_iam_policy.%s.arn\n}\n\n", label)
	}
	return strings.ReplaceAll(b.String(), `"arn:aws:`, `"arn:${data.aws_partition.current.partition}:`), nil
}
