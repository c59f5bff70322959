package awsapi

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

// behind says of operations whose input does not name all that they touch, which
// read shows it: the roles that a policy is attached to, the users of a group,
// the resources of a stack. What cannot be read is not let pass.
type behind struct {
	service string
	ops     []string
	member  string // names the thing, in the operation's input and in the read's
	read    string
	text    bool // the answer holds templates, not names alone
}

var behinds = []behind{
	{"iam", []string{"CreatePolicyVersion", "DeletePolicy", "DeletePolicyVersion", "SetDefaultPolicyVersion"}, "PolicyArn", "ListEntitiesForPolicy", false},
	{"iam", []string{"DeleteInstanceProfile"}, "InstanceProfileName", "GetInstanceProfile", false},
	{"iam", []string{"AttachGroupPolicy", "DetachGroupPolicy", "PutGroupPolicy", "DeleteGroupPolicy", "DeleteGroup", "UpdateGroup"}, "GroupName", "GetGroup", false},
	{"cloudformation", []string{
		"UpdateStack", "DeleteStack", "CreateChangeSet", "ExecuteChangeSet", "RollbackStack", "ContinueUpdateRollback", "CancelUpdateStack", "SetStackPolicy",
		"UpdateTerminationProtection", "SignalResource",
	}, "StackName", "ListStackResources", false},
	{"cloudformation", []string{
		"UpdateStackSet", "DeleteStackSet", "CreateStackInstances", "UpdateStackInstances", "DeleteStackInstances", "ImportStacksToStackSet",
	}, "StackSetName", "DescribeStackSet", true},
}

// maxBehind bounds the pages of one such read.
const maxBehind = 20

// checkBehind refuses a change that would touch what is Parry's own, or for
// emergencies, through something else.
func (g *Gate) checkBehind(ctx context.Context, id Identity, r request) error {
	if r.class == apimodel.Read {
		return nil
	}
	s := g.subject(id, r)
	if err := g.checkSelf(ctx, s); err != nil {
		return err
	}
	if err := g.checkAliases(ctx, s); err != nil {
		return err
	}
	i := slices.IndexFunc(behinds, func(b behind) bool { return b.service == r.Service && slices.Contains(b.ops, r.Operation) })
	if i < 0 || len(g.guard.own) == 0 {
		return nil
	}
	b := behinds[i]
	name, _ := r.Input[b.member].(string)
	if name == "" || placeholder.MatchString(name) {
		return refuse(s, "own roles", "it does not say by "+b.member+" what it is about", "organization.member_role")
	}
	answers, err := g.lookUpAll(ctx, id, apimodel.Call{
		Service: b.service, Operation: b.read, Account: r.Account, Region: r.Region, Input: map[string]any{b.member: name},
	})
	switch {
	case isAbsent(err):
		return nil
	case err != nil:
		return refuse(s, "own roles", fmt.Sprintf("what is behind %s cannot be read: %v", name, err), "organization.member_role")
	}
	for _, t := range g.guard.own {
		found := func(_, text string, _ bool) bool {
			return t.isNamed(text) || b.text && t.hasWord(text) || t.arn != "" && containsARN(text, t.arn)
		}
		if anyText(answers, found) {
			return refuse(s, t.guard, "behind "+name+" is "+t.shown(), t.setting)
		}
	}
	return nil
}

// lookUpAll reads every page of a listing, without what is about the answer itself.
func (g *Gate) lookUpAll(ctx context.Context, id Identity, c apimodel.Call) ([]any, error) {
	var out []any
	for range maxBehind {
		reply, err := g.lookUp(ctx, id, c)
		if err != nil {
			return nil, err
		}
		next := ""
		for _, token := range []string{"NextToken", "Marker"} {
			if next, _ = reply.Output[token].(string); next != "" {
				c = c.Clone()
				c.Input[token] = next
				break
			}
		}
		for k, v := range reply.Output {
			if k != "ResponseMetadata" {
				out = append(out, v)
			}
		}
		if next == "" {
			return out, nil
		}
	}
	return nil, fmt.Errorf("%s:%s has more than %d pages", c.Service, c.Operation, maxBehind)
}

// checkSelf keeps changes away from the role or user that this process itself is.
func (g *Gate) checkSelf(ctx context.Context, s *subject) error {
	if s.Service != "iam" {
		return nil
	}
	arn, err := g.creds.processARN(ctx)
	if err != nil {
		return refuse(s, "own roles", fmt.Sprintf("which role this process has cannot be read: %v", err), "organization.member_role")
	}
	self := selfOf(arn)
	if self.names != nil && s.Account == arnPart(arn, 4) && self.touched(s.request) {
		return refuse(s, self.guard, "it would touch "+arn+", as which this process calls", "AWS credentials")
	}
	return nil
}

var selfARN = regexp.MustCompile(`:(?:assumed-role/([^/]+)/|(?:role|user)/(?:.*/)?([^/]+)$)`)

// selfOf reads the name of a role or user from what STS says of a caller.
func selfOf(arn string) ownThing {
	t := ownThing{guard: "own roles", service: "iam"}
	if m := selfARN.FindStringSubmatch(arn); m != nil {
		t.names = []string{m[1] + m[2]}
	}
	return t
}

// checkAliases looks up what names of resources stand for, where one of their
// kind is never to be touched: key aliases, and S3 access points, of which a
// call does not tell the bucket.
func (g *Gate) checkAliases(ctx context.Context, s *subject) error {
	i := slices.IndexFunc(g.guard.own, func(t ownThing) bool { return t.arn != "" && t.service == s.Service })
	if i < 0 || s.Service != "kms" && s.Service != "s3" {
		return nil
	}
	if s.Service == "s3" {
		bucket, _ := s.Input["Bucket"].(string)
		if strings.HasPrefix(bucket, "arn:") || strings.HasSuffix(bucket, "-s3alias") {
			return refuse(s, g.guard.own[i].guard, "which bucket is behind access point "+bucket+" is not known", g.guard.own[i].setting)
		}
		return nil
	}
	var aliases []string
	anyText(s.Input, func(_, text string, _ bool) bool {
		if strings.HasPrefix(text, "alias/") || strings.Contains(text, ":alias/") {
			aliases = append(aliases, text)
		}
		return false
	})
	for _, alias := range aliases {
		key, err := g.keyOf(ctx, s.id, s.request, alias)
		if err != nil {
			return refuse(s, g.guard.own[i].guard, err.Error(), g.guard.own[i].setting)
		}
		for _, t := range g.guard.own {
			if key != "" && t.service == "kms" && t.isNamed(afterSlash(key)) {
				return refuse(s, t.guard, alias+" stands for "+key, t.setting)
			}
		}
	}
	return nil
}

// checkManagement keeps changes out of the management account, also those that
// are called elsewhere and name it.
func (g guardSet) checkManagement(s *subject) error {
	const guard, setting = "management account", "organization.management_account"
	_, other := s.Input["AccountId"]
	switch {
	case g.AllowManagement:
		return nil
	case g.ManagementAccount == "" && (s.Service == "organizations" || s.Service == "account" && other):
		return refuse(s, guard, "which account is the organization's management account is not known", setting)
	case g.ManagementAccount == "":
		return nil
	case s.Account == g.ManagementAccount:
		return refuse(s, guard, "account "+s.Account+" is the organization's management account", setting)
	}
	names := func(_, text string, _ bool) bool {
		return text == g.ManagementAccount || arnPart(text, 4) == g.ManagementAccount
	}
	if anyText(s.Input, names) {
		return refuse(s, guard, "it names account "+g.ManagementAccount+", the organization's management account", setting)
	}
	return nil
}
