package scenarios_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
)

// closing closes a bucket in all the ways that a document can act: a call of a step,
// a script, a child, with a pause between them.
const closing = `
description: Closes a bucket.
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
mainSteps:
  - name: Block
    action: aws:executeAwsApi
    inputs:
      Service: s3
      Api: PutPublicAccessBlock
      Bucket: "{{ Bucket }}"
      PublicAccessBlockConfiguration: {BlockPublicAcls: false, IgnorePublicAcls: true, BlockPublicPolicy: false, RestrictPublicBuckets: true}
  - name: Drop
    action: aws:executeScript
    inputs:
      Runtime: python3.11
      Handler: main
      InputPayload: {bucket: "{{ Bucket }}"}
      Script: |
        import boto3
        def main(events, context):
            s3 = boto3.client("s3")
            seen = s3.get_bucket_policy(Bucket=events["bucket"])["Policy"]
            s3.delete_bucket_policy(Bucket=events["bucket"])
            return {"size": len(seen)}
    outputs: [{Name: Size, Selector: $.Payload.size, Type: Integer}]
  - name: Rest
    action: aws:sleep
    inputs: {Duration: PT1S}
  - name: Grants
    action: aws:executeAutomation
    inputs: {DocumentName: Close-Grants, RuntimeParameters: {Bucket: "{{ Bucket }}"}}
`

const closingGrants = `
description: Takes the public grants of a bucket away.
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
mainSteps:
  - name: Private
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: PutBucketAcl, Bucket: "{{ Bucket }}", ACL: private}
`

// aws runs the AWS CLI against the server, as a person.
func (n *node) aws(person string, args ...string) []byte {
	n.t.Helper()
	program, err := n.w.env.AWS()
	if err != nil {
		n.t.Fatal(err)
	}
	k := n.keys[person]
	cmd := exec.CommandContext(n.t.Context(), program, append(args, "--endpoint-url", n.endpoint, "--region", n.w.env.Estate.Region, "--output", "json")...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+k.ID, "AWS_SECRET_ACCESS_KEY="+k.Secret, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.t.Fatalf("aws %v: %v: %s", args, err, out)
	}
	return out
}

// runBy finds the remediation that an execution belongs to, in one of states.
func (n *node) runBy(execution string, states ...remediation.State) remediation.Remediation {
	n.t.Helper()
	var last remediation.Remediation
	poll(n.t, patience, func() string { return fmt.Sprintf("the run %s is %s: %s", execution, last.State, last.Reason) }, func(ctx context.Context) bool {
		page, err := n.as("olga").Remediations(ctx, client.RemediationFilter{}, client.Paging{Limit: 200})
		if err != nil {
			return false
		}
		for _, r := range page.Items {
			if r.Execution == execution {
				last = r
				for _, s := range states {
					if r.State == s {
						return true
					}
				}
			}
		}
		return false
	})
	return last
}

// TestADocumentIsKilledAtEveryChange: whichever change is under way when the server
// dies, by a step, a script or a child, it is made once, and the run comes to the
// end that it has undisturbed. At the end it is undone.
func TestADocumentIsKilledAtEveryChange(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t, func(cfg document) {
		cfg["scripts"] = document{"python": w.env.Python}
		cfg["policies"] = []document{{"id": "documents", "documents": []string{"Close-*"}, "mode": "automatic"}}
	}).serve(t)
	for name, text := range map[string]string{"Close-Bucket": closing, "Close-Grants": closingGrants} {
		file := filepath.Join(n.dir, name+".yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.aws("olga", "ssm", "create-document", "--name", name, "--document-type", "Automation", "--document-format", "YAML", "--content", "file://"+file)
	}
	start := func(b *bucket) string {
		out := n.aws("olga", "ssm", "start-automation-execution", "--document-name", "Close-Bucket", "--parameters", "Bucket="+b.name,
			"--tags", "Key=parry:account,Value="+b.account())
		return decode[struct{ AutomationExecutionId string }](t, out).AutomationExecutionId
	}
	made := []string{"PutPublicAccessBlock", "DeleteBucketPolicy", "PutBucketAcl"}
	for _, operation := range made {
		for _, after := range []bool{false, true} {
			b := w.bucket(t, "dev")
			var execution string
			n.killAt(b, checkpoint{operation: operation, after: after}, func() { execution = start(b) })
			r := n.runBy(execution, remediation.Verified, remediation.Unverified, remediation.Failed, remediation.Cancelled, remediation.Superseded)
			if r.State != remediation.Verified {
				t.Errorf("killed at %s (after: %v): %s: %s", operation, after, r.State, r.Reason)
			}
			if diff := cmp.Diff(made, b.changed(0)); diff != "" {
				t.Errorf("killed at %s (after: %v): changes (-want +got):\n%s", operation, after, diff)
			}
			e := decode[struct {
				AutomationExecution struct {
					AutomationExecutionStatus string
					StepExecutions            []struct{ StepName, StepStatus string }
				}
			}](t, n.aws("alice", "ssm", "get-automation-execution", "--automation-execution-id", execution))
			if e.AutomationExecution.AutomationExecutionStatus != "Success" || len(e.AutomationExecution.StepExecutions) != 4 {
				t.Errorf("killed at %s (after: %v): %+v", operation, after, e)
			}
			if operation == "PutBucketAcl" && after {
				n.undoneAgain(b, r)
			}
		}
	}
	n.settled()
}

// undoneAgain takes a run back and requires the bucket to be as it was.
func (n *node) undoneAgain(b *bucket, r remediation.Remediation) {
	n.t.Helper()
	undo, err := n.as("olga").Undo(n.t.Context(), r.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	poll(n.t, patience, func() string { return "the undo does not wait for approval" }, func(ctx context.Context) bool {
		d, err := n.as("olga").Remediation(ctx, undo)
		return err == nil && d.Remediation.State == remediation.AwaitingApproval
	})
	n.grant(undo)
	n.runBy(r.Execution, remediation.Undone)
	n.w.judge(n.t, "original", b)
}
