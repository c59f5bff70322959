package awsapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

const (
	management = "000000000001"
	ownQueue   = "arn:aws:sqs:eu-west-1:" + hub + ":parry-inbox"
	ownKey     = "arn:aws:kms:eu-west-1:" + hub + ":key/0a1b2c3d"
	ownBucket  = "arn:aws:s3:::parry-evidence"
	ownSecret  = "arn:aws:secretsmanager:eu-west-1:" + hub + ":secret:parry/token-Ab12Cd"
	ownStack   = "arn:aws:cloudformation:eu-west-1:" + hub + ":stack/parry-hub/6f3c"
	roleARN    = "arn:aws:iam::" + member + ":role/security/" + role
)

// defaults are the guards that hold without any rule.
func defaults() awsapi.Guards {
	return awsapi.Guards{
		Accounts: []string{"*"}, ManagementAccount: management, OwnRoles: []string{role},
		OwnResources: []string{ownQueue, ownKey, ownBucket, ownSecret, ownStack}, BreakGlass: []string{"rescue", "arn:aws:iam::" + member + ":role/BreakGlass"},
	}
}

type trick struct {
	name  string
	call  apimodel.Call
	guard string // "" = passes
}

func in(account, service, op string, input map[string]any) apimodel.Call {
	return apimodel.Call{Service: service, Operation: op, Account: account, Region: region, Input: input}
}

