package sqs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/ingest/sqs"
	"github.com/parry-security/parry/internal/store"
)

// queue answers the calls of one queue; what was asked of it is kept in order.
type queue struct {
	messages []any
	failed   []any // of DeleteMessageBatch
	err      error
	calls    []string
}

func (q *queue) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	q.calls = append(q.calls, c.Operation)
	if q.err != nil {
		return apimodel.Reply{}, q.err
	}
	if c.Operation == "ReceiveMessage" {
		return apimodel.Reply{Output: map[string]any{"Messages": q.messages}}, nil
	}
	return apimodel.Reply{Output: map[string]any{"Failed": q.failed}}, nil
}

func message(body string, receives int) any {
	return map[string]any{"MessageId": "m-" + body, "ReceiptHandle": "r", "Body": body, "Attributes": map[string]any{"ApproximateReceiveCount": fmt.Sprint(receives)}}
}

// keeper is the store; order is shared with the queue's calls.
type keeper struct {
	q        *queue
	fails    string
	inbox    []store.InboxItem
	rejected []store.Rejected
}

func (k *keeper) did(what string) error {
	k.q.calls = append(k.q.calls, what)
	if k.fails == what {
		return fault.E(fault.Unavailable, what, errors.New("the disk is full"))
	}
	return nil
}

func (k *keeper) AppendInbox(_ context.Context, items []store.InboxItem) error {
	k.inbox = append(k.inbox, items...)
	return k.did("inbox")
}

func (k *keeper) PutRejected(_ context.Context, list []store.Rejected) error {
	k.rejected = append(k.rejected, list...)
	return k.did("rejected")
}

func (k *keeper) Enqueue(context.Context, store.File, store.Effects) error { return k.did("bus") }

// read takes "bad" for no event, "panic" for one that breaks its reader, and
// anything else for a finding and an event.
func read(raw []byte) (ingest.Document, error) {
	switch string(raw) {
	case "bad":
		return ingest.Document{}, errors.New("no event")
	case "panic":
		panic("broken reader")
	}
	f, err := finding.FromMap(map[string]any{"Id": string(raw), "AwsAccountId": "111111111111", "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/config"})
	return ingest.Document{Key: string(raw), Findings: []finding.Finding{f}, Event: []byte(`{"account":"111111111111"}`)}, err
}

func collector(t *testing.T, q *queue, fails string) (*sqs.Collector, *keeper) {
	t.Helper()
	k := &keeper{q: q, fails: fails}
	c, err := sqs.New(sqs.Config{
		URL: "https://sqs.eu-west-1.amazonaws.com/111111111111/q", Region: "eu-west-1", Caller: q, Store: k, Read: read, Forward: true,
		Source: ingest.Source{Name: "q", Accounts: []string{"111111111111"}, Products: []string{"aws/config"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, k
}

// A message is deleted after all that it said is stored, and never before.
func TestDeletedOnlyWhenStored(t *testing.T) {
	t.Parallel()
	for fails, want := range map[string][]string{
		"":         {"ReceiveMessage", "inbox", "rejected", "bus", "DeleteMessageBatch"},
		"inbox":    {"ReceiveMessage", "inbox"},
		"rejected": {"ReceiveMessage", "inbox", "rejected"},
		"bus":      {"ReceiveMessage", "inbox", "rejected", "bus"},
	} {
		q := &queue{messages: []any{message("a", 1), message("bad", 1)}}
		c, _ := collector(t, q, fails)
		if err := c.Poll(t.Context()); (err == nil) != (fails == "") {
			t.Errorf("%q: %v", fails, err)
		}
		if diff := cmp.Diff(want, q.calls); diff != "" {
			t.Errorf("%q: %s", fails, diff)
		}
	}
}

// What cannot be read, breaks its reader or has come too often is kept aside; the
// others of the batch go on.
func TestPoisonIsKeptAside(t *testing.T) {
	t.Parallel()
	q := &queue{messages: []any{message("bad", 1), message("panic", 1), message("often", 51), message("good", 50)}}
	c, k := collector(t, q, "")
	if err := c.Poll(t.Context()); err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, r := range k.rejected {
		reasons = append(reasons, r.Place+": "+r.Reason)
	}
	want := []string{"m-bad: no event", "m-panic: unexpected: broken reader", "m-often: collect message: it was received 51 times and never finished"}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Error(diff)
	}
	if len(k.inbox) != 1 || !slices.Contains(q.calls, "DeleteMessageBatch") {
		t.Errorf("%d findings, calls %v", len(k.inbox), q.calls)
	}
	if r := c.Report(); r.Messages != 4 || r.Accepted != 1 || r.Rejected != 3 || r.Events != 1 {
		t.Errorf("%+v", r)
	}
}

func TestProblemsAreTold(t *testing.T) {
	t.Parallel()
	q := &queue{messages: []any{message("a", 1)}, failed: []any{map[string]any{"Code": "InternalError"}}}
	c, _ := collector(t, q, "")
	if err := c.Poll(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a message that stays: %v", err)
	}
	q.err = &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403}
	if err := c.Poll(t.Context()); err == nil || fault.HintOf(err) == "" {
		t.Errorf("no hint: %v", err)
	}
}
