package triage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// batch is what one commit will hold.
type batch struct {
	now  time.Time
	tell func(finding.ID) bool // whether a decision is written back
	ocsf bool                  // whether findings are announced in OCSF too
	open map[finding.ID]*subject
	done []int64
	eff  store.Effects

	// exceptions are those in force.
	exceptions *Exceptions
	// why says why an exception lets go what the batch holds, "" = as is found.
	why    string
	scorer *Scorer
	// threatened are the resources that an active threat was seen on, the findings
	// of the batch not counted.
	threatened map[string]bool
}

// begin makes an empty batch with the exceptions that are in force.
func (t *Triage) begin(ctx context.Context) (*batch, error) {
	x, err := t.cfg.Exceptions.Exceptions(ctx)
	if err != nil {
		return nil, fmt.Errorf("read exceptions: %w", err)
	}
	return &batch{now: t.cfg.Clock.Now(), tell: t.cfg.WriteBack, ocsf: t.cfg.EventsV2, open: map[finding.ID]*subject{}, exceptions: x}, nil
}

func (b *batch) subject(id finding.ID) *subject {
	s, ok := b.open[id]
	if !ok {
		s = &subject{}
		b.open[id] = s
	}
	return s
}

// effects gives the writes of the batch and what it sends: an event for each
// accepted version of each finding, in the order of identities.
func (b *batch) effects() ([]store.FindingWrite, store.Effects, error) {
	ids := slices.SortedFunc(maps.Keys(b.open), finding.ID.Compare)
	ids = slices.DeleteFunc(ids, func(id finding.ID) bool { return len(b.open[id].versions) == 0 })
	writes, events, errs := make([]store.FindingWrite, len(ids)), make([][]store.Message, len(ids)), make([]error, len(ids))
	parallel(len(ids), func(i int) {
		writes[i], events[i], errs[i] = b.open[ids[i]].effects(b)
	})
	eff := b.eff
	// One event has one finding, and many events are one message.
	eff.Outbox = append(slices.Clip(eff.Outbox), store.Bundle(slices.Concat(events...))...)
	eff.RuleHits = b.hits(ids)
	for i, id := range ids {
		if s := b.open[id]; s.decided && b.tell(id) {
			// Strings always marshal.
			payload, _ := json.Marshal(id)
			eff.Outbox = append(eff.Outbox, store.Message{ID: "writeback-" + eventID(id, writes[i].ExpectRev+1, 0), Topic: TopicWriteBack, Payload: payload})
		}
	}
	ranks, err := b.ranks(ids)
	eff.Outbox = append(eff.Outbox, ranks...)
	return writes, eff, errors.Join(errors.Join(errs...), err)
}

// hits counts for each rule what it applied to.
func (b *batch) hits(ids []finding.ID) []store.RuleHit {
	byRule := map[string]store.RuleHit{}
	for _, id := range ids {
		for _, step := range b.open[id].applied {
			h := byRule[step.Rule]
			h.Rule, h.LastAt = step.Rule, b.now
			h.Matched++
			if len(step.Updates) > 0 {
				h.Changed++
			}
			byRule[step.Rule] = h
		}
	}
	return slices.Collect(maps.Values(byRule))
}

// effects gives the write of one finding and an event for each of its versions.
func (s *subject) effects(b *batch) (store.FindingWrite, []store.Message, error) {
	rev := s.record.Rev
	record := b.rank(s.stored(), s.doc)
	events := make([]store.Message, 0, len(s.versions))
	for i, version := range s.versions {
		doc := record.Doc
		if i < len(s.versions)-1 || !version.IsBare() {
			doc = version.Bare().JSON()
		}
		event, err := imported(version, doc, rev+1, i, b.now)
		if err != nil {
			return store.FindingWrite{}, nil, err
		}
		events = append(events, event)
		if b.ocsf {
			if event, err = importedV2(version, rev+1, i, b.now); err != nil {
				return store.FindingWrite{}, nil, err
			}
			events = append(events, event)
		}
	}
	found := store.SearchOf(s.doc)
	return store.FindingWrite{Record: record, ExpectRev: rev, History: s.history, Search: &found}, events, nil
}

// imported gives the message of the event "Security Hub Findings - Imported"
// with one finding, in AWS's envelope. Its id is a function of the write, so
// the same write announced twice is one event.
func imported(f finding.Finding, doc json.RawMessage, rev int64, index int, now time.Time) (store.Message, error) {
	return announce(f, pattern.Envelope{
		ID: eventID(f.ID(), rev, index), DetailType: pattern.FindingsImported, Resources: []string{f.ID().String()},
	}, doc, now)
}

// inOCSF is where the indexes of events in OCSF begin: behind all versions that one
// batch makes of a finding.
const inOCSF = 1 << 20

// importedV2 gives the message of the event "Findings Imported V2", which names the
// finding by metadata.uid and carries it in OCSF.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-v2-cwe-event-formats.html
func importedV2(f finding.Finding, rev int64, index int, now time.Time) (store.Message, error) {
	return announce(f, pattern.Envelope{
		ID: eventID(f.ID(), rev, inOCSF+index), DetailType: pattern.FindingsImportedV2, Resources: []string{f.ID().Key()},
	}, ocsf.JSON(ocsf.View(f)), now)
}

