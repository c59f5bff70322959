package console_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// orders is a queue that is nobody's: what is sent there is given up at once.
func (w *world) orders() string {
	return "arn:aws:sqs:" + w.env.Estate.Region + ":" + w.env.Estate.Security.Account + ":orders"
}

// fillBus puts on the bus what its pages show: dead letters, one of which would run were it
// anything but text, an archive and a replay of what it has.
func (w *world) fillBus(t *testing.T) {
	t.Helper()
	e := w.env.Estate
	events := "arn:aws:events:" + e.Region + ":" + e.Security.Account + ":"
	const shop = `{"source":["shop"],"detail-type":[{"anything-but":["Return","Complaint","Question"]}],"detail":{"order":{"total":[{"numeric":[">",100,"<=",1000]}],"country":["DE","FR","IT","PL"]}}}`
	order, err := json.Marshal(document{"order": document{"total": 120, "country": "PL", "note": hostile}})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(kind string) document {
		return document{"Source": "shop", "DetailType": kind, "Detail": string(order)}
	}
	for _, step := range []struct {
		operation string
		in        document
	}{
		{"PutRule", document{"Name": "orders", "EventPattern": shop, "Description": "Large orders"}},
		{"PutTargets", document{"Rule": "orders", "Targets": []document{{"Id": "queue", "Arn": w.orders()}}}},
		{"PutRule", document{"Name": "written-down", "EventPattern": `{"replay-name":["again"]}`}},
		{"PutTargets", document{"Rule": "written-down", "Targets": []document{{"Id": "log", "Arn": "arn:aws:parry:" + e.Region + ":" + e.Security.Account + ":log/orders"}}}},
		{"CreateArchive", document{"ArchiveName": "orders", "EventSourceArn": events + "event-bus/default", "EventPattern": shop, "RetentionDays": 30}},
		{"PutEvents", document{"Entries": []document{entry("Order placed"), entry(`<img src=x onerror="document.title='owned'">`)}}},
		{"StartReplay", document{
			"ReplayName": "again", "EventSourceArn": events + "archive/orders", "Destination": document{"Arn": events + "event-bus/default", "FilterArns": []string{events + "rule/written-down"}},
			"EventStartTime": time.Now().Add(-time.Hour).Unix(), "EventEndTime": time.Now().Add(time.Minute).Unix(),
		}},
	} {
		var out struct{ FailedEntryCount int }
		status := w.call(t, w.admin, "events", "/", http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AWSEvents." + step.operation}}, step.in, &out)
		if status != http.StatusOK || out.FailedEntryCount > 0 {
			t.Fatalf("%s: %d %+v", step.operation, status, out)
		}
	}
}
