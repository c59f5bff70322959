package playbook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
)

const account = "111122223333"

func TestNewResource(t *testing.T) {
	t.Parallel()
	for arn, name := range map[string]string{
		"arn:aws:s3:::reports":                                        "reports",
		"arn:aws-cn:s3:::reports":                                     "reports",
		"arn:aws:lambda:us-east-1:111122223333:function:f":            "f",
		"arn:aws:iam::111122223333:user/team/alice":                   "alice",
		"arn:aws:s3:us-east-1:111122223333:accesspoint/reports-point": "reports-point",
	} {
		r, err := playbook.NewResource("T", arn, account, "us-east-1")
		want := playbook.Resource{Type: "T", ARN: arn, Name: name, Account: account, Region: "us-east-1"}
		if diff := cmp.Diff(want, r); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", arn, err, diff)
		}
	}
	for arn, want := range map[string]string{
		"":                                 "is not an ARN",
		"reports":                          "is not an ARN",
		"arn:aws:s3:::":                    "is not an ARN",
		"arn::s3:::reports":                "is not an ARN",
		"arn:aws::::reports":               "is not an ARN",
		"urn:aws:s3:::reports":             "is not an ARN",
		"arn:aws:s3:::reports/key":         "is an object, not a bucket",
		"arn:aws:s3:::reports/*":           "is an object, not a bucket",
		"arn:aws:iam::111122223333:user/":  "names nothing",
		"arn:aws:iam::444455556666:user/a": "names account 444455556666, the finding account 111122223333",
		"arn:aws:s3:::" + strings.Repeat("ü", 1024): "is not an ARN",
		"arn:aws:iam::111122223333:user/*":          "is not the ARN of one resource",
		"arn:aws:iam::111122223333:user/a b":        "is not the ARN of one resource",
		"arn:aws:iam::111122223333:user/../a":       "is not the ARN of one resource",
		"arn:aws:iam::111122223333:user/a%2fb":      "is not the ARN of one resource",
		"arn:aws:iam::111122223333:user/a\r\nb":     "is not the ARN of one resource",
		"arn:aws:kms:eu-west-1:111122223333:key/a":  "names Region eu-west-1, the finding Region us-east-1",
	} {
		_, err := playbook.NewResource("T", arn, account, "us-east-1")
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: err = %v, want … %s …", arn, err, want)
		}
		if err != nil && !utf8.ValidString(err.Error()) {
			t.Errorf("%.40s: half a character in %q", arn, err)
		}
	}
}

// What has a kind must have the ARN that AWS gives to that kind.
func TestTheFormOfAResource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, arn, refused string }{
		{"AwsS3Bucket", "arn:aws:s3:::reports", ""},
		{"AwsS3Bucket", "arn:aws-us-gov:s3:::Old_Reports.2012", ""},
		{"AwsS3Bucket", "arn:aws:s3:::*", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:::reports?policy", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:::reports%2f..", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:::..", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:::re..ports", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:::reports\r\nHost", "does not end in the name of a bucket"},
		{"AwsS3Bucket", "arn:aws:s3:us-east-1:111122223333:accesspoint/reports", "is not the ARN of one of kind AwsS3Bucket"},
		{"AwsS3Bucket", "arn:aws:dynamodb:us-east-1:111122223333:table/reports", "is a resource of dynamodb, one of kind AwsS3Bucket is of s3"},
		{"AwsS3Bucket", "AWS::::Account:111122223333", "is an account, not one of kind AwsS3Bucket"},
		{"AwsEc2SecurityGroup", "arn:aws:ec2:us-east-1:111122223333:security-group/sg-0123456789abcdef0", ""},
		{"AwsEc2SecurityGroup", "arn:aws:ec2:us-east-1:111122223333:instance/i-0123456789abcdef0", "does not end in security-group/"},
		{"AwsEc2SecurityGroup", "arn:aws:ec2:us-east-1:444455556666:security-group/sg-0123456789abcdef0", "names account 444455556666"},
		{"AwsEc2SecurityGroup", "arn:aws:ec2:eu-west-1:111122223333:security-group/sg-0123456789abcdef0", "names Region eu-west-1"},
		{"AwsEc2SecurityGroup", "arn:aws:ec2:::security-group/sg-0123456789abcdef0", "is not the ARN of one of kind"},
		{"AwsKmsKey", "arn:aws:kms:us-east-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab", ""},
		{"AwsKmsKey", "arn:aws:kms:us-east-1:111122223333:alias/reports", "does not end in key/"},
		{"AwsAccount", "AWS::::Account:111122223333", ""},
		{"AwsAccount", "AWS::::Account:444455556666", "the resource is account 444455556666"},
		{"AwsAccount", "arn:aws:iam::111122223333:root", ""},
		{"AwsAccount", "arn:aws:iam::444455556666:root", "names account 444455556666"},
		{"AwsAccount", "arn:aws:s3:::reports", "names no account"},
	} {
		_, err := playbook.NewResource(c.kind, c.arn, account, "us-east-1")
		if got := fmt.Sprint(err); (err == nil) != (c.refused == "") || err != nil && !strings.Contains(got, c.refused) {
			t.Errorf("%s %q: %v, want … %s …", c.kind, c.arn, err, c.refused)
		}
	}
}