// TestDefaultDenies: the ways around the default denies of decision 6, and
// neighbours that must pass.
func TestDefaultDenies(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	doc := func(s string) m { return m{"RoleName": "other", "PolicyName": "p", "PolicyDocument": s} }
	const roles, things, rescue, mgmt = "own roles", "own resources", "break-glass principals", "management account"
	tests := []trick{
		// The member role.
		{"attach a policy", in(member, "iam", "AttachRolePolicy", m{"RoleName": role, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}), roles},
		{"put a policy", in(member, "iam", "PutRolePolicy", m{"RoleName": role, "PolicyName": "p", "PolicyDocument": "{}"}), roles},
		{"change who may assume it", in(member, "iam", "UpdateAssumeRolePolicy", m{"RoleName": role, "PolicyDocument": "{}"}), roles},
		{"delete it", in(member, "iam", "DeleteRole", m{"RoleName": role}), roles},
		{"in another case", in(member, "iam", "DeleteRole", m{"RoleName": strings.ToUpper(role)}), roles},
		{"by path", in(member, "iam", "DeleteRole", m{"RoleName": "security/" + role}), roles},
		{"by ARN", in(member, "iam", "TagRole", m{"RoleName": roleARN, "Tags": []any{}}), roles},
		{"set its boundary", in(member, "iam", "PutRolePermissionsBoundary", m{"RoleName": role, "PermissionsBoundary": "arn:aws:iam::aws:policy/x"}), roles},
		{"into an instance profile", in(member, "iam", "AddRoleToInstanceProfile", m{"InstanceProfileName": "web", "RoleName": role}), roles},
		{"a policy that lets others assume it", in(member, "iam", "PutRolePolicy", doc(`{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+roleARN+`"}}`)), roles},
		{"the same with escapes", in(member, "iam", "PutRolePolicy", doc(`{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"arn:aws:iam::`+member+`:r\u006fle\/security\/`+role+`"}}`)), roles},
		{"a policy about another role", in(member, "iam", "PutRolePolicy", doc(`{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"`+roleARN+`2"}}`)), ""},
		{"a role with a longer name", in(member, "iam", "DeleteRole", m{"RoleName": role + "2"}), ""},
		{"run a function as it", in(member, "lambda", "CreateFunction", m{"FunctionName": "f", "Role": roleARN, "Code": m{"ZipFile": []byte("x")}}), roles},
		{"an instance as it, by name", in(member, "ec2", "AssociateIamInstanceProfile", m{"InstanceId": "i-1", "IamInstanceProfile": m{"Name": role}}), roles},
		{"a crawler as it, by name", in(member, "glue", "CreateCrawler", m{"Name": "c", "Role": role, "Targets": m{}}), roles},
		{"by Cloud Control", in(member, "cloudcontrol", "DeleteResource", m{"TypeName": "AWS::IAM::Role", "Identifier": role}), roles},
		{"by an automation document", in(member, "ssm", "StartAutomationExecution", m{"DocumentName": "AWS-DetachIAMPolicy", "Parameters": m{"RoleName": []any{role}}}), roles},
		{"by a schedule", in(member, "scheduler", "CreateSchedule", m{
			"Name": "s", "ScheduleExpression": "rate(1 day)", "FlexibleTimeWindow": m{"Mode": "OFF"},
			"Target": m{"Arn": "arn:aws:scheduler:::aws-sdk:iam:deleteRole", "RoleArn": "arn:aws:iam::1:role/s", "Input": `{"RoleName":"` + role + `"}`},
		}), roles},
		{"a bucket policy that names it", s3("PutBucketPolicy", m{"Policy": `{"Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"` + roleARN + `"},"Action":"s3:*","Resource":"arn:aws:s3:::open/*"}]}`}), ""},
		// The role of this process, which is configured nowhere.
		{"this process's role", in(hub, "iam", "PutRolePolicy", m{"RoleName": "ParryHub", "PolicyName": "p", "PolicyDocument": "{}"}), "own roles"},
		{"a namesake in another account", in(member, "iam", "DeleteRole", m{"RoleName": "ParryHub"}), ""},
		// The queue.
		{"queue by URL", in(hub, "sqs", "DeleteQueue", m{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + hub + "/parry-inbox"}), things},
		{"queue by URL with a slash", in(hub, "sqs", "PurgeQueue", m{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + hub + "/parry-inbox/"}), things},
		{"queue by URL with a query", in(hub, "sqs", "PurgeQueue", m{"QueueUrl": "https://queue.amazonaws.com/" + hub + "/parry-inbox?x=1"}), things},
		{"queue by URL, encoded", in(hub, "sqs", "PurgeQueue", m{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + hub + "/parry%2Dinbox"}), things},
		{"queue by name", in(hub, "sqs", "CreateQueue", m{"QueueName": "parry-inbox"}), things},
		{"queue as a source", in(hub, "sqs", "StartMessageMoveTask", m{"SourceArn": ownQueue}), things},
		{"queue in another case", in(hub, "sqs", "StartMessageMoveTask", m{"SourceArn": strings.ToUpper(ownQueue)}), things},
		{"queue of another name", in(hub, "sqs", "PurgeQueue", m{"QueueUrl": "https://sqs.eu-west-1.amazonaws.com/" + hub + "/parry-inbox-2"}), ""},
		{"queue by tagging", in(hub, "resourcegroupstaggingapi", "TagResources", m{"ResourceARNList": []any{ownQueue}, "Tags": m{"a": "b"}}), things},
		{"function fed by the queue", in(hub, "lambda", "CreateEventSourceMapping", m{"FunctionName": "f", "EventSourceArn": ownQueue}), things},
		// Keys, buckets, secrets, stacks.
		{"key by id", in(hub, "kms", "ScheduleKeyDeletion", m{"KeyId": "0a1b2c3d"}), things},
		{"key by ARN in another region", in(hub, "kms", "DisableKey", m{"KeyId": strings.Replace(ownKey, "eu-west-1", "us-east-1", 1)}), things},
		{"key by alias", in(hub, "kms", "DisableKey", m{"KeyId": "alias/parry"}), things},
		{"key by the alias's ARN", in(hub, "kms", "DisableKey", m{"KeyId": "arn:aws:kms:eu-west-1:" + hub + ":alias/parry"}), things},
		{"move the alias", in(hub, "kms", "UpdateAlias", m{"AliasName": "alias/parry", "TargetKeyId": "ffff"}), things},
		{"bucket", s3("DeleteBucketPolicy", m{"Bucket": "parry-evidence"}), things},
		{"an object of it", s3("DeleteObject", m{"Bucket": "parry-evidence", "Key": "a"}), things},
		{"through an access point", s3("DeleteObject", m{"Bucket": "arn:aws:s3:eu-west-1:" + hub + ":accesspoint/ap", "Key": "a"}), things},
		{"through an access point's alias", s3("DeleteObject", m{"Bucket": "ap-0123456789-s3alias", "Key": "a"}), things},
		{"an access point for it", in(member, "s3control", "CreateAccessPoint", m{"AccountId": member, "Name": "ap", "Bucket": "parry-evidence"}), things},
		{"copied over it", s3("CopyObject", m{"Bucket": "open", "Key": "k", "CopySource": "parry-evidence/a"}), things},
		{"secret by name", in(hub, "secretsmanager", "DeleteSecret", m{"SecretId": "parry/token"}), things},
		{"stack by name", in(hub, "cloudformation", "DeleteStack", m{"StackName": "parry-hub"}), things},
		// Emergencies.
		{"a key for the emergency user", in(member, "iam", "CreateAccessKey", m{"UserName": "rescue"}), rescue},
		{"its password", in(member, "iam", "UpdateLoginProfile", m{"UserName": "Rescue", "Password": "x"}), rescue},
		{"its device", in(member, "iam", "DeactivateMFADevice", m{"UserName": "rescue", "SerialNumber": "arn:aws:iam::" + member + ":mfa/phone"}), rescue},
		{"the emergency role", in(member, "iam", "DetachRolePolicy", m{"RoleName": "BreakGlass", "PolicyArn": "arn:aws:iam::aws:policy/x"}), rescue},
		{"a database user of that name", in(member, "rds", "ModifyDBInstance", m{"DBInstanceIdentifier": "rescue"}), ""},
		// The management account.
		{"a change in it", in(management, "s3", "DeleteBucketPolicy", m{"Bucket": "x"}), mgmt},
		{"its contact, from outside", in(hub, "account", "PutAlternateContact", m{
			"AccountId": management, "AlternateContactType": "SECURITY", "EmailAddress": "a@b", "Name": "n", "PhoneNumber": "1", "Title": "t",
		}), mgmt},
		{"a policy on it, from outside", in(hub, "organizations", "AttachPolicy", m{"PolicyId": "p-12345678", "TargetId": management}), mgmt},
		{"a stack set into it", in(hub, "cloudformation", "CreateStackInstances", m{"StackSetName": "s", "Accounts": []any{member, management}, "Regions": []any{region}}), mgmt},
		{"a policy elsewhere, from outside", in(hub, "organizations", "AttachPolicy", m{"PolicyId": "p-12345678", "TargetId": member}), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards = defaults() })
			w.aws.answers = map[string]map[string]any{"DescribeKey": {"KeyMetadata": map[string]any{"Arn": ownKey}}}
			tt.hold(t, w)
		})
	}
}

