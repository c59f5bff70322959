package app_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
)

// typesScript looks closely at what its calls answer, and changes things between.
const typesScript = `
schemaVersion: "0.3"
mainSteps:
- name: Look
  action: aws:executeScript
  inputs:
    Runtime: python3.11
    Handler: look
    InputPayload: {Bucket: b}
    Script: |
      import boto3
      def look(events, context):
          s3, kms = boto3.client('s3'), boto3.client('kms')
          seen = []
          listed = s3.list_objects_v2(Bucket=events['Bucket'])
          seen.append(type(listed['Contents'][0]['LastModified']).__name__ + ' ' + listed['Contents'][0]['LastModified'].isoformat())
          seen.append(type(listed['KeyCount']).__name__)
          s3.put_bucket_tagging(Bucket=events['Bucket'], Tagging={'TagSet': [{'Key': 'a', 'Value': 'b'}]})
          made = kms.encrypt(KeyId='k', Plaintext=b'\x00\xff')
          seen.append(type(made['CiphertextBlob']).__name__ + ' ' + made['CiphertextBlob'].hex())
          try:
              s3.get_bucket_policy(Bucket=events['Bucket'])
          except s3.exceptions.ClientError as e:
              seen.append(e.response['Error']['Code'] + ' ' + str(e.response['ResponseMetadata']['HTTPStatusCode']))
          s3.delete_bucket_tagging(Bucket=events['Bucket'])
          return {'seen': seen}
outputs: [Look.Payload]
`

type aws struct{ calls []string }

func (a *aws) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	a.calls = append(a.calls, c.Operation)
	meta := map[string]any{"RequestId": "r", "HTTPStatusCode": int64(200), "HTTPHeaders": map[string]any{}, "RetryAttempts": int64(0)}
	switch c.Operation {
	case "ListObjectsV2":
		return apimodel.Reply{Output: map[string]any{"KeyCount": int64(1), "ResponseMetadata": meta, "Contents": []any{
			map[string]any{"Key": "k", "LastModified": time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		}}}, nil
	case "Encrypt":
		return apimodel.Reply{Output: map[string]any{"CiphertextBlob": []byte{1, 0, 255}, "ResponseMetadata": meta}}, nil
	case "GetBucketPolicy":
		return apimodel.Reply{}, &apimodel.APIError{Service: "S3", Operation: "GetBucketPolicy", Code: "NoSuchBucketPolicy", Message: "none", HTTPStatus: 404, RequestID: "r"}
	}
	return apimodel.Reply{Output: map[string]any{"ResponseMetadata": meta}}, nil
}

// dying is a journal that ends the process after a number of entries.
type dying struct {
	entries []automation.JournalEntry
	after   int
}

var errDied = errors.New("the process ended")

func (d *dying) Entries(context.Context, string) ([]automation.JournalEntry, error) {
	return d.entries, nil
}

func (d *dying) Append(_ context.Context, _ string, e automation.JournalEntry) error {
	d.entries = append(d.entries, e)
	if d.after--; d.after == 0 {
		return errDied
	}
	return nil
}

// TestAScriptCannotTellThatItBeganAgain: killed after each of its calls, a real
// script sees the same values of the same types, and no call is made twice.
func TestAScriptCannotTellThatItBeganAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Python")
	}
	t.Parallel()
	python := os.Getenv("PARRY_PYTHON")
	if python == "" {
		t.Skip("PARRY_PYTHON is not set")
	}
	clock := service.SystemClock{}
	log := slog.New(slog.DiscardHandler)
	cfg := config.Config{}
	cfg.Scripts.Python = python
	runner, err := app.NewScripts(cfg, clock, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.Stop(context.WithoutCancel(t.Context())) })
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := automation.New(automation.Config{Clock: automation.RealClock{Clock: clock}, Class: models.ClassifyCall})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := runbook.Parse([]byte(typesScript))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seen":["datetime 2026-01-02T03:04:05+00:00","int","bytes 0100ff","NoSuchBucketPolicy 404"]}`
	made := []string{"ListObjectsV2", "PutBucketTagging", "Encrypt", "GetBucketPolicy", "DeleteBucketTagging"}
	for after := range len(made) + 1 {
		world, j := &aws{}, &dying{after: after}
		run := automation.Run{
			Document: doc, Caller: world, ExecutionID: "exec-1", Account: "111122223333", Region: "eu-west-1", Scripts: app.Scripts(runner), Journal: j,
		}
		out, err := engine.Run(t.Context(), run)
		if after > 0 {
			if !errors.Is(err, errDied) {
				t.Fatalf("after %d calls: %+v %v", after, out, err)
			}
			out, err = engine.Run(t.Context(), run)
		}
		if err != nil || out.Status != automation.Success {
			t.Fatalf("after %d calls: %+v %v", after, out.Failure, err)
		}
		if diff := cmp.Diff([]string{want}, out.Outputs["Look.Payload"]); diff != "" {
			t.Errorf("after %d calls: %s", after, diff)
		}
		if diff := cmp.Diff(made, world.calls); diff != "" {
			t.Errorf("after %d calls: %s", after, diff)
		}
	}
}
