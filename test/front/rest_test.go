package front_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// detective: a finding of GuardDuty links to Detective in the regions where that is on.
func (s *server) detective(t *testing.T) {
	for region, want := range map[string]int{"us-east-1": 2, "eu-west-1": 0} {
		f := example("detective-"+region, hubAccount)
		f["ProductArn"] = "arn:aws:securityhub:" + region + "::product/aws/guardduty"
		f["Resources"] = []map[string]any{{"Type": "AwsEc2Instance", "Id": "arn:aws:ec2:" + region + ":" + hubAccount + ":instance/i-0123456789abcdef0"}}
		if got := s.do(t, call{key: "scanner", path: "/findings/import", body: batch(t, f)}).imported(t); got.SuccessCount != 1 {
			t.Fatalf("%+v", got)
		}
		id := finding.ID{ProductArn: fmt.Sprint(f["ProductArn"]), Id: "detective-" + region}
		var a answer
		for deadline := time.Now().Add(20 * time.Second); a.status != http.StatusOK && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			a = s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/findings/" + id.Key()}) // it is stored within two seconds
		}
		if n := strings.Count(string(a.body), "https://console.aws.amazon.com/detective/home?region="+region+"#entities/"); a.status != http.StatusOK || n != want {
			t.Errorf("%s: %d with %d links: %s", region, a.status, n, a.body)
		}
	}
}

// rest: Parry's own API says what is wrong, where, and what to do next.
func (s *server) rest(t *testing.T) {
	hash := string(s.plan)
	grant := "/v1/approvals/appr_prod_awaiting_approval/grant"
	decision := `{"plan_hash":"` + hash + `"}`
	other := `{"plan_hash":"` + strings.Repeat("0", 64) + `"}`
	for name, c := range map[string]struct {
		call
		status int
		code   string
		words  []string
	}{
		"operator approves":          {call{key: "operator", path: grant, body: decision}, 403, "denied", []string{"operator (roles: operator) may not do approval.decide", "a role that has approval.decide: admin, approver"}},
		"reader approves":            {call{key: "reader", path: grant, body: decision}, 403, "denied", []string{"may not do approval.decide", "admin, approver"}},
		"source reads approvals":     {call{key: "source", method: http.MethodGet, path: "/v1/approvals"}, 403, "denied", []string{"may not do approval.read", "ask an administrator"}},
		"another plan":               {call{key: "approver", path: grant, body: other}, 409, "conflict", []string{"the decision names plan 000000000000, the approval", "parry plan show rem_prod_awaiting_approval"}},
		"a hash that is none":        {call{key: "approver", path: grant, body: `{"plan_hash":"abc"}`}, 422, "invalid", []string{"body.plan_hash", "docs/openapi.yaml"}},
		"a plan without a hash":      {call{key: "approver", path: grant, body: `{}`}, 422, "invalid", []string{"plan_hash", "docs/openapi.yaml"}},
		"decided already":            {call{key: "approver", path: "/v1/approvals/appr_prod_verified/reject", body: other}, 409, "conflict", []string{"parry plan show rem_prod_verified"}},
		"reader undoes":              {call{key: "reader", path: "/v1/remediations/rem_prod_verified/undo"}, 403, "denied", []string{"may not do remediation.undo", "admin, operator"}},
		"approver undoes":            {call{key: "approver", path: "/v1/remediations/rem_prod_verified/undo"}, 403, "denied", []string{"may not do remediation.undo"}},
		"unknown finding":            {call{key: "operator", path: "/v1/remediations", body: `{"product_arn":"` + product + `","id":"nothing"}`}, 404, "not_found", []string{"parry finding list"}},
		"finding without a playbook": {call{key: "operator", path: "/v1/remediations", body: `{"product_arn":"` + product + `","id":"base-dev"}`}, 404, "not_found", []string{"parry playbook list"}},
		"unknown playbook":           {call{key: "operator", path: "/v1/remediations", body: `{"product_arn":"` + product + `","id":"base-dev","playbook":"Nope"}`}, 404, "not_found", []string{"parry playbook list"}},
		"operator lets go on":        {call{key: "operator", method: http.MethodPut, path: "/v1/stop-switch", body: `{"on":false,"reason":"x"}`}, 403, "denied", []string{"may not do switch.off"}},
		"stop without a reason":      {call{key: "admin", method: http.MethodPut, path: "/v1/stop-switch", body: `{"on":true,"reason":" "}`}, 400, "invalid", []string{"the reason is empty", "it goes into the audit log"}},
		"operator makes a key":       {call{key: "operator", path: "/v1/keys", body: `{"name":"x","roles":["admin"],"accounts":["*"]}`}, 403, "denied", []string{"may not do key.write"}},
		"key without a role":         {call{key: "admin", path: "/v1/keys", body: `{"name":"x","roles":[],"accounts":["*"]}`}, 422, "invalid", []string{"body.roles", "docs/openapi.yaml"}},
		"key for a wrong account":    {call{key: "admin", path: "/v1/keys", body: `{"name":"x","roles":["reader"],"accounts":["1"]}`}, 400, "invalid", []string{`accounts[0] "1" is not a 12-digit account id`}},
		"own key revoked":            {call{key: "admin", method: http.MethodDelete, path: "/v1/keys/" + s.keys["admin"].ID}, 409, "conflict", []string{"parry key revoke"}},
		"scoped key reads the audit": {call{key: "dev-reader", method: http.MethodGet, path: "/v1/audit/verify"}, 403, "denied", []string{"concerns the whole installation", "use a key that has all accounts"}},
		"oversized body":             {call{key: "approver", path: grant, body: `{"reason":"` + strings.Repeat("x", 2<<20) + `"}`}, 413, "invalid", []string{"Request must be smaller than 1048576 bytes"}},
		"long reason":                {call{key: "approver", path: grant, body: `{"plan_hash":"` + hash + `","reason":"` + strings.Repeat("x", 1001) + `"}`}, 422, "invalid", []string{"body.reason", "docs/openapi.yaml"}},
		"broken JSON":                {call{key: "approver", path: grant, body: `{"plan_hash":`}, 400, "invalid", []string{"body", "docs/openapi.yaml"}},
		"unknown member":             {call{key: "approver", path: grant, body: `{"plan_hash":"` + hash + `","force":true}`}, 422, "invalid", []string{"body.force", "docs/openapi.yaml"}},
		"unknown parameter":          {call{key: "reader", method: http.MethodGet, path: "/v1/findings?colour=red"}, 422, "invalid", []string{"query.colour", "docs/openapi.yaml"}},
		"page of 0":                  {call{key: "reader", method: http.MethodGet, path: "/v1/findings?limit=0"}, 422, "invalid", []string{"query.limit", "docs/openapi.yaml"}},
		"cursor that is none":        {call{key: "reader", method: http.MethodGet, path: "/v1/findings?cursor=x"}, 400, "invalid", []string{"cursor"}},
		"unknown endpoint":           {call{key: "admin", method: http.MethodGet, path: "/v1/nothing"}, 404, "not_found", []string{"there is no such endpoint", "docs/openapi.yaml"}},
		"unknown method":             {call{key: "admin", method: http.MethodDelete, path: "/v1/findings"}, 404, "not_found", []string{"there is no such endpoint"}},
	} {
		t.Run(name, func(t *testing.T) {
			s.nothingStored(t, func(t *testing.T) {
				a := s.do(t, c.call)
				a.is(t, c.status, c.code, c.words...)
				if a.hint == "" && a.status != 400 && a.status != 413 {
					t.Errorf("it does not say what to do: %s", a.body)
				}
			})
		})
	}
}

