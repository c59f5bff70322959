package playbook_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/playbook"
)

// threeImages asks for all that makes a bucket public, without an excuse.
const threeImages = `id: Three
title: Close a bucket
controls: [X.1]
resource: AwsS3Bucket
runbook: Close
risk: low
impact: none
reversible: true
reads:
  - {name: pab, service: s3, operation: GetPublicAccessBlock, input: {Bucket: resource.name}, absent: [NoSuchPublicAccessBlockConfiguration]}
  - {name: policy, service: s3, operation: GetBucketPolicy, input: {Bucket: resource.name}, absent: [NoSuchBucketPolicy]}
  - {name: acl, service: s3, operation: GetBucketAcl, input: {Bucket: resource.name}}
parameters:
  Bucket: {resource: name}
checks:
  - {name: public buckets are restricted, read: pab, selector: $.PublicAccessBlockConfiguration.RestrictPublicBuckets, equals: 'true'}
  - {name: the bucket policy is not public, read: policy, predicate: policy_not_public}
  - {name: the access control list is not public, read: acl, predicate: acl_not_public}
note: Closed.
`

// TestOnlyWhatMayBeOtherwiseIsReadAgain: what was changed, what failed, what is not
// known, and what a check of these may be excused by.
func TestOnlyWhatMayBeOtherwiseIsReadAgain(t *testing.T) {
	t.Parallel()
	const public = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}`
	on := m{"PublicAccessBlockConfiguration": m{"BlockPublicAcls": true, "IgnorePublicAcls": true, "BlockPublicPolicy": true, "RestrictPublicBuckets": true}}
	off := m{"PublicAccessBlockConfiguration": m{}}
	bucket := "arn:aws:s3:::reports"
	tests := map[string]struct {
		playbook      string
		before, after map[string]m
		touched       []string
		forget        string // a result that planning did not keep
		asked         []string
		fails         string
	}{
		"only what was changed": {
			"three",
			map[string]m{"s3:GetPublicAccessBlock": off, "s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}},
			map[string]m{"s3:GetPublicAccessBlock": on},
			[]string{"s3:GetPublicAccessBlock"},
			"",
			[]string{"s3:GetPublicAccessBlock"},
			"",
		},
		"what failed, though no change touched it": {
			"three",
			map[string]m{"s3:GetPublicAccessBlock": off, "s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}},
			map[string]m{"s3:GetPublicAccessBlock": on, "s3:GetBucketPolicy": {"Policy": public}},
			[]string{"s3:GetPublicAccessBlock"},
			"",
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy"},
			"the bucket policy is not public",
		},
		"what was in order and a change touched": {
			"three",
			map[string]m{"s3:GetPublicAccessBlock": off, "s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}},
			map[string]m{"s3:GetPublicAccessBlock": on, "s3:GetBucketPolicy": {"Policy": public}},
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy"},
			"",
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy"},
			"the bucket policy is not public",
		},
		"what is not known": {
			"three",
			map[string]m{"s3:GetPublicAccessBlock": off, "s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}},
			map[string]m{"s3:GetPublicAccessBlock": on, "s3:GetBucketPolicy": {}},
			[]string{"s3:GetPublicAccessBlock"},
			"the bucket policy is not public",
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy"},
			"",
		},
		"what a change may excuse": {
			"S3.2",
			map[string]m{"s3:GetPublicAccessBlock": off, "s3:GetBucketPolicy": {"Policy": public}, "s3:GetBucketAcl": {}, "s3control:GetPublicAccessBlock": off},
			map[string]m{"s3:GetPublicAccessBlock": on, "s3:GetBucketPolicy": {}, "s3:GetBucketAcl": {}},
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy"},
			"",
			[]string{"s3:GetPublicAccessBlock", "s3:GetBucketPolicy", "s3:GetBucketAcl"},
			"",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := playbook.Parse([]byte(threeImages))
			if err != nil {
				t.Fatal(err)
			}
			if tt.playbook != "three" {
				p = shipped(t, tt.playbook)
			}
			r, err := playbook.NewResource(p.Resource, bucket, account, "us-east-1")
			if err != nil {
				t.Fatal(err)
			}
			var asked []string
			answering := func(answers map[string]m) playbook.Caller {
				asked = nil
				return func(_ string, c apimodel.Call) (apimodel.Reply, error) {
					op := c.Service + ":" + c.Operation
					asked = append(asked, op)
					if answers[op] == nil {
						return apimodel.Reply{}, fmt.Errorf("%s is not to be read", op)
					}
					return apimodel.Reply{Output: answers[op]}, nil
				}
			}
			readings, earlier, err := p.Look(r, playbook.Looking{}, answering(tt.before))
			if err != nil {
				t.Fatal(err)
			}
			earlier = append(earlier, p.Standing(readings)...)
			for i := range earlier {
				if earlier[i].Check == tt.forget {
					earlier[i].Check = "another"
				}
			}
			call := answering(tt.after)
			results, again, err := p.Again(r, earlier, func(c apimodel.Call) bool {
				return strings.Contains(strings.Join(tt.touched, " "), c.Service+":"+c.Operation)
			}, call)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.asked, asked); diff != "" {
				t.Errorf("reads (-want +got):\n%s", diff)
			}
			if len(results) != len(p.Checks) || again > len(results) || again == 0 {
				t.Errorf("%d results, %d of them read again, for %d checks", len(results), again, len(p.Checks))
			}
			for i, got := range results {
				if got.Check != p.Checks[i].Name || got.Passed != (got.Check != tt.fails) {
					t.Errorf("result %d is %v", i, got)
				}
			}
		})
	}
}

// A key that no longer is one to rotate has one result, which says so.
func TestOutsideTheControlWhenReadAgain(t *testing.T) {
	t.Parallel()
	p := shipped(t, "KMS.4")
	r, err := playbook.NewResource(p.Resource, "arn:aws:kms:us-east-1:"+account+":key/k-1", account, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	results, _, err := p.Again(r, nil, func(apimodel.Call) bool { return true }, func(_ string, c apimodel.Call) (apimodel.Reply, error) {
		if c.Operation != "DescribeKey" {
			return apimodel.Reply{}, fmt.Errorf("%s is not to be read", c.Operation)
		}
		return apimodel.Reply{Output: m{"KeyMetadata": m{"KeyManager": "AWS"}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || !results[0].Passed || !strings.Contains(results[0].Detail, "not about this resource") {
		t.Errorf("got %v", results)
	}
}
