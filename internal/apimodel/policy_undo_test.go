package apimodel_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

func TestGrantsAround(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, tc := range map[string]struct {
		call apimodel.Call
		with apimodel.Surround
		want []string
	}{
		"all": {
			apimodel.Call{Service: "s3", Operation: "PutBucketPolicy", Input: in("Bucket", "b")},
			apimodel.Surround{Image: true, Undo: true},
			[]string{"s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"},
		},
		"no undo": {
			apimodel.Call{Service: "s3", Operation: "PutBucketPolicy", Input: in("Bucket", "b")},
			apimodel.Surround{Image: true},
			[]string{"s3:GetBucketPolicy", "s3:PutBucketPolicy"},
		},
		"only the operation": {
			apimodel.Call{Service: "s3", Operation: "DeleteBucketPolicy"},
			apimodel.Surround{Image: true, Undo: true},
			[]string{"s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:PutBucketPolicy"},
		},
		"elements of a set": {
			apimodel.Call{Service: "ec2", Operation: "RevokeSecurityGroupIngress", Input: in("GroupId", "sg-1", "IpPermissions", []any{})},
			apimodel.Surround{Image: true, Undo: true},
			[]string{"ec2:AuthorizeSecurityGroupIngress", "ec2:DescribeSecurityGroups", "ec2:RevokeSecurityGroupIngress"},
		},
		"no row": {
			apimodel.Call{Service: "s3", Operation: "DeleteBucket", Input: in("Bucket", "b")},
			apimodel.Surround{Image: true, Undo: true},
			[]string{"s3:DeleteBucket"},
		},
	} {
		got, err := c.GrantsAround(tc.call, tc.with)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.want, apimodel.Actions(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
