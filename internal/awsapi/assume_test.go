package awsapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

func takeRole(arn string) apimodel.Call {
	return apimodel.Call{Service: "sts", Operation: "assume_role", Account: member, Region: region, Input: map[string]any{"RoleArn": arn, "RoleSessionName": "script", "DurationSeconds": int64(900)}}
}

// keyIn gives the access key id of an answer of sts:AssumeRole.
func keyIn(t *testing.T, r apimodel.Reply) string {
	t.Helper()
	given, _ := r.Output["Credentials"].(map[string]any)
	key, _ := given["AccessKeyId"].(string)
	if !strings.HasPrefix(key, "ASIA") || len(key) != 20 {
		t.Fatalf("answered %v", r.Output)
	}
	return key
}

// TestAScriptAssumesARole: it is given credentials that only this execution
// understands, and what it does with them is planned and made as the role.
func TestAScriptAssumesARole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{Roles: []string{fixer}})
	reply, err := p.Call(t.Context(), "Script", takeRole(fixer))
	if err != nil {
		t.Fatal(err)
	}
	given := reply.Output["Credentials"].(map[string]any)
	user := reply.Output["AssumedRoleUser"].(map[string]any)
	if end := given["Expiration"]; end != w.clock.Now().Add(15*time.Minute) || user["Arn"] != "arn:aws:sts::"+member+":assumed-role/Fixer/script" {
		t.Errorf("answered %v, %v", end, user)
	}
	key := keyIn(t, reply)
	call := s3("DeleteBucketPolicy", nil)
	call.As, call.Account = key, hub // boto3 does not know whose account its keys are of
	if _, err := p.Call(t.Context(), "Script", call); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string][]string{"Script": {fixer}}, p.Assumed()); diff != "" {
		t.Error(diff)
	}
	plan := w.planOf(p.Calls())
	plan.Roles = []string{fixer}
	if diff := cmp.Diff([]string{"AssumeRole read  " + member, "DeleteBucketPolicy change " + fixer + " " + member}, briefs(plan.Calls)); diff != "" {
		t.Error(diff)
	}
	if plan.Calls[0].Resource != fixer || plan.Changes() != 1 {
		t.Errorf("planned %+v", plan.Calls[0])
	}

	w.aws.sent()
	w.assumed()
	s := w.apply(plan)
	if _, err := s.Call(t.Context(), "Script", call); !isCode(err, "InvalidClientTokenId") {
		t.Errorf("the key of the plan, before the role was assumed: %v", err)
	}
	reply, err = s.Call(t.Context(), "Script", takeRole(fixer))
	if err != nil {
		t.Fatal(err)
	}
	applied := keyIn(t, reply)
	if applied == key {
		t.Error("planning and applying gave one key")
	}
	call.As = applied
	if _, err := s.Call(t.Context(), "Script", call); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"DeleteBucketPolicy"}, changesOf(w.aws.sent())); diff != "" {
		t.Error(diff)
	}
	// That the role can be assumed was seen in the session that planning has.
	if diff := cmp.Diff([]string{fixer + " narrowed"}, w.assumed()); diff != "" {
		t.Error(diff)
	}
	again, err := w.apply(plan).Call(t.Context(), "Script", takeRole(fixer))
	if err != nil || keyIn(t, again) != applied {
		t.Errorf("after a restart: %v, %v", again.Output, err)
	}
}

func briefs(calls []remediation.PlannedCall) []string {
	var out []string
	for _, c := range calls {
		out = append(out, strings.Join([]string{c.Operation, string(c.Class), c.As, c.Account}, " "))
	}
	return out
}

func isCode(err error, code string) bool {
	var api *apimodel.APIError
	return errorsAs(err, &api) && api.Code == code
}

// TestRolesThatNoScriptAssumes, and other ways to credentials.
func TestRolesThatNoScriptAssumes(t *testing.T) {
	t.Parallel()
	sts := func(op string, in map[string]any) apimodel.Call {
		return apimodel.Call{Service: "sts", Operation: op, Account: member, Region: region, Input: in}
	}
	saml := map[string]any{"RoleArn": fixer, "PrincipalArn": "arn:aws:iam::" + member + ":saml-provider/x", "SAMLAssertion": "xxxx"}
	for name, c := range map[string]struct {
		call  apimodel.Call
		roles []string
		own   []string
		code  fault.Code
		want  string
	}{
		"not listed":      {takeRole(fixer), nil, nil, fault.Denied, "is not one that it may be made as"},
		"Parry's own":     {takeRole("arn:aws:iam::" + other + ":role/" + role), []string{"*"}, nil, fault.Denied, "is Parry's own"},
		"the hub's":       {takeRole("arn:aws:iam::" + hub + ":role/ParryHub"), []string{"*"}, []string{"ParryHub"}, fault.Denied, "own roles"},
		"by SAML":         {sts("AssumeRoleWithSAML", saml), []string{"*"}, nil, fault.Denied, "outside of its plan"},
		"a session token": {sts("GetSessionToken", nil), []string{"*"}, nil, fault.Denied, "outside of its plan"},
		"federation":      {sts("GetFederationToken", map[string]any{"Name": "me"}), []string{"*"}, nil, fault.Denied, "outside of its plan"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *awsapi.Config) { cfg.Guards.OwnRoles = c.own })
			plan := w.plan(fix())
			plan.Roles = c.roles
			w.aws.sent()
			w.assumed()
			for mode, call := range map[string]func() error{
				"planning": func() error {
					_, err := w.gate.Planning(as, awsapi.PlanOptions{Roles: c.roles}).Call(t.Context(), "Script", c.call)
					return err
				},
				"applying": func() error { _, err := w.apply(plan).Call(t.Context(), "Script", c.call); return err },
			} {
				if err := call(); !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v", mode, err)
				}
			}
			if sent, assumed := w.aws.sent(), w.assumed(); len(sent)+len(assumed) > 0 {
				t.Errorf("sent %v, assumed %v", sent, assumed)
			}
		})
	}
	t.Run("AWS refuses", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.creds.err = &apimodel.APIError{Service: "sts", Operation: "AssumeRole", Code: "AccessDenied", HTTPStatus: 403}
		p := w.gate.Planning(as, awsapi.PlanOptions{Roles: []string{fixer}})
		if _, err := p.Call(t.Context(), "Script", takeRole(fixer)); !isCode(err, "AccessDenied") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not yet known", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		p := w.gate.Planning(as, awsapi.PlanOptions{Roles: []string{"*"}})
		made, err := p.Call(t.Context(), "Make", apimodel.Call{Service: "iam", Operation: "CreateRole", Account: member, Region: region, Input: map[string]any{"RoleName": "r", "AssumeRolePolicyDocument": "{}"}})
		if err != nil {
			t.Fatal(err)
		}
		arn, _ := made.Output["Role"].(map[string]any)["Arn"].(string)
		if _, err := p.Call(t.Context(), "Script", takeRole(arn)); !isPlanUnknown(err) || p.Open() == "" {
			t.Errorf("got %v, open %q", err, p.Open())
		}
	})
}
