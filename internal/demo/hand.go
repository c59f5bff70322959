package demo

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
)

// byHand: what no rule plans is planned because somebody asks: olga on the command line,
// and whoever chose "Remediate with Parry" in AWS's console. Both wait for alice.
func (s *story) byHand(ctx context.Context) (string, error) {
	id := s.findings[password].ID
	said, err := s.parryBoth(ctx, "olga", "finding", "remediate", id)
	if err != nil {
		return "", err
	}
	if !strings.Contains(said, "triggered") {
		return "", fmt.Errorf("the answer does not say that the fix was triggered: %s", said)
	}
	s.show("parry finding remediate "+short(id)+"   # "+password, []byte(said))
	if _, err := s.reports(ctx, "act", "--key", rotation, rotationTwin, accountBlock); err != nil {
		return "", err
	}
	asked := []string{password, rotation, accountBlock}
	waiting, err := s.await(ctx, remediation.KindFix, remediation.AwaitingApproval, asked...)
	if err != nil {
		return "", err
	}
	if by := [...]string{waiting[password].RequestedBy, waiting[rotation].RequestedBy}; by != [...]string{"olga", "rule/custom-action"} {
		return "", fmt.Errorf("asked for by %v", by)
	}
	shown, err := s.parry(ctx, "olga", "finding", "show", s.findings[rotation].ID)
	if err != nil {
		return "", err
	}
	s.show("parry finding show "+short(s.findings[rotation].ID)+"   # "+rotation+", sent by the custom action", pick(shown, "Remediation", "Workflow"))
	if !strings.Contains(string(shown), string(waiting[rotation].ID)) {
		return "", fmt.Errorf("the finding does not say what the custom action triggered: %s", shown)
	}
	for _, k := range asked {
		if err := s.grant(ctx, waiting[k].ID); err != nil {
			return "", err
		}
	}
	if _, err := s.await(ctx, remediation.KindFix, remediation.Verified, asked...); err != nil {
		return "", err
	}
	twin, err := s.await(ctx, remediation.KindFix, remediation.Cancelled, rotationTwin)
	if err != nil {
		return "", err
	}
	if !strings.Contains(twin[rotationTwin].Reason, "no violation") {
		return "", fmt.Errorf("the twin that the custom action named was cancelled because %s", twin[rotationTwin].Reason)
	}
	return "IAM.7 triggered by olga, KMS.4 and S3.1 by the custom action through the queue; approved by alice, verified; the key's good twin, sent too, needed nothing", nil
}
