package scenarios_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
)

// reaching changes something here, and as a role that its script takes elsewhere.
const reaching = `
schemaVersion: "0.3"
parameters:
  Here: {type: String}
  There: {type: String}
  Role: {type: String}
mainSteps:
  - name: Reach
    action: aws:executeScript
    isEnd: true
    inputs:
      Runtime: python3.11
      Handler: main
      InputPayload: {here: "{{ Here }}", there: "{{ There }}", role: "{{ Role }}"}
      Script: |
        import boto3
        def main(events, context):
            boto3.client("s3").delete_bucket_policy(Bucket=events["here"])
            c = boto3.client("sts").assume_role(RoleArn=events["role"], RoleSessionName="reach")["Credentials"]
            far = boto3.client("s3", aws_access_key_id=c["AccessKeyId"], aws_secret_access_key=c["SecretAccessKey"], aws_session_token=c["SessionToken"])
            far.delete_bucket_policy(Bucket=events["there"])
            return {"grants": len(far.get_bucket_acl(Bucket=events["there"])["Grants"])}
`

// choosing branches on what a change will answer: no planning can tell.
const choosing = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
  Group: {type: String}
  More: {type: String, default: none}
variables:
  Seen: {type: String, default: nothing}
mainSteps:
  - name: Make
    action: aws:executeAwsApi
    inputs: {Service: iam, Api: CreateGroup, GroupName: "{{ Group }}"}
    outputs: [{Name: Id, Selector: $.Group.GroupId, Type: String}]
  - name: Choose
    action: aws:branch
    inputs: {Choices: [{NextStep: Leave, Variable: "{{ Make.Id }}", StringEquals: none}], Default: Note}
  - name: Note
    action: aws:updateVariable
    inputs: {Name: "variable:Seen", Value: "{{ Make.Id }}"}
  - name: Close
    action: aws:executeScript
    isEnd: true
    inputs:
      Runtime: python3.11
      Handler: main
      InputPayload: {bucket: "{{ Bucket }}", more: "{{ More }}"}
      Script: |
        import boto3
        def main(events, context):
            s3 = boto3.client("s3")
            s3.delete_bucket_policy(Bucket=events["bucket"])
            if events["more"] != "none":
                getattr(s3, events["more"])(Bucket=events["bucket"], ACL="private")
            return {}
  - {name: Leave, action: "aws:sleep", isEnd: true, inputs: {Duration: PT1S}}
`

// outer has a child do the same.
const outer = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
  Group: {type: String}
  More: {type: String}
mainSteps:
  - name: Inner
    action: aws:executeAutomation
    isEnd: true
    onFailure: Continue
    isCritical: false
    inputs: {DocumentName: Choose, RuntimeParameters: {Bucket: "{{ Bucket }}", Group: "{{ Group }}", More: "{{ More }}"}}
`

// resting changes something and rests; who cancels it has it changed once more.
const resting = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
mainSteps:
  - name: Drop
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: "{{ Bucket }}"}
  - name: Rest
    action: aws:sleep
    onCancel: step:Back
    isEnd: true
    inputs: {Duration: PT20M}
  - name: Back
    action: aws:executeAwsApi
    isEnd: true
    inputs: {Service: s3, Api: PutBucketAcl, Bucket: "{{ Bucket }}", ACL: private}
