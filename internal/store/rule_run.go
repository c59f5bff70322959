package store

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// RuleRun is one run of an automation rule over the stored findings.
type RuleRun struct {
	ID   string
	Rule string // ARN or name
	// CreatedAt is when it was asked for; EndedAt is zero while it goes on.
	CreatedAt, EndedAt time.Time
	// Rev counts the writes; 1 is the first.
	Rev int64
	// Doc holds what the run does and how far it came; the store does not read it.
	Doc json.RawMessage
}

// CreateRuleRun stores a new run and sends eff. It answers ErrConflict when the
// rule has a run that goes on, and code exhausted when most runs go on.
func (s *Store) CreateRuleRun(ctx context.Context, r RuleRun, most int, eff Effects) error {
	const op = "create rule run"
	if err := errors.Join(checkID(op, "run id", r.ID), checkID(op, "rule", r.Rule)); err != nil {
		return err
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		// Others who ask for a run wait here.
		if err := t.moveRules(ctx); err != nil {
			return err
		}
		open, err := collect(ctx, t, s.q.RuleRunOpen, []any{int64(most + 1)}, s.scanRun)
		if err != nil {
			return err
		}
		for _, o := range open {
			if o.Rule == r.Rule {
				return conflict("rule %s is being run already, as %s", r.Rule, o.ID)
			}
		}
		if len(open) >= most {
			return fault.Errorf(fault.Exhausted, op, "%d runs go on already, which is the limit", len(open)).
				WithHint("wait until one has ended, or cancel one: parry rule runs")
		}
		n, err := t.changed(ctx, s.q.RuleRunInsert, r.ID, r.Rule, micros(r.CreatedAt), s.docs.pack(r.Doc))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("create rule run %s", r.ID)
		}
		return t.send(ctx, eff)
	})
}

// CommitRuleRun writes findings that a run changed together with how far it came,
// and sends eff: one transaction, so that a run which is taken up again counts
// nothing twice. ErrConflict says that the run, or a finding, was changed meanwhile.
func (s *Store) CommitRuleRun(ctx context.Context, r RuleRun, w []FindingWrite, eff Effects) error {
	const op = "commit rule run"
	prepared, err := s.prepareWrites(w)
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.RuleRunUpdate, r.ID, r.Rev, micros(r.EndedAt), s.docs.pack(r.Doc))
		if err != nil {
			return err
		}
		if n == 0 {
			return conflict("%s %s", op, r.ID)
		}
		if err := t.commitFindings(ctx, prepared); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// RuleRun gives one run.
func (s *Store) RuleRun(ctx context.Context, id string) (RuleRun, error) {
	r, err := one(ctx, s.findings.Read, s.q.RuleRunRead, []any{text(id, maxID)}, s.scanRun)
	return r, s.fail("read rule run", err)
}

// OpenRuleRuns gives the runs that go on, the oldest first.
func (s *Store) OpenRuleRuns(ctx context.Context, limit int) ([]RuleRun, error) {
	runs, err := collect(ctx, s.findings.Read, s.q.RuleRunOpen, []any{int64(pageSize(limit))}, s.scanRun)
	return runs, s.fail("read rule runs", err)
}

// ListRuleRuns gives a page of the runs of a rule, or of all for "", the latest
// first. The cursor of the next page is "" on the last.
func (s *Store) ListRuleRuns(ctx context.Context, rule string, limit int, cursor string) ([]RuleRun, string, error) {
	const op = "list rule runs"
	by := order{{"f.created_at", numberColumn, true}, {"f.id", textColumn, true}}
	b := builder{}
	if rule != "" {
		b.and("f.rule = %s", b.arg(text(rule, maxID)))
	}
	if cursor != "" {
		p, err := decodePosition(cursor, by.String(), by.kinds())
		if err != nil {
			return nil, "", err
		}
		b.after(by, p)
	}
	n := pageSize(limit)
	query := s.q.RuleRunPage + b.sql() + " ORDER BY " + by.String() + " LIMIT " + b.arg(int64(n+1))
	runs, err := collect(ctx, s.findings.Read, query, b.args, s.scanRun)
	if err != nil || len(runs) <= n {
		return runs, "", s.fail(op, err)
	}
	next, err := position{Order: by.String(), Values: []any{micros(runs[n-1].CreatedAt), runs[n-1].ID}}.encode()
	return runs[:n], next, s.fail(op, err)
}

func (s *Store) scanRun(r scanner) (RuleRun, error) {
	var run RuleRun
	var created, ended int64
	var frame []byte
	if err := r.Scan(&run.ID, &run.Rule, &created, &ended, &run.Rev, &frame); err != nil {
		return run, err
	}
	run.CreatedAt, run.EndedAt = fromMicros(created), fromMicros(ended)
	doc, err := s.docs.unpack(frame)
	run.Doc = doc
	return run, err
}
