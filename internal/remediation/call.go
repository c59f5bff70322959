package remediation

import (
	"time"

	"github.com/parry-security/parry/internal/apimodel"
)

// CallOutcome is what became of a call.
type CallOutcome string

// The outcomes of a call. Refused and NotSent are certain to have done nothing.
const (
	CallOK        CallOutcome = "ok"
	CallError     CallOutcome = "error"      // AWS answered an error; Code says which
	CallThrottled CallOutcome = "throttled"  // AWS refused it for coming too fast, at every attempt
	CallRefused   CallOutcome = "refused"    // the gate let it not pass; Detail says why
	CallNotSent   CallOutcome = "not_sent"   // nothing left the process
	CallMaybeSent CallOutcome = "maybe_sent" // the answer was lost, or has not come yet
)

// CallRecord is one call as the gate saw it go by: who made it for what, what it
// was, and how it ended. It holds no value of the input or the answer.
type CallRecord struct {
	At          time.Time      `json:"at"` // when it was made
	Change      string         `json:"change,omitempty"`
	Remediation ID             `json:"remediation,omitempty"`
	Execution   string         `json:"execution,omitempty"`
	Step        string         `json:"step,omitempty"`
	Mode        string         `json:"mode" doc:"The right under which it was made: read, plan, apply, own or assume."`
	Account     string         `json:"account"`
	Region      string         `json:"region"`
	Service     string         `json:"service"`
	Operation   string         `json:"operation"`
	Class       apimodel.Class `json:"class"`
	Resource    string         `json:"resource,omitempty"`
	Digest      string         `json:"digest,omitempty" doc:"Keyed SHA-256 of the input without its secrets: equal inputs have equal digests."`
	RequestID   string         `json:"request_id,omitempty"`
	Attempts    int            `json:"attempts" doc:"How often it was sent; 0 = not at all."`
	HTTPStatus  int            `json:"http_status,omitempty"`
	Duration    time.Duration  `json:"duration_ns" doc:"With all attempts and the waits between them."`
	Outcome     CallOutcome    `json:"outcome" enum:"ok,error,throttled,refused,not_sent,maybe_sent"`
	Code        string         `json:"code,omitempty" doc:"AWS's error code."`
	Detail      string         `json:"detail,omitempty" doc:"Why the gate let it not pass."`
}
