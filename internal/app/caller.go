package app

import (
	"context"
	"log/slog"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// gateNeeds is what a gate takes from its surroundings.
type gateNeeds struct {
	stop   func(context.Context) (on bool, reason string, err error)
	key    []byte // of the marks that stand for secrets; nil = a random one
	record func(remediation.CallRecord)
	local  map[string]awsapi.Local // what Parry answers itself
	log    *slog.Logger
	own    awsapi.Credentials // what the process calls with; zero = the default chain
	guards *awsapi.Guards     // nil = those of the configuration
	live   *org.Live          // the accounts as they are now; nil = those of the configuration
}

// newGate opens the gate of cfg over client.
func newGate(cfg config.Config, client *awsapi.Client, models *apimodel.Catalog, n gateNeeds) (*awsapi.Gate, error) {
	if n.live == nil {
		n.live = org.NewLive(cfg.Organization.Accounts)
	}
	if n.guards == nil {
		own := guards(cfg)
		n.guards = &own
	}
	return awsapi.New(awsapi.Config{
		Sender: client, Models: models, Validate: client.Validate,
		Credentials: credentials(client, n.own), ExternalID: func(string) string { return cfg.Organization.ExternalID },
		ReadPolicies: cfg.Organization.ReadPolicies, Region: cfg.Organization.HomeRegion, Guards: *n.guards, Account: n.live.Account, Budgets: awsapi.Budgets(cfg.Guards.Budgets),
		StopSwitch: n.stop, RedactionKey: n.key, Record: n.record, Local: n.local, Logger: n.log,
	})
}

// credentials gives own, or what AWS's default chain finds.
func credentials(client *awsapi.Client, own awsapi.Credentials) *awsapi.CredentialSource {
	if own.Valid() {
		return awsapi.NewStaticCredentials(client, own)
	}
	return awsapi.NewCredentialSource(client)
}

// guards puts the default denies of design.md decision 6 around what the
// configuration says.
func guards(cfg config.Config) awsapi.Guards {
	g := awsapi.Guards{
		ManagementAccount: cfg.Organization.ManagementAccount,
		OwnResources:      cfg.Guards.Resources,
		BreakGlass:        cfg.Guards.BreakGlass,
		Allow:             cfg.Guards.Allow,
		Deny:              cfg.Guards.Deny,
		Organization:      cfg.Organization.Sync.Enabled,
	}
	if cfg.Organization.MemberRole != "" {
		g.OwnRoles = []string{cfg.Organization.MemberRole}
	}
	for _, a := range cfg.Organization.Accounts {
		g.Accounts = append(g.Accounts, a.ID)
	}
	for _, ch := range cfg.Channels {
		if ch.Topic != "" {
			g.OwnResources = append(g.OwnResources, ch.Topic)
		}
	}
	for _, q := range cfg.Sources.Queues {
		g.OwnResources = append(g.OwnResources, q.ARN())
	}
	return g
}

// Caller makes single calls for a person at a terminal: the gate without a
// server. The person's --yes is the approval of a plan of one call.
type Caller struct {
	gate   *awsapi.Gate
	client *awsapi.Client
	id     awsapi.Identity
}

// CallResult is an answer, or the plan of a change that was not sent.
type CallResult struct {
	Output  map[string]any
	Planned *remediation.PlannedCall
}

// NewCaller opens a gate on cfg for person, whose name goes into the sessions as
// source identity. Without accounts in cfg every account is allowed.
func NewCaller(cfg config.Config, person string, logger *slog.Logger) (*Caller, error) {
	models, err := apimodel.Load()
	if err != nil {
		return nil, err
	}
	client, err := newClient(cfg, awsapi.ClientConfig{Models: models, Logger: logger})
	if err != nil {
		return nil, err
	}
	if len(cfg.Organization.Accounts) == 0 {
		cfg.Organization.Accounts = []org.Account{{ID: "*"}} // a terminal without a configuration: AWS alone decides
	}
	return openCaller(cfg, client, models, guards(cfg), person, logger)
}

func openCaller(cfg config.Config, client *awsapi.Client, models *apimodel.Catalog, limits awsapi.Guards, person string, logger *slog.Logger) (*Caller, error) {
	off := func(context.Context) (bool, string, error) { return false, "", nil }
	gate, err := newGate(cfg, client, models, gateNeeds{stop: off, log: logger, guards: &limits})
	if err != nil {
		return nil, err
	}
	return &Caller{gate: gate, client: client, id: awsapi.Identity{Role: cfg.Organization.MemberRole, SessionName: "parry-aws-call", SourceIdentity: person}}, nil
}

// Close lets go of connections.
func (c *Caller) Close() { c.client.Close() }

// PlannedChange is the plan of one change that was not sent: what Shown says, without
// secrets, is what Send sends.
type PlannedChange struct {
	Shown remediation.PlannedCall
	call  apimodel.Call
	plan  *remediation.Plan
	hash  remediation.Hash
}

// Call sends a read; a change is planned, and sent only with yes.
func (c *Caller) Call(ctx context.Context, call apimodel.Call, planOnly, yes bool) (CallResult, error) {
	planned, output, err := c.Plan(ctx, call)
	if err != nil || planned == nil {
		return CallResult{Output: output}, err
	}
	if planOnly || !yes {
		return CallResult{Planned: &planned.Shown}, nil
	}
	output, err = c.Send(ctx, planned)
	return CallResult{Output: output}, err
}

// Plan sends a read and gives its output; a change is planned and not sent.
func (c *Caller) Plan(ctx context.Context, call apimodel.Call) (*PlannedChange, map[string]any, error) {
	planner := c.gate.Planning(c.id, awsapi.PlanOptions{})
	reply, err := planner.Call(ctx, "call", call)
	if err != nil {
		return nil, nil, err
	}
	calls := planner.Calls()
	planned := calls[len(calls)-1]
	if !planned.Class.NeedsApproval() {
		return nil, reply.Output, nil
	}
	p := &remediation.Plan{Remediation: "aws-call", Kind: remediation.KindFix, Role: c.id.Role, GuardsRevision: c.gate.GuardsRevision(), Calls: calls}
	hash, err := p.Hash()
	if err != nil {
		return nil, nil, err
	}
	return &PlannedChange{Shown: c.gate.RedactedCall(planned), call: call, plan: p, hash: hash}, nil, nil
}

// Send sends a change as it was planned; the person's word is its approval.
func (c *Caller) Send(ctx context.Context, p *PlannedChange) (map[string]any, error) {
	session := c.gate.Applying(c.id, awsapi.Authority{
		Remediation: p.plan.Remediation, Execution: service.RandomIDs{}.NewID("call"), Plan: p.plan, Hash: p.hash,
		Fence: func(context.Context) error { return nil }, Recorder: &memoryRecorder{changes: map[string]remediation.Change{}},
	})
	reply, err := session.Call(ctx, "call", p.call)
	return reply.Output, err
}

// Paginate reads all pages of a listing. An operation that is no read is denied.
func (c *Caller) Paginate(ctx context.Context, call apimodel.Call, o awsapi.PageOptions) (map[string]any, error) {
	all, err := c.gate.PaginateAll(ctx, c.gate.ReadOnly(c.id), call, o)
	return all.Output, err
}

// Wait waits until a resource is in the state that waiter is for.
func (c *Caller) Wait(ctx context.Context, waiter string, call apimodel.Call, o awsapi.WaitOptions) error {
	return c.gate.Wait(ctx, c.gate.ReadOnly(c.id), waiter, call, o)
}

// memoryRecorder keeps the changes of one process: a call from a terminal is
// not resumed.
type memoryRecorder struct {
	mu      sync.Mutex
	changes map[string]remediation.Change
}

func (m *memoryRecorder) put(c remediation.Change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changes[c.ID] = c
	return nil
}

// RecordIntent keeps c.
func (m *memoryRecorder) RecordIntent(_ context.Context, c remediation.Change) error { return m.put(c) }

// RecordOutcome keeps c.
func (m *memoryRecorder) RecordOutcome(_ context.Context, c remediation.Change) error {
	return m.put(c)
}

// Change gives what was kept.
func (m *memoryRecorder) Change(_ context.Context, id string) (remediation.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.changes[id]
	if !ok {
		return c, store.ErrNotFound
	}
	return c, nil
}
