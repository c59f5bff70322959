package apimodel_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

var shared = sync.OnceValues(apimodel.Load)

// models gives one catalogue to all tests here: unpacking every service takes seconds.
func models(t *testing.T) *apimodel.Catalog {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClassify(t *testing.T) {
	t.Parallel()
	c := models(t)
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
		{"support", "ResolveCase", apimodel.Change},
		{"license-manager", "CheckInLicense", apimodel.Change},
		{"cloudtrail", "StartQuery", apimodel.Change},
		{"cloudtrail", "LookupEvents", apimodel.Read},
		{"logs", "StartQuery", apimodel.Change},
		{"logs", "StopQuery", apimodel.Change},
		{"logs", "FilterLogEvents", apimodel.Read},
		{"rds-data", "ExecuteStatement", apimodel.Change},
		{"redshift-data", "ExecuteStatement", apimodel.Change},
		{"timestream-query", "Query", apimodel.Change},
		{"dynamodb", "Query", apimodel.Read},
		{"dynamodb", "TransactGetItems", apimodel.Read},
		{"dynamodb", "TransactWriteItems", apimodel.Change},
		{"athena", "StartQueryExecution", apimodel.Change},
		{"config", "SelectResourceConfig", apimodel.Read},
		{"config", "StartConfigRulesEvaluation", apimodel.Change},
		{"sqs", "ReceiveMessage", apimodel.Change},
		{"kinesis", "GetShardIterator", apimodel.Read},
		{"swf", "PollForDecisionTask", apimodel.Change},
		{"datapipeline", "PollForTask", apimodel.Change},
		{"ssm", "GetDeployablePatchSnapshotForInstance", apimodel.SensitiveRead},
		{"frauddetector", "GetEventPrediction", apimodel.Change},
		{"iot", "DescribeEndpoint", apimodel.Change},
		{"qconnect", "GetNextMessage", apimodel.Change},
		{"security-ir", "GetCaseAttachmentUploadUrl", apimodel.Change},
		{"bedrock-agentcore", "GetAgentCard", apimodel.Change},
		{"fsx", "DescribeFileSystemAliases", apimodel.Read},
		{"cognito-idp", "GetTokensFromRefreshToken", apimodel.Change},
		{"cognito-identity", "GetId", apimodel.Change},
		{"ec2", "DescribeVpnConnections", apimodel.SensitiveRead},
		{"ec2", "DescribeInstances", apimodel.Read},
		{"ec2", "GetPasswordData", apimodel.SensitiveRead},
		{"lambda", "GetFunction", apimodel.SensitiveRead},
		{"lambda", "GetFunctionConfiguration", apimodel.Read},
		{"ecr", "GetDownloadUrlForLayer", apimodel.SensitiveRead},
		{"ecr", "DescribeImages", apimodel.Read},
		{"snowball", "GetJobUnlockCode", apimodel.SensitiveRead},
		{"directconnect", "DescribeVirtualInterfaces", apimodel.SensitiveRead},
		{"macie2", "GetSensitiveDataOccurrences", apimodel.SensitiveRead},
		{"location", "DescribeKey", apimodel.SensitiveRead},
		{"kms", "GenerateRandom", apimodel.SensitiveRead},
		{"kms", "GetParametersForImport", apimodel.Read},
		{"rds", "DescribeDBInstances", apimodel.Read},
		{"iam", "ListAccessKeys", apimodel.Read},
		{"iam", "CreateAccessKey", apimodel.Change},
		{"sso-oidc", "CreateToken", apimodel.Change},
		{"codebuild", "BatchGetProjects", apimodel.Read},
		{"glue", "GetConnection", apimodel.SensitiveRead},
		{"apigateway", "TestInvokeMethod", apimodel.Change},
		{"cloudformation", "DetectStackDrift", apimodel.Change},
		{"cloudformation", "EstimateTemplateCost", apimodel.Read},
		{"guardduty", "GetFindings", apimodel.Read},
		{"organizations", "DescribePolicy", apimodel.Read},
		{"sns", "CheckIfPhoneNumberIsOptedOut", apimodel.Read},
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
	c := models(t)
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
	c := models(t)
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
	c := models(t)
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

// secretName is how members that hold a secret are called, in folded spelling.
// Tokens that page, lock or make a request repeatable are no secrets.
var (
	secretName = regexp.MustCompile(`(password|passphrase|secret|secretkey|secretstring|token|privatekey|authkey|apikey|appkey|accesskey|sharedkey|presharedkey|streamkey|unlockcode|activationcode|activationkey|credentials?|(pre)?signed[a-z0-9]*ur[il]|downloadurl|authorizationcode|authcode)$`)
	plainToken = regexp.MustCompile(`(next|page|pagination|continuation|client|request|idempotency|lock|update|change|version|creation|sequence|forward|backward|max)token$`)
)

// TestSecretMembersAreReviewed finds the plain reads whose answer has a member
// that the model marks as sensitive and that is named like a secret. Each has to
// be in the reviewed table, where a read says why it is one.
func TestSecretMembersAreReviewed(t *testing.T) {
	t.Parallel()
	c := models(t)
	reviewed := reviewedNames(t)
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			if reviewed[name+":"+op.Name] || c.Classify(name, op.Name) != apimodel.Read {
				continue
			}
			if path := secretMember(op.Output, map[*apimodel.Shape]bool{}); path != "" {
				t.Errorf("%s:%s answers with %s: put it into classes.json, as sensitive_read or as read, with the reason", name, op.Name, path)
			}
		}
	}
}

