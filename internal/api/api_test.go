package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

const (
	dev  = "222222222222"
	prod = "333333333333"
	arn  = "arn:aws:securityhub:eu-central-1::product/aws/securityhub"
)

func hash(of string) remediation.Hash { return remediation.Hash(strings.Repeat(of, 64)) }

// vault is everything behind the API, in memory: one finding, remediation and
// approval in dev and one in prod.
type vault struct {
	mu           sync.Mutex
	keys         map[string]store.Key
	seen         map[string]bool
	findings     []store.FindingRecord
	remediations map[remediation.ID]remediation.Remediation
	approvals    map[string]remediation.Approval
	entries      []store.AuditEntry
	audited      []store.AuditRecord
	on           bool
	reason       string
	calls        []string // what was asked of the stages
	fail         error
	brokenAfter  int64 // index after which the audit log cannot be read
}

func newVault() *vault {
	v := &vault{keys: map[string]store.Key{}, seen: map[string]bool{}, remediations: map[remediation.ID]remediation.Remediation{}, approvals: map[string]remediation.Approval{}}
	for i, account := range []string{dev, prod} {
		name := []string{"dev", "prod"}[i]
		v.findings = append(v.findings, store.FindingRecord{
			ID: finding.ID{ProductArn: arn, Id: name}, Account: account, Control: "S3.8", Title: "open", Doc: json.RawMessage(`{"Id":"` + name + `"}`),
		})
		id := remediation.ID("rem-" + name)
		v.remediations[id] = remediation.Remediation{
			ID: id, Kind: remediation.KindFix, Account: account, State: remediation.AwaitingApproval, PlanHash: hash([]string{"a", "b"}[i]),
			Finding: finding.ID{ProductArn: arn, Id: name}, Execution: "exe-" + name, RequestedBy: "rule/x",
		}
		v.approvals["apr-"+name] = remediation.Approval{ID: "apr-" + name, Remediation: id, Plan: hash([]string{"a", "b"}[i]), Account: account, State: remediation.ApprovalPending, Quorum: 1}
	}
	for i := range int64(1200) {
		v.entries = append(v.entries, store.AuditEntry{Index: i + 1, Hash: "h", AuditRecord: store.AuditRecord{Actor: "ada", Action: "x"}})
	}
	return v
}

// ControlCounts has the same failed finding in both accounts, within the scope.
func (v *vault) ControlCounts(_ context.Context, q store.ControlQuery, yield func(control.Count) error) error {
	for _, account := range []string{dev, prod} {
		if !slices.Contains(q.Accounts, account) && !slices.Contains(q.Accounts, auth.All) || q.Account != "" && q.Account != account {
			continue
		}
		c := control.Count{Control: "S3.8", Set: "fsbp", State: control.Failed, N: 1}
		if q.ByAccount {
			c.Account = account
		}
		if err := yield(c); err != nil {
			return err
		}
	}
	return nil
}

func (v *vault) note(call string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls = append(v.calls, call)
}

func (v *vault) Key(_ context.Context, id string) (store.Key, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.keys[id]; ok {
		return k, nil
	}
	return store.Key{}, fault.E(fault.NotFound, "read key", store.ErrNotFound)
}

func (v *vault) SeenSignature(_ context.Context, sig string, _ time.Time) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.seen[sig]
	v.seen[sig] = true
	return seen, nil
}

func in(scope []string, account string) bool {
	return slices.Contains(scope, "*") || slices.Contains(scope, account)
}

func (v *vault) QueryFindings(_ context.Context, q store.FindingQuery) (store.FindingPage, error) {
	if v.fail != nil {
		return store.FindingPage{}, v.fail
	}
	var page store.FindingPage
	for _, f := range v.findings {
		keep := in(q.Accounts, f.Account) && !slices.Contains(q.WithoutAccounts, f.Account)
		for _, c := range q.Where {
			if c.Column == "account" && !slices.Contains(c.Values, f.Account) || c.Column == "id" && !slices.Contains(c.Values, f.ID.Id) {
				keep = false
			}
		}
		if keep {
			page.Records = append(page.Records, f)
		}
	}
	return page, nil
}

func (v *vault) Findings(_ context.Context, ids []finding.ID) ([]store.FindingRecord, error) {
	var out []store.FindingRecord
	for _, f := range v.findings {
		if slices.Contains(ids, f.ID) {
			out = append(out, f)
		}
	}
	return out, nil
}

