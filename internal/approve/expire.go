package approve

import (
	"context"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Expire ends the pending approvals whose time has passed, at most n of them,
// and says how many.
func (s *Stage) Expire(ctx context.Context, n int) (int, error) {
	due, err := s.Store.DueApprovals(ctx, s.Clock.Now(), n)
	if err != nil {
		return 0, err
	}
	ended := 0
	for _, a := range due {
		r, err := s.Store.Remediation(ctx, a.Remediation)
		if err != nil {
			return ended, err
		}
		a.State = remediation.ApprovalExpired
		if a.OfStep() {
			// The step has a time limit of its own, by which the document goes on.
			if err := s.Store.UpdateApproval(ctx, a, nil, store.Effects{}); err != nil && !errors.Is(err, store.ErrConflict) {
				return ended, err
			}
			continue
		}
		err = s.settle(ctx, a, r, transition{
			to: remediation.Expired, reason: "nobody decided before " + a.ExpiresAt.UTC().Format(time.RFC3339), actor: "parry/approve", title: r.Title(),
			hint: "plan again: " + r.Again(),
		})
		if errors.Is(err, store.ErrConflict) {
			continue // somebody decided just now
		}
		if err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}

// earliest gives the earlier of the two; b may be zero, for never.
func earliest(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}
