package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// RunStore gives what was asked for, and keeps the steps of what could not be planned.
type RunStore interface {
	Execution(ctx context.Context, id string) (store.ExecutionRecord, error)
	Blob(ctx context.Context, sha256 string) ([]byte, error)
	PutProgress(ctx context.Context, steps []store.Step, at []store.Progress, eff store.Effects) error
}

// Rehearser interprets a document that somebody started, with every change
// recorded and none sent.
type Rehearser interface {
	Rehearse(ctx context.Context, r Rehearsal) (Rehearsed, error)
}

// Rehearsal is a run to plan.
type Rehearsal struct {
	Run        *remediation.Run
	Document   *runbook.Document
	Parameters map[string]any // resolved
	Role       string         // ARN; "" = the organization's member role
	Where      remediation.Remediation
	Planner    Planner
}

// Rehearsed is what planning a run found beside its calls.
type Rehearsed struct {
	// Open is not empty when planning could not go on; Beyond is then what may still
	// be called.
	Open   string
	Beyond []remediation.Allowance
	// Documents are those of the children, Attachments the files that scripts need.
	Documents   []remediation.Runbook
	Attachments []remediation.Attachment
	// Stored are the Parameter Store values that children take.
	Stored map[string]any
	// Targets are those that were found, by the digest of what was asked for.
	Targets map[string]json.RawMessage
	// Steps are those that planning came to; they are given with an error only.
	Steps []store.Step
}

// stepsError is a run that could not be planned, with the steps that tell why.
type stepsError struct {
	error
	steps []store.Step
}

func (e *stepsError) Unwrap() error { return e.error }

// run plans a document that somebody started.
func (s *Stage) run(ctx context.Context, req remediation.Request) error {
	if req.Run == nil || s.Runs == nil || s.Rehearse == nil {
		return fault.Terminal(fault.Errorf(fault.Invalid, "plan run", "the request %s names no run, or this stage plans none", req.ID))
	}
	e, err := s.Runs.Execution(ctx, req.Run.Execution)
	if fault.Is(err, fault.NotFound) {
		return fault.Terminal(err)
	}
	if err != nil {
		return err
	}
	if e.Of.Run == nil || e.Remediation != req.ID {
		return fault.Terminal(fault.Errorf(fault.Invalid, "plan run", "execution %s is not what request %s asks for", e.ID, req.ID))
	}
	run := *e.Of.Run
	r := remediation.Remediation{
		CreatedAt: s.now(),
		ID:        req.ID, Kind: remediation.KindRun, Runbook: run.Document.Name, Account: run.Account, Region: run.Region, Execution: e.ID,
		Resource:    fmt.Sprintf("arn:%s:ssm:%s:%s:automation-execution/%s", apimodel.Partition(run.Region), run.Region, run.Account, e.ID),
		RequestedBy: req.RequestedBy,
	}
	if !e.EndedAt.IsZero() {
		r.State, r.Reason = remediation.Cancelled, "it was stopped before it was planned"
		return s.save(ctx, r, nil, r.Title())
	}
	p, err := s.rehearse(ctx, r, run)
	if err != nil {
		return s.refuseRun(ctx, r, err)
	}
	return s.seal(ctx, r, p, r.Title())
}

// refuseRun is refuse for a run, whose execution then shows the step that failed. The
// steps are written first: a crash between leaves a request that is planned again.
func (s *Stage) refuseRun(ctx context.Context, r remediation.Remediation, err error) error {
	var at *stepsError
	if errors.As(err, &at) && len(at.steps) > 0 && retried(err) == nil {
		if err := s.Runs.PutProgress(ctx, at.steps, nil, store.Effects{}); err != nil {
			return err
		}
	}
	return s.refuse(ctx, r, r.Title(), err)
}

// rehearse makes the plan of a run.
func (s *Stage) rehearse(ctx context.Context, r remediation.Remediation, run remediation.Run) (*remediation.Plan, error) {
	account, err := s.account("plan run", run.Account)
	if err != nil {
		return nil, err
	}
	content, err := s.Runs.Blob(ctx, run.Document.Revision)
	if err != nil {
		return nil, err
	}
	doc, err := runbook.Parse(content)
	if err != nil {
		return nil, err
	}
	roles := s.Access.Roles(run.Document.Name, run.Account, account.Unit)
	planner := s.Gate.Planner(r, roles...)
	role, err := assumed(doc, known(doc, run.Parameters))
	if err != nil {
		return nil, err
	}
	if err := s.Access.CheckRole(run.Document.Name, run.Account, account.Unit, role); err != nil {
		return nil, err
	}
	given := run.Parameters
	if run.OnTargets() {
		given = nil // each target's own parameters are put over the run's
	}
	at := apimodel.Call{Account: run.Account, Region: run.Region, As: role}
	parameters, stored, err := s.parameters(ctx, doc, given, at, planner)
	if err != nil && !run.OnTargets() {
		return nil, err
	}
	found, err := s.Rehearse.Rehearse(ctx, Rehearsal{Run: &run, Document: doc, Parameters: parameters, Role: role, Where: r, Planner: planner})
	if err != nil {
		return nil, &stepsError{err, found.Steps}
	}
	pinnedValues := found.Stored
	for name, v := range stored {
		if pinnedValues == nil {
			pinnedValues = map[string]any{}
		}
		pinnedValues[StoredKey(run.Account, run.Region, name)] = v
	}
	calls := planner.Calls()
	pinned := run.Document
	pinned.Content = string(content)
	shown := run
	shown.Document.Content = ""
	return &remediation.Plan{
		Remediation: r.ID, Kind: r.Kind, Runbook: pinned, Parameters: parameters, Account: r.Account, Region: r.Region, Resource: r.Resource,
		Role: s.MemberRole, Roles: roles, GuardsRevision: s.Gate.GuardsRevision(), Calls: calls, Run: &shown,
		Open: found.Open != "", OpenReason: found.Open, Beyond: found.Beyond, Documents: found.Documents, Attachments: found.Attachments, Stored: pinnedValues, Targets: found.Targets,
		Problems: remediation.ProblemsOf(calls),
	}, nil
}

