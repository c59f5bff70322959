package scenarios_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// sceneSession is the name under which a scenario sets its scene in an account.
const sceneSession = "scenario"

// iam makes one call in an account, as the management account's administrator
// may.
func (w *world) iam(t *testing.T, account string, form url.Values) {
	t.Helper()
	e := w.env.Estate
	creds, a := envtest.Assume(t, w.env, envtest.Of(e.Management.Administrator), url.Values{
		"RoleArn": {"arn:aws:iam::" + account + ":role/OrganizationAccountAccessRole"}, "RoleSessionName": {sceneSession},
	})
	if a.Status != http.StatusOK {
		t.Fatalf("enter %s: %d %s", account, a.Status, a.Body)
	}
	form.Set("Version", "2010-05-08")
	if a := envtest.Call(t, w.env, creds, "iam", http.MethodPost, "/", form.Encode()); a.Status != http.StatusOK {
		t.Fatalf("%s: %d %s", form.Get("Action"), a.Status, a.Body)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func allow(actions any, resource string) document {
	return document{"Version": "2012-10-17", "Statement": []document{{"Effect": "Allow", "Action": actions, "Resource": resource}}}
}

// role makes a member role of the scenario's own in dev, with the estate's
// permissions but those denied, and gives an edit that makes Parry use it.
func (w *world) role(t *testing.T, denied ...string) (name string, use func(document)) {
	t.Helper()
	name = w.roleIn(t, "dev", denied...)
	return name, func(cfg document) { cfg["organization"].(document)["member_role"] = name }
}

// roleIn makes such a role in any member.
func (w *world) roleIn(t *testing.T, member string, denied ...string) (name string) {
	t.Helper()
	e := w.env.Estate
	name = fmt.Sprintf("Scenario%d", w.buckets.Add(1))
	hub := fmt.Sprintf("arn:aws:iam::%s:user/parry", e.Security.Account)
	trust := document{"Version": "2012-10-17", "Statement": []document{{
		"Effect": "Allow", "Principal": document{"AWS": hub}, "Action": []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"},
	}}}
	actions := []string{
		"s3:GetBucketPublicAccessBlock", "s3:PutBucketPublicAccessBlock", "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:GetBucketAcl", "s3:PutBucketAcl",
		"s3:GetAccountPublicAccessBlock", // which is about no bucket
	}
	actions = slices.DeleteFunc(actions, func(a string) bool { return slices.Contains(denied, a) })
	account := e.Members[member].Account
	w.iam(t, account, url.Values{"Action": {"CreateRole"}, "RoleName": {name}, "AssumeRolePolicyDocument": {text(t, trust)}})
	w.iam(t, account, url.Values{"Action": {"PutRolePolicy"}, "RoleName": {name}, "PolicyName": {"s3"}, "PolicyDocument": {text(t, allow(actions, "*"))}})
	w.iam(t, e.Security.Account, url.Values{"Action": {"PutUserPolicy"}, "UserName": {"parry"}, "PolicyName": {"scenarios"}, "PolicyDocument": {text(t, allow("sts:*", "arn:aws:iam::*:role/Scenario*"))}})
	return name
}

// byPeople has people approve in dev too.
func byPeople(cfg document) {
	cfg["policies"] = []document{{"id": "people", "mode": "people", "quorum": 1, "expires": "24h"}}
}

func TestRoleThatCannotBeAssumed(t *testing.T) {
	t.Parallel()
	w := earth(t)
	dev := w.env.Estate.Members["dev"].Account
	for name, edit := range map[string]func(document){
		"there is none":     func(cfg document) { cfg["organization"].(document)["member_role"] = "ScenarioWithoutRole" },
		"wrong external id": func(cfg document) { cfg["organization"].(document)["external_id"] = "another" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := w.install(t, edit).serve(t)
			b := w.bucket(t, "dev")
			n.report(b)
			r := n.await(b, remediation.KindFix, remediation.Failed)
			says(t, "reason", r.Reason, "AccessDenied", "sts:AssumeRole", dev)
			says(t, "hint", r.Hint, "external id", dev)
			n.mail(r.ID, "failed")
			w.judge(t, "original", b)
			n.settled()
		})
	}
	t.Run("gone since the plan", func(t *testing.T) {
		t.Parallel()
		role, use := w.role(t)
		n := w.install(t, use, byPeople).serve(t)
		b := w.bucket(t, "dev")
		n.report(b)
		r := n.await(b, remediation.KindFix, remediation.AwaitingApproval)
		w.iam(t, dev, url.Values{"Action": {"DeleteRolePolicy"}, "RoleName": {role}, "PolicyName": {"s3"}})
		w.iam(t, dev, url.Values{"Action": {"DeleteRole"}, "RoleName": {role}})
		n.grant(r.ID)
		r = n.await(b, remediation.KindFix, remediation.Failed)
		says(t, "reason", r.Reason, "ReplaceBucketPolicy", "AccessDenied", "sts:AssumeRole", "0 change(s) had been made")
		says(t, "hint", r.Hint, "external id", "parry finding remediate ")
		w.judge(t, "original", b)
	})
}

// One permission of the member role is missing: what was made before it is
// told, and can be taken back.
func TestPermissionDeniedForOneChange(t *testing.T) {
	t.Parallel()
	w := earth(t)
	_, use := w.role(t, "s3:PutBucketAcl")
	n := w.install(t, use).serve(t)
	b := w.bucket(t, "dev")
	n.report(b)
	r := n.await(b, remediation.KindFix, remediation.Failed)
	says(t, "reason", r.Reason, "step RemoveGrants failed", "AccessDenied", "PutBucketAcl", "s3:PutBucketAcl", "1 change(s) had been made")
	says(t, "hint", r.Hint, "parry remediation undo "+string(r.ID))
	says(t, "mail", plain(n.mail(r.ID, "failed")), "step RemoveGrants failed", "1 change(s) had been made", "parry remediation show "+string(r.ID))
	if diff := cmp.Diff([]string{"PutBucketPolicy"}, b.changed(0)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}

	id := n.undo(b)
	n.approveUndo(b, id)
	n.await(b, remediation.KindUndo, remediation.Verified)
	n.await(b, remediation.KindFix, remediation.Undone)
	n.whole(id, []string{"PutBucketPolicy"})
	w.judge(t, "original", b)
	n.settled()
}
