package cli

import (
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/runbook"
)

// FuzzPolicySource wants that whatever a file holds is refused or derived, and
// that what is derived is a policy.
func FuzzPolicySource(f *testing.F) {
	for _, seed := range []string{
		"s3:PutBucketPolicy\n# x\n", "- s3:GetBucketAcl\n- {service: s3, operation: PutBucketAcl, account: 0123, input: {Bucket: '{{ B }}*'}}\n",
		`{"plan": {"calls": [{"service": "kms", "operation": "EnableKeyRotation", "input": {"KeyId": "<known after apply: a.KeyId>"}}]}}`,
		"schemaVersion: '0.3'\nmainSteps:\n  - name: A\n    action: aws:loop\n    inputs: {Steps: [{name: B, action: aws:runCommand, inputs: {DocumentName: AWS-X}}]}\n",
		"- service: s3\n  operation: PutBucketAcl\n  input: {Bucket: [[[]]], 1: 2}\n", "a: &a [*a]\n", "\x00", "[]",
	} {
		f.Add([]byte(seed))
	}
	models, err := apimodel.Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		src, err := parsePolicySource(raw, runbook.Where{Account: "111122223333", Region: "us-east-1"})
		if err != nil {
			return
		}
		var grants []apimodel.Grant
		for _, c := range src.calls {
			list, err := models.GrantsAround(c.call, apimodel.Surround{Image: true, Undo: true})
			if err == nil {
				grants = append(grants, list...)
			}
		}
		for _, s := range apimodel.Document(grants).Statement {
			if len(s.Action) == 0 || len(s.Resource) == 0 || s.Sid == "" {
				t.Errorf("%+v is no statement", s)
			}
		}
	})
}
