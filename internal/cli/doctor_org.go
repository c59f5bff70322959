package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/ingest/sqs"
)

// asker makes reads as the server makes them.
type asker func(call apimodel.Call) (map[string]any, error)

// reading opens a gate for reads as role, "" = with the process's own credentials.
func (s *shared) reading(ctx context.Context, cfg config.Config, role string) (asker, func(), error) {
	cfg.Organization.MemberRole = role
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, credentialLimit)
	return func(call apimodel.Call) (map[string]any, error) {
		result, err := caller.Call(ctx, call, true, false)
		return result.Output, err
	}, func() { cancel(); caller.Close() }, nil
}

// checkOrganization reads the head of the organization as the server does.
func (s *shared) checkOrganization(ctx context.Context, cfg config.Config) check {
	const name = "organization"
	o := cfg.Organization
	if !o.Sync.Enabled {
		return check{Name: name, Status: checkOK, Detail: fmt.Sprintf("not followed: %d accounts are listed in parry.yaml", len(o.Accounts))}
	}
	reader := app.OrganizationReader(o, "")
	ask, end, err := s.reading(ctx, cfg, reader.Role)
	if err != nil {
		return failing(name, err)
	}
	defer end()
	who := "Parry's own principal"
	if reader.Role != "" {
		who = "role " + reader.Role + " in account " + o.Sync.Account
	}
	var described map[string]any
	for _, operation := range []string{"DescribeOrganization", "ListRoots"} {
		out, err := ask(apimodel.Call{Service: "organizations", Operation: operation, Account: o.Sync.Account, Region: o.HomeRegion, Input: map[string]any{}})
		if err != nil {
			return check{
				Name: name, Status: checkFailing, Detail: fmt.Sprintf("cannot be read as %s: %v", who, err),
				Next: "let it call organizations:Describe* and organizations:List*, from the management account or a delegated administrator; or name such an account in organization.sync.account",
			}
		}
		if described == nil {
			described, _ = out["Organization"].(map[string]any)
		}
	}
	if management, _ := described["MasterAccountId"].(string); management != o.ManagementAccount {
		return check{Name: name, Status: checkFailing, Detail: fmt.Sprintf("its management account is %s, organization.management_account is %s", management, o.ManagementAccount), Next: "set the right one, or use credentials of the right organization"}
	}
	return check{Name: name, Status: checkOK, Detail: fmt.Sprintf("%v can be read as %s", described["Id"], who)}
}

// checkQueue holds the policy of a queue against what design 7 asks for: only the rules
// that are named may send.
func (s *shared) checkQueue(ctx context.Context, cfg config.Config, q config.QueueSource) check {
	name := "queue " + q.Name
	ask, end, err := s.reading(ctx, cfg, "")
	if err != nil {
		return failing(name, err)
	}
	defer end()
	out, err := ask(apimodel.Call{Service: "sqs", Operation: "GetQueueAttributes", Region: q.Region, Input: map[string]any{"QueueUrl": q.URL, "AttributeNames": []any{"Policy"}}})
	if err != nil {
		return check{Name: name, Status: checkWarning, Detail: "its policy cannot be read: " + err.Error(), Next: "let Parry's principal call sqs:GetQueueAttributes on " + q.ARN()}
	}
	attributes, _ := out["Attributes"].(map[string]any)
	policy, _ := attributes["Policy"].(string)
	admitted, err := sqs.Admits(policy)
	if err != nil {
		return failing(name, err)
	}
	return judgeQueue(name, q, policy, admitted)
}

func judgeQueue(name string, q config.QueueSource, policy string, a sqs.Admission) check {
	rules := q.Rules
	if len(rules) == 0 {
		rules = []string{"ARN-OF-THE-RULE"}
	}
	wanted := "set its policy to " + sqs.Policy(q.ARN(), rules)
	for _, arn := range a.Rules {
		if len(q.Rules) > 0 && !slices.Contains(q.Rules, arn) {
			a.Problems = append(a.Problems, "rule "+arn+" may send, which sources.queues does not name")
		}
	}
	missing := slices.DeleteFunc(slices.Clone(q.Rules), func(arn string) bool { return slices.Contains(a.Rules, arn) })
	switch {
	case len(a.Problems) > 0:
		return check{Name: name, Status: checkFailing, Detail: strings.Join(a.Problems, "; ") + ": whoever can send to it reports what it may report", Next: wanted}
	case policy == "" || len(a.Rules)+len(a.Topics) == 0:
		return check{Name: name, Status: checkWarning, Detail: "its policy lets no rule send to it", Next: wanted}
	case len(missing) > 0:
		return check{Name: name, Status: checkWarning, Detail: "its policy does not admit " + strings.Join(missing, ", "), Next: wanted}
	case len(a.Topics) > 0:
		return check{Name: name, Status: checkWarning, Detail: "its policy admits " + strings.Join(append(a.Rules, a.Topics...), ", "), Next: "see who may publish to the topic: they may send too"}
	case len(q.Rules) == 0:
		return check{Name: name, Status: checkOK, Detail: "its policy admits " + strings.Join(a.Rules, ", ") + " alone", Next: "name them in sources.queues[].rules, so that another one is noticed"}
	}
	return check{Name: name, Status: checkOK, Detail: "its policy admits the named rules alone"}
}
