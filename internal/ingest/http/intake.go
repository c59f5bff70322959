package http

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Source is who sent a batch, as the edge has authenticated it.
type Source = ingest.Source

// The limits of one batch. The edge checks MaxBody before it reads the body.
const (
	MaxFindings = 100
	MaxBody     = 6 << 20
)

// Inbox is where accepted findings go: all of a batch in one commit.
type Inbox interface {
	AppendInbox(ctx context.Context, items []store.InboxItem) error
}

// Normalizer turns one raw finding into a valid one, or says why it is none.
type Normalizer interface {
	Normalize(raw json.RawMessage) (finding.Finding, *finding.ImportError)
}

// Config is what New needs.
type Config struct {
	Inbox      Inbox         // required
	Normalizer Normalizer    // required
	Clock      service.Clock // default: the system's
	Logger     *slog.Logger  // default: discard
	// Wake tells triage that there is work; it must not block. Default: nothing.
	Wake func()
}

// Intake takes batches of findings. It is safe for concurrent use.
type Intake struct {
	cfg Config
	log *slog.Logger
}

// New makes an Intake.
func New(cfg Config) (*Intake, error) {
	if cfg.Inbox == nil || cfg.Normalizer == nil {
		return nil, fault.Errorf(fault.Internal, "make intake", "inbox and normalizer are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wake == nil {
		cfg.Wake = func() {}
	}
	return &Intake{cfg: cfg, log: cfg.Logger.With("component", "ingest.http")}, nil
}

// Result is BatchImportFindings' answer.
type Result struct {
	FailedCount  int                    `json:"FailedCount"`
	SuccessCount int                    `json:"SuccessCount"`
	Failed       []*finding.ImportError `json:"FailedFindings"`
}

// Import stores the findings of batch that are valid and the source's to
// report. An error means that nothing was stored.
func (i *Intake) Import(ctx context.Context, source Source, batch []json.RawMessage) (Result, error) {
	if err := checkBatch(batch); err != nil {
		return Result{}, err
	}
	result := Result{Failed: []*finding.ImportError{}}
	items := make([]store.InboxItem, 0, len(batch))
	now := i.cfg.Clock.Now()
	for _, raw := range batch {
		f, refused := i.cfg.Normalizer.Normalize(raw)
		if refused == nil {
			if why := source.Refusal(f); why != "" {
				refused = finding.Refuse(f.String("Id"), finding.CodeInvalidAccess, why)
			}
		}
		if refused != nil {
			result.Failed = append(result.Failed, refused)
			continue
		}
		items = append(items, store.InboxItem{Source: source.Name, Trusted: source.Trusted, Finding: f.JSON(), ReceivedAt: now})
	}
	result.FailedCount, result.SuccessCount = len(result.Failed), len(items)
	if len(items) > 0 {
		if err := i.cfg.Inbox.AppendInbox(ctx, items); err != nil {
			return Result{}, fmt.Errorf("store %d findings of source %q: %w", len(items), source.Name, err)
		}
		i.cfg.Wake()
	}
	if result.FailedCount > 0 {
		i.log.WarnContext(ctx, "findings refused", "source", source.Name, "principal", source.Principal,
			"refused", result.FailedCount, "accepted", result.SuccessCount, "first_reason", result.Failed[0].ErrorCode)
	}
	return result, nil
}

func checkBatch(batch []json.RawMessage) error {
	const op = "import findings"
	switch {
	case len(batch) == 0:
		return fault.Errorf(fault.Invalid, op, "Findings must hold at least 1 finding")
	case len(batch) > MaxFindings:
		return fault.Errorf(fault.Invalid, op, "Findings holds %d findings, more than the limit of %d", len(batch), MaxFindings).
			WithHint("send them in batches of at most %d", MaxFindings)
	}
	total := 0
	for _, raw := range batch {
		total += len(raw)
	}
	if total > MaxBody {
		return fault.Errorf(fault.Invalid, op, "the batch has %d bytes, more than the limit of %d", total, MaxBody).
			WithHint("send smaller batches")
	}
	return nil
}
