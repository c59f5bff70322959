package route

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

// Entry is one event that is put on a bus, checked by whoever answers the API.
type Entry struct {
	Source, DetailType string
	Account, Region    string
	Time               time.Time // zero: now
	Resources          []string
	Detail             pattern.Text
}

// Put puts events on a bus and gives their ids. It returns when those that a rule or an
// archive wants cannot be lost any more.
func (x *Exchange) Put(ctx context.Context, on string, entries []Entry) (ids []string, err error) {
	const op = "put events"
	now := x.cfg.Clock.Now()
	items := make([]item, len(entries))
	ids = make([]string, len(entries))
	for i, e := range entries {
		if e.Time.IsZero() {
			e.Time = now
		}
		ids[i] = x.cfg.IDs()
		text, err := e.envelope(ids[i])
		if err != nil {
			return nil, fault.Errorf(fault.Invalid, op, "entry %d: %w", i, err)
		}
		items[i] = item{id: ids[i], at: e.Time, raw: text.Bytes(), text: text}
	}
	return ids, x.post(ctx, on, items, cause{})
}

// envelope gives the event in EventBridge's form.
func (e Entry) envelope(id string) (pattern.Text, error) {
	out := make([]byte, 0, 400)
	out = append(out, `{"version":"0","id":"`...)
	out = append(out, id...)
	for _, f := range []struct{ name, value string }{
		{`","detail-type":`, e.DetailType},
		{`,"source":`, e.Source},
		{`,"account":`, e.Account},
		{`,"time":`, e.Time.UTC().Format("2006-01-02T15:04:05Z")},
		{`,"region":`, e.Region},
	} {
		out = append(out, f.name...)
		var err error
		if out, err = jsontext.AppendQuote(out, f.value); err != nil {
			return pattern.Text{}, fmt.Errorf("a member is not UTF-8: %w", err)
		}
	}
	out = append(out, `,"resources":[`...)
	for i, r := range e.Resources {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if out, err = jsontext.AppendQuote(out, r); err != nil {
			return pattern.Text{}, fmt.Errorf("a resource is not UTF-8: %w", err)
		}
	}
	return pattern.Embed(string(append(out, `],"detail":`...)), e.Detail)
}

// Publish puts an event of Parry's own, or a list of them, on the default bus: what the
// rules of parry.yaml do not know of. Whatever cannot be read was refused by them.
func (x *Exchange) Publish(ctx context.Context, payload []byte) error {
	l := (*x.buses.Load())[store.DefaultBus]
	if l == nil || l.patterns.Len() == 0 && !x.tails.watched() {
		return nil
	}
	var events []json.RawMessage
	if !strings.HasPrefix(string(payload[:min(1, len(payload))]), "[") {
		events = append(events, payload)
	} else if err := json.Unmarshal(payload, &events); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "publish event", err))
	}
	now := x.cfg.Clock.Now()
	var posted []*bus.Posted
	for _, raw := range events {
		var e struct {
			ID         string         `json:"id"`
			DetailType string         `json:"detail-type"`
			Time       time.Time      `json:"time"`
			Parry      *pattern.Cause `json:"parry"`
		}
		text, err := pattern.Validate(raw)
		if err != nil || json.Unmarshal(raw, &e) != nil {
			continue
		}
		x.tails.show(store.DefaultBus, raw)
		// A remediation's states lead to no other remediation, but a storm of them is no loop.
		c := cause{parry: e.Parry != nil || e.DetailType == pattern.RemediationChanged, looped: e.Parry != nil}
		if e.Parry != nil {
			c.hops = e.Parry.Hops
		}
		if s := x.sort(ctx, l, text, e.ID, c); len(s.targets)+len(s.archives) > 0 {
			posted = append(posted, &bus.Posted{Bus: store.DefaultBus, At: e.Time, Since: now, Targets: s.targets, Archives: s.archives, Text: raw})
		}
	}
	if len(posted) == 0 {
		return nil
	}
	return x.cfg.Poster.Post(ctx, posted)
}

// Forward puts an event that a rule sends on another bus, one hop further.
func (x *Exchange) Forward(ctx context.Context, on, rule string, event []byte) error {
	const op = "send the event to another bus"
	var e bus.Event
	if err := json.Unmarshal(event, &e); err != nil || e.ID == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "what the target is sent is not an event: %v", err))
	}
	hops := 1
	if e.Parry != nil {
		hops += e.Parry.Hops
	}
	e.Parry = &pattern.Cause{By: "rule/" + rule, Hops: hops}
	raw, err := json.Marshal(e)
	if err != nil {
		return fault.Terminal(fault.E(fault.Internal, op, err))
	}
	text, err := pattern.Validate(raw)
	if err != nil {
		return fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	err = x.post(ctx, on, []item{{id: e.ID, at: e.Time, raw: raw, text: text}}, cause{replay: e.ReplayName, hops: hops, parry: true, looped: true})
	if fault.Is(err, fault.NotFound) {
		return fault.Terminal(err)
	}
	return err
}

// wants reports whether a rule of parry.yaml matches an event, or cannot judge it.
func (s *Stage) wants(e pattern.Text) bool {
	names, err := s.table.Load().patterns.Match(e, nil)
	return len(names) > 0 || err != nil
}

// cutKey takes the key of a rule apart: a bus may have slashes in its name, a rule has none.
func cutKey(key string) (on, name string, ok bool) {
	i := strings.LastIndexByte(key, '/')
	if i <= 0 {
		return "", "", false
	}
	return key[:i], key[i+1:], true
}
