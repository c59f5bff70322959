package awsapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
)

// The errors by which a stage tells refusals apart.
var (
	// ErrNotInPlan says that a change was not the next one that the approved plan
	// holds for its step. Nothing was sent.
	ErrNotInPlan = errors.New("not in the plan")
	// ErrSuperseded says that the world is no longer what the plan was made for.
	// Nothing was sent; a new plan is needed.
	ErrSuperseded = errors.New("plan superseded")
	// ErrUncertain says that a change may or may not have been made and that
	// reading back did not tell. A person must look.
	ErrUncertain = errors.New("outcome unknown")
	// ErrStopped says that the stop switch is on or cannot be read. Nothing was sent.
	ErrStopped = errors.New("stopped")
)

// sender sends one call with given credentials: *Client.
type sender interface {
	Send(ctx context.Context, creds Credentials, c apimodel.Call) (apimodel.Reply, error)
}

// models knows every operation: *apimodel.Catalog.
type models interface {
	// Find takes any spelling that boto3 accepts.
	Find(service, operation string) (*apimodel.Service, *apimodel.Operation, error)
	// Service takes any spelling too.
	Service(name string) (*apimodel.Service, error)
	// ClassifyCall says what a call may do; what it does not know is a change.
	ClassifyCall(c apimodel.Call) apimodel.Class
	// Grants gives the resources that a call is about, with * for what its input
	// does not tell.
	Grants(c apimodel.Call) ([]apimodel.Grant, error)
}

// Config is what a Gate needs.
type Config struct {
	// Sender sends what the gate lets through. Required.
	Sender sender
	// Models knows every operation. Required.
	Models models
	// Validate checks a call against its model without sending it, with the texts
	// of botocore's ParamValidation. Nil asks the sender, where it can.
	Validate func(apimodel.Call) error
	// Credentials gives the process's credentials and assumes roles. Required.
	Credentials credentialSource
	// WideSessions leaves out the session policies that narrow an apply session to
	// what its plan needs.
	WideSessions bool
	// ReadPolicies are ARNs of managed policies (at most 10) that narrow sessions
	// which only read, such as ReadOnlyAccess. None: the role alone decides.
	ReadPolicies []string
	// ExternalID gives the external id of an account's organization; nil = none.
	ExternalID func(account string) string
	// Region is used where a call names none. Default us-east-1.
	Region string
	// Guards are the limits that no plan may pass.
	Guards Guards
	// Account gives what is known of an account, now: rules that name units or
	// tags of accounts ask at every call, so an account that moved between plan and
	// apply is held against where it is. Nil knows none.
	Account func(id string) (org.Account, bool)
	// StopSwitch is read before every change; an error counts as on. Nil refuses
	// every change, since a switch that is not there cannot be read.
	StopSwitch func(ctx context.Context) (on bool, reason string, err error)
	Clock      service.Clock // default service.SystemClock
	IDs        service.IDs   // default service.RandomIDs
	Logger     *slog.Logger  // nil discards
	// Record is told of every call that was sent or refused, except of a change
	// under a plan, which the ChangeRecorder keeps. Nil keeps no record.
	Record func(remediation.CallRecord)
	// RedactionKey is the installation's key of the digests that stand for secret
	// values and inputs, at least 16 bytes. Nil takes a random one, so that marks of
	// two processes cannot be compared.
	RedactionKey []byte
	// Observe is told of every call, for metrics. Nil tells nobody.
	Observe func(Event)
	// Budgets bound how many changes leave.
	Budgets Budgets
	// Local answers, in place of AWS, the operations of which Parry has its own:
	// "ssm:StartAutomationExecution", as the model spells it. Nil: AWS answers everything.
	Local map[string]Local
	// ReadOnly is the gate's read-only mode: whatever a session may do, nothing but
	// reads leaves, and EC2 is not asked for a verdict on changes either.
	ReadOnly bool
	// MaxSends bounds how often one change is sent when answers are lost. Default 3.
	MaxSends int
	// MaxPlannedCalls bounds a plan. Default 500.
	MaxPlannedCalls int
	// MaxRunCalls bounds a plan that asks for more, as a run on many targets does.
	// Default 10,000.
	MaxRunCalls int
	// MaxOpenChanges bounds the changes that an open plan lets be made beyond those
	// that it holds. Default 100.
	MaxOpenChanges int
}

