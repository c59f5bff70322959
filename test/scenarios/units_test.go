package scenarios_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// organizations makes a call as the management account's administrator.
func (w *world) organizations(t *testing.T, operation string, in document) []byte {
	t.Helper()
	a := envtest.Call(t, w.env, envtest.Of(w.env.Estate.Management.Administrator), "organizations", http.MethodPost, "/", text(t, in),
		"X-Amz-Target", "AWSOrganizationsV20161128."+operation, "Content-Type", "application/x-amz-json-1.1")
	if a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", operation, a.Status, a.Body)
	}
	return []byte(a.Body)
}

// unit makes an organizational unit below parent with accounts that stood at the root.
func (w *world) unit(t *testing.T, root, parent, name string, accounts ...string) string {
	t.Helper()
	made := decode[struct{ OrganizationalUnit struct{ Id string } }](t, w.organizations(t, "CreateOrganizationalUnit", document{"ParentId": parent, "Name": name}))
	for _, account := range accounts {
		w.organizations(t, "MoveAccount", document{"AccountId": account, "SourceParentId": root, "DestinationParentId": made.OrganizationalUnit.Id})
	}
	return made.OrganizationalUnit.Id
}

// TestADocumentRunsOnAUnitThatOrganizationsKnows: the configuration names no units, and
// AWS Organizations, whose delegated administrator Parry's account is, says which
// accounts stand in one and below it.
func TestADocumentRunsOnAUnitThatOrganizationsKnows(t *testing.T) {
	t.Parallel()
	w := earth(t)
	above, below, stranger := w.member(t, "above"), w.member(t, "below"), w.member(t, "stranger")
	root := w.env.Estate.Organization.Root
	name := fmt.Sprintf("unit%d", w.buckets.Add(1))
	upper := w.unit(t, root, root, name, above, stranger)
	lower := w.unit(t, root, upper, name+"-below", below)
	x := &wide{accounts: []string{above, below, stranger}, role: fmt.Sprintf("Scenario%d", w.buckets.Add(1))}
	for _, account := range x.accounts {
		w.runner(t, account, x.role, encrypting...)
	}
	x.node = w.install(t, func(cfg document) {
		cfg["organization"].(document)["accounts"] = []document{{"id": above, "name": "above"}, {"id": below, "name": "below"}}
		cfg["policies"] = []document{{"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
		cfg["documents"] = []document{{"names": []string{"Encrypt"}, "key_roles": []string{"operator"}, "roles": []string{"arn:aws:iam::*:role/" + x.role}}}
	}).serve(t)
	x.document("Encrypt", encryption)
	x.since = w.now()
	on := func(exclude ...string) string {
		location := document{"Accounts": []string{upper}, "Regions": wideRegions, "ExecutionRoleName": x.role, "IncludeChildOrganizationUnits": true}
		if len(exclude) > 0 {
			location["ExcludeAccounts"] = exclude
		}
		return x.node.run("Encrypt", above, document{"TargetLocations": []document{location}})
	}
	r := x.runBy(on(), remediation.AwaitingApproval, remediation.Failed)
	if r.State != remediation.Failed {
		t.Fatalf("a run on an account that Parry does not answer for is %s", r.State)
	}
	says(t, "reason", r.Reason+r.Hint, "Parry does not answer for 1 of the accounts, such as "+stranger, "ExcludeAccounts")

	where := func(p remediation.Plan) (out []string) {
		for _, c := range p.Calls {
			if c.Class.NeedsApproval() && !slices.Contains(out, c.Account) {
				out = append(out, c.Account)
			}
		}
		slices.Sort(out)
		return out
	}
	run := on(stranger, lower)
	if diff := cmp.Diff([]string{above}, where(x.approved(run))); diff != "" {
		t.Errorf("without the unit below (-want +got):\n%s", diff)
	}
	x.runBy(run, ends...)
	if diff := cmp.Diff(x.all("EnableEbsEncryptionByDefault", above), x.made()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	run = on(stranger)
	want := []string{above, below}
	slices.Sort(want)
	if diff := cmp.Diff(want, where(x.approved(run))); diff != "" {
		t.Errorf("with the unit below (-want +got):\n%s", diff)
	}
	if r := x.runBy(run, ends...); r.State != remediation.Verified {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
	x.made()
	x.settled()
}
