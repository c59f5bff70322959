package writeback_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/notify/writeback"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/triage"
)

const product = "arn:aws:securityhub:eu-west-1::product/aws/securityhub"

var id = finding.ID{ProductArn: product, Id: "f-1"}

func document(workflow, updated string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"SchemaVersion":"2018-10-08","Id":"f-1","ProductArn":%q,"GeneratorId":"security-control/S3.8","AwsAccountId":"111111111111",
		"CreatedAt":"2026-01-01T00:00:00Z","UpdatedAt":%q,"Title":"t","Description":"d","Severity":{"Label":"HIGH"},"Workflow":{"Status":%q},"RecordState":"ACTIVE",
		"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}]}`, product, updated, workflow))
}

// hub is AWS's side: one finding, what was written to it, and somebody who sets
// it back.
type hub struct {
	doc    map[string]any
	writes []map[string]any
	resets bool
}

func (h *hub) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	switch c.Operation {
	case "GetFindings":
		if h.doc == nil {
			return apimodel.Reply{Output: map[string]any{"Findings": []any{}}}, nil
		}
		return apimodel.Reply{Output: map[string]any{"Findings": []any{h.doc}}}, nil
	case "BatchUpdateFindings":
		h.writes = append(h.writes, c.Input)
		for _, m := range []string{"Workflow", "Note"} {
			if v, ok := c.Input[m]; ok && !h.resets {
				h.doc[m] = v
			}
		}
		return apimodel.Reply{Output: map[string]any{}}, nil
	}
	return apimodel.Reply{}, fmt.Errorf("called %s", c.Operation)
}

type bench struct {
	hub   *hub
	store *store.Store
	clock *service.FixedClock
	stage *writeback.Stage
	tri   *triage.Triage
}

func setup(t *testing.T) bench {
	t.Helper()
	s := storetest.SQLite(t)
	clock, ok := s.Clock().(*service.FixedClock)
	if !ok {
		t.Fatal("no fixed clock")
	}
	b := bench{hub: &hub{doc: map[string]any{}}, store: s, clock: clock}
	if err := json.Unmarshal(document("NEW", "2026-01-02T00:00:00Z"), &b.hub.doc); err != nil {
		t.Fatal(err)
	}
	var err error
	b.stage, err = writeback.New(writeback.Config{Store: s, Clock: clock, Hubs: []writeback.Hub{{Region: "eu-west-1", Products: []string{product}, Reads: b.hub, Writes: b.hub}}})
	if err != nil {
		t.Fatal(err)
	}
	if b.tri, err = triage.New(triage.Config{Store: s, Clock: clock, WriteBack: b.stage.Concerns}); err != nil {
		t.Fatal(err)
	}
	b.arrives(t, document("NEW", "2026-01-02T00:00:00Z"))
	return b
}

func (b bench) arrives(t *testing.T, doc json.RawMessage) {
	t.Helper()
	if err := b.store.AppendInbox(t.Context(), []store.InboxItem{{Source: "hub", Finding: doc, ReceivedAt: b.clock.Now()}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.tri.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (b bench) decide(t *testing.T, body string) {
	t.Helper()
	req, err := triage.ParseUpdate([]byte(fmt.Sprintf(`{"FindingIdentifiers":[{"Id":"f-1","ProductArn":%q}],%s}`, product, body)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.tri.Update(t.Context(), req, "olga", []string{"*"}); err != nil || len(got.Processed) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
}

// deliver handles what waits in the outbox, and says how much it was.
func (b bench) deliver(t *testing.T) (n int, last error) {
	t.Helper()
	messages, err := b.store.ClaimMessages(t.Context(), store.Findings, []string{writeback.Topic}, 100, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		last = b.stage.Handle(t.Context(), m.Payload)
		if err := b.store.AckMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return len(messages), last
}

func TestTheTopicIsTriages(t *testing.T) {
	t.Parallel()
	if writeback.Topic != triage.TopicWriteBack {
		t.Error(writeback.Topic, triage.TopicWriteBack)
	}
}

// What a provider reports is not told back to it; what a person decides is, once.
func TestADecisionIsWrittenBackOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if n, err := b.deliver(t); n != 0 || err != nil {
		t.Errorf("%d messages for a report, %v", n, err)
	}
	b.decide(t, `"Workflow":{"Status":"SUPPRESSED"},"Note":{"Text":"accepted","UpdatedBy":"olga"}`)
	if n, err := b.deliver(t); n != 1 || err != nil {
		t.Fatalf("%d messages, %v", n, err)
	}
	want := []map[string]any{{
		"FindingIdentifiers": []any{map[string]any{"Id": "f-1", "ProductArn": product}},
		"Workflow":           map[string]any{"Status": "SUPPRESSED"}, "Note": map[string]any{"Text": "accepted", "UpdatedBy": "olga"},
	}}
	if diff := cmp.Diff(want, b.hub.writes); diff != "" {
		t.Error(diff)
	}
	// Delivered twice: the hub has it.
	raw, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.stage.Handle(t.Context(), raw); err != nil || len(b.hub.writes) != 1 {
		t.Errorf("%d writes, %v", len(b.hub.writes), err)
	}
}

// The event that Parry's own write causes comes back by the queue, with the
// UpdatedAt of before or, when the provider reports as well, a later one.
// Neither leads to another write.
func TestTheEventOfAnOwnWriteLeadsToNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.decide(t, `"Workflow":{"Status":"NOTIFIED"}`)
	if n, err := b.deliver(t); n != 1 || err != nil {
		t.Fatalf("%d messages, %v", n, err)
	}
	for _, updated := range []string{"2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"} {
		b.arrives(t, document("NOTIFIED", updated))
		if n, err := b.deliver(t); n != 0 || err != nil || len(b.hub.writes) != 1 {
			t.Errorf("%s: %d messages, %d writes, %v", updated, n, len(b.hub.writes), err)
		}
	}
}

// Somebody in AWS sets it back each time: after five writes a day Parry stops,
// and says so.
func TestAWarOverAFindingEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hub.resets = true
	raw, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	b.decide(t, `"Workflow":{"Status":"SUPPRESSED"}`)
	var last error
	for range 8 {
		last = b.stage.Handle(t.Context(), raw)
	}
	if len(b.hub.writes) != 5 || !fault.IsTerminal(last) || !fault.Is(last, fault.Exhausted) || fault.HintOf(last) == "" {
		t.Errorf("%d writes, %v", len(b.hub.writes), last)
	}
	b.clock.Advance(25 * time.Hour)
	if err := b.stage.Handle(t.Context(), raw); err != nil || len(b.hub.writes) != 6 {
		t.Errorf("%d writes a day later, %v", len(b.hub.writes), err)
	}
}

func TestWhatTheHubDoesNotHaveIsLeftAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hub.doc = nil
	b.decide(t, `"Workflow":{"Status":"SUPPRESSED"}`)
	if n, err := b.deliver(t); n != 1 || err != nil || len(b.hub.writes) != 0 {
		t.Errorf("%d messages, %d writes, %v", n, len(b.hub.writes), err)
	}
	if b.stage.Concerns(finding.ID{ProductArn: "arn:aws:securityhub:us-east-1::product/aws/securityhub", Id: "f-1"}) {
		t.Error("a product that is not configured is written back")
	}
	if err := b.stage.Handle(t.Context(), []byte(`{}`)); !fault.IsTerminal(err) {
		t.Error(err)
	}
}
