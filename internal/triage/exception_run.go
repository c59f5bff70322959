package triage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/store"
)

const (
	// sweepEvery is how often the stored findings are looked through for exceptions
	// with relative dates. Others are looked through once more, that long after they
	// came into force: by then every batch of another node that did not know of them
	// is committed.
	sweepEvery = time.Hour
	// dueBatch is how many exceptions are worked on in turn.
	dueBatch = 20
	// byClock is who ends and warns.
	byClock = "parry/triage"
)

// Work does what is due: it suppresses what exceptions that came into force cover,
// reopens what ended ones hold, warns of an end and ends what has expired, one commit
// of each in turn. Another node that does so already is left alone.
func (d *ExceptionDesk) Work(ctx context.Context) error {
	conflicts, failed := 0, map[string]error{}
	for ctx.Err() == nil {
		due, err := d.cfg.Store.DueExceptions(ctx, d.now(), dueBatch)
		// One that cannot be worked on does not hold up the others.
		due = slices.DeleteFunc(due, func(e store.Exception) bool { return failed[e.ID] != nil })
		if err != nil || len(due) == 0 {
			return errors.Join(append(slices.Collect(maps.Values(failed)), err)...)
		}
		if held, err := d.lease.take(ctx); err != nil || !held {
			return err
		}
		for _, row := range due {
			err := d.step(ctx, row)
			switch {
			case err == nil:
				conflicts = 0
			case errors.Is(err, store.ErrConflict) && conflicts < maxConflicts:
				// A finding or the exception was changed meanwhile: look again.
				conflicts++
				if err := pause(ctx, conflicts); err != nil {
					return err
				}
			default:
				failed[row.ID] = fmt.Errorf("work on exception %s: %w", row.ID, err)
			}
		}
	}
	return nil
}

// step carries one exception one commit further.
func (d *ExceptionDesk) step(ctx context.Context, row store.Exception) error {
	doc, err := openException(row)
	if err != nil {
		return err
	}
	now := d.now()
	open := doc.State == exception.Pending || doc.State == exception.Active
	switch {
	case open && !now.Before(doc.ExpiresAt):
		return d.expire(ctx, doc, now)
	case doc.Pass != "":
		return d.pass(ctx, doc)
	case doc.State == exception.Active && d.warnsAt(doc, now) > 0:
		return d.warn(ctx, doc, now)
	case doc.State == exception.Active && !doc.SweepAt.IsZero() && !now.Before(doc.SweepAt):
		doc.begin(passCheck)
		if doc.SweepAt = (time.Time{}); doc.Sliding() {
			doc.SweepAt = now.Add(sweepEvery)
		}
	}
	return d.commit(ctx, doc, nil, store.Effects{})
}

// commit stores doc, whose state stays, with findings.
func (d *ExceptionDesk) commit(ctx context.Context, doc exceptionDoc, w []store.FindingWrite, eff store.Effects) error {
	row, err := doc.packed(d.now(), d.cfg.Warn)
	if err != nil {
		return err
	}
	return d.cfg.Store.CommitException(ctx, row, w, eff)
}

// expire ends an exception whose time has passed.
func (d *ExceptionDesk) expire(ctx context.Context, doc exceptionDoc, now time.Time) error {
	to, end := exception.Ended, exception.ByTime
	if doc.State == exception.Pending {
		to, end = exception.Expired, ""
	}
	if err := finish(&doc, to, end, byClock, "", now); err != nil {
		return err
	}
	held, err := d.cfg.Store.CountHeld(ctx, []string{doc.ID})
	if err != nil {
		return err
	}
	d.log.InfoContext(ctx, "exception expired", "exception", doc.ID, "covered", held[doc.ID])
	return d.save(ctx, doc, pattern.ExceptionEnded, "exception.expired", byClock, now, held[doc.ID])
}

// warnsAt gives the days of the warning that is due, 0 for none. Of several, as after
// a time without a server, the latest is sent and the others are left out.
func (d *ExceptionDesk) warnsAt(doc exceptionDoc, now time.Time) int {
	days := 0
	for n, at := range doc.toWarn(d.cfg.Warn) {
		if !now.Before(at) && (days == 0 || n < days) {
			days = n
		}
	}
	return days
}

func (d *ExceptionDesk) warn(ctx context.Context, doc exceptionDoc, now time.Time) error {
	days := d.warnsAt(doc, now)
	for n, at := range doc.toWarn(d.cfg.Warn) {
		if !now.Before(at) {
			doc.Warned = append(doc.Warned, n)
		}
	}
	slices.Sort(doc.Warned)
	held, err := d.cfg.Store.CountHeld(ctx, []string{doc.ID})
	if err != nil {
		return err
	}
	eff, err := d.announce(doc.Exception, pattern.ExceptionExpiring, "", byClock, now, held[doc.ID], days)
	if err != nil {
		return err
	}
	return d.commit(ctx, doc, nil, eff)
}

