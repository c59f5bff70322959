package plan_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	account = "111122223333"
	other   = "444455556666"
	region  = "eu-central-1"
	bucket  = "arn:aws:s3:::reports"
)

// memory is a store of one finding, and of what planning writes.
type memory struct {
	finding      *store.FindingRecord
	remediations map[remediation.ID]remediation.Remediation
	plans        map[remediation.ID]remediation.Plan
	changes      []remediation.Change
	effects      []store.Effects
	fail         error
}

func (m *memory) Findings(_ context.Context, ids []finding.ID) ([]store.FindingRecord, error) {
	if m.fail != nil || m.finding == nil || ids[0] != m.finding.ID {
		return nil, m.fail
	}
	return []store.FindingRecord{*m.finding}, nil
}

func (m *memory) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, ok := m.remediations[id]
	if !ok {
		return r, fault.E(fault.NotFound, "read remediation", store.ErrNotFound)
	}
	return r, nil
}

func (m *memory) CreateRemediation(_ context.Context, r remediation.Remediation, p *remediation.Plan, eff store.Effects) error {
	if _, ok := m.remediations[r.ID]; ok {
		return store.ErrExists
	}
	m.remediations[r.ID] = r
	if p != nil {
		m.plans[r.ID] = *p
	}
	m.effects = append(m.effects, eff)
	return nil
}

func (m *memory) Changes(_ context.Context, id remediation.ID) ([]remediation.Change, error) {
	var out []remediation.Change
	for _, c := range m.changes {
		if c.Remediation == id {
			out = append(out, c)
		}
	}
	return out, m.fail
}

func (m *memory) Enqueue(_ context.Context, f store.File, eff store.Effects) error {
	if f != store.Execution {
		return fmt.Errorf("requests belong to the execution file, not %s", f)
	}
	m.effects = append(m.effects, eff)
	return nil
}

// topics lists what was sent out, in order.
func (m *memory) topics() []string {
	var out []string
	for _, eff := range m.effects {
		for _, msg := range eff.Outbox {
			out = append(out, msg.Topic)
		}
	}
	return out
}

// cloud is an account as far as the table of before-images knows it: by read
// operation, what is there now.
type cloud struct {
	images map[string]apimodel.Image
	fail   map[string]error // by operation
	sent   []string
}

func (c *cloud) clone() *cloud { return &cloud{images: maps.Clone(c.images), fail: c.fail} }

// Call answers reads and makes changes at once.
func (c *cloud) Call(_ context.Context, _ string, call apimodel.Call) (apimodel.Reply, error) {
	c.sent = append(c.sent, call.Operation)
	if err := c.fail[call.Operation]; err != nil {
		return apimodel.Reply{}, err
	}
	if spec, ok := c.spec(call); ok {
		return spec.Answer(call, c.images[call.Operation], apimodel.Reply{})
	}
	spec, ok := apimodel.ImageOf(call)
	if !ok {
		return apimodel.Reply{}, fmt.Errorf("the test's cloud does not know %s", call.Operation)
	}
	after, known := spec.Expected(c.images[spec.ReadOperation()])
	if !known {
		return apimodel.Reply{}, fmt.Errorf("the effect of %s %v is not known", call.Operation, call.Input)
	}
	c.images[spec.ReadOperation()] = after
	return apimodel.Reply{}, nil
}

// spec finds the row of a read.
func (c *cloud) spec(read apimodel.Call) (apimodel.ImageSpec, bool) {
	for _, name := range apimodel.ImageOperations() {
		change := read.Clone()
		change.Service, change.Operation, _ = strings.Cut(name, ":")
		if s, ok := apimodel.ImageOf(change); ok && s.Shows(read) {
			return s, true
		}
	}
	return apimodel.ImageSpec{}, false
}

// planner works on a copy of the cloud and writes down what it would change.
type planner struct {
	cloud *cloud
	calls []remediation.PlannedCall
}

func (p *planner) Look(ctx context.Context, c apimodel.Call) (apimodel.Reply, error) {
	return p.cloud.Call(ctx, "", c)
}

func (p *planner) Call(ctx context.Context, step string, c apimodel.Call) (apimodel.Reply, error) {
	pc := remediation.PlannedCall{
		Seq: len(p.calls) + 1, Step: step, Service: c.Service, Operation: c.Operation, Account: c.Account, Region: c.Region,
		Class: apimodel.Read, Input: c.Input,
	}
	if spec, ok := apimodel.ImageOf(c); ok {
		before := remediation.Image(p.cloud.images[spec.ReadOperation()])
		pc.Class, pc.Resource, pc.Before = apimodel.Change, spec.Resource(), &before
	}
	reply, err := p.cloud.Call(ctx, step, c)
	if err == nil {
		p.calls = append(p.calls, pc)
	}
	return reply, err
}

func (p *planner) IsUnknown(any) bool { return false }

func (p *planner) Calls() []remediation.PlannedCall { return p.calls }

type gate struct {
	cloud  *cloud
	opened []*planner
}

func (g *gate) Planner(remediation.Remediation, ...string) plan.Planner {
	p := &planner{cloud: g.cloud.clone()}
	g.opened = append(g.opened, p)
	return p
}

func (g *gate) GuardsRevision() string { return "guards-1" }

// dry is the real interpreter over the planner; open and err stand in for what
// it says otherwise.
type dry struct {
	open string
	err  error
}

