package ssm

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
	"github.com/parry-security/parry/internal/service"
)

const (
	// Service is the name for which requests are signed.
	Service = "ssm"
	// MaxBody is the largest request, in bytes: a document of 1 MiB whose every
	// other character is escaped.
	MaxBody = 2 << 20
	// targetPrefix stands before the operation in X-Amz-Target.
	targetPrefix = "AmazonSSM."
)

// Config is what New needs. Everything without a default is required.
type Config struct {
	Models     *apimodel.Catalog
	Documents  Documents
	Writer     DocumentWriter
	Files      Attachments
	Catalog    Catalog
	Rights     Rights
	Desk       Desk
	Executions Executions
	Plans      Plans
	Signals    Signals
	Decider    Decider
	// Account is the one that Parry runs for: the security account.
	Account string
	// Partition of the ARNs. Default: aws.
	Partition string
	// MaxDocuments and MaxVersions bound what is kept. Defaults: 2,000 documents
	// (AWS: 500 for each account and region), 1,000 versions of each (as AWS).
	MaxDocuments int
	MaxVersions  int
	Clock        service.Clock // default: the system's
	Logger       *slog.Logger  // default: discard
}

func (c Config) check() error {
	for name, missing := range map[string]bool{
		"models": c.Models == nil, "documents": c.Documents == nil, "writer": c.Writer == nil, "files": c.Files == nil, "catalog": c.Catalog == nil,
		"rights": c.Rights == nil, "desk": c.Desk == nil, "executions": c.Executions == nil, "plans": c.Plans == nil, "signals": c.Signals == nil,
		"decider": c.Decider == nil, "account": c.Account == "",
	} {
		if missing {
			return fault.Errorf(fault.Internal, "make Systems Manager", "%s is required", name)
		}
	}
	return nil
}

// Handler answers Systems Manager's API.
type Handler struct {
	cfg        Config
	log        *slog.Logger
	model      *apimodel.Service
	operations map[string]operation
	patterns   protocol.Patterns
	parsed     *parsedDocuments
}

// Caller is who asks, and for where.
type Caller struct {
	Principal auth.Principal
	// Region is the one for which the request is signed: executions run there.
	Region string
	// Parent is set for a call that an execution makes: what it starts, is started
	// on its account and counts as its work.
	Parent *Parent
}

// Parent is an execution that calls.
type Parent struct {
	Execution string
	Account   string
	Depth     int
}

// operation is one answered operation.
type operation struct {
	model  *apimodel.Operation
	action auth.Action
	reads  bool
	serve  func(ctx context.Context, c Caller, body []byte) (any, error)
}

// New makes a Handler.
func New(cfg Config) (*Handler, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.MaxDocuments <= 0 {
		cfg.MaxDocuments = 2000
	}
	if cfg.MaxVersions <= 0 {
		cfg.MaxVersions = 1000
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	model, err := cfg.Models.Service(Service)
	if err != nil {
		return nil, err
	}
	h := &Handler{
		cfg: cfg, log: cfg.Logger.With("component", "awsfront.ssm"), model: model, operations: map[string]operation{}, patterns: protocol.Patterns{}, parsed: newParsedDocuments(),
	}
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
	for _, err := range []error{
		add(h, "CreateDocument", auth.DocumentWrite, changes, h.createDocument),
		add(h, "UpdateDocument", auth.DocumentWrite, changes, h.updateDocument),
		add(h, "UpdateDocumentDefaultVersion", auth.DocumentWrite, changes, h.updateDefaultVersion),
		add(h, "DeleteDocument", auth.DocumentWrite, changes, h.deleteDocument),
		add(h, "GetDocument", auth.DocumentRead, reads, h.getDocument),
		add(h, "DescribeDocument", auth.DocumentRead, reads, h.describeDocument),
		add(h, "ListDocuments", auth.DocumentRead, reads, h.listDocuments),
		add(h, "ListDocumentVersions", auth.DocumentRead, reads, h.listDocumentVersions),
		add(h, "ListTagsForResource", auth.DocumentRead, reads, h.listTags),
		add(h, "AddTagsToResource", auth.DocumentWrite, changes, h.addTags),
		add(h, "RemoveTagsFromResource", auth.DocumentWrite, changes, h.removeTags),
		add(h, "StartAutomationExecution", auth.ExecutionStart, changes, h.startExecution),
		add(h, "GetAutomationExecution", auth.ExecutionRead, reads, h.getExecution),
		add(h, "DescribeAutomationExecutions", auth.ExecutionRead, reads, h.describeExecutions),
		add(h, "DescribeAutomationStepExecutions", auth.ExecutionRead, reads, h.describeSteps),
		add(h, "StopAutomationExecution", auth.ExecutionControl, changes, h.stopExecution),
		// What a signal asks for decides which right it needs.
		add(h, "SendAutomationSignal", auth.ExecutionRead, changes, h.sendSignal),
		add(h, "StartExecutionPreview", auth.ExecutionStart, changes, h.startPreview),
		add(h, "GetExecutionPreview", auth.ExecutionRead, reads, h.getPreview),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// add enters an operation whose input is decoded into an I, after it was checked
// against the model.
func add[I any](h *Handler, name string, action auth.Action, read bool, answer func(ctx context.Context, c Caller, in *I) (any, error)) error {
	model, ok := h.model.Operation(name)
	if !ok {
		return fault.Errorf(fault.Internal, "make Systems Manager", "the model has no operation %s", name)
	}
	h.patterns.Collect(model.Input)
	h.operations[name] = operation{model: model, action: action, reads: read, serve: func(ctx context.Context, c Caller, body []byte) (any, error) {
		in := new(I)
		if err := json.Unmarshal(body, in); err != nil {
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

// Answer answers one operation of a caller; body is its input as JSON. It gives
// the output as a value that encodes to AWS's JSON, and errors as protocol.Error
// or with a fault code.
func (h *Handler) Answer(ctx context.Context, c Caller, name string, body []byte) (any, error) {
	op, ok := h.operations[name]
	if !ok {
		return nil, h.unserved(name)
	}
	if err := permit(c, op.action); err != nil {
		return nil, err
	}
	clean, err := protocol.ReadInput(body, op.model.Input, h.patterns)
	if err != nil {
		return nil, err
	}
	return op.serve(ctx, c, clean)
}

// permit checks the right to the operation; documents concern the whole
// installation.
func permit(c Caller, action auth.Action) error {
	if action == auth.DocumentWrite {
		return auth.Authorize(c.Principal, action, auth.All)
	}
	return auth.Permit(c.Principal, action)
}

func (h *Handler) unserved(name string) error {
	return &protocol.Error{
		Status: http.StatusBadRequest, Code: "UnknownOperationException",
		Message: "Parry does not answer " + protocol.Clip(strings.TrimPrefix(name, targetPrefix)) + " of Systems Manager. It answers " + protocol.Enumerate(h.Operations()) + ".",
	}
}
