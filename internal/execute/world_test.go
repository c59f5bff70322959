package execute_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// memory is a store that holds remediations to their transitions and versions,
// as the real one does.
type memory struct {
	remediations map[remediation.ID]remediation.Remediation
	plans        map[remediation.Hash]remediation.Plan
	approvals    map[remediation.ID]remediation.Approval
	executions   map[string]store.ExecutionRecord
	signals      map[string][]store.Signal
	changes      []remediation.Change
	effects      []store.Effects
	joint        int // writes of an approval and its remediation together
	fail         map[string]error
	after        map[string]func() // runs once, after a write or a read of that name
}

func (m *memory) did(what string) {
	if do := m.after[what]; do != nil {
		delete(m.after, what)
		do()
	}
}

func absent(what string) error { return fault.E(fault.NotFound, "read "+what, store.ErrNotFound) }

func (m *memory) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, ok := m.remediations[id]
	if !ok {
		return r, absent("remediation")
	}
	return r, m.fail["Remediation"]
}

func (m *memory) UpdateRemediation(_ context.Context, r remediation.Remediation, eff store.Effects) error {
	if err := m.fail["UpdateRemediation "+string(r.State)]; err != nil {
		return err
	}
	was := m.remediations[r.ID]
	if was.Version != r.Version {
		return fmt.Errorf("update %s: %w", r.ID, store.ErrConflict)
	}
	if err := was.State.Check(r.State); err != nil {
		return err
	}
	r.Version++
	m.remediations[r.ID] = r
	m.effects = append(m.effects, eff)
	return nil
}

func (m *memory) Plan(_ context.Context, hash remediation.Hash) (remediation.Plan, error) {
	p, ok := m.plans[hash]
	if !ok {
		return p, absent("plan")
	}
	return p, nil
}

func (m *memory) ApprovalFor(_ context.Context, id remediation.ID) (remediation.Approval, error) {
	a, ok := m.approvals[id]
	if !ok {
		return a, absent("approval")
	}
	return a, m.fail["ApprovalFor"]
}

