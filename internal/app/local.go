package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// LocalConfig is what one person's process needs to run documents by itself.
type LocalConfig struct {
	// Config gives guards, budgets, rates and the data directory. Its organization,
	// policies and document rules are not used: the caller's own account and
	// credentials are all that there is.
	Config config.Config
	// Region is where documents run. Default: organization.home_region.
	Region  string
	Version string
	Logger  *slog.Logger // default: discard
	// AnyAccount lets calls be made as roles in other accounts too, as far as AWS lets
	// them. Default false.
	AnyAccount bool
	// Emulator, when set, is the AWS that is called, with its keys for Account,
	// whatever the environment says.
	Emulator *Emulator
	Account  string

	// resume is the directory of a run to go on with: see ResumeLocal.
	resume string
}

// environment is what stands for the process's own environment and credentials;
// zero = nothing does.
type environment struct {
	getenv func(string) string
	own    awsapi.Credentials
}

func (lc LocalConfig) environment(ctx context.Context) (environment, error) {
	if lc.Emulator == nil {
		return environment{}, nil
	}
	own, err := lc.Emulator.Keys(ctx, lc.Account)
	return environment{lc.Emulator.Getenv, own}, err
}

// Local is a server without a port, on a database of its own, that runs documents
// with the credentials of the process. Whoever runs it approves.
type Local struct {
	*Server
	// Account and ARN are whose credentials these are, Principal is the last part of
	// the ARN.
	Account, ARN, Principal, Region string
}

// maxLocal is how many processes of one data directory run documents at once.
const maxLocal = 32

// NewLocal finds out whose credentials the process has, takes a free directory below
// the data directory and builds a server there. Start starts it; Stop frees it.
//
// Processes that run at once, and an unfinished run, have a directory each: "local",
// "local-1" and so on. So none waits for another, none can spoil another's, and a
// server on the same data directory is not touched.
func NewLocal(ctx context.Context, lc LocalConfig) (*Local, error) {
	if lc.Logger == nil {
		lc.Logger = slog.New(slog.DiscardHandler)
	}
	cfg := lc.Config
	if lc.Region == "" {
		lc.Region = cfg.Organization.HomeRegion
	}
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	env, err := lc.environment(ctx)
	if err != nil {
		return nil, err
	}
	l := &Local{Region: lc.Region}
	if err := l.whoAmI(ctx, cfg, models, lc, env); err != nil {
		return nil, err
	}
	cfg.Organization = org.Organization{
		Partition: apimodel.Partition(lc.Region), HubAccount: l.Account, HomeRegion: lc.Region, Accounts: []org.Account{{ID: l.Account, Name: "own"}},
	}
	if lc.AnyAccount {
		cfg.Organization.Accounts = append(cfg.Organization.Accounts, org.Account{ID: "*"})
	}
	cfg.Policies, cfg.Documents, cfg.BusRules, cfg.Channels, cfg.AutomationRules, cfg.Database = nil, nil, nil, nil, nil, ""
	if lc.resume != "" {
		cfg.DataDir = lc.resume
		l.Server, err = newLocalServer(ctx, cfg, lc, models, env)
		if fault.Is(err, fault.Conflict) {
			return nil, fault.Errorf(fault.Conflict, "go on with the run", "another process does so, or uses %s", cfg.DataDir).WithHint("let it end, or stop it")
		}
		return l, err
	}
	base := cfg.DataDir
	for n := range maxLocal {
		cfg.DataDir = localDir(base, n)
		l.Server, err = newLocalServer(ctx, cfg, lc, models, env)
		if err == nil || !fault.Is(err, fault.Conflict) {
			return l, err
		}
	}
	return nil, fault.Errorf(fault.Exhausted, "run documents in "+base, "%d other processes do so, or left runs unfinished", maxLocal).
		WithHint("see: parry runbook executions; go on with a run, or end it: parry runbook resume EXECUTION; or set PARRY_DATA_DIR to another directory")
}

