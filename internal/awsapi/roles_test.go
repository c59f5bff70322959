package awsapi_test

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

const (
	fixer = "arn:aws:iam::" + member + ":role/automation/Fixer"
	other = "444455556666"
)

// isPlanUnknown reports whether planning could not tell what a call will be.
func isPlanUnknown(err error) bool {
	var api *apimodel.APIError
	return errors.As(err, &api) && api.Code == awsapi.PlanUnknown
}

// asRole gives the calls another role.
func asRole(arn string, calls []stepCall) []stepCall {
	for i := range calls {
		calls[i].call.As = arn
	}
	return calls
}

// planAs plans calls with roles that they may be made as.
func (w *world) planAs(roles []string, calls []stepCall) (*remediation.Plan, error) {
	p := w.gate.Planning(as, awsapi.PlanOptions{Roles: roles})
	for _, c := range calls {
		if _, err := p.Call(w.t.Context(), c.step, c.call); err != nil {
			return nil, err
		}
	}
	plan := w.planOf(p.Calls())
	plan.Roles = roles
	return plan, nil
}

// assumed lists the sessions that were asked for as "role policy?".
func (w *world) assumed() []string {
	w.creds.mu.Lock()
	defer w.creds.mu.Unlock()
	var out []string
	for _, r := range w.creds.assumed {
		line := r.RoleARN
		if r.Policy != "" {
			line += " narrowed"
		}
		if r.ExternalID != "ext-"+strings.Split(r.RoleARN, ":")[4] || r.SourceIdentity != "alice" || r.SessionName != "exec-1" {
			w.t.Errorf("session %+v", r)
		}
		out = append(out, line)
	}
	w.creds.assumed = nil
	return out
}

// TestCallAsAnotherRole: plan and apply go out as the role, narrowed when they
// apply; the plan carries it.
func TestCallAsAnotherRole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	roles := []string{"arn:*:iam::" + member + ":role/automation/*"}
	plan, err := w.planAs(roles, asRole(fixer, fix()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range plan.Calls {
		if c.As != fixer {
			t.Errorf("planned %s as %q", c.Operation, c.As)
		}
	}
	if diff := cmp.Diff([]string{fixer}, w.assumed()); diff != "" {
		t.Error(diff)
	}
	// The account is the role's where the call names none.
	calls := asRole(fixer, fix())
	for i := range calls {
		calls[i].call.Account = ""
	}
	w.aws.sent()
	if err := run(t.Context(), w.apply(plan), calls); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fixer + " narrowed"}, w.assumed()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "DeleteBucketPolicy", "PutBucketAcl"}, changesOf(w.aws.sent())); diff != "" {
		t.Error(diff)
	}
	for id, c := range w.recorder.changes {
		if c.Call.As != fixer {
			t.Errorf("%s was recorded as %q", id, c.Call.As)
		}
	}
}

// TestRoleOfTheSessionIsNoOther: naming it changes nothing, so that a document
// that assumes Parry's role is planned like one that assumes none.
func TestRoleOfTheSessionIsNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan, err := w.planAs(nil, asRole("arn:aws:iam::"+member+":role/"+role, fix()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w.plan(fix()).Calls, plan.Calls); diff != "" {
		t.Error(diff)
	}
}

