package triage

import (
	"context"
	"fmt"

	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

// ExceptionPreview is what an exception would suppress of the findings that are
// stored. Nothing is written.
type ExceptionPreview struct {
	// Covered findings are in the scope; of these Open ones would be suppressed.
	Covered int `json:"covered" doc:"Findings in the scope."`
	Open    int `json:"open" doc:"Those of them that are active, NEW or NOTIFIED and whose check does not pass: they would be suppressed."`
	// Complete says that no finding was left out for their number or for time.
	Complete   bool               `json:"complete" doc:"No finding was left out for their number or for time."`
	BySeverity map[string]int     `json:"by_severity" doc:"The open ones by severity."`
	Examples   []ExceptionExample `json:"examples" nullable:"false"`
}

// ExceptionExample is a finding that would be suppressed. Title is untrusted text.
type ExceptionExample struct {
	Finding  finding.ID `json:"finding"`
	Account  string     `json:"account"`
	Severity string     `json:"severity"`
	Resource string     `json:"resource"`
	Title    string     `json:"title"`
}

// Preview looks for findings of accounts that an exception with this scope would
// suppress, the latest update first.
func (d *ExceptionDesk) Preview(ctx context.Context, scope filter.Filter, accounts []string) (ExceptionPreview, error) {
	const op = "preview exception"
	out := ExceptionPreview{BySeverity: map[string]int{}, Examples: []ExceptionExample{}}
	if err := exception.CheckScope(scope); err != nil {
		return out, err
	}
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return out, fmt.Errorf("%s: %w", op, err)
	}
	began := d.cfg.Clock.Now()
	q := store.FindingQuery{Accounts: accounts, Filter: scope, Limit: previewPage, ColumnsOnly: true, At: began}
	for {
		page, err := d.cfg.Pages.QueryFindings(ctx, q)
		if err != nil {
			return out, fmt.Errorf("%s: %w", op, err)
		}
		for _, r := range page.Records {
			out.add(r)
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			out.Complete = true
			return out, nil
		}
		if out.Covered >= MaxPreview || d.cfg.Clock.Now().Sub(began) > previewTime {
			return out, nil
		}
	}
}

func (p *ExceptionPreview) add(r store.FindingRecord) {
	p.Covered++
	if !isOpen(finding.RecordState(r.RecordState), finding.Compliance(r.Compliance), finding.Workflow(r.Workflow)) {
		return
	}
	p.Open++
	p.BySeverity[r.SeverityLabel]++
	if len(p.Examples) < maxExamples {
		p.Examples = append(p.Examples, ExceptionExample{Finding: r.ID, Account: r.Account, Severity: r.SeverityLabel, Resource: r.ResourceID, Title: r.Title})
	}
}
