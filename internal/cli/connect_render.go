package cli

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/parry-security/parry/internal/fault"
)

//go:embed connect
var connectFiles embed.FS

// connectSwitch is a parameter that turns something on.
type connectSwitch struct {
	Parameter, Condition string
	Default, Text        scalar
}

// connectRule is a rule of EventBridge in a template.
type connectRule struct {
	Resource, Name, Condition, Pattern string

	Text    scalar
	Bus     bool // on the hub's bus; else on the default one
	Sources []string
	Types   []scalar
}

// hubValues, forwardValues and memberValues are what the templates are filled with.
type hubValues struct {
	ServerKind, ServerName, Role, Queue, Action, Forwarding, Topics scalar

	Bus, ActionName, ActionText string

	Switches []connectSwitch
	Rules    []connectRule
	Sources  []string // that are forwarded
}

type forwardValues struct {
	BusARN   scalar
	Switches []connectSwitch
	Rules    []connectRule
}

type memberValues struct {
	PrincipalARN, ExternalID, Role scalar

	Content         []string
	Statements, HCL string
}

// madeFile is a file that org connect writes.
type madeFile struct {
	name, about string
	content     []byte
}

// files makes them all.
func (c connection) files(m membership) ([]madeFile, error) {
	statements, err := memberStatements(m.policies)
	if err != nil {
		return nil, err
	}
	hcl, err := memberHCL(m.policies)
	if err != nil {
		return nil, err
	}
	member := memberValues{
		ExternalID: scalar(c.externalID), Role: scalar(c.role),
		Content: m.content, Statements: statements, HCL: hcl,
	}
	forward := forwardValues{Switches: c.forwardSwitches(), Rules: forwardRules()}
	if c.hub != "" {
		member.PrincipalARN, forward.BusARN = scalar(c.principalARN()), scalar(c.busARN())
	}
	var out []madeFile
	for _, f := range []struct {
		name, template, about string
		values                any
	}{
		{"hub.yaml", "hub.yaml.tmpl", "the hub: queue, rules, event bus, and what Parry's server may do", c.hubValues()},
		{"forward.yaml", "forward.yaml.tmpl", "rules that forward from other Regions and accounts", forward},
		{"member.yaml", "member.yaml.tmpl", "the role in every member account, as a StackSet", member},
		{"terraform/main.tf", "member.tf.tmpl", "the same role as Terraform", member},
		{"terraform/hub/main.tf", "hub.tf.tmpl", "the same hub as Terraform, with the custom action", c.hubValues()},
	} {
		content, err := fill(f.template, f.values)
		if err != nil {
			return nil, err
		}
		out = append(out, madeFile{f.name, f.about, content})
	}
	return append(out, madeFile{"parry-connect.yaml", "the queue and the rule for the custom action, for parry.yaml", []byte(c.ownText())}), nil
}

func fill(name string, values any) ([]byte, error) {
	const op = "write templates"
	t, err := template.New(name).Option("missingkey=error").Funcs(templateWords()).ParseFS(connectFiles, "connect/"+name)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, values); err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	return out.Bytes(), nil
}

// templateWords are what the templates may call.
func templateWords() template.FuncMap {
	return template.FuncMap{
		"join": strings.Join,
		"hcl":  func(s scalar) string { return quoted(string(s)) },
		"text": func(s string) scalar { return scalar(s) },
		// hclTexts writes what CloudFormation has as a list with commas.
		"hclTexts": func(s scalar) string {
			var out []string
			for _, v := range strings.Split(string(s), ",") {
				if v != "" {
					out = append(out, quoted(v))
				}
			}
			return "[" + strings.Join(out, ", ") + "]"
		},
		"snake":  snake,
		"switch": func(condition string) string { return strings.TrimPrefix(condition, "Takes") },
	}
}

// snake writes a parameter of CloudFormation as Terraform names variables.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' && (name[i-1] < 'A' || name[i-1] > 'Z') {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}

func yesOrNo(on bool) scalar {
	if on {
		return "yes"
	}
	return "no"
}

func (c connection) hubValues() hubValues {
	v := hubValues{
		ServerKind: scalar(c.serverKind), ServerName: scalar(c.serverName), Role: scalar(c.role), Queue: queueName, Action: actionID, Bus: busName, ActionName: actionName, ActionText: actionText,
		Forwarding: scalar(strings.Join(c.foreign(), ",")), Topics: scalar(strings.Join(c.topics, ",")),
	}
	here := c.here(c.hub, c.region)
	for _, d := range detectors() {
		on := slices.ContainsFunc(here, func(h detector) bool { return h.name == d.name })
		v.Switches = append(v.Switches, connectSwitch{d.parameter, "Takes" + d.parameter, yesOrNo(on), scalar("Whether to take " + d.title)})
		v.Rules = append(v.Rules, d.rule())
		if d.everywhere {
			v.Sources = append(v.Sources, d.source)
		}
	}
	v.Sources = append(v.Sources, organizationRule().Sources...)
	v.Switches = append(v.Switches,
		connectSwitch{"FollowOrganization", "FollowsOrganization", yesOrNo(c.sync), "organization.sync.enabled of parry.yaml, with this account as a delegated administrator"},
		connectSwitch{"WriteBack", "WritesBack", yesOrNo(c.writeBack), "sources.hubs[].write_back of parry.yaml"})
	v.Rules = append(v.Rules,
		connectRule{
			Resource: "ActionRule", Name: rulePrefix + "actions", Condition: "TakesSecurityHub", Text: "People ask Parry for a remediation in Security Hub",
			Sources: []string{"aws.securityhub"}, Types: []scalar{"Security Hub Findings - Custom Action", "Security Hub Findings - API Action"},
			Pattern: `resources: [!Sub "arn:${AWS::Partition}:securityhub:${AWS::Region}:${AWS::AccountId}:action/custom/${ActionId}"]`,
		},
		connectRule{Resource: "ForwardedRule", Name: rulePrefix + "forwarded", Text: "What other Regions and accounts forward", Bus: true, Sources: v.Sources})
	return v
}

