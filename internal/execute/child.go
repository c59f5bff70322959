package execute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// The statuses and signals of executions that have or are children, in AWS's words.
const (
	pending          = "Pending"
	cancelled        = "Cancelled"
	signalChildEnded = "ChildEnded"
	signalCancel     = "Cancel"
)

// Signal asks something of an execution and wakes it if it is parked. An execution
// that has ended answers code conflict.
func (s *Stage) Signal(ctx context.Context, g store.Signal) error {
	g.At = s.Clock.Now()
	detail, err := json.Marshal(map[string]any{"kind": g.Kind, "step": g.Step, "comment": g.Comment})
	if err != nil {
		return fault.E(fault.Internal, "signal execution", err)
	}
	return s.Store.Enqueue(ctx, store.Execution, store.Effects{
		Signals: []store.Signal{g},
		Audit:   []store.AuditRecord{{At: g.At, Actor: g.By, Action: "execution.signalled", Object: g.Execution, Detail: detail}},
	})
}

// Wake starts the next segment of an execution to which a signal was put, if it is
// parked. It answers topic wake.
func (s *Stage) Wake(ctx context.Context, payload []byte) error {
	var id string
	if err := json.Unmarshal(payload, &id); err != nil {
		return fault.Terminal(fault.E(fault.Invalid, "read wake job", err))
	}
	e, err := s.Store.Execution(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return nil // it is past its retention
	}
	if err != nil || !e.Parked || !e.EndedAt.IsZero() {
		return err // what runs looks for signals itself
	}
	return s.schedule(ctx, jobOf(e), s.Clock.Now())
}

func jobOf(e store.ExecutionRecord) job {
	return job{Remediation: e.Remediation, Execution: e.ID, Segment: max(e.Segment, 1), StartedAt: e.StartedAt, Child: e.Of.Parent != ""}
}

// StartChildren makes executions that belong to the remediation of their parent and
// starts them. Starting one twice is starting it once.
func (s *Stage) StartChildren(ctx context.Context, children []store.ExecutionRecord) error {
	now := s.Clock.Now()
	for i := range children {
		children[i].Status, children[i].StartedAt = pending, now
	}
	if err := s.Store.CreateExecutions(ctx, children, store.Effects{}); err != nil && !errors.Is(err, store.ErrExists) {
		return err
	}
	ids := make([]string, len(children))
	for i, c := range children {
		ids[i] = c.ID
	}
	stored, err := s.Store.Executions(ctx, ids)
	if err != nil {
		return err
	}
	for _, c := range stored {
		if c.Segment > 0 || !c.EndedAt.IsZero() {
			continue // it was started before
		}
		input, err := json.Marshal(jobOf(c))
		if err != nil {
			return fault.E(fault.Internal, "write execution input", err)
		}
		if err := s.Engine.Start(ctx, jobOf(c).id(), input); err != nil {
			return err
		}
	}
	return nil
}

// ended tells a parent that a child is done.
func ended(child store.ExecutionRecord, at time.Time) store.Signal {
	return store.Signal{Execution: child.Of.Parent, Kind: signalChildEnded, Child: child.ID, At: at, Late: true}
}

// orphan ends a child whose remediation is over, and tells its parent, should that
// still wait.
func (s *Stage) orphan(ctx context.Context, r remediation.Remediation, j job) error {
	if !j.Child || !r.State.Final() && r.State != remediation.Verifying {
		return nil
	}
	return s.giveUp(ctx, j, cancelled, fmt.Sprintf("the remediation %s is %s", r.ID, r.State))
}

// giveUp ends a child that cannot go on, and asks its own children to stop.
func (s *Stage) giveUp(ctx context.Context, j job, status, why string) error {
	e, err := s.Store.Execution(ctx, j.Execution)
	if err != nil || !e.EndedAt.IsZero() {
		return err
	}
	if err := s.cancelChildren(ctx, j.Execution); err != nil {
		return err
	}
	now := s.Clock.Now()
	return s.Store.EndExecution(ctx, store.ExecutionEnd{ID: j.Execution, Status: status, Failure: why, At: now},
		store.Effects{Signals: []store.Signal{ended(e, now)}})
}

// cancelChildren asks the children that still run to stop: their parent is over.
func (s *Stage) cancelChildren(ctx context.Context, parent string) error {
	filter := store.ExecutionFilter{Accounts: store.AllAccounts(), Parents: []string{parent}, Statuses: []string{pending, inProgress, waiting}}
	cursor := ""
	for {
		page, next, err := s.Store.ListExecutions(ctx, filter, 200, cursor)
		if err != nil {
			return err
		}
		var eff store.Effects
		for _, c := range page {
			eff.Signals = append(eff.Signals, store.Signal{Execution: c.ID, Kind: signalCancel, By: actor, At: s.Clock.Now(), Late: true})
		}
		if len(eff.Signals) > 0 {
			if err := s.Store.Enqueue(ctx, store.Execution, eff); err != nil {
				return err
			}
		}
		if cursor = next; next == "" {
			return nil
		}
	}
}