func (d dry) Dry(ctx context.Context, doc *runbook.Document, parameters map[string]any, execution string, where remediation.Remediation, caller plan.Caller) (string, error) {
	out, err := interpret(ctx, doc, parameters, caller)
	switch {
	case d.err != nil || err != nil:
		return "", cmp.Or(d.err, err)
	case out.Status != automation.Success && out.Cause != nil:
		return "", out.Cause
	case out.Status != automation.Success:
		return "", fmt.Errorf("%s: %v", out.Status, out.Failure)
	}
	return d.open, nil
}

func interpret(ctx context.Context, doc *runbook.Document, parameters map[string]any, caller automation.Caller) (automation.Outcome, error) {
	engine, err := automation.New(automation.Config{Clock: still{}})
	if err != nil {
		return automation.Outcome{}, err
	}
	return engine.Run(ctx, automation.Run{Document: doc, Parameters: parameters, Caller: caller, ExecutionID: "exec-1", Account: account, Region: region})
}

// still is a clock that nothing has to wait for.
type still struct{}

func (still) Now() time.Time                            { return noon }
func (still) Wait(context.Context, time.Duration) error { return nil }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// shelf holds the playbook of the catalog and its runbook.
type shelf struct {
	book   playbook.Playbook
	pinned remediation.Runbook
	doc    *runbook.Document
	bare   bool // without the runbook
}

func (s shelf) Playbook(id string) (playbook.Playbook, bool) { return s.book, id == s.book.ID }

func (s shelf) PlaybookFor(control string) (playbook.Playbook, bool) {
	return s.book, control == "S3.2"
}

func (s shelf) Runbook(name string) (remediation.Runbook, *runbook.Document, bool) {
	return s.pinned, s.doc, name == s.pinned.Name && !s.bare
}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	read := func(name string) []byte {
		raw, err := fs.ReadFile(catalog.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	book, err := playbook.Parse(read("playbooks/S3.2.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	raw := read("runbooks/" + book.Runbook + "/runbook.yaml")
	doc, err := runbook.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &shelf{book, remediation.Runbook{Name: book.Runbook, Revision: runbook.Revision(raw), Content: string(raw)}, doc, false}
}

// world is the stage with everything around it.
type world struct {
	*memory
	cloud *cloud
	gate  *gate
	shelf *shelf
	dry   *dry
	clock *service.FixedClock
	stage *plan.Stage
}

// braces is a statement whose text looks like a runbook's references.
const braces = `{"Version":"2012-10-17","Statement":[` +
	`{"Sid":"World","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/{{ global:REGION }}/{{ Nothing }}"},` +
	`{"Sid":"Partner","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444455556666:root"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::reports/*"}]}`

func publicBucket() *cloud {
	grant := func(grantee map[string]any, permission string) any {
		return map[string]any{"Grantee": grantee, "Permission": permission}
	}
	return &cloud{fail: map[string]error{}, images: map[string]apimodel.Image{
		"GetPublicAccessBlock": {},
		"GetBucketPolicy":      {Exists: true, Data: map[string]any{"Policy": braces}},
		"GetBucketAcl": {Exists: true, Data: map[string]any{
			"Owner": map[string]any{"ID": "owner"},
			"Grants": []any{
				grant(map[string]any{"Type": "CanonicalUser", "ID": "owner"}, "FULL_CONTROL"),
				grant(map[string]any{"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "READ"),
			},
		}},
	}}
}

func setup(t *testing.T) *world {
	t.Helper()
	m := &memory{
		finding: &store.FindingRecord{
			ID: finding.ID{ProductArn: "arn:aws:securityhub:::product/x/y", Id: "f-1"}, Account: account, Region: region, Control: "S3.2",
			ResourceID: bucket, ResourceType: "AwsS3Bucket", Workflow: "NEW", RecordState: "ACTIVE", Title: "a public bucket",
		},
		remediations: map[remediation.ID]remediation.Remediation{}, plans: map[remediation.ID]remediation.Plan{},
	}
	w := &world{memory: m, cloud: publicBucket(), shelf: newShelf(t), dry: &dry{}, clock: service.NewFixedClock(noon)}
	w.gate = &gate{cloud: w.cloud}
	var err error
	w.stage, err = plan.New(plan.Config{
		Store: m, Content: w.shelf, Gate: w.gate, Dry: w.dry, Clock: w.clock,
		Account: org.NewLive([]org.Account{{ID: account}, {ID: other}}).Account, MemberRole: "ParryMemberRole", RereadAfter: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) handle(t *testing.T, req remediation.Request) error {
	t.Helper()
	raw, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	return w.stage.Handle(t.Context(), raw)
}

func (w *world) fix() remediation.Request {
	return remediation.Request{ID: "rem-1", Kind: remediation.KindFix, Finding: w.finding.ID, Playbook: "S3.2", RequestedBy: "rule/s3"}
}

func undo() remediation.Request {
	return remediation.Request{ID: "rem-2", Kind: remediation.KindUndo, UndoOf: "rem-1", RequestedBy: "alice"}
}

// changing lists the changing operations of a plan.
func changing(p remediation.Plan) []string {
	var out []string
	for _, c := range p.Calls {
		if c.Class.NeedsApproval() {
			out = append(out, c.Operation)
		}
	}
	return out
}
