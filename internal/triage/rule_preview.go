package triage

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// FindingPages reads stored findings.
type FindingPages interface {
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
}

const (
	// MaxPreview is how many findings one preview looks at.
	MaxPreview = 200_000
	// previewTime bounds how long it looks, so that its answer reaches the caller.
	previewTime = 20 * time.Second
	// maxExamples is how many findings a preview names.
	maxExamples = 20
	previewPage = 500
)

// PreviewRequest asks what a rule would do.
type PreviewRequest struct {
	Rule rule.Rule
	// Accounts are those whose findings are looked at, see store.AllAccounts.
	Accounts []string
	// Scan is how many findings to look at. Default: 50,000.
	Scan int
	// Examples is how many of those that would change to name. Default and limit: 20.
	Examples int
}

// Preview is what a rule would do to the findings that are stored, had their
// providers sent them now. Nothing is written.
type Preview struct {
	// Scanned findings were looked at; those that the rule's account, product or
	// generator rule out were not, and need not be.
	Scanned int `json:"scanned"`
	Matched int `json:"matched"`
	Changed int `json:"changed"`
	// Skipped findings cannot be read.
	Skipped int `json:"skipped"`
	// Complete says that no finding was left out for their number or for time.
	Complete bool `json:"complete"`
	// Fields counts the changes by attribute.
	Fields   map[string]int   `json:"fields"`
	Examples []PreviewExample `json:"examples"`
}

// PreviewExample is a finding that would change. Title is untrusted text.
type PreviewExample struct {
	Finding finding.ID       `json:"finding"`
	Account string           `json:"account"`
	Title   string           `json:"title"`
	Updates []finding.Update `json:"updates"`
}

// PreviewRule looks through the stored findings, the latest update first. The rule
// is taken as enabled and alone: what other rules make of a finding is not part of
// the answer.
func (d *RuleDesk) PreviewRule(ctx context.Context, q PreviewRequest) (Preview, error) {
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return Preview{}, fmt.Errorf("preview rule: %w", err)
	}
	if q.Scan <= 0 {
		q.Scan = 50_000
	}
	if q.Examples <= 0 || q.Examples > maxExamples {
		q.Examples = maxExamples
	}
	q.Scan = min(q.Scan, MaxPreview)
	out := Preview{Fields: map[string]int{}, Examples: []PreviewExample{}}
	began, cursor := d.cfg.Clock.Now(), ""
	for {
		page, err := d.cfg.Pages.QueryFindings(ctx, store.FindingQuery{
			Accounts: q.Accounts, Where: narrowed(q.Rule), Limit: min(previewPage, q.Scan-out.Scanned), Cursor: cursor,
		})
		if err != nil {
			return Preview{}, fmt.Errorf("preview rule: %w", err)
		}
		for _, a := range d.tried(q.Rule, page.Records) {
			if a.err != nil {
				d.log.ErrorContext(ctx, "rule preview skips a finding", "finding", a.record.ID.String(), "error", a.err)
			}
			out.add(a, q.Examples)
		}
		if page.Next == "" {
			out.Complete = true
			return out, nil
		}
		if out.Scanned >= q.Scan || d.cfg.Clock.Now().Sub(began) > previewTime {
			return out, nil
		}
		cursor = page.Next
	}
}

func (p *Preview) add(a attempt, examples int) {
	p.Scanned++
	if a.err != nil {
		p.Skipped++
		return
	}
	if !a.matched {
		return
	}
	p.Matched++
	if len(a.updates) == 0 {
		return
	}
	p.Changed++
	for _, u := range a.updates {
		p.Fields[u.UpdatedField]++
	}
	if len(p.Examples) < examples {
		p.Examples = append(p.Examples, PreviewExample{Finding: a.record.ID, Account: a.record.Account, Title: a.record.Title, Updates: a.updates})
	}
}

// attempt is a rule on one stored finding.
type attempt struct {
	record  store.FindingRecord
	before  finding.Finding
	after   finding.Finding
	matched bool
	updates []finding.Update
	err     error
}

// RuleAnswer is what a rule says of one stored finding.
type RuleAnswer struct {
	Matched bool
	Reasons []filter.Reason
	// Updates are what its action would change, were the finding sent now.
	Updates []finding.Update
}

// ExplainRule says why r applies to a stored finding or not. As in a preview the rule
// is taken as enabled and alone, and its criteria see what the provider sent last.
func (d *RuleDesk) ExplainRule(r rule.Rule, record store.FindingRecord) (RuleAnswer, error) {
	provided, err := d.cfg.Triage.provided(record)
	if err != nil {
		return RuleAnswer{}, fmt.Errorf("explain rule: read original of %s: %w", record.ID, err)
	}
	a := d.tried(r, []store.FindingRecord{record})[0]
	return RuleAnswer{a.matched, r.Reasons(provided, d.cfg.Clock.Now()), a.updates}, a.err
}

// tried applies r to stored findings, on all processors. Criteria see what the
// provider sent last, as they do when a finding comes in.
func (d *RuleDesk) tried(r rule.Rule, records []store.FindingRecord) []attempt {
	r.Enabled, r.ExpiresAt, r.Terminal = true, time.Time{}, false
	now := d.cfg.Clock.Now()
	out := make([]attempt, len(records))
	parallel(len(records), func(i int) { out[i] = d.try(r, records[i], now) })
	return out
}

func (d *RuleDesk) try(r rule.Rule, record store.FindingRecord, now time.Time) (a attempt) {
	a.record = record
	provided, err := d.cfg.Triage.provided(record)
	if err != nil {
		a.err = fmt.Errorf("read original of %s: %w", record.ID, err)
		return a
	}
	if !r.Matches(provided, now) {
		return a
	}
	a.matched = true
	if a.before, a.err = finding.Reopen(record.Doc); a.err != nil {
		return a
	}
	a.after, _ = rule.Apply([]rule.Rule{r}, provided, a.before, now)
	a.after = settle(a.after)
	a.updates = finding.Diff(a.before, a.after)
	return a
}

// provided gives a stored finding as rules see it: what the provider sent last,
// with what the service fills in.
func (t *Triage) provided(record store.FindingRecord) (finding.Finding, error) {
	raw := record.Original
	if len(raw) == 0 {
		raw = record.Doc
	}
	doc, err := finding.Reopen(raw)
	if err != nil {
		return finding.Finding{}, err
	}
	return finding.Create(t.withAccountName(doc)), nil
}

// narrowed gives conditions that every finding meets which r may match: of its
// criteria those on columns that neither customers nor rules change.
func narrowed(r rule.Rule) []store.Condition {
	columns := map[string]string{
		"AwsAccountId": "account", "ProductArn": "product_arn", "Id": "id", "GeneratorId": "generator",
		"RecordState": "record_state", "ComplianceStatus": "compliance",
	}
	var out []store.Condition
	for _, c := range r.Criteria.Criteria {
		column, ok := columns[c.Field.Name]
		condition := store.Condition{Column: column, Op: store.OpEqual}
		for _, t := range c.Strings {
			// Columns are cut, and hold no text that a database cannot keep.
			ok = ok && t.Comparison == filter.Equals && len(t.Value) <= 200 && !strings.ContainsAny(t.Value, "\x00\uFFFD")
			condition.Values = append(condition.Values, t.Value)
		}
		if ok && len(condition.Values) > 0 {
			slices.Sort(condition.Values)
			out = append(out, condition)
		}
	}
	return out
}
