package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/remediation"
)

// ExecutionRecord is a run of a document, as far as its latest segment.
type ExecutionRecord struct {
	ID          string
	Remediation remediation.ID
	// Segment counts the short workflows that the run is a chain of; 0 before the first.
	Segment int
	Status  string
	// State is the interpreter's cursor, variables and outputs; sealed.
	State []byte
	// LeaseOwner and LeaseEpoch are the node that writes, and its lease.
	LeaseOwner string
	LeaseEpoch int64
	StartedAt  time.Time
	EndedAt    time.Time // zero while it runs
	// Parked says that no segment is under way: Segment is the one to come.
	Parked bool
	// CurrentStep and CurrentAction are what it is at, empty once it ended.
	CurrentStep, CurrentAction string
	// Of is fixed when the row is made; later writes leave it.
	Of ExecutionOf
	// Result is set when the execution ended; sealed.
	Result ExecutionResult
}

// ExecutionOf says what an execution is of. Parameters and what follows are sealed.
type ExecutionOf struct {
	Parent   string `json:"-"` // execution id; "" = started by somebody
	Root     string `json:"-"` // the execution at the top; its own id there
	Document string `json:"-"`
	Version  string `json:"-"` // "" = the document has none
	Account  string `json:"-"`
	Region   string `json:"-"`
	Target   string `json:"-"` // the target's value in a run with rate control
	// CrossAccount says that it was asked for with target locations.
	CrossAccount bool `json:"-"`
	// StartedBy is the principal.
	StartedBy string `json:"-"`
	// Token is unique where it is not empty: a start that is repeated under it is one.
	Token string `json:"-"`

	// Prefix stands before the labels of the steps, Label is that of the parent's step.
	Prefix     string            `json:"prefix,omitempty"`
	Label      string            `json:"label,omitempty"`
	Depth      int               `json:"depth,omitempty"`
	Role       string            `json:"role,omitempty"` // ARN
	Mode       string            `json:"mode,omitempty"`
	Parameters map[string]any    `json:"parameters,omitempty"` // as given
	Tags       map[string]string `json:"tags,omitempty"`
	Run        *remediation.Run  `json:"run,omitempty"` // what was asked for, at the top
	Fan        json.RawMessage   `json:"fan,omitempty"` // the targets of a child that has some, as the interpreter writes them
}

// ExecutionResult is how an execution ended.
type ExecutionResult struct {
	Outputs map[string][]string `json:"outputs,omitempty"`
	// OutputOrder lists the keys of Outputs as the document declares them.
	OutputOrder []string `json:"output_order,omitempty"`
	Failure     string   `json:"failure,omitempty"`
	// Stopped is the fault code with which the gate stopped the execution; "" = it did not.
	Stopped string `json:"stopped,omitempty"`
	// Refused says that it was stopped for asking for what it may not do, and not
	// because AWS refused or nobody can tell what became of a change.
	Refused bool `json:"refused,omitempty"`
}

// ExecutionEnd ends an execution that has not ended yet.
type ExecutionEnd struct {
	ID      string
	Status  string
	Failure string
	At      time.Time
}

const executionTable = "execution"

func executionRow(s *Store, e ExecutionRecord) ([]any, error) {
	state, err := s.sealer.Seal(e.State, aad(executionTable, e.ID))
	if err != nil {
		return nil, err
	}
	about, err := s.sealJSON(e.Of, aad(executionTable, e.ID, "about"))
	if err != nil {
		return nil, err
	}
	result, err := s.sealResult(e.ID, e.Result)
	if err != nil {
		return nil, err
	}
	of := e.Of
	return []any{
		e.ID, text(string(e.Remediation), maxID), int64(e.Segment), text(e.Status, narrowColumn), state, text(e.LeaseOwner, maxID), e.LeaseEpoch,
		micros(e.StartedAt), micros(e.EndedAt), text(of.Parent, maxID), text(of.Root, maxID), text(of.Document, maxID), text(of.Version, narrowColumn),
		text(of.Account, maxID), text(of.Region, narrowColumn), text(of.Target, maxID), text(of.StartedBy, maxID), text(of.Token, maxID),
		text(e.CurrentStep, narrowColumn), text(e.CurrentAction, narrowColumn), flag(e.Parked), about, result,
		flag(of.CrossAccount),
	}, nil
}

func (s *Store) sealResult(id string, r ExecutionResult) ([]byte, error) {
	if len(r.Outputs) == 0 && r.Failure == "" {
		return []byte{}, nil
	}
	return s.sealJSON(r, aad(executionTable, id, "result"))
}

// SegmentWrite is what a segment writes beside its execution's row, in the same
// transaction.
type SegmentWrite struct {
	Steps []Step
	// DropScripts forgets the answered calls of the execution's scripts: their steps
	// have their checkpoints.
	DropScripts bool
	Effects     Effects
}

