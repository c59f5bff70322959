package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

const (
	// Service is the name for which requests are signed.
	Service = "parry"
	// MaxBody is the largest request body, in bytes.
	MaxBody = 1 << 20
	// MaxLimit is the largest page of a list.
	MaxLimit = 200
)

// Findings reads findings.
type Findings interface {
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
	Findings(ctx context.Context, ids []finding.ID) ([]store.FindingRecord, error)
	LinkedFindings(ctx context.Context, id finding.ID) ([]finding.ID, error)
	FindingHistory(ctx context.Context, id finding.ID, limit int, cursor string) ([]store.HistoryEntry, string, error)
	TopResources(ctx context.Context, accounts []string, n int) ([]store.Resource, error)
}

// Ranker explains priorities.
type Ranker interface {
	Explain(ctx context.Context, r store.FindingRecord) (triage.Score, error)
}

// Remediations reads remediations and their plans.
type Remediations interface {
	Remediation(ctx context.Context, id remediation.ID) (remediation.Remediation, error)
	ListRemediations(ctx context.Context, f store.RemediationFilter, limit int, cursor string) ([]remediation.Remediation, string, error)
	Plan(ctx context.Context, hash remediation.Hash) (remediation.Plan, error)
}

// Journal reads what an execution did.
type Journal interface {
	Changes(ctx context.Context, id remediation.ID) ([]remediation.Change, error)
	// Calls gives a page of the AWS calls made for a remediation, the first first.
	Calls(ctx context.Context, id remediation.ID, limit int, cursor string) ([]remediation.CallRecord, string, error)
	Steps(ctx context.Context, execution string) ([]store.Step, error)
}

// Approvals reads approvals.
type Approvals interface {
	Approval(ctx context.Context, id string) (remediation.Approval, error)
	ApprovalFor(ctx context.Context, id remediation.ID) (remediation.Approval, error)
	ListApprovals(ctx context.Context, state remediation.ApprovalState, accounts []string, limit int, cursor string) ([]remediation.Approval, string, error)
}

// Approver records a person's word on an approval.
type Approver interface {
	Grant(ctx context.Context, id, principal string, hash remediation.Hash, reason string) (remediation.Approval, error)
	Reject(ctx context.Context, id, principal string, hash remediation.Hash, reason string) (remediation.Approval, error)
}

// Requester asks for remediations. The scope of the principal has been checked.
type Requester interface {
	// RequestFix asks for a fix of a finding by a playbook; "" is the one for
	// the finding's control.
	RequestFix(ctx context.Context, id finding.ID, playbook, principal string) (remediation.ID, error)
	// RequestUndo asks for the undo of a remediation.
	RequestUndo(ctx context.Context, id remediation.ID, principal string) (remediation.ID, error)
}

// Work is what people do about findings and what is under way beside asking for a
// remediation. The scope of the principal has been checked.
type Work interface {
	// UpdateFindings changes findings of accounts as BatchUpdateFindings does.
	UpdateFindings(ctx context.Context, req triage.UpdateRequest, by string, accounts []string) (triage.UpdateResult, error)
	// StopRemediation ends what waits at once, and asks what runs to end before its next
	// step. What has ended answers code conflict.
	StopRemediation(ctx context.Context, r remediation.Remediation, principal, reason string) error
	// PlaybookFor gives the playbook that answers a control.
	PlaybookFor(control string) (playbook.Playbook, bool)
}

// Audit reads the audit log.
type Audit interface {
	// VerifyAudit recomputes the whole chain.
	VerifyAudit(ctx context.Context) (AuditReport, error)
	// AuditEntries gives up to n entries that follow index after, in order.
	AuditEntries(ctx context.Context, after int64, n int) ([]store.AuditEntry, error)
}

// Switch is the stop switch.
type Switch interface {
	StopSwitch(ctx context.Context) (on bool, reason string, err error)
	SetStopSwitch(ctx context.Context, on bool, reason string, eff store.Effects) error
}

// Keys issues and revokes keys.
type Keys interface {
	PutKey(ctx context.Context, k store.Key, eff store.Effects) error
	ListKeys(ctx context.Context) ([]store.Key, error)
	RevokeKey(ctx context.Context, accessKeyID string, eff store.Effects) error
}