// FuzzNewResource: what is taken has one name that AWS could have given, whatever it is
// later put into.
func FuzzNewResource(f *testing.F) {
	for _, seed := range []string{"arn:aws:s3:::reports", "arn:aws:ec2:us-east-1:111122223333:security-group/sg-0123abcd", "AWS::::Account:111122223333", "arn:aws:s3:::a/../b", "arn:aws:ecr:us-east-1:111122223333:repository/team/app"} {
		for _, kind := range []string{"AwsS3Bucket", "AwsEc2SecurityGroup", "AwsKmsKey", "AwsAccount", "AwsLambdaFunction"} {
			f.Add(kind, seed)
		}
	}
	f.Fuzz(func(t *testing.T, kind, arn string) {
		r, err := playbook.NewResource(kind, arn, account, "us-east-1")
		if err != nil {
			return
		}
		if r.Name == "" || strings.ContainsAny(r.Name, "*?%\\ \r\n\x00<>\"'") || strings.Contains(r.Name, "..") || !strings.Contains(arn, r.Name) {
			t.Errorf("%q gives the name %q", arn, r.Name)
		}
	})
}

func parsed(t *testing.T) (playbook.Playbook, playbook.Resource) {
	t.Helper()
	p, err := playbook.Parse([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	r, err := playbook.NewResource("AwsS3Bucket", "arn:aws:s3:::reports", account, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

func TestLookReads(t *testing.T) {
	t.Parallel()
	p, r := parsed(t)
	other := errors.New("lost")
	for name, c := range map[string]struct {
		reply apimodel.Reply
		err   error
		want  playbook.Readings
		fails error
	}{
		"an answer": {apimodel.Reply{Output: map[string]any{"Policy": "{}"}}, nil, playbook.Readings{"policy": {"Policy": "{}"}}, nil},
		"absent":    {apimodel.Reply{}, &apimodel.APIError{Code: "NoSuchBucketPolicy"}, playbook.Readings{"policy": {}}, nil},
		"an error":  {apimodel.Reply{}, other, nil, other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _, err := p.Look(r, playbook.Looking{}, func(step string, call apimodel.Call) (apimodel.Reply, error) {
				want := apimodel.Call{Service: "s3", Operation: "GetBucketPolicy", Account: account, Region: "us-east-1", Input: map[string]any{"Bucket": "reports"}}
				if diff := cmp.Diff(want, call); diff != "" || step != "read:policy" {
					t.Errorf("step %s, call (-want +got):\n%s", step, diff)
				}
				return c.reply, c.err
			})
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, c.fails) {
				t.Errorf("err = %v, readings (-want +got):\n%s", err, diff)
			}
		})
	}
	// An error that is not among the absent codes is no answer.
	if _, _, err := p.Look(r, playbook.Looking{}, func(string, apimodel.Call) (apimodel.Reply, error) {
		return apimodel.Reply{}, &apimodel.APIError{Code: "AccessDenied"}
	}); err == nil {
		t.Error("an access that was denied counts as absent")
	}
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	p, _ := parsed(t)
	for name, c := range map[string]struct {
		doc    map[string]any
		want   []remediation.CheckResult
		passed bool
	}{
		"complies": {
			map[string]any{"Status": "enabled"},
			[]remediation.CheckResult{
				{Check: "not public", Passed: true, Detail: "there is no resource policy"}, {Check: "versioned", Passed: true, Detail: "$.Status is enabled"},
			},
			true,
		},
		"absent": {
			nil,
			[]remediation.CheckResult{
				{Check: "not public", Passed: true, Detail: "there is no resource policy"}, {Check: "versioned", Detail: "$.Status is absent"},
			},
			false,
		},
		"another value": {
			map[string]any{"Policy": "{", "Status": true},
			[]remediation.CheckResult{
				{Check: "not public", Detail: "the resource policy is not JSON: unexpected end of JSON input"}, {Check: "versioned", Detail: "$.Status is true"},
			},
			false,
		},
		"a long value is cut between characters": {
			map[string]any{"Status": "x" + strings.Repeat("ä", 200)},
			[]remediation.CheckResult{
				{Check: "not public", Passed: true, Detail: "there is no resource policy"}, {Check: "versioned", Detail: "$.Status is x" + strings.Repeat("ä", 99) + "…"},
			},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.Evaluate(playbook.Readings{"policy": c.doc})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			if playbook.Passed(got) != c.passed {
				t.Errorf("passed = %v", !c.passed)
			}
		})
	}
	if playbook.Passed(nil) {
		t.Error("nothing checked counts as passed")
	}
}

// TestAPlanKeepsItsHash: what a check saw is part of the plan, and the plan is
// read back from JSON before it runs.
func TestAPlanKeepsItsHash(t *testing.T) {
	t.Parallel()
	p, _ := parsed(t)
	for n := range 4 { // a character of four bytes is cut at each of them
		results := p.Evaluate(playbook.Readings{"policy": {"Status": strings.Repeat("x", n) + strings.Repeat("🪣", 80)}})
		plan := remediation.Plan{Violation: results}
		want, err := plan.Hash()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		var back remediation.Plan
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if got, err := back.Hash(); err != nil || got != want {
			t.Errorf("%d: the hash of %q is %s after storage, was %s", n, results[1].Detail, got, want)
		}
	}
}

func TestRunbookParameters(t *testing.T) {
	t.Parallel()
	p, r := parsed(t)
	got, err := p.RunbookParameters(r, playbook.Readings{"policy": {}})
	if diff := cmp.Diff(map[string]any{"Bucket": "reports", "Action": "none", "Mode": "strict"}, got); err != nil || diff != "" {
		t.Errorf("%v, parameters (-want +got):\n%s", err, diff)
	}
	p.Parameters = map[string]playbook.Source{"A": {Resource: "arn"}, "B": {Resource: "account"}, "C": {Resource: "region"}}
	got, err = p.RunbookParameters(r, nil)
	if diff := cmp.Diff(map[string]any{"A": r.ARN, "B": account, "C": "us-east-1"}, got); err != nil || diff != "" {
		t.Errorf("%v, parameters (-want +got):\n%s", err, diff)
	}
	p.Parameters = map[string]playbook.Source{"Action": {Derive: "policy_action", From: "policy"}}
	if _, err := p.RunbookParameters(r, playbook.Readings{"policy": {"Policy": "{"}}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "derive parameter Action") {
		t.Errorf("err = %v", err)
	}
}