// PutExecution stores e over an earlier state of it. A write of an earlier
// segment than the stored one, or of a node that does not hold its lease now,
// answers ErrConflict: its writer was paused and another node has gone on.
// Epochs are not compared with the stored one: they say which lease is younger,
// not who took over from whom. What is in e.Of is taken from the first write.
func (s *Store) PutExecution(ctx context.Context, e ExecutionRecord) error {
	return s.PutSegment(ctx, e, SegmentWrite{})
}

// PutSegment is PutExecution with what belongs to it.
func (s *Store) PutSegment(ctx context.Context, e ExecutionRecord, w SegmentWrite) error {
	op := "store execution " + e.ID
	if err := checkID(op, "execution id", e.ID); err != nil {
		return err
	}
	row, err := executionRow(s, e)
	if err != nil {
		return s.fail(op, err)
	}
	steps, err := s.stepRows(op, w.Steps)
	if err != nil {
		return err
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.ExecutionPut, append(row, micros(s.now()))...)
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		if err != nil {
			return err
		}
		if _, err := t.bulk(ctx, s.q.StepPut, steps); err != nil {
			return err
		}
		if w.DropScripts {
			if _, err := t.changed(ctx, s.q.ScriptCallDrop, e.ID); err != nil {
				return err
			}
		}
		return t.send(ctx, w.Effects)
	})
}

// CreateExecutions stores executions that have not begun, and sends eff. One whose id is
// taken is left alone. A single one whose id or token is taken answers ErrExists.
func (s *Store) CreateExecutions(ctx context.Context, all []ExecutionRecord, eff Effects) error {
	const op = "create executions"
	rows := make([][]any, 0, len(all))
	for _, e := range all {
		if err := checkID(op, "execution id", e.ID); err != nil {
			return err
		}
		row, err := executionRow(s, e)
		if err != nil {
			return s.fail(op, err)
		}
		rows = append(rows, row)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.bulk(ctx, s.q.ExecutionInsert, rows)
		if err != nil {
			return err
		}
		if len(all) == 1 && n == 0 {
			return exists("create execution %s", all[0].ID)
		}
		return t.send(ctx, eff)
	})
}

// Execution gives the execution with id.
func (s *Store) Execution(ctx context.Context, id string) (ExecutionRecord, error) {
	e, err := one(ctx, s.execution.Read, s.q.ExecutionRead, []any{text(id, maxID)}, s.scanExecution)
	return e, s.fail("read execution "+id, err)
}

// ExecutionByToken gives the execution that was started under a token.
func (s *Store) ExecutionByToken(ctx context.Context, token string) (ExecutionRecord, error) {
	e, err := one(ctx, s.execution.Read, s.q.ExecutionToken, []any{text(token, maxID)}, s.scanExecution)
	return e, s.fail("read execution by its token", err)
}

// Executions gives those of ids that exist, in no order.
func (s *Store) Executions(ctx context.Context, ids []string) ([]ExecutionRecord, error) {
	const op = "read executions"
	arg, err := list(ids)
	if err != nil {
		return nil, s.fail(op, err)
	}
	all, err := collect(ctx, s.execution.Read, s.q.ExecutionsRead, []any{arg}, s.scanExecution)
	return all, s.fail(op, err)
}

func (s *Store) scanExecution(r scanner) (ExecutionRecord, error) {
	var e ExecutionRecord
	var state, about, result []byte
	var started, ended, parked, cross int64
	if err := r.Scan(&e.ID, &e.Remediation, &e.Segment, &e.Status, &state, &e.LeaseOwner, &e.LeaseEpoch, &started, &ended,
		&e.Of.Parent, &e.Of.Root, &e.Of.Document, &e.Of.Version, &e.Of.Account, &e.Of.Region, &e.Of.Target, &e.Of.StartedBy, &e.Of.Token,
		&e.CurrentStep, &e.CurrentAction, &parked, &about, &result, &cross); err != nil {
		return e, err
	}
	e.StartedAt, e.EndedAt, e.Parked = fromMicros(started), fromMicros(ended), parked != 0
	e.Of.CrossAccount = cross != 0
	plain, err := s.sealer.Open(state, aad(executionTable, e.ID))
	if err != nil {
		return e, err
	}
	e.State = orNil(plain)
	if len(about) > 0 {
		if err := s.openExact(about, aad(executionTable, e.ID, "about"), &e.Of); err != nil {
			return e, err
		}
		e.Of.Parameters, _ = remediation.Exact(e.Of.Parameters).(map[string]any)
	}
	if len(result) > 0 {
		err = s.openJSON(result, aad(executionTable, e.ID, "result"), &e.Result)
	}
	return e, err
}

// openExact is openJSON with numbers kept as they are written.
func (s *Store) openExact(sealed, aad []byte, v any) error {
	raw, err := s.sealer.Open(sealed, aad)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(v)
}