func (v *vault) Explain(_ context.Context, r store.FindingRecord) (triage.Score, error) {
	return triage.Score{Value: r.Priority, Reasons: []triage.Reason{{Points: r.Priority, Text: "severity"}}}, nil
}

// TopResources gives one resource for each finding in scope.
func (v *vault) TopResources(ctx context.Context, accounts []string, n int) ([]store.Resource, error) {
	page, err := v.QueryFindings(ctx, store.FindingQuery{Accounts: accounts, Limit: n})
	var out []store.Resource
	for _, r := range page.Records {
		out = append(out, store.Resource{ID: r.ResourceID, Account: r.Account, Priority: r.Priority, Open: 1})
	}
	return out, err
}

func (v *vault) LinkedFindings(_ context.Context, id finding.ID) ([]finding.ID, error) {
	return []finding.ID{{ProductArn: id.ProductArn, Id: "main"}, id}, nil
}

func (v *vault) FindingHistory(_ context.Context, id finding.ID, _ int, _ string) ([]store.HistoryEntry, string, error) {
	return []store.HistoryEntry{{Created: true, Source: "BATCH_IMPORT_FINDINGS", Identity: id.Id}}, "", nil
}

func (v *vault) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	if r, ok := v.remediations[id]; ok {
		return r, nil
	}
	return remediation.Remediation{}, fault.E(fault.NotFound, "read remediation "+string(id), store.ErrNotFound)
}

func (v *vault) ListRemediations(_ context.Context, f store.RemediationFilter, _ int, _ string) ([]remediation.Remediation, string, error) {
	var out []remediation.Remediation
	for _, r := range v.remediations {
		if in(f.Accounts, r.Account) && (f.Account == "" || f.Account == r.Account) && (f.Finding.IsZero() || f.Finding == r.Finding) {
			out = append(out, r)
		}
	}
	return out, "", nil
}

func (v *vault) Plan(_ context.Context, h remediation.Hash) (remediation.Plan, error) {
	return remediation.Plan{Control: "S3.8", Parameters: map[string]any{"hash": string(h)}, Calls: []remediation.PlannedCall{{
		Service: "s3", Operation: "PutPublicAccessBlock", Input: map[string]any{"n": int64(1) << 60, "key": "secret input"}, Diff: []remediation.MemberChange{{Path: "BlockPublicAcls", Before: "false", After: "true"}},
	}, {Seq: 2, Service: "s3", Operation: "DeleteBucketPolicy", Class: "change", Step: "Delete", Resource: "arn:aws:s3:::x (bucket policy)"}}}, nil
}

// redact stands for the gate's.
func redact(p remediation.Plan) remediation.Plan {
	p.Calls = slices.Clone(p.Calls)
	p.Calls[0].Input = map[string]any{"n": p.Calls[0].Input["n"], "key": "[redacted]"}
	return p
}

func (v *vault) Calls(_ context.Context, id remediation.ID, limit int, cursor string) ([]remediation.CallRecord, string, error) {
	next := "page-2"
	if cursor != "" {
		next = ""
	}
	return []remediation.CallRecord{{Remediation: id, Service: "s3", Operation: "GetBucketPolicy", Outcome: remediation.CallOK, Attempts: limit, Duration: time.Millisecond}}, next, nil
}

func (v *vault) Changes(_ context.Context, id remediation.ID) ([]remediation.Change, error) {
	return []remediation.Change{{ID: "chg-1", Remediation: id, Outcome: remediation.Applied, Before: &remediation.Image{Exists: true, Data: map[string]any{"secret": "before"}}, Call: remediation.PlannedCall{Service: "s3", Input: map[string]any{"secret": "input"}}}}, nil
}

func (v *vault) Steps(context.Context, string) ([]store.Step, error) {
	return []store.Step{{Seq: 1, Name: "Block", Action: "aws:executeAwsApi", Status: "Success", Outputs: []byte("secret outputs")}}, nil
}

func (v *vault) Approval(_ context.Context, id string) (remediation.Approval, error) {
	if a, ok := v.approvals[id]; ok {
		return a, nil
	}
	return remediation.Approval{}, fault.E(fault.NotFound, "read approval "+id, store.ErrNotFound)
}

func (v *vault) ApprovalFor(_ context.Context, id remediation.ID) (remediation.Approval, error) {
	for _, a := range v.approvals {
		if a.Remediation == id {
			return a, nil
		}
	}
	return remediation.Approval{}, fault.E(fault.NotFound, "read approval", store.ErrNotFound)
}

