package demo

import (
	"context"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
)

// Line is what became of one remediation.
type Line struct {
	Control  string            `json:"control"`
	Kind     remediation.Kind  `json:"kind"`
	Account  string            `json:"account"` // its name
	Region   string            `json:"region"`
	Resource string            `json:"resource"`
	By       string            `json:"by"` // how it came to be made
	Outcome  remediation.State `json:"outcome"`
	Reason   string            `json:"reason"`
	MS       int64             `json:"ms"` // from the request to the outcome
	ID       remediation.ID    `json:"id"`
}

// sum writes a line for every remediation that planned a change, the oldest first, and
// counts those of good twins.
func (s *story) sum(ctx context.Context) error {
	all, err := s.remediations(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(all)
	for _, r := range all {
		if r.State == remediation.Cancelled {
			s.summary.Figures["claims_not_confirmed"]++
			continue
		}
		k := s.keyOf[r.Finding.Id]
		s.summary.Remediations = append(s.summary.Remediations, Line{
			Control: r.Control, Kind: r.Kind, Account: s.resources[k].Member, Region: r.Region, Resource: r.Resource, By: byWhom(k, r),
			Outcome: r.State, Reason: r.Reason, MS: r.UpdatedAt.Sub(r.CreatedAt).Milliseconds(), ID: r.ID,
		})
	}
	slices.SortStableFunc(s.summary.Remediations, func(a, b Line) int { return place(a.Account) - place(b.Account) })
	return nil
}

// place orders members as the story comes to them.
func place(member string) int {
	return slices.Index([]string{canary, follower, webProd, dataProd}, member)
}

// byWhom says in a few words who had a remediation made.
func byWhom(k string, r remediation.Remediation) string {
	switch {
	case r.Kind == remediation.KindUndo:
		return "undo: olga, alice"
	case strings.HasPrefix(k, canary+"/"):
		return "policy, canary"
	case strings.HasPrefix(k, follower+"/"):
		return "policy, after canary"
	case r.RequestedBy == "rule/custom-action":
		return "custom action, alice"
	case !strings.HasPrefix(r.RequestedBy, "rule/"):
		return r.RequestedBy + ", alice"
	}
	return "rule, alice"
}
