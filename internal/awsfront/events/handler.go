package events

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
)

const (
	// Service is the name for which requests are signed.
	Service = "events"
	// MaxBody is the largest request, in bytes: events of a megabyte in all, as JSON in
	// JSON, where every quote is escaped.
	MaxBody = 3 << 20
	// targetPrefix stands before the operation in X-Amz-Target.
	targetPrefix = "AWSEvents."
)

// Putter takes events that were checked.
type Putter interface {
	// Put puts events on a bus and gives their ids, in their order.
	Put(ctx context.Context, bus string, entries []route.Entry) (ids []string, err error)
}

// Config is what New needs. Everything without a default is required.
type Config struct {
	Models *apimodel.Catalog
	Desk   *route.Desk
	Putter Putter
	// Account is the one that Parry runs for: the security account.
	Account   string
	Partition string       // default: aws
	Logger    *slog.Logger // default: discard
}

// Handler answers EventBridge's API.
type Handler struct {
	cfg        Config
	log        *slog.Logger
	model      *apimodel.Service
	operations map[string]operation
	patterns   protocol.Patterns
}

// Caller is who asks, and for where.
type Caller struct {
	Principal auth.Principal
	// Region is the one for which the request is signed: events are of it.
	Region string
}

// operation is one answered operation.
type operation struct {
	reads bool
	serve func(ctx context.Context, c Caller, body []byte) (any, error)
}

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Models == nil || cfg.Desk == nil || cfg.Putter == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make EventBridge", "models, desk, putter and account are required")
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	model, err := cfg.Models.Service(Service)
	if err != nil {
		return nil, err
	}
	h := &Handler{cfg: cfg, log: cfg.Logger.With("component", "awsfront.events"), model: model, operations: map[string]operation{}, patterns: protocol.Patterns{}}
	if err := h.register(); err != nil {
		return nil, err
	}
	return h, nil
}

const (
	reads   = true
	changes = false
)

