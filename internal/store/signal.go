package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Signal is one thing asked of an execution that runs. It is put by Effects.Signals,
// with a message on TopicWake, so that an execution that is parked goes on.
type Signal struct {
	Execution string `json:"-"`
	// N grows within the execution; it is given by the store.
	N    int64  `json:"-"`
	Kind string `json:"-"`
	// Late lets a signal to an execution that has ended, or does not exist, pass
	// without an effect; otherwise it is a conflict.
	Late bool `json:"-"`

	Step    string    `json:"step,omitempty"`
	Child   string    `json:"child,omitempty"`
	By      string    `json:"by,omitempty"`
	Comment string    `json:"comment,omitempty"`
	At      time.Time `json:"at"`
}

const (
	signalTable = "execution_signal"
	// maxSignals bounds one reading of signals; the rest is read next.
	maxSignals = 1000
)

// putSignals numbers and stores signals and gives the messages that wake their
// executions.
func (t *tx) putSignals(ctx context.Context, signals []Signal) ([]Message, error) {
	var wake []Message
	for _, g := range signals {
		op := "signal execution " + g.Execution
		if err := checkID(op, "signal kind", g.Kind); err != nil {
			return nil, err
		}
		ns, err := collect(ctx, t, t.s.q.SignalNext, []any{text(g.Execution, maxID)}, func(r scanner) (n int64, err error) {
			err = r.Scan(&n)
			return n, err
		})
		switch {
		case err != nil:
			return nil, err
		case len(ns) == 0 && g.Late:
			continue
		case len(ns) == 0:
			return nil, fault.E(fault.Conflict, op, errNoExecution)
		}
		sealed, err := t.s.sealJSON(g, signalAAD(g.Execution, ns[0]))
		if err != nil {
			return nil, err
		}
		if _, err := t.changed(ctx, t.s.q.SignalInsert, g.Execution, ns[0], g.Kind, sealed); err != nil {
			return nil, err
		}
		payload, err := json.Marshal(g.Execution)
		if err != nil {
			return nil, err
		}
		wake = append(wake, Message{ID: fmt.Sprintf("%s-%s-%d", TopicWake, g.Execution, ns[0]), Topic: TopicWake, Payload: payload})
	}
	return wake, nil
}

func signalAAD(execution string, n int64) []byte {
	return aad(signalTable, execution, strconv.FormatInt(n, 10))
}

// Signals gives the signals of an execution after a number, in order, at most a
// thousand.
func (s *Store) Signals(ctx context.Context, execution string, after int64) ([]Signal, error) {
	all, err := collect(ctx, s.execution.Read, s.q.SignalList, []any{text(execution, maxID), after, int64(maxSignals)}, func(r scanner) (Signal, error) {
		var g Signal
		var sealed []byte
		if err := r.Scan(&g.Execution, &g.N, &g.Kind, &sealed); err != nil {
			return g, err
		}
		return g, s.openJSON(sealed, signalAAD(g.Execution, g.N), &g)
	})
	return all, s.fail("read signals of "+execution, err)
}

// ScriptCall is one answered call of a script that is under way.
type ScriptCall struct {
	N int // from 1
	// Answer holds the call's digest and answer; sealed.
	Answer []byte
}

const scriptTable = "script_call"

// AppendScriptCall keeps the n-th answered call of a script; key names one attempt
// of one step. A second one under the same number answers ErrConflict.
func (s *Store) AppendScriptCall(ctx context.Context, execution, key string, c ScriptCall) error {
	op := "keep a script's call of " + execution
	if err := checkID(op, "execution id", execution); err != nil {
		return err
	}
	if err := checkID(op, "key", key); err != nil {
		return err
	}
	sealed, err := s.sealer.Seal(c.Answer, aad(scriptTable, execution, key, strconv.Itoa(c.N)))
	if err != nil {
		return s.fail(op, err)
	}
	return s.write(ctx, Execution, op, func(t *tx) error {
		n, err := t.changed(ctx, s.q.ScriptCallInsert, execution, key, int64(c.N), sealed)
		if err == nil && n == 0 {
			err = conflict("%s", op)
		}
		return err
	})
}

// ScriptCalls gives what is kept under key, in order.
func (s *Store) ScriptCalls(ctx context.Context, execution, key string) ([]ScriptCall, error) {
	all, err := collect(ctx, s.execution.Read, s.q.ScriptCallList, []any{text(execution, maxID), text(key, maxID)}, func(r scanner) (ScriptCall, error) {
		var c ScriptCall
		var sealed []byte
		if err := r.Scan(&c.N, &sealed); err != nil {
			return c, err
		}
		var err error
		c.Answer, err = s.sealer.Open(sealed, aad(scriptTable, execution, key, strconv.Itoa(c.N)))
		return c, err
	})
	return all, s.fail("read a script's calls of "+execution, err)
}