func (v *vault) ListApprovals(_ context.Context, state remediation.ApprovalState, accounts []string, _ int, _ string) ([]remediation.Approval, string, error) {
	var out []remediation.Approval
	for _, a := range v.approvals {
		if in(accounts, a.Account) && (state == "" || state == a.State) {
			out = append(out, a)
		}
	}
	return out, "", nil
}

func (v *vault) Grant(_ context.Context, id, principal string, h remediation.Hash, reason string) (remediation.Approval, error) {
	v.note("grant " + id + " by " + principal + " because " + reason)
	a := v.approvals[id]
	a.State = remediation.ApprovalApproved
	return a, nil
}

func (v *vault) Reject(_ context.Context, id, principal string, h remediation.Hash, reason string) (remediation.Approval, error) {
	v.note("reject " + id + " by " + principal)
	return remediation.Approval{}, fault.Errorf(fault.Conflict, "decide on "+id, "the approval is rejected already").WithHint("run: parry remediation show x")
}

func (v *vault) RequestFix(_ context.Context, id finding.ID, playbook, principal string) (remediation.ID, error) {
	v.note("fix " + id.Id + " with " + playbook + " for " + principal)
	return "rem-new", nil
}

func (v *vault) RequestUndo(_ context.Context, id remediation.ID, principal string) (remediation.ID, error) {
	v.note("undo " + string(id) + " for " + principal)
	return "rem-undo", nil
}

// UpdateFindings knows the findings of the caller's accounts.
func (v *vault) UpdateFindings(_ context.Context, req triage.UpdateRequest, by string, accounts []string) (triage.UpdateResult, error) {
	for _, f := range v.findings {
		if f.ID == req.Identifiers[0] && in(accounts, f.Account) {
			raw, err := json.Marshal(req.Patch)
			v.note("update " + f.ID.Id + " for " + by + ": " + string(raw))
			return triage.UpdateResult{Processed: req.Identifiers}, err
		}
	}
	return triage.UpdateResult{Unprocessed: []triage.Unprocessed{{FindingIdentifier: req.Identifiers[0], ErrorCode: triage.CodeNotFound, ErrorMessage: "no"}}}, nil
}

func (v *vault) StopRemediation(_ context.Context, r remediation.Remediation, principal, reason string) error {
	v.note("stop " + string(r.ID) + " for " + principal + ": " + reason)
	return nil
}

// PlaybookFor answers S3.8 alone.
func (v *vault) PlaybookFor(control string) (playbook.Playbook, bool) {
	return playbook.Playbook{ID: "S3.8", Title: "Block public access", Risk: "medium", Reversible: true, Controls: []string{"S3.8"}, Resource: "AwsAccount", Sweep: &playbook.Sweep{Per: playbook.PerRegion}}, control == "S3.8"
}

func (v *vault) VerifyAudit(context.Context) (api.AuditReport, error) {
	return api.AuditReport{OK: true, Entries: 1200, Head: "h"}, nil
}

func (v *vault) AuditEntries(_ context.Context, after int64, n int) ([]store.AuditEntry, error) {
	if v.brokenAfter > 0 && after >= v.brokenAfter {
		return nil, errors.New("the disk is gone")
	}
	rest := v.entries[min(int(after), len(v.entries)):]
	return rest[:min(n, len(rest))], nil
}

func (v *vault) StopSwitch(context.Context) (bool, string, error) { return v.on, v.reason, nil }

func (v *vault) guards(context.Context) (api.GuardReport, error) {
	return api.GuardReport{
		Revision: "r1", Defaults: []awsapi.DefaultDeny{{Guard: "own roles", What: "x", Setting: "s"}}, Allow: []awsapi.Rule{}, Deny: []awsapi.Rule{{ID: "no"}},
		Limits: []api.BudgetLimit{{Name: "per_hour", Limit: 5}}, Used: []api.BudgetUse{{Name: "per_hour", Used: 2, Limit: 5, FreesAt: time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)}},
	}, nil
}

func (v *vault) SetStopSwitch(_ context.Context, on bool, reason string, eff store.Effects) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.on, v.reason, v.audited = on, reason, append(v.audited, eff.Audit...)
	return nil
}

func (v *vault) PutKey(_ context.Context, k store.Key, eff store.Effects) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys[k.AccessKeyID], v.audited = k, append(v.audited, eff.Audit...)
	return nil
}

