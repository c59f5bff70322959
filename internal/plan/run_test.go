package plan_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const runDocument = `schemaVersion: '0.3'
assumeRole: '{{ Role }}'
parameters:
  Bucket: {type: String}
  Role: {type: String, default: ''}
mainSteps:
  - name: Close
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: '{{ Bucket }}'}
`

const (
	runner   = "arn:aws:iam::" + account + ":role/Runner"
	stranger = "arn:aws:iam::" + account + ":role/Admin"
)

// runShelf keeps executions and contents, as the store does.
type runShelf struct {
	*memory
	documents map[string]string
	rows      map[string]store.ExecutionRecord
	blobs     map[string][]byte
	steps     []store.Step
}

func (r *runShelf) PutProgress(_ context.Context, steps []store.Step, _ []store.Progress, _ store.Effects) error {
	r.steps = append(r.steps, steps...)
	return nil
}

func (r *runShelf) Resolve(_ context.Context, name, version string) (remediation.Runbook, error) {
	text, ok := r.documents[name]
	if !ok || version != "" && version != "3" {
		return remediation.Runbook{}, fault.Errorf(fault.NotFound, "find document", "there is none")
	}
	return remediation.Runbook{Name: name, Version: "3", Revision: runbook.Revision([]byte(text)), Content: text}, nil
}

func (r *runShelf) PutBlob(_ context.Context, _ string, content []byte) (string, error) {
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	r.blobs[name] = content
	return name, nil
}

func (r *runShelf) Blob(_ context.Context, name string) ([]byte, error) {
	content, ok := r.blobs[name]
	if !ok {
		return nil, fault.E(fault.NotFound, "read content", store.ErrNotFound)
	}
	return content, nil
}

func (r *runShelf) CreateExecutions(_ context.Context, all []store.ExecutionRecord, eff store.Effects) error {
	for _, e := range all {
		for _, have := range r.rows {
			if e.Of.Token != "" && have.Of.Token == e.Of.Token {
				return store.ErrExists
			}
		}
		r.rows[e.ID] = e
	}
	r.effects = append(r.effects, eff)
	return nil
}

func (r *runShelf) Execution(_ context.Context, id string) (store.ExecutionRecord, error) {
	e, ok := r.rows[id]
	if !ok {
		return e, fault.E(fault.NotFound, "read execution", store.ErrNotFound)
	}
	return e, nil
}

// rehearser interprets with the real interpreter, or says that planning stopped.
type rehearser struct {
	open string
	err  error
	got  plan.Rehearsal
}

func (r *rehearser) Rehearse(ctx context.Context, in plan.Rehearsal) (plan.Rehearsed, error) {
	r.got = in
	if r.err != nil {
		return plan.Rehearsed{Steps: []store.Step{{Execution: in.Run.Execution, Seq: 1, Name: "Close", Status: "Failed"}}}, r.err
	}
	_, err := interpret(ctx, in.Document, in.Parameters, in.Planner)
	out := plan.Rehearsed{Open: r.open}
	if r.open != "" {
		out.Beyond = []remediation.Allowance{{Step: "Later", Service: "s3", Operation: "DeleteBucket", Class: apimodel.Change, Irreversible: true}}
	}
	return out, err
}

type runWorld struct {
	*world
	runs      *runShelf
	rehearser *rehearser
	desk      *plan.Desk
}

