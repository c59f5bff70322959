package scenarios_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
)

// dropping takes the policy of a bucket away.
const dropping = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
mainSteps:
  - name: Drop
    action: aws:executeAwsApi
    isEnd: true
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: "{{ Bucket }}"}
`

// TestARuleRunsADocument: an event starts a runbook, which is planned, approved by policy,
// and run once; what does not fit is a dead letter, and what Parry caused, what is replayed
// and what another rule forwarded starts nothing.
func TestARuleRunsADocument(t *testing.T) {
	t.Parallel()
	w := earth(t)
	region, hub := w.env.Estate.Region, w.env.Estate.Security.Account
	n := w.install(t, func(cfg document) {
		cfg["policies"] = []document{{"id": "documents", "documents": []string{"Rule-*"}, "mode": "automatic"}}
	}).serve(t)
	n.document("Rule-Drop", dropping)
	n.document("People-Drop", dropping)
	arn := func(document string) string {
		return "arn:aws:ssm:" + region + ":" + hub + ":automation-definition/" + document
	}
	template := document{"InputPathsMap": document{"b": "$.detail.bucket", "a": "$.detail.account"}, "InputTemplate": `{"Bucket":<b>,"parry:account":<a>}`}
	n.does("CreateEventBus", document{"Name": "far"})
	n.does("PutRule", document{"Name": "drop", "EventPattern": `{"source":["shop"],"detail-type":["Leak"]}`})
	n.does("PutTargets", document{"Rule": "drop", "Targets": []document{{"Id": "run", "Arn": arn("Rule-Drop:1"), "InputTransformer": template}}})
	n.does("PutRule", document{"Name": "ask", "EventPattern": `{"source":["shop"],"detail-type":["Ask"]}`})
	n.does("PutTargets", document{"Rule": "ask", "Targets": []document{{"Id": "run", "Arn": arn("People-Drop"), "InputTransformer": template}}})
	// What follows from a run would start another, and so would what is forwarded.
	n.does("PutRule", document{"Name": "again", "EventPattern": `{"source":["aws.ssm","parry"]}`})
	n.does("PutTargets", document{"Rule": "again", "Targets": []document{{"Id": "run", "Arn": arn("Rule-Drop"), "Input": fmt.Sprintf(`{"Bucket":"x","parry:account":%q}`, w.env.Estate.Members["dev"].Account)}}})
	n.does("PutRule", document{"Name": "back", "EventBusName": "far", "EventPattern": `{"source":["shop"]}`})
	n.does("PutTargets", document{"Rule": "back", "EventBusName": "far", "Targets": []document{{"Id": "bus", "Arn": "arn:aws:events:" + region + ":" + hub + ":event-bus/default"}}})
	n.does("CreateArchive", document{"ArchiveName": "leaks", "EventSourceArn": "arn:aws:events:" + region + ":" + hub + ":event-bus/default", "EventPattern": `{"source":["shop"]}`})

	b := w.bucket(t, "dev")
	leak := func(typ, bucket, account string) document {
		return document{"Source": "shop", "DetailType": typ, "Detail": text(t, document{"bucket": bucket, "account": account})}
	}
	put := n.does("PutEvents", document{"Entries": []document{leak("Leak", b.name, b.account())}})
	event := put["Entries"].([]any)[0].(map[string]any)["EventId"].(string)
	execution := n.startedBy("Rule-Drop", 1)[0]
	r := n.runBy(execution, ends...)
	if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, b.changed(0)); r.State != remediation.Verified || diff != "" {
		t.Fatalf("%s: %s; %s", r.State, r.Reason, diff)
	}
	if e := n.shown(execution); e.AutomationExecutionStatus != "Success" {
		t.Errorf("%+v", e)
	}
	plan, err := n.as("alice").Plan(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if run := plan.Plan.Run; run == nil || run.Rule != "default/drop" || run.Event != event || r.RequestedBy != "olga" {
		t.Errorf("asked for by %s: %+v", r.RequestedBy, run)
	}
	n.audited("execution.requested", `"rule":"default/drop"`, `"event":"`+event+`"`)

	// Another document waits for people.
	other := w.bucket(t, "dev")
	n.does("PutEvents", document{"Entries": []document{leak("Ask", other.name, other.account())}})
	waiting := n.startedBy("People-Drop", 1)[0]
	if plan := n.approved(waiting); plan.Changes() != 1 {
		t.Errorf("the plan has %d changes", plan.Changes())
	}
	if r := n.runBy(waiting, ends...); r.State != remediation.Verified {
		t.Errorf("%s: %s", r.State, r.Reason)
	}

	// What cannot be started is told, and started by no other try.
	n.does("PutEvents", document{"Entries": []document{
		{"Source": "shop", "DetailType": "Leak", "Detail": `{"bucket":null,"account":"` + b.account() + `"}`}, leak("Leak", b.name, "123456789012"),
	}})
	var codes []string
	poll(t, patience, func() string { return "there are no dead letters" }, func(ctx context.Context) bool {
		page, err := n.as("olga").DeadLetters(ctx, client.DeadLetterFilter{Rule: "default/drop"}, client.Paging{})
		codes = nil
		for _, d := range page.Items {
			codes = append(codes, d.Code)
		}
		slices.Sort(codes)
		return err == nil && len(codes) > 1
	})
	if diff := cmp.Diff([]string{"INVALID_INPUT", "NO_PERMISSIONS"}, codes); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}

	n.does("PutEvents", document{"Entries": []document{{"Source": "shop", "DetailType": "Leak", "EventBusName": "far", "Detail": text(t, document{"bucket": b.name, "account": b.account()})}}})
	now := time.Now()
	n.does("StartReplay", document{
		"ReplayName": "again", "EventSourceArn": "arn:aws:events:" + region + ":" + hub + ":archive/leaks", "EventStartTime": now.Add(-time.Hour).Unix(), "EventEndTime": now.Add(time.Minute).Unix(),
		"Destination": document{"Arn": "arn:aws:events:" + region + ":" + hub + ":event-bus/default"},
	})
	poll(t, patience, func() string { return "the replay does not end" }, func(ctx context.Context) bool {
		out, err := n.bus(ctx, "DescribeReplay", document{"ReplayName": "again"})
		return err == nil && out["State"] == "COMPLETED"
	})
	n.settled()
	if runs := n.query("execution", "SELECT count(*) FROM execution"); runs != 2 {
		t.Errorf("there were %d runs, want one of each document", runs)
	}
}

// does makes a call of EventBridge that has to succeed, entry by entry.
func (n *node) does(operation string, in document) document {
	n.t.Helper()
	out, err := n.bus(n.t.Context(), operation, in)
	if failed, _ := out["FailedEntryCount"].(float64); err != nil || failed > 0 {
		n.t.Fatalf("%s: %v, %v", operation, out, err)
	}
	return out
}

// startedBy gives the executions of a document, when there are so many.
func (n *node) startedBy(name string, want int) (ids []string) {
	n.t.Helper()
	poll(n.t, patience, func() string { return fmt.Sprintf("%d runs of %s", len(ids), name) }, func(ctx context.Context) bool {
		out, err := n.ssm(ctx, "olga", "DescribeAutomationExecutions", document{"Filters": []document{{"Key": "DocumentNamePrefix", "Values": []string{name}}}})
		list, _ := out["AutomationExecutionMetadataList"].([]any)
		ids = nil
		for _, item := range list {
			m, _ := item.(map[string]any)
			id, _ := m["AutomationExecutionId"].(string)
			ids = append(ids, id)
		}
		return err == nil && len(ids) >= want
	})
	return ids
}

// audited looks for one entry of the audit log that has all words.
func (n *node) audited(action string, words ...string) {
	n.t.Helper()
	poll(n.t, patience, func() string { return fmt.Sprintf("the audit log has no %s with %v", action, words) }, func(context.Context) bool {
		out, err := n.parry(n.t, n.endpoint, "audit", "export")
		return err == nil && slices.ContainsFunc(strings.Split(string(out), "\n"), func(line string) bool {
			return strings.Contains(line, action) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		})
	})
}
