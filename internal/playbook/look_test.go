package playbook_test

import (
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/playbook"
)

type m = map[string]any

func shipped(t *testing.T, id string) playbook.Playbook {
	t.Helper()
	raw, err := fs.ReadFile(catalog.FS, "playbooks/"+id+".yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := playbook.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// looked looks at a resource with answers by operation, and gives which were asked for.
func looked(t *testing.T, p playbook.Playbook, arn string, o playbook.Looking, answers map[string]m) (passed bool, asked []string) {
	t.Helper()
	r, err := playbook.NewResource(p.Resource, arn, account, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	_, results, err := p.Look(r, o, func(_ string, c apimodel.Call) (apimodel.Reply, error) {
		name := c.Service + ":" + c.Operation
		asked = append(asked, name)
		if answers[name] == nil {
			return apimodel.Reply{}, &apimodel.APIError{Code: "NoSuchPublicAccessBlockConfiguration"}
		}
		return apimodel.Reply{Output: answers[name]}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return playbook.Passed(results), asked
}

// TestOnlyWhatIsNeededIsRead: what the account says is read where the bucket is public,
// and the rotation of a key only where it can be rotated.
func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	t.Parallel()
	public := `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`
	on := m{"PublicAccessBlockConfiguration": m{"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true}}
	bucket, key := "arn:aws:s3:::reports", "arn:aws:kms:us-east-1:"+account+":key/k-1"
	three := []string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy", "s3:GetBucketAcl"}
	four := append(three[:3:3], "s3control:GetPublicAccessBlock")
	custom := m{"KeyManager": "CUSTOMER", "KeyState": "Enabled", "KeySpec": "SYMMETRIC_DEFAULT", "Origin": "AWS_KMS"}
	for name, c := range map[string]struct {
		book, arn string
		looking   playbook.Looking
		answers   map[string]m
		passed    bool
		asked     []string
	}{
		"a private bucket":                  {"S3.2", bucket, playbook.Looking{}, map[string]m{"s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}}, true, three},
		"a public one":                      {"S3.2", bucket, playbook.Looking{}, map[string]m{"s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}}, false, four},
		"public, but its account is closed": {"S3.2", bucket, playbook.Looking{}, map[string]m{"s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}, "s3control:GetPublicAccessBlock": on}, true, four},
		"public, but itself closed":         {"S3.2", bucket, playbook.Looking{}, map[string]m{"s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}, "s3:GetPublicAccessBlock": on}, true, three},
		"public to read is not to write":    {"S3.3", bucket, playbook.Looking{}, map[string]m{"s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}}, true, three},
		"masked is not fixed":               {"S3.2", bucket, playbook.Looking{Fixed: true}, map[string]m{"s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}, "s3:GetPublicAccessBlock": on}, false, three},
		"fixed":                             {"S3.2", bucket, playbook.Looking{Fixed: true}, map[string]m{"s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}, "s3:GetPublicAccessBlock": on}, true, three},
		"a key that is not rotated":         {"KMS.4", key, playbook.Looking{}, map[string]m{"kms:DescribeKey": {"KeyMetadata": custom}, "kms:GetKeyRotationStatus": {"KeyRotationEnabled": false}}, false, []string{"kms:DescribeKey", "kms:GetKeyRotationStatus"}},
		"a key of AWS's":                    {"KMS.4", key, playbook.Looking{}, map[string]m{"kms:DescribeKey": {"KeyMetadata": m{"KeyManager": "AWS"}}}, true, []string{"kms:DescribeKey"}},
		"no default group":                  {"EC2.2", "arn:aws:ec2:us-east-1:" + account + ":security-group/sg-1", playbook.Looking{}, map[string]m{"ec2:DescribeSecurityGroups": {"SecurityGroups": []any{m{"GroupName": "web", "IpPermissions": []any{m{}}}}}}, true, []string{"ec2:DescribeSecurityGroups"}},
		"a default group":                   {"EC2.2", "arn:aws:ec2:us-east-1:" + account + ":security-group/sg-1", playbook.Looking{}, map[string]m{"ec2:DescribeSecurityGroups": {"SecurityGroups": []any{m{"GroupName": "default", "IpPermissions": []any{m{}}}}}}, false, []string{"ec2:DescribeSecurityGroups"}},
		"what the listing showed": {"EC2.13", "arn:aws:ec2:us-east-1:" + account + ":security-group/sg-1", playbook.Looking{
			Known: playbook.Readings{"group": {"SecurityGroups": []any{m{"IpPermissions": []any{m{"IpProtocol": "-1", "IpRanges": []any{m{"CidrIp": "0.0.0.0/0"}}}}}}}},
		}, nil, false, nil},
		"an account":            {"S3.1", "AWS::::Account:" + account, playbook.Looking{}, map[string]m{"s3control:GetPublicAccessBlock": on}, true, []string{"s3control:GetPublicAccessBlock"}},
		"an account without it": {"S3.1", "AWS::::Account:" + account, playbook.Looking{}, nil, false, []string{"s3control:GetPublicAccessBlock"}},
		"a short password":      {"IAM.7", "AWS::::Account:" + account, playbook.Looking{}, map[string]m{"iam:GetAccountPasswordPolicy": {"PasswordPolicy": m{"MinimumPasswordLength": int64(6), "RequireSymbols": true, "RequireNumbers": true, "RequireUppercaseCharacters": true, "RequireLowercaseCharacters": true}}}, false, []string{"iam:GetAccountPasswordPolicy"}},
		"a long one":            {"IAM.7", "AWS::::Account:" + account, playbook.Looking{}, map[string]m{"iam:GetAccountPasswordPolicy": {"PasswordPolicy": m{"MinimumPasswordLength": int64(20), "RequireSymbols": true, "RequireNumbers": true, "RequireUppercaseCharacters": true, "RequireLowercaseCharacters": true}}}, true, []string{"iam:GetAccountPasswordPolicy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			passed, asked := looked(t, shipped(t, c.book), c.arn, c.looking, c.answers)
			if passed != c.passed {
				t.Errorf("passed is %v", passed)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
		})
	}
}

// What an account's setting was a moment ago confirms that a bucket is public, and never
// that it is not. Seen to fail where what is recalled may excuse a check.
func TestWhatIsRecalledConfirmsOnly(t *testing.T) {
	t.Parallel()
	public := m{"Policy": `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`}
	on := m{"PublicAccessBlockConfiguration": m{"IgnorePublicAcls": true, "RestrictPublicBuckets": true}}
	acls := m{"PublicAccessBlockConfiguration": m{"IgnorePublicAcls": true}}
	three := []string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy", "s3:GetBucketAcl"}
	four := append(three[:3:3], "s3control:GetPublicAccessBlock")
	for name, c := range map[string]struct {
		recalled, now m // what the account says; nil = nothing
		passed        bool
		asked         []string
	}{
		"nothing is remembered":           {nil, on, true, four},
		"it was open":                     {m{}, on, false, three},
		"it ignored access control lists": {acls, on, false, three},
		"it was closed and still is":      {on, on, true, four},
		"it was closed":                   {on, m{}, false, four},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []m
			o := playbook.Looking{
				Recall:   func(apimodel.Call) (map[string]any, bool) { return c.recalled, c.recalled != nil },
				Deferred: func(_ apimodel.Call, answer map[string]any) { told = append(told, answer) },
			}
			passed, asked := looked(t, shipped(t, "S3.2"), "arn:aws:s3:::reports", o, map[string]m{"s3:GetBucketPolicy": public, "s3:GetBucketAcl": {}, "s3control:GetPublicAccessBlock": c.now})
			if passed != c.passed {
				t.Errorf("passed is %v", passed)
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
			var want []m
			if len(c.asked) == 4 {
				want = []m{c.now}
			}
			if diff := cmp.Diff(want, told); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	at := playbook.Place{Partition: "aws", Account: account, Region: "eu-west-1"}
	buckets, err := shipped(t, "S3.2").Candidates(m{"Buckets": []any{m{"Name": "here", "BucketRegion": "eu-west-1"}, m{"Name": "there", "BucketRegion": "us-east-1"}, m{"Name": "unsaid"}}}, at)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range buckets {
		names = append(names, c.Resource.ARN)
	}
	if diff := cmp.Diff([]string{"arn:aws:s3:::here", "arn:aws:s3:::unsaid"}, names); diff != "" {
		t.Errorf("buckets (-want +got):\n%s", diff)
	}
	groups, err := shipped(t, "EC2.13").Candidates(m{"SecurityGroups": []any{m{"GroupId": "sg-1"}}}, at)
	want := []playbook.Candidate{{
		Resource: playbook.Resource{Type: "AwsEc2SecurityGroup", ARN: "arn:aws:ec2:eu-west-1:" + account + ":security-group/sg-1", Name: "sg-1", Account: account, Region: "eu-west-1"},
		Known:    playbook.Readings{"group": {"SecurityGroups": []any{m{"GroupId": "sg-1"}}}},
	}}
	if diff := cmp.Diff(want, groups); err != nil || diff != "" {
		t.Errorf("%v, groups (-want +got):\n%s", err, diff)
	}
	for name, page := range map[string]m{"no structure": {"Keys": []any{"k"}}, "no ARN": {"Keys": []any{m{"KeyId": "k"}}}, "a foreign key": {"Keys": []any{m{"KeyArn": "arn:aws:kms:eu-west-1:444455556666:key/k"}}}} {
		if _, err := shipped(t, "KMS.4").Candidates(page, at); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	self := shipped(t, "IAM.7").Self(at).Resource
	if parsed, err := playbook.NewResource(self.Type, self.ARN, account, "eu-west-1"); err != nil || parsed != self {
		t.Errorf("%+v is not what a finding's is: %+v, %v", self, parsed, err)
	}
}
