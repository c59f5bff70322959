package ingest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

// Document is what one message from outside says, as the normalize stage read it.
type Document struct {
	// Key is the same for every delivery of one occurrence; "" when it has none.
	Key string
	// Kind is where it came from: "guardduty", "securityhub", "asff"…
	Kind     string
	Findings []finding.Finding
	Refused  []*finding.ImportError
	// Event is an EventBridge event to be put on the bus; nil for none.
	Event json.RawMessage
}

// Read turns the text of one message into a Document. An error is for all of it,
// and for good.
type Read func(raw []byte) (Document, error)

// Taken is what of one message goes where.
type Taken struct {
	Items  []store.InboxItem
	Aside  []store.Rejected
	Events []store.Message
	// Seen says of which regions of which accounts the events are.
	Seen []Sighting
}

// Sighting is a region of an account that an event is of.
type Sighting struct{ Account, Region string }

// maxBus bounds an event that goes to the bus: what a pattern can be asked about.
const maxBus = 256 << 10

// Take reads one message of s that arrived at place at now: what the source may
// say goes to the inbox, what it may not, or what is no finding, is kept aside
// with its reason. Forward asks for events on the bus.
func (s Source) Take(read Read, raw []byte, place string, now time.Time, forward bool) (t Taken) {
	// A message whose reading panics would stop its collector again at every
	// delivery; it is kept aside instead.
	defer func() {
		if p := recover(); p != nil {
			t = Taken{}
			t.aside(s, raw, place, "", finding.CodeInvalidInput, fmt.Sprintf("unexpected: %v", p), now)
		}
	}()
	doc, err := read(raw)
	if err != nil {
		reason := err.Error()
		if hint := fault.HintOf(err); hint != "" {
			reason += ". Next: " + hint
		}
		t.aside(s, raw, place, "", finding.CodeInvalidInput, reason, now)
		return t
	}
	for _, r := range doc.Refused {
		t.aside(s, raw, place, r.Id, r.ErrorCode, r.ErrorMessage, now)
	}
	for _, f := range doc.Findings {
		if why := s.Refusal(f); why != "" {
			t.aside(s, raw, place, f.String("Id"), finding.CodeInvalidAccess, why, now)
			continue
		}
		t.Items = append(t.Items, store.InboxItem{Source: s.Name, Trusted: s.Trusted, Finding: f.JSON(), ReceivedAt: now})
	}
	// An event speaks for the account in it as a finding does.
	if forward && doc.Event != nil && len(t.Aside) == 0 && len(doc.Event) <= maxBus {
		t.forward(s, doc, raw, place, now)
	}
	return t
}

func (t *Taken) forward(s Source, doc Document, raw []byte, place string, now time.Time) {
	var head struct {
		Account string `json:"account"`
		Region  string `json:"region"`
	}
	if json.Unmarshal(doc.Event, &head) != nil || !s.speaksFor(head.Account) {
		t.aside(s, raw, place, "", finding.CodeInvalidAccess, fmt.Sprintf("The source %q may not send events of account %q.", s.Name, head.Account), now)
		return
	}
	// One occurrence is one message, however many queues bring it.
	sum := sha256.Sum256([]byte(doc.Key))
	t.Seen = append(t.Seen, Sighting{head.Account, head.Region})
	t.Events = append(t.Events, store.Message{ID: "eventbridge-" + hex.EncodeToString(sum[:16]), Topic: store.TopicEvent, Payload: doc.Event})
}

func (t *Taken) aside(s Source, raw []byte, place, id, code, reason string, now time.Time) {
	t.Aside = append(t.Aside, store.Rejected{
		ID: store.RejectedID(s.Name, raw, id), Source: s.Name, Place: place, FindingID: id, Code: code, Reason: reason, At: now, Body: raw,
	})
}

// Add puts what another message held behind t.
func (t *Taken) Add(more Taken) {
	t.Items, t.Aside, t.Events = append(t.Items, more.Items...), append(t.Aside, more.Aside...), append(t.Events, more.Events...)
	t.Seen = append(t.Seen, more.Seen...)
}