// Config is what New needs. Everything without a default is required.
type Config struct {
	Findings     Findings
	Ranker       Ranker
	Remediations Remediations
	Journal      Journal
	// Redact gives a plan as people may see it, without secret values.
	Redact    func(remediation.Plan) remediation.Plan
	Approvals Approvals
	Approver  Approver
	Requester Requester
	Work      Work
	Audit     Audit
	Switch    Switch
	Keys      Keys
	Persons   Persons
	Remover   PersonRemover
	// Inviter sends invitations by mail. Default: they cannot be sent.
	Inviter Inviter
	// ConsoleURL is where people open the console, without a slash at its end. Default:
	// unknown, and the links of invitations are made by who asks.
	ConsoleURL string
	// Views are questions that people keep.
	Views Views
	// Streams carries what changes to who follows it.
	Streams *Streams
	// Joiner lets in who was invited.
	Joiner Joiner
	// Passwords lets people change their own.
	Passwords PasswordChanger
	// People signs people in and out.
	People   People
	Attacher Attacher
	Rules    Rules
	// Exceptions are accepted risks.
	Exceptions Exceptions
	// Cases are what people do about incidents.
	Cases    Cases
	Insights Insights
	// Counter counts findings.
	Counter Counter
	// Executions are those of Systems Manager's API.
	Executions Executions
	// Sources are queues and hubs, and the way in for files.
	Sources Sources
	// Guards says which guards are in force, and what is used of the budgets.
	Guards func(ctx context.Context) (GuardReport, error)
	// Controls counts what findings say about controls.
	Controls Controls
	// Detective are the regions whose findings of GuardDuty link to Amazon Detective.
	Detective []string
	// Accounts gives the accounts of the organization that are known, by id. Default:
	// none.
	Accounts func() []org.Account
	// Follower follows the organization and finds out coverage, as far as Followed and
	// Covered say; Directory is what it stores.
	Follower          Follower
	Directory         Directory
	Followed, Covered bool
	// Sweeper looks for resources that fail a control, by default in Regions.
	Sweeper Sweeper
	Regions []string
	// Channels are those of notifications.
	Channels Channels
	// Bus is the event bus.
	Bus Bus
	// Ready says why the server cannot serve, or nil. Default: always ready.
	Ready func(ctx context.Context) error
	// Version is shown in the contract. Default: dev.
	Version string
	Clock   service.Clock // default: the system's
	Random  io.Reader     // default: the operating system's
	Logger  *slog.Logger  // default: discard
}

func (c Config) check() error {
	for name, missing := range map[string]bool{
		"findings": c.Findings == nil, "ranker": c.Ranker == nil, "remediations": c.Remediations == nil, "journal": c.Journal == nil, "redact": c.Redact == nil, "approvals": c.Approvals == nil,
		"approver": c.Approver == nil, "requester": c.Requester == nil, "work": c.Work == nil, "audit": c.Audit == nil, "switch": c.Switch == nil, "keys": c.Keys == nil, "persons": c.Persons == nil, "remover": c.Remover == nil, "people": c.People == nil, "joiner": c.Joiner == nil, "passwords": c.Passwords == nil, "streams": c.Streams == nil, "views": c.Views == nil, "attacher": c.Attacher == nil, "rules": c.Rules == nil, "exceptions": c.Exceptions == nil, "cases": c.Cases == nil, "insights": c.Insights == nil, "counter": c.Counter == nil, "executions": c.Executions == nil, "guards": c.Guards == nil, "controls": c.Controls == nil, "sources": c.Sources == nil,
		"follower": c.Follower == nil, "directory": c.Directory == nil, "sweeper": c.Sweeper == nil, "channels": c.Channels == nil, "bus": c.Bus.Letters == nil || c.Bus.Shelf == nil || c.Bus.Backtest == nil || c.Bus.Preview == nil || c.Bus.Tail == nil,
	} {
		if missing {
			return fault.Errorf(fault.Internal, "make API", "%s is required", name)
		}
	}
	return nil
}

// API answers the REST API. It is a service of awsfront.
type API struct {
	cfg Config
	log *slog.Logger
	// built makes the rest with the first request: the schemas of all endpoints are a
	// good part of the memory of a server that nobody asks. One that cannot be made
	// panics for every request, and no half of them is served.
	built func()
	mux   *http.ServeMux
	huma  huma.API
	ops   []Operation
	// hashing lets one password be hashed at a time.
	hashing chan struct{}
}

// Operation is an endpoint, and the action that its caller must hold on some account;
// "" for one that anybody may ask.
type Operation struct {
	ID, Method, Path string
	Action           auth.Action
}

// Operations lists the endpoints.
func (a *API) Operations() []Operation {
	a.built()
	return slices.Clone(a.ops)
}

// New makes an API.
func New(cfg Config) (*API, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return with(cfg), nil
}

