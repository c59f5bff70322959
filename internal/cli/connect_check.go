package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/ingest/sqs"
)

// The states of what is connected.
const (
	connected = "connected"
	missing   = "missing"
	differs   = "differs"
	unknown   = "unknown" // AWS did not tell, or was not asked
)

// maxTriedAccounts is in how many accounts the role is tried: a server tries all of
// them, parry org coverage shows it.
const maxTriedAccounts = 20

// link is one part of the connection, as AWS has it.
type link struct {
	Part   string `json:"part"`
	Where  string `json:"where"`
	State  string `json:"state"`
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

// checkConnection asks AWS what is there, and exits 3 where something is not.
func (s *shared) checkConnection(ctx context.Context, cfg config.Config, c connection) error {
	if c.hub == "" {
		return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "the hub account is not known: organization.hub_account is not set").
			WithHint("write a parry.yaml: parry init"))
	}
	ask, end, err := s.readingEach(ctx, cfg, "")
	if err != nil {
		return err
	}
	defer end()
	k := &checker{c: c, ask: ask}
	if err := k.credentials(); err != nil {
		return err
	}
	k.queueThere()
	k.collected()
	k.bus()
	for _, r := range c.hubRules() {
		bus, target := "", c.queueARN()
		if r.Bus {
			bus = busName
		}
		k.rule(r, c.region, bus, target, "hub.yaml", c.hub)
	}
	k.forwarding()
	if c.on("security-hub") {
		k.aggregation()
		k.action()
	}
	s.tryRole(ctx, cfg, k)
	if err := s.print(s.Out, map[string]any{"links": k.links}, func() grid {
		g := grid{header: []string{"part", "where", "state", "detail", "next"}}
		for _, l := range k.links {
			g.rows = append(g.rows, []string{l.Part, l.Where, l.State, l.Detail, l.Next})
		}
		return g
	}); err != nil {
		return err
	}
	if slices.ContainsFunc(k.links, func(l link) bool { return l.State == missing || l.State == differs }) {
		return exit(ExitFailing, nil)
	}
	return nil
}

// readingEach is reading with a limit for each call: there are many.
func (s *shared) readingEach(ctx context.Context, cfg config.Config, role string) (asker, func(), error) {
	cfg.Organization.MemberRole = role
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return nil, nil, err
	}
	return func(call apimodel.Call) (map[string]any, error) {
		limited, cancel := context.WithTimeout(ctx, credentialLimit)
		defer cancel()
		result, err := caller.Call(limited, call, true, false)
		return result.Output, err
	}, caller.Close, nil
}

// checker collects what is found.
type checker struct {
	c     connection
	ask   asker
	links []link
}

func (k *checker) add(part, where, state, detail, next string) {
	if state == connected {
		next = ""
	}
	k.links = append(k.links, link{part, where, state, detail, next})
}

// hubWhere names the hub's own place.
func (k *checker) hubWhere() string { return k.c.hub + " " + k.c.region }

const deployAgain = "deploy %s: parry org connect prints the command"

