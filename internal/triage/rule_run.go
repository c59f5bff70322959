package triage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

const (
	// runBatch is how many findings a run looks at in one commit.
	runBatch = 200
	// maxRuns is how many runs may go on at a time.
	maxRuns = 20
	// runLease is how long a node may be silent before another takes its work over; a
	// late commit is then refused.
	runLease = 15 * time.Second
)

// RuleRuns stores runs of rules.
type RuleRuns interface {
	CreateRuleRun(ctx context.Context, r store.RuleRun, most int, eff store.Effects) error
	CommitRuleRun(ctx context.Context, r store.RuleRun, w []store.FindingWrite, eff store.Effects) error
	RuleRunReader
}

// RuleRunReader reads runs of rules.
type RuleRunReader interface {
	RuleRun(ctx context.Context, id string) (store.RuleRun, error)
	OpenRuleRuns(ctx context.Context, limit int) ([]store.RuleRun, error)
	ListRuleRuns(ctx context.Context, rule string, limit int, cursor string) ([]store.RuleRun, string, error)
}

// RunState is how far a run is.
type RunState string

// The states; all but the first are ends.
const (
	RunRunning   RunState = "running"
	RunDone      RunState = "done"
	RunCancelled RunState = "cancelled"
	RunFailed    RunState = "failed"
)

