package scenarios_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// changedByHand adds a statement to the bucket's policy, as its owner.
func (b *bucket) changedByHand(t *testing.T, policy string) {
	t.Helper()
	statement := b.like(`{"Sid":"AddedByHand","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::` + b.w.env.Estate.Security.Account + `:root"},"Action":"s3:DeleteObject","Resource":"arn:aws:s3:::` + b.name + `/*"},`)
	at := strings.Index(policy, "[") + 1
	if a := b.call(t, http.MethodPut, "/"+b.name+"?policy", policy[:at]+statement+policy[at:]); a.Err != nil || a.Status >= 300 {
		t.Fatalf("change the policy of %s: %d %s %v", b.name, a.Status, a.Body, a.Err)
	}
}

func (b *bucket) policyNow(t *testing.T) string {
	t.Helper()
	a := b.call(t, http.MethodGet, "/"+b.name+"?policy", "")
	if a.Err != nil || a.Status != http.StatusOK {
		t.Fatalf("read the policy of %s: %d %s %v", b.name, a.Status, a.Body, a.Err)
	}
	return a.Body
}

// says requires that a text for a person holds every word.
func says(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q: %s", what, w, text)
		}
	}
}

func TestSupersededByAChangeAfterThePlan(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "prod")
	n.report(b)
	r := n.await(b, remediation.KindFix, remediation.AwaitingApproval)
	b.changedByHand(t, b.like(w.policy(t, "prod")))
	n.grant(r.ID)
	r = n.await(b, remediation.KindFix, remediation.Superseded)
	says(t, "reason", r.Reason, "superseded", "Policy.Statement[AddedByHand]", b.name)
	says(t, "hint", r.Hint, "parry finding remediate ")
	if a := n.detail(r.ID).Approval; a.State != remediation.ApprovalSuperseded {
		t.Errorf("the approval is %s", a.State)
	}
	if made := b.changed(0); len(made) > 0 {
		t.Errorf("%v was made", made)
	}
	says(t, "mail", plain(n.mail(r.ID, "superseded")), "AddedByHand")

	// The hint's command makes a plan that fits.
	if out, err := n.parry(t, n.endpoint, append(strings.Fields(strings.TrimPrefix(command(r.Hint), "parry ")), "-o", "json")...); err != nil {
		t.Fatalf("%s: %v\n%s", r.Hint, err, out)
	}
	again := n.awaitAfter(r.ID, b, remediation.KindFix, remediation.AwaitingApproval)
	n.grant(again.ID)
	n.await(b, remediation.KindFix, remediation.Verified)
	says(t, "policy", b.policyNow(t), "AddedByHand")
	n.settled()
}

// A fix that policy approves is made on what its plan read for a moment only: somebody
// who adds a statement after that read is seen, once it is older than a second. Seen to
// fail with reread_shared_after at 5s.
func TestSupersededByAChangeDuringThePlan(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "dev")
	hold := b.disturb(t, awswall.Fault{Kind: awswall.HoldBefore, Operation: "GetBucketAcl", Times: 1})
	n.report(b)
	select {
	case <-hold.Hit(): // the policy was read before it
	case <-time.After(patience):
		t.Fatal("the access control list was not read")
	}
	b.changedByHand(t, b.like(w.policy(t, "dev")))
	time.Sleep(time.Second + 100*time.Millisecond)
	hold.Release()
	r := n.await(b, remediation.KindFix, remediation.Superseded)
	says(t, "reason", r.Reason, "superseded", "Policy.Statement[AddedByHand]", b.name)
	if made := b.changed(0); len(made) > 0 {
		t.Errorf("%v was made", made)
	}
	says(t, "policy", b.policyNow(t), "AddedByHand")
	n.settled()
}

// command is what a hint asks to run.
func command(hint string) string {
	_, c, _ := strings.Cut(hint, "run: ")
	return strings.Trim(c, "` \n")
}

func TestUndoIsRefusedWhenTheResourceDrifted(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	before, between := w.bucket(t, "dev"), w.bucket(t, "dev")
	n.report(before, between)
	n.fixed(before)
	n.fixed(between)

	// Changed before the undo is planned.
	before.changedByHand(t, before.policyNow(t))
	id := n.undo(before)
	undo := n.await(before, remediation.KindUndo, remediation.Failed)
	says(t, "reason", undo.Reason, "was changed since the fix", before.name, "Policy.Statement[AddedByHand]")
	says(t, "hint", undo.Hint, "parry remediation show ")
	says(t, "mail", plain(n.mail(id, "failed")), "was changed since the fix")

	// Changed between its plan and its approval: what the undo had put back by
	// then is known, and the fix does not count as verified any more.
	id = n.undo(between)
	n.await(between, remediation.KindUndo, remediation.AwaitingApproval)
	between.changedByHand(t, between.policyNow(t))
	n.grant(id)
	undo = n.await(between, remediation.KindUndo, remediation.Superseded)
	says(t, "reason", undo.Reason, "Policy.Statement[AddedByHand]", "2 change(s) had been made")
	says(t, "hint", undo.Hint, "parry remediation undo "+string(undo.UndoOf))

	if r := n.await(before, remediation.KindFix, remediation.Verified, remediation.Unverified); r.State != remediation.Verified {
		t.Errorf("%s is %s: %s", before.name, r.State, r.Reason)
	}
	n.await(between, remediation.KindFix, remediation.Unverified)
	for _, b := range []*bucket{before, between} {
		says(t, "policy", b.policyNow(t), "AddedByHand")
	}
	if diff := cmp.Diff(theFix, before.changed(0)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
