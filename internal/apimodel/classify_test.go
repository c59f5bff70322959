package apimodel_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func TestClassify(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tc := range []struct {
		service, operation string
		want               apimodel.Class
	}{
		{"s3", "GetBucketAcl", apimodel.Read},
		{"s3", "get_bucket_acl", apimodel.Read},
		{"s3", "HeadBucket", apimodel.Read},
		{"s3", "PutBucketAcl", apimodel.Change},
		{"S3", "delete_bucket_policy", apimodel.Change},
		{"s3", "CreateSession", apimodel.SensitiveRead},
		{"secretsmanager", "GetSecretValue", apimodel.SensitiveRead},
		{"secretsmanager", "DescribeSecret", apimodel.Read},
		{"ssm", "GetParameter", apimodel.SensitiveRead},
		{"kms", "Decrypt", apimodel.SensitiveRead},
		{"kms", "ScheduleKeyDeletion", apimodel.Change},
		{"sts", "AssumeRole", apimodel.SensitiveRead},
		{"sts", "GetCallerIdentity", apimodel.Read},
		{"lambda", "Invoke", apimodel.Change},
		{"dynamodb", "BatchGetItem", apimodel.Read},
		{"dynamodb", "BatchWriteItem", apimodel.Change},
		{"dynamodb", "ExecuteStatement", apimodel.Change},
		{"stepfunctions", "GetActivityTask", apimodel.Change},
		{"ivs", "StartViewerSessionRevocation", apimodel.Change},
		{"securityhub", "BatchImportFindings", apimodel.Change},
		{"iam", "SimulatePrincipalPolicy", apimodel.Read},
		{"iam", "GenerateCredentialReport", apimodel.Read},
		{"s3", "GetNothingKnown", apimodel.Change},
		{"nope", "GetThing", apimodel.Change},
	} {
		if got := c.Classify(tc.service, tc.operation); got != tc.want {
			t.Errorf("%s:%s: got %s, want %s", tc.service, tc.operation, got, tc.want)
		}
	}
}

func TestClassifyCallLooksAtTheInput(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, tc := range []struct {
		input map[string]any
		want  apimodel.Class
	}{
		{nil, apimodel.Read},
		{map[string]any{"WithDecryption": false}, apimodel.Read},
		{map[string]any{"WithDecryption": "false"}, apimodel.Read},
		{map[string]any{"WithDecryption": true}, apimodel.SensitiveRead},
		{map[string]any{"withdecryption": "True"}, apimodel.SensitiveRead},
		{map[string]any{"WithDecryption": 1}, apimodel.SensitiveRead},
	} {
		call := apimodel.Call{Service: "ssm", Operation: "GetParameter", Input: tc.input}
		if got := c.ClassifyCall(call); got != tc.want {
			t.Errorf("%v: got %s, want %s", tc.input, got, tc.want)
		}
	}
	put := apimodel.Call{Service: "ssm", Operation: "PutParameter"}
	if got := c.ClassifyCall(put); got != apimodel.Change {
		t.Errorf("PutParameter: got %s", got)
	}
}

// TestReviewedTableMatchesTheModels keeps the table from naming what no longer
// exists, and every line of it from lacking its reason.
func TestReviewedTableMatchesTheModels(t *testing.T) {
	t.Parallel()
	c := load(t)
	table, err := apimodel.ReviewedClasses()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, line := range table {
		if !line.Class.Valid() || line.Reason == "" {
			t.Errorf("%s %v: class %q, reason %q", line.Service, line.Names, line.Class, line.Reason)
		}
		for _, name := range line.Names {
			s, op, err := c.Find(line.Service, name)
			if err != nil || s.Name != line.Service || op.Name != name {
				t.Errorf("%s:%s is not in the models: %v", line.Service, name, err)
				continue
			}
			if seen[s.Name+":"+name] {
				t.Errorf("%s:%s is listed twice", s.Name, name)
			}
			seen[s.Name+":"+name] = true
			if _, known := op.Input.Member(line.When); line.When != "" && !known {
				t.Errorf("%s:%s has no member %s", s.Name, name, line.When)
			}
		}
	}
}

// TestNoCredentialsByAPlainRead looks for operations that answer with something
// that the model itself marks as a sensitive credential and that would be sent
// without a plan. The known names are those whose answer was looked at and is
// not a secret.
func TestNoCredentialsByAPlainRead(t *testing.T) {
	t.Parallel()
	c := load(t)
	harmless := []string{}
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			if op.Output == nil || c.Classify(name, op.Name) != apimodel.Read {
				continue
			}
			for _, secret := range []string{"SecretAccessKey", "secretAccessKey", "sessionToken", "SessionToken", "Credentials", "credentials"} {
				m, ok := op.Output.Member(secret)
				if ok && (m.Shape.Type == apimodel.Structure || m.Shape.Sensitive) && !slices.Contains(harmless, name+":"+op.Name) {
					t.Errorf("%s:%s answers with %s and is a plain read", name, op.Name, secret)
				}
			}
		}
	}
}

func TestIAMAction(t *testing.T) {
	t.Parallel()
	c := load(t)
	for call, want := range map[[2]string][]string{
		{"s3", "get_bucket_acl"}:                      {"s3:GetBucketAcl"},
		{"s3", "GetPublicAccessBlock"}:                {"s3:GetBucketPublicAccessBlock"},
		{"s3", "ListObjectsV2"}:                       {"s3:ListBucket"},
		{"s3", "HeadBucket"}:                          {"s3:ListBucket"},
		{"s3", "CopyObject"}:                          {"s3:GetObject", "s3:PutObject"},
		{"s3control", "PutPublicAccessBlock"}:         {"s3:PutAccountPublicAccessBlock"},
		{"cloudwatch", "PutMetricAlarm"}:              {"cloudwatch:PutMetricAlarm"},
		{"elbv2", "ModifyLoadBalancerAttributes"}:     {"elasticloadbalancing:ModifyLoadBalancerAttributes"},
		{"lambda", "Invoke"}:                          {"lambda:InvokeFunction"},
		{"resourcegroupstaggingapi", "GetTagKeys"}:    {"tag:GetTagKeys"},
		{"apigateway", "UpdateStage"}:                 {"apigateway:PATCH"},
		{"stepfunctions", "StartExecution"}:           {"states:StartExecution"},
		{"ec2", "RevokeSecurityGroupIngress"}:         {"ec2:RevokeSecurityGroupIngress"},
		{"securityhub", "BatchUpdateFindings"}:        {"securityhub:BatchUpdateFindings"},
		{"s3", "NoSuchOperation"}:                     nil,
		{"ses", "SendEmail"}:                          {"ses:SendEmail"},
		{"docdb", "ModifyDBClusterSnapshotAttribute"}: {"rds:ModifyDBClusterSnapshotAttribute"},
	} {
		if diff := cmp.Diff(want, c.IAMAction(call[0], call[1])); diff != "" {
			t.Errorf("%v: %s", call, diff)
		}
	}
}
