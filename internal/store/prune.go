package store

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// pruneChunk bounds how many rows one transaction removes, so that pruning never
// holds the writer for long.
const pruneChunk = 1000

// Cutoffs are the retention: what ended before is removed. A zero time keeps.
type Cutoffs struct {
	Delivered  time.Time // delivered messages: until then a repetition is recognised
	Dead       time.Time // messages and deliveries of the bus that were given up
	Nodes      time.Time // nodes that died
	Timers     time.Time // timers that came and were never deleted
	Executions time.Time // ended executions with their steps and signals; changes and plans stay, undo needs them
	Blobs      time.Time // contents that nothing uses, by when they were put
	Archived   time.Time // archived findings by their last update
	Active     time.Time // other findings by their last update
	Calls      time.Time // calls, by when they were made
	RuleRuns   time.Time // runs of automation rules that ended
	Exceptions time.Time // exceptions that ended and hold nothing any more
	Cases      time.Time // cases that were closed, by when they were
	Days       time.Time // counters of what changed on a day
	// Notifications are what was sent, Threads what channels call theirs.
	Notifications, Threads time.Time
	Rejected               time.Time // rejected messages, by when they came last
	// Organization is what happened to accounts, by when it did, and accounts that left.
	Organization time.Time
	// MaxRejected are the latest rejected messages that are kept; 0 keeps all.
	MaxRejected int64
	MaxCalls    int64 // the latest calls that are kept whatever their age; 0 keeps all
}

// Pruned counts what was removed.
type Pruned struct {
	Delivered, Dead, Signatures, Budgets, ThrottleCuts, Nodes, Timers, Steps, Executions, Findings, Calls, Blobs, RuleRuns, Exceptions, Cases, Rejected, Organization, Days, Sessions, Tries, Notifications, DeadLetters int64
}

// PruneDelivered removes messages of both files that were delivered before, and
// says how many.
func (s *Store) PruneDelivered(ctx context.Context, before time.Time) (int64, error) {
	return s.pruneMessages(ctx, messageDelivered, before)
}

