package triage

import (
	"fmt"

	"github.com/parry-security/parry/internal/finding"
)

// Score is how urgent a finding is, 0 to 100, and why.
type Score struct {
	Value   int      `json:"value"`
	Reasons []string `json:"reasons"`
}

// ScoreOf gives a finding's priority: its severity, moved by the criticality of
// the resource; nothing for one that needs no work.
func ScoreOf(f finding.Finding) Score {
	switch {
	case f.Record() == finding.Archived:
		return Score{Reasons: []string{"archived by its provider"}}
	case f.Workflow() == finding.Suppressed || f.Workflow() == finding.Resolved:
		return Score{Reasons: []string{"workflow status " + string(f.Workflow())}}
	}
	s := Score{Value: f.SeverityNormalized()}
	s.Reasons = append(s.Reasons, fmt.Sprintf("severity %s (%d)", f.SeverityLabel(), s.Value))
	if c, ok := f.Int("Criticality"); ok {
		move := (c - 50) / 5
		s.Value = min(100, max(0, s.Value+move))
		s.Reasons = append(s.Reasons, fmt.Sprintf("criticality %d of the resource (%+d)", c, move))
	}
	return s
}
