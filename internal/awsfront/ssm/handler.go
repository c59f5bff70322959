package ssm

import (
	"context"
	"log/slog"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

const (
	// Service is the name for which requests are signed.
	Service = "ssm"
	// MaxBody is the largest request, in bytes: a document of 1 MiB whose every
	// other character is escaped.
	MaxBody = 2 << 20
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
	*protocol.Service[Caller]
	cfg    Config
	parsed *parsedDocuments
}

// Caller is who asks, and for where.
type Caller struct {
	Principal auth.Principal
	// Region is the one for which the request is signed: executions run there.
	Region string
	// Parent is set for a call that an execution makes: what it starts, is started
	// on its account and counts as its work.
	Parent *Parent
	// Rule and Event are set for a rule of the bus that starts a document, as whoever put
	// its target.
	Rule, Event string
	// Check asks whether a document may be started as the request says; it is not.
	Check bool
}

// Parent is an execution that calls.
type Parent struct {
	Execution string
	Account   string
	Depth     int
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
	h := &Handler{cfg: cfg, parsed: newParsedDocuments(), Service: protocol.NewService(protocol.ServiceConfig[Caller]{
		Title: "Systems Manager", Prefix: "AmazonSSM.", Model: func() (*apimodel.Service, error) { return cfg.Models.Service(Service) }, MaxBody: MaxBody, Error: ErrorOf, Logger: cfg.Logger.With("component", "awsfront.ssm"),
		Caller: func(ctx context.Context) Caller {
			return Caller{Principal: auth.PrincipalFrom(ctx), Region: protocol.RegionFrom(ctx)}
		},
	})}
	h.register()
	return h, nil
}

const (
	reads   = true
	changes = false
)

// register enters every operation that is answered.
func (h *Handler) register() {
	add(h, "CreateDocument", auth.DocumentWrite, changes, h.createDocument)
	add(h, "UpdateDocument", auth.DocumentWrite, changes, h.updateDocument)
	add(h, "UpdateDocumentDefaultVersion", auth.DocumentWrite, changes, h.updateDefaultVersion)
	add(h, "DeleteDocument", auth.DocumentWrite, changes, h.deleteDocument)
	add(h, "GetDocument", auth.DocumentRead, reads, h.getDocument)
	add(h, "DescribeDocument", auth.DocumentRead, reads, h.describeDocument)
	add(h, "ListDocuments", auth.DocumentRead, reads, h.listDocuments)
	add(h, "ListDocumentVersions", auth.DocumentRead, reads, h.listDocumentVersions)
	add(h, "ListTagsForResource", auth.DocumentRead, reads, h.listTags)
	add(h, "AddTagsToResource", auth.DocumentWrite, changes, h.addTags)
	add(h, "RemoveTagsFromResource", auth.DocumentWrite, changes, h.removeTags)
	add(h, "StartAutomationExecution", auth.ExecutionStart, changes, h.startExecution)
	add(h, "GetAutomationExecution", auth.ExecutionRead, reads, h.getExecution)
	add(h, "DescribeAutomationExecutions", auth.ExecutionRead, reads, h.describeExecutions)
	add(h, "DescribeAutomationStepExecutions", auth.ExecutionRead, reads, h.describeSteps)
	add(h, "StopAutomationExecution", auth.ExecutionControl, changes, h.stopExecution)
	// What a signal asks for decides which right it needs.
	add(h, "SendAutomationSignal", auth.ExecutionRead, changes, h.sendSignal)
	add(h, "StartExecutionPreview", auth.ExecutionStart, changes, h.startPreview)
	add(h, "GetExecutionPreview", auth.ExecutionRead, reads, h.getPreview)
}

// add enters an operation.
func add[I any](h *Handler, name string, action auth.Action, read bool, answer func(ctx context.Context, c Caller, in *I) (any, error)) {
	protocol.Add(h.Service, name, read, func(c Caller) error { return permit(c, action) }, answer)
}

// permit checks the right to the operation; documents concern the whole
// installation.
func permit(c Caller, action auth.Action) error {
	if action == auth.DocumentWrite {
		return auth.Authorize(c.Principal, action, auth.All)
	}
	return auth.Permit(c.Principal, action)
}
