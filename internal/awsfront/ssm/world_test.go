package ssm_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/store"
)

const (
	hub, dev, prod = "999988887777", "111122223333", "444455556666"
	uuid1          = "11111111-1111-4111-8111-111111111111"
	uuid2          = "22222222-2222-4222-8222-222222222222"
)

// world is everything behind the API, in memory.
type world struct {
	mu         sync.Mutex
	documents  map[string][]runbook.Stored // versions, the first first
	files      map[string][]byte
	executions map[string]remediation.Execution
	steps      map[string][]remediation.StepExecution
	tokens     map[string]string
	runs       []remediation.Run
	signals    []remediation.Signal
	decisions  []string
	cancelled  []string
	audits     []store.AuditRecord
	plans      map[remediation.Hash]remediation.Plan
	states     map[remediation.ID]remediation.Remediation
	approvers  []string
	mayStart   func(p auth.Principal, document, account, role string) error
	began      bool // CancelRun answers conflict
	now        time.Time
}

type fixed struct{ now time.Time }

func (f fixed) Now() time.Time { return f.now }

// models are unpacked once for all tests.
var models = sync.OnceValues(apimodel.Load)

func setup(t testing.TB) (*world, *ssm.Handler) {
	t.Helper()
	catalog, err := models()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		documents: map[string][]runbook.Stored{}, files: map[string][]byte{}, executions: map[string]remediation.Execution{}, steps: map[string][]remediation.StepExecution{},
		tokens: map[string]string{}, plans: map[remediation.Hash]remediation.Plan{}, states: map[remediation.ID]remediation.Remediation{},
		now: time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC),
	}
	h, err := ssm.New(ssm.Config{
		Models: catalog, Documents: w, Writer: w, Files: w, Catalog: w, Rights: w, Desk: w, Executions: w, Plans: w, Signals: w, Decider: w,
		Account: hub, MaxDocuments: 20, MaxVersions: 5, Clock: fixed{w.now},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, h
}

func (w *world) audit(eff store.Effects) { w.audits = append(w.audits, eff.Audit...) }

func missing(what string) error { return fault.E(fault.NotFound, what, store.ErrNotFound) }

func (w *world) Document(_ context.Context, name string, version int) (runbook.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.documents[name] {
		if d.Version == version || version == runbook.DefaultVersion && d.Version == d.Default || version == runbook.LatestVersion && d.Version == d.Latest {
			return d, nil
		}
	}
	return runbook.Stored{}, missing("read document")
}

func (w *world) ListDocuments(_ context.Context, after string, limit int) ([]runbook.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []runbook.Stored
	for name, versions := range w.documents {
		if i := slices.IndexFunc(versions, func(d runbook.Stored) bool { return d.Version == d.Default }); name > after && i >= 0 {
			d := versions[i]
			d.Content = ""
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b runbook.Stored) int { return cmp.Compare(a.Name, b.Name) })
	return out[:min(limit, len(out))], nil
}

func (w *world) DocumentVersions(_ context.Context, name string, before, limit int) ([]runbook.Stored, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []runbook.Stored
	for _, d := range slices.Backward(w.documents[name]) {
		if before == 0 || d.Version < before {
			d.Content = ""
			out = append(out, d)
		}
	}
	return out[:min(limit, len(out))], nil
}

func (w *world) CreateDocument(_ context.Context, d runbook.Stored, most int, eff store.Effects) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.documents[d.Name]; ok {
		return fault.E(fault.Conflict, "create document", store.ErrExists)
	}
	if len(w.documents) >= most {
		return fault.Errorf(fault.Exhausted, "create document", "full")
	}
	w.documents[d.Name] = []runbook.Stored{d}
	w.audit(eff)
	return nil
}

func (w *world) AddDocumentVersion(_ context.Context, d runbook.Stored, most int, eff store.Effects) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.documents[d.Name]) >= most {
		return fault.Errorf(fault.Exhausted, "update document", "full")
	}
	w.documents[d.Name] = append(w.documents[d.Name], d)
	w.head(d.Name, func(v *runbook.Stored) { v.Latest = d.Version })
	w.audit(eff)
	return nil
}

func (w *world) head(name string, change func(*runbook.Stored)) {
	for i := range w.documents[name] {
		change(&w.documents[name][i])
	}
}

