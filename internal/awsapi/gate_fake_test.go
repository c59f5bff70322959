package awsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
)

const (
	hub    = "999988887777"
	member = "111122223333"
	region = "eu-west-1"
	role   = "ParryMemberRole"
)

var catalog = sync.OnceValues(apimodel.Load)

// fakeAWS keeps buckets and answers as S3 does. The hooks stand for what goes
// wrong on the way there and back.
type fakeAWS struct {
	mu      sync.Mutex
	buckets map[string]map[string]any // by name; members "pab", "policy", "acl"
	tags    map[string]string         // of every bucket; nil = none
	keys    map[string]any            // what kms:CreateKey answers
	dryRuns int                       // how often EC2 was asked for permission only
	deaf    bool                      // EC2 takes a dry run for a change
	answers map[string]map[string]any // by operation, in place of what it would answer
	hubRole string                    // the role of the process
	log     []apimodel.Call
	there   func(c apimodel.Call) error // before the call takes effect
	back    func(c apimodel.Call) error // after it took effect
}

func newFakeAWS() *fakeAWS {
	return &fakeAWS{hubRole: "ParryHub", buckets: map[string]map[string]any{"open": {
		"policy": publicPolicy,
		"acl": map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{
			grant("owner", "FULL_CONTROL"), everyone,
		}},
	}}}
}

const publicPolicy = `{"Version":"2012-10-17","Statement":[{"Sid":"PublicRead","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::open/*"}]}`

var everyone = map[string]any{"Grantee": map[string]any{"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}

func grant(id, permission string) map[string]any {
	return map[string]any{"Grantee": map[string]any{"Type": "CanonicalUser", "ID": id}, "Permission": permission}
}

func blocked(on bool) map[string]any {
	return map[string]any{"BlockPublicAcls": on, "IgnorePublicAcls": on, "BlockPublicPolicy": on, "RestrictPublicBuckets": on}
}

func (f *fakeAWS) Send(_ context.Context, _ awsapi.Credentials, c apimodel.Call) (apimodel.Reply, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, c)
	if f.there != nil {
		if err := f.there(c); err != nil {
			return apimodel.Reply{}, err
		}
	}
	out, err := f.answer(c)
	if err != nil {
		return apimodel.Reply{}, err
	}
	if f.back != nil {
		if err := f.back(c); err != nil {
			return apimodel.Reply{}, err
		}
	}
	out["ResponseMetadata"] = map[string]any{"RequestId": fmt.Sprintf("req-%d", len(f.log)), "HTTPStatusCode": int64(200)}
	return apimodel.Reply{Output: out}, nil
}

func (f *fakeAWS) answer(c apimodel.Call) (map[string]any, error) {
	if c.Service == "sts" {
		return map[string]any{"Account": hub, "Arn": "arn:aws:sts::" + hub + ":assumed-role/" + f.hubRole + "/i-1"}, nil
	}
	if out, ok := f.answers[c.Operation]; ok {
		return maps.Clone(out), nil
	}
	if c.Service == "ec2" && c.Input["DryRun"] == true && !f.deaf {
		f.dryRuns++
		f.log = f.log[:len(f.log)-1] // nothing is changed
		return nil, &apimodel.APIError{Service: "ec2", Operation: c.Operation, Code: "DryRunOperation", HTTPStatus: 412}
	}
	if c.Operation == "CreateKey" && f.keys != nil {
		return maps.Clone(f.keys), nil
	}
	if c.Service != "s3" {
		return map[string]any{}, nil
	}
	name, _ := c.Input["Bucket"].(string)
	b, ok := f.buckets[name]
	if !ok {
		return nil, &apimodel.APIError{Service: "s3", Operation: c.Operation, Code: "NoSuchBucket", HTTPStatus: 404}
	}
	absent := func(code string) (map[string]any, error) {
		return nil, &apimodel.APIError{Service: "s3", Operation: c.Operation, Code: code, HTTPStatus: 404}
	}
	switch c.Operation {
	case "GetPublicAccessBlock":
		if b["pab"] == nil {
			return absent("NoSuchPublicAccessBlockConfiguration")
		}
		return map[string]any{"PublicAccessBlockConfiguration": b["pab"]}, nil
	case "GetBucketTagging":
		if f.tags == nil {
			return absent("NoSuchTagSet")
		}
		var set []any
		for k, v := range f.tags {
			set = append(set, map[string]any{"Key": k, "Value": v})
		}
		return map[string]any{"TagSet": set}, nil
	case "PutPublicAccessBlock":
		b["pab"] = c.Input["PublicAccessBlockConfiguration"]
	case "DeletePublicAccessBlock":
		delete(b, "pab")
	case "GetBucketPolicy":
		if b["policy"] == nil {
			return absent("NoSuchBucketPolicy")
		}
		return map[string]any{"Policy": b["policy"]}, nil
	case "PutBucketPolicy":
		b["policy"] = c.Input["Policy"]
	case "DeleteBucketPolicy":
		delete(b, "policy")
	case "GetBucketAcl":
		return maps.Clone(b["acl"].(map[string]any)), nil
	case "PutBucketAcl":
		if acp, ok := c.Input["AccessControlPolicy"].(map[string]any); ok {
			b["acl"] = acp
		} else {
			b["acl"] = map[string]any{"Owner": map[string]any{"ID": "owner"}, "Grants": []any{grant("owner", "FULL_CONTROL")}}
		}
	}
	return map[string]any{}, nil
}

// sent lists the operations that reached AWS since the last time it was asked.
func (f *fakeAWS) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, c := range f.log {
		out = append(out, c.Operation)
	}
	f.log = nil
	return out
}

