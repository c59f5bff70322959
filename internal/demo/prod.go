package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
)

// approveProd: alice reads a plan and approves each by its hash. One fix may do what it
// is to do by Parry's rules, and not by AWS's: the network team has the last word on
// the firewalls of web-prod.
func (s *story) approveProd(ctx context.Context) (string, error) {
	if n := append(s.changes(webProd), s.changes(dataProd)...); len(n) > 0 {
		return "", fmt.Errorf("prod was changed before the approval: %s", n[0].Operation)
	}
	waiting, err := s.await(ctx, remediation.KindFix, remediation.AwaitingApproval, prodKeys...)
	if err != nil {
		return "", err
	}
	plan, err := s.parry(ctx, "alice", "plan", "show", string(waiting[openBucket].ID))
	if err != nil {
		return "", err
	}
	for _, want := range []string{"PutPublicAccessBlock", "PutBucketAcl", "PutBucketPolicy"} {
		if !strings.Contains(string(plan), want) {
			return "", fmt.Errorf("parry plan show does not name %s", want)
		}
	}
	s.show("parry plan show "+string(waiting[openBucket].ID), clip(plan, 118))
	for _, k := range prodKeys {
		if err := s.grant(ctx, waiting[k].ID); err != nil {
			return "", err
		}
	}
	granted := s.clock.Now()
	if _, err := s.await(ctx, remediation.KindFix, remediation.Verified, publicBucket, openBucket, defaultGroup); err != nil {
		return "", err
	}
	s.summary.Figures["prod_approved_to_verified_ms"] = s.clock.Now().Sub(granted).Milliseconds()
	failed, err := s.await(ctx, remediation.KindFix, remediation.Failed, remoteDesk)
	if err != nil {
		return "", err
	}
	r := failed[remoteDesk]
	if !strings.Contains(r.Reason, "not authorized to perform: ec2:RevokeSecurityGroupIngress") || r.Hint == "" {
		return "", fmt.Errorf("the denied fix says %q, next %q", r.Reason, r.Hint)
	}
	for _, e := range append(s.changes(webProd), s.changes(dataProd)...) {
		if e.SourceIdentity != "alice" {
			return "", fmt.Errorf("%s was made for %q, not for the approver", e.Operation, e.SourceIdentity)
		}
	}
	shown, err := s.parry(ctx, "olga", "remediation", "show", string(r.ID))
	if err != nil {
		return "", err
	}
	s.show("parry remediation show "+string(r.ID), pick(shown, "State", "Why", "Next", "Control", "Approval"))
	return fmt.Sprintf("4 plans granted by alice, made in her name; 3 verified; %s failed: its member role may not revoke rules", controlOf(remoteDesk)), nil
}

// grant approves the pending approval of a remediation as alice, who names the hash of
// the plan that she was shown.
func (s *story) grant(ctx context.Context, id remediation.ID) error {
	out, err := s.parry(ctx, "alice", "approval", "list", "-o", "json")
	if err != nil {
		return err
	}
	list, err := decode[[]remediation.Approval](out)
	if err != nil {
		return err
	}
	for _, a := range list {
		if a.Remediation == id {
			_, err := s.parry(ctx, "alice", "approval", "grant", a.ID, "--plan", string(a.Plan), "--reason", "reviewed in the demo", "-o", "json")
			return err
		}
	}
	return fmt.Errorf("no approval is pending for %s", id)
}
