package scenarios_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// encryption turns a setting of an account and region on.
const encryption = `
description: Encrypts new EBS volumes by default.
schemaVersion: "0.3"
outputs: [Enable.On]
mainSteps:
  - name: Enable
    action: aws:executeAwsApi
    inputs: {Service: ec2, Api: EnableEbsEncryptionByDefault}
    outputs: [{Name: "On", Selector: $.EbsEncryptionByDefault, Type: Boolean}]
`

// The wide scenario's unit, as Organizations writes ids, and an account in it that
// AWS does not have: whoever does not leave it out fails.
const (
	wideUnit = "ou-wide-11112222"
	left     = "999900001111"
)

var wideRegions = []string{"us-east-1", "us-west-2"}

// wide is an organizational unit of three accounts with a role in each. Nobody else works
// in these accounts.
type wide struct {
	*node
	accounts []string
	role     string
	since    int64
}

// member makes an account of the scenario's own in the organization.
func (w *world) member(t *testing.T, name string) string {
	t.Helper()
	administrator := envtest.Of(w.env.Estate.Management.Administrator)
	a := envtest.Call(t, w.env, administrator, "organizations", http.MethodPost, "/", text(t, document{"AccountName": name, "Email": name + "@example.com"}),
		"X-Amz-Target", "AWSOrganizationsV20161128.CreateAccount", "Content-Type", "application/x-amz-json-1.1")
	if a.Status != http.StatusOK {
		t.Fatalf("make account: %d %s", a.Status, a.Body)
	}
	return decode[struct {
		CreateAccountStatus struct{ AccountId string }
	}](t, []byte(a.Body)).CreateAccountStatus.AccountId
}

// runner makes a role that Parry may take in an account, with permissions of its own.
func (w *world) runner(t *testing.T, account, name string, actions ...string) {
	t.Helper()
	e := w.env.Estate
	trust := document{"Version": "2012-10-17", "Statement": []document{{
		"Effect": "Allow", "Principal": document{"AWS": fmt.Sprintf("arn:aws:iam::%s:user/parry", e.Security.Account)},
		"Action": []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"},
	}}}
	w.iam(t, account, url.Values{"Action": {"CreateRole"}, "RoleName": {name}, "AssumeRolePolicyDocument": {text(t, trust)}})
	w.permit(t, account, name, actions...)
	w.iam(t, e.Security.Account, url.Values{"Action": {"PutUserPolicy"}, "UserName": {"parry"}, "PolicyName": {"scenarios"}, "PolicyDocument": {text(t, allow("sts:*", "arn:aws:iam::*:role/Scenario*"))}})
}

// permit replaces what a role of runner may do.
func (w *world) permit(t *testing.T, account, name string, actions ...string) {
	t.Helper()
	w.iam(t, account, url.Values{"Action": {"PutRolePolicy"}, "RoleName": {name}, "PolicyName": {"runner"}, "PolicyDocument": {text(t, allow(actions, "*"))}})
}

var encrypting = []string{"ec2:GetEbsEncryptionByDefault", "ec2:EnableEbsEncryptionByDefault", "ec2:DisableEbsEncryptionByDefault"}

