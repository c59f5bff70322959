package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
)

// Settings are what a restore and a move need beside their two ends.
type Settings struct {
	Sealer   Sealer
	Clock    service.Clock
	Actor    string // whom the audit log names
	Progress Progress
}

// Settled counts what Settle ended or set aside.
type Settled struct {
	Remediations int `json:"remediations"`
	Executions   int `json:"executions"`
	Approvals    int `json:"approvals"`
	Messages     int `json:"messages"`
	Inbox        int `json:"inbox"`                // findings that were accepted and not indexed
	Keys         int `json:"keys"`                 // in force again
	Deliveries   int `json:"deliveries,omitempty"` // of the event bus
	Replays      int `json:"replays,omitempty"`
}

// Restore puts what the archive holds in the place of what is in the target. The caller
// has verified the archive, and holds the target's lock.
func Restore(ctx context.Context, a *Archive, t Target, s Settings) (Settled, error) {
	const op = "restore the backup"
	if err := a.fits(t.dialect()); err != nil {
		return Settled{}, err
	}
	c, err := t.begin(ctx, a.Manifest.Schema)
	if err != nil {
		return Settled{}, fault.E(fault.Unavailable, op, err)
	}
	end := ending{why: "the database was restored from a backup of " + a.Manifest.MadeAt.UTC().Format(time.RFC3339), at: s.Clock.Now()}
	var settled Settled
	if err = c.fill(ctx, a, s.Progress); err == nil {
		err = c.setAside(ctx, &end, &settled)
	}
	if err = errors.Join(err, c.close()); err == nil {
		err = c.settle(ctx, a.Manifest, s, end, &settled)
	}
	if err != nil {
		return settled, errors.Join(fault.E(fault.CodeOf(err), op, err), t.clear(ctx))
	}
	if err := t.replace(ctx, s.Clock.Now(), nil); err != nil {
		return settled, inPlace(op, err, "run the restore again")
	}
	return settled, nil
}

// inPlace words why a copy did not take its place. Of a server that runs the error says
// what to do.
func inPlace(op string, err error, hint string) error {
	if fault.Is(err, fault.Conflict) {
		return fault.E(fault.Conflict, op, err).WithHint("%s", fault.HintOf(err))
	}
	return fault.E(fault.Unavailable, op, err).WithHint("%s", hint)
}

// fits says by an error that this program does not know the archive's schemas.
func (a *Archive) fits(dialect string) error {
	for _, f := range files() {
		have := a.Manifest.Schema[f]
		latest, err := migrations.Latest(dialect, string(f))
		if err != nil {
			return fault.E(fault.Internal, "check the backup's schema", err)
		}
		if have < 1 || have > latest {
			return fault.Errorf(fault.Conflict, "check the backup's schema", "the backup has schema %d of %s, this program knows 1 to %d", have, f, latest).
				WithHint("run the version of parry that wrote it: %s", a.Manifest.Program)
		}
	}
	return nil
}

func (c *copying) fill(ctx context.Context, a *Archive, report Progress) error {
	p := &progress{report: report, all: a.Manifest.Rows()}
	for _, m := range a.Manifest.Tables {
		t, err := c.same(m.Table)
		if err != nil {
			return err
		}
		if err := c.fillTable(ctx, a, m, t, p); err != nil {
			return fmt.Errorf("write table %s: %w", m.place(), err)
		}
	}
	return c.finish(ctx, a.Manifest.Counters)
}

func (c *copying) fillTable(ctx context.Context, a *Archive, m Member, t Table, p *progress) error {
	var next part
	write := func() error {
		err := c.load(ctx, t, next.rows, nil)
		p.rows(t.place(), int64(len(next.rows)))
		next = part{rows: next.rows[:0]}
		return err
	}
	err := a.each(m, func(row []any) error {
		if next.add(row); !next.full() {
			return nil
		}
		return write()
	})
	if err != nil || len(next.rows) == 0 {
		return err
	}
	return write()
}

// goesOn are the topics whose messages are delivered after a restore: what they do is
// to the findings alone, and done twice it is done once.
func goesOn() string { return "'rank', 'inbox', 'annotate'" }

// ending is why and when what was under way was ended.
type ending struct {
	why        string
	at         time.Time
	executions []string // that had not ended
}