// whoAmI asks AWS whose credentials the process has.
func (l *Local) whoAmI(ctx context.Context, cfg config.Config, models *apimodel.Catalog, lc LocalConfig, env environment) error {
	client, err := newClient(cfg, awsapi.ClientConfig{Models: models, Logger: lc.Logger, Getenv: env.getenv})
	if err != nil {
		return err
	}
	defer client.Close()
	cfg.Organization = org.Organization{Partition: apimodel.Partition(lc.Region), HomeRegion: lc.Region, Accounts: []org.Account{{ID: "*"}}}
	gate, err := newGate(cfg, client, models, gateNeeds{stop: noStop, log: lc.Logger, own: env.own})
	if err != nil {
		return err
	}
	reply, err := gate.ReadOnly(awsapi.Identity{SessionName: "parry-local"}).Call(ctx, "whoami", apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Region: lc.Region})
	if err != nil {
		return fault.E(fault.CodeOf(err), "find out whose credentials these are", err).
			WithHint("give AWS credentials by the environment, a profile or SSO, or start the document on a server: PARRY_ENDPOINT")
	}
	l.Account, _ = reply.Output["Account"].(string)
	l.ARN, _ = reply.Output["Arn"].(string)
	l.Principal = l.ARN[strings.LastIndexAny(l.ARN, "/:")+1:]
	if l.Account == "" || l.Principal == "" {
		return fault.Errorf(fault.Internal, "find out whose credentials these are", "AWS answered without an account")
	}
	return nil
}

func noStop(context.Context) (bool, string, error) { return false, "", nil }

// newLocalServer builds a server in a directory that nobody else uses. Code conflict
// says that somebody does.
func newLocalServer(ctx context.Context, cfg config.Config, lc LocalConfig, models *apimodel.Catalog, env environment) (*Server, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fault.E(fault.Unavailable, "make the data directory", err).WithHint("set PARRY_DATA_DIR to a directory that this user may write")
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, version: lc.Version, clock: service.SystemClock{}, ids: service.RandomIDs{}, log: lc.Logger, failed: make(chan error, 1),
		released: map[string]bool{}, lock: lock, local: true, models: models, env: env,
	}
	s.node = s.ids.NewID("local")
	if err = s.open(ctx); err == nil && lc.resume == "" {
		err = s.unfinished(ctx)
	}
	if err == nil {
		err = s.build(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// unfinished answers code conflict when an earlier process left something under way.
func (s *Server) unfinished(ctx context.Context) error {
	for _, state := range []remediation.State{remediation.Planned, remediation.Queued, remediation.Running, remediation.Verifying} {
		left, _, err := s.store.ListRemediations(ctx, store.RemediationFilter{Accounts: store.AllAccounts(), State: state}, 1, "")
		if err != nil {
			return err
		}
		if len(left) > 0 {
			s.log.WarnContext(ctx, "an earlier run did not end and is left as it is; see: parry runbook executions", "remediation", left[0].ID, "state", state, "dir", s.cfg.DataDir)
			return fault.Errorf(fault.Conflict, "use "+s.cfg.DataDir, "%s is %s", left[0].ID, state)
		}
	}
	return nil
}

// StartRun asks for a run in the caller's own account. run.Document.Content is the
// document, or run.Document.Name one of the catalog.
func (l *Local) StartRun(ctx context.Context, run remediation.Run) (execution string, id remediation.ID, err error) {
	if run.Account == "" {
		run.Account = l.Account
	}
	if run.Region == "" {
		run.Region = l.Region
	}
	return l.stages.desk.RequestRun(ctx, run, l.Principal)
}

// PutAttachment keeps a file that a document declares, for the runs of this process.
func (l *Local) PutAttachment(ctx context.Context, content []byte) (sha256 string, err error) {
	return l.store.PutBlob(ctx, store.ExecutionBlobs("local"), content)
}

// pollEvery is how often Await looks.
const pollEvery = 20 * time.Millisecond

// Await gives the remediation once it is in a state that done accepts, or has ended.
func (l *Local) Await(ctx context.Context, id remediation.ID, done func(remediation.Remediation) bool) (remediation.Remediation, error) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		r, err := l.store.Remediation(ctx, id)
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return r, err
		case err == nil && (r.State.Final() || done != nil && done(r)):
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fault.E(fault.Unavailable, "wait for "+string(id), context.Cause(ctx))
		case <-l.Lost():
			return r, fault.Errorf(fault.Unavailable, "wait for "+string(id), "this process lost its lease")
		case <-tick.C:
		}
	}
}

// Planned waits for the plan of a run and gives it as people may see it. The
// remediation says whether it waits for approval, runs already because it changes
// nothing, or failed to be planned; the plan is then nil.
func (l *Local) Planned(ctx context.Context, id remediation.ID) (remediation.Remediation, *remediation.Plan, error) {
	r, err := l.Await(ctx, id, func(r remediation.Remediation) bool { return r.State != remediation.Planned })
	if err != nil || r.PlanHash == "" {
		return r, nil, err
	}
	p, err := l.store.Plan(ctx, r.PlanHash)
	if err != nil {
		return r, nil, err
	}
	shown := l.gate.Redacted(p)
	return r, &shown, nil
}