// rule is the rule for a detector's events.
func (d detector) rule() connectRule {
	r := connectRule{
		Resource: d.parameter + "Rule", Name: rulePrefix + d.name, Condition: "Takes" + d.parameter, Text: scalar(d.title), Sources: []string{d.source},
	}
	for _, t := range d.types {
		r.Types = append(r.Types, scalar(t))
	}
	return r
}

// organizationRule is for what CloudTrail says of AWS Organizations: docs/organization.md.
func organizationRule() connectRule {
	return connectRule{
		Resource: "OrganizationRule", Name: rulePrefix + "organization", Condition: "TakesOrganization", Text: "Accounts that come, move and leave",
		Sources: []string{"aws.organizations"}, Types: []scalar{"AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"},
		Pattern: "detail: {eventSource: [organizations.amazonaws.com]}",
	}
}

func forwardRules() []connectRule {
	var out []connectRule
	for _, d := range detectors() {
		if d.everywhere {
			out = append(out, d.rule())
		}
	}
	return append(out, organizationRule())
}

// forwardSwitches say what is forwarded where nothing else is said: what the hub
// account administers.
func (c connection) forwardSwitches() []connectSwitch {
	var out []connectSwitch
	for _, d := range detectors() {
		if d.everywhere {
			admin, on := c.administrator[d.name]
			out = append(out, connectSwitch{d.parameter, "Takes" + d.parameter, yesOrNo(on && admin == c.hub), scalar("Whether to forward " + d.title)})
		}
	}
	return append(out, connectSwitch{
		"Organization", "TakesOrganization", "no",
		"Whether to forward what happens to accounts; for the management account, in the Region of AWS Organizations",
	})
}

// ruleARNs are the rules that may send to the queue.
func (c connection) ruleARNs() []string {
	var out []string
	for _, r := range c.hubRules() {
		out = append(out, c.ruleARN(r))
	}
	return out
}

// hubRules are those of hub.yaml that are made.
func (c connection) hubRules() []connectRule {
	on := map[string]bool{"": true}
	v := c.hubValues()
	for _, s := range v.Switches {
		on[s.Condition] = s.Default == "yes"
	}
	return slices.DeleteFunc(v.Rules, func(r connectRule) bool { return !on[r.Condition] })
}

func (c connection) ruleARN(r connectRule) string {
	if r.Bus {
		return c.arn("events", c.region, "rule/"+busName+"/"+r.Name)
	}
	return c.arn("events", c.region, "rule/"+r.Name)
}

// ownText is the queue, and the rule for the custom action, as parry.yaml has them.
func (c connection) ownText() string {
	var b strings.Builder
	b.WriteString("# For parry.yaml: the queue of hub.yaml under sources.queues, the rule under bus_rules, beside what is there.\n" +
		"sources:\n  queues:\n")
	fmt.Fprintf(&b, "    - name: %s\n      url: %s\n      region: %s\n", queueName, strconv.Quote(c.queueURL()), strconv.Quote(c.region))
	b.WriteString("      # The accounts and products that it may report for.\n      accounts: [\"*\"]\n")
	fmt.Fprintf(&b, "      products: [%s]\n", strings.Join(c.products(), ", "))
	b.WriteString("      # Whether its findings may be remediated without people; see policies.\n      trusted: false\n" +
		"      # Custom actions, and what happens to accounts, are events that are no findings.\n      events: true\n" +
		"      # What parry doctor holds the queue's policy against.\n      rules:\n")
	for _, arn := range c.ruleARNs() {
		fmt.Fprintf(&b, "        - %s\n", strconv.Quote(arn))
	}
	if !c.on("security-hub") {
		return b.String()
	}
	b.WriteString("bus_rules:\n  # Who chooses \"" + actionName + "\" in Security Hub asks for the playbook that answers the finding.\n" +
		"  - name: remediate-by-hand\n    playbooks: [\"*\"]\n    pattern:\n      source: [aws.securityhub]\n" +
		"      detail-type: [Security Hub Findings - Custom Action]\n")
	fmt.Fprintf(&b, "      resources: [%s]\n", strconv.Quote(c.actionARN()))
	return b.String()
}

// products are those whose findings may come by the queue.
func (c connection) products() []string {
	var out []string
	for _, d := range detectors() {
		if d.product != "" && (c.on(d.name) || c.on("security-hub")) && !slices.Contains(out, d.product) {
			out = append(out, d.product)
		}
	}
	if c.on("security-hub") { // which has theirs too
		out = append(out, "aws/config", "aws/health")
	}
	return out
}