// setAside deals with rows that no method of the store reaches, by columns that every
// schema has.
func (c *copying) setAside(ctx context.Context, e *ending, out *Settled) error {
	dead := "UPDATE outbox SET state = 2, reason = $1, done_at = $2 WHERE state = 0 AND topic NOT IN (" + goesOn() + ")"
	release := "UPDATE outbox SET due_at = $1, claimed_by = '', claimed_until = 0 WHERE state = 0 AND claimed_by <> ''"
	for _, one := range []struct {
		file  store.File
		query string
		args  []any
		n     *int
	}{
		{store.Findings, dead, []any{e.why, e.at.UnixMicro()}, &out.Messages},
		{store.Execution, dead, []any{e.why, e.at.UnixMicro()}, &out.Messages},
		{store.Findings, release, []any{e.at.UnixMicro()}, nil},
		{store.Execution, release, []any{e.at.UnixMicro()}, nil},
		{store.Findings, "UPDATE inbox SET trusted = 0", nil, &out.Inbox},
		{store.Execution, "DELETE FROM timer", nil, nil},
	} {
		result, err := c.db[one.file].ExecContext(ctx, one.query, one.args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if one.n != nil {
			*one.n += int(n)
		}
	}
	return each(ctx, c.db[store.Execution], "SELECT id FROM execution WHERE ended_at = 0", 1, nil, func(row []any) error {
		id, _ := row[0].(string)
		e.executions = append(e.executions, id)
		return nil
	})
}

// settle ends what was under way when the backup was made. What became of it since is
// not known here, so none of it may go on by itself:
//   - the stop switch is turned on, until a person has looked;
//   - remediations, executions and approvals that had not ended are ended, with the
//     command that asks for them again;
//   - messages that would tell or start something were set aside as given up, deliveries of
//     the event bus are, and replays fail;
//   - findings that waited in the inbox start no automatic remediation;
//   - signatures of requests from before the restore are refused (see store.StateRestored).
func (c *copying) settle(ctx context.Context, m Manifest, s Settings, e ending, out *Settled) (err error) {
	st, err := c.store(ctx, s.Sealer, s.Clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if out.Approvals, err = endApprovals(ctx, st); err != nil {
		return err
	}
	if out.Remediations, err = endRemediations(ctx, st, e); err != nil {
		return err
	}
	for _, id := range e.executions {
		if err := st.EndExecution(ctx, store.ExecutionEnd{ID: id, Status: "Failed", Failure: "The execution was stopped: " + e.why + ".", At: e.at}, store.Effects{}); err != nil {
			return err
		}
	}
	out.Executions = len(e.executions)
	if err := st.HaltGroups(ctx); err != nil {
		return err
	}
	halted, err := st.HaltBus(ctx, e.why)
	if err != nil {
		return err
	}
	out.Deliveries = int(halted)
	if out.Replays, err = endReplays(ctx, st, e); err != nil {
		return err
	}
	if err := st.PutSourceState(ctx, store.StateRestored, store.RestoredAt{At: e.at.UTC(), MadeAt: m.MadeAt}); err != nil {
		return err
	}
	all, err := st.ListKeys(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		if k.RevokedAt.IsZero() {
			out.Keys++
		}
	}
	head, _, err := st.LastAudit(ctx)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(map[string]any{
		"backup_made_at": m.MadeAt, "backup_of": m.Database, "program": m.Program, "audit_entries": head.Index, "audit_head": head.Hash, "settled": out,
	})
	if err != nil {
		return err
	}
	return st.SetStopSwitch(ctx, true, e.why+"; look at what changed since, then run: parry stop off --reason ...", store.Effects{Audit: []store.AuditRecord{
		{At: e.at, Actor: s.Actor, Action: store.ActionRestored, Object: "database", Detail: detail},
	}})
}

// endReplays fails the replays that had not ended.
func endReplays(ctx context.Context, st *store.Store, e ending) (n int, err error) {
	var open []store.BusObject
	err = st.AllBusObjects(ctx, store.BusKindReplay, func(o store.BusObject) error {
		doc := map[string]any{}
		if err := json.Unmarshal(o.Doc, &doc); err != nil {
			return err
		}
		if ended, _ := doc["ended_at"].(string); ended != "" {
			return nil
		}
		doc["state"], doc["reason"], doc["ended_at"] = "FAILED", e.why, e.at.UTC()
		if o.Doc, err = json.Marshal(doc); err != nil {
			return err
		}
		open = append(open, o)
		return nil
	})
	if err != nil {
		return 0, err
	}
	for _, o := range open {
		if err := st.UpdateBusObject(ctx, o, store.Effects{}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// pages is how much is ended at once.
const pages = 200

func endApprovals(ctx context.Context, st *store.Store) (n int, err error) {
	for {
		some, _, err := st.ListApprovals(ctx, remediation.ApprovalPending, store.AllAccounts(), pages, "")
		if err != nil || len(some) == 0 {
			return n, err
		}
		for _, a := range some {
			a.State = remediation.ApprovalSuperseded
			if err := st.UpdateApproval(ctx, a, nil, store.Effects{}); err != nil {
				return n, err
			}
			n++
		}
	}
}

// endRemediations moves every remediation that is under way to where a person finds
// it with the next command.
func endRemediations(ctx context.Context, st *store.Store, e ending) (n int, err error) {
	for _, state := range remediation.States() {
		if state.Final() {
			continue
		}
		for {
			some, _, err := st.ListRemediations(ctx, store.RemediationFilter{Accounts: store.AllAccounts(), State: state}, pages, "")
			if err != nil {
				return n, err
			}
			if len(some) == 0 {
				break
			}
			for i, r := range some {
				to, hint := ended(r)
				some[i], _ = r.Moved(to, e.why+" while it was "+string(state), hint, e.at)
			}
			if err := st.UpdateRemediations(ctx, some, store.Effects{}); err != nil {
				return n, err
			}
			n += len(some)
		}
	}
	return n, nil
}

// ended says where a remediation goes whose end is not known.
func ended(r remediation.Remediation) (to remediation.State, hint string) {
	again := "look at the resource, then run: " + r.Again()
	switch r.State {
	case remediation.Running:
		if r.Kind != remediation.KindUndo {
			again += "; to take back what was changed before the backup: parry remediation undo " + string(r.ID)
		}
		return remediation.Failed, again
	case remediation.Verifying, remediation.Undoing:
		return remediation.Unverified, again
	}
	return remediation.Superseded, again
}
