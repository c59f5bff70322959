package respond

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// NewCase is a case that a person opens.
type NewCase struct {
	Title, Description           string
	Engagement                   casefile.Engagement // default: casefile.Incident
	Severity                     finding.Label       // default: MEDIUM
	Accounts, Regions, Resources []string
	Findings                     []finding.ID
	Remediations                 []remediation.ID
	ReportedAt                   time.Time // default: now
}

// Open opens a case. Who opens one sees it: the caller has checked that findings and
// remediations are of the accounts, and that these are the person's.
func (d *Desk) Open(ctx context.Context, n NewCase, who Who) (casefile.Case, error) {
	const op = "open case"
	now := d.now()
	c := casefile.Case{
		Title: n.Title, Description: n.Description, Engagement: n.Engagement, Severity: n.Severity, Status: casefile.Submitted, Accounts: n.Accounts, Regions: n.Regions,
		Resources: n.Resources, Findings: n.Findings, Remediations: n.Remediations, ReportedAt: n.ReportedAt.UTC().Truncate(time.Microsecond),
		CreatedAt: now, CreatedBy: who.Name, UpdatedAt: now, Entries: 1, Rev: 1,
	}
	if c.Engagement == "" {
		c.Engagement = casefile.Incident
	}
	if c.Severity == "" {
		c.Severity = finding.Medium
	}
	if n.ReportedAt.IsZero() {
		c.ReportedAt = now
	}
	if c.ReportedAt.After(now) {
		return casefile.Case{}, fault.Errorf(fault.Invalid, op, "reported_at %s is still to come", c.ReportedAt.Format(time.RFC3339))
	}
	if !who.sees(c) {
		return casefile.Case{}, fault.Errorf(fault.Denied, op, "the case needs accounts, and all of them among yours").WithHint("name at least one of your accounts")
	}
	entry := casefile.Entry{At: now, OccurredAt: c.ReportedAt, By: who.Name, Kind: casefile.Opened, Text: c.Title}
	err := again(func() error {
		c.ID = casefile.Number(d.cfg.IDs.NewID("case"))
		eff, err := d.announce(c, created, entry, 0, "case.opened")
		if err != nil {
			return err
		}
		err = d.cfg.Store.CreateCase(ctx, c, store.CaseWrite{Entry: entry}, d.cfg.MaxOpen, eff)
		if errors.Is(err, store.ErrExists) { // a person's case is of no event, so the number is taken
			return fmt.Errorf("number a case: %w", store.ErrConflict)
		}
		return err
	})
	return c, err
}

// Note writes a text of a person to the timeline of an open case.
func (d *Desk) Note(ctx context.Context, id, text string, who Who) (casefile.Case, error) {
	return d.change(ctx, id, who, "case.noted", updated, func(c *casefile.Case, e *casefile.Entry) error {
		if c.Status == casefile.Closed {
			return fault.Errorf(fault.Conflict, "note", "the case is closed").WithHint("open another that names it: parry case open")
		}
		e.Kind, e.Text = casefile.Noted, text
		return casefile.CheckText("text", text, casefile.MaxNote)
	})
}

// Move brings a case into another status; Close closes it.
func (d *Desk) Move(ctx context.Context, id string, to casefile.Status, reason string, who Who) (casefile.Case, error) {
	return d.change(ctx, id, who, "case.moved", updated, func(c *casefile.Case, e *casefile.Entry) error {
		if to == casefile.Closed {
			return fault.Errorf(fault.Invalid, "move case", "a case is closed with a closure code").WithHint("run: parry case close %s --code CODE", c.ID)
		}
		e.Kind, e.Text = casefile.StatusMoved, string(c.Status)+" -> "+string(to)
		if err := errors.Join(c.Status.Check(to), because(e, reason)); err != nil {
			return err
		}
		c.Status = to
		return nil
	})
}

// Close closes a case for good.
func (d *Desk) Close(ctx context.Context, id string, code casefile.ClosureCode, reason string, who Who) (casefile.Case, error) {
	return d.change(ctx, id, who, "case.closed", closed, func(c *casefile.Case, e *casefile.Entry) error {
		if !code.Valid() {
			return fault.Errorf(fault.Invalid, "close case", "%q is no closure code", casefile.Plain(string(code), 40)).
				WithHint("the codes are Investigation Completed, Not Resolved, False Positive and Duplicate")
		}
		e.Kind, e.Text = casefile.CaseClosed, string(code)
		if err := errors.Join(c.Status.Check(casefile.Closed), because(e, reason)); err != nil {
			return err
		}
		c.Status, c.Closure, c.ClosedAt, c.ClosedBy = casefile.Closed, code, e.At, who.Name
		return nil
	})
}

func because(e *casefile.Entry, reason string) error {
	if reason == "" {
		return nil
	}
	e.Text += ": " + reason
	return casefile.CheckText("the reason", reason, casefile.MaxReason)
}

// change changes a case that who may see as next says, with an entry about it.
func (d *Desk) change(ctx context.Context, id string, who Who, action, event string, next func(*casefile.Case, *casefile.Entry) error) (casefile.Case, error) {
	var out casefile.Case
	err := again(func() error {
		c, err := d.Case(ctx, id, who)
		if err != nil {
			return err
		}
		now := d.now()
		e := casefile.Entry{At: now, OccurredAt: now, By: who.Name}
		if err := next(&c, &e); err != nil {
			return err
		}
		// A full timeline can still be closed.
		if c.Entries >= casefile.MaxEntries && c.Status != casefile.Closed {
			return fault.Errorf(fault.Exhausted, "change case "+c.ID, "its timeline has %d entries, which is the limit", c.Entries).
				WithHint("close it, and open another that names it: parry case open")
		}
		c.UpdatedAt = now
		c.Entries++
		eff, err := d.announce(c, event, e, 0, action)
		if err != nil {
			return err
		}
		if err := d.cfg.Store.UpdateCase(ctx, c, store.CaseWrite{Entry: e}, eff); err != nil {
			return err
		}
		c.Rev++
		out = c
		return nil
	})
	return out, err
}