// pass carries the way through the stored findings one commit further.
func (d *ExceptionDesk) pass(ctx context.Context, doc exceptionDoc) error {
	q := store.FindingQuery{Accounts: store.AllAccounts(), Exception: doc.ID, Limit: runBatch, Cursor: doc.Cursor, At: d.now()}
	if doc.Pass == passTake {
		q.Exception, q.Accounts, q.Filter = "", doc.Accounts(), doc.Scope
		q.Where = []store.Condition{
			{Column: "record_state", Op: store.OpEqual, Values: []string{string(finding.Active)}},
			{Column: "workflow", Op: store.OpEqual, Values: []string{string(finding.New), string(finding.Notified)}},
		}
	}
	page, err := d.cfg.Pages.QueryFindings(ctx, q)
	if fault.Is(err, fault.Invalid) && doc.Cursor != "" {
		// Another version of Parry wrote the cursor: the pass begins anew.
		doc.Cursor = ""
		return d.commit(ctx, doc, nil, store.Effects{})
	}
	if err != nil {
		return err
	}
	b, err := d.cfg.Triage.begin(ctx)
	if err != nil {
		return err
	}
	switch doc.End {
	case exception.ByTime:
		b.why = "it expired"
	case exception.ByPerson:
		b.why = "it was withdrawn by " + doc.EndedBy
	}
	for _, record := range page.Records {
		f, err := finding.Reopen(record.Doc)
		if err != nil {
			d.log.ErrorContext(ctx, "exception skips a finding", "exception", doc.ID, "finding", record.ID.String(), "error", err)
			continue
		}
		s := &subject{record: record, doc: f, exists: true}
		if s.reconsider(b) {
			doc.Changed++
			b.open[record.ID] = s
		}
	}
	if err := d.cfg.Triage.weigh(ctx, b); err != nil {
		return err
	}
	writes, eff, err := b.effects()
	if err != nil {
		return err
	}
	if doc.Cursor = page.Next; doc.Cursor == "" {
		d.passed(ctx, &doc, &eff)
	}
	return d.commit(ctx, doc, writes, eff)
}

// passed goes on to the next pass, or ends them.
func (d *ExceptionDesk) passed(ctx context.Context, doc *exceptionDoc, eff *store.Effects) {
	done := doc.Pass
	doc.Total += doc.Changed
	switch {
	case done == passCheck:
		doc.Pass, doc.Changed = passTake, 0
		return
	case done == passRelease && doc.Changed > 0:
		// Once more until nothing is left: another node may have suppressed a finding
		// before it knew of the end.
		doc.Changed = 0
		return
	}
	doc.Pass = ""
	d.log.InfoContext(ctx, "exception applied", "exception", doc.ID, "pass", string(done), "changed", doc.Total)
	action := "exception.applied"
	if done == passRelease {
		action = "exception.released"
	} else if doc.Total == 0 {
		return // a look that found nothing new
	}
	// Numbers always marshal.
	detail, _ := json.Marshal(map[string]any{"changed": doc.Total})
	eff.Audit = append(eff.Audit, store.AuditRecord{At: d.now(), Actor: byClock, Action: action, Object: doc.ID, Detail: detail})
}

// Sweep looks for findings that an exception holds which is not in force, and for
// warnings that a changed configuration asks for, and puts both to work. Call it once
// an hour.
func (d *ExceptionDesk) Sweep(ctx context.Context) error {
	active, _, err := d.cfg.Store.ExceptionsIn(ctx, string(exception.Active))
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(active))
	for _, row := range active {
		known[row.ID] = true
		doc, err := openException(row)
		if err != nil {
			continue // the book has told of it
		}
		if doc.due(d.now(), d.cfg.Warn).Before(row.DueAt) {
			if err := d.commit(ctx, doc, nil, store.Effects{}); err != nil && !errors.Is(err, store.ErrConflict) {
				return err
			}
		}
	}
	held, err := d.cfg.Store.CountHeld(ctx, nil)
	if err != nil {
		return err
	}
	for id := range held {
		if known[id] {
			continue
		}
		doc, err := d.open(ctx, id)
		if fault.Is(err, fault.NotFound) {
			d.log.ErrorContext(ctx, "findings are suppressed by an exception that is not there", "exception", id, "findings", held[id])
			continue
		}
		if err != nil {
			return err
		}
		if doc.State != exception.Ended || doc.Pass != "" {
			continue // it came into force meanwhile, or is being worked on
		}
		doc.begin(passRelease)
		if err := d.commit(ctx, doc, nil, store.Effects{}); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	d.wakeRunner()
	return nil
}