// foreign: what is in another account cannot be told from what is not there.
func (s *server) foreign(t *testing.T) {
	plan := `{"plan_hash":"` + string(s.plan) + `"}`
	for name, c := range map[string]struct {
		call
		foreign, missing string
	}{
		"remediation":      {call{key: "dev-operator", method: http.MethodGet, path: "/v1/remediations/ID"}, "rem_prod_verified", "rem_nobody"},
		"plan":             {call{key: "dev-operator", method: http.MethodGet, path: "/v1/plans/ID"}, "rem_prod_verified", "rem_nobody"},
		"undo":             {call{key: "dev-operator", path: "/v1/remediations/ID/undo"}, "rem_prod_verified", "rem_nobody"},
		"approval":         {call{key: "dev-approver", method: http.MethodGet, path: "/v1/approvals/ID"}, "appr_prod_awaiting_approval", "appr_nobody"},
		"grant":            {call{key: "dev-approver", path: "/v1/approvals/ID/grant", body: plan}, "appr_prod_awaiting_approval", "appr_nobody"},
		"reject":           {call{key: "dev-approver", path: "/v1/approvals/ID/reject", body: plan}, "appr_prod_awaiting_approval", "appr_nobody"},
		"fix of a finding": {call{key: "dev-operator", path: "/v1/remediations", body: `{"product_arn":"` + product + `","id":"ID"}`}, "base-prod", "nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			s.nothingStored(t, func(t *testing.T) {
				ask := func(id string) (int, string) {
					asked := c.call
					asked.path, asked.body = strings.ReplaceAll(asked.path, "ID", id), strings.ReplaceAll(asked.body, `"ID"`, `"`+id+`"`)
					a := s.do(t, asked)
					if a.hint == "" {
						t.Errorf("it does not say what to do: %s", a.body)
					}
					return a.status, strings.ReplaceAll(string(a.body), id, "ID")
				}
				status, said := ask(c.foreign)
				missing, saidMissing := ask(c.missing)
				if status != http.StatusNotFound || status != missing || said != saidMissing {
					t.Errorf("foreign: %d %s\nmissing: %d %s", status, said, missing, saidMissing)
				}
			})
		})
	}
	a := s.do(t, call{key: "dev-operator", method: http.MethodGet, path: "/v1/remediations"})
	if a.status != http.StatusOK || strings.Contains(string(a.body), prod) || !strings.Contains(string(a.body), "rem_dev_verified") {
		t.Errorf("the list of a key for dev: %d %s", a.status, a.body)
	}
}
