package awsapi

import (
	"context"
	"net/url"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// Grant is one entry of the closed table of own traffic (design.md decision 2):
// this operation on this resource, from configuration that people approved.
type Grant struct {
	Service   string
	Operation string
	ARN       string
}

// ownMember says where an operation names the resource of a grant.
type ownMember struct {
	member string   // "FindingIdentifiers[].ProductArn": every element counts
	forbid []string // members that would reach elsewhere
	queue  bool     // the member is a queue URL
}

// ownMembers lists the operations that can be granted at all.
func ownMembers(service, operation string) (ownMember, bool) {
	switch service + ":" + operation {
	case "sns:Publish":
		return ownMember{member: "TopicArn", forbid: []string{"TargetArn", "PhoneNumber"}}, true
	case "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:DeleteMessageBatch", "sqs:ChangeMessageVisibility",
		"sqs:ChangeMessageVisibilityBatch", "sqs:GetQueueAttributes":
		return ownMember{member: "QueueUrl", queue: true}, true
	case "securityhub:BatchUpdateFindings":
		return ownMember{member: "FindingIdentifiers[].ProductArn"}, true
	case "securityhub:BatchImportFindings":
		return ownMember{member: "Findings[].ProductArn"}, true
	case "events:PutEvents":
		return ownMember{member: "Entries[].EventBusName", forbid: []string{"EndpointId"}}, true
	case "sqs:SendMessage": // targets of the event bus, and what it could not deliver
		return ownMember{member: "QueueUrl", queue: true}, true
	case "lambda:Invoke":
		return ownMember{member: "FunctionName"}, true
	case "stepfunctions:StartExecution":
		return ownMember{member: "stateMachineArn"}, true
	}
	return ownMember{}, false
}

// OwnTraffic gives a session for exactly these operations on exactly these
// resources. It sends nothing else, not even reads.
func (g *Gate) OwnTraffic(id Identity, grants []Grant) *Session {
	resolved := map[Grant]bool{}
	for _, grant := range grants {
		// A grant is matched in the model's spelling; one that names no known
		// operation matches nothing.
		if svc, op, err := g.cfg.Models.Find(grant.Service, grant.Operation); err == nil {
			resolved[Grant{svc.Name, op.Name, grant.ARN}] = true
		}
	}
	s := &Session{g: g, id: id, mode: ModeOwn}
	s.do = func(ctx context.Context, _ string, r request) (apimodel.Reply, error) {
		if err := granted(resolved, r); err != nil {
			return apimodel.Reply{}, err
		}
		if err := g.checkOwn(ctx, id, r); err != nil {
			return apimodel.Reply{}, err
		}
		return g.send(ctx, id, r)
	}
	return s
}

func granted(grants map[Grant]bool, r request) error {
	op := "call " + r.Service + ":" + r.Operation
	table, ok := ownMembers(r.Service, r.Operation)
	if !ok {
		return fault.Errorf(fault.Denied, op, "this operation cannot be own traffic").
			WithHint("own traffic is a closed table; anything else needs an approved plan")
	}
	for _, m := range table.forbid {
		if _, there := r.Input[m]; there {
			return fault.Errorf(fault.Denied, op, "own traffic may not use %s", m)
		}
	}
	names := membersAt(r.Input, strings.Split(table.member, "."))
	if len(names) == 0 {
		return fault.Errorf(fault.Denied, op, "%s is missing", table.member)
	}
	for _, n := range names {
		arn, _ := n.(string)
		if table.queue {
			arn = queueARN(arn, r.Region)
		}
		if arn == "" || !grants[Grant{r.Service, r.Operation, arn}] {
			return fault.Errorf(fault.Denied, op, "no own-traffic grant for the resource in %s", table.member).
				WithHint("grants follow from the configured queues, topics and products in parry.yaml")
		}
	}
	return nil
}

// membersAt follows a path of member names; "[]" after a name takes every
// element. An element without the member gives nil, which no grant names.
func membersAt(v any, path []string) []any {
	if len(path) == 0 {
		return []any{v}
	}
	m, _ := v.(map[string]any)
	member, each := strings.CutSuffix(path[0], "[]")
	if !each {
		return membersAt(m[member], path[1:])
	}
	list, ok := m[member].([]any)
	if !ok {
		return []any{nil}
	}
	var out []any
	for _, x := range list {
		out = append(out, membersAt(x, path[1:])...)
	}
	return out
}

// queueARN gives the ARN of the queue that a queue URL names in region; "" for
// what is no queue URL.
func queueARN(queueURL, region string) string {
	u, err := url.Parse(queueURL)
	if err != nil || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 2 || parts[0] == "" || parts[1] == "" {
		return ""
	}
	return "arn:" + apimodel.Partition(region) + ":sqs:" + region + ":" + parts[0] + ":" + parts[1]
}
