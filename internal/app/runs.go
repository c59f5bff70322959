package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

// runs gives the interpreter what documents need beyond the calls of their steps.
type runs struct {
	store     runStore
	documents *documents
	execute   *execute.Stage
	approve   *approve.Stage
	targets   *targets
	scripts   automation.Scripts // nil = scripts are refused
	// binds says whether a plan binds an allowance, facts what the scripts of a document
	// call, by step; identity is that of the sessions that apply.
	binds    func(calls []remediation.PlannedCall, a remediation.Allowance) bool
	facts    func(ctx context.Context, doc *runbook.Document) map[string]runbook.ScriptFacts
	identity awsapi.Identity
	webhooks automation.Webhooks // nil = runbooks may post nowhere
}

// runStore is what runs take from the store.
type runStore interface {
	Signals(ctx context.Context, execution string, after int64) ([]store.Signal, error)
	ScriptCalls(ctx context.Context, execution, key string) ([]store.ScriptCall, error)
	AppendScriptCall(ctx context.Context, execution, key string, c store.ScriptCall) error
	Executions(ctx context.Context, ids []string) ([]store.ExecutionRecord, error)
	PutBlob(ctx context.Context, owner string, content []byte) (string, error)
	Blob(ctx context.Context, sha256 string) ([]byte, error)
	Enqueue(ctx context.Context, f store.File, eff store.Effects) error
}

// equip gives a durable run its ports.
func (r *runs) equip(run *automation.Run, s execute.Segment) {
	run.Inbox = inbox{r.store}
	run.Journal = journal{r.store, s.Execution}
	run.Children = children{runs: r, segment: s}
	run.Approvals = approvals{r.approve, s.Where}
	run.Scripts = r.scripts
	run.Attachments = attachments{r.store, s.Plan.Attachments}
	run.Blobs = blobs{r.store, s.Execution}
	run.Webhooks = r.webhooks
}

// blobs keeps the large outputs of one execution.
type blobs struct {
	store     runStore
	execution string
}

// PutBlob keeps content as long as the execution.
func (b blobs) PutBlob(ctx context.Context, content []byte) (string, error) {
	return b.store.PutBlob(ctx, store.ExecutionBlobs(b.execution), content)
}

// Blob gives what was kept.
func (b blobs) Blob(ctx context.Context, name string) ([]byte, error) { return b.store.Blob(ctx, name) }

// inbox shows an execution's signals to the interpreter.
type inbox struct{ store runStore }

// Signals gives those after a number.
func (i inbox) Signals(ctx context.Context, execution string, after int64) ([]automation.Signal, error) {
	all, err := i.store.Signals(ctx, execution, after)
	out := make([]automation.Signal, 0, len(all))
	for _, g := range all {
		out = append(out, automation.Signal{N: g.N, Kind: automation.SignalKind(g.Kind), Step: g.Step, Child: g.Child, By: g.By, Comment: g.Comment, At: g.At})
	}
	return out, err
}

// journal keeps the answered calls of the scripts of one execution.
type journal struct {
	store     runStore
	execution string
}

// kept is what the store seals of an entry.
type kept struct {
	Digest string `json:"digest"`
	Answer []byte `json:"answer"`
}

// Entries gives what key has.
func (j journal) Entries(ctx context.Context, key string) ([]automation.JournalEntry, error) {
	all, err := j.store.ScriptCalls(ctx, j.execution, key)
	if err != nil {
		return nil, err
	}
	out := make([]automation.JournalEntry, 0, len(all))
	for _, c := range all {
		var k kept
		if err := json.Unmarshal(c.Answer, &k); err != nil {
			return nil, fault.E(fault.Internal, "read a script's call of "+j.execution, err)
		}
		out = append(out, automation.JournalEntry{N: c.N, Digest: k.Digest, Answer: k.Answer})
	}
	return out, nil
}

// Append keeps e; it is durable when it returns.
func (j journal) Append(ctx context.Context, key string, e automation.JournalEntry) error {
	raw, err := json.Marshal(kept{e.Digest, e.Answer})
	if err != nil {
		return fmt.Errorf("keep a script's call: %w", err)
	}
	return j.store.AppendScriptCall(ctx, j.execution, key, store.ScriptCall{N: e.N, Answer: raw})
}

// approvals asks people for one execution.
type approvals struct {
	stage *approve.Stage
	where remediation.Remediation
}

// Ask makes it known that a step waits.
func (a approvals) Ask(ctx context.Context, q automation.ApprovalRequest) error {
	return a.stage.AskStep(ctx, approve.StepQuestion{
		Remediation: a.where, Execution: q.Execution, Step: q.Step, Label: q.Label, Approvers: q.Approvers, Minimum: q.Minimum,
		Message: q.Message, ExpiresAt: q.ExpiresAt,
	})
}

// attachments gives the files that a plan pins.
type attachments struct {
	store  runStore
	pinned []remediation.Attachment
}

// Attachment gives the content whose SHA-256 the document declares.
func (a attachments) Attachment(ctx context.Context, doc *runbook.Document, name string) ([]byte, error) {
	const op = "read attachment"
	for _, f := range doc.Files {
		if f.Name != name {
			continue
		}
		pinned := func(p remediation.Attachment) bool { return p.SHA256 == f.SHA256 && p.Name == name }
		if a.pinned != nil && !slices.ContainsFunc(a.pinned, pinned) {
			return nil, fault.Refused(fault.Errorf(fault.Denied, op, "the plan does not hold attachment %s", name))
		}
		content, err := a.store.Blob(ctx, f.SHA256)
		if fault.Is(err, fault.NotFound) {
			return nil, fault.Errorf(fault.NotFound, op, "attachment %s of the document was not given", name).
				WithHint("give the file with the document: --attachments for parry runbook start, or upload it")
		}
		return content, err
	}
	return nil, fault.Errorf(fault.NotFound, op, "the document declares no attachment %s", name)
}

