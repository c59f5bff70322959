package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"github.com/parry-security/parry/internal/remediation"
)

const changeTable = "change"

// RecordIntent stores a change before it is sent, sealed. A change that is there
// stays as it is, before-image included, so a step that runs again does not take
// its own result for the state before; another call under the same id answers
// ErrConflict. A change that is new is counted in c.Budgets in the same
// transaction; where one of them holds no further change, nothing is stored and
// the error is exhausted, a *remediation.OverBudgetError.
func (s *Store) RecordIntent(ctx context.Context, c remediation.Change) error {
	op := "record change " + c.ID
	if err := checkID(op, "change id", c.ID); err != nil {
		return err
	}
	if err := checkID(op, "remediation id", string(c.Remediation)); err != nil {
		return err
	}
	if c.Outcome == "" {
		c.Outcome = remediation.Intended
	}
	sealed, err := s.sealJSON(c, aad(changeTable, c.ID))
	if err != nil {
		return s.fail(op, err)
	}
	err = s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.ChangeInsert, c.ID, string(c.Remediation), string(c.Outcome), sealed)
		if err != nil {
			return err
		}
		if n > 0 {
			if err := t.hintRemediation(ctx, c.Remediation); err != nil {
				return err
			}
			if err := t.putCall(ctx, c); err != nil {
				return err
			}
			return t.spend(ctx, op, c.Budgets) // last: its rows are shared by all
		}
		was, err := one(ctx, t, s.q.ChangeRead, []any{c.ID}, s.scanChange)
		if err != nil {
			return err
		}
		same, err := sameCall(was, c)
		if err == nil && !same {
			err = conflict("%s: another call is recorded under this id", op)
		}
		return err
	})
	if errors.Is(err, errOverBudget) {
		return s.overBudget(ctx, op, c.Budgets)
	}
	return err
}

// sameCall compares what would be sent, as JSON: what was read back has its
// numbers as floats.
func sameCall(a, b remediation.Change) (bool, error) {
	identity := func(c remediation.Change) ([]byte, error) {
		raw, err := json.Marshal([]any{c.Remediation, c.Call.Service, c.Call.Operation, c.Call.Account, c.Call.Region, c.Call.Input})
		if err != nil {
			return nil, err
		}
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		return json.Marshal(v)
	}
	x, err := identity(a)
	if err != nil {
		return false, err
	}
	y, err := identity(b)
	return bytes.Equal(x, y), err
}

// RecordOutcome stores what became of a change, in its row and in the record of
// calls. Only the outcome, the request id, the error, the time, the sending, the outputs and
// whether it never left are taken from c; one that never left is taken out of
// its budgets. A change that was applied or
// refused keeps its outcome: another one answers ErrConflict.
func (s *Store) RecordOutcome(ctx context.Context, c remediation.Change) error {
	op := "record outcome of change " + c.ID
	switch c.Outcome {
	case remediation.Applied, remediation.Refused, remediation.Uncertain:
	default:
		return invalid(op, "%q is not an outcome", c.Outcome)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		was, err := one(ctx, t, s.q.ChangeRead, []any{text(c.ID, maxID)}, s.scanChange)
		if err != nil {
			return s.fail(op, err)
		}
		if was.Outcome == c.Outcome && was.Outcome != remediation.Uncertain {
			return nil
		}
		if was.Outcome != remediation.Intended && was.Outcome != remediation.Uncertain {
			return conflict("%s: it is %s already", op, was.Outcome)
		}
		before := was.Outcome
		was.Outcome, was.RequestID, was.Error, was.OutcomeAt = c.Outcome, c.RequestID, c.Error, c.OutcomeAt
		was.NotSent = c.NotSent && c.Outcome == remediation.Refused && before == remediation.Intended
		sending := c.Sending
		sending.Digest = was.Sending.Digest
		was.Sending = sending
		was.Outputs, was.Answer = c.Outputs, c.Answer
		sealed, err := s.sealJSON(was, aad(changeTable, c.ID))
		if err != nil {
			return err
		}
		if err := t.hintRemediation(ctx, was.Remediation); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.ChangeUpdate, c.ID, string(c.Outcome), string(before), sealed)
		switch {
		case err == nil && n == 0:
			err = conflict("%s", op)
		case err == nil && was.NotSent:
			err = t.refund(ctx, was.Budgets)
		}
		if err != nil {
			return err
		}
		return t.endCall(ctx, was)
	})
}

func (s *Store) scanChange(r scanner) (remediation.Change, error) {
	var c remediation.Change
	var id string
	var sealed []byte
	if err := r.Scan(&id, &sealed); err != nil {
		return c, err
	}
	return c, s.openJSON(sealed, aad(changeTable, id), &c)
}

// Change gives the change with id.
func (s *Store) Change(ctx context.Context, id string) (remediation.Change, error) {
	c, err := one(ctx, s.execution.Read, s.q.ChangeRead, []any{text(id, maxID)}, s.scanChange)
	return c, s.fail("read change "+id, err)
}

// Changes gives the changes of a remediation in the order in which they were
// recorded.
func (s *Store) Changes(ctx context.Context, id remediation.ID) ([]remediation.Change, error) {
	all, err := collect(ctx, s.execution.Read, s.q.ChangeList, []any{text(string(id), maxID)}, s.scanChange)
	return all, s.fail("list changes of "+string(id), err)
}