// hold checks that the trick is refused both in a plan and when it is applied.
func (tt trick) hold(t *testing.T, w *world) {
	t.Helper()
	_, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", tt.call)
	if tt.guard == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `guard "`+tt.guard+`"`) || fault.HintOf(err) == "" {
		t.Errorf("planned: %v", err)
	}
	// A plan made while nothing was guarded, applied as if under these guards.
	open := newWorld(t, func(c *awsapi.Config) { c.Guards = awsapi.Guards{Accounts: []string{"*"}, AllowManagement: true} })
	open.aws.hubRole = "another"
	for _, b := range []string{"x", "parry-evidence"} {
		open.aws.buckets[b] = open.aws.buckets["open"]
	}
	planner := open.gate.Planning(as, awsapi.PlanOptions{})
	if _, err := planner.Call(t.Context(), "x", tt.call); err != nil {
		t.Fatalf("plan without guards: %v", err)
	}
	plan := w.planOf(planner.Calls())
	w.aws.sent()
	if _, err := w.apply(plan).Call(t.Context(), "x", tt.call); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), `guard "`+tt.guard+`"`) {
		t.Errorf("applied: %v", err)
	}
	for _, c := range w.aws.log {
		if isNoRead(c) {
			t.Errorf("sent %s:%s", c.Service, c.Operation)
		}
	}
}

func isNoRead(c apimodel.Call) bool {
	models, err := catalog()
	return err == nil && models.ClassifyCall(c) != apimodel.Read && c.Service != "sts"
}