func reviewedNames(t *testing.T) map[string]bool {
	t.Helper()
	table, err := apimodel.ReviewedClasses()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, line := range table {
		for _, name := range line.Names {
			names[line.Service+":"+name] = true
		}
	}
	return names
}

// secretMember gives the path of the first member below s that looks like a secret.
func secretMember(s *apimodel.Shape, seen map[*apimodel.Shape]bool) string {
	if s == nil || seen[s] {
		return ""
	}
	seen[s] = true
	switch s.Type {
	case apimodel.List:
		return secretMember(s.Elem.Shape, seen)
	case apimodel.Map:
		return secretMember(s.Value.Shape, seen)
	}
	for _, m := range s.Members {
		folded := strings.ToLower(m.Name)
		scalar := m.Shape.Type == apimodel.String || m.Shape.Type == apimodel.Blob
		if scalar && m.Shape.Sensitive && secretName.MatchString(folded) && !plainToken.MatchString(folded) {
			return m.Name
		}
		if path := secretMember(m.Shape, seen); path != "" {
			return m.Name + "." + path
		}
	}
	return ""
}

var update = flag.Bool("update", false, "rewrite the golden files")

// TestReadsAreTheReviewedOnes compares the classes of all operations with
// testdata/reads.txt: new models, verbs or lines of the table show there what
// they move. What the file does not name is a change.
func TestReadsAreTheReviewedOnes(t *testing.T) {
	t.Parallel()
	const golden = "testdata/reads.txt"
	got := classLines(t, models(t))
	if *update {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(raw)), "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the classes moved; review each line, then run this test with -update (-want +got):\n%s", diff)
	}
}

// classLines counts the classes, then names every operation that is no change.
func classLines(t *testing.T, c *apimodel.Catalog) []string {
	t.Helper()
	count := map[apimodel.Class]int{}
	var lines []string
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			class := c.Classify(name, op.Name)
			count[class]++
			if class != apimodel.Change {
				lines = append(lines, fmt.Sprintf("%s:%s %s", name, op.Name, class))
			}
		}
	}
	head := fmt.Sprintf("# %d read, %d sensitive_read, %d change", count[apimodel.Read], count[apimodel.SensitiveRead], count[apimodel.Change])
	return append([]string{head}, lines...)
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
