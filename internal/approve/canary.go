package approve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

const (
	// maxCanaries bounds the accounts of a canary: each is looked for when a fix waits.
	maxCanaries = 20
	// maxTrials bounds how far back the fixes of canary accounts are looked at. Older
	// ones prove nothing.
	maxTrials  = 1000
	trialsPage = 100
)

// Canary has a fix made in some accounts before a policy lets it run by itself in the
// others.
type Canary struct {
	// Accounts are the ids of those in which it is made first.
	Accounts []string `json:"accounts" yaml:"accounts"`
}

func (c Canary) validate(op string, p *Policy) error {
	switch {
	case len(c.Accounts) == 0:
		return nil
	case p.Mode != Automatic:
		return fault.Errorf(fault.Invalid, op, "canary is for mode automatic, not %s", p.Mode).WithHint("leave it out: people decide on each plan")
	case len(p.Documents) > 0:
		return fault.Errorf(fault.Invalid, op, "canary is for fixes, and documents names what people start").WithHint("begin a run with some of its targets: parry runbook start --waves")
	case len(c.Accounts) > maxCanaries:
		return fault.Errorf(fault.Invalid, op, "canary.accounts has %d entries, the limit is %d", len(c.Accounts), maxCanaries)
	}
	for i, id := range c.Accounts {
		switch {
		case !org.ValidAccountID(id):
			return fault.Errorf(fault.Invalid, op, "canary.accounts[%d] %q is not an account id", i, id).WithHint("write 12 digits, in quotes")
		case slices.Contains(c.Accounts[:i], id):
			return fault.Errorf(fault.Invalid, op, "canary.accounts[%d] %s is there twice", i, id)
		case len(p.Accounts) > 0 && !slices.Contains(p.Accounts, id):
			return fault.Errorf(fault.Invalid, op, "canary.accounts[%d] %s is not one of the policy's accounts", i, id).WithHint("add it to accounts, or nothing would run there by itself")
		}
	}
	return nil
}

// Trials lists what became of earlier fixes.
type Trials interface {
	ListRemediations(ctx context.Context, f store.RemediationFilter, limit int, cursor string) ([]remediation.Remediation, string, error)
}

// trial is what the canary accounts say about a fix.
type trial struct {
	proven bool
	why    string // one clause for a person
}

// try says whether a fix of the same control by the same revision of the same runbook was
// verified in a canary account, and whether the last one in any of them did not end well.
func (s *Stage) try(ctx context.Context, policy Policy, r remediation.Remediation, p remediation.Plan) (trial, error) {
	canaries := policy.Canary.Accounts
	if len(canaries) == 0 || slices.Contains(canaries, r.Account) {
		return trial{proven: true}, nil
	}
	where := "account " + canaries[0]
	if n := len(canaries); n > 1 {
		where = fmt.Sprintf("%d canary accounts", n)
	}
	out := trial{why: fmt.Sprintf("no fix of %s by this runbook has been verified in %s yet", r.Control, where)}
	ended := map[string]bool{} // accounts whose last word is known
	filter := store.RemediationFilter{Accounts: canaries, Control: r.Control}
	cursor := ""
	for seen := 0; seen < maxTrials && len(ended) < len(canaries); {
		page, next, err := s.Store.ListRemediations(ctx, filter, trialsPage, cursor)
		if err != nil {
			return trial{}, fmt.Errorf("look for fixes in canary accounts: %w", err)
		}
		for _, c := range page { // the latest first
			if c.Kind != remediation.KindFix || c.Playbook != r.Playbook || ended[c.Account] {
				continue
			}
			switch c.State {
			case remediation.Verified:
				ended[c.Account] = true
				same, err := s.sameRunbook(ctx, c, p)
				if err != nil {
					return trial{}, err
				}
				if same && !out.proven {
					out = trial{proven: true, why: fmt.Sprintf("%s was verified in the canary account %s", c.ID, c.Account)}
				}
			case remediation.Failed, remediation.Unverified, remediation.Regressed, remediation.Undoing, remediation.Undone:
				return trial{why: fmt.Sprintf("%s in the canary account %s is %s", c.ID, c.Account, c.State)}, nil
			}
		}
		if seen, cursor = seen+len(page), next; next == "" {
			break
		}
	}
	return out, nil
}

// sameRunbook reports whether an earlier fix ran the very document that p will run.
func (s *Stage) sameRunbook(ctx context.Context, earlier remediation.Remediation, p remediation.Plan) (bool, error) {
	was, err := s.Store.Plan(ctx, earlier.PlanHash)
	if fault.Is(err, fault.NotFound) {
		return false, nil // it was pruned: it proves nothing
	}
	if err != nil {
		return false, fmt.Errorf("read the plan of %s: %w", earlier.ID, err)
	}
	return was.Runbook.Name == p.Runbook.Name && was.Runbook.Revision == p.Runbook.Revision, nil
}

// release lets a fix run that waited for a canary, when that is verified now and the
// policies still say so. It reports whether it did.
func (s *Stage) release(ctx context.Context, a remediation.Approval) (bool, error) {
	r, err := s.Store.Remediation(ctx, a.Remediation)
	if err != nil || r.State != remediation.AwaitingApproval || !s.Clock.Now().Before(a.ExpiresAt) {
		return false, err
	}
	plan, err := s.Store.Plan(ctx, r.PlanHash)
	if fault.Is(err, fault.NotFound) {
		return false, nil // nobody can run it; it expires
	}
	if err != nil {
		return false, err
	}
	about, err := s.about(ctx, r)
	if err != nil {
		return false, err
	}
	policy, why := s.judge(r, plan, about.Trusted)
	if policy.Mode != Automatic || why != "" {
		return false, nil // it is for people now
	}
	t, err := s.try(ctx, policy, r, plan)
	if err != nil || !t.proven {
		return false, err
	}
	a.State, a.Automatic, a.Policy = remediation.ApprovalApproved, true, policy.ID
	err = s.settle(ctx, a, r, transition{
		to: remediation.Queued, reason: "approved by policy " + policy.ID + because(t.why), actor: "policy/" + policy.ID, title: about.Title, changes: plan.Changes(),
	})
	if errors.Is(err, store.ErrConflict) {
		return false, nil // somebody decided just now
	}
	return err == nil, err
}

// waiting says what a fix that its canary holds waits for.
func (t trial) waiting(policy Policy) string {
	return fmt.Sprintf("policy %s tries it in the canary first (%s): %s", policy.ID, strings.Join(policy.Canary.Accounts, ", "), t.why)
}