func (w *world) SetDefaultVersion(_ context.Context, name string, version int, eff store.Effects) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head(name, func(v *runbook.Stored) { v.Default = version })
	w.audit(eff)
	return nil
}

func (w *world) DeleteDocument(_ context.Context, name string, version int, eff store.Effects) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if version == 0 {
		delete(w.documents, name)
	} else {
		w.documents[name] = slices.DeleteFunc(w.documents[name], func(d runbook.Stored) bool { return d.Version == version })
	}
	w.audit(eff)
	return nil
}

func (w *world) SetDocumentTags(_ context.Context, name string, tags map[string]string, eff store.Effects) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head(name, func(v *runbook.Stored) { v.Tags = tags })
	w.audit(eff)
	return nil
}

func (w *world) PutAttachment(_ context.Context, _ string, _ int, f runbook.File, content []byte, _ store.Effects) error {
	w.files[f.SHA256] = content
	return nil
}

const shipped = `description: Comes with Parry.
schemaVersion: "0.3"
mainSteps:
  - name: Wait
    action: aws:sleep
    inputs: {Duration: PT1S}
    isEnd: true
`

func (w *world) Runbook(name string) (remediation.Runbook, *runbook.Document, bool) {
	if name != "Parry-Shipped" {
		return remediation.Runbook{}, nil, false
	}
	doc, err := runbook.Parse([]byte(shipped))
	if err != nil {
		panic(err)
	}
	return remediation.Runbook{Name: name, Content: shipped, Revision: doc.Revision}, doc, true
}

func (w *world) Runbooks() []string { return []string{"Parry-Shipped"} }

func (w *world) MayStart(p auth.Principal, document, account, role string) error {
	if w.mayStart == nil {
		return nil
	}
	return w.mayStart(p, document, account, role)
}

func (w *world) RequestRun(_ context.Context, run remediation.Run, principal string) (string, remediation.ID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	run.Execution = fmt.Sprintf("%08d-1111-4111-8111-111111111111", len(w.runs))
	if run.ClientToken != "" {
		if _, ok := w.tokens[principal+run.ClientToken]; ok {
			return "", "", fault.E(fault.Conflict, "request run", store.ErrExists)
		}
		w.tokens[principal+run.ClientToken] = run.Execution
	}
	w.runs = append(w.runs, run)
	id := remediation.ID("rem-" + run.Execution[:8])
	parameters := map[string][]string{}
	for name, v := range run.Parameters {
		list, _ := v.([]any)
		for _, item := range list {
			parameters[name] = append(parameters[name], fmt.Sprint(item))
		}
	}
	w.executions[run.Execution] = remediation.Execution{
		ID: run.Execution, Remediation: id, Root: run.Execution, Document: run.Document.Name, Version: run.Version, Account: run.Account, Region: run.Region, Mode: run.Mode,
		Status: "Pending", Parameters: parameters, Asked: &run, OnTargets: run.OnTargets(), StartedBy: principal, StartedAt: w.now.Add(time.Duration(len(w.runs)) * time.Second),
	}
	w.states[id] = remediation.Remediation{ID: id, State: remediation.Planned, UpdatedAt: w.now}
	return run.Execution, id, nil
}

func (w *world) CancelRun(_ context.Context, e remediation.Execution, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.began {
		return fault.E(fault.Conflict, "cancel run", store.ErrConflict)
	}
	w.cancelled = append(w.cancelled, e.ID)
	return nil
}

func (w *world) AutomationExecution(_ context.Context, id string) (remediation.Execution, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e, ok := w.executions[id]
	if !ok {
		return e, missing("read execution")
	}
	return e, nil
}

func (w *world) ExecutionByToken(ctx context.Context, principal, token string) (remediation.Execution, error) {
	return w.AutomationExecution(ctx, w.tokens[principal+token])
}

// page gives the items from a cursor that is a number.
func page[T any](all []T, limit int, cursor string) ([]T, string, error) {
	at := 0
	if cursor != "" {
		var err error
		if at, err = strconv.Atoi(cursor); err != nil || at > len(all) {
			return nil, "", fault.Errorf(fault.Invalid, "read cursor", "no")
		}
	}
	if rest := all[at:]; len(rest) > limit {
		return rest[:limit], strconv.Itoa(at + limit), nil
	}
	return all[at:], "", nil
}