// absent reports whether AWS says that there is none.
func absent(err error) bool {
	var e *apimodel.APIError
	return errors.As(err, &e) && slices.Contains([]string{"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "ResourceNotFoundException"}, e.Code)
}

// failed adds what could not be read: what is not there is missing, the rest unknown.
func (k *checker) failed(part, where, file, permission string, err error) {
	if absent(err) {
		k.add(part, where, missing, "there is none", fmt.Sprintf(deployAgain, file))
		return
	}
	k.add(part, where, unknown, err.Error(), "let Parry's principal call "+permission)
}

// credentials must be the hub account's: another account's queue is none of ours.
func (k *checker) credentials() error {
	out, err := k.ask(apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Input: map[string]any{}})
	if err != nil {
		return err
	}
	if account, _ := out["Account"].(string); account != k.c.hub {
		return fault.Errorf(fault.Invalid, "", "these AWS credentials are of account %s, organization.hub_account is %s", printable(account), k.c.hub).
			WithHint("use credentials of the hub account: AWS_PROFILE, or another way of AWS's default chain")
	}
	return nil
}

func (k *checker) queueThere() {
	const part = "queue " + queueName
	url, err := k.ask(apimodel.Call{Service: "sqs", Operation: "GetQueueUrl", Region: k.c.region, Input: map[string]any{"QueueName": queueName}})
	if err != nil {
		k.failed(part, k.hubWhere(), "hub.yaml", "sqs:GetQueueUrl on "+k.c.queueARN(), err)
		return
	}
	address, _ := url["QueueUrl"].(string)
	out, err := k.ask(apimodel.Call{Service: "sqs", Operation: "GetQueueAttributes", Region: k.c.region, Input: map[string]any{"QueueUrl": address, "AttributeNames": []any{"All"}}})
	if err != nil {
		k.failed(part, k.hubWhere(), "hub.yaml", "sqs:GetQueueAttributes on "+k.c.queueARN(), err)
		return
	}
	attributes, _ := out["Attributes"].(map[string]any)
	state, detail := k.judgeAttributes(attributes)
	k.add(part, k.hubWhere(), state, detail, fmt.Sprintf(deployAgain, "hub.yaml"))
}

// judgeAttributes holds a queue against the template.
func (k *checker) judgeAttributes(attributes map[string]any) (state, detail string) {
	policy, _ := attributes["Policy"].(string)
	admitted, err := sqs.Admits(policy)
	if err != nil {
		return differs, err.Error()
	}
	problems := admitted.Problems
	wanted := k.c.ruleARNs()
	for _, arn := range admitted.Rules {
		if !slices.Contains(wanted, arn) {
			problems = append(problems, "rule "+arn+" may send")
		}
	}
	for _, arn := range wanted {
		if !slices.Contains(admitted.Rules, arn) {
			problems = append(problems, "rule "+arn[strings.LastIndex(arn, "/")+1:]+" may not send")
		}
	}
	for _, arn := range admitted.Topics {
		problems = append(problems, "topic "+arn+" may send")
	}
	if managed, _ := attributes["SqsManagedSseEnabled"].(string); managed != "true" {
		if key, _ := attributes["KmsMasterKeyId"].(string); key == "" {
			problems = append(problems, "it is not encrypted")
		}
	}
	if redrive, _ := attributes["RedrivePolicy"].(string); redrive == "" {
		problems = append(problems, "it has no queue for dead letters")
	}
	if len(problems) > 0 {
		return differs, strings.Join(problems, "; ")
	}
	return connected, fmt.Sprintf("encrypted, with dead letters; %s may send, nobody else", counts(len(wanted), "rule"))
}

// collected says whether the server reads the queue.
func (k *checker) collected() {
	const part = "parry.yaml"
	next := "put parry-connect.yaml, which parry org connect writes, into parry.yaml"
	q := k.c.queue
	switch {
	case q == nil || q.ARN() != k.c.queueARN():
		k.add(part, "sources.queues", missing, "the queue is not collected from", next)
	case !q.Events:
		k.add(part, "sources.queues", differs, "events is false: custom actions, and what happens to accounts, are not heard", next)
	default:
		k.add(part, "sources.queues", connected, "collected as "+q.Name, "")
	}
}

func (k *checker) bus() {
	part := "event bus " + busName
	out, err := k.ask(apimodel.Call{Service: "events", Operation: "DescribeEventBus", Region: k.c.region, Input: map[string]any{"Name": busName}})
	if err != nil {
		k.failed(part, k.hubWhere(), "hub.yaml", "events:DescribeEventBus on "+k.c.busARN(), err)
		return
	}
	policy, _ := out["Policy"].(string)
	var absent []string
	for _, account := range k.c.foreign() {
		if !strings.Contains(policy, account) {
			absent = append(absent, account)
		}
	}
	if len(absent) > 0 {
		k.add(part, k.hubWhere(), differs, "its policy does not admit "+strings.Join(absent, ", "), fmt.Sprintf(deployAgain, "hub.yaml"))
		return
	}
	detail := "takes what this account forwards"
	if n := len(k.c.foreign()); n > 0 {
		detail += ", and " + counts(n, "other account")
	}
	k.add(part, k.hubWhere(), connected, detail, "")
}

// rule holds a rule against the template: enabled, with its pattern and its target.
func (k *checker) rule(r connectRule, region, bus, target, file, account string) {
	part, where := "rule "+r.Name, account+" "+region
	in := map[string]any{"Name": r.Name}
	targets := map[string]any{"Rule": r.Name}
	if bus != "" {
		in["EventBusName"], targets["EventBusName"] = bus, bus
	}
	out, err := k.ask(apimodel.Call{Service: "events", Operation: "DescribeRule", Region: region, Input: in})
	if err != nil {
		k.failed(part, where, file, "events:DescribeRule on the rules parry-* of "+account, err)
		return
	}
	list, err := k.ask(apimodel.Call{Service: "events", Operation: "ListTargetsByRule", Region: region, Input: targets})
	if err != nil {
		k.failed(part, where, file, "events:ListTargetsByRule on the rules parry-* of "+account, err)
		return
	}
	state, detail := r.judge(out, list, target, k.c)
	k.add(part, where, state, detail, fmt.Sprintf(deployAgain, file))
}

// judge holds what AWS says of a rule against what it should be.
func (r connectRule) judge(rule, targets map[string]any, target string, c connection) (state, detail string) {
	var problems []string
	if on, _ := rule["State"].(string); !strings.HasPrefix(on, "ENABLED") {
		problems = append(problems, "it is disabled")
	}
	pattern, _ := rule["EventPattern"].(string)
	var got any
	if json.Unmarshal([]byte(pattern), &got) != nil || !reflect.DeepEqual(got, r.pattern(c)) {
		problems = append(problems, "its pattern is another one")
	}
	list, _ := targets["Targets"].([]any)
	if !slices.ContainsFunc(list, func(v any) bool {
		m, _ := v.(map[string]any)
		return m["Arn"] == target && m["InputTransformer"] == nil && m["Input"] == nil && m["InputPath"] == nil
	}) {
		problems = append(problems, "it does not send whole events to "+target[strings.LastIndexAny(target, ":/")+1:])
	}
	if len(problems) > 0 {
		return differs, strings.Join(problems, "; ")
	}
	return connected, "sends to " + target[strings.LastIndexAny(target, ":/")+1:]
}

// pattern is the rule's event pattern, as JSON has it.
func (r connectRule) pattern(c connection) any {
	out := map[string]any{"source": anyList(r.Sources)}
	if len(r.Types) > 0 {
		types := make([]any, len(r.Types))
		for i, t := range r.Types {
			types[i] = string(t)
		}
		out["detail-type"] = types
	}
	switch r.Resource {
	case "ActionRule":
		out["resources"] = []any{c.actionARN()}
	case "OrganizationRule":
		out["detail"] = map[string]any{"eventSource": []any{"organizations.amazonaws.com"}}
	}
	return out
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

// forwarding looks at the rules of other Regions. Other accounts are not entered: the
// member role may not look at rules.
func (k *checker) forwarding() {
	for _, f := range k.c.forwarders() {
		if f.account != k.c.hub {
			what := f.stackName()
			k.add("stack "+what, f.account+" "+strings.Join(f.regions, " "), unknown, "not asked: it is in another account",
				"with its credentials: aws cloudformation describe-stacks --stack-name "+what+" --region "+f.regions[0])
			continue
		}
		for _, region := range f.regions {
			for _, d := range f.services {
				k.rule(d.rule(), region, "", k.c.busARN(), "forward.yaml", f.account)
			}
		}
	}
}

// aggregation says whether the hub's Region is where Security Hub gathers.
func (k *checker) aggregation() {
	const part = "aggregation"
	next := "set it up in Security Hub, or name its Region: parry org connect --region"
	out, err := k.ask(apimodel.Call{Service: "securityhub", Operation: "ListFindingAggregators", Region: k.c.region, Input: map[string]any{}})
	if err != nil {
		k.add(part, k.hubWhere(), unknown, err.Error(), "let Parry's principal call securityhub:ListFindingAggregators")
		return
	}
	list, _ := out["FindingAggregators"].([]any)
	if len(list) == 0 {
		state, detail := connected, "none, and there is one Region"
		if len(k.c.regions) > 1 {
			state, detail = missing, "Security Hub gathers no other Region's findings"
		}
		k.add(part, k.hubWhere(), state, detail, next)
		return
	}
	first, _ := list[0].(map[string]any)
	out, err = k.ask(apimodel.Call{Service: "securityhub", Operation: "GetFindingAggregator", Region: k.c.region, Input: map[string]any{"FindingAggregatorArn": first["FindingAggregatorArn"]}})
	if err != nil {
		k.add(part, k.hubWhere(), unknown, err.Error(), "let Parry's principal call securityhub:GetFindingAggregator")
		return
	}
	home, _ := out["FindingAggregationRegion"].(string)
	if home != k.c.region {
		k.add(part, k.hubWhere(), differs, "Security Hub gathers in "+home, "parry org connect --region "+shellWord(home))
		return
	}
	mode, _ := out["RegionLinkingMode"].(string)
	linked, _ := out["Regions"].([]any)
	var apart []string
	for _, r := range k.c.regions {
		in := slices.Contains(linked, any(r))
		if r != home && (mode == "NO_REGIONS" || mode == "SPECIFIED_REGIONS" && !in || mode == "ALL_REGIONS_EXCEPT_SPECIFIED" && in) {
			apart = append(apart, r)
		}
	}
	if len(apart) > 0 {
		k.add(part, k.hubWhere(), differs, "Security Hub does not gather the findings of "+strings.Join(apart, ", "), "link these Regions in Security Hub")
		return
	}
	k.add(part, k.hubWhere(), connected, "Security Hub gathers here", "")
}

func (k *checker) action() {
	const part = "custom action"
	_, err := k.ask(apimodel.Call{Service: "securityhub", Operation: "DescribeActionTargets", Region: k.c.region, Input: map[string]any{"ActionTargetArns": []any{k.c.actionARN()}}})
	switch {
	case err == nil:
		k.add(part, k.hubWhere(), connected, actionName, "")
	case absent(err):
		k.add(part, k.hubWhere(), missing, "there is none with the id "+actionID, "make it: parry org connect prints the command")
	default:
		k.add(part, k.hubWhere(), unknown, err.Error(), "let Parry's principal call securityhub:DescribeActionTargets")
	}
}

// tryRole takes the member role in the accounts that parry.yaml lists.
func (s *shared) tryRole(ctx context.Context, cfg config.Config, k *checker) {
	if len(k.c.accounts) == 0 {
		k.add("role "+k.c.role, "members", unknown, "not tried: parry.yaml lists no account", "parry org coverage, of a server that follows the organization")
		return
	}
	ask, end, err := s.readingEach(ctx, cfg, cfg.Organization.MemberRole)
	if err != nil {
		k.add("role "+k.c.role, "members", unknown, err.Error(), fault.HintOf(err))
		return
	}
	defer end()
	for i, account := range k.c.accounts {
		if i == maxTriedAccounts {
			k.add("role "+k.c.role, "members", unknown, fmt.Sprintf("%d more accounts are not tried", len(k.c.accounts)-i), "parry org coverage")
			return
		}
		_, err := ask(apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Account: account, Region: k.c.region, Input: map[string]any{}})
		switch {
		case err == nil:
			k.add("role "+k.c.role, account, connected, "can be taken, with external id and source identity", "")
		case fault.Is(err, fault.Denied):
			k.add("role "+k.c.role, account, missing, err.Error(), fmt.Sprintf(deployAgain, "member.yaml")+"; or compare the external id")
		default:
			k.add("role "+k.c.role, account, unknown, err.Error(), fault.HintOf(err))
		}
	}
}