// Approve lets a run go on, as the person whose credentials these are.
func (l *Local) Approve(ctx context.Context, r remediation.Remediation) error {
	a, err := l.store.ApprovalFor(ctx, r.ID)
	if err != nil {
		return err
	}
	_, err = l.stages.approve.Grant(ctx, a.ID, l.Principal, r.PlanHash, "")
	return err
}

// Withdraw ends a run that waits for approval.
func (l *Local) Withdraw(ctx context.Context, r remediation.Remediation) error {
	return l.stages.approve.Withdraw(ctx, r.ID, l.Principal, "")
}

// Execution gives an execution with its steps, and the children of a run on targets,
// as they are now.
func (l *Local) Execution(ctx context.Context, id string) (ssm.Shown, error) {
	x := executions{l.store}
	e, err := x.AutomationExecution(ctx, id)
	if err != nil {
		return ssm.Shown{}, err
	}
	out := ssm.Shown{Execution: e, Partition: l.cfg.Organization.Partition, Account: l.Account}
	out.Steps, err = everyPage(func(cursor string) ([]remediation.StepExecution, string, error) {
		return x.ListStepExecutions(ctx, id, remediation.StepFilter{}, 200, cursor)
	})
	if err != nil || !e.OnTargets {
		return out, err
	}
	out.Targets, err = everyPage(func(cursor string) ([]remediation.Execution, string, error) {
		return x.ListAutomationExecutions(ctx, remediation.ExecutionFilter{Accounts: store.AllAccounts(), Parents: []string{id}, Oldest: true}, 200, cursor)
	})
	return out, err
}

// everyPage reads a list to its end.
func everyPage[T any](read func(cursor string) ([]T, string, error)) (all []T, err error) {
	for cursor := ""; ; {
		page, next, err := read(cursor)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" {
			return all, nil
		}
		cursor = next
	}
}

// Signal asks something of an execution; Kind is one of automation's signals.
func (l *Local) Signal(ctx context.Context, execution, kind, step, comment string) error {
	return l.stages.execute.Signal(ctx, store.Signal{Execution: execution, Kind: kind, Step: step, By: l.Principal, Comment: comment})
}

// DecideStep gives the person's word on a step that asks for approval. The document
// says who may; the caller counts as its ARN.
func (l *Local) DecideStep(ctx context.Context, execution, step string, grant bool, comment string) error {
	a, err := l.store.ApprovalOfStep(ctx, execution, step)
	if err != nil {
		return err
	}
	say := l.stages.approve.Reject
	if grant {
		say = l.stages.approve.Grant
	}
	_, err = say(ctx, a.ID, l.Principal, a.Plan, comment)
	return err
}

// PutDocument makes a document known by name, so that others can start it as a child.
// One that is known by this name gets a new version, which is the default.
func (l *Local) PutDocument(ctx context.Context, name, content string) error {
	doc, err := runbook.Parse([]byte(content))
	if err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	d := runbook.Stored{
		Name: name, Format: "YAML", Content: content, Revision: runbook.Revision([]byte(content)), SchemaVersion: doc.SchemaVersion,
		CreatedBy: l.Principal, CreatedAt: l.clock.Now(),
	}
	err = l.stages.documents.CreateDocument(ctx, d, maxLocalDocuments, store.Effects{})
	if !errors.Is(err, store.ErrExists) {
		return err
	}
	head, err := l.store.Document(ctx, name)
	if err != nil {
		return err
	}
	versions, err := l.store.DocumentVersions(ctx, name, 0, 1000)
	if err != nil {
		return err
	}
	for _, v := range versions {
		if v.Revision == d.Revision {
			return l.stages.documents.SetDefaultVersion(ctx, name, v.Version, store.Effects{})
		}
	}
	d.Latest = head.Latest
	if err := l.stages.documents.AddDocumentVersion(ctx, d, store.MaxDocumentVersions, store.Effects{}); err != nil {
		return err
	}
	return l.stages.documents.SetDefaultVersion(ctx, name, head.Latest+1, store.Effects{})
}

// maxLocalDocuments bounds the documents of one directory.
const maxLocalDocuments = 5000
