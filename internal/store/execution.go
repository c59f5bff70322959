package store

import (
	"context"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/remediation"
)

// ExecutionRecord is a run of a runbook, as far as its latest segment.
type ExecutionRecord struct {
	ID          string
	Remediation remediation.ID
	// Segment counts the short workflows that the run is a chain of.
	Segment int
	Status  string
	// State is the interpreter's cursor, variables and outputs; sealed.
	State []byte
	// LeaseOwner and LeaseEpoch are the node that writes, and its lease.
	LeaseOwner string
	LeaseEpoch int64
	StartedAt  time.Time
	EndedAt    time.Time // zero while it runs
}

// Step is one step of an execution, in its latest attempt.
type Step struct {
	Execution string
	Seq       int
	Name      string
	Action    string
	Attempt   int
	Status    string
	// Inputs, Outputs and Failure are sealed.
	Inputs    []byte
	Outputs   []byte
	Failure   string
	StartedAt time.Time
	EndedAt   time.Time
}

const (
	executionTable = "execution"
	stepTable      = "step"
)

// PutExecution stores e over an earlier state of it. A write of an earlier
// segment than the stored one, or of a node that does not hold its lease now,
// answers ErrConflict: its writer was paused and another node has gone on.
// Epochs are not compared with the stored one: they say which lease is younger,
// not who took over from whom.
func (s *Store) PutExecution(ctx context.Context, e ExecutionRecord) error {
	op := "store execution " + e.ID
	if err := checkID(op, "execution id", e.ID); err != nil {
		return err
	}
	sealed, err := s.sealer.Seal(e.State, aad(executionTable, e.ID))
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.ExecutionPut, e.ID, text(string(e.Remediation), maxID), int64(e.Segment), text(e.Status, narrowColumn),
			sealed, text(e.LeaseOwner, maxID), e.LeaseEpoch, micros(e.StartedAt), micros(e.EndedAt), micros(s.now()))
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		return err
	})
}

// Execution gives the execution with id.
func (s *Store) Execution(ctx context.Context, id string) (ExecutionRecord, error) {
	e, err := one(ctx, s.execution.Read, s.q.ExecutionRead, []any{text(id, maxID)}, func(r scanner) (ExecutionRecord, error) {
		var e ExecutionRecord
		var sealed []byte
		var started, ended int64
		if err := r.Scan(&e.ID, &e.Remediation, &e.Segment, &e.Status, &sealed, &e.LeaseOwner, &e.LeaseEpoch, &started, &ended); err != nil {
			return e, err
		}
		e.StartedAt, e.EndedAt = fromMicros(started), fromMicros(ended)
		state, err := s.sealer.Open(sealed, aad(executionTable, e.ID))
		e.State = orNil(state)
		return e, err
	})
	return e, s.fail("read execution "+id, err)
}

// stepData is what of a step is sealed.
type stepData struct {
	Inputs  []byte `json:"inputs,omitempty"`
	Outputs []byte `json:"outputs,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// PutStep stores a step over an earlier attempt of it.
func (s *Store) PutStep(ctx context.Context, p Step) error {
	op := "store step " + p.Name + " of " + p.Execution
	if err := checkID(op, "execution id", p.Execution); err != nil {
		return err
	}
	sealed, err := s.sealJSON(stepData{p.Inputs, p.Outputs, p.Failure}, stepAAD(p))
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		_, err := t.changed(ctx, s.q.StepPut, p.Execution, int64(p.Seq), text(p.Name, narrowColumn), text(p.Action, narrowColumn),
			int64(p.Attempt), text(p.Status, narrowColumn), sealed, micros(p.StartedAt), micros(p.EndedAt))
		return err
	})
}

// Steps gives the steps of an execution in their order.
func (s *Store) Steps(ctx context.Context, execution string) ([]Step, error) {
	all, err := collect(ctx, s.execution.Read, s.q.StepList, []any{text(execution, maxID)}, func(r scanner) (Step, error) {
		var p Step
		var sealed []byte
		var started, ended int64
		if err := r.Scan(&p.Execution, &p.Seq, &p.Name, &p.Action, &p.Attempt, &p.Status, &sealed, &started, &ended); err != nil {
			return p, err
		}
		p.StartedAt, p.EndedAt = fromMicros(started), fromMicros(ended)
		var d stepData
		if err := s.openJSON(sealed, stepAAD(p), &d); err != nil {
			return p, err
		}
		p.Inputs, p.Outputs, p.Failure = d.Inputs, d.Outputs, d.Failure
		return p, nil
	})
	return all, s.fail("list steps of "+execution, err)
}

func stepAAD(p Step) []byte {
	return aad(stepTable, p.Execution, strconv.Itoa(p.Seq))
}