// RuleRun is a run of a rule over the stored findings. It applies the rule as it
// was when the run was asked for, enabled or not.
type RuleRun struct {
	ID          string    `json:"id"`
	Rule        string    `json:"rule"` // ARN, or the name of a configured rule
	Name        string    `json:"name"`
	State       RunState  `json:"state"`
	RequestedBy string    `json:"requested_by"`
	Accounts    []string  `json:"accounts"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
	Scanned     int64     `json:"scanned"`
	Matched     int64     `json:"matched"`
	Changed     int64     `json:"changed"`
	// Skipped findings would have become too large, or cannot be read.
	Skipped int64  `json:"skipped"`
	Error   string `json:"error,omitempty"`
}

// runDoc is what of a run its columns do not hold.
type runDoc struct {
	RuleRun
	Version  int             `json:"version"`
	Document json.RawMessage `json:"document"`
	Cursor   string          `json:"cursor,omitempty"`

	row store.RuleRun
}

func openRun(row store.RuleRun) (runDoc, error) {
	d := runDoc{row: row}
	if err := json.Unmarshal(row.Doc, &d); err != nil {
		return d, fault.E(fault.Internal, "read rule run "+row.ID, err)
	}
	d.ID, d.Rule, d.CreatedAt, d.EndedAt = row.ID, row.Rule, row.CreatedAt, row.EndedAt
	return d, nil
}

func (r runDoc) packed() (store.RuleRun, error) {
	row := r.row
	row.EndedAt = r.EndedAt
	var err error
	if row.Doc, err = json.Marshal(r); err != nil {
		return row, fault.E(fault.Internal, "write rule run", err)
	}
	return row, nil
}

// StartRun begins a run of the rule that text names over the findings of accounts.
// It is carried out in the background, in commits of at most 200 findings; each
// changed finding gets a history entry of the rule and an event.
func (d *RuleDesk) StartRun(ctx context.Context, text string, accounts []string, by string) (RuleRun, error) {
	r, err := d.Rule(ctx, text)
	if err != nil {
		return RuleRun{}, err
	}
	if r.Problem != "" {
		return RuleRun{}, fault.Errorf(fault.Conflict, "run rule", "the rule cannot be read: %s", r.Problem)
	}
	doc, err := json.Marshal(r.Rule)
	if err != nil {
		return RuleRun{}, fault.E(fault.Internal, "run rule", err)
	}
	now := d.now()
	run := runDoc{Version: r.Version, Document: doc, RuleRun: RuleRun{
		ID: d.cfg.IDs.NewID("run"), Rule: r.ID(), Name: r.Name, State: RunRunning, RequestedBy: by, Accounts: accounts, CreatedAt: now, UpdatedAt: now,
	}}
	run.row = store.RuleRun{ID: run.ID, Rule: run.Rule, CreatedAt: now, Rev: 1}
	row, err := run.packed()
	if err != nil {
		return RuleRun{}, err
	}
	if err := d.cfg.Runs.CreateRuleRun(ctx, row, maxRuns, auditRun("rule.run_requested", by, now, run)); err != nil {
		if errors.Is(err, store.ErrConflict) {
			err = fault.Errorf(fault.Conflict, "run rule", "the rule is being run already").WithHint("watch it: parry rule runs %s", r.Key)
		}
		return RuleRun{}, err
	}
	d.wakeRunner()
	return run.RuleRun, nil
}

func auditRun(action, by string, at time.Time, run runDoc) store.Effects {
	// Strings, times and numbers always marshal.
	detail, _ := json.Marshal(map[string]any{
		"run": run.ID, "name": run.Name, "accounts": run.Accounts, "state": run.State, "scanned": run.Scanned, "matched": run.Matched, "changed": run.Changed, "error": run.Error,
	})
	return store.Effects{Audit: []store.AuditRecord{{At: at, Actor: by, Action: action, Object: run.Rule, Detail: detail}}}
}

// CancelRun ends a run after the commit that is under way. What it changed stays.
func (d *RuleDesk) CancelRun(ctx context.Context, id, by string) (RuleRun, error) {
	var out RuleRun
	err := d.cfg.Triage.again(ctx, func() error {
		run, err := d.run(ctx, id)
		if err != nil {
			return err
		}
		if run.State != RunRunning {
			return fault.Errorf(fault.Invalid, "cancel rule run", "the run is %s already", run.State)
		}
		out, err = d.end(ctx, run, RunCancelled, by, nil)
		return err
	})
	return out, err
}

func (d *RuleDesk) run(ctx context.Context, id string) (runDoc, error) {
	row, err := d.cfg.Runs.RuleRun(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return runDoc{}, fault.Errorf(fault.NotFound, "find rule run", "there is no such run of a rule").WithHint("list them: parry rule runs")
	}
	if err != nil {
		return runDoc{}, err
	}
	return openRun(row)
}

// Run gives one run.
func (d *RuleDesk) Run(ctx context.Context, id string) (RuleRun, error) {
	run, err := d.run(ctx, id)
	return run.RuleRun, err
}

// Runs gives a page of runs, the latest first; of the rule with this ARN or name,
// or of all for "".
func (d *RuleDesk) Runs(ctx context.Context, rule string, limit int, cursor string) ([]RuleRun, string, error) {
	rows, next, err := d.cfg.Runs.ListRuleRuns(ctx, rule, limit, cursor)
	if err != nil {
		return nil, "", err
	}
	out := make([]RuleRun, 0, len(rows))
	for _, row := range rows {
		run, err := openRun(row)
		if err != nil {
			return nil, "", err
		}
		out = append(out, run.RuleRun)
	}
	return out, next, nil
}

// end writes the end of a run.
func (d *RuleDesk) end(ctx context.Context, run runDoc, state RunState, by string, why error) (RuleRun, error) {
	now := d.now()
	run.State, run.UpdatedAt, run.EndedAt = state, now, now
	if why != nil {
		run.Error = why.Error()
	}
	row, err := run.packed()
	if err != nil {
		return RuleRun{}, err
	}
	return run.RuleRun, d.cfg.Runs.CommitRuleRun(ctx, row, nil, auditRun("rule.run_ended", by, now, run))
}

// step carries a run one commit further, and reports whether it has ended. Pages
// go from the latest update backwards, so a run ends although findings come in:
// those pass the rule on their way in.
func (d *RuleDesk) step(ctx context.Context, run runDoc) (ended bool, err error) {
	r, err := rule.ParseVersion(run.Version, run.Document)
	if err != nil {
		_, err = d.end(ctx, run, RunFailed, run.RequestedBy, err)
		return true, err
	}
	page, err := d.cfg.Pages.QueryFindings(ctx, store.FindingQuery{Accounts: run.Accounts, Where: narrowed(r), Limit: runBatch, Cursor: run.Cursor})
	if err != nil {
		return false, err
	}
	b, err := d.cfg.Triage.begin(ctx)
	if err != nil {
		return false, err
	}
	hit := d.applied(b, &run, d.tried(r, page.Records))
	if err := d.cfg.Triage.weigh(ctx, b); err != nil {
		return false, err
	}
	writes, eff, err := b.effects()
	if err != nil {
		_, err = d.end(ctx, run, RunFailed, run.RequestedBy, err)
		return true, err
	}
	if hit.Matched > 0 {
		eff.RuleHits = []store.RuleHit{hit}
	}
	run.Cursor, run.UpdatedAt = page.Next, d.now()
	if page.Next == "" {
		run.State, run.EndedAt = RunDone, run.UpdatedAt
		eff.Audit = append(eff.Audit, auditRun("rule.run_ended", run.RequestedBy, run.UpdatedAt, run).Audit...)
	}
	row, err := run.packed()
	if err != nil {
		return false, err
	}
	return run.State != RunRunning, d.cfg.Runs.CommitRuleRun(ctx, row, writes, eff)
}

// applied puts the findings that the rule changes into b, and counts.
func (d *RuleDesk) applied(b *batch, run *runDoc, attempts []attempt) store.RuleHit {
	hit := store.RuleHit{Rule: run.Rule, LastAt: b.now}
	for _, a := range attempts {
		run.Scanned++
		if a.err != nil {
			d.log.Error("rule run skips a finding", "run", run.ID, "finding", a.record.ID.String(), "error", a.err)
			run.Skipped++
			continue
		}
		if !a.matched {
			continue
		}
		run.Matched++
		hit.Matched++
		if len(a.updates) == 0 {
			continue
		}
		s := &subject{record: a.record, doc: a.before, exists: true}
		if err := s.become(a.after, ByRule, run.Rule, b); err != nil {
			run.Skipped++
			continue
		}
		run.Changed++
		hit.Changed++
		b.open[a.record.ID] = s
	}
	return hit
}

// Work carries out the runs that there are, one commit of each in turn. Another
// node that does so already is left alone.
func (d *RuleDesk) Work(ctx context.Context) error {
	conflicts := 0
	for ctx.Err() == nil {
		open, err := d.cfg.Runs.OpenRuleRuns(ctx, maxRuns)
		if err != nil || len(open) == 0 {
			return err
		}
		if held, err := d.lease.take(ctx); err != nil || !held {
			return err
		}
		for _, row := range open {
			err := d.stepRow(ctx, row)
			switch {
			case err == nil:
				conflicts = 0
			case errors.Is(err, store.ErrConflict) && conflicts < maxConflicts:
				// A finding was changed meanwhile, or the run was cancelled: look again.
				conflicts++
				if err := pause(ctx, conflicts); err != nil {
					return err
				}
			default:
				return fmt.Errorf("run rule %s: %w", row.Rule, err)
			}
		}
	}
	return nil
}

func (d *RuleDesk) stepRow(ctx context.Context, row store.RuleRun) error {
	run, err := openRun(row)
	if err != nil {
		return err
	}
	ended, err := d.step(ctx, run)
	if err == nil && ended {
		d.log.InfoContext(ctx, "rule run ended", "run", run.ID, "rule", run.Rule)
	}
	return err
}