// TestWhatIsBehind: policies, groups, profiles and stacks through which the own
// role or the emergency user would be changed.
func TestWhatIsBehind(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	policy := m{"PolicyArn": "arn:aws:iam::" + member + ":policy/p", "VersionId": "v1"}
	tests := []struct {
		trick
		read   string
		answer m
	}{
		{trick{"a policy of the role", in(member, "iam", "SetDefaultPolicyVersion", policy), "own roles"}, "ListEntitiesForPolicy", m{"PolicyRoles": []any{m{"RoleName": role}}}},
		{trick{"a policy of the emergency user", in(member, "iam", "DeletePolicyVersion", policy), "break-glass principals"}, "ListEntitiesForPolicy", m{"PolicyUsers": []any{m{"UserName": "rescue"}}}},
		{trick{"a policy of others", in(member, "iam", "DeletePolicyVersion", policy), ""}, "ListEntitiesForPolicy", m{"PolicyRoles": []any{m{"RoleName": "web"}}}},
		{trick{"a profile with the role", in(member, "iam", "DeleteInstanceProfile", m{"InstanceProfileName": "web"}), "own roles"}, "GetInstanceProfile", m{"InstanceProfile": m{"Roles": []any{m{"RoleName": role}}}}},
		{trick{"a group of the emergency user", in(member, "iam", "DetachGroupPolicy", m{"GroupName": "admins", "PolicyArn": "arn:aws:iam::aws:policy/x"}), "break-glass principals"}, "GetGroup", m{"Users": []any{m{"UserName": "rescue"}}}},
		{trick{"a group of others", in(member, "iam", "DeleteGroup", m{"GroupName": "admins"}), ""}, "GetGroup", m{"Users": []any{}}},
		{trick{"the stack of the role", in(member, "cloudformation", "DeleteStack", m{"StackName": "StackSet-parry"}), "own roles"}, "ListStackResources", m{"StackResourceSummaries": []any{m{"PhysicalResourceId": role, "ResourceType": "AWS::IAM::Role"}}}},
		{trick{"another stack", in(member, "cloudformation", "DeleteStack", m{"StackName": "web"}), ""}, "ListStackResources", m{"StackResourceSummaries": []any{m{"PhysicalResourceId": "web"}}}},
		{trick{"a change set that names no stack", in(member, "cloudformation", "ExecuteChangeSet", m{"ChangeSetName": "arn:aws:cloudformation:eu-west-1:1:changeSet/c/1"}), "own roles"}, "", nil},
		{trick{"the stack set of the role", in(hub, "cloudformation", "DeleteStackInstances", m{
			"StackSetName": "members", "Accounts": []any{member}, "Regions": []any{region}, "RetainStacks": false,
		}), "own roles"}, "DescribeStackSet", m{"StackSet": m{"TemplateBody": "Resources:\n  R:\n    Properties: {RoleName: " + role + "}\n"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *awsapi.Config) { c.Guards = defaults() })
			w.aws.answers = map[string]map[string]any{tt.read: tt.answer}
			tt.hold(t, w)
			if tt.guard == "" || tt.read == "" {
				return
			}
			// What cannot be read is refused as well.
			w.aws.there = func(c apimodel.Call) error {
				if c.Operation == tt.read {
					return &apimodel.APIError{Service: c.Service, Operation: c.Operation, Code: "AccessDenied", HTTPStatus: 403}
				}
				return nil
			}
			tt.guard = "own roles"
			tt.hold(t, w)
		})
	}
}

// TestUnknownManagementAccount: without it, nothing is changed in the organization.
func TestUnknownManagementAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *awsapi.Config) { c.Guards = awsapi.Guards{Accounts: []string{"*"}} })
	trick{"", in(hub, "organizations", "AttachPolicy", map[string]any{"PolicyId": "p-12345678", "TargetId": member}), "management account"}.hold(t, w)
}

// TestWhoWeAreCannotBeRead: then no principal is changed.
func TestWhoWeAreCannotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *awsapi.Config) { c.Guards = defaults() })
	w.aws.there = func(c apimodel.Call) error {
		if c.Service == "sts" {
			return &apimodel.APIError{Service: "sts", Operation: c.Operation, Code: "AccessDenied", HTTPStatus: 403}
		}
		return nil
	}
	trick{"", in(member, "iam", "DeleteRole", map[string]any{"RoleName": "web"}), "own roles"}.hold(t, w)
}

// TestNoChangeWithoutSwitchAndLease: what cannot be read means no.
func TestNoChangeWithoutSwitchAndLease(t *testing.T) {
	t.Parallel()
	yes := func(context.Context) error { return nil }
	off := func(context.Context) (bool, string, error) { return false, "", nil }
	for name, tt := range map[string]struct {
		stop  func(context.Context) (bool, string, error)
		fence func(context.Context) error
	}{
		"switch on":           {func(context.Context) (bool, string, error) { return true, "drill", nil }, yes},
		"switch unreadable":   {func(context.Context) (bool, string, error) { return false, "", errStore }, yes},
		"lease lost":          {off, func(context.Context) error { return fault.Errorf(fault.Conflict, "", "lost") }},
		"lease unreadable":    {off, func(context.Context) error { return errStore }},
		"both are unreadable": {func(context.Context) (bool, string, error) { return false, "", errStore }, func(context.Context) error { return errStore }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			plan := w.plan(fix())
			w.aws.sent()
			w.stop, w.fence = tt.stop, tt.fence
			for _, c := range fix() {
				if _, err := w.apply(plan).Call(t.Context(), c.step, c.call); err == nil {
					t.Errorf("%s was made", c.call.Operation)
				}
			}
			if got := changesOf(w.aws.sent()); len(got) > 0 || len(w.recorder.order) > 0 {
				t.Errorf("sent %v, recorded %v", got, w.recorder.order)
			}
		})
	}
}