// announce completes an event of Security Hub about f, which is shown as doc.
func announce(f finding.Finding, e pattern.Envelope, doc json.RawMessage, now time.Time) (store.Message, error) {
	e.Version, e.Source, e.Account, e.Region = "0", pattern.SourceSecurityHub, f.Account(), f.Region()
	e.Time, e.Detail = now.UTC().Truncate(time.Second), json.RawMessage("0")
	head, err := json.Marshal(e)
	head, ok := bytes.CutSuffix(head, []byte(`"detail":0}`))
	if err != nil || !ok {
		return store.Message{}, fault.Errorf(fault.Internal, "make event of "+f.ID().String(), "envelope: %w", err)
	}
	// The document goes in as it is stored; to encode it again would double the
	// cost of an import.
	payload := slices.Concat(head, []byte(`"detail":{"findings":[`), doc, []byte(`]}}`))
	return store.Message{ID: "finding-" + e.ID, Topic: store.TopicEvent, Payload: payload}, nil
}

// eventID gives an identifier in the form of EventBridge's.
func eventID(id finding.ID, rev int64, index int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "finding imported\x00%s\x00%s\x00%d\x00%d", id.ProductArn, id.Id, rev, index))
	return service.UUID(sum)
}

// Refused is a row of the inbox that could not become a finding: the payload
// of topic inbox.
type Refused struct {
	Source     string          `json:"source"`
	Trusted    bool            `json:"trusted"`
	ReceivedAt time.Time       `json:"received_at"`
	Finding    json.RawMessage `json:"finding,omitempty"`
	// Text holds what came when it is no JSON.
	Text   []byte `json:"text,omitempty"`
	Reason string `json:"reason"`
	Code   string `json:"code"`
}

// refuse sends row to topic inbox, where HandleInbox refuses it again and the
// bus keeps it with the reason.
func (b *batch) refuse(row store.InboxRow, why error) {
	r := Refused{
		Source: row.Source, Trusted: row.Trusted, ReceivedAt: row.ReceivedAt.UTC(),
		Reason: why.Error(), Code: string(fault.CodeOf(why)),
	}
	if json.Valid(row.Finding) {
		r.Finding = row.Finding
	} else {
		r.Text = row.Finding
	}
	// Strings, bytes and valid JSON always marshal.
	payload, _ := json.Marshal(r)
	b.eff.Outbox = append(b.eff.Outbox, store.Message{ID: fmt.Sprintf("%s-%d", TopicInbox, row.Seq), Topic: TopicInbox, Payload: payload})
}

// setAside takes one row out of the inbox and sends it to topic inbox.
func (t *Triage) setAside(ctx context.Context, row store.InboxRow, why error) error {
	b := &batch{now: t.cfg.Clock.Now(), tell: t.cfg.WriteBack, ocsf: t.cfg.EventsV2}
	b.refuse(row, why)
	t.log.ErrorContext(ctx, "finding refused", "seq", row.Seq, "source", row.Source, "error", why)
	if err := t.cfg.Store.CommitFindings(ctx, nil, []int64{row.Seq}, b.eff); err != nil {
		return fmt.Errorf("set inbox row %d aside: %w", row.Seq, err)
	}
	return nil
}

// HandleInbox handles topic inbox: it tries the refused row again, so that an
// operator who mended the cause can requeue the message. The error is terminal
// and becomes the reason of the dead letter.
func (t *Triage) HandleInbox(ctx context.Context, payload json.RawMessage) error {
	var r Refused
	if err := json.Unmarshal(payload, &r); err != nil {
		return fault.Terminal(fault.Errorf(fault.Invalid, "read refused row", "%w", err))
	}
	if len(r.Finding) == 0 {
		return fault.Terminal(fault.Errorf(fault.Invalid, "triage finding", "%s", r.Reason))
	}
	rules, err := t.cfg.Rules.Rules(ctx)
	if err != nil {
		return fmt.Errorf("read automation rules: %w", err)
	}
	row := store.InboxRow{InboxItem: store.InboxItem{Source: r.Source, Trusted: r.Trusted, Finding: r.Finding, ReceivedAt: r.ReceivedAt}}
	err = t.again(ctx, func() error {
		b, err := t.assemble(ctx, open([]store.InboxRow{row}), rules)
		if err != nil {
			return err
		}
		if len(b.eff.Outbox) > 0 {
			return fault.Terminal(fault.Errorf(fault.Invalid, "triage finding", "%s", reasonOf(b.eff.Outbox[0])))
		}
		b.done = nil // it left the inbox when it was refused
		return t.write(ctx, b)
	})
	if err != nil && inRow(err) {
		return fault.Terminal(err)
	}
	return err
}

func reasonOf(m store.Message) string {
	var r Refused
	if json.Unmarshal(m.Payload, &r) != nil {
		return "refused"
	}
	return r.Reason
}