// children starts and reads the children of one execution that runs. What they run
// is what the plan holds.
type children struct {
	runs    *runs
	segment execute.Segment
}

// Document gives a document as the plan pinned it.
func (c children) Document(_ context.Context, name, version string) (*runbook.Document, error) {
	for _, d := range c.segment.Plan.Documents {
		if d.Name == name && d.Version == version {
			return runbook.Parse([]byte(d.Content))
		}
	}
	if own := c.segment.Plan.Runbook; own.Name == name {
		return runbook.Parse([]byte(own.Content))
	}
	return nil, fault.Refused(fault.Errorf(fault.Denied, "start document "+name, "the plan does not hold it").
		WithHint("start the run again: its plan is then made with it"))
}

// Start starts children; one whose id was started before is left alone.
func (c children) Start(ctx context.Context, all []automation.Child) error {
	s := c.segment
	rows := make([]store.ExecutionRecord, 0, len(all))
	for _, ch := range all {
		role, fan, err := c.childOf(ctx, ch)
		if err != nil {
			return err
		}
		rows = append(rows, store.ExecutionRecord{
			ID: ch.ID, Remediation: s.Where.ID,
			Of: store.ExecutionOf{
				Parent: ch.Parent, Root: s.Of.Root, Document: ch.Document, Version: ch.Version, Account: ch.Account, Region: ch.Region,
				Target: ch.Target, StartedBy: s.Of.StartedBy, Prefix: ch.Label + "/", Label: ch.Label, Depth: s.Of.Depth + 1,
				Role: role, Fan: fan, Mode: "Auto", Parameters: ch.Parameters,
			},
		})
	}
	return c.runs.execute.StartChildren(ctx, rows)
}

// childOf gives the role as which a child runs and its own targets, as the plan had
// them. A child whose parameters do not resolve fails when it begins.
func (c children) childOf(ctx context.Context, ch automation.Child) (role string, fan json.RawMessage, err error) {
	if ch.Fan != nil {
		if fan, err = json.Marshal(ch.Fan); err != nil {
			return "", nil, fmt.Errorf("start child %s: %w", ch.ID, err)
		}
		if ch.Role == "" {
			return ch.ParentRole, fan, nil
		}
		return ch.Role, fan, nil
	}
	doc, err := c.Document(ctx, ch.Document, ch.Version)
	if err != nil {
		return "", nil, err
	}
	parameters, err := doc.ResolveParameters(ch.Parameters, plan.StoredIn(c.segment.Plan, ch.Account, ch.Region))
	if err != nil {
		return "", nil, nil //nolint:nilerr // the child tells it as its own failure
	}
	role, err = automation.ChildRole(ch, doc, parameters)
	return role, nil, err
}

// Children gives the children with ids, in that order.
func (c children) Children(ctx context.Context, ids []string) ([]automation.ChildState, error) {
	rows, err := c.runs.store.Executions(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.ExecutionRecord, len(rows))
	for _, r := range rows {
		byID[r.ID] = r
	}
	out := make([]automation.ChildState, 0, len(ids))
	for _, id := range ids {
		r, ok := byID[id]
		if !ok {
			return nil, fault.Errorf(fault.NotFound, "read child execution "+id, "it was never started")
		}
		out = append(out, automation.ChildState{
			ID: id, Status: automation.Status(r.Status), Outputs: r.Result.Outputs, OutputOrder: r.Result.OutputOrder, Failure: r.Result.Failure,
			Stopped: fault.Code(r.Result.Stopped), Refused: r.Result.Refused,
		})
	}
	return out, nil
}

// Cancel asks children to stop.
func (c children) Cancel(ctx context.Context, ids []string) error {
	var eff store.Effects
	for _, id := range ids {
		eff.Signals = append(eff.Signals, store.Signal{Execution: id, Kind: string(automation.SignalCancel), By: "parry/execute", Comment: "the parent was cancelled", Late: true})
	}
	return c.runs.store.Enqueue(ctx, store.Execution, eff)
}

// Targets gives what the plan was made on. Only an open plan may come to targets that
// nobody has seen.
func (c children) Targets(ctx context.Context, q automation.TargetQuery) ([]automation.Target, error) {
	p := c.segment.Plan
	if raw, ok := p.Targets[hashOf(q)]; ok {
		var found []automation.Target
		if err := json.Unmarshal(raw, &found); err != nil {
			return nil, fault.E(fault.Internal, "read the plan's targets", err)
		}
		return found, nil
	}
	if !p.Open {
		return nil, fault.Refused(fault.Errorf(fault.Denied, "find the targets", "the plan holds no such targets"))
	}
	return c.runs.targets.resolve(ctx, c.segment.Caller, q)
}

// placed makes the calls of an undo where its plan has them.
type placed struct {
	execute.Caller
	plan *remediation.Plan
}

// Call implements automation.Caller.
func (p placed) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	return p.Caller.Call(ctx, step, plan.Place(p.plan, step, c))
}