func (v *vault) ListKeys(context.Context) ([]store.Key, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []store.Key
	for _, k := range v.keys {
		out = append(out, k)
	}
	return out, nil
}

func (v *vault) RevokeKey(_ context.Context, id string, eff store.Effects) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[id]
	if !ok {
		return fault.E(fault.NotFound, "find key", store.ErrNotFound)
	}
	k.RevokedAt = time.Now()
	v.keys[id], v.audited = k, append(v.audited, eff.Audit...)
	return nil
}

type bench struct {
	*vault
	url string
}

// setup makes a server with keys of every role for dev, and admin for all.
func setup(t *testing.T) bench {
	t.Helper()
	v := newVault()
	handler, err := api.New(api.Config{
		Findings: v, Ranker: v, Remediations: v, Journal: v, Redact: redact, Approvals: v, Approver: v, Requester: v, Work: v, Audit: v, Switch: v, Keys: v, Persons: noPersons{}, Remover: noPersons{}, People: nobody{}, Joiner: nobody{}, Passwords: nobody{}, Streams: noStreams(), Views: noViews{}, Attacher: v, Rules: ruleVault{v}, Exceptions: exceptionVault{v}, Cases: noCases{}, Insights: unasked{}, Counter: unasked{}, Executions: v, Sources: v, Guards: v.guards, Controls: v, Follower: orgVault{v}, Directory: orgVault{v}, Sweeper: v, Channels: channelVault{v}, Bus: noBus(), Followed: true, Accounts: orgAccounts,
	})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := auth.NewKeyring(v)
	if err != nil {
		t.Fatal(err)
	}
	front, err := awsfront.New(awsfront.Config{Keys: ring, Signatures: v, Services: map[string]awsfront.Service{api.Service: handler}, Health: handler})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return bench{vault: v, url: server.URL}
}

// as gives a client with a new key of these roles and accounts.
func (b bench) as(t *testing.T, role string, accounts ...string) *client.Client {
	t.Helper()
	k := store.Key{AccessKeyID: "PARRY" + strings.ToUpper(role) + strings.Join(accounts, ""), Secret: "secret", Name: role, Principal: role, Roles: []string{role}, Accounts: accounts}
	k.AccessKeyID = strings.ReplaceAll(k.AccessKeyID, "*", "ALL")
	b.mu.Lock()
	b.keys[k.AccessKeyID] = k
	b.mu.Unlock()
	c, err := client.New(client.Config{Endpoint: b.url, AccessKey: k.AccessKeyID, Secret: k.Secret})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nobody signs nobody in.
type nobody struct{}

func (nobody) SignIn(context.Context, auth.Attempt) (auth.SignedIn, store.Secret, error) {
	return auth.SignedIn{}, "", auth.ErrSignIn
}

func (nobody) Still(context.Context, store.Secret) (auth.SignedIn, error) {
	return auth.SignedIn{}, fault.Errorf(fault.NotFound, "", "nobody")
}

func (nobody) Invited(context.Context, store.Secret, auth.Attempt) (store.Person, error) {
	return store.Person{}, auth.ErrInvitation
}

func (nobody) Join(context.Context, store.Secret, auth.Attempt) (auth.SignedIn, store.Secret, error) {
	return auth.SignedIn{}, "", auth.ErrInvitation
}

func (nobody) ChangePassword(context.Context, auth.Attempt, store.Secret) (auth.SignedIn, store.Secret, error) {
	return auth.SignedIn{}, "", auth.ErrOwnPassword
}

func (nobody) SignOut(context.Context, store.Secret) error { return nil }

func noStreams() *api.Streams {
	s, err := api.NewStreams(api.StreamsConfig{Watcher: silent{}})
	if err != nil {
		panic(err)
	}
	return s
}

// silent tells of nothing.
type silent struct{}

func (silent) Watch(ctx context.Context, _ func([]store.Hint, bool)) error {
	<-ctx.Done()
	return nil
}

// noViews has no views and takes none.
// noPersons are for tests in which nobody asks for people.
type noPersons struct {
	api.Persons
	api.PersonRemover
}

type noViews struct{ api.Views }

func (noViews) ListViews(context.Context, string, int, string) ([]store.View, string, error) {
	return nil, "", nil
}

func (noViews) View(context.Context, string) (store.View, error) {
	return store.View{}, fault.E(fault.NotFound, "read view", store.ErrNotFound)
}
