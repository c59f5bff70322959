package scenarios_test

import (
	"fmt"
	"net/http"
	"slices"
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

// steered reads from a tag which bucket it closes when it is cancelled.
const steered = `
schemaVersion: "0.3"
assumeRole: "{{ Role }}"
parameters:
  Bucket: {type: String}
  Role: {type: String}
mainSteps:
  - name: Look
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: GetBucketTagging, Bucket: "{{ Bucket }}"}
    outputs: [{Name: Where, Selector: "$.TagSet[0].Value", Type: String}]
  - name: Rest
    action: aws:sleep
    onCancel: step:Back
    isEnd: true
    inputs: {Duration: PT20M}
  - name: Back
    action: aws:executeAwsApi
    isEnd: true
    inputs: {Service: s3, Api: PutBucketAcl, Bucket: "{{ Look.Where }}", ACL: private}
`

// loose has a script clean up after a failure: what it calls only running it tells.
const loose = `
schemaVersion: "0.3"
parameters:
  Bucket: {type: String}
mainSteps:
  - name: Drop
    action: aws:executeAwsApi
    onFailure: step:Back
    isEnd: true
    inputs: {Service: s3, Api: DeleteBucketPolicy, Bucket: "{{ Bucket }}"}
  - name: Back
    action: aws:executeScript
    isEnd: true
    inputs:
      Runtime: python3.11
      Handler: main
      Script: |
        import boto3
        def main(events, context):
            s3 = boto3.client("s3")
            for b in s3.list_buckets()["Buckets"]:
                s3.put_bucket_acl(Bucket=b["Name"], ACL="private")
`

// TestDocumentsBeyondAClosedPlan: scripts with roles, open plans, cancellation.
func TestDocumentsBeyondAClosedPlan(t *testing.T) {
	t.Parallel()
	w := earth(t)
	role := "arn:aws:iam::" + w.env.Estate.Members["prod"].Account + ":role/" + w.roleIn(t, "prod")
	dev := w.env.Estate.Members["dev"].Account
	reader := fmt.Sprintf("Scenario%d", w.buckets.Add(1))
	w.runner(t, dev, reader, "s3:GetBucketTagging", "s3:GetBucketAcl", "s3:PutBucketAcl")
	n := w.install(t, func(cfg document) {
		cfg["scripts"] = document{"python": w.env.Python}
		// Automatic, so that what asks for a person does so by itself.
		cfg["policies"] = []document{{"id": "documents", "documents": []string{"Choose", "Loose"}, "mode": "automatic"}, {"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
		cfg["documents"] = []document{
			{"names": []string{"Reach"}, "key_roles": []string{"operator"}, "roles": []string{role}},
			{"names": []string{"Steer"}, "key_roles": []string{"operator"}, "roles": []string{"arn:aws:iam::" + dev + ":role/Scenario*"}},
		}
	}).serve(t)
	for name, content := range map[string]string{"Reach": reaching, "Choose": choosing, "Outer": outer, "Rest": resting, "Steer": steered, "Loose": loose} {
		n.document(name, content)
	}
	for name, story := range map[string]func(*node, string){
		"a script takes a role elsewhere": (*node).reaches, "an open plan is approved by a person": (*node).chooses, "a call beyond it is refused": (*node).exceeds,
		"and in a child":          (*node).exceedsWithin,
		"an open plan on targets": (*node).choosesOnTargets, "a call beyond it on one of them ends the run": (*node).exceedsOnATarget,
		"a tag steers nothing that was not approved": func(n *node, _ string) { n.steers("arn:aws:iam::" + dev + ":role/" + reader) }, "a person agrees to what a script does after a failure": (*node).loosens,
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

// onTargets runs Choose on buckets, one after another, with what each target is to
// call more.
func (n *node) onTargets(more ...string) (string, []*bucket) {
	n.t.Helper()
	buckets := make([]*bucket, len(more))
	maps := make([]document, len(more))
	for i, m := range more {
		buckets[i] = n.w.bucket(n.t, "dev")
		maps[i] = document{"Bucket": []string{buckets[i].name}, "Group": []string{buckets[i].name}, "More": []string{m}}
	}
	return n.run("Choose", buckets[0].account(), document{"TargetMaps": maps, "MaxConcurrency": "1", "MaxErrors": "100%"}), buckets
}

func (n *node) choosesOnTargets(string) {
	execution, buckets := n.onTargets("none", "none")
	plan := n.approved(execution)
	for _, b := range buckets {
		if want := "executeAutomation[Bucket=" + b.name + ";Group=" + b.name + ";More=none]/Close"; !slices.ContainsFunc(plan.Beyond, func(a remediation.Allowance) bool {
			return a.Step == want && a.Operation == "DeleteBucketPolicy"
		}) {
			n.t.Errorf("%s is not among %v", want, plan.Beyond)
		}
	}
	if !plan.Open || plan.Changes() != len(buckets) {
		n.t.Errorf("open: %v, %d changes: what each target does up to there is in the plan", plan.Open, plan.Changes())
	}
	if r, e := n.runBy(execution, ends...), n.shown(execution); e.AutomationExecutionStatus != "Success" {
		n.t.Fatalf("%s (%s); %+v", r.State, r.Reason, e)
	}
	for _, b := range buckets {
		if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, b.changed(0)); diff != "" {
			n.t.Errorf("%s: %s", b.name, diff)
		}
	}
}

// However many targets may fail, one that asks for what the plan does not hold ends
// the run, and those after it do not begin.
func (n *node) exceedsOnATarget(string) {
	execution, buckets := n.onTargets("none", "put_bucket_acl", "none")
	n.approved(execution)
	r := n.runBy(execution, ends...)
	if r.State != remediation.Failed {
		n.t.Errorf("%s", r.State)
	}
	says(n.t, "reason", r.Reason, "not in the plan", "s3:PutBucketAcl", "/Close", "on Bucket="+buckets[1].name)
	for i, want := range [][]string{{"DeleteBucketPolicy"}, {"DeleteBucketPolicy"}, nil} {
		if diff := cmp.Diff(want, buckets[i].changed(0)); diff != "" {
			n.t.Errorf("target %d: %s", i, diff)
		}
	}
}

// tagged puts a tag on the bucket past Parry.
func (b *bucket) tagged(t *testing.T, value string) {
	t.Helper()
	body := `<Tagging><TagSet><Tag><Key>where</Key><Value>` + value + `</Value></Tag></TagSet></Tagging>`
	if a := b.call(t, http.MethodPut, "/"+b.name+"?tagging", body); a.Err != nil || a.Status >= 300 {
		t.Fatalf("tag bucket: %d %s %v", a.Status, a.Body, a.Err)
	}
}

// What a step reads while the plan is applied may be anybody's text: it does not say
// what happens to which bucket when the run is cancelled.
func (n *node) steers(reader string) {
	for _, steered := range []bool{false, true} {
		b, victim := n.w.bucket(n.t, "dev"), n.w.bucket(n.t, "dev")
		b.tagged(n.t, b.name)
		execution := n.run("Steer", b.account(), document{"Parameters": document{"Bucket": []string{b.name}, "Role": []string{reader}}})
		r := n.runBy(execution, remediation.AwaitingApproval, remediation.Failed)
		if r.State != remediation.AwaitingApproval {
			n.t.Fatalf("%s (%s)", r.State, r.Reason)
		}
		plan, err := n.as("alice").Plan(n.t.Context(), r.ID)
		if err != nil || plan.Plan.Open || len(plan.Plan.Beyond) != 1 || plan.Plan.Beyond[0].Input["Bucket"] != b.name {
			n.t.Fatalf("open: %s, beyond %v, %v", plan.Plan.OpenReason, plan.Plan.Beyond, err)
		}
		if steered {
			b.tagged(n.t, victim.name)
		}
		before := n.w.now()
		n.grant(r.ID)
		n.stopAtRest(execution)
		r = n.runBy(execution, ends...)
		want, state := []string{"PutBucketAcl"}, remediation.Cancelled
		if steered {
			want, state = nil, remediation.Failed
			says(n.t, "reason", r.Reason, "step Back", "not in the plan", "s3:PutBucketAcl")
		}
		if r.State != state {
			n.t.Errorf("%s (%s)", r.State, r.Reason)
		}
		if diff := cmp.Diff(want, b.changed(before)); diff != "" || len(victim.changed(before)) > 0 {
			n.t.Errorf("%v %s", victim.changed(before), diff)
		}
	}
}

// loosens: although the policy would let it run, a person has to agree.
func (n *node) loosens(string) {
	b := n.w.bucket(n.t, "dev")
	plan := n.approved(n.run("Loose", b.account(), document{"Parameters": document{"Bucket": []string{b.name}}}))
	if !plan.Open || !strings.Contains(plan.OpenReason, "step Back, to which only a failure or a cancellation leads, may call s3:PutBucketAcl") || len(plan.Beyond) != 1 {
		n.t.Errorf("open: %s, beyond %v", plan.OpenReason, plan.Beyond)
	}
}

// stopAtRest waits until a run rests at its second step, and cancels it.
func (n *node) stopAtRest(execution string) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for e := n.shown(execution); len(e.StepExecutions) < 2 || e.StepExecutions[1].StepStatus == "Pending"; e = n.shown(execution) {
		if time.Now().After(deadline) {
			n.t.Fatalf("%+v", e)
		}
		time.Sleep(50 * time.Millisecond)
	}
	n.automation("olga", "StopAutomationExecution", document{"AutomationExecutionId": execution, "Type": "Cancel"})
}

func (n *node) rests(string) {
	b := n.w.bucket(n.t, "dev")
	execution := n.run("Rest", b.account(), document{"Parameters": document{"Bucket": []string{b.name}}})
	plan := n.approved(execution)
	if plan.Open || plan.Changes() != 1 || len(plan.Beyond) != 1 || plan.Beyond[0].Step != "Back" || plan.Irreversible() {
		n.t.Errorf("open: %s, %d changes, beyond %v, irreversible: %v", plan.OpenReason, plan.Changes(), plan.Beyond, plan.Irreversible())
	}
	n.stopAtRest(execution)
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
