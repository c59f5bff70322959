package remediation

import (
	"encoding/json"
	"time"
)

// Outcome is what became of a recorded change.
type Outcome string

// The outcomes of a change. A change that is not recorded was not sent: the
// intent is stored before anything leaves. Intended without an outcome after a
// crash means that it may have been.
const (
	Intended  Outcome = "intended"
	Applied   Outcome = "applied"
	Refused   Outcome = "refused"   // AWS answered an error, or it was not sent: nothing was changed
	Uncertain Outcome = "uncertain" // the answer was lost
)

// SentState is what people are told of a change: whether AWS may have seen it.
type SentState string

// The states of a change in the eyes of people. Refused was answered by AWS with
// an error, so that nothing was changed.
const (
	NotSent     SentState = "not sent"
	MaybeSent   SentState = "maybe sent"
	DoneState   SentState = "done"
	RefusedSent SentState = "refused"
)

// Change is one changing call as the gate recorded it: intent and before-image
// before it was sent, outcome after.
type Change struct {
	ID          string      `json:"id"` // deterministic: execution, step, attempt, sequence
	Remediation ID          `json:"remediation"`
	Execution   string      `json:"execution"`
	Call        PlannedCall `json:"call"`
	Before      *Image      `json:"before,omitempty"`
	Outcome     Outcome     `json:"outcome"`
	RequestID   string      `json:"request_id,omitempty"`
	Error       string      `json:"error,omitempty"`
	// NotSent says of a refused change that it certainly never left, so that what
	// it took from the budgets is given back.
	NotSent bool `json:"not_sent,omitempty"`
	// Budgets are those that the change was counted in.
	Budgets []Budget `json:"budgets,omitempty"`
	// Outputs are the members of AWS's answer, by path, that later calls of the plan
	// are made of.
	Outputs map[string][]string `json:"outputs,omitempty"`
	// Answer is AWS's whole answer to an applied change, where it has members and is
	// not too long to keep: a process that is restarted before the step's result was
	// stored goes on with it. It may hold secrets and is for nobody's eyes.
	Answer    json.RawMessage `json:"answer,omitempty"`
	Sending   Sending         `json:"sending,omitzero"`
	IntentAt  time.Time       `json:"intent_at"`
	OutcomeAt time.Time       `json:"outcome_at"`
}

// Sending is what the record of calls tells of a change beside its outcome.
type Sending struct {
	Digest     string `json:"digest,omitempty"` // as CallRecord.Digest
	Attempts   int    `json:"attempts,omitempty"`
	HTTPStatus int    `json:"http_status,omitempty"`
	Code       string `json:"code,omitempty"`
	Throttled  bool   `json:"throttled,omitempty"`
}

// MayHaveHappened reports whether c was, or may have been, made: a change whose
// outcome is not known counts.
func (c Change) MayHaveHappened() bool { return c.Outcome != Refused }

// State says whether AWS may have seen c.
func (c Change) State() SentState {
	switch {
	case c.Outcome == Applied:
		return DoneState
	case c.Outcome == Refused && c.NotSent:
		return NotSent
	case c.Outcome == Refused:
		return RefusedSent
	}
	return MaybeSent
}

// Record gives c as the record of calls shows it.
func (c Change) Record() CallRecord {
	r := CallRecord{
		At: c.IntentAt, Change: c.ID, Remediation: c.Remediation, Execution: c.Execution, Step: c.Call.Step, Mode: "apply",
		Account: c.Call.Account, Region: c.Call.Region, Service: c.Call.Service, Operation: c.Call.Operation, Class: c.Call.Class,
		Resource: c.Call.Resource, Digest: c.Sending.Digest, RequestID: c.RequestID, Attempts: c.Sending.Attempts,
		HTTPStatus: c.Sending.HTTPStatus, Code: c.Sending.Code, Outcome: CallMaybeSent,
	}
	if !c.OutcomeAt.IsZero() {
		r.Duration = c.OutcomeAt.Sub(c.IntentAt)
	}
	switch c.State() {
	case DoneState:
		r.Outcome = CallOK
	case NotSent:
		r.Outcome = CallNotSent
	case RefusedSent:
		r.Outcome = CallError
		if c.Sending.Throttled {
			r.Outcome = CallThrottled
		}
	}
	return r
}