func TestRolesAreDefaultClosed(t *testing.T) {
	t.Parallel()
	anyone := []string{"arn:aws:iam::*:role/*"}
	for name, c := range map[string]struct {
		roles  []string
		guards func(*awsapi.Guards)
		as     string
		region string
		code   fault.Code
		want   string
	}{
		"none listed":       {nil, nil, fixer, region, fault.Denied, "is not one that it may be made as"},
		"another listed":    {[]string{"arn:aws:iam::" + member + ":role/Fixer"}, nil, fixer, region, fault.Denied, "is not one that it may be made as"},
		"another account":   {anyone, nil, "arn:aws:iam::" + other + ":role/Fixer", region, fault.Denied, "is of account " + other},
		"another partition": {[]string{"*"}, nil, "arn:aws-cn:iam::" + member + ":role/Fixer", region, fault.Invalid, "partition aws-cn"},
		"no role":           {anyone, nil, "arn:aws:iam::" + member + ":user/Fixer", region, fault.Invalid, "is not the ARN of a role"},
		"a role of Parry's": {anyone, func(g *awsapi.Guards) { g.OwnRoles = []string{"ParryHub"} }, "arn:aws:iam::" + member + ":role/ParryHub", region, fault.Denied, "own roles"},
		"break-glass":       {anyone, func(g *awsapi.Guards) { g.BreakGlass = []string{"Fixer"} }, fixer, region, fault.Denied, "break-glass"},
		"a denied role": {anyone, func(g *awsapi.Guards) {
			g.Deny = []awsapi.Rule{{ID: "no-sts", Services: []string{"sts"}, Operations: []string{"AssumeRole"}, Resources: []string{fixer}}}
		}, fixer, region, fault.Denied, "no-sts"},
		"a denied call of the role": {anyone, func(g *awsapi.Guards) { g.Deny = []awsapi.Rule{{ID: "no-fixer", Roles: []string{"automation/Fixer"}}} }, fixer, region, fault.Denied, "no-fixer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *awsapi.Config) {
				if c.guards != nil {
					c.guards(&cfg.Guards)
				}
			})
			call := stepCall{"Block", fix()[0].call}
			call.call.As, call.call.Region = c.as, c.region
			_, err := w.planAs(c.roles, []stepCall{call})
			if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
			if sent := w.aws.sent(); len(sent) > 0 || len(w.creds.assumed) > 0 {
				t.Errorf("sent %v, assumed %v", sent, w.creds.assumed)
			}
		})
	}
}

// TestApplyingKnowsTheRolesOfItsPlanOnly: neither another role nor none makes a
// call that was planned for one, and reads are held to the plan's roles too.
func TestApplyingKnowsTheRolesOfItsPlanOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan, err := w.planAs([]string{fixer, fixer + "2"}, asRole(fixer, fix()))
	if err != nil {
		t.Fatal(err)
	}
	w.aws.sent()
	for name, c := range map[string]struct {
		call apimodel.Call
		want string
	}{
		"as nobody":              {fix()[0].call, "in role"},
		"as another listed role": {asRole(fixer+"2", fix())[0].call, "in role"},
		"as an unlisted role":    {asRole(fixer+"3", fix())[0].call, "may be made as"},
		"a read as one":          {func() apimodel.Call { c := s3("GetBucketAcl", nil); c.As = fixer + "3"; return c }(), "may be made as"},
	} {
		_, err := w.apply(plan).Call(t.Context(), "Block", c.call)
		if !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if sent := changesOf(w.aws.sent()); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
}

// TestReadsOfOneRoleAreNotShownToAnother while planning.
func TestReadsOfOneRoleAreNotShownToAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{Roles: []string{fixer}})
	read := s3("GetBucketAcl", nil)
	for range 2 {
		for _, arn := range []string{"", fixer} {
			read.As = arn
			if _, err := p.Call(t.Context(), "Look", read); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff([]string{"GetBucketAcl", "GetBucketAcl"}, w.aws.sent()); diff != "" {
		t.Errorf("each role reads once: %s", diff)
	}
}

// TestCallsAsTheProcessItself reach its own account alone; a role that is listed
// is assumed from there, and only its session can be narrowed.
func TestCallsAsTheProcessItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	me := awsapi.Identity{SessionName: "exec-1", SourceIdentity: "alice"}
	calls := []stepCall{fix()[0], fix()[1]}
	calls[0].call.Account = ""
	calls[1].call.Account, calls[1].call.As = "", fixer
	p := w.gate.Planning(me, awsapi.PlanOptions{Roles: []string{fixer}})
	for _, c := range calls {
		if _, err := p.Call(t.Context(), c.step, c.call); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock change  " + hub, "DeleteBucketPolicy change " + fixer + " " + member}, briefs(p.Calls())); diff != "" {
		t.Error(diff)
	}
	elsewhere := fix()[2]
	if _, err := p.Call(t.Context(), elsewhere.step, elsewhere.call); !fault.Is(err, fault.Denied) || !strings.Contains(err.Error(), "is not the account of this process's credentials") {
		t.Errorf("another account: %v", err)
	}
	plan := w.planOf(p.Calls())
	plan.Role, plan.Roles, plan.Account = "", []string{fixer}, hub
	w.assumed()
	w.aws.sent()
	if err := run(t.Context(), w.gate.Applying(me, w.authority(plan)), calls); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{fixer + " narrowed"}, w.assumed()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "DeleteBucketPolicy"}, changesOf(w.aws.sent())); diff != "" {
		t.Error(diff)
	}
}
