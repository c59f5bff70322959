package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/parry-security/parry/internal/remediation"
)

// undo takes the fix of the open bucket back, by a plan of its own that alice approves.
func (s *story) undo(ctx context.Context) (string, error) {
	fixed, err := s.await(ctx, remediation.KindFix, remediation.Verified, openBucket)
	if err != nil {
		return "", err
	}
	id := string(fixed[openBucket].ID)
	out, err := s.parry(ctx, "olga", "remediation", "undo", id, "-o", "json")
	var ended *commandError
	if err != nil && (!errors.As(err, &ended) || ended.code != 5) {
		return "", err
	}
	asked, err := decode[struct {
		ID remediation.ID `json:"id"`
	}](out)
	if err != nil {
		return "", err
	}
	if _, err := s.await(ctx, remediation.KindUndo, remediation.AwaitingApproval, openBucket); err != nil {
		return "", err
	}
	if err := s.grant(ctx, asked.ID); err != nil {
		return "", err
	}
	if _, err := s.await(ctx, remediation.KindUndo, remediation.Verified, openBucket); err != nil {
		return "", err
	}
	if _, err := s.await(ctx, remediation.KindFix, remediation.Undone, openBucket); err != nil {
		return "", err
	}
	if err := s.awaitWorkflow(ctx, openBucket, "NEW"); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: asked by olga, planned from the before-images, approved by alice; undone, the finding is NEW again", id), nil
}