// register enters every operation that is answered.
func (h *Handler) register() error {
	// Its entries are checked one by one, and are too many for two readings.
	h.operations["PutEvents"] = operation{reads: changes, serve: h.putEvents}
	for _, err := range []error{
		add(h, "CreateEventBus", changes, h.createBus), add(h, "UpdateEventBus", changes, h.updateBus), add(h, "DeleteEventBus", changes, h.deleteBus),
		add(h, "DescribeEventBus", reads, h.describeBus), add(h, "ListEventBuses", reads, h.listBuses),
		add(h, "PutPermission", changes, h.putPermission), add(h, "RemovePermission", changes, h.removePermission),
		add(h, "PutRule", changes, h.putRule), add(h, "DeleteRule", changes, h.deleteRule), add(h, "EnableRule", changes, h.enableRule),
		add(h, "DisableRule", changes, h.disableRule), add(h, "DescribeRule", reads, h.describeRule), add(h, "ListRules", reads, h.listRules),
		add(h, "PutTargets", changes, h.putTargets), add(h, "RemoveTargets", changes, h.removeTargets), add(h, "ListTargetsByRule", reads, h.listTargets),
		add(h, "ListRuleNamesByTarget", reads, h.listRuleNames),
		add(h, "CreateArchive", changes, h.createArchive), add(h, "UpdateArchive", changes, h.updateArchive), add(h, "DeleteArchive", changes, h.deleteArchive),
		add(h, "DescribeArchive", reads, h.describeArchive), add(h, "ListArchives", reads, h.listArchives),
		add(h, "StartReplay", changes, h.startReplay), add(h, "CancelReplay", changes, h.cancelReplay),
		add(h, "DescribeReplay", reads, h.describeReplay), add(h, "ListReplays", reads, h.listReplays),
		add(h, "TagResource", changes, h.tag), add(h, "UntagResource", changes, h.untag), add(h, "ListTagsForResource", reads, h.listTags),
		add(h, "TestEventPattern", reads, h.testPattern),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// add enters an operation whose input is decoded into an I, after it was checked against
// the model. Rules and buses concern the whole installation.
func add[I any](h *Handler, name string, read bool, answer func(ctx context.Context, c Caller, in *I) (any, error)) error {
	model, ok := h.model.Operation(name)
	if !ok {
		return fault.Errorf(fault.Internal, "make EventBridge", "the model has no operation %s", name)
	}
	action := auth.EventRuleWrite
	if read {
		action = auth.EventRuleRead
	}
	h.patterns.Collect(model.Input)
	h.operations[name] = operation{reads: read, serve: func(ctx context.Context, c Caller, body []byte) (any, error) {
		if err := auth.Authorize(c.Principal, action, auth.All); err != nil {
			return nil, err
		}
		clean, err := protocol.ReadInput(body, model.Input, h.patterns)
		if err != nil {
			return nil, err
		}
		in := new(I)
		if err := json.Unmarshal(clean, in); err != nil {
			return nil, protocol.Serialization("The request body cannot be read.")
		}
		return answer(ctx, c, in)
	}}
	return nil
}

// Operations names what is answered.
func (h *Handler) Operations() []string {
	names := make([]string, 0, len(h.operations))
	for name := range h.operations {
		names = append(names, name)
	}
	return names
}

// Reads reports whether r changes nothing.
func (h *Handler) Reads(r *http.Request) bool {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	return ok && h.operations[name].reads
}

// MaxBody is the largest body that is taken.
func (h *Handler) MaxBody() int64 { return MaxBody }

// Refuse words a request that was not let through.
func (h *Handler) Refuse(w http.ResponseWriter, _ *http.Request, f *sigv4.Failure) {
	e := protocol.JSONFailure(f)
	if f.Kind == sigv4.Replayed {
		// The code on which every SDK signs anew and repeats a JSON 1.1 request.
		e.Code = "ThrottlingException"
	}
	protocol.WriteJSON11Error(w, e)
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	value, err := h.serve(r)
	if err != nil {
		e := ErrorOf(err)
		if e.Status >= http.StatusInternalServerError {
			h.log.ErrorContext(ctx, "request failed", "target", protocol.Clip(r.Header.Get("X-Amz-Target")), "error", err)
		}
		protocol.WriteJSON11Error(w, e)
		return
	}
	protocol.WriteJSON11(w, value)
}

func (h *Handler) serve(r *http.Request) (any, error) {
	target := r.Header.Get("X-Amz-Target")
	name, ok := strings.CutPrefix(target, targetPrefix)
	if r.Method != http.MethodPost || r.URL.Path != "/" || !ok || len(r.Header.Values("X-Amz-Target")) != 1 {
		return nil, h.unserved(target)
	}
	raw, err := io.ReadAll(r.Body) // The front has bounded it.
	if err != nil {
		return nil, protocol.Serialization("The request body ended early.")
	}
	return h.Answer(r.Context(), Caller{Principal: auth.PrincipalFrom(r.Context()), Region: protocol.RegionFrom(r.Context())}, name, raw)
}

// Answer answers one operation of a caller; body is its input as JSON. It gives the output
// as a value that encodes to AWS's JSON, and errors as protocol.Error or with a fault code.
func (h *Handler) Answer(ctx context.Context, c Caller, name string, body []byte) (any, error) {
	op, ok := h.operations[name]
	if !ok {
		return nil, h.unserved(name)
	}
	return op.serve(ctx, c, body)
}

func (h *Handler) unserved(name string) error {
	return &protocol.Error{
		Status: http.StatusBadRequest, Code: "UnknownOperationException",
		Message: "Parry does not answer " + protocol.Clip(strings.TrimPrefix(name, targetPrefix)) + " of EventBridge. It answers " + protocol.Enumerate(h.Operations()) + ".",
	}
}
