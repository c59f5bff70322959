package scenarios_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// TestScriptsRoleMakesTheCalls: a script takes a role of its own in another
// account, by sts:AssumeRole. The wall sees that role, in that account, narrowed
// to the plan, make the calls under it, and Parry's member role the others.
func TestScriptsRoleMakesTheCalls(t *testing.T) {
	t.Parallel()
	w := earth(t)
	here, there := w.bucket(t, "dev"), w.bucket(t, "prod")
	name := w.roleIn(t, "prod")
	arn := "arn:aws:iam::" + there.account() + ":role/" + name
	o := w.order(t, "assume")
	o.Plan.Roles = []string{"arn:aws:iam::" + there.account() + ":role/Scenario*"}
	gate, _, err := gateOf(o, func(c *awsapi.Config) {
		c.Guards.Accounts = []string{here.account(), there.account()}
		c.Guards.OwnRoles = []string{o.MemberRole}
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Plan.GuardsRevision = gate.GuardsRevision()
	// script is what the script of the step does with its clients.
	script := func(call func(apimodel.Call) (apimodel.Reply, error)) error {
		in := func(b *bucket, key string) error {
			_, err := call(apimodel.Call{Service: "s3", Operation: "DeleteBucketPolicy", Account: o.Account, Region: o.Plan.Region, As: key, Input: map[string]any{"Bucket": b.name}})
			return err
		}
		if err := in(here, ""); err != nil {
			return err
		}
		reply, err := call(apimodel.Call{Service: "sts", Operation: "AssumeRole", Account: o.Account, Region: o.Plan.Region, Input: map[string]any{"RoleArn": arn, "RoleSessionName": "script"}})
		if err != nil {
			return err
		}
		given, _ := reply.Output["Credentials"].(map[string]any)
		key, _ := given["AccessKeyId"].(string)
		return in(there, key)
	}
	planner := gate.Planning(o.identity("plan"), awsapi.PlanOptions{Roles: o.Plan.Roles})
	if err := script(func(c apimodel.Call) (apimodel.Reply, error) { return planner.Call(t.Context(), "Script", c) }); err != nil {
		t.Fatal(err)
	}
	o.Plan.Calls = planner.Calls()
	if changed := append(here.changed(0), there.changed(0)...); len(changed) > 0 {
		t.Fatalf("planning changed %v", changed)
	}
	s, err := o.store(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	a, err := o.authority(s)
	if err != nil {
		t.Fatal(err)
	}
	session := gate.Applying(o.identity("apply"), a)
	if err := script(func(c apimodel.Call) (apimodel.Reply, error) { return session.Call(t.Context(), "Script", c) }); err != nil {
		t.Fatal(err)
	}
	for b, role := range map[*bucket]string{here: o.MemberRole, there: name} {
		var got []string
		for _, e := range b.calls("apply-assume", 0) {
			got = append(got, strings.Join([]string{e.Operation, e.Account, e.Principal, e.SourceIdentity}, " "))
		}
		as := " " + b.account() + " arn:aws:sts::" + b.account() + ":assumed-role/" + role + "/" + o.identity("apply").SessionName + " alice"
		if diff := cmp.Diff([]string{"GetBucketPolicy" + as, "DeleteBucketPolicy" + as}, got); diff != "" {
			t.Error(diff)
		}
	}
	changes, err := s.Changes(t.Context(), o.Plan.Remediation)
	if err != nil || len(changes) != 2 || changes[1].Call.As != arn || changes[1].Outcome != remediation.Applied {
		t.Errorf("recorded %+v, %v", changes, err)
	}
	w.refusedRoles(t, o, gate)
}

// refusedRoles tries roles that nobody listed, that are Parry's own, and that do
// not trust Parry.
func (w *world) refusedRoles(t *testing.T, o applyOrder, gate *awsapi.Gate) {
	t.Helper()
	account := w.env.Estate.Members["prod"].Account
	before := w.now()
	for role, code := range map[string]string{"OrganizationAccountAccessRole": "", o.MemberRole: "", "ScenarioThatIsNot": "AccessDenied"} {
		planner := gate.Planning(o.identity("plan"), awsapi.PlanOptions{Roles: append(o.Plan.Roles, "arn:aws:iam::*:role/"+o.MemberRole)})
		_, err := planner.Call(t.Context(), "Script", apimodel.Call{
			Service: "sts", Operation: "AssumeRole", Account: o.Account, Region: o.Plan.Region,
			Input: map[string]any{"RoleArn": "arn:aws:iam::" + account + ":role/" + role, "RoleSessionName": "script"},
		})
		var api *apimodel.APIError
		if code == "" && !fault.Is(err, fault.Denied) || code != "" && (!errors.As(err, &api) || api.Code != code) {
			t.Errorf("%s: %v", role, err)
		}
	}
	for _, e := range w.env.Wall.Log() {
		if e.Seq > before && strings.HasPrefix(e.Session, "parry-plan-assume") {
			t.Errorf("a refused role made %s", e.Operation)
		}
	}
}
