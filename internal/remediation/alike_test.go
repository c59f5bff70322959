package remediation_test

import (
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

func TestShared(t *testing.T) {
	t.Parallel()
	call := func(operation, bucket string) remediation.PlannedCall {
		return remediation.PlannedCall{Service: "s3", Operation: operation, Account: "111122223333", Region: "us-east-1", Class: apimodel.Change, Input: map[string]any{"Bucket": bucket, "Rules": []any{"a", 1}}}
	}
	read, later, elsewhere := call("GetBucketAcl", "b"), call("PutBucketAcl", "b"), call("PutBucketAcl", "b")
	read.Class, later.FromOutputs, elsewhere.Account = apimodel.Read, []string{"Rules"}, "444455556666"
	acl, policy := call("PutBucketAcl", "b"), call("PutBucketPolicy", "b")
	for name, c := range map[string]struct {
		a, b []remediation.PlannedCall
		want int
	}{
		"the same in another order":   {[]remediation.PlannedCall{read, acl, policy}, []remediation.PlannedCall{policy, acl}, 2},
		"one of two":                  {[]remediation.PlannedCall{acl, policy}, []remediation.PlannedCall{acl}, 1},
		"once there, twice here":      {[]remediation.PlannedCall{acl, acl}, []remediation.PlannedCall{acl}, 1},
		"another bucket":              {[]remediation.PlannedCall{acl}, []remediation.PlannedCall{call("PutBucketAcl", "c")}, 0},
		"another account":             {[]remediation.PlannedCall{acl}, []remediation.PlannedCall{elsewhere}, 0},
		"reads alone":                 {[]remediation.PlannedCall{read}, []remediation.PlannedCall{read}, 0},
		"known only after another":    {[]remediation.PlannedCall{later}, []remediation.PlannedCall{later}, 0},
		"a plan that changes nothing": {nil, nil, 0},
	} {
		if got := remediation.Shared(remediation.Plan{Calls: c.a}, remediation.Plan{Calls: c.b}); got != c.want {
			t.Errorf("%s: %d, not %d", name, got, c.want)
		}
	}
}
