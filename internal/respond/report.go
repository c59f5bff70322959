package respond

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// Handle writes what a rule reports of an event to the case that it belongs to, or opens
// one. It answers topic case, and does nothing for a report that was written before.
func (d *Desk) Handle(ctx context.Context, payload []byte) error {
	const op = "report to a case"
	var r casefile.Report
	if err := json.Unmarshal(payload, &r); err != nil || r.Event == "" {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload is no report: %v", err))
	}
	t, ok := d.cfg.Templates[r.Template]
	if !ok {
		return fault.Terminal(fault.Errorf(fault.NotFound, op, "there is no case template %q", r.Template).WithHint("add it to cases in parry.yaml, and redrive"))
	}
	err := again(func() error { return d.report(ctx, t, r) })
	switch {
	case errors.Is(err, store.ErrExists): // another delivery of it was faster
		return nil
	case fault.Is(err, fault.Invalid):
		return fault.Terminal(fault.E(fault.Invalid, op, err))
	}
	return err
}

func (d *Desk) report(ctx context.Context, t casefile.Template, r casefile.Report) error {
	key, group := r.Key(), t.Group(r)
	told, err := d.cfg.Store.CaseOfEvent(ctx, key)
	if err != nil || told != "" {
		return err
	}
	at, err := d.cfg.Store.CaseGroup(ctx, group)
	if err != nil {
		return err
	}
	now := d.now()
	w := store.CaseWrite{Event: key, Group: group, Replaces: at.Case, Last: now}
	if at.Case != "" {
		c, err := d.cfg.Store.Case(ctx, at.Case)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && c.Takes(r) && (t.Window == 0 || now.Sub(at.Last) <= t.Window) {
			before := c
			c = t.Take(c, r, now)
			w.Entry = r.Entry(casefile.EventCame, now)
			eff, err := d.announce(c, updated, w.Entry, r.Hops+1, "")
			if err != nil {
				return err
			}
			if err := d.cfg.Store.UpdateCase(ctx, c, w, eff); err != nil {
				return err
			}
			if c.Severity != before.Severity {
				d.log.InfoContext(ctx, "case severity raised", "case", c.ID, "severity", c.Severity)
			}
			return nil
		}
	}
	c := t.Open(casefile.Number(d.cfg.IDs.NewID("case")), r, now)
	c.Follows = at.Case
	w.Entry = r.Entry(casefile.Opened, now)
	eff, err := d.announce(c, created, w.Entry, r.Hops+1, "case.opened")
	if err != nil {
		return err
	}
	err = d.cfg.Store.CreateCase(ctx, c, w, d.cfg.MaxOpen, eff)
	if errors.Is(err, store.ErrExists) {
		return d.taken(ctx, key, err)
	}
	return err
}

// taken tells an event that was told meanwhile from a number that another case has: the
// latter is tried with another one.
func (d *Desk) taken(ctx context.Context, key string, err error) error {
	told, lookErr := d.cfg.Store.CaseOfEvent(ctx, key)
	switch {
	case lookErr != nil:
		return lookErr
	case told != "":
		return err
	}
	return fmt.Errorf("number a case: %w", store.ErrConflict)
}
