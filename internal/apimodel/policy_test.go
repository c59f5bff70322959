package apimodel_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// grants prints what a call needs as "action on resource" lines.
func grants(t *testing.T, c *apimodel.Catalog, call apimodel.Call) []string {
	t.Helper()
	list, err := c.Grants(call)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range apimodel.SessionDocument(list).Statement {
		for _, a := range s.Action {
			for _, r := range s.Resource {
				line := a + " on " + r
				for op, keys := range s.Condition {
					for key, values := range keys {
						line += " if " + op + " " + key + "=" + strings.Join(values, ",")
					}
				}
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

func in(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = pairs[i+1]
	}
	return out
}

const (
	dev  = "111122223333"
	east = "us-east-1"
	u    = apimodel.Unknown
)

func TestGrants(t *testing.T) {
	t.Parallel()
	c := load(t)
	role := "arn:aws:iam::111122223333:role/app/worker"
	for name, tc := range map[string]struct {
		service, operation string
		input              map[string]any
		want               []string
	}{
		"bucket":             {"s3", "put_bucket_policy", in("Bucket", "b", "Policy", "{}"), []string{"s3:PutBucketPolicy on arn:aws:s3:::b"}},
		"renamed action":     {"s3", "GetBucketEncryption", in("Bucket", "b"), []string{"s3:GetEncryptionConfiguration on arn:aws:s3:::b"}},
		"unknown bucket":     {"s3", "GetBucketEncryption", in("Bucket", u), []string{"s3:GetEncryptionConfiguration on arn:aws:s3:::*"}},
		"partly unknown":     {"s3", "GetBucketAcl", in("Bucket", "logs-"+u), []string{"s3:GetBucketAcl on arn:aws:s3:::logs-*"}},
		"no input":           {"s3", "GetBucketAcl", nil, []string{"s3:GetBucketAcl on *"}},
		"access point":       {"s3", "GetObject", in("Bucket", "arn:aws:s3:us-east-1:111122223333:accesspoint/ap", "Key", "k"), []string{"s3:GetObject on *"}},
		"object":             {"s3", "GetObject", in("Bucket", "b", "Key", "a/b"), []string{"s3:GetObject on arn:aws:s3:::b/a/b"}},
		"object version":     {"s3", "DeleteObject", in("Bucket", "b", "Key", "k", "VersionId", "1"), []string{"s3:DeleteObjectVersion on arn:aws:s3:::b/k"}},
		"literal wildcard":   {"s3", "DeleteObject", in("Bucket", "b", "Key", "*"), []string{"s3:DeleteObject on arn:aws:s3:::b/${*}"}},
		"policy variable":    {"s3", "DeleteObject", in("Bucket", "b", "Key", "${aws:username}"), []string{"s3:DeleteObject on arn:aws:s3:::b/${$}{aws:username}"}},
		"copy":               {"s3", "CopyObject", in("Bucket", "to", "Key", "k", "CopySource", "from/x"), []string{"s3:GetObject on arn:aws:s3:::from/x", "s3:PutObject on arn:aws:s3:::to/k"}},
		"account settings":   {"s3control", "PutPublicAccessBlock", in("AccountId", dev), []string{"s3:PutAccountPublicAccessBlock on *"}},
		"function by name":   {"lambda", "GetPolicy", in("FunctionName", "f"), []string{"lambda:GetPolicy on arn:aws:lambda:us-east-1:111122223333:function:f", "lambda:GetPolicy on arn:aws:lambda:us-east-1:111122223333:function:f:*"}},
		"function by ARN":    {"lambda", "Invoke", in("FunctionName", "arn:aws:lambda:eu-west-1:444455556666:function:f:live"), []string{"lambda:InvokeFunction on arn:aws:lambda:eu-west-1:444455556666:function:f", "lambda:InvokeFunction on arn:aws:lambda:eu-west-1:444455556666:function:f:*"}},
		"role that is given": {"lambda", "UpdateFunctionConfiguration", in("FunctionName", "f", "Role", role), []string{"iam:PassRole on " + role, "lambda:UpdateFunctionConfiguration on arn:aws:lambda:us-east-1:111122223333:function:f", "lambda:UpdateFunctionConfiguration on arn:aws:lambda:us-east-1:111122223333:function:f:*"}},
		"REST API":           {"apigateway", "UpdateStage", in("restApiId", "a1", "stageName", "prod"), []string{"apigateway:PATCH on arn:aws:apigateway:us-east-1::/restapis/a1/stages/prod"}},
		"HTTP API":           {"apigatewayv2", "GetApi", in("ApiId", "a1"), []string{"apigateway:GET on arn:aws:apigateway:us-east-1::/apis/a1"}},
		"IAM path":           {"iam", "DeleteRolePolicy", in("RoleName", "r", "PolicyName", "p"), []string{"iam:DeleteRolePolicy on arn:aws:iam::111122223333:role/*/r", "iam:DeleteRolePolicy on arn:aws:iam::111122223333:role/r"}},
		"attached policy": {"iam", "DetachUserPolicy", in("UserName", "x", "PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess"), []string{
			"iam:DetachUserPolicy on arn:aws:iam::111122223333:user/*/x if ArnLike iam:PolicyARN=arn:aws:iam::aws:policy/AdministratorAccess",
			"iam:DetachUserPolicy on arn:aws:iam::111122223333:user/x if ArnLike iam:PolicyARN=arn:aws:iam::aws:policy/AdministratorAccess",
		}},
		"key":               {"kms", "EnableKeyRotation", in("KeyId", "1234"), []string{"kms:EnableKeyRotation on arn:aws:kms:us-east-1:111122223333:key/1234"}},
		"alias":             {"kms", "DescribeKey", in("KeyId", "alias/x"), []string{"kms:DescribeKey on arn:aws:kms:us-east-1:111122223333:key/*"}},
		"queue":             {"sqs", "SetQueueAttributes", in("QueueUrl", "https://sqs.us-east-1.amazonaws.com/444455556666/q"), []string{"sqs:SetQueueAttributes on arn:aws:sqs:us-east-1:444455556666:q"}},
		"topic":             {"sns", "SetTopicAttributes", in("TopicArn", "arn:aws:sns:us-east-1:111122223333:t"), []string{"sns:SetTopicAttributes on arn:aws:sns:us-east-1:111122223333:t"}},
		"database":          {"rds", "ModifyDBInstance", in("DBInstanceIdentifier", "Orders"), []string{"rds:ModifyDBInstance on arn:aws:rds:us-east-1:111122223333:db:orders"}},
		"security group":    {"ec2", "RevokeSecurityGroupIngress", in("GroupId", "sg-1"), []string{"ec2:RevokeSecurityGroupIngress on arn:aws:ec2:us-east-1:*:security-group/sg-1"}},
		"no resource level": {"ec2", "DescribeInstances", in("InstanceIds", []any{"i-1"}), []string{"ec2:DescribeInstances on * if StringEquals aws:RequestedRegion=us-east-1"}},
		"tags of new volume": {"ec2", "CreateVolume", in("AvailabilityZone", "us-east-1a", "TagSpecifications", []any{in("ResourceType", "volume", "Tags", []any{in("Key", "k", "Value", "v")})}), []string{
			"ec2:CreateTags on arn:aws:ec2:us-east-1:*:volume/* if StringEquals ec2:CreateAction=CreateVolume",
			"ec2:CreateVolume on * if StringEquals aws:RequestedRegion=us-east-1",
		}},
		"secret":        {"secretsmanager", "RotateSecret", in("SecretId", "s"), []string{"secretsmanager:RotateSecret on arn:aws:secretsmanager:us-east-1:111122223333:secret:s-??????"}},
		"parameter":     {"ssm", "PutParameter", in("Name", "/a/b"), []string{"ssm:PutParameter on arn:aws:ssm:us-east-1:111122223333:parameter/a/b"}},
		"log group":     {"logs", "PutRetentionPolicy", in("logGroupName", "/aws/x"), []string{"logs:PutRetentionPolicy on arn:aws:logs:us-east-1:111122223333:log-group:/aws/x", "logs:PutRetentionPolicy on arn:aws:logs:us-east-1:111122223333:log-group:/aws/x:*"}},
		"trail":         {"cloudtrail", "UpdateTrail", in("Name", "t"), []string{"cloudtrail:UpdateTrail on arn:aws:cloudtrail:us-east-1:111122223333:trail/t"}},
		"detector":      {"guardduty", "UpdateDetector", in("DetectorId", "d1"), []string{"guardduty:UpdateDetector on arn:aws:guardduty:us-east-1:111122223333:detector/d1"}},
		"table":         {"dynamodb", "UpdateContinuousBackups", in("TableName", "t"), []string{"dynamodb:UpdateContinuousBackups on arn:aws:dynamodb:us-east-1:111122223333:table/t"}},
		"load balancer": {"elbv2", "ModifyLoadBalancerAttributes", in("LoadBalancerArn", "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/a/1"), []string{"elasticloadbalancing:ModifyLoadBalancerAttributes on arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/a/1"}},
		"repository":    {"ecr", "PutImageScanningConfiguration", in("repositoryName", "r"), []string{"ecr:PutImageScanningConfiguration on arn:aws:ecr:us-east-1:111122223333:repository/r"}},
		"service":       {"ecs", "DescribeServices", in("cluster", "arn:aws:ecs:us-east-1:111122223333:cluster/c", "services", []any{"s"}), []string{"ecs:DescribeServices on arn:aws:ecs:us-east-1:111122223333:service/c/s", "ecs:DescribeServices on arn:aws:ecs:us-east-1:111122223333:service/s"}},
		"who am I":      {"sts", "GetCallerIdentity", nil, nil},
		"unsigned":      {"cognito-idp", "SignUp", nil, nil},
		"target of an SCP": {"organizations", "DetachPolicy", in("PolicyId", "p-1", "TargetId", "ou-x"), []string{
			"organizations:DetachPolicy on arn:aws:organizations::*:ou/o-*/ou-x",
			"organizations:DetachPolicy on arn:aws:organizations::*:policy/o-*/*/p-1",
			"organizations:DetachPolicy on arn:aws:organizations::aws:policy/*/p-1",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := grants(t, c, apimodel.Call{Service: tc.service, Operation: tc.operation, Account: dev, Region: east, Input: tc.input})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
}

func TestMergedDocument(t *testing.T) {
	t.Parallel()
	c := load(t)
	var all []apimodel.Grant
	for _, call := range []apimodel.Call{
		{Service: "s3", Operation: "PutBucketAcl", Account: dev, Region: east, Input: in("Bucket", "b")},
		{Service: "s3", Operation: "GetBucketAcl", Account: dev, Region: east, Input: in("Bucket", "b")},
		{Service: "s3", Operation: "GetBucketAcl", Account: dev, Region: east, Input: in("Bucket", "c")},
		{Service: "s3", Operation: "PutBucketAcl", Account: dev, Region: east, Input: in("Bucket", "c")},
		{Service: "s3", Operation: "DeleteBucketPolicy", Account: dev, Region: east, Input: in("Bucket", u)},
		{Service: "s3", Operation: "DeleteBucketPolicy", Account: dev, Region: east, Input: in("Bucket", "b")},
	} {
		g, err := c.Grants(call)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g...)
	}
	want := `{"Version":"2012-10-17","Statement":[` +
		`{"Effect":"Allow","Action":"s3:DeleteBucketPolicy","Resource":"arn:aws:s3:::*"},` +
		`{"Effect":"Allow","Action":["s3:GetBucketAcl","s3:PutBucketAcl"],"Resource":["arn:aws:s3:::b","arn:aws:s3:::c"]}]}`
	if diff := cmp.Diff(want, apimodel.SessionDocument(all).String()); diff != "" {
		t.Error(diff)
	}
	first := apimodel.Document(all)
	slices.Reverse(all)
	if diff := cmp.Diff(first.String(), apimodel.Document(all).String()); diff != "" {
		t.Errorf("another order of calls gives another policy: %s", diff)
	}
	for _, s := range first.Statement {
		if s.Sid == "" || strings.Trim(s.Sid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
			t.Errorf("%q is no Sid", s.Sid)
		}
	}
	var back apimodel.Policy
	if err := json.Unmarshal([]byte(first.String()), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, back); diff != "" {
		t.Error(diff)
	}
}

func TestSplitWidensNothing(t *testing.T) {
	t.Parallel()
	c := load(t)
	var all []apimodel.Grant
	for i := range 60 {
		g, err := c.Grants(apimodel.Call{Service: "s3", Operation: "PutBucketAcl", Account: dev, Region: east, Input: in("Bucket", strings.Repeat("b", 20)+string(rune('a'+i%26))+strings.Repeat("c", i/26))})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g...)
	}
	parts, err := apimodel.Split(all, apimodel.MaxSessionPolicy, apimodel.SessionDocument)
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) < 2 {
		t.Fatalf("%d parts", len(parts))
	}
	var joined []apimodel.Grant
	for _, p := range parts {
		if p.Size() > apimodel.MaxSessionPolicy {
			t.Errorf("%d characters", p.Size())
		}
		for _, s := range p.Statement {
			for _, a := range s.Action {
				joined = append(joined, apimodel.Grant{Action: a, Resources: s.Resource, Condition: s.Condition})
			}
		}
	}
	if diff := cmp.Diff(apimodel.SessionDocument(all).String(), apimodel.SessionDocument(joined).String()); diff != "" {
		t.Errorf("the parts do not allow what the whole does: %s", diff)
	}
	if _, err := apimodel.Split(all, 80, apimodel.SessionDocument); err == nil {
		t.Error("what cannot fit was made to fit")
	}
}

func TestAllows(t *testing.T) {
	t.Parallel()
	have := []apimodel.Grant{{Action: "s3:GetObject", Resources: []string{"arn:aws:s3:::b/logs/*", "arn:aws:s3:::b/${*}"}}}
	for resource, want := range map[string]bool{
		"arn:aws:s3:::b/logs/1": true, "arn:aws:s3:::b/logs/*": true, "arn:aws:s3:::b/*": false, "arn:aws:s3:::b/x": false,
		"arn:aws:s3:::b/${*}": true, "*": false,
	} {
		if got := apimodel.Allows(have, []apimodel.Grant{{Action: "S3:GetObject", Resources: []string{resource}}}); got != want {
			t.Errorf("%s: %t", resource, got)
		}
	}
}