func runs(t *testing.T) *runWorld {
	t.Helper()
	w := setup(t)
	r := &runWorld{world: w, rehearser: &rehearser{}}
	r.runs = &runShelf{memory: w.memory, documents: map[string]string{"Close": runDocument}, rows: map[string]store.ExecutionRecord{}, blobs: map[string][]byte{}}
	clock := service.NewFixedClock(noon)
	r.desk = plan.NewDesk(w.memory, w.shelf, oneID{}, clock).StartsDocuments(r.runs)
	var err error
	r.stage, err = plan.New(plan.Config{
		Store: w.memory, Content: w.shelf, Gate: w.gate, Dry: w.dry, Clock: clock, Runs: r.runs, Rehearse: r.rehearser,
		Access:  plan.Access{Rules: []plan.DocumentRule{{Names: []string{"Close"}, Roles: []string{runner}}}},
		Account: org.NewLive([]org.Account{{ID: account}}).Account, MemberRole: "ParryMemberRole",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (w *runWorld) ask(t *testing.T, edit func(*remediation.Run)) (string, remediation.ID) {
	t.Helper()
	run := remediation.Run{
		Document: remediation.Runbook{Name: "Close"}, Account: account, Region: region, Parameters: map[string]any{"Bucket": []any{"reports"}}, ClientToken: "once",
	}
	if edit != nil {
		edit(&run)
	}
	execution, id, err := w.desk.RequestRun(t.Context(), run, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return execution, id
}

// deliver hands the request that the desk sent to the stage.
func (w *runWorld) deliver(t *testing.T) error {
	t.Helper()
	for _, eff := range w.effects {
		for _, m := range eff.Outbox {
			if m.Topic == store.TopicPlan {
				return w.stage.Handle(t.Context(), m.Payload)
			}
		}
	}
	t.Fatal("nothing was sent to plan")
	return nil
}

func TestARunIsPendingAtOnceAndPlannedFromItsRow(t *testing.T) {
	t.Parallel()
	w := runs(t)
	execution, id := w.ask(t, nil)
	if execution != plan.ExecutionID(id) || len(execution) != 36 || strings.Count(execution, "-") != 4 {
		t.Errorf("execution id %q", execution)
	}
	row := w.runs.rows[execution]
	if row.Status != "Pending" || row.Of.Document != "Close" || row.Of.Version != "3" || row.Of.StartedBy != "alice" || row.Of.Root != execution {
		t.Errorf("row = %+v", row)
	}
	for _, eff := range w.effects {
		for _, m := range eff.Outbox {
			if strings.Contains(string(m.Payload), "reports") || strings.Contains(string(m.Payload), "schemaVersion") {
				t.Errorf("the open message holds parameters or text: %s", m.Payload)
			}
		}
	}
	if err := w.deliver(t); err != nil {
		t.Fatal(err)
	}
	r, p := w.remediations[id], w.plans[id]
	if r.State != remediation.Planned || r.Kind != remediation.KindRun || r.Runbook != "Close" || r.Execution != execution || !r.Finding.IsZero() {
		t.Errorf("remediation = %+v", r)
	}
	if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, changing(p)); diff != "" {
		t.Error(diff)
	}
	if p.Runbook.Content != runDocument || p.Runbook.Version != "3" || p.Parameters["Bucket"] != "reports" || p.Run == nil || p.Run.Document.Content != "" {
		t.Errorf("plan = %+v", p)
	}
	if diff := cmp.Diff([]string{runner}, p.Roles); diff != "" {
		t.Error(diff)
	}
	if hash, err := p.Hash(); err != nil || hash != r.PlanHash {
		t.Errorf("hash %v, %v", hash, err)
	}
	if _, _, err := w.desk.RequestRun(t.Context(), remediation.Run{Document: remediation.Runbook{Name: "Close"}, Account: account, Region: region, ClientToken: "once"}, "alice"); err == nil {
		t.Error("a client token started two runs")
	}
}

func TestARunsRoleIsAcceptedOnlyIfListed(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]remediation.State{runner: remediation.Planned, "": remediation.Planned, stranger: remediation.Failed} {
		w := runs(t)
		_, id := w.ask(t, func(r *remediation.Run) { r.Parameters["Role"] = []any{role} })
		if err := w.deliver(t); err != nil {
			t.Fatal(err)
		}
		if r := w.remediations[id]; r.State != want || want == remediation.Planned && w.rehearser.got.Role != role {
			t.Errorf("%q: %s (%s), ran as %q", role, r.State, r.Reason, w.rehearser.got.Role)
		}
	}
}

func TestARunThatCannotBePlannedSaysWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit  func(*remediation.Run)
		after func(*runWorld, string)
		state remediation.State
		why   string
	}{
		"an account of nobody": {func(r *remediation.Run) { r.Account = "999999999999" }, nil, remediation.Failed, "not one that Parry answers for"},
		"a parameter missing":  {func(r *remediation.Run) { r.Parameters = nil }, nil, remediation.Failed, "Bucket"},
		"stopped before": {nil, func(w *runWorld, id string) {
			e := w.runs.rows[id]
			e.EndedAt = noon
			w.runs.rows[id] = e
		}, remediation.Cancelled, "stopped before it was planned"},
	} {
		w := runs(t)
		execution, id := w.ask(t, c.edit)
		if c.after != nil {
			c.after(w, execution)
		}
		if err := w.deliver(t); err != nil {
			t.Fatal(name, err)
		}
		r := w.remediations[id]
		if r.State != c.state || !strings.Contains(r.Reason, c.why) || c.state == remediation.Failed && r.Hint == "" {
			t.Errorf("%s: %s, %q, %q", name, r.State, r.Reason, r.Hint)
		}
		if ends := w.effects[len(w.effects)-1].Ends; len(ends) != 1 || ends[0].ID != execution {
			t.Errorf("%s: the execution is not ended: %v", name, ends)
		}
	}
}