func with(cfg Config) *API {
	if cfg.Ready == nil {
		cfg.Ready = func(context.Context) error { return nil }
	}
	if cfg.Accounts == nil {
		cfg.Accounts = func() []org.Account { return nil }
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	a := &API{cfg: cfg, log: discardLogger(cfg.Logger).With("component", "api"), hashing: make(chan struct{}, 1)}
	a.built = sync.OnceFunc(a.build)
	return a
}

// build registers the endpoints.
func (a *API) build() {
	a.mux = http.NewServeMux()
	a.huma = humago.New(a.mux, contract(a.cfg.Version))
	a.registerHealth()
	a.registerSession()
	a.registerStream()
	a.registerViews()
	a.registerOverview()
	a.registerFindings()
	a.registerWork()
	a.registerSweep()
	a.registerControls()
	a.registerRemediations()
	a.registerApprovals()
	a.registerAudit()
	a.registerSwitch()
	a.registerGuards()
	a.registerKeys()
	a.registerPeople()
	a.registerInvitation()
	a.registerOwnPassword()
	a.registerDocuments()
	a.registerRules()
	a.registerExceptions()
	a.registerCases()
	a.registerInsights()
	a.registerActions()
	a.registerCounts()
	a.registerSources()
	a.registerOrganization()
	a.registerChannels()
	a.registerBus()
	// The schema of huma's own errors: reword gives ours instead.
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel")
	delete(schemas, "ErrorDetail")
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, &Problem{
			Status: http.StatusNotFound, Title: http.StatusText(http.StatusNotFound), Code: string(fault.NotFound),
			Detail: "there is no such endpoint", Hint: "the endpoints are listed in docs/openapi.yaml",
		})
	})
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.built()
	a.mux.ServeHTTP(w, r)
}

// Reads reports whether r changes nothing.
func (a *API) Reads(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

// MaxBody is the largest body that is taken.
func (a *API) MaxBody() int64 { return MaxBody }

// contract is the head of the OpenAPI document.
func contract(version string) huma.Config {
	cfg := huma.DefaultConfig("Parry", version)
	// The document is generated into docs/, not served; nothing is linked to it.
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.CreateHooks = nil
	cfg.Transformers = []huma.Transformer{reword}
	cfg.RejectUnknownQueryParameters = true
	cfg.Info.Description = "What AWS has no API for: plans, approvals, undo, audit, the stop switch and keys.\n\n" +
		"Requests are signed with AWS Signature Version 4 for the service `parry`, by a key that Parry issued. A request that changes " +
		"something is accepted once per signature. Browsers send the cookie of a session (`POST /v1/session`) instead; a request that changes\n" +
		"something must then come from the console's own origin."
	cfg.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"sigv4": {
		Type: "apiKey", Name: "Authorization", In: "header", Description: "AWS Signature Version 4, service parry, any region.",
	}, "session": {
		Type: "apiKey", Name: "parry_session", In: "cookie", Description: "The session of a person who signed in; with TLS the cookie is `__Host-parry_session`.",
	}}
	cfg.Security = []map[string][]string{{"sigv4": {}}, {"session": {}}}
	return cfg
}

// OpenAPI gives the contract as YAML, for docs/openapi.yaml.
func OpenAPI() ([]byte, error) {
	a := with(Config{})
	a.built()
	raw, err := a.huma.OpenAPI().YAML()
	if err != nil {
		return nil, fault.E(fault.Internal, "write OpenAPI document", err)
	}
	return raw, nil
}

// operation describes one endpoint.
type operation struct {
	id, method, path, summary, tag string
	// status of success; default 200.
	status int
	// body is the largest, in bytes; default MaxBody.
	body int64
}

// register adds an endpoint whose caller must hold action on some account, which is
// looked at before anything of the request is read. The handler checks the account
// itself.
func register[I, O any](a *API, op operation, action auth.Action, handle func(ctx context.Context, p auth.Principal, in *I) (*O, error)) {
	described := a.describe(op, action)
	described.Middlewares = huma.Middlewares{a.permit(action)}
	huma.Register(a.huma, described, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, auth.PrincipalFrom(ctx), in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

// permit refuses whoever does not hold action. What a request says, and whether it keeps
// the contract, is not for them to learn.
func (a *API) permit(action auth.Action) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		err := auth.Permit(auth.PrincipalFrom(ctx.Context()), action)
		if err == nil {
			next(ctx)
			return
		}
		p := a.problem(ctx.Context(), err)
		ctx.SetHeader("Content-Type", p.ContentType(""))
		ctx.SetStatus(p.Status) // which sends the headers
		if err := json.NewEncoder(ctx.BodyWriter()).Encode(p); err != nil {
			a.log.DebugContext(ctx.Context(), "a refusal was not read", "error", err)
		}
	}
}

func (a *API) describe(op operation, action auth.Action) huma.Operation {
	a.ops = append(a.ops, Operation{op.id, op.method, op.path, action})
	if op.body == 0 {
		op.body = MaxBody
	}
	if op.status == 0 {
		op.status = http.StatusOK
	}
	registry := a.huma.OpenAPI().Components.Schemas
	return huma.Operation{
		OperationID: op.id, Method: op.method, Path: op.path, Summary: op.summary, Tags: []string{op.tag},
		DefaultStatus: op.status, MaxBodyBytes: op.body,
		// The front has read the body. A deadline on the connection would outlive
		// the reading and cancel a handler that takes longer.
		BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{"default": {
			Description: "Error",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: registry.Schema(problemType(), true, "Problem")}},
		}},
	}
}

// notFound is the answer for what is not there and for what is out of reach.
func notFound(what, id, hint string) error {
	return fault.Errorf(fault.NotFound, "", "there is no %s %q within your accounts", what, id).WithHint("%s", hint)
}
