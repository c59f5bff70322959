package store

import (
	"context"
	"slices"
	"strconv"
	"time"
)

// Step is one step of an execution, in its latest attempt.
type Step struct {
	Execution string
	Seq       int
	// ID names the step execution: stable, and unique among all.
	ID      string
	Name    string
	Action  string
	Attempt int
	Status  string
	// Inputs, Outputs, Failure and Detail are sealed.
	Inputs  []byte
	Outputs []byte
	Failure string
	// Detail is what else the interpreter tells of the step, as it writes it.
	Detail    []byte
	StartedAt time.Time
	EndedAt   time.Time
}

const stepTable = "step"

// stepData is what of a step is sealed.
type stepData struct {
	Inputs  []byte `json:"inputs,omitempty"`
	Outputs []byte `json:"outputs,omitempty"`
	Failure string `json:"failure,omitempty"`
	Detail  []byte `json:"detail,omitempty"`
}

// stepRows seals steps; of several writes of one step the last counts.
func (s *Store) stepRows(op string, steps []Step) ([][]any, error) {
	rows := make([][]any, 0, len(steps))
	seen := map[string]int{}
	for _, p := range steps {
		if err := checkID(op, "execution id", p.Execution); err != nil {
			return nil, err
		}
		sealed, err := s.sealJSON(stepData{p.Inputs, p.Outputs, p.Failure, p.Detail}, stepAAD(p))
		if err != nil {
			return nil, s.fail(op, err)
		}
		row := []any{
			p.Execution, int64(p.Seq), text(p.Name, narrowColumn), text(p.Action, narrowColumn), int64(p.Attempt), text(p.Status, narrowColumn),
			sealed, micros(p.StartedAt), micros(p.EndedAt), text(p.ID, maxID),
		}
		key := p.Execution + "\x00" + strconv.Itoa(p.Seq)
		if at, ok := seen[key]; ok {
			rows[at] = row
			continue
		}
		seen[key], rows = len(rows), append(rows, row)
	}
	return rows, nil
}

// PutStep stores a step over an earlier attempt of it.
func (s *Store) PutStep(ctx context.Context, p Step) error {
	return s.PutProgress(ctx, []Step{p}, nil, Effects{})
}

// StepFilter selects steps; a zero field does not restrict.
type StepFilter struct {
	IDs, Names, Actions, Statuses []string
	StartedAfter, StartedBefore   time.Time // included
	Reverse                       bool
}

// maxSteps bounds Steps: an execution ends after 10,000.
const maxSteps = 10_001

// Steps gives all steps of an execution in their order.
func (s *Store) Steps(ctx context.Context, execution string) ([]Step, error) {
	var b builder
	b.and("f.execution = %s", b.arg(text(execution, maxID)))
	all, err := collect(ctx, s.execution.Read, s.q.StepPage+b.sql()+" ORDER BY f.seq LIMIT "+b.arg(int64(maxSteps)), b.args, s.scanStep)
	return all, s.fail("list steps of "+execution, err)
}

// StepPage gives a page of the steps of an execution.
func (s *Store) StepPage(ctx context.Context, execution string, f StepFilter, limit int, cursor string) ([]Step, string, error) {
	op := "list steps of " + execution
	var b builder
	b.and("f.execution = %s", b.arg(text(execution, maxID)))
	for _, one := range []struct {
		column string
		values []string
	}{{"f.step_id", f.IDs}, {"f.name", f.Names}, {"f.action", f.Actions}, {"f.status", f.Statuses}} {
		if err := b.any(op, one.column, OpEqual, one.values); err != nil {
			return nil, "", err
		}
	}
	b.within("f.started_at", f.StartedAfter, f.StartedBefore)
	by := order{{"f.seq", numberColumn, f.Reverse}}
	all, next, err := keyPage(ctx, s.execution.Read, s.q.StepPage, &b, by, limit, cursor, s.scanStep, func(p Step) []any {
		return []any{int64(p.Seq)}
	})
	return all, next, s.fail(op, err)
}

// LatestSteps gives the last n steps of an execution, in their order.
func (s *Store) LatestSteps(ctx context.Context, execution string, n int) ([]Step, error) {
	all, _, err := s.StepPage(ctx, execution, StepFilter{Reverse: true}, n, "")
	slices.Reverse(all)
	return all, err
}

func (s *Store) scanStep(r scanner) (Step, error) {
	var p Step
	var sealed []byte
	var started, ended int64
	if err := r.Scan(&p.Execution, &p.Seq, &p.Name, &p.Action, &p.Attempt, &p.Status, &sealed, &started, &ended, &p.ID); err != nil {
		return p, err
	}
	p.StartedAt, p.EndedAt = fromMicros(started), fromMicros(ended)
	var d stepData
	if err := s.openJSON(sealed, stepAAD(p), &d); err != nil {
		return p, err
	}
	p.Inputs, p.Outputs, p.Failure, p.Detail = d.Inputs, d.Outputs, d.Failure, d.Detail
	return p, nil
}

func stepAAD(p Step) []byte {
	return aad(stepTable, p.Execution, strconv.Itoa(p.Seq))
}
