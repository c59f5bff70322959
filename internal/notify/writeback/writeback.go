package writeback

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// Topic is the outbox topic of findings to be written back.
const Topic = "writeback"

// StatePrefix begins the names under which the writes to a finding are counted.
const StatePrefix = "writeback/"

const (
	maxWrites = 5
	window    = 24 * time.Hour
	// maxNote is AWS's limit for a note.
	maxNote = 512
)

// Caller makes calls to AWS: *awsapi.Session.
type Caller interface {
	Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error)
}

// Hub is one Security Hub that is written to.
type Hub struct {
	Region, Account string
	// Products are the product ARNs whose findings it has.
	Products []string
	// Reads asks for findings; Writes updates them, as own traffic.
	Reads, Writes Caller
}

// Store is where findings are read and writes are counted.
type Store interface {
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	SourceState(ctx context.Context, name string, v any) error
	PutSourceState(ctx context.Context, name string, v any) error
}

// Config is what New needs.
type Config struct {
	Hubs   []Hub
	Store  Store         // required
	Clock  service.Clock // default: the system's
	Logger *slog.Logger  // default: discard
}

// Stage writes back.
type Stage struct {
	cfg Config
	log *slog.Logger
	hub map[string]Hub // by product ARN
}

// New makes a Stage.
func New(cfg Config) (*Stage, error) {
	if cfg.Store == nil {
		return nil, fault.Errorf(fault.Internal, "make write-back", "store is required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Stage{cfg: cfg, log: cfg.Logger.With("component", "notify.writeback"), hub: map[string]Hub{}}
	for _, h := range cfg.Hubs {
		for _, p := range h.Products {
			if _, taken := s.hub[p]; !taken {
				s.hub[p] = h
			}
		}
	}
	return s, nil
}

// Concerns reports whether what is decided about the finding is written back.
func (s *Stage) Concerns(id finding.ID) bool {
	_, ok := s.hub[id.ProductArn]
	return ok
}

// writes counts the writes to one finding.
type writes struct {
	Since time.Time `json:"since"`
	N     int       `json:"n"`
}

// Handle answers topic writeback. It is idempotent: what the hub has is not
// written again.
func (s *Stage) Handle(ctx context.Context, payload json.RawMessage) error {
	const op = "write back to Security Hub"
	var id finding.ID
	if err := json.Unmarshal(payload, &id); err != nil || id.IsZero() {
		return fault.Terminal(fault.Errorf(fault.Invalid, op, "the payload names no finding"))
	}
	hub, ok := s.hub[id.ProductArn]
	if !ok {
		return nil // it is not configured any more
	}
	records, err := s.cfg.Store.Findings(ctx, []finding.ID{id})
	if err != nil || len(records) == 0 {
		return err
	}
	ours, err := finding.Reopen(records[0].Doc)
	if err != nil {
		return fault.Terminal(err)
	}
	theirs, ok, err := hub.finding(ctx, id)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if !ok {
		s.log.InfoContext(ctx, "finding not written back", "finding", id, "reason", "the hub does not have it")
		return nil
	}
	input := difference(ours, theirs)
	if len(input) == 0 {
		return nil
	}
	name := StatePrefix + id.Key()
	if len(name) > 256 {
		name = name[:256]
	}
	var count writes
	if err := s.cfg.Store.SourceState(ctx, name, &count); err != nil {
		return err
	}
	now := s.cfg.Clock.Now()
	if now.Sub(count.Since) > window {
		count = writes{Since: now}
	}
	if count.N >= maxWrites {
		return fault.Terminal(fault.Errorf(fault.Exhausted, op, "finding %s was written %d times since %s and the hub has something else each time", id, count.N, count.Since.UTC().Format(time.RFC3339)).
			WithHint("an automation rule of Security Hub, or another program, sets it back: find out which with get-finding-history"))
	}
	count.N++
	// Counted before it is sent: a crash between the two must not make a loop.
	if err := s.cfg.Store.PutSourceState(ctx, name, count); err != nil {
		return err
	}
	return hub.update(ctx, id, input)
}

// finding asks the hub for its version.
func (h Hub) finding(ctx context.Context, id finding.ID) (finding.Finding, bool, error) {
	is := func(v string) []any { return []any{map[string]any{"Value": v, "Comparison": "EQUALS"}} }
	token := ""
	for range 20 {
		in := map[string]any{"Filters": map[string]any{"Id": is(id.Id), "ProductArn": is(id.ProductArn)}, "MaxResults": 100}
		if token != "" {
			in["NextToken"] = token
		}
		reply, err := h.Reads.Call(ctx, "writeback", apimodel.Call{Service: "securityhub", Operation: "GetFindings", Account: h.Account, Region: h.Region, Input: in})
		if err != nil {
			return finding.Finding{}, false, err
		}
		list, _ := reply.Output["Findings"].([]any)
		for _, v := range list {
			raw, err := json.Marshal(v)
			if err != nil {
				continue
			}
			if f, err := finding.Reopen(raw); err == nil && f.ID() == id {
				return f, true, nil
			}
		}
		if token, _ = reply.Output["NextToken"].(string); token == "" {
			break
		}
	}
	return finding.Finding{}, false, nil
}

// difference gives the members of BatchUpdateFindings that bring theirs to ours.
// What is not set here is left as it is there.
func difference(ours, theirs finding.Finding) map[string]any {
	in := map[string]any{}
	if ours.Workflow() != theirs.Workflow() {
		in["Workflow"] = map[string]any{"Status": string(ours.Workflow())}
	}
	text, by := ours.String("Note", "Text"), ours.String("Note", "UpdatedBy")
	if text != "" && (text != theirs.String("Note", "Text") || by != theirs.String("Note", "UpdatedBy")) && utf8.RuneCountInString(text) <= maxNote {
		in["Note"] = map[string]any{"Text": text, "UpdatedBy": by}
	}
	return in
}

func (h Hub) update(ctx context.Context, id finding.ID, in map[string]any) error {
	const op = "write back to Security Hub"
	in["FindingIdentifiers"] = []any{map[string]any{"Id": id.Id, "ProductArn": id.ProductArn}}
	reply, err := h.Writes.Call(ctx, "writeback", apimodel.Call{Service: "securityhub", Operation: "BatchUpdateFindings", Account: h.Account, Region: h.Region, Input: in})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	failed, _ := reply.Output["UnprocessedFindings"].([]any)
	if len(failed) == 0 {
		return nil
	}
	first, _ := failed[0].(map[string]any)
	code, _ := first["ErrorCode"].(string)
	err = fault.Errorf(fault.Unavailable, op, "%s: %.200v", code, first["ErrorMessage"])
	if code == "FindingNotFound" || code == "InvalidInput" {
		return fault.Terminal(err)
	}
	return err
}
