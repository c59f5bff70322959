package automation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
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
	// Blobs names the blob of each step whose outputs are too large for the state.
	Blobs map[string]string `json:"blobs,omitempty"`
	// Frames are the loops under way, the innermost last.
	Frames []Frame `json:"frames,omitempty"`
	// Failure is the critical failure that decides the final status, although
	// the document went on.
	Failure *Failure `json:"failure,omitempty"`
	Park    *Park    `json:"park,omitempty"`
	// Signal is the number of the last signal that the execution has read.
	Signal int64 `json:"signal,omitempty"`
	// Start is the step that may be started in interactive mode: a StartStep that
	// came while another step ran. "*" = any.
	Start string `json:"start,omitempty"`
	// Complete says that the execution ends after the step under way.
	Complete bool `json:"complete,omitempty"`
	// Cancel is set once the execution is being cancelled.
	Cancel *Cancel `json:"cancel,omitempty"`
}

// Frame is one loop under way.
type Frame struct {
	Loop      string    `json:"loop"`
	Seq       int       `json:"seq"` // of the loop's step
	ID        string    `json:"id"`  // StepRecord.ID of the loop's step
	Iteration int       `json:"iteration"`
	Limit     int       `json:"limit"`
	Values    []any     `json:"values,omitempty"` // of a for-each loop
	Each      bool      `json:"each,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"`
	Deadline  time.Time `json:"deadline,omitzero"`
}

// Cancel is a cancellation under way.
type Cancel struct {
	By      string `json:"by,omitempty"`
	Comment string `json:"comment,omitempty"`
	// Step was under way when the execution was cancelled.
	Step string `json:"step"`
	// Deadline is when the steps of onCancel have to be done; zero before they began.
	Deadline time.Time `json:"deadline,omitzero"`
}

// Park is the step in the middle of which a segment ended.
type Park struct {
	Attempt int `json:"attempt"`
	// Round counts the segments that this step has ended.
	Round int `json:"round"`
	// Until is when the next segment is due; zero = when a signal comes.
	Until time.Time `json:"until,omitzero"`
	// Deadline is when the wait times out; zero for a sleep.
	Deadline time.Time `json:"deadline,omitzero"`
	// Interval is the pause between polls, which grows.
	Interval time.Duration `json:"interval,omitempty"`
	// StartedAt is when the attempt began.
	StartedAt time.Time `json:"started_at"`
	// Start says that the step has not begun: interactive mode waits for StartStep.
	Start bool `json:"start,omitempty"`
	// Decisions are the answers of people to aws:approve so far.
	Decisions []Decision `json:"decisions,omitempty"`
	// Fan is how far the children of aws:executeAutomation are.
	Fan *FanState `json:"fan,omitempty"`
	// Notes are what the calls that the step has made answered, by call, so that no
	// later segment makes them again.
	Notes map[string]map[string]any `json:"notes,omitempty"`
}

// Decision is one person's answer.
type Decision struct {
	By      string    `json:"by"`
	Approve bool      `json:"approve"`
	Comment string    `json:"comment,omitempty"`
	At      time.Time `json:"at"`
}

// NewState gives the state at the beginning of doc.
func NewState(doc *runbook.Document) *State {
	s := &State{
		Version: stateVersion, Cursor: doc.First().Name, Passes: map[string]int{}, Variables: map[string]any{},
		Outputs: map[string]map[string]any{}, Blobs: map[string]string{},
	}
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
		normalize(outputs)
	}
	normalize(s.Variables)
	for i := range s.Frames {
		for j, v := range s.Frames[i].Values {
			s.Frames[i].Values[j] = runbook.Normalize(v)
		}
	}
	return &s, nil
}

func normalize(m map[string]any) {
	for name, v := range m {
		m[name] = runbook.Normalize(v)
	}
}

// Encode gives s as JSON. Outputs that are in a blob are left out.
func (s *State) Encode() ([]byte, error) {
	slim := *s
	slim.Outputs = make(map[string]map[string]any, len(s.Outputs))
	for step, outputs := range s.Outputs {
		if s.Blobs[step] == "" {
			slim.Outputs[step] = outputs
		}
	}
	raw, err := json.Marshal(&slim)
	if err != nil {
		return nil, fmt.Errorf("write execution state: %w", err)
	}
	return raw, nil
}

// clone copies s so that a run may change it. The values of outputs are never
// changed in place, so they are shared.
func (s *State) clone() *State {
	c := *s
	c.Outputs = copied(s.Outputs)
	c.Variables = copied(s.Variables)
	c.Passes = copied(s.Passes)
	c.Blobs = copied(s.Blobs)
	c.Frames = slices.Clone(s.Frames)
	if s.Park != nil {
		park := *s.Park
		c.Park = &park
	}
	if s.Cancel != nil {
		cancel := *s.Cancel
		c.Cancel = &cancel
	}
	return &c
}

func copied[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return maps.Clone(m)
}
