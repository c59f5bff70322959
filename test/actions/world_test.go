package actions

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/test/testenv"
)

const region = "us-east-1"

// world is moto behind the wall, and a gate that calls it as the account's root.
type world struct {
	gate   *awsapi.Gate
	engine *automation.Interpreter
	reads  *awsapi.Session
	setup  func(t *testing.T, service, operation string, input map[string]any) map[string]any
}

func newWorld(t *testing.T) *world {
	t.Helper()
	env, err := testenv.Start(t.Context(), testenv.Options{Dir: t.TempDir(), WithoutEstate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		env.Stop()
		if raw, err := os.ReadFile(env.Dir + "/moto.log"); err == nil && t.Failed() {
			t.Logf("%s", raw)
		}
	})
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	client, err := awsapi.NewClient(awsapi.ClientConfig{Models: models, Getenv: func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": env.WallURL}[name]
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	keys := awsapi.Credentials{AccessKeyID: env.Root.AccessKeyID, SecretAccessKey: awsapi.NewSecret(env.Root.Secret)}
	off := func(context.Context) (bool, string, error) { return false, "", nil }
	w := &world{}
	w.gate, err = awsapi.New(awsapi.Config{
		Sender: client, Models: models, Credentials: awsapi.NewStaticCredentials(client, keys),
		Guards: awsapi.Guards{Accounts: []string{"*"}, AllowManagement: true}, StopSwitch: off, Region: region,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.engine, err = automation.New(automation.Config{Clock: automation.RealClock{Clock: service.SystemClock{}}})
	if err != nil {
		t.Fatal(err)
	}
	w.reads = w.gate.ReadOnly(awsapi.Identity{SessionName: "judge"})
	w.setup = func(t *testing.T, service, operation string, input map[string]any) map[string]any {
		t.Helper()
		reply, err := client.Send(t.Context(), keys, apimodel.Call{Service: service, Operation: operation, Account: env.Root.Account, Region: region, Input: input})
		if err != nil {
			t.Fatalf("%s: %v", operation, err)
		}
		return reply.Output
	}
	return w
}

// run is one document, planned and applied.
type run struct {
	outcome automation.Outcome
	planned []string // the calls that need approval, as "step:Operation"
	made    []string
	posted  *posts
}

// options change a run.
type options struct {
	parameters map[string]any
	hooks      *posts
	inbox      automation.Inbox
}

// do plans steps (a mainSteps list) and applies the plan.
func (w *world) do(t *testing.T, name, steps string, o options) run {
	t.Helper()
	text := "schemaVersion: '0.3'\nparameters:\n  Id: {type: String, default: ''}\nmainSteps:\n" + steps
	doc, err := runbook.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	params, err := doc.ResolveParameters(o.parameters, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := awsapi.Identity{SessionName: "test"}
	planner := w.gate.Planning(id, awsapi.PlanOptions{})
	r := automation.Run{Document: doc, Parameters: params, ExecutionID: "exec-" + name, Account: testenv.ManagementAccount, Region: region}
	if o.hooks != nil {
		r.Webhooks = o.hooks
	}
	dry := r
	dry.Caller, dry.Planning, dry.Unknown = planner, true, planner.IsUnknown
	out, err := w.engine.Run(t.Context(), dry)
	if err != nil || out.Status != automation.Success || out.Open != "" {
		t.Fatalf("planning: %v, %+v, %+v", err, out, out.Failure)
	}
	plan := &remediation.Plan{Remediation: "rem-" + remediation.ID(name), Account: testenv.ManagementAccount, Region: region, GuardsRevision: w.gate.GuardsRevision(), Calls: planner.Calls()}
	hash, err := plan.Hash()
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{changes: map[string]remediation.Change{}}
	session := w.gate.Applying(id, awsapi.Authority{
		Remediation: plan.Remediation, Execution: r.ExecutionID, Plan: plan, Hash: hash, Recorder: rec,
		Fence: func(context.Context) error { return nil },
	})
	r.Caller, r.Inbox = session, o.inbox
	result := run{posted: o.hooks}
	if result.outcome, err = w.engine.Run(t.Context(), r); err != nil {
		t.Fatalf("applying: %v", err)
	}
	for _, c := range plan.Calls {
		if c.Class == apimodel.Change {
			result.planned = append(result.planned, c.Step+":"+c.Operation)
		}
	}
	result.made = rec.applied()
	return result
}

// succeeds wants the run to end well, with the planned changes made, each once.
func (r run) succeeds(t *testing.T) {
	t.Helper()
	if r.outcome.Status != automation.Success {
		t.Fatalf("ended %s: %+v, %v", r.outcome.Status, r.outcome.Failure, r.outcome.Abort)
	}
	var want []string
	for _, c := range r.planned {
		if !strings.Contains(c, "~cancel:") {
			want = append(want, c)
		}
	}
	if diff := cmp.Diff(want, r.made); diff != "" {
		t.Errorf("planned and made: %s", diff)
	}
}

func (r run) output(name string) any { return r.outcome.State.Outputs["A"][name] }

// read makes a read of the judge.
func (w *world) read(t *testing.T, service, operation string, input map[string]any) (map[string]any, error) {
	t.Helper()
	reply, err := w.reads.Call(t.Context(), "", apimodel.Call{Service: service, Operation: operation, Account: testenv.ManagementAccount, Region: region, Input: input})
	return reply.Output, err
}

// at follows "Reservations.0.Instances.0.InstanceId".
func at(v any, path string) any {
	for part := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[part]
		case []any:
			i := 0
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(x) {
				return nil
			}
			v = x[i]
		default:
			return nil
		}
	}
	return v
}

// recorder keeps changes in memory.
type recorder struct {
	mu      sync.Mutex
	changes map[string]remediation.Change
	order   []string
}

func (r *recorder) RecordIntent(_ context.Context, c remediation.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.changes[c.ID]; !ok {
		r.order = append(r.order, c.ID)
	}
	r.changes[c.ID] = c
	return nil
}

func (r *recorder) RecordOutcome(_ context.Context, c remediation.Change) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes[c.ID] = c
	return nil
}

func (r *recorder) Change(_ context.Context, id string) (remediation.Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.changes[id]
	if !ok {
		return c, fault.Errorf(fault.NotFound, "find change", "there is none")
	}
	return c, nil
}

func (r *recorder) applied() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, id := range r.order {
		if c := r.changes[id]; c.Outcome == remediation.Applied {
			out = append(out, c.Call.Step+":"+c.Call.Operation)
		}
	}
	return out
}

// posts keeps what was posted.
type posts struct {
	mu   sync.Mutex
	list []automation.Webhook
}

func (p *posts) Post(_ context.Context, w automation.Webhook) (automation.WebhookAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Headers = maps.Clone(w.Headers)
	p.list = append(p.list, w)
	return automation.WebhookAnswer{Code: 200, Body: "ok"}, nil
}
