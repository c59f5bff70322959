package casefile

import (
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// Kind is what an entry of a timeline tells.
type Kind string

// The kinds of entries.
const (
	Opened      Kind = "opened"
	EventCame   Kind = "event"
	Noted       Kind = "note"
	StatusMoved Kind = "status"
	CaseClosed  Kind = "closed"
)

// Entry is one line of a case's timeline. It is never changed.
type Entry struct {
	Seq int64 `json:"seq"` // from 1
	// At is when it was written, OccurredAt when what it tells of happened.
	At         time.Time `json:"at"`
	OccurredAt time.Time `json:"occurred_at"`
	By         string    `json:"by"` // a person, or rule/NAME
	Kind       Kind      `json:"kind"`
	Text       string    `json:"text"`
	// The event that it came with, if any.
	Event      string        `json:"event,omitempty"` // its id
	Source     string        `json:"source,omitempty"`
	DetailType string        `json:"detail_type,omitempty"`
	Account    string        `json:"account,omitempty"`
	Severity   finding.Label `json:"severity,omitempty"`
	Resource   string        `json:"resource,omitempty"`
	Finding    *finding.ID   `json:"finding,omitempty"`
}