// TestARunThatCannotBePlannedKeepsItsSteps: what was tried is the execution's history,
// unless planning is tried again.
func TestARunThatCannotBePlannedKeepsItsSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		steps int
	}{
		"for good":  {fault.Errorf(fault.Invalid, "plan the runbook", "it would end with Failed"), 1},
		"by chance": {fault.Errorf(fault.Unavailable, "call s3:GetBucketAcl", "no answer"), 0},
		"throttled": {&apimodel.APIError{Service: "s3", Operation: "GetBucketAcl", Code: "SlowDown", Throttled: true}, 0},
	} {
		w := runs(t)
		w.rehearser.err = c.err
		_, id := w.ask(t, nil)
		err := w.deliver(t)
		if _, again := fault.IsTransient(err); again != (c.steps == 0) || len(w.runs.steps) != c.steps {
			t.Errorf("%s: %v, %d steps", name, err, len(w.runs.steps))
		}
		if r := w.remediations[id]; c.steps > 0 && (r.State != remediation.Failed || !strings.Contains(r.Reason, "planning stopped: plan the runbook: it would end with Failed")) {
			t.Errorf("%s: %s, %s", name, r.State, r.Reason)
		}
	}
}

func TestAnOpenRunListsWhatItMayCall(t *testing.T) {
	t.Parallel()
	w := runs(t)
	w.rehearser.open = "step Later needs what only applying tells"
	_, id := w.ask(t, nil)
	if err := w.deliver(t); err != nil {
		t.Fatal(err)
	}
	// Applying sees the time that planning saw, whatever {{ global:DATE_TIME }} named.
	if planned := w.rehearser.got.Where.CreatedAt; planned.IsZero() || !planned.Equal(w.remediations[id].CreatedAt) {
		t.Errorf("planned with the time %s, stored %s", planned, w.remediations[id].CreatedAt)
	}
	if p := w.plans[id]; !p.Open || len(p.Beyond) != 1 || p.Beyond[0].Operation != "DeleteBucket" {
		t.Errorf("plan = %+v", p)
	}
}

