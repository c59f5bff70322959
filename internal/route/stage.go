package route

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// MaxFindings is how many findings one event may carry. AWS's carry one.
const MaxFindings = 100

// DefaultQuiet is how long people's no, or a fix that did not show, is left
// alone.
const DefaultQuiet = 7 * 24 * time.Hour

// Store is what routing reads and writes.
type Store interface {
	// LinkedFindings gives the findings of the same control on the same resource.
	LinkedFindings(ctx context.Context, id finding.ID) ([]finding.ID, error)
	ListRemediations(ctx context.Context, f store.RemediationFilter, limit int, cursor string) ([]remediation.Remediation, string, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// Notification is the payload of topic notify.
type Notification struct {
	Channel string    `json:"channel"`
	Rule    string    `json:"rule"`
	Event   bus.Event `json:"event"`
}

// Config is what the stage is made of.
type Config struct {
	Store Store
	Table *Table        // default: no rules; nothing is routed
	Quiet time.Duration // default: DefaultQuiet
	// Answers names the playbook for a control. Default: there is none for any.
	Answers func(control string) (playbook string, ok bool)
	// Cases are the templates by which events open cases, by name. Default: none.
	Cases  map[string]casefile.Template
	Logger *slog.Logger // default: discard
}

// Stage routes.
type Stage struct {
	cfg   Config
	table atomic.Pointer[Table]
}

// New checks cfg.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil {
		return nil, fault.Errorf(fault.Internal, "make route stage", "store is required")
	}
	if cfg.Table == nil {
		cfg.Table = &Table{}
	}
	if cfg.Answers == nil {
		cfg.Answers = func(string) (string, bool) { return "", false }
	}
	if cfg.Quiet <= 0 {
		cfg.Quiet = DefaultQuiet
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("component", "route")
	s := &Stage{cfg: cfg}
	s.Use(cfg.Table)
	return s, nil
}

// Use puts t in force for the events that follow, and says loudly which of its
// rules are disabled. Safe for concurrent use.
func (s *Stage) Use(t *Table) {
	for _, r := range t.Refusals() {
		s.cfg.Logger.Error("rule disabled", "refusal", r)
	}
	for _, w := range t.Warnings() {
		s.cfg.Logger.Warn("rule is in force but odd", "warning", w)
	}
	s.table.Store(t)
}

// Handle routes an event, or each of a list of them, and sends what they lead to in
// one transaction. It answers topic event. An event of a list that is broken does
// not hold up the others.
func (s *Stage) Handle(ctx context.Context, payload []byte) error {
	const op = "route event"
	var events []json.RawMessage
	if !bytes.HasPrefix(payload, []byte("[")) {
		events = append(events, payload)
	} else if err := json.Unmarshal(payload, &events); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	return s.handle(ctx, op, s.table.Load(), events, "")
}

// HandleBy routes an event by the rules of t alone, whatever is in force.
func (s *Stage) HandleBy(ctx context.Context, t *Table, event []byte) error {
	return s.handle(ctx, "route event", t, []json.RawMessage{event}, "")
}

// HandleAction routes an event that a person asked for. It answers topic action. A plan
// to which it leads is that person's request: it is not put off because of what became of
// an earlier one, and who asked cannot approve it.
func (s *Stage) HandleAction(ctx context.Context, payload []byte) error {
	const op = "route action"
	var asked struct {
		By    string          `json:"by"`
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(payload, &asked); err != nil || asked.By == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload does not say who asked: %v", err))
	}
	return s.handle(ctx, op, s.table.Load(), []json.RawMessage{asked.Event}, asked.By)
}

func (s *Stage) handle(ctx context.Context, op string, t *Table, events []json.RawMessage, by string) error {
	var eff store.Effects
	var broken []error
	for _, raw := range events {
		more, err := s.one(ctx, t, raw, by)
		if err != nil && !fault.IsTerminal(err) {
			return err
		}
		if err != nil {
			broken = append(broken, err)
		}
		eff.Outbox = append(eff.Outbox, more.Outbox...)
	}
	if len(eff.Outbox) > 0 {
		if err := s.cfg.Store.Enqueue(ctx, store.Execution, eff); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	if len(broken) > 0 {
		return fault.Terminal(fault.E(fault.CodeOf(broken[0]), op, errors.Join(broken...)))
	}
	return nil
}

// one gives what one event leads to. With a terminal error it is what the rules that
// could judge the event made of it. by is the person who asked for it, or "".
func (s *Stage) one(ctx context.Context, t *Table, payload []byte, by string) (store.Effects, error) {
	var event bus.Event
	if err := json.Unmarshal(payload, &event); err != nil || event.ID == "" {
		return store.Effects{}, fault.Terminal(fault.Errorf(fault.Invalid, "read event", "the payload is not an event: %v", err))
	}
	h := handling{stage: s, ctx: ctx, table: t, event: event, by: by, done: map[string]bool{}}
	var broken []error
	var err error
	if h.matched, err = h.table.match(payload); err != nil {
		var u *pattern.Unjudged
		if !errors.As(err, &u) {
			return store.Effects{}, fault.Terminal(fault.E(fault.CodeOf(err), "read event "+event.ID, err))
		}
		for _, id := range u.Names {
			broken = append(broken, fmt.Errorf("rule %q: %w", id, u.Unwrap()))
		}
	}
	for _, id := range h.matched {
		if err := h.rule(h.table.rules[id]); err != nil {
			if !fault.IsTerminal(err) {
				return store.Effects{}, fmt.Errorf("event %s: %w", event.ID, err)
			}
			broken = append(broken, fmt.Errorf("rule %q: %w", id, err))
		}
	}
	if len(broken) > 0 {
		err := errors.Join(broken...)
		s.cfg.Logger.ErrorContext(ctx, "event not judged by every rule", "event", event.ID, "error", err)
		return h.eff, fault.Terminal(fault.E(fault.CodeOf(broken[0]), "event "+event.ID, err))
	}
	return h.eff, nil
}

// handling is one event on its way through the rules.
type handling struct {
	stage    *Stage
	ctx      context.Context
	event    bus.Event
	by       string // the person who asked for the event, or ""
	table    *Table
	matched  []string // rules that the event meets
	eff      store.Effects
	done     map[string]bool // message ids in eff
	findings []single        // the event's findings, each as an event of its own
	split    bool
	splitErr error
}

// single is one finding and the event as it would be with it alone.
type single struct {
	finding finding.Finding
	matched []string // rules
	err     error    // rules that could not judge it
}

// rule adds what a rule makes of the event that it meets. A terminal error is the
// rule's or the event's own; the other rules go on.
func (h *handling) rule(r Rule) error {
	log := h.stage.cfg.Logger.With("rule", r.ID, "event", h.event.ID)
	if h.hops() > r.MaxHops {
		log.WarnContext(h.ctx, "event dropped", "reason", "it has passed more rules than the rule allows", "hops", h.hops(), "max_hops", r.MaxHops)
		return nil
	}
	for _, target := range r.Targets {
		var err error
		switch target.Kind {
		case Channel:
			err = h.notify(r, target.Name)
		case Case:
			err = h.report(r, target.Name, log)
		case Playbook:
			if why := h.ownEcho(); why != "" {
				log.InfoContext(h.ctx, "no remediation", "playbook", target.Name, "reason", why)
				continue
			}
			err = h.remediate(r, target.Name, log)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *handling) hops() int {
	if h.event.Parry == nil {
		return 0
	}
	return h.event.Parry.Hops
}

// ownEcho says why an event must not lead to a change, "" when it may.
func (h *handling) ownEcho() string {
	switch {
	case h.event.ReplayName != "":
		return "the event is replayed"
	case h.event.Source == bus.SourceParry:
		return "the event is about Parry's own work"
	case h.event.Parry != nil:
		return "the event was caused by Parry"
	}
	return ""
}

// notify sends the event to a channel, once however many rules say so.
func (h *handling) notify(r Rule, channel string) error {
	return h.send(store.TopicNotify, h.event.ID+"-"+channel, Notification{Channel: channel, Rule: r.ID, Event: h.event})
}

func (h *handling) send(topic, key string, payload any) error {
	if h.done[topic+"-"+key] {
		return nil
	}
	eff, err := h.eff.Hand(topic, key, payload)
	if err != nil {
		return fault.Terminal(fault.E(fault.Internal, "hand event on", err))
	}
	h.done[topic+"-"+key] = true
	h.eff = eff
	return nil
}
