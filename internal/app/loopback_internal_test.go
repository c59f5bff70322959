package app

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/awsfront/ssm"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/triage"
)

const (
	loopDev, loopProd = "111122223333", "444455556666"
	loopDocument      = "schemaVersion: \"0.3\"\nmainSteps:\n  - {name: Rest, action: \"aws:sleep\", inputs: {Duration: PT1S}, isEnd: true}\n"
)

// loopWorld is a loopback over a real store, with two documents.
type loopWorld struct {
	*loopback
	keys map[string]string // key id by principal
}

func newLoopWorld(t *testing.T) *loopWorld {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	content, err := LoadContent(catalog.FS)
	if err != nil {
		t.Fatal(err)
	}
	db := storetest.SQLite(t)
	docs := &documents{db, content}
	rights := documentRights{
		plan.Access{Rules: []plan.DocumentRule{{Names: []string{"Loop-*"}, KeyRoles: []string{"operator"}}}},
		org.NewLive([]org.Account{{ID: loopDev}, {ID: loopProd}}).Account,
	}
	desk := plan.NewDesk(db, content, service.RandomIDs{}, db.Clock()).StartsDocuments(deskRuns{db, docs})
	x := executions{db}
	h, err := ssm.New(ssm.Config{
		Models: models, Documents: docs, Writer: docs, Files: docs, Catalog: content, Executions: x, Plans: x, Rights: rights,
		Desk: runDesk{desk, nil, x, db.Clock()}, Signals: runSignals{}, Decider: stepDecider{}, Account: "999988887777", Clock: db.Clock(),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &loopWorld{&loopback{models: models, store: db, automation: h}, map[string]string{}}
	admin := ssm.Caller{Principal: auth.Principal{Name: "ada", Roles: []auth.Role{auth.RoleAdmin}, Accounts: []string{auth.All}}}
	for _, name := range []string{"Loop-Rest", "Other"} {
		raw, err := json.Marshal(map[string]string{"Name": name, "Content": loopDocument, "DocumentFormat": "YAML"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.Answer(t.Context(), admin, "CreateDocument", raw); err != nil {
			t.Fatal(err)
		}
	}
	w.key(t, "olga", "operator", loopDev)
	w.key(t, "rita", "reader", loopDev)
	return w
}

func (w *loopWorld) key(t *testing.T, name, role string, accounts ...string) {
	t.Helper()
	k, err := auth.NewKey(auth.Grant{Name: name, Roles: []string{role}, Accounts: accounts}, rand.Reader, w.store.Clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.PutKey(t.Context(), k, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	w.keys[name] = k.AccessKeyID
}

// run stores an execution that calls, started by somebody on an account.
func (w *loopWorld) run(t *testing.T, id, by, account string, depth int) {
	t.Helper()
	if err := w.store.CreateExecutions(t.Context(), []store.ExecutionRecord{{
		ID: id, Remediation: remediation.ID("rem-" + id), Status: "InProgress", StartedAt: w.store.Clock().Now(),
		Of: store.ExecutionOf{Root: id, Document: "Outer", Account: account, Region: "eu-central-1", StartedBy: by, Run: &remediation.Run{Execution: id, Depth: depth}},
	}}, store.Effects{}); err != nil {
		t.Fatal(err)
	}
}

func loopCall(operation, execution, account string, input map[string]any) awsapi.LocalCall {
	return awsapi.LocalCall{
		Call:        apimodel.Call{Service: "ssm", Operation: operation, Account: account, Region: "eu-central-1", Input: input},
		Remediation: remediation.ID("rem-" + execution), Execution: execution, Step: "Call", Change: "chg-" + execution,
	}
}

// code is the API error that err is.
func code(err error) string {
	var e *apimodel.APIError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// TestLocalsAreOperations: a name that the gate does not resolve a call to would let the
// call go to AWS.
func TestLocalsAreOperations(t *testing.T) {
	t.Parallel()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range (&loopback{}).locals() {
		svc, operation, _ := strings.Cut(name, ":")
		if s, op, err := models.Find(svc, operation); err != nil || s.Name+":"+op.Name != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLoopbackAnswersWhatParryHas(t *testing.T) {
	t.Parallel()
	w := newLoopWorld(t)
	w.run(t, "outer", "olga", loopDev, 0)
	a := automationCalls{w.loopback}
	for _, c := range []struct {
		operation string
		input     map[string]any
		want      bool
	}{
		{"StartAutomationExecution", map[string]any{"DocumentName": "Loop-Rest"}, true},
		{"StartAutomationExecution", map[string]any{"DocumentName": "arn:aws:ssm:eu-central-1:" + loopProd + ":document/Loop-Rest"}, true},
		{"StartAutomationExecution", map[string]any{"DocumentName": "AWS-RestartEC2Instance"}, false},
		{"GetDocument", map[string]any{"Name": "Other"}, true},
		{"GetDocument", map[string]any{"Name": "AWS-RunShellScript"}, false},
		{"GetAutomationExecution", map[string]any{"AutomationExecutionId": "outer"}, true},
		{"StopAutomationExecution", map[string]any{"AutomationExecutionId": "11111111-1111-4111-8111-111111111111"}, false},
		{"DescribeAutomationExecutions", map[string]any{}, false},
		{"DescribeAutomationExecutions", map[string]any{"Filters": []any{map[string]any{"Key": "ParentExecutionId", "Values": []any{"outer"}}}}, true},
		{"DescribeAutomationExecutions", map[string]any{"Filters": []any{map[string]any{"Key": "DocumentNamePrefix", "Values": []any{"AWS-", "Loop-Rest"}}}}, true},
	} {
		got, err := a.Answers(t.Context(), loopCall(c.operation, "outer", loopDev, c.input))
		if err != nil || got != c.want {
			t.Errorf("%s %v: %v %v", c.operation, c.input, got, err)
		}
	}
	if got, err := (automationCalls{&loopback{}}).Answers(t.Context(), loopCall("GetDocument", "outer", loopDev, map[string]any{"Name": "Other"})); err != nil || got {
		t.Errorf("before it is set up: %v %v", got, err)
	}
}

// TestLoopbackStartsOnce: the change that starts an execution starts one, however
// often it is sent.
func TestLoopbackStartsOnce(t *testing.T) {
	t.Parallel()
	w := newLoopWorld(t)
	w.run(t, "outer", "olga", loopDev, 2)
	a := automationCalls{w.loopback}
	start := loopCall("StartAutomationExecution", "outer", loopDev, map[string]any{"DocumentName": "Loop-Rest"})
	var ids []any
	for range 2 {
		reply, err := a.Answer(t.Context(), start)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, reply.Output["AutomationExecutionId"])
	}
	if ids[0] != ids[1] || start.Input["ClientToken"] != nil {
		t.Errorf("%v, %v", ids, start.Input)
	}
	id, _ := ids[0].(string)
	e, err := w.store.Execution(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if e.Of.StartedBy != "olga" || e.Of.Account != loopDev || e.Of.Run.Parent != "outer" || e.Of.Run.Depth != 3 || e.Status != "Pending" {
		t.Errorf("%+v", e)
	}
	reply, err := a.Answer(t.Context(), loopCall("GetAutomationExecution", "outer", loopDev, map[string]any{"AutomationExecutionId": id}))
	if err != nil {
		t.Fatal(err)
	}
	got, _ := reply.Output["AutomationExecution"].(map[string]any)
	steps, _ := got["StepExecutions"].([]any)
	first, _ := steps[0].(map[string]any)
	if at, ok := got["ExecutionStartTime"].(time.Time); !ok || !at.Equal(storetest.Start().Truncate(time.Millisecond)) || first["MaxAttempts"] != int64(1) {
		t.Errorf("%T %v", got["ExecutionStartTime"], got)
	}
}

// TestLoopbackGivesNoMoreThanThePersonHas: rights, accounts, depth, revoked keys.
func TestLoopbackGivesNoMoreThanThePersonHas(t *testing.T) {
	t.Parallel()
	w := newLoopWorld(t)
	a := automationCalls{w.loopback}
	w.run(t, "by-olga", "olga", loopDev, 0)
	w.run(t, "by-rita", "rita", loopDev, 0)
	w.run(t, "by-rule", "rule/all", loopDev, 0)
	w.run(t, "deep", "olga", loopDev, ssm.MaxDepth)
	const inProd = "22222222-2222-4222-8222-222222222222"
	w.run(t, inProd, "olga", loopProd, 0) // where olga's key no longer reaches
	start := map[string]any{"DocumentName": "Loop-Rest"}
	get := func(id string) map[string]any { return map[string]any{"AutomationExecutionId": id} }
	for name, c := range map[string]struct {
		call awsapi.LocalCall
		want string
	}{
		"reader starts":     {loopCall("StartAutomationExecution", "by-rita", loopDev, start), "AccessDeniedException"},
		"rule starts":       {loopCall("StartAutomationExecution", "by-rule", loopDev, start), "AccessDeniedException"},
		"unlisted document": {loopCall("StartAutomationExecution", "by-olga", loopDev, map[string]any{"DocumentName": "Other"}), "AccessDeniedException"},
		"other account":     {loopCall("StartAutomationExecution", "by-olga", loopProd, start), "AccessDeniedException"},
		"lost account":      {loopCall("StartAutomationExecution", inProd, loopProd, start), "AccessDeniedException"},
		"too deep":          {loopCall("StartAutomationExecution", "deep", loopDev, start), "AutomationExecutionLimitExceededException"},
		"foreign read":      {loopCall("GetAutomationExecution", "by-olga", loopDev, get(inProd)), "AutomationExecutionNotFoundException"},
		"unknown execution": {loopCall("GetDocument", "nobody", loopDev, map[string]any{"Name": "Loop-Rest"}), ""},
	} {
		if _, err := a.Answer(t.Context(), c.call); code(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	planned := loopCall("GetAutomationExecution", "by-olga", loopProd, get(inProd))
	planned.Mode = awsapi.ModePlan
	if _, err := a.Answer(t.Context(), planned); code(err) != "AccessDeniedException" {
		t.Errorf("planning reads where the person may not: %v", err)
	}
	if err := w.store.RevokeKey(t.Context(), w.keys["olga"], store.Effects{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Answer(t.Context(), loopCall("StartAutomationExecution", "by-olga", loopDev, start)); code(err) != "AccessDeniedException" {
		t.Errorf("with a revoked key: %v", err)
	}
	w.open = true
	if _, err := a.Answer(t.Context(), loopCall("StartAutomationExecution", "by-olga", loopDev, start)); err != nil {
		t.Errorf("in a process of one person: %v", err)
	}
}

// TestLoopbackOfAFix: a fix has an execution without a person; its remediation says
// on which account it is.
func TestLoopbackOfAFix(t *testing.T) {
	t.Parallel()
	w := newLoopWorld(t)
	now := w.store.Clock().Now()
	if err := w.store.CreateRemediation(t.Context(), remediation.Remediation{
		ID: "rem-fix", Kind: remediation.KindFix, Account: loopDev, State: remediation.Planned, RequestedBy: "rule/all", CreatedAt: now, UpdatedAt: now,
	}, nil, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.CreateExecutions(t.Context(), []store.ExecutionRecord{{ID: "fix", Remediation: "rem-fix", Status: "InProgress", StartedAt: now}}, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	a := automationCalls{w.loopback}
	read := map[string]any{"Name": "Loop-Rest"}
	if _, err := a.Answer(t.Context(), loopCall("GetDocument", "fix", loopDev, read)); err != nil {
		t.Error(err)
	}
	if _, err := a.Answer(t.Context(), loopCall("GetDocument", "fix", loopProd, read)); code(err) != "AccessDeniedException" {
		t.Errorf("on another account: %v", err)
	}
	if _, err := a.Answer(t.Context(), loopCall("StartAutomationExecution", "fix", loopDev, map[string]any{"DocumentName": "Loop-Rest"})); code(err) != "AccessDeniedException" {
		t.Errorf("a rule starts: %v", err)
	}
}

// TestLoopbackFindings: what Parry holds is updated within the run's account, by
// the name of the run.
func TestLoopbackFindings(t *testing.T) {
	t.Parallel()
	w := newLoopWorld(t)
	w.run(t, "outer", "olga", loopDev, 0)
	var by string
	var scopes [][]string
	held := finding.ID{Id: "held", ProductArn: "arn:aws:securityhub:eu-central-1::product/aws/securityhub"}
	w.findings = &findingLoop{
		update: func(_ context.Context, req triage.UpdateRequest, who string, accounts []string) (triage.UpdateResult, error) {
			by, scopes = who, append(scopes, accounts)
			return triage.UpdateResult{Processed: req.Identifiers}, nil
		},
		query: func(_ context.Context, q securityhub.Query) (securityhub.Page, error) {
			if q.Limit > 1 {
				scopes = append(scopes, q.Accounts)
			}
			return securityhub.Page{Findings: []json.RawMessage{[]byte(`{"Id":"held","Severity":{"Normalized":70},"Unknown":1}`)}}, nil
		},
		byID: func(_ context.Context, ids []finding.ID) ([]store.FindingRecord, error) {
			if ids[0] == held {
				return []store.FindingRecord{{}}, nil
			}
			return nil, nil
		},
	}
	update := func(id, account string) awsapi.LocalCall {
		c := loopCall("BatchUpdateFindings", "outer", account, map[string]any{
			"FindingIdentifiers": []any{map[string]any{"Id": id, "ProductArn": held.ProductArn}}, "Workflow": map[string]any{"Status": "RESOLVED"},
		})
		c.Service = "securityhub"
		return c
	}
	for id, want := range map[string]bool{"held": true, "aws": false} {
		if got, err := (findingUpdates{w.loopback}).Answers(t.Context(), update(id, loopDev)); err != nil || got != want {
			t.Errorf("%s: %v %v", id, got, err)
		}
	}
	reply, err := findingUpdates{w.loopback}.Answer(t.Context(), update("held", loopDev))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{
		"ProcessedFindings": []any{map[string]any{"Id": "held", "ProductArn": held.ProductArn}}, "UnprocessedFindings": []any{},
	}, reply.Output); diff != "" {
		t.Error(diff)
	}
	if _, err := (findingUpdates{w.loopback}).Answer(t.Context(), update("held", loopProd)); code(err) != "AccessDeniedException" {
		t.Errorf("on another account: %v", err)
	}
	read := loopCall("GetFindings", "outer", loopDev, map[string]any{
		"Filters": map[string]any{"Id": []any{map[string]any{"Value": "held", "Comparison": "EQUALS"}}}, "MaxResults": int64(5),
	})
	read.Service = "securityhub"
	if got, err := (findingReads{w.loopback}).Answers(t.Context(), read); err != nil || !got {
		t.Errorf("%v %v", got, err)
	}
	reply, err = findingReads{w.loopback}.Answer(t.Context(), read)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"Findings": []any{map[string]any{"Id": "held", "Severity": map[string]any{"Normalized": int64(70)}}}}, reply.Output); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][]string{{loopDev}, {loopDev}}, scopes); diff != "" || by != "parry/remediation/rem-outer" {
		t.Errorf("%s %s", by, diff)
	}
}

// TestLoopbackKeepsOwnTroubleToItself: an error of Parry's is no answer of AWS's.
func TestLoopbackKeepsOwnTroubleToItself(t *testing.T) {
	t.Parallel()
	l := &loopback{}
	c := loopCall("GetDocument", "outer", loopDev, nil)
	trouble := fault.Errorf(fault.Unavailable, "read", "no database")
	if err := l.refusal(c, trouble); !errors.Is(err, trouble) || code(err) != "" {
		t.Errorf("%v", err)
	}
	if err := l.refusal(c, fault.Errorf(fault.Denied, "read", "no")); code(err) != "AccessDeniedException" {
		t.Errorf("%v", err)
	}
}