func (m *memory) UpdateApproval(ctx context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error {
	if err := m.approvals[a.Remediation].State.Check(a.State); err != nil {
		return err
	}
	if err := m.UpdateRemediation(ctx, *r, eff); err != nil {
		return err
	}
	m.approvals[a.Remediation] = a
	m.joint++
	return nil
}

func (m *memory) Changes(_ context.Context, id remediation.ID) ([]remediation.Change, error) {
	return slices.DeleteFunc(slices.Clone(m.changes), func(c remediation.Change) bool { return c.Remediation != id }), nil
}

func (m *memory) PutSegment(ctx context.Context, e store.ExecutionRecord, w store.SegmentWrite) error {
	was, ok := m.executions[e.ID]
	if was.Segment > e.Segment || was.LeaseEpoch > e.LeaseEpoch || ok && e.Remediation != was.Remediation {
		return fmt.Errorf("store execution: %w", store.ErrConflict)
	}
	if ok {
		e.Of, e.StartedAt = was.Of, was.StartedAt
	}
	m.executions[e.ID] = e
	if e.Parked {
		defer m.did("parking")
	}
	return m.Enqueue(ctx, store.Execution, w.Effects)
}

func (m *memory) Executions(_ context.Context, ids []string) ([]store.ExecutionRecord, error) {
	var out []store.ExecutionRecord
	for _, id := range ids {
		if e, ok := m.executions[id]; ok {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) CreateExecutions(ctx context.Context, all []store.ExecutionRecord, eff store.Effects) error {
	for _, e := range all {
		if _, ok := m.executions[e.ID]; !ok {
			m.executions[e.ID] = e
		}
	}
	return m.Enqueue(ctx, store.Execution, eff)
}

func (m *memory) EndExecution(ctx context.Context, end store.ExecutionEnd, eff store.Effects) error {
	if e := m.executions[end.ID]; e.EndedAt.IsZero() {
		e.Status, e.EndedAt, e.Result.Failure = end.Status, end.At, end.Failure
		m.executions[end.ID] = e
	}
	return m.Enqueue(ctx, store.Execution, eff)
}

func (m *memory) ListExecutions(_ context.Context, f store.ExecutionFilter, _ int, _ string) ([]store.ExecutionRecord, string, error) {
	var out []store.ExecutionRecord
	for _, e := range m.executions {
		if slices.Contains(f.Parents, e.Of.Parent) && slices.Contains(f.Statuses, e.Status) {
			out = append(out, e)
		}
	}
	return out, "", nil
}

// Enqueue keeps signals and what else is sent.
func (m *memory) Enqueue(_ context.Context, _ store.File, eff store.Effects) error {
	for _, g := range eff.Signals {
		g.N = int64(len(m.signals[g.Execution]) + 1)
		m.signals[g.Execution] = append(m.signals[g.Execution], g)
	}
	if len(eff.Outbox)+len(eff.Audit)+len(eff.Signals) > 0 {
		m.effects = append(m.effects, eff)
	}
	return nil
}

func (m *memory) Signals(_ context.Context, execution string, after int64) ([]store.Signal, error) {
	defer m.did("looking")
	return slices.DeleteFunc(slices.Clone(m.signals[execution]), func(g store.Signal) bool { return g.N <= after }), nil
}

func (m *memory) Execution(_ context.Context, id string) (store.ExecutionRecord, error) {
	e, ok := m.executions[id]
	if !ok {
		return e, absent("execution")
	}
	return e, nil
}

// handed lists what was handed to a topic.
func (m *memory) handed(topic string) []string {
	var out []string
	for _, eff := range m.effects {
		for _, msg := range eff.Outbox {
			if msg.Topic == topic {
				out = append(out, string(msg.Payload))
			}
		}
	}
	return out
}

// engine writes down what was started and what was asked for later.
type engine struct {
	started   map[string][]byte
	scheduled map[string]time.Time
	epoch     int64
	memory    *memory
}

func (e *engine) Start(_ context.Context, id string, input []byte) error {
	e.started[id] = input
	return nil
}

func (e *engine) Schedule(ctx context.Context, at time.Time, id string, input []byte) error {
	e.scheduled[id] = at
	defer e.memory.did("scheduling")
	return e.Start(ctx, id, input)
}

func (e *engine) Holder() (string, int64) { return "node-1", e.epoch }

// gate opens no session: the interpreter of these tests calls nothing.
type gate struct {
	on     bool
	reason string
	err    error
}

func (g *gate) Applier(remediation.Remediation, *remediation.Plan, string) execute.Caller { return nil }

func (g *gate) StopSwitch(context.Context) (bool, string, error) { return g.on, g.reason, g.err }

// script answers each segment in its turn.
type script struct {
	results  []execute.Result
	err      error
	segments []execute.Segment
	during   func() // while the first segment runs
}

func (s *script) Interpret(_ context.Context, seg execute.Segment) (execute.Result, error) {
	s.segments = append(s.segments, seg)
	if s.during != nil {
		s.during()
		s.during = nil
	}
	if s.err != nil {
		return execute.Result{}, s.err
	}
	return s.results[len(s.segments)-1], nil
}

type world struct {
	*memory
	engine *engine
	gate   *gate
	script *script
	clock  *service.FixedClock
	stage  *execute.Stage
	except string // the exception of every finding
}

const document = `schemaVersion: '0.3'
mainSteps:
  - name: Close
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: reports}
`

// setup gives a fix that is queued and approved, and what its segments answer.
func setup(t *testing.T, results ...execute.Result) *world {
	t.Helper()
	w := &world{
		memory: &memory{
			remediations: map[remediation.ID]remediation.Remediation{}, plans: map[remediation.Hash]remediation.Plan{},
			approvals: map[remediation.ID]remediation.Approval{}, executions: map[string]store.ExecutionRecord{}, signals: map[string][]store.Signal{}, fail: map[string]error{},
		},
		engine: &engine{started: map[string][]byte{}, scheduled: map[string]time.Time{}, epoch: 7}, gate: &gate{}, script: &script{results: results},
		clock: service.NewFixedClock(noon),
	}
	w.queue(t, remediation.Remediation{ID: "rem-1", Kind: remediation.KindFix})
	w.engine.memory, w.after = w.memory, map[string]func(){}
	var err error
	w.stage, err = execute.New(execute.Config{Store: w.memory, Engine: w.engine, Gate: w.gate, Interpreter: w.script, Clock: w.clock, Excepted: func(context.Context, finding.ID) (string, error) {
		return w.except, w.fail["Excepted"]
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// queue adds r as queued, with an approved plan.
func (w *world) queue(t *testing.T, r remediation.Remediation) {
	t.Helper()
	r.Finding, r.Control, r.Account = finding.ID{ProductArn: "p", Id: "f"}, "S3.8", "111122223333"
	p := remediation.Plan{
		Remediation: r.ID, Kind: r.Kind, Account: r.Account, ExpiresAt: noon.Add(time.Hour), Parameters: map[string]any{"Bucket": "reports"},
		Runbook: remediation.Runbook{Name: "Close", Content: document, Revision: runbook.Revision([]byte(document))},
	}
	hash, err := p.Hash()
	if err != nil {
		t.Fatal(err)
	}
	r.State, r.PlanHash, r.Version = remediation.Queued, hash, 3
	w.remediations[r.ID], w.plans[hash] = r, p
	w.approvals[r.ID] = remediation.Approval{ID: "apr-" + string(r.ID), Remediation: r.ID, Plan: hash, State: remediation.ApprovalApproved}
}

// queueUndo adds rem-1 in state first, and rem-2, its undo, queued.
func (w *world) queueUndo(t *testing.T, first remediation.State) {
	t.Helper()
	w.stand("rem-1", first)
	w.queue(t, remediation.Remediation{ID: "rem-2", Kind: remediation.KindUndo, UndoOf: "rem-1"})
}

func (w *world) stand(id remediation.ID, s remediation.State) {
	r := w.remediations[id]
	r.State = s
	w.remediations[id] = r
}

func (w *world) editPlan(edit func(*remediation.Plan)) {
	for hash, p := range w.plans {
		edit(&p)
		w.plans[hash] = p
	}
}

// rehash stores the edited plan as the one that was approved.
func (w *world) rehash(t *testing.T, edit func(*remediation.Plan)) {
	t.Helper()
	r, a := w.remediations["rem-1"], w.approvals["rem-1"]
	p := w.plans[r.PlanHash]
	edit(&p)
	hash, err := p.Hash()
	if err != nil {
		t.Fatal(err)
	}
	r.PlanHash, a.Plan = hash, hash
	w.remediations["rem-1"], w.approvals["rem-1"], w.plans[hash] = r, a, p
}

// change records changes of a remediation with these outcomes.
func (w *world) change(id remediation.ID, outcomes ...remediation.Outcome) {
	for _, o := range outcomes {
		w.changes = append(w.changes, remediation.Change{Remediation: id, Outcome: o})
	}
}

// start hands a remediation to the stage and gives the input of its first segment.
func (w *world) start(t *testing.T, id remediation.ID) []byte {
	t.Helper()
	payload, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.stage.Handle(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
	return w.segment(t, id, 1)
}

func (w *world) segment(t *testing.T, id remediation.ID, n int) []byte {
	t.Helper()
	input, ok := w.engine.started[fmt.Sprintf("exec-%s#%d", id[len("rem-"):], n)]
	if !ok {
		t.Fatalf("segment %d of %s is not among %v", n, id, slices.Collect(maps.Keys(w.engine.started)))
	}
	return input
}

func (w *world) run(t *testing.T, input []byte) {
	t.Helper()
	if err := w.stage.Run(t.Context(), input, nil); err != nil {
		t.Fatal(err)
	}
}
