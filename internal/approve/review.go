package approve

import (
	"context"
	"errors"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Waiting lists what waits for people.
type Waiting interface {
	ListApprovals(ctx context.Context, state remediation.ApprovalState, accounts []string, limit int, cursor string) ([]remediation.Approval, string, error)
}

// Review looks at one page of at most n pending approvals, from cursor on. It ends those of
// fixes whose finding an exception has come to suppress: nobody could grant them, and
// when the exception ends its findings are planned for anew. It lets those run whose
// canary is verified. It gives the cursor of the next page, "" to begin anew, and how many
// were ended or let run.
func (s *Stage) Review(ctx context.Context, cursor string, n int) (next string, settled int, err error) {
	page, next, err := s.Store.ListApprovals(ctx, remediation.ApprovalPending, store.AllAccounts(), n, cursor)
	if err != nil {
		return "", 0, err // begin anew: another version of Parry may have given the cursor
	}
	for _, a := range page {
		if a.OfStep() {
			continue
		}
		done, err := s.withdrawExcepted(ctx, a)
		if err == nil && !done && len(a.Canary) > 0 {
			done, err = s.release(ctx, a)
		}
		if err != nil {
			return cursor, settled, err
		}
		if done {
			settled++
		}
	}
	return next, settled, nil
}

func (s *Stage) withdrawExcepted(ctx context.Context, a remediation.Approval) (bool, error) {
	r, err := s.Store.Remediation(ctx, a.Remediation)
	if err != nil || r.Kind != remediation.KindFix || r.Finding.IsZero() || r.State != remediation.AwaitingApproval {
		return false, err
	}
	records, err := s.Store.Findings(ctx, []finding.ID{r.Finding})
	if err != nil || len(records) == 0 || records[0].Exception == "" {
		return false, err
	}
	ex := records[0].Exception
	a.State, r.Exception = remediation.ApprovalSuperseded, ex
	err = s.settle(ctx, a, r, transition{
		to: remediation.Superseded, reason: "the finding is suppressed by the exception " + ex, actor: "parry/approve", title: r.Title(),
		hint: "end it: parry exception expire " + ex + "; its findings are new again then, and planned for as when they came",
	})
	if errors.Is(err, store.ErrConflict) {
		return false, nil // somebody decided just now; the next look sees what came of it
	}
	return err == nil, err
}