func (s *Store) pruneMessages(ctx context.Context, state int64, before time.Time) (int64, error) {
	if before.IsZero() {
		return 0, nil
	}
	var total int64
	for _, f := range []File{Findings, Execution} {
		n, err := s.pruneRows(ctx, f, s.q.MessagePrune, state, micros(before), int64(pruneChunk))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// pruneRows repeats a statement that removes one chunk until none is left.
func (s *Store) pruneRows(ctx context.Context, f File, query string, args ...any) (int64, error) {
	var total int64
	for {
		var n int64
		err := s.write(ctx, f, "prune", func(t *tx) (err error) {
			n, err = t.changed(ctx, query, args...)
			return err
		})
		if err != nil || n == 0 {
			return total, err
		}
		total += n
	}
}

// Prune removes what is past its retention; expired signatures, sessions and the counters
// of budgets whose window is over always.
func (s *Store) Prune(ctx context.Context, c Cutoffs) (Pruned, error) {
	var p Pruned
	var err error
	if p.Delivered, err = s.PruneDelivered(ctx, c.Delivered); err != nil {
		return p, err
	}
	if p.Dead, err = s.pruneMessages(ctx, messageDead, c.Dead); err != nil {
		return p, err
	}
	if p.DeadLetters, err = s.pruneDeadDeliveries(ctx, c.Dead); err != nil {
		return p, err
	}
	if p.Signatures, err = s.pruneRows(ctx, Findings, s.q.SignaturePrune, micros(s.now())); err != nil {
		return p, err
	}
	if p.Sessions, p.Tries, err = s.pruneSessions(ctx); err != nil {
		return p, err
	}
	if p.Budgets, err = s.pruneRows(ctx, Execution, s.q.BudgetPrune, micros(s.now()), int64(pruneChunk)); err != nil {
		return p, err
	}
	if p.ThrottleCuts, err = s.pruneRows(ctx, Execution, s.q.ThrottlePrune, micros(s.now().Add(-keepCuts))); err != nil {
		return p, err
	}
	if p.Steps, p.Executions, err = s.pruneExecutions(ctx, c.Executions); err != nil {
		return p, err
	}
	if !c.Blobs.IsZero() {
		if p.Blobs, err = s.pruneRows(ctx, Execution, s.q.BlobPrune, micros(c.Blobs), int64(pruneChunk)); err != nil {
			return p, err
		}
	}
	if p.Rejected, err = s.pruneRejected(ctx, c); err != nil {
		return p, err
	}
	if p.Organization, err = s.pruneOrganization(ctx, c.Organization); err != nil {
		return p, err
	}
	if p.Calls, err = s.pruneCalls(ctx, c); err != nil {
		return p, err
	}
	if !c.RuleRuns.IsZero() {
		if p.RuleRuns, err = s.pruneRows(ctx, Findings, s.q.RuleRunPrune, micros(c.RuleRuns), int64(pruneChunk)); err != nil {
			return p, err
		}
	}
	if !c.Exceptions.IsZero() {
		if p.Exceptions, err = s.pruneRows(ctx, Findings, s.q.ExceptionPrune, micros(c.Exceptions), int64(pruneChunk)); err != nil {
			return p, err
		}
	}
	if p.Cases, err = s.pruneCases(ctx, c.Cases); err != nil {
		return p, err
	}
	if p.Notifications, err = s.pruneNotifications(ctx, c); err != nil {
		return p, err
	}
	if p.Days, err = s.pruneDays(ctx, c.Days); err != nil {
		return p, err
	}
	for _, one := range []struct {
		before time.Time
		query  string
		n      *int64
	}{{c.Nodes, s.q.NodePrune, &p.Nodes}, {c.Timers, s.q.TimerPrune, &p.Timers}} {
		if one.before.IsZero() {
			continue
		}
		if *one.n, err = s.pruneRows(ctx, Execution, one.query, micros(one.before)); err != nil {
			return p, err
		}
	}
	for state, before := range map[finding.RecordState]time.Time{finding.Archived: c.Archived, finding.Active: c.Active} {
		n, err := s.pruneFindings(ctx, string(state), before)
		p.Findings += n
		if err != nil {
			return p, err
		}
	}
	if s.dialect.Sweep != nil {
		err = s.dialect.Sweep(ctx)
	}
	return p, s.fail("prune", err)
}

// pruneCalls removes calls by age and by number.
func (s *Store) pruneCalls(ctx context.Context, c Cutoffs) (int64, error) {
	var old, surplus int64
	var err error
	if !c.Calls.IsZero() {
		if old, err = s.pruneRows(ctx, Execution, s.q.CallPrune, micros(c.Calls), int64(pruneChunk)); err != nil {
			return old, err
		}
	}
	if c.MaxCalls > 0 {
		surplus, err = s.pruneRows(ctx, Execution, s.q.CallTrim, c.MaxCalls, int64(pruneChunk))
	}
	return old + surplus, err
}

// pruneExecutions removes executions a chunk at a time, steps first: a step
// without its execution would never be found again.
func (s *Store) pruneExecutions(ctx context.Context, before time.Time) (steps, executions int64, err error) {
	if before.IsZero() {
		return 0, 0, nil
	}
	for {
		var n, m int64
		err := s.write(ctx, Execution, "prune executions", func(t *tx) (err error) {
			if n, err = t.changed(ctx, s.q.StepPrune, micros(before), int64(pruneChunk)); err != nil {
				return err
			}
			for _, query := range []string{s.q.SignalPrune, s.q.ScriptCallPrune, s.q.BlobUsePrune} {
				if _, err := t.changed(ctx, query, micros(before), int64(pruneChunk)); err != nil {
					return err
				}
			}
			m, err = t.changed(ctx, s.q.ExecutionPrune, micros(before), int64(pruneChunk))
			return err
		})
		if err != nil || m == 0 {
			return steps, executions, err
		}
		steps, executions = steps+n, executions+m
	}
}

// pruneFindings removes findings with history, documents and counters.
func (s *Store) pruneFindings(ctx context.Context, state string, before time.Time) (int64, error) {
	if before.IsZero() {
		return 0, nil
	}
	var total int64
	for {
		var n int
		err := s.write(ctx, Findings, "prune findings", func(t *tx) error {
			n = 0
			var b batch
			var events, rows, keys [][]any
			_, err := collect(ctx, t, s.q.FindingExpired, []any{state, micros(before), int64(pruneChunk)}, func(r scanner) (struct{}, error) {
				var f FindingRecord
				var k kind
				var evidence string
				err := r.Scan(&f.rid, &k.account, &f.ID.ProductArn, &f.ID.Id, &k.region, &k.control, &k.severity, &k.workflow, &k.recordState, &evidence)
				b.count(k, -1)
				b.countControls(k.account, evidence, -1)
				b.move(k, kind{})
				events = append(events, []any{f.rid})
				rows = append(rows, []any{k.account, f.rid})
				keys = append(keys, []any{findingKey(f.ID)})
				return struct{}{}, err
			})
			if err != nil {
				return err
			}
			n = len(rows)
			return t.removeFindings(ctx, b, events, rows, keys)
		})
		if err != nil || n == 0 {
			return total, err
		}
		total += int64(n)
	}
}

func (t *tx) removeFindings(ctx context.Context, b batch, events, rows, keys [][]any) error {
	q := t.s.q
	for _, step := range []struct {
		query string
		rows  [][]any
	}{{q.EventDelete, events}, {q.TextDelete, events}, {q.ResourceDelete, events}, {q.DocDelete, rows}, {q.FindingDelete, rows}, {q.IdentityDelete, keys}} {
		if _, err := t.bulk(ctx, step.query, step.rows); err != nil {
			return err
		}
	}
	return t.addBatchCounts(ctx, b)
}