// maxStored is how many parameters GetParameters gives at once.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
const maxStored = 10

// parameters gives the values that the run has from its start on, and those that
// came from Parameter Store, read as the role that the document runs as.
func (s *Stage) parameters(ctx context.Context, doc *runbook.Document, given map[string]any, at apimodel.Call, caller Caller) (values, stored map[string]any, err error) {
	if stored, err = StoreParameters(ctx, doc, at, caller); err != nil {
		return nil, nil, err
	}
	values, err = doc.ResolveParameters(given, stored)
	return values, stored, err
}

// StoreParameters reads the Parameter Store values that doc's defaults name, in the
// account and region of at, as its role. Nothing is decrypted: a SecureString is
// refused, as Systems Manager refuses it.
func StoreParameters(ctx context.Context, doc *runbook.Document, at apimodel.Call, caller Caller) (map[string]any, error) {
	const op = "read the parameters that the document takes from Parameter Store"
	names := doc.StoreParameters()
	stored := make(map[string]any, len(names))
	for chunk := range slices.Chunk(names, maxStored) {
		list := make([]any, len(chunk))
		for i, n := range chunk {
			list[i] = n
		}
		at.Service, at.Operation, at.Input = "ssm", "GetParameters", map[string]any{"Names": list}
		reply, err := caller.Call(ctx, "parameters", at)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		found, _ := reply.Output["Parameters"].([]any)
		for _, item := range found {
			p, _ := item.(map[string]any)
			name, _ := p["Name"].(string)
			if kind, _ := p["Type"].(string); kind == "SecureString" {
				return nil, fault.Errorf(fault.Invalid, op, "parameter %.200s is a SecureString, which documents cannot take as a default", name)
			}
			if selector, ok := p["Selector"].(string); ok {
				name += selector
			}
			stored[name] = p["Value"]
		}
	}
	for _, n := range names {
		if _, ok := stored[n]; !ok {
			return nil, fault.Errorf(fault.NotFound, op, "there is no parameter %.200s in account %s, region %s", n, at.Account, at.Region)
		}
	}
	return stored, nil
}

// StoredKey names a Parameter Store value in a plan: the same name has another value
// elsewhere.
func StoredKey(account, region, name string) string { return account + "/" + region + "/" + name }

// StoredIn gives the Parameter Store values that a plan pins for documents in an
// account and region, by name.
func StoredIn(p *remediation.Plan, account, region string) map[string]any {
	out := map[string]any{}
	prefix := StoredKey(account, region, "")
	for key, v := range p.Stored {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			out[name] = v
		}
	}
	return out
}

// known gives those parameters of a run that do not come from Parameter Store, for
// assumeRole, which is needed to read that.
func known(doc *runbook.Document, given map[string]any) map[string]any {
	out := map[string]any{}
	for _, p := range doc.Parameters {
		v, ok := given[p.Name]
		if !ok {
			v = p.Default
		}
		if list, isList := v.([]any); isList && len(list) == 1 { // as StartAutomationExecution has it
			v = list[0]
		}
		if v == nil {
			v = ""
		}
		out[p.Name] = v
	}
	return out
}

// values gives the parameters of a document to its references.
type values map[string]any

// Lookup implements runbook.Scope.
func (v values) Lookup(r runbook.Ref) (any, error) {
	if r.Kind != runbook.RefParameter {
		return nil, fmt.Errorf("only parameters are known before a document runs")
	}
	value, ok := v[r.Name]
	if !ok {
		return nil, fmt.Errorf("the runbook has no such parameter")
	}
	return value, nil
}

// spheres says, by step, where and as whom calls are made that a document cannot
// say it of: those of an undo.
type spheres map[string]apimodel.Call

// routed makes the calls of a step where they belong.
type routed struct {
	Caller
	to spheres
}

// Call implements Caller.
func (c routed) Call(ctx context.Context, step string, call apimodel.Call) (apimodel.Reply, error) {
	return c.Caller.Call(ctx, step, c.to.place(step, call))
}

func (s spheres) place(step string, call apimodel.Call) apimodel.Call {
	name, _, _ := strings.Cut(step, "#")
	if to := s[name]; to.Account != "" {
		call.Account, call.Region, call.As = to.Account, to.Region, to.As
	}
	return call
}

// Place puts a call of an undo where its plan has the step's calls: the generated
// document restores what was changed in several accounts, regions or roles.
func Place(p *remediation.Plan, step string, call apimodel.Call) apimodel.Call {
	for _, c := range p.Calls {
		if c.Step == step {
			call.Account, call.Region, call.As = c.Account, c.Region, c.As
			break
		}
	}
	return call
}
