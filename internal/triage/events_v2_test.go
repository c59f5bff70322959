package triage_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// Each accepted version is announced in both formats when that is asked for, each
// event with an id of its own.
func TestEventsInOCSF(t *testing.T) {
	t.Parallel()
	s := start(t)
	tr, err := triage.New(triage.Config{Store: s.store, Clock: s.clock, Poll: time.Hour, EventsV2: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Triage = tr
	s.give(t, asff("f1", 5))
	s.give(t, asff("f1", 6))
	var got []pattern.Envelope
	ids := map[string]bool{}
	for _, m := range s.store.topic(store.TopicEvent) {
		var e pattern.Envelope
		if err := json.Unmarshal(m.Payload, &e); err != nil {
			t.Fatal(err)
		}
		ids[e.ID] = true
		if e.DetailType == "Findings Imported V2" {
			got = append(got, e)
		}
	}
	if len(got) != 2 || len(ids) != 4 {
		t.Fatalf("%d events in OCSF, %d ids", len(got), len(ids))
	}
	var detail struct {
		Findings []json.RawMessage `json:"findings"`
	}
	if err := json.Unmarshal(got[1].Detail, &detail); err != nil || len(detail.Findings) != 1 {
		t.Fatalf("%v: %s", err, got[1].Detail)
	}
	doc := s.store.doc(t, "f1")
	if diff := cmp.Diff(string(ocsf.JSON(ocsf.View(doc))), string(detail.Findings[0])); diff != "" {
		t.Error(diff)
	}
	if got[1].Source != "aws.securityhub" || got[1].Resources[0] != doc.ID().Key() || got[1].Account != dev {
		t.Errorf("%+v", got[1])
	}
}
