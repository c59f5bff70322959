package triage

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// ExceptionReader reads the stored exceptions.
type ExceptionReader interface {
	// ExceptionRevision moves whenever an exception is made or changes its state.
	ExceptionRevision(ctx context.Context) (int64, error)
	ExceptionsIn(ctx context.Context, state string) ([]store.Exception, int64, error)
}

// ExceptionBook gives the exceptions in force. It reads them again when one came into
// force or ended, on whatever node, before the next batch of findings.
type ExceptionBook struct {
	reader ExceptionReader
	log    *slog.Logger

	mu  sync.Mutex
	rev int64
	now *Exceptions
}

// NewExceptionBook makes an ExceptionBook of the stored exceptions.
func NewExceptionBook(reader ExceptionReader, log *slog.Logger) *ExceptionBook {
	return &ExceptionBook{reader: reader, log: log.With("component", "triage.exceptions")}
}

// Exceptions gives those in force.
func (b *ExceptionBook) Exceptions(ctx context.Context) (*Exceptions, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rev, err := b.reader.ExceptionRevision(ctx)
	if err != nil || b.now != nil && rev == b.rev {
		return b.now, err
	}
	stored, rev, err := b.reader.ExceptionsIn(ctx, string(exception.Active))
	if err != nil {
		return nil, err
	}
	x := &Exceptions{known: make(map[string]rule.Rule, len(stored))}
	for _, row := range stored {
		r, ok := rule.Rule{}, false
		if b.now != nil {
			r, ok = b.now.known[row.ID] // nothing of it changes while it is in force
		}
		if !ok {
			if r, err = asRule(row); err != nil {
				// Its findings are reopened when they are reported again: what nobody can
				// read suppresses nothing.
				b.log.Error("exception disabled", "exception", row.ID, "error", err)
				continue
			}
		}
		x.known[row.ID] = r
	}
	x.set = rule.Compile(slices.Collect(maps.Values(x.known)))
	b.rev, b.now = rev, x
	return x, nil
}

// asRule gives an exception in the form in which findings look for it.
func asRule(row store.Exception) (rule.Rule, error) {
	d, err := openException(row)
	if err == nil {
		err = exception.CheckScope(d.Scope)
	}
	return rule.Rule{ARN: d.ID, Version: 1, Name: d.Title, Enabled: true, Criteria: d.Scope, UpdatedAt: d.DecidedAt, ExpiresAt: d.ExpiresAt}, err
}

// exceptionDoc is a stored exception with what its columns do not hold.
type exceptionDoc struct {
	exception.Exception
	// Pass is what is being done to the stored findings, "" for nothing.
	Pass exceptionPass `json:"pass,omitempty"`
	// Cursor is how far the pass has come; Changed counts what it changed, Total what
	// it and those before it did.
	Cursor  string `json:"cursor,omitempty"`
	Changed int64  `json:"changed,omitempty"`
	Total   int64  `json:"total,omitempty"`
	// SweepAt is when the stored findings are looked through again, zero for never.
	SweepAt time.Time `json:"sweep_at,omitzero"`
	// Warned are the days of the warnings that were sent.
	Warned []int `json:"warned,omitempty"`

	row store.Exception
}

// exceptionPass is one way through the stored findings.
type exceptionPass string

const (
	passRelease exceptionPass = "release" // those that it held, after its end
	passCheck   exceptionPass = "check"   // those that it holds, whether it covers them still
	passTake    exceptionPass = "take"    // open ones that it covers
)

// begin starts a way through the stored findings.
func (d *exceptionDoc) begin(p exceptionPass) { d.Pass, d.Cursor, d.Changed, d.Total = p, "", 0, 0 }

func openException(row store.Exception) (exceptionDoc, error) {
	d := exceptionDoc{row: row}
	if err := json.Unmarshal(row.Doc, &d); err != nil {
		return d, fault.E(fault.Internal, "read exception "+row.ID, err)
	}
	d.ID, d.State, d.CreatedAt, d.EndedAt = row.ID, exception.State(row.State), row.CreatedAt, row.EndedAt
	return d, nil
}

// packed gives the row as it is to be written, with when there is work on it next.
func (d *exceptionDoc) packed(now time.Time, warn []int) (store.Exception, error) {
	row := d.row
	row.State, row.EndedAt, row.DueAt = string(d.State), d.EndedAt, d.due(now, warn)
	var err error
	if row.Doc, err = json.Marshal(d); err != nil {
		return row, fault.E(fault.Internal, "write exception", err)
	}
	return row, nil
}

// due gives when there is work on the exception next, zero for never.
func (d *exceptionDoc) due(now time.Time, warn []int) time.Time {
	switch {
	case d.Pass != "":
		return now
	case d.State != exception.Pending && d.State != exception.Active:
		return time.Time{}
	}
	at := d.ExpiresAt
	if d.State == exception.Pending {
		return at
	}
	if !d.SweepAt.IsZero() && d.SweepAt.Before(at) {
		at = d.SweepAt
	}
	for _, w := range d.toWarn(warn) {
		if w.Before(at) {
			at = w
		}
	}
	return at
}

// toWarn gives the warnings that are to come, by the days that are left then.
func (d *exceptionDoc) toWarn(days []int) map[int]time.Time {
	out := d.Warnings(days)
	for _, sent := range d.Warned {
		delete(out, sent)
	}
	return out
}