`

// TestDocumentsBeyondAClosedPlan: scripts with roles, open plans, cancellation.
func TestDocumentsBeyondAClosedPlan(t *testing.T) {
	t.Parallel()
	w := earth(t)
	role := "arn:aws:iam::" + w.env.Estate.Members["prod"].Account + ":role/" + w.roleIn(t, "prod")
	n := w.install(t, func(cfg document) {
		cfg["scripts"] = document{"python": w.env.Python}
		// Automatic, so that what asks for a person does so by itself.
		cfg["policies"] = []document{{"id": "documents", "documents": []string{"Choose"}, "mode": "automatic"}, {"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
		cfg["documents"] = []document{{"names": []string{"Reach"}, "key_roles": []string{"operator"}, "roles": []string{role}}}
	}).serve(t)
	for name, content := range map[string]string{"Reach": reaching, "Choose": choosing, "Outer": outer, "Rest": resting} {
		n.document(name, content)
	}
	for name, story := range map[string]func(*node, string){
		"a script takes a role elsewhere": (*node).reaches, "an open plan is approved by a person": (*node).chooses, "a call beyond it is refused": (*node).exceeds,
		"and in a child": (*node).exceedsWithin,
		"a cancelled run ends as its author says": (*node).rests,
	} {
		t.Run(name, func(t *testing.T) { story(n.in(t), role) })
	}
	n.settled()
}

func (n *node) reaches(role string) {
	here, there := n.w.bucket(n.t, "dev"), n.w.bucket(n.t, "prod")
	execution := n.run("Reach", here.account(), document{"Parameters": document{"Here": []string{here.name}, "There": []string{there.name}, "Role": []string{role}}})
	plan := n.approved(execution)
	if plan.Open || plan.Changes() != 2 || fmt.Sprint(plan.Roles) != "["+role+"]" {
		n.t.Errorf("open: %s, %d changes, roles %v", plan.OpenReason, plan.Changes(), plan.Roles)
	}
	r := n.runBy(execution, ends...)
	if r.State != remediation.Verified {
		n.t.Fatalf("%s: %s", r.State, r.Reason)
	}
	for b, name := range map[*bucket]string{here: n.w.env.Estate.MemberRole, there: role[strings.LastIndex(role, "/")+1:]} {
		for _, e := range b.calls("apply-", 0) {
			if e.Changed() && !strings.HasPrefix(e.Principal, "arn:aws:sts::"+b.account()+":assumed-role/"+name+"/") {
				n.t.Errorf("%s by %s", e.Operation, e.Principal)
			}
		}
		if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, b.changed(0)); diff != "" {
			n.t.Errorf("%s: %s", b.name, diff)
		}
	}
	n.takenBack(r)
	n.w.judge(n.t, "original", here, there)
}

func (n *node) chooses(string) {
	b := n.w.bucket(n.t, "dev")
	execution := n.run("Choose", b.account(), document{"Parameters": document{"Bucket": []string{b.name}, "Group": []string{b.name}}})
	plan := n.approved(execution)
	if !plan.Open || !strings.Contains(plan.OpenReason, "Choose") || len(plan.Beyond) == 0 {
		n.t.Errorf("open: %v %q, beyond %v", plan.Open, plan.OpenReason, plan.Beyond)
	}
	r := n.runBy(execution, ends...)
	e := n.shown(execution)
	if e.AutomationExecutionStatus != "Success" || len(e.Variables["Seen"]) != 1 || e.Variables["Seen"][0] == "nothing" {
		n.t.Errorf("%s (%s); %+v", r.State, r.Reason, e)
	}
	if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, b.changed(0)); diff != "" {
		n.t.Error(diff)
	}
}

func (n *node) exceeds(string) { n.exceed("Choose") }

// A stop in a child ends the run, although the parent would go on after a failure.
func (n *node) exceedsWithin(string) { n.exceed("Outer") }

func (n *node) exceed(name string) {
	n.t.Helper()
	b := n.w.bucket(n.t, "dev")
	execution := n.run(name, b.account(), document{"Parameters": document{"Bucket": []string{b.name}, "Group": []string{b.name}, "More": []string{"put_bucket_acl"}}})
	n.approved(execution)
	r := n.runBy(execution, ends...)
	if r.State != remediation.Failed {
		n.t.Errorf("%s", r.State)
	}
	says(n.t, "reason", r.Reason, "Close", "PutBucketAcl")
	if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, b.changed(0)); diff != "" {
		n.t.Error(diff)
	}
}

func (n *node) rests(string) {
	b := n.w.bucket(n.t, "dev")
	execution := n.run("Rest", b.account(), document{"Parameters": document{"Bucket": []string{b.name}}})
	plan := n.approved(execution)
	if plan.Open || plan.Changes() != 1 || len(plan.Beyond) != 1 || plan.Beyond[0].Step != "Back" || plan.Irreversible() {
		n.t.Errorf("open: %s, %d changes, beyond %v, irreversible: %v", plan.OpenReason, plan.Changes(), plan.Beyond, plan.Irreversible())
	}
	deadline := time.Now().Add(patience)
	for e := n.shown(execution); len(e.StepExecutions) < 2 || e.StepExecutions[1].StepStatus == "Pending"; e = n.shown(execution) {
		if time.Now().After(deadline) {
			n.t.Fatalf("%+v", e)
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.automation("olga", "StopAutomationExecution", document{"AutomationExecutionId": execution, "Type": "Cancel"})
	r := n.runBy(execution, ends...)
	e := n.shown(execution)
	if r.State != remediation.Cancelled || e.AutomationExecutionStatus != "Cancelled" {
		n.t.Errorf("%s (%s); %+v", r.State, r.Reason, e)
	}
	if diff := cmp.Diff([]string{"DeleteBucketPolicy", "PutBucketAcl"}, b.changed(0)); diff != "" {
		n.t.Error(diff)
	}
	n.takenBack(r)
	n.w.judge(n.t, "original", b)
}
