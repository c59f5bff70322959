package automation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

const stateVersion = 1

// State is everything that a segment hands to the next. It holds outputs, which
// may be secret: seal it before it reaches a table.
type State struct {
	Version int `json:"version"`
	// Cursor is the step to run next; empty when the execution ended.
	Cursor   string `json:"cursor,omitempty"`
	Executed int    `json:"executed"`
	// Passes counts how often each step was begun: the label of a pass names it.
	Passes    map[string]int            `json:"passes,omitempty"`
	Outputs   map[string]map[string]any `json:"outputs,omitempty"`
	Variables map[string]any            `json:"variables,omitempty"`
	// Failure is the critical failure that decides the final status, although
	// the document went on.
	Failure *Failure `json:"failure,omitempty"`
	Park    *Park    `json:"park,omitempty"`
}

// Park is the sleep or wait in the middle of which a segment ended.
type Park struct {
	Attempt int `json:"attempt"`
	// Round counts the segments that this sleep or wait has ended.
	Round int `json:"round"`
	// Until is when the next segment is due.
	Until time.Time `json:"until"`
	// Deadline is when the wait times out; zero for a sleep.
	Deadline time.Time `json:"deadline,omitzero"`
	// Interval is the pause between polls, which grows.
	Interval time.Duration `json:"interval,omitempty"`
	// StartedAt is when the attempt began.
	StartedAt time.Time `json:"started_at"`
	// Notes are what the calls that the step has made answered, by call, so that no
	// later segment makes them again.
	Notes map[string]map[string]any `json:"notes,omitempty"`
}

// NewState gives the state at the beginning of doc.
func NewState(doc *runbook.Document) *State {
	s := &State{Version: stateVersion, Cursor: doc.First().Name, Passes: map[string]int{}, Variables: map[string]any{}, Outputs: map[string]map[string]any{}}
	for _, v := range doc.Variables {
		if v.HasDefault {
			s.Variables[v.Name] = v.Default
		}
	}
	return s
}

// DecodeState reads what Encode wrote. Integers stay integers.
func DecodeState(raw []byte) (*State, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var s State
	if err := dec.Decode(&s); err != nil {
		return nil, fault.E(fault.Internal, "read execution state", err)
	}
	if s.Version != stateVersion {
		return nil, fault.Errorf(fault.Internal, "read execution state", "it has version %d, this Parry reads %d", s.Version, stateVersion).
			WithHint("finish the execution with the version of Parry that started it")
	}
	for _, outputs := range s.Outputs {
		for name, v := range outputs {
			outputs[name] = runbook.Normalize(v)
		}
	}
	for name, v := range s.Variables {
		s.Variables[name] = runbook.Normalize(v)
	}
	return &s, nil
}

// Encode gives s as JSON.
func (s *State) Encode() ([]byte, error) {
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write execution state: %w", err)
	}
	return raw, nil
}

// clone copies s so that a run may change it. The values of outputs are never
// changed in place, so they are shared.
func (s *State) clone() *State {
	c := *s
	c.Outputs = maps.Clone(s.Outputs)
	c.Variables = maps.Clone(s.Variables)
	if c.Passes = maps.Clone(s.Passes); c.Passes == nil {
		c.Passes = map[string]int{}
	}
	if c.Outputs == nil {
		c.Outputs = map[string]map[string]any{}
	}
	if s.Park != nil {
		park := *s.Park
		c.Park = &park
	}
	return &c
}