func (f *fakeAWS) set(bucket, aspect string, v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v == nil {
		delete(f.buckets[bucket], aspect)
		return
	}
	f.buckets[bucket][aspect] = v
}

// state is the buckets as JSON, to compare before and after.
func (f *fakeAWS) state(t testing.TB) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, err := json.Marshal(f.buckets)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func isChange(c apimodel.Call) bool {
	models, err := catalog()
	return err == nil && models.ClassifyCall(c) == apimodel.Change
}

// fakeCredentials hands out empty credentials and remembers the roles.
type fakeCredentials struct {
	mu      sync.Mutex
	assumed []awsapi.RoleRequest
	clock   service.Clock
	err     error
}

func (f *fakeCredentials) Process(context.Context) (awsapi.Credentials, error) {
	return awsapi.Credentials{}, f.err
}

func (f *fakeCredentials) AssumeRole(_ context.Context, in awsapi.RoleRequest) (awsapi.Credentials, time.Time, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.assumed = append(f.assumed, in)
	return awsapi.Credentials{}, f.clock.Now().Add(time.Hour), f.err
}

// fakeRecorder keeps changes in memory; the hooks stand for a store that fails.
type fakeRecorder struct {
	mu         sync.Mutex
	changes    map[string]remediation.Change
	order      []string
	used       map[string]int // of budgets
	failIntent error
	failResult error
	failRead   error
}

func newFakeRecorder() *fakeRecorder {
	return &fakeRecorder{changes: map[string]remediation.Change{}, used: map[string]int{}}
}

func (f *fakeRecorder) RecordIntent(_ context.Context, c remediation.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failIntent != nil {
		return f.failIntent
	}
	if _, ok := f.changes[c.ID]; ok {
		return nil
	}
	for _, b := range c.Budgets {
		if f.used[budgetKey(b)] >= b.Limit {
			return fault.E(fault.Exhausted, "record change", &remediation.OverBudgetError{Budget: b})
		}
	}
	for _, b := range c.Budgets {
		f.used[budgetKey(b)]++
	}
	f.changes[c.ID] = c
	f.order = append(f.order, c.ID)
	return nil
}

func budgetKey(b remediation.Budget) string {
	return fmt.Sprint(b.Name, " ", b.Key, " ", b.Since.Unix())
}

func (f *fakeRecorder) RecordOutcome(ctx context.Context, c remediation.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failResult != nil {
		return f.failResult
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.changes[c.ID] = c
	return nil
}

func (f *fakeRecorder) Change(_ context.Context, id string) (remediation.Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failRead != nil {
		return remediation.Change{}, f.failRead
	}
	c, ok := f.changes[id]
	if !ok {
		return c, fault.Errorf(fault.NotFound, "read change", "%s", id)
	}
	return c, nil
}

// outcomes lists what was recorded, in order of intent.
func (f *fakeRecorder) outcomes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, id := range f.order {
		out = append(out, id+" "+string(f.changes[id].Outcome))
	}
	return out
}