func fits(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }

func (w *world) ListAutomationExecutions(_ context.Context, f remediation.ExecutionFilter, limit int, cursor string) ([]remediation.Execution, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []remediation.Execution
	for _, e := range w.executions {
		inScope := slices.Contains(f.Accounts, auth.All) || slices.Contains(f.Accounts, e.Account)
		after := f.StartedAfter.IsZero() || e.StartedAt.After(f.StartedAfter)
		cross := f.CrossAccount == nil || *f.CrossAccount == (e.Asked != nil && len(e.Asked.TargetLocations) > 0)
		if inScope && after && cross && fits(f.Statuses, e.Status) && fits(f.IDs, e.ID) && fits(f.Parents, e.Parent) && fits(f.Targets, e.Target) {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b remediation.Execution) int { return b.StartedAt.Compare(a.StartedAt) })
	if f.Oldest {
		slices.Reverse(all)
	}
	return page(all, limit, cursor)
}

func (w *world) ListStepExecutions(_ context.Context, execution string, f remediation.StepFilter, limit int, cursor string) ([]remediation.StepExecution, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []remediation.StepExecution
	for _, s := range w.steps[execution] {
		if fits(f.IDs, s.ID) && fits(f.Names, s.Name) && fits(f.Statuses, s.Status) && fits(f.Actions, s.Action) && fits(f.ParentSteps, s.ParentStep) {
			all = append(all, s)
		}
	}
	if f.Reverse {
		slices.Reverse(all)
	}
	return page(all, limit, cursor)
}

func (w *world) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, ok := w.states[id]
	if !ok {
		return r, missing("read remediation")
	}
	return r, nil
}

func (w *world) DocumentText(_ context.Context, e remediation.Execution) (string, error) {
	if e.Asked == nil {
		return "", missing("read document")
	}
	return e.Asked.Document.Content, nil
}

func (w *world) Plan(_ context.Context, hash remediation.Hash) (remediation.Plan, error) {
	p, ok := w.plans[hash]
	if !ok {
		return p, missing("read plan")
	}
	return p, nil
}

func (w *world) PutSignal(_ context.Context, s remediation.Signal) error {
	w.signals = append(w.signals, s)
	return nil
}

func (w *world) DecideStep(_ context.Context, step remediation.StepExecution, principal string, approve bool, comment string) error {
	if !slices.Contains(w.approvers, principal) {
		return fault.Errorf(fault.Denied, "decide step", "%s is not among the approvers of step %s", principal, step.Name)
	}
	w.decisions = append(w.decisions, fmt.Sprint(step.Execution, " ", step.Name, " ", principal, " ", approve, " ", comment))
	return nil
}

// as gives a caller with a role on accounts.
func as(name string, role auth.Role, accounts ...string) ssm.Caller {
	return ssm.Caller{Principal: auth.Principal{Name: name, KeyName: name, Roles: []auth.Role{role}, Accounts: accounts}, Region: "eu-central-1"}
}

func admin() ssm.Caller { return as("ada", auth.RoleAdmin, auth.All) }

type object = map[string]any

// ask makes a call that has to be answered, in a form that AWS's model knows.
func ask(t testing.TB, h *ssm.Handler, c ssm.Caller, operation string, in object) object {
	t.Helper()
	out, err := try(t, h, c, operation, in)
	if err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	return out
}

func try(t testing.TB, h *ssm.Handler, c ssm.Caller, operation string, in object) (object, error) {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	value, err := h.Answer(t.Context(), c, operation, raw)
	if err != nil {
		return nil, err
	}
	return conform(t, operation, value), nil
}

// refused makes a call that has to be refused with a code.
func refused(t *testing.T, h *ssm.Handler, c ssm.Caller, operation string, in object, code string) string {
	t.Helper()
	_, err := try(t, h, c, operation, in)
	if err == nil {
		t.Fatalf("%s was answered", operation)
	}
	e := ssm.ErrorOf(err)
	if e.Code != code {
		t.Errorf("%s: %s: %s; want %s", operation, e.Code, e.Message, code)
	}
	return e.Message
}