// Event is one call as metrics see it: bounded sets only, no account, no resource.
type Event struct {
	Mode      Mode
	Service   string
	Operation string
	Class     apimodel.Class
	Outcome   string // "ok", "aws_error", "denied", "superseded", "uncertain", "error"
	Duration  time.Duration
}

// Mode says under which right a session calls.
type Mode string

// The modes of a session.
const (
	ModeRead  Mode = "read"
	ModePlan  Mode = "plan"
	ModeApply Mode = "apply"
	ModeOwn   Mode = "own"
)

// Gate is the one way to AWS (design.md decision 2). A call passes: resolve,
// validate, classify, guard, throttle (in the client), record intent and
// before-image, send, record outcome. Safe for concurrent use.
type Gate struct {
	cfg   Config
	log   *slog.Logger
	creds *credentialCache
	guard guardSet

	redact *apimodel.Redactor
	// derive gives the permissions of calls; nil where sessions are not narrowed.
	derive deriver
	// taken keeps what was derived from the plans that are applied.
	taken takenPlans
}

// New checks cfg, fills its defaults and gives a gate. It sends nothing.
func New(cfg Config) (*Gate, error) {
	const op = "open gate"
	switch {
	case cfg.Sender == nil:
		return nil, fault.Errorf(fault.Invalid, op, "no sender")
	case cfg.Models == nil:
		return nil, fault.Errorf(fault.Invalid, op, "no models")
	case cfg.Credentials == nil:
		return nil, fault.Errorf(fault.Invalid, op, "no credentials")
	}
	// A damaged image table would only make every change irreversible; better
	// that the process says so than that people wonder.
	if err := errors.Join(apimodel.CheckImages(), apimodel.CheckPolicies()); err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	if len(cfg.ReadPolicies) > maxReadPolicies {
		return nil, fault.Errorf(fault.Invalid, op, "%d read policies; STS takes %d", len(cfg.ReadPolicies), maxReadPolicies)
	}
	guards, err := cfg.Guards.compile(cfg.Account)
	if err != nil {
		return nil, err
	}
	if v, ok := cfg.Sender.(interface{ Validate(apimodel.Call) error }); ok && cfg.Validate == nil {
		cfg.Validate = v.Validate
	}
	if cfg.ReadOnly {
		cfg.Sender = readOnlySender{cfg.Sender, cfg.Models}
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Budgets = cfg.Budgets.withDefaults()
	if cfg.MaxSends <= 0 {
		cfg.MaxSends = 3
	}
	if cfg.MaxPlannedCalls <= 0 {
		cfg.MaxPlannedCalls = 500
	}
	if cfg.MaxRunCalls <= 0 {
		cfg.MaxRunCalls = max(10_000, cfg.MaxPlannedCalls)
	}
	if cfg.MaxOpenChanges <= 0 {
		cfg.MaxOpenChanges = 100
	}
	redact, err := newRedactor(cfg.RedactionKey)
	if err != nil {
		return nil, fault.E(fault.Invalid, op, err)
	}
	g := &Gate{cfg: cfg, log: cfg.Logger.With("component", "gate"), guard: guards, redact: redact}
	if err := checkLocals(cfg.Local); err != nil {
		return nil, err
	}
	g.creds = newCredentialCache(g)
	if d, ok := cfg.Models.(deriver); ok && !cfg.WideSessions {
		g.derive = d
	}
	return g, nil
}

func newRedactor(key []byte) (*apimodel.Redactor, error) {
	if key == nil {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	return apimodel.NewRedactor(key)
}

// GuardsRevision is the SHA-256 of the guards in force, for remediation.Plan.
func (g *Gate) GuardsRevision() string { return g.guard.revision }

// request is a resolved call: names as boto3 spells them, account and region
// filled in, class known.
type request struct {
	apimodel.Call
	svc   *apimodel.Service
	op    *apimodel.Operation
	class apimodel.Class
	id    Identity // as whom it is made
	by    *origin  // who makes it; set by the session
}

// resolve brings a call to the one spelling in which it is compared and sent.
func (g *Gate) resolve(ctx context.Context, id Identity, mode Mode, c apimodel.Call) (request, error) {
	const op = "resolve call"
	svc, model, err := g.cfg.Models.Find(c.Service, c.Operation)
	if err != nil {
		return request{}, err
	}
	r := request{Call: c, svc: svc, op: model, id: id}
	input, err := ownCopy(c.Input, 0)
	if err != nil {
		return request{}, fault.E(fault.Invalid, "call "+svc.Name+":"+model.Name, err)
	}
	r.Input, _ = input.(map[string]any)
	r.Service, r.Operation = svc.Name, model.Name
	r.class = g.cfg.Models.ClassifyCall(r.Call)
	if !r.class.Valid() {
		r.class = apimodel.Change
	}
	if r.Input == nil {
		r.Input = map[string]any{}
	}
	if r.Region == "" {
		r.Region = g.cfg.Region
	}
	if id.Role != "" {
		if r.Account == "" {
			return request{}, fault.Errorf(fault.Invalid, op, "%s:%s names no account to assume role %s in", r.Service, r.Operation, id.Role).
				WithHint("name the account, for example with --account")
		}
		return r, nil
	}
	if r.Account == "" && mode == ModeRead {
		return r, nil // saves the look-up of who we are
	}
	own, err := g.creds.processAccount(ctx)
	if err != nil {
		return request{}, err
	}
	switch r.Account {
	case "":
		r.Account = own
	case own:
	default:
		return request{}, fault.Errorf(fault.Denied, op, "account %s is not the account of this process's credentials, and no role was named", r.Account).
			WithHint("set the member role in parry.yaml (org.role), or use credentials of account %s", r.Account)
	}
	return r, nil
}

// ownCopy copies an input into maps and lists of one kind, so that what is
// compared with the plan is what is sent, whatever the caller does meanwhile.
func ownCopy(v any, depth int) (any, error) {
	if depth > maxInputDepth {
		return nil, fmt.Errorf("the input is nested deeper than %d", maxInputDepth)
	}
	if m, ok := asMap(v); ok {
		out := make(map[string]any, len(m))
		for k, x := range m {
			c, err := ownCopy(x, depth+1)
			if err != nil {
				return nil, err
			}
			out[k] = c
		}
		return out, nil
	}
	if list, ok := asList(v); ok {
		out := make([]any, len(list))
		for i, x := range list {
			c, err := ownCopy(x, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	}
	if b, ok := v.([]byte); ok {
		return bytes.Clone(b), nil
	}
	return v, nil
}

// validate checks a resolved call against its model.
func (g *Gate) validate(r request) error {
	if g.cfg.Validate == nil {
		return nil
	}
	return g.scrub(r, g.cfg.Validate(r.Call))
}

// errNotSent marks an error that came before anything left the process.
var errNotSent = errors.New("nothing was sent")

// permit is the last question before a change leaves: is the stop switch off,
// and does this node still hold the lease. Anything unreadable means no. What
// the switch refuses is held, not lost: see HeldError.
func (g *Gate) permit(ctx context.Context, fence func(context.Context) error) error {
	const op = "read stop switch"
	if g.cfg.StopSwitch == nil {
		return fault.E(fault.Denied, op, errors.Join(ErrStopped, errors.New("no stop switch is configured")))
	}
	on, reason, err := g.cfg.StopSwitch(ctx)
	if err != nil {
		return &HeldError{After: stopPause, Err: fault.E(fault.Unavailable, op, errors.Join(ErrStopped, err)).
			WithHint("no change is sent while the stop switch cannot be read; check the database")}
	}
	if on {
		return &HeldError{After: stopPause, Err: fault.Errorf(fault.Denied, op, "%w: %s", ErrStopped, reason).
			WithHint("the stop switch is on; an administrator turns it off with `parry stop off`")}
	}
	if fence == nil {
		return fault.Errorf(fault.Denied, "check lease", "no lease to check")
	}
	if err := fence(ctx); err != nil {
		return &fault.Error{Code: fault.CodeOf(err), Op: "check lease", Err: err, Hint: fault.HintOf(err)}
	}
	return nil
}