// ExecutionFilter selects executions; a zero field does not restrict.
type ExecutionFilter struct {
	// Accounts is the scope of the caller: see AllAccounts. It is required.
	Accounts []string
	Statuses []string
	// IDs, Parents, Actions and Targets hold when one of them is equal, Prefixes when
	// the document's name begins with one of them.
	IDs, Parents, Actions, Targets, Prefixes []string
	// Top leaves out the children of others.
	Top bool
	// CrossAccount, when set, asks for runs with target locations or without.
	CrossAccount  *bool
	StartedAfter  time.Time // included
	StartedBefore time.Time // included
	// Oldest gives the one that was started first before the others.
	Oldest bool
}

// maxFilter bounds a list of alternatives in an ExecutionFilter.
const maxFilter = 50

// ListExecutions gives a page of executions, the latest first unless f.Oldest.
func (s *Store) ListExecutions(ctx context.Context, f ExecutionFilter, limit int, cursor string) ([]ExecutionRecord, string, error) {
	const op = "list executions"
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope(op, f.Accounts); err != nil {
		return nil, "", err
	}
	for _, one := range []struct {
		column string
		op     Op
		values []string
	}{
		{"f.id", OpEqual, f.IDs},
		{"f.status", OpEqual, f.Statuses},
		{"f.parent", OpEqual, f.Parents},
		{"f.current_action", OpEqual, f.Actions},
		{"f.target", OpEqual, f.Targets},
		{"f.document", OpPrefix, f.Prefixes},
	} {
		if err := b.any(op, one.column, one.op, one.values); err != nil {
			return nil, "", err
		}
	}
	if f.Top {
		b.and("f.parent = ''")
	}
	if f.CrossAccount != nil {
		b.and("f.cross_account = %s", b.arg(flag(*f.CrossAccount)))
	}
	b.within("f.started_at", f.StartedAfter, f.StartedBefore)
	by := order{{"f.started_at", timeColumn, !f.Oldest}, {"f.id", textColumn, !f.Oldest}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.ExecutionPage, &b, by, limit, cursor, s.scanExecution, func(e ExecutionRecord) []any {
		return []any{micros(e.StartedAt), e.ID}
	})
	return all, next, s.fail(op, err)
}

// any adds the clause that column is one of values, if there are any.
func (b *builder) any(op, column string, how Op, values []string) error {
	if len(values) == 0 {
		return nil
	}
	if len(values) > maxFilter {
		return invalid(op, "a filter has %d values, the limit is %d", len(values), maxFilter)
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = text(v, maxID)
	}
	clause, err := b.compare(column, textColumn, how, args)
	if err == nil {
		b.where = append(b.where, clause)
	}
	return err
}

// within adds the clauses of a time between from and to; zero ones do not restrict.
func (b *builder) within(column string, from, to time.Time) {
	if !from.IsZero() {
		b.and("%s >= %s", column, b.arg(micros(from)))
	}
	if !to.IsZero() {
		b.and("%s <= %s", column, b.arg(micros(to)))
	}
}

// Progress says what step an execution is at. It is for people only: it is written
// without the lease, and a write that comes late does nothing.
type Progress struct {
	Execution, Step, Action, Status string
	Segment                         int
}

// PutProgress stores steps over earlier attempts of them, and what their
// executions are at, and sends eff.
func (s *Store) PutProgress(ctx context.Context, steps []Step, at []Progress, eff Effects) error {
	const op = "store steps"
	rows, err := s.stepRows(op, steps)
	if err != nil {
		return err
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		if _, err := t.bulk(ctx, s.q.StepPut, rows); err != nil {
			return err
		}
		if err := t.hintSteps(ctx, steps, at); err != nil {
			return err
		}
		for _, p := range at {
			if _, err := t.changed(ctx, s.q.ExecutionAt, text(p.Execution, maxID), text(p.Step, narrowColumn), text(p.Action, narrowColumn),
				text(p.Status, narrowColumn), int64(p.Segment)); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

// EndExecution ends an execution that has not ended; one that has is left alone.
func (s *Store) EndExecution(ctx context.Context, end ExecutionEnd, eff Effects) error {
	eff.Ends = append(eff.Ends, end)
	return s.write(ctx, Execution, "end execution "+end.ID, func(t *tx) error { return t.send(ctx, eff) })
}

func (t *tx) endExecutions(ctx context.Context, ends []ExecutionEnd) error {
	for _, e := range ends {
		result, err := t.s.sealResult(e.ID, ExecutionResult{Failure: e.Failure})
		if err != nil {
			return err
		}
		if _, err := t.changed(ctx, t.s.q.ExecutionEnd, text(e.ID, maxID), text(e.Status, narrowColumn), micros(e.At), result); err != nil {
			return err
		}
	}
	return nil
}

var errNoExecution = errors.New("the execution does not exist or has ended")
