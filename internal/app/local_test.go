package app_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// ownCredentials makes the root user of the management account the caller.
func ownCredentials(t *testing.T) *testenv.Env {
	t.Helper()
	env := envtest.With(t, testenv.Options{Dir: t.TempDir(), WithoutEstate: true})
	t.Setenv("AWS_ACCESS_KEY_ID", env.Root.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", env.Root.Secret)
	t.Setenv("AWS_ENDPOINT_URL", env.WallURL)
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return env
}

func newLocal(t *testing.T, dir string) *app.Local {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = dir
	log := slog.DiscardHandler
	if os.Getenv("PARRY_TEST_LOG") != "" {
		log = slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})
	}
	l, err := app.NewLocal(t.Context(), app.LocalConfig{Config: cfg, Region: "us-east-1", Logger: slog.New(log)})
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	return l
}

func started(t *testing.T, l *app.Local) *app.Local {
	t.Helper()
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Stop(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return l
}

const tagQueue = `
schemaVersion: '0.3'
parameters:
  Name: {type: String}
  Wait: {type: String, default: PT0S}
outputs: [Make.Url, Look.Arn]
mainSteps:
  - name: Make
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: CreateQueue, QueueName: '{{ Name }}'}
    outputs: [{Name: Url, Selector: $.QueueUrl, Type: String}]
  - name: Rest
    action: aws:sleep
    inputs: {Duration: '{{ Wait }}'}
  - name: Look
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: GetQueueAttributes, QueueUrl: '{{ Make.Url }}', AttributeNames: [QueueArn]}
    outputs: [{Name: Arn, Selector: $.Attributes.QueueArn, Type: String}]
`

// run starts a document, approves it when it asks, and waits for its end.
func run(t *testing.T, l *app.Local, doc string, parameters map[string]any) (remediation.Remediation, remediation.Execution, []remediation.StepExecution) {
	t.Helper()
	ctx := t.Context()
	execution, id, err := l.StartRun(ctx, remediation.Run{Document: remediation.Runbook{Name: "test-document", Content: doc}, Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	r, _, err := l.Planned(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State == remediation.AwaitingApproval {
		if err := l.Approve(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err = l.Await(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	e, err := l.Execution(ctx, execution)
	if err != nil {
		t.Fatal(err)
	}
	return r, e.Execution, e.Steps
}

func names(steps []remediation.StepExecution) []string {
	var out []string
	for _, s := range steps {
		out = append(out, s.Name+" "+s.Status)
	}
	return out
}

func TestADocumentRunsWithTheCallersOwnCredentials(t *testing.T) {
	env := ownCredentials(t)
	begun := time.Now()
	l := started(t, newLocal(t, t.TempDir()))
	t.Logf("ready after %s", time.Since(begun))
	if l.Account != env.Root.Account {
		t.Errorf("the account is %q", l.Account)
	}
	r, e, steps := run(t, l, tagQueue, map[string]any{"Name": []any{"orders"}})
	t.Logf("ended after %s", time.Since(begun))
	if e.Status != "Success" {
		t.Fatalf("execution = %+v; remediation = %+v", e, r)
	}
	if diff := cmp.Diff([]string{"Make Success", "Rest Success", "Look Success"}, names(steps)); diff != "" {
		t.Error(diff)
	}
	if got := e.Outputs["Look.Arn"]; len(got) != 1 || !strings.HasSuffix(got[0], ":orders") {
		t.Errorf("outputs = %v", e.Outputs)
	}
	t.Logf("remediation: %s, %s (%s)", r.State, r.Reason, r.Hint)

	// Nothing to agree to: a document that only reads.
	reads := "schemaVersion: '0.3'\nmainSteps:\n  - {name: List, action: 'aws:executeAwsApi', inputs: {Service: sqs, Api: ListQueues}}\n"
	r, e, _ = run(t, l, reads, nil)
	if r.State != remediation.Verified || e.Status != "Success" || r.Reason != "nothing was changed" {
		t.Errorf("remediation = %+v, execution = %+v", r, e)
	}
}

func TestTwoLocalProcessesHaveADirectoryEach(t *testing.T) {
	ownCredentials(t)
	dir := t.TempDir()
	first, second := newLocal(t, dir), newLocal(t, dir)
	for _, l := range []*app.Local{first, second} {
		if err := l.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"local", "local-1"} {
		if _, err := os.Stat(filepath.Join(dir, name, "execution.db")); err != nil {
			t.Error(err)
		}
	}
}

const scripted = `
schemaVersion: '0.3'
parameters:
  Name: {type: String}
outputs: [Make.Url, Make.Kind]
mainSteps:
  - name: Make
    action: aws:executeScript
    inputs:
      Runtime: python3.11
      Handler: main
      InputPayload: {name: '{{ Name }}'}
      Script: |
        import boto3
        def main(events, context):
            sqs = boto3.client("sqs")
            made = sqs.create_queue(QueueName=events["name"])
            sqs.tag_queue(QueueUrl=made["QueueUrl"], Tags={"made": "by parry"})
            return {"url": made["QueueUrl"], "tags": sqs.list_queue_tags(QueueUrl=made["QueueUrl"])["Tags"]}
    outputs:
      - {Name: Url, Selector: $.Payload.url, Type: String}
      - {Name: Kind, Selector: $.Payload.tags.made, Type: String}
`

func TestAScriptRunsShutInAndItsCallsGoThroughTheGate(t *testing.T) {
	ownCredentials(t)
	l := started(t, newLocal(t, t.TempDir()))
	r, e, steps := run(t, l, scripted, map[string]any{"Name": []any{"scripted"}})
	if e.Status != "Success" {
		t.Fatalf("execution = %+v; remediation = %+v; steps = %+v", e, r, steps)
	}
	if got := e.Outputs["Make.Kind"]; len(got) != 1 || got[0] != "by parry" {
		t.Errorf("outputs = %v", e.Outputs)
	}
	if strings.Contains(r.Reason, "open") {
		t.Logf("reason: %s", r.Reason)
	}
}

// family starts a child for each of two names, and the child is planned with it.
const family = `
schemaVersion: '0.3'
outputs: [One.Output]
mainSteps:
  - name: One
    action: aws:executeAutomation
    inputs: {DocumentName: child, RuntimeParameters: {Name: first}}
  - name: Two
    action: aws:executeAutomation
    inputs:
      DocumentName: child
      TargetParameterName: Name
      Targets: [{Key: ParameterValues, Values: [second, third, fourth]}]
      MaxConcurrency: '2'
      MaxErrors: '0'
`

func TestChildrenAreExecutionsOfTheSamePlan(t *testing.T) {
	ownCredentials(t)
	l := started(t, newLocal(t, t.TempDir()))
	if err := l.PutDocument(t.Context(), "child", tagQueue); err != nil {
		t.Fatal(err)
	}
	r, e, steps := run(t, l, family, nil)
	if e.Status != "Success" {
		t.Fatalf("execution = %+v; remediation = %+v; steps = %+v", e, r, steps)
	}
	if got := e.Outputs["One.Output"]; len(got) != 2 || !strings.HasSuffix(got[0], "/first") {
		t.Errorf("outputs = %v", e.Outputs)
	}
	for _, s := range steps {
		if s.Status != "Success" {
			t.Errorf("step %+v", s)
		}
	}
}

const asking = `
schemaVersion: '0.3'
mainSteps:
  - name: Ask
    action: aws:approve
    timeoutSeconds: 600
    onFailure: Abort
    inputs: {Approvers: ['arn:aws:iam::111111111111:user/PRINCIPAL', somebody], Message: 'May we?'}
  - name: List
    action: aws:executeAwsApi
    inputs: {Service: sqs, Api: ListQueues}
`

// waiting starts a document and gives its execution once it waits.
func waiting(t *testing.T, l *app.Local, doc string) (string, remediation.ID) {
	t.Helper()
	execution, id, err := l.StartRun(t.Context(), remediation.Run{Document: remediation.Runbook{Name: "waits", Content: doc}})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		e, err := l.Execution(t.Context(), execution)
		if err != nil {
			t.Fatal(err)
		}
		if e.Execution.Status == "Waiting" {
			return execution, id
		}
	}
	t.Fatal("it does not wait")
	return "", ""
}

func TestAStepWaitsForPeopleAsARow(t *testing.T) {
	ownCredentials(t)
	l := started(t, newLocal(t, t.TempDir()))
	doc := strings.ReplaceAll(asking, "PRINCIPAL", l.Principal)
	execution, id := waiting(t, l, doc)
	if err := l.DecideStep(t.Context(), execution, "Ask", true, "yes"); err != nil {
		t.Fatal(err)
	}
	r, err := l.Await(t.Context(), id, nil)
	if err != nil || r.State != remediation.Verified {
		t.Fatalf("remediation = %+v, %v", r, err)
	}
	if err := l.DecideStep(t.Context(), execution, "Ask", true, "again"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second word: %v", err)
	}

	execution, id = waiting(t, l, doc)
	begun := time.Now()
	if err := l.Signal(t.Context(), execution, "Cancel", "", "enough"); err != nil {
		t.Fatal(err)
	}
	if r, err = l.Await(t.Context(), id, nil); err != nil || r.State != remediation.Cancelled {
		t.Fatalf("remediation = %+v, %v", r, err)
	}
	t.Logf("cancelled after %s", time.Since(begun))
	e, err := l.Execution(t.Context(), execution)
	if err != nil || e.Execution.Status != "Cancelled" {
		t.Errorf("execution = %+v, %v", e, err)
	}
	if err := l.Signal(t.Context(), execution, "Cancel", "", "late"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a late signal: %v", err)
	}
}

// TestWhatWaitsIsARow: waiting executions cost rows and no goroutines.
func TestWhatWaitsIsARow(t *testing.T) {
	ownCredentials(t)
	l := started(t, newLocal(t, t.TempDir()))
	const pauses = "schemaVersion: '0.3'\nmainSteps:\n  - {name: Halt, action: 'aws:pause', inputs: {}}\n"
	first, _ := waiting(t, l, pauses)
	before := runtime.NumGoroutine()
	const n = 60
	var last string
	for range n {
		execution, _, err := l.StartRun(t.Context(), remediation.Run{Document: remediation.Runbook{Name: "halts", Content: pauses}})
		if err != nil {
			t.Fatal(err)
		}
		last = execution
	}
	status := func(id string) string {
		e, err := l.Execution(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return e.Execution.Status
	}
	for deadline := time.Now().Add(time.Minute); status(last) != "Waiting"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the last one is %s", status(last))
		}
	}
	grown := 0
	for range 100 { // what has just parked may still be closing its connections
		if grown = runtime.NumGoroutine() - before; grown <= n/10 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if grown > n/10 {
		t.Errorf("%d waiting executions cost %d goroutines", n, grown)
	}
	if err := l.Signal(t.Context(), first, "Resume", "Halt", ""); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); status(first) != "Success"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the resumed one is %s", status(first))
		}
	}
}