func widely(t *testing.T) *wide {
	t.Helper()
	w := earth(t)
	x := &wide{accounts: []string{w.member(t, "wide-a"), w.member(t, "wide-b"), w.member(t, "wide-c")}, role: fmt.Sprintf("Scenario%d", w.buckets.Add(1))}
	slices.Sort(x.accounts) // the order in which a unit's accounts begin; their ids are of chance
	for _, account := range x.accounts {
		w.runner(t, account, x.role, encrypting...)
	}
	x.node = w.install(t, func(cfg document) {
		accounts := []document{{"id": left, "name": "left", "unit": wideUnit}}
		for i, account := range x.accounts {
			accounts = append(accounts, document{"id": account, "name": fmt.Sprintf("wide%d", i), "unit": wideUnit})
		}
		cfg["organization"].(document)["accounts"] = accounts
		cfg["policies"] = []document{{"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
		cfg["documents"] = []document{{"names": []string{"Encrypt"}, "key_roles": []string{"operator"}, "roles": []string{"arn:aws:iam::*:role/" + x.role}}}
	}).serve(t)
	x.document("Encrypt", encryption)
	x.since = w.now()
	return x
}

// automation makes a call of Systems Manager's API that has to be answered.
func (n *node) automation(person, operation string, in document) []byte {
	n.t.Helper()
	out, err := n.ssm(n.t.Context(), person, operation, in)
	if err != nil {
		n.t.Fatalf("%s: %v", operation, err)
	}
	return []byte(text(n.t, out))
}

// document stores a document.
func (n *node) document(name, content string) {
	n.t.Helper()
	n.automation("olga", "CreateDocument", document{"Name": name, "DocumentType": "Automation", "DocumentFormat": "YAML", "Content": content})
}

// run starts a document by Systems Manager's API and gives its execution.
func (n *node) run(name, account string, in document) string {
	n.t.Helper()
	in["DocumentName"] = name
	tags, _ := in["Tags"].([]document)
	in["Tags"] = append(tags, document{"Key": "parry:account", "Value": account})
	return decode[struct{ AutomationExecutionId string }](n.t, n.automation("olga", "StartAutomationExecution", in)).AutomationExecutionId
}

// everywhere starts the document on the whole unit.
func (x *wide) everywhere(in document) string {
	x.t.Helper()
	in["TargetLocations"] = []document{{"Accounts": []string{wideUnit}, "Regions": wideRegions, "ExecutionRoleName": x.role, "ExcludeAccounts": []string{left}}}
	return x.node.run("Encrypt", x.accounts[0], in)
}

// approved waits for the one plan of a run, has alice approve it, and gives it.
func (n *node) approved(execution string) remediation.Plan {
	n.t.Helper()
	r := n.runBy(execution, remediation.AwaitingApproval, remediation.Failed, remediation.Cancelled)
	if r.State != remediation.AwaitingApproval {
		n.t.Fatalf("the run is %s: %s (%s)", r.State, r.Reason, r.Hint)
	}
	plan, err := n.as("alice").Plan(n.t.Context(), r.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	n.grant(r.ID)
	return plan.Plan
}

var ends = []remediation.State{remediation.Verified, remediation.Unverified, remediation.Failed, remediation.Cancelled, remediation.Superseded}

// shown is what GetAutomationExecution and DescribeAutomationExecutions tell.
type shown struct {
	AutomationExecutionId       string
	AutomationExecutionStatus   string
	ParentAutomationExecutionId string
	Target                      string
	FailureMessage              string
	Outputs                     map[string][]string
	Variables                   map[string][]string
	TargetLocations             []document
	StepExecutions              []shownStep
}

type shownStep struct {
	StepName, Action, StepStatus, FailureMessage string
	Outputs                                      map[string][]string
}

func (n *node) shown(execution string) shown {
	n.t.Helper()
	return decode[struct{ AutomationExecution shown }](n.t, n.automation("alice", "GetAutomationExecution", document{"AutomationExecutionId": execution})).AutomationExecution
}

// children of a run, by target and status.
func (x *wide) children(execution string) []shown {
	x.t.Helper()
	out := x.automation("alice", "DescribeAutomationExecutions", document{"Filters": []document{{"Key": "ParentExecutionId", "Values": []string{execution}}}})
	list := decode[struct{ AutomationExecutionMetadataList []shown }](x.t, out).AutomationExecutionMetadataList
	slices.SortFunc(list, func(a, b shown) int { return strings.Compare(a.Target, b.Target) })
	return list
}

// made lists the changes since the last call, by account and region: in the scenario's
// accounts whoever made them, and what this installation made in any other.
func (x *wide) made() []string {
	x.t.Helper()
	page, err := x.as("olga").Remediations(x.t.Context(), client.RemediationFilter{}, client.Paging{Limit: 200})
	if err != nil {
		x.t.Fatal(err)
	}
	mine := func(session string) bool {
		return slices.ContainsFunc(page.Items, func(r remediation.Remediation) bool { return strings.HasSuffix(session, string(r.ID)) })
	}
	var out []string
	since := x.since
	for _, e := range x.w.env.Wall.Log() {
		x.since = e.Seq
		if e.Seq <= since || !e.Changed() || e.Session == sceneSession || !slices.Contains(x.accounts, e.Account) && !mine(e.Session) {
			continue
		}
		out = append(out, e.Operation+" "+e.Account+"/"+e.Region+x.asRole(e))
	}
	slices.Sort(out)
	return out
}

// asRole says when a call was not made as the run's role of its own account.
func (x *wide) asRole(e awswall.Entry) string {
	if strings.HasPrefix(e.Principal, "arn:aws:sts::"+e.Account+":assumed-role/"+x.role+"/") {
		return ""
	}
	return " as " + e.Principal
}

// all names an operation in each account and region.
func (x *wide) all(operation string, accounts ...string) []string {
	var out []string
	for _, account := range accounts {
		for _, region := range wideRegions {
			out = append(out, operation+" "+account+"/"+region)
		}
	}
	slices.Sort(out)
	return out
}

// takenBack undoes a run.
func (n *node) takenBack(r remediation.Remediation) {
	n.t.Helper()
	undo, err := n.as("olga").Undo(n.t.Context(), r.ID)
	if err != nil {
		n.t.Fatal(err)
	}
	var state remediation.Remediation
	poll(n.t, patience, func() string { return "the undo does not wait for approval: " + state.Reason }, func(ctx context.Context) bool {
		d, err := n.as("olga").Remediation(ctx, undo)
		state = d.Remediation
		return err == nil && d.Remediation.State == remediation.AwaitingApproval
	})
	n.grant(undo)
	n.runBy(r.Execution, remediation.Undone)
}

// TestADocumentRunsOnAUnit: three accounts, two regions, one plan, one approval.
// Each child changes its own account and region only, as the role there.
func TestADocumentRunsOnAUnit(t *testing.T) {
	t.Parallel()
	x := widely(t)
	execution := x.everywhere(document{"MaxConcurrency": "4", "MaxErrors": "1"})
	plan := x.approved(execution)
	if plan.Changes() != 6 || plan.Open {
		t.Errorf("%d changes are planned, open: %v %s", plan.Changes(), plan.Open, plan.OpenReason)
	}
	if got := x.made(); len(got) > 0 {
		t.Errorf("planning changed %v", got)
	}
	r := x.runBy(execution, ends...)
	if r.State != remediation.Verified {
		t.Fatalf("%s: %s", r.State, r.Reason)
	}
	if diff := cmp.Diff(x.all("EnableEbsEncryptionByDefault", x.accounts...), x.made()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	x.showsChildren(execution)
	x.takenBack(r)
	if diff := cmp.Diff(x.all("DisableEbsEncryptionByDefault", x.accounts...), x.made()); diff != "" {
		t.Errorf("undo (-want +got):\n%s", diff)
	}
	x.oneIsDenied()
	x.settled()
}

// showsChildren: AWS's API shows the run with its locations, and the children.
func (x *wide) showsChildren(execution string) {
	x.t.Helper()
	parent := x.shown(execution)
	if parent.AutomationExecutionStatus != "Success" || len(parent.TargetLocations) != 1 || len(parent.StepExecutions) != 6 {
		x.t.Errorf("%+v", parent)
	}
	for _, s := range parent.StepExecutions {
		if s.Action != "aws:executeAutomation" || s.StepStatus != "Success" || len(s.Outputs["ExecutionId"]) != 1 {
			x.t.Errorf("a target as a step: %+v", s)
		}
	}
	children := x.children(execution)
	var targets, want []string
	for _, c := range children {
		targets = append(targets, c.Target+" "+c.AutomationExecutionStatus)
		if c.ParentAutomationExecutionId != execution || fmt.Sprint(c.Outputs["Enable.On"]) != "[true]" {
			x.t.Errorf("child %+v", c)
		}
	}
	for _, at := range x.all("", x.accounts...) {
		want = append(want, strings.TrimSpace(at)+" Success")
	}
	if diff := cmp.Diff(want, targets); diff != "" {
		x.t.Fatalf("children (-want +got):\n%s", diff)
	}
	out := x.automation("alice", "DescribeAutomationStepExecutions", document{"AutomationExecutionId": children[0].AutomationExecutionId})
	if steps := decode[struct{ StepExecutions []shownStep }](x.t, out).StepExecutions; len(steps) != 1 || steps[0].StepName != "Enable" || steps[0].StepStatus != "Success" {
		x.t.Errorf("steps of a child: %+v", steps)
	}
}

// oneIsDenied: an account that lets nothing be changed fails its children. Within
// MaxErrors the others go on; beyond it no more begin.
func (x *wide) oneIsDenied() {
	x.t.Helper()
	x.w.permit(x.t, x.accounts[0], x.role, "ec2:GetEbsEncryptionByDefault")
	for _, c := range []struct {
		name    string
		in      document
		status  string
		begun   int
		changed []string
	}{
		{"within", document{"MaxConcurrency": "2", "MaxErrors": "2"}, "Success", 6, x.all("EnableEbsEncryptionByDefault", x.accounts[1:]...)},
		{"the canary", document{"MaxConcurrency": "6", "MaxErrors": "0", "Tags": []document{{"Key": "parry:waves", "Value": "1:3"}}}, "Failed", 1, nil},
	} {
		execution := x.everywhere(c.in)
		x.approved(execution)
		r, e := x.runBy(execution, ends...), x.shown(execution)
		if e.AutomationExecutionStatus != c.status || len(e.StepExecutions) != c.begun || (r.State == remediation.Failed) != (c.status == "Failed") {
			x.t.Errorf("%s: %s (%s) %+v", c.name, r.State, r.Reason, e)
		}
		if c.status == "Failed" {
			says(x.t, "reason", r.Reason, "1 of 6 children failed, 5 were not started", "UnauthorizedOperation", x.accounts[0])
		}
		if diff := cmp.Diff(c.changed, x.made()); diff != "" {
			x.t.Errorf("%s: changes (-want +got):\n%s", c.name, diff)
		}
		if len(c.changed) > 0 {
			x.takenBack(r)
			if diff := cmp.Diff(x.all("DisableEbsEncryptionByDefault", x.accounts[1:]...), x.made()); diff != "" {
				x.t.Errorf("%s: undo (-want +got):\n%s", c.name, diff)
			}
		}
	}
}
