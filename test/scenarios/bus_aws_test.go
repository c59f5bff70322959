package scenarios_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
)

// TestEventsReachAWS: rules send events to queues, one of them FIFO, that
// the configuration lists; what AWS refuses goes to the dead-letter queue with EventBridge's
// attributes, and is kept.
func TestEventsReachAWS(t *testing.T) {
	t.Parallel()
	w := earth(t)
	region, account := w.env.Estate.Region, w.env.Estate.Security.Account
	arn := func(name string) string { return "arn:aws:sqs:" + region + ":" + account + ":" + name }
	alarms, letters := w.queue(t, "bus-alarms"), w.queue(t, "bus-letters")
	ordered := w.queue(t, "bus-plain")
	ordered.url, _ = ordered.call(t, "CreateQueue", document{"QueueName": "bus-ordered.fifo", "Attributes": document{"FifoQueue": "true"}})["QueueUrl"].(string)
	w.hubMay(t, alarms.admin, "bus-send", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":[%q,%q,%q,%q]}]}`,
		arn("bus-alarms"), arn("bus-letters"), arn("bus-ordered.fifo"), arn("bus-gone")))
	n := w.install(t, func(cfg document) {
		cfg["event_targets"] = []string{arn("bus-alarms"), arn("bus-letters"), arn("bus-ordered.fifo"), arn("bus-gone")}
	}).serve(t)
	for _, step := range []struct {
		operation string
		in        document
	}{
		{"PutRule", document{"Name": "all", "EventPattern": `{"source":["shop"]}`}},
		{"PutTargets", document{"Rule": "all", "Targets": []document{
			{"Id": "alarms", "Arn": arn("bus-alarms"), "InputTransformer": document{"InputPathsMap": document{"n": "$.detail.n"}, "InputTemplate": `{"order":<n>}`}},
			{"Id": "ordered", "Arn": arn("bus-ordered.fifo"), "InputPath": "$.detail", "SqsParameters": document{"MessageGroupId": "orders"}},
			{"Id": "gone", "Arn": arn("bus-gone"), "DeadLetterConfig": document{"Arn": arn("bus-letters")}},
		}}},
		{"PutEvents", document{"Entries": []document{{"Source": "shop", "DetailType": "Order", "Detail": `{"n": 7}`}}}},
	} {
		out, err := n.bus(t.Context(), step.operation, step.in)
		if failed, _ := out["FailedEntryCount"].(float64); err != nil || failed > 0 {
			t.Fatalf("%s: %v, %v", step.operation, out, err)
		}
	}
	if body := alarms.receive(t, "the alarm")["Body"]; body != `{"order":7}` {
		t.Errorf("the queue got %v", body)
	}
	if body := ordered.receive(t, "the order")["Body"]; body != `{"n":7}` && body != `{"n": 7}` {
		t.Errorf("the FIFO queue got %v", body)
	}
	letter := letters.receive(t, "the dead letter")
	attributes, _ := letter["MessageAttributes"].(map[string]any)
	got := map[string]string{}
	for name, value := range attributes {
		v, _ := value.(map[string]any)
		got[name], _ = v["StringValue"].(string)
	}
	if got["ERROR_MESSAGE"] == "" {
		t.Error("the dead letter has no message")
	}
	delete(got, "ERROR_MESSAGE")
	if diff := cmp.Diff(map[string]string{
		"RULE_ARN": "arn:aws:events:" + region + ":" + account + ":rule/all", "TARGET_ARN": arn("bus-gone"), "ERROR_CODE": "NO_RESOURCE", "RETRY_ATTEMPTS": "0",
	}, got); diff != "" {
		t.Errorf("attributes of the dead letter (-want +got):\n%s", diff)
	}
	var kept []api.DeadLetter
	poll(t, patience, func() string { return "the dead letter is not kept" }, func(ctx context.Context) bool {
		page, err := n.as("olga").DeadLetters(ctx, client.DeadLetterFilter{Rule: "default/all"}, client.Paging{})
		kept = page.Items
		return err == nil && len(kept) > 0
	})
	if len(kept) != 1 || kept[0].Target != "gone" || kept[0].Code != "NO_RESOURCE" || kept[0].Attempts != 1 {
		t.Errorf("kept: %+v", kept)
	}
}

// receive waits for the first message of the queue.
func (q *queue) receive(t *testing.T, what string) document {
	t.Helper()
	var out document
	poll(t, patience, func() string { return what + " did not come" }, func(context.Context) bool {
		messages, _ := q.call(t, "ReceiveMessage", document{"QueueUrl": q.url, "MessageAttributeNames": []string{"All"}})["Messages"].([]any)
		if len(messages) == 0 {
			return false
		}
		out, _ = messages[0].(map[string]any)
		return true
	})
	return out
}