// world is one gate with everything around it faked.
type world struct {
	t        testing.TB
	aws      *fakeAWS
	creds    *fakeCredentials
	recorder *fakeRecorder
	clock    *service.FixedClock
	gate     *awsapi.Gate
	events   []awsapi.Event
	stop     func(context.Context) (bool, string, error)
	fence    func(context.Context) error
}

func newWorld(t testing.TB, change ...func(*awsapi.Config)) *world {
	t.Helper()
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, aws: newFakeAWS(), recorder: newFakeRecorder(), clock: service.NewFixedClock(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))}
	w.creds = &fakeCredentials{clock: w.clock}
	w.stop = func(context.Context) (bool, string, error) { return false, "", nil }
	w.fence = func(context.Context) error { return nil }
	cfg := awsapi.Config{
		Sender: w.aws, Models: models, Credentials: w.creds, Clock: w.clock, Region: region,
		ExternalID: func(account string) string { return "ext-" + account },
		Guards:     awsapi.Guards{Accounts: []string{member, hub}, ManagementAccount: "000000000001"},
		StopSwitch: func(ctx context.Context) (bool, string, error) { return w.stop(ctx) },
		Observe:    func(e awsapi.Event) { w.events = append(w.events, e) },
	}
	for _, f := range change {
		f(&cfg)
	}
	if w.gate, err = awsapi.New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func s3(op string, input map[string]any) apimodel.Call {
	in := map[string]any{"Bucket": "open"}
	maps.Copy(in, input)
	return apimodel.Call{Service: "s3", Operation: op, Account: member, Region: region, Input: in}
}

// stepCall is one call of a runbook.
type stepCall struct {
	step string
	call apimodel.Call
}

// fix is what the story's runbook does.
func fix() []stepCall {
	return []stepCall{
		{"Block", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})},
		{"Policy", s3("DeleteBucketPolicy", nil)},
		{"Acl", s3("PutBucketAcl", map[string]any{"ACL": "private"})},
	}
}

var as = awsapi.Identity{Role: role, SessionName: "exec-1", SourceIdentity: "alice"}

// plan runs the calls through a planner and makes a plan of them.
func (w *world) plan(calls []stepCall) *remediation.Plan {
	w.t.Helper()
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	for _, c := range calls {
		if _, err := p.Call(w.t.Context(), c.step, c.call); err != nil {
			w.t.Fatalf("plan %s: %v", c.step, err)
		}
	}
	return w.planOf(p.Calls())
}

func (w *world) planOf(calls []remediation.PlannedCall) *remediation.Plan {
	return &remediation.Plan{Remediation: "rem-1", Role: role, Account: member, Region: region, GuardsRevision: w.gate.GuardsRevision(), Calls: calls}
}

func (w *world) authority(p *remediation.Plan) awsapi.Authority {
	w.t.Helper()
	hash, err := p.Hash()
	if err != nil {
		w.t.Fatal(err)
	}
	return awsapi.Authority{
		Remediation: "rem-1", Execution: "exec-1", Plan: p, Hash: hash, Recorder: w.recorder,
		Fence: func(ctx context.Context) error { return w.fence(ctx) },
	}
}

func (w *world) apply(p *remediation.Plan) *awsapi.Session {
	w.t.Helper()
	return w.gate.Applying(as, w.authority(p))
}

// run makes the calls until one fails.
func run(ctx context.Context, s *awsapi.Session, calls []stepCall) error {
	for _, c := range calls {
		if _, err := s.Call(ctx, c.step, c.call); err != nil {
			return fmt.Errorf("%s: %w", c.step, err)
		}
	}
	return nil
}

// changesOf keeps the operations that change something.
func changesOf(sent []string) []string {
	return slices.DeleteFunc(sent, func(op string) bool { return !isChange(s3(op, nil)) })
}

var errLost = &apimodel.APIError{Service: "s3", Code: "ConnectionClosedError", Message: "connection reset", Uncertain: true}

var errStore = errors.New("disk full")
