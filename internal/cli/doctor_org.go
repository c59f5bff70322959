package cli

import (
	"context"
	"encoding/json"
	"errors"
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

// checkQueue asks a queue for what it is: it is there, only the rules that are named may
// send to it, what cannot be read is kept aside, and Parry may receive.
func (s *shared) checkQueue(ctx context.Context, cfg config.Config, q config.QueueSource) check {
	name := "queue " + q.Name
	ask, end, err := s.reading(ctx, cfg, "")
	if err != nil {
		return failing(name, err)
	}
	defer end()
	out, err := ask(apimodel.Call{Service: "sqs", Operation: "GetQueueAttributes", Region: q.Region, Input: map[string]any{"QueueUrl": q.URL, "AttributeNames": []any{"All"}}})
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api) && strings.Contains(api.Code, "NonExistentQueue"), errors.As(err, &api) && strings.Contains(api.Code, "QueueDoesNotExist"):
		return check{Name: name, Status: checkFailing, Detail: "there is no queue " + q.URL, Next: "make it, or correct url in sources.queues: docs/sources.md"}
	case err != nil:
		return check{Name: name, Status: checkWarning, Detail: "it cannot be looked at: " + err.Error(), Next: "let Parry's principal call sqs:GetQueueAttributes on " + q.ARN()}
	}
	attributes, _ := out["Attributes"].(map[string]any)
	text := func(member string) string { v, _ := attributes[member].(string); return v }
	policy := text("Policy")
	admitted, err := sqs.Admits(policy)
	if err != nil {
		return failing(name, err)
	}
	c := judgeQueue(name, q, policy, admitted)
	if c.Status == checkFailing {
		return c
	}
	if more := judgeAttributes(q, text); more.Status != "" {
		more.Name = name
		return worse(c, more)
	}
	if text("ApproximateNumberOfMessages") != "0" || text("ApproximateNumberOfMessagesNotVisible") != "0" {
		c.Detail += "; messages are waiting or being read, so receiving was not tried"
		return c
	}
	return s.tryReceive(ctx, cfg, q, c)
}

// tryReceive asks an empty queue for a message: one that has some would count it as an
// attempt to deliver it.
func (s *shared) tryReceive(ctx context.Context, cfg config.Config, q config.QueueSource, c check) check {
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		return failing(c.Name, err)
	}
	defer caller.Close()
	ctx, cancel := context.WithTimeout(ctx, credentialLimit)
	defer cancel()
	if err := caller.AskQueue(ctx, q); err != nil {
		return check{
			Name: c.Name, Status: checkFailing, Detail: "it cannot be read: " + err.Error(),
			Next: "let Parry's principal call sqs:ReceiveMessage, sqs:DeleteMessage and sqs:ChangeMessageVisibility on " + q.ARN(),
		}
	}
	c.Detail += "; it can be read"
	return c
}

// judgeAttributes says what of a queue loses messages; no status is nothing.
func judgeAttributes(q config.QueueSource, text func(string) string) check {
	if key := text("KmsMasterKeyId"); strings.Contains(key, "alias/aws/") {
		return check{Status: checkFailing, Detail: "it is encrypted by the key " + key + ", which EventBridge may not use: nothing arrives", Next: "encrypt it by SQS's own key (SSE-SQS), or by a key whose policy admits events.amazonaws.com"}
	}
	var redrive struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if json.Unmarshal([]byte(text("RedrivePolicy")), &redrive) != nil || redrive.Target == "" {
		return check{
			Status: checkWarning, Detail: "it has no dead-letter queue: a message that no node can take in is tried until its retention ends, and is then lost",
			Next: "make a queue for dead letters and set RedrivePolicy of " + q.ARN() + ` to {"deadLetterTargetArn":"ARN","maxReceiveCount":10}`,
		}
	}
	return check{}
}

// worse gives the worse of two findings about one thing, with both details.
func worse(a, b check) check {
	if a.Status == checkOK {
		return b
	}
	if b.Status == checkFailing {
		a, b = b, a
	}
	a.Detail += "; " + b.Detail
	a.Next += "; " + b.Next
	return a
}

// checkHub asks a Security Hub for one finding.
func (s *shared) checkHub(ctx context.Context, cfg config.Config, h config.HubSource) check {
	name, role := "hub "+h.Name, ""
	if h.Account != "" && h.Account != cfg.Organization.HubAccount {
		role = cfg.Organization.MemberRole
	}
	ask, end, err := s.reading(ctx, cfg, role)
	if err != nil {
		return failing(name, err)
	}
	defer end()
	_, err = ask(apimodel.Call{Service: "securityhub", Operation: "GetFindings", Account: h.Account, Region: h.Region, Input: map[string]any{"MaxResults": 1}})
	var api *apimodel.APIError
	switch {
	case errors.As(err, &api) && api.Code == "InvalidAccessException":
		return check{Name: name, Status: checkFailing, Detail: "Security Hub is not on in " + h.Region + ": " + err.Error(), Next: "turn Security Hub on there, or correct region and account in sources.hubs"}
	case err != nil:
		return check{Name: name, Status: checkFailing, Detail: "it cannot be read: " + err.Error(), Next: "let Parry's principal call securityhub:GetFindings there"}
	}
	return check{Name: name, Status: checkOK, Detail: "its findings in " + h.Region + " can be read"}
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
