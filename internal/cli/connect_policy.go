package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// ownCalls are what --apply itself asks and sends, by what it is about.
func ownCalls() map[string][]string {
	return map[string][]string{
		"stack":    {"CreateChangeSet", "DeleteChangeSet", "DescribeChangeSet", "DescribeStackEvents", "DescribeStacks", "ExecuteChangeSet", "ListStackResources"},
		"stackset": {"CreateStackInstances", "CreateStackSet", "DescribeStackSet", "DescribeStackSetOperation", "ListStackInstances", "ListStackSetOperationResults", "ListStackSetOperations", "UpdateStackSet"},
	}
}

// madeActions is what CloudFormation needs for each type of the templates of the hub, to
// make, change and, where it rolls back, delete it: it has the permissions of whoever
// carries a change set out. A StackSet's stacks are made by a role of AWS's own.
func madeActions() map[string][]string {
	return map[string][]string{
		"AWS::SQS::Queue": {
			"sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue",
		},
		"AWS::SQS::QueuePolicy": {"sqs:GetQueueAttributes", "sqs:SetQueueAttributes"},
		"AWS::Events::EventBus": {
			"events:CreateEventBus", "events:DeleteEventBus", "events:DescribeEventBus", "events:ListTagsForResource", "events:TagResource", "events:UntagResource", "events:UpdateEventBus",
		},
		"AWS::Events::EventBusPolicy": {"events:DescribeEventBus", "events:PutPermission", "events:RemovePermission"},
		"AWS::Events::Rule": {
			"events:DeleteRule", "events:DescribeRule", "events:DisableRule", "events:EnableRule", "events:ListTagsForResource", "events:ListTargetsByRule", "events:PutRule", "events:PutTargets",
			"events:RemoveTargets", "events:TagResource", "events:UntagResource",
		},
		"AWS::IAM::Role": {
			"iam:CreateRole", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies", "iam:PassRole", "iam:PutRolePolicy",
			"iam:TagRole", "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
		},
		"AWS::IAM::InstanceProfile": {
			"iam:AddRoleToInstanceProfile", "iam:CreateInstanceProfile", "iam:DeleteInstanceProfile", "iam:GetInstanceProfile", "iam:PassRole", "iam:RemoveRoleFromInstanceProfile",
		},
		"AWS::IAM::ManagedPolicy": {
			"iam:AttachRolePolicy", "iam:AttachUserPolicy", "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:DetachRolePolicy",
			"iam:DetachUserPolicy", "iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListEntitiesForPolicy", "iam:ListPolicyVersions",
		},
	}
}

// applyGrants is what the credentials of --apply need: in any account that is connected,
// on what has the names that the templates give or CloudFormation makes of the stacks'.
func (c connection) applyGrants() []apimodel.Grant {
	partition, account := apimodel.Partition(c.region), cmp.Or(c.hub, "*")
	if len(c.forwarders()) > 0 { // in other accounts too
		for _, f := range c.forwarders() {
			if f.account != c.hub {
				account = "*"
			}
		}
	}
	arn := func(service, region, resource string) string {
		return strings.Join([]string{"arn", partition, service, region, account, resource}, ":")
	}
	anywhere := map[string][]string{
		"sqs": {arn("sqs", "*", queueName+"*"), arn("sqs", "*", "parry-*-DeadQueue-*")},
		"events": {
			arn("events", "*", "event-bus/"+busName), arn("events", "*", "rule/"+rulePrefix+"*"), arn("events", "*", "rule/"+busName+"/"+rulePrefix+"*"),
		},
		"iam": {
			arn("iam", "", "role/"+c.serverName), arn("iam", "", "user/"+c.serverName), arn("iam", "", "instance-profile/"+c.serverName),
			arn("iam", "", "policy/parry-hub-ServerPolicy-*"), arn("iam", "", "role/parry-*-Role-*"),
		},
	}
	out := []apimodel.Grant{{Action: "sts:GetCallerIdentity", Resources: []string{"*"}}}
	add := func(action string, resources ...string) {
		slices.Sort(resources)
		if !slices.ContainsFunc(out, func(g apimodel.Grant) bool { return g.Action == action }) {
			out = append(out, apimodel.Grant{Action: action, Resources: resources})
		}
	}
	for _, op := range ownCalls()["stack"] {
		add("cloudformation:"+op, arn("cloudformation", "*", "stack/parry-*/*"))
	}
	// A stack set is the management account's, who ever makes it; a public type is nobody's.
	// Making one cannot be limited to a name.
	elsewhere := func(resource string) string {
		return "arn:" + partition + ":cloudformation:*:*:" + resource
	}
	add("cloudformation:CreateStackSet", "*")
	add("organizations:ListDelegatedAdministrators", "*") // for who is one
	for _, op := range ownCalls()["stackset"] {
		add("cloudformation:"+op, elsewhere("stackset/"+stackSetName+":*"), elsewhere("stackset-target/"+stackSetName+":*"), elsewhere("type/resource/AWS-IAM-*"))
	}
	if c.on("security-hub") {
		hub := arn("securityhub", "*", "hub/default")
		add("securityhub:CreateActionTarget", hub)
		add("securityhub:DescribeActionTargets", hub)
	}
	for _, actions := range madeActions() {
		for _, action := range actions {
			service, _, _ := strings.Cut(action, ":")
			add(action, slices.Clone(anywhere[service])...)
		}
	}
	slices.SortFunc(out, func(a, b apimodel.Grant) int { return strings.Compare(a.Action, b.Action) })
	return out
}

// printApplyPolicy prints the policy for whoever runs --apply.
func (s *shared) printApplyPolicy(c connection) error {
	return s.writePolicies(policyFlags{as: "json", name: "ParryConnect"}, c.applyGrants())
}
