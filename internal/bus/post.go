package bus

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/target"
)

// Ref names a target of a rule, and the address that its deliveries go to. Targets of
// one address share its limits, and what is known of it when it does not answer.
type Ref struct{ Rule, Target, Address string }

// Posted is an event with where it has to go.
type Posted struct {
	Seq int64 // given by the ledger
	Bus string
	At  time.Time // the event's own time
	// Since is when it was accepted, from which its age counts.
	Since    time.Time
	Targets  []Ref
	Archives []string
	Text     []byte // the event, valid JSON
}

// Later is a delivery that has to be made when it is due. One that is Dead was given up.
type Later struct {
	Ref
	Since    time.Time
	Due      time.Time
	Attempts int // made so far
	Dead     bool
	Code     string // one of the Codes
	Reason   string
}

// The codes of deliveries that failed, as EventBridge writes them into ERROR_CODE of a
// dead letter (EventBridge User Guide, "Using dead-letter queues").
const (
	CodeNoPermissions = "NO_PERMISSIONS"
	CodeNoResource    = "NO_RESOURCE"
	CodeThrottling    = "THROTTLING"
	CodeTimeout       = "TIMEOUT"
	CodeInvalid       = "INVALID_INPUT"
	CodeUnavailable   = "SERVICE_UNAVAILABLE"
	CodeInternal      = "INTERNAL_ERROR"
)

// Claimed is a delivery that was taken from the ledger.
type Claimed struct {
	Seq, Event int64
	// Claim is the number of this claim; one that is settled under an older number was
	// lost to another node.
	Claim int64
	Later
	Bus  string
	Text []byte
}

// Settled says that the first deliveries of an event are over, and which are to be made
// again.
type Settled struct {
	Event int64
	Again []Later
}

// Outcome is what became of a claimed delivery: it is made when Again is nil.
type Outcome struct {
	Claimed
	Again *Later
}

// EventLedger keeps events until their first deliveries are over. AppendEvents sets
// their Seq and returns when they cannot be lost; owner "" leaves them to ClaimEvents,
// which gives those of nobody and of dead nodes.
type EventLedger interface {
	AppendEvents(ctx context.Context, owner string, events []*Posted) error
	ClaimEvents(ctx context.Context, owner string, dead []string, n int) ([]Posted, error)
	SettleEvents(ctx context.Context, owner string, settled []Settled) error
}

// DeliveryLedger keeps deliveries that wait. What ClaimDeliveries gave is nobody else's
// before the lease ends. DueAddresses gives addresses after one, in order, with when the
// first delivery of each is due.
type DeliveryLedger interface {
	DueAddresses(ctx context.Context, after string, n int) ([]AddressDue, error)
	ClaimDeliveries(ctx context.Context, address string, n int, owner string, lease time.Duration) ([]Claimed, error)
	SettleDeliveries(ctx context.Context, outcomes []Outcome) error
}

// AddressDue is when the first delivery to an address is due.
type AddressDue struct {
	Address string
	Due     time.Time
}

// Letter is one delivery as its target sees it.
type Letter struct {
	Bus   string
	Ref   Ref
	Text  []byte // the event
	Since time.Time
	// Attempts counts the deliveries of it before this one.
	Attempts int
}

// Target makes deliveries.
type Target struct {
	// Send delivers. An error marked fault.Terminal gives the delivery up, one marked
	// fault.Transient is waited for as long as it says at least.
	Send func(ctx context.Context, l Letter) error
	// GivenUp is told of a delivery that is made no more, with code and reason; nil for
	// targets without a dead-letter queue.
	GivenUp func(ctx context.Context, l Letter, code, reason string, end target.Exhausted) error
	Retry   *target.RetryPolicy
	Limits
}

// Limits are those of an address.
type Limits struct {
	Concurrency int           // deliveries at the same time; default 16
	Rate        float64       // deliveries a second that may begin; 0 = as many as can
	Timeout     time.Duration // of one delivery; default 30 s
}