func TestWhatCannotRunIsRefusedWhenItIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		run  remediation.Run
		code fault.Code
	}{
		"no such document": {remediation.Run{Document: remediation.Runbook{Name: "Open"}, Account: account, Region: region}, fault.NotFound},
		"no such version":  {remediation.Run{Document: remediation.Runbook{Name: "Close"}, Version: "9", Account: account, Region: region}, fault.NotFound},
		"no document":      {remediation.Run{Document: remediation.Runbook{Name: "x", Content: "a: b"}, Account: account, Region: region}, fault.Invalid},
		"an unknown action": {remediation.Run{
			Document: remediation.Runbook{Name: "x", Content: "schemaVersion: '0.3'\nmainSteps: [{name: A, action: 'aws:magic', inputs: {}}]\n"}, Account: account, Region: region,
		}, fault.Invalid},
		"no account": {remediation.Run{Document: remediation.Runbook{Name: "Close"}, Region: region}, fault.Invalid},
	} {
		w := runs(t)
		if _, _, err := w.desk.RequestRun(t.Context(), c.run, "alice"); !fault.Is(err, c.code) {
			t.Errorf("%s: %v", name, err)
		}
		if len(w.runs.rows)+len(w.effects) > 0 {
			t.Errorf("%s: something was stored", name)
		}
	}
}

func TestAForeignRequestPlansNothing(t *testing.T) {
	t.Parallel()
	w := runs(t)
	execution, _ := w.ask(t, nil)
	for name, req := range map[string]remediation.Request{
		"no run":                {ID: "rem-7", Kind: remediation.KindRun},
		"an unknown execution":  {ID: "rem-7", Kind: remediation.KindRun, Run: &remediation.Run{Execution: "x"}},
		"another's execution":   {ID: "rem-7", Kind: remediation.KindRun, Run: &remediation.Run{Execution: execution}},
		"its own run in the op": {ID: "rem-7", Kind: remediation.KindRun, Run: &remediation.Run{Document: remediation.Runbook{Content: runDocument}}},
	} {
		raw, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.stage.Handle(t.Context(), raw); !fault.IsTerminal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.remediations) > 0 {
		t.Errorf("remediations = %v", w.remediations)
	}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	a := plan.Access{Rules: []plan.DocumentRule{
		{Names: []string{"Close-*"}, Accounts: []string{"111*"}, Principals: []string{"alice"}, Roles: []string{"arn:aws:iam::*:role/Closer"}},
		{Names: []string{"Audit"}, Units: []string{"dev"}, KeyRoles: []string{"operator"}},
	}}
	alice, bob := plan.Starter{Name: "alice"}, plan.Starter{Name: "bob", KeyRoles: []string{"operator"}}
	closer := "arn:aws:iam::111122223333:role/Closer"
	for name, c := range map[string]struct {
		who                           plan.Starter
		document, account, unit, role string
		ok                            bool
	}{
		"by name":                          {alice, "Close-Port", "111122223333", "", "", true},
		"by name, with a listed role":      {alice, "Close-Port", "111122223333", "", closer, true},
		"another role":                     {alice, "Close-Port", "111122223333", "", closer + "2", false},
		"another account":                  {alice, "Close-Port", "222233334444", "", "", false},
		"another document":                 {alice, "Open-Port", "111122223333", "", "", false},
		"by the role of the key":           {bob, "Audit", "222233334444", "dev", "", true},
		"in another unit":                  {bob, "Audit", "222233334444", "prod", "", false},
		"somebody else":                    {bob, "Close-Port", "111122223333", "", "", false},
		"an administrator":                 {plan.Starter{Name: "root", Admin: true}, "Anything", "999999999999", "", "", true},
		"an administrator, not every role": {plan.Starter{Name: "root", Admin: true}, "Anything", "999999999999", "", closer, false},
		"nobody":                           {plan.Starter{}, "Close-Port", "111122223333", "", "", false},
	} {
		err := a.Check(c.who, c.document, c.account, c.unit, c.role)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (!fault.Is(err, fault.Denied) || fault.HintOf(err) == "") {
			t.Errorf("%s: %v has no hint", name, err)
		}
	}
	if err := (plan.Access{}).Check(alice, "Close-Port", "111122223333", "", ""); err == nil {
		t.Error("without rules anybody may")
	}
	for _, bad := range []plan.DocumentRule{{}, {Names: []string{""}}, {Names: []string{"a"}, Roles: []string{"Admin"}}} {
		if err := bad.Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
