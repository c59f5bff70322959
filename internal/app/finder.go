package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// finder answers questions about findings: Security Hub's filters over the
// store's columns where they have one, and over the documents where not.
type finder struct {
	store findingPages
	drain func(ctx context.Context) (int, error)
	clock service.Clock
}

// findingPages is the store's list of findings.
type findingPages interface {
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
}

// QueryFindings gives one page. It sees what was accepted before it was asked,
// so the inbox is drained first.
func (f finder) QueryFindings(ctx context.Context, q securityhub.Query) (securityhub.Page, error) {
	if _, err := f.drain(ctx); err != nil {
		return securityhub.Page{}, err
	}
	var criteria filter.Filter
	if len(q.Filters) > 0 {
		var err error
		if criteria, err = filter.Parse(q.Filters); err != nil {
			return securityhub.Page{}, err
		}
	}
	query := store.FindingQuery{Accounts: q.Accounts, Limit: q.Limit}
	for _, s := range q.Sort {
		column, ok := columns()[s.Field]
		if !ok {
			return securityhub.Page{}, fault.Errorf(fault.Invalid, "read SortCriteria", "findings cannot be sorted by %q", clipped(s.Field))
		}
		query.Sort = append(query.Sort, store.SortKey{Column: column, Descending: strings.EqualFold(s.SortOrder, "desc")})
	}
	var rest filter.Filter
	for _, c := range criteria.Criteria {
		if condition, ok := indexed(c); ok {
			query.Where = append(query.Where, condition)
			continue
		}
		rest.Criteria = append(rest.Criteria, c)
	}
	if len(rest.Criteria) > 0 {
		now := f.clock.Now()
		query.Match = func(r store.FindingRecord) bool {
			doc, err := finding.Reopen(r.Doc)
			return err == nil && rest.Match(doc, now)
		}
	}
	binding := tokenBinding(q)
	var err error
	if query.Cursor, err = openToken(q.Token, binding); err != nil {
		return securityhub.Page{}, err
	}
	page, err := f.page(ctx, query, binding)
	if query.Cursor != "" && fault.Is(err, fault.Invalid) {
		return securityhub.Page{}, foreignToken() // everything else of the question was read before
	}
	return page, err
}

func (f finder) page(ctx context.Context, query store.FindingQuery, binding string) (securityhub.Page, error) {
	found, err := f.store.QueryFindings(ctx, query)
	if err != nil {
		return securityhub.Page{}, err
	}
	page := securityhub.Page{Findings: make([]json.RawMessage, 0, len(found.Records))}
	for _, r := range found.Records {
		page.Findings = append(page.Findings, r.Doc)
	}
	if found.Next != "" {
		page.Next = base64.RawURLEncoding.EncodeToString([]byte(binding + found.Next))
	}
	return page, nil
}

// columns gives the store's column for a field of the filters and of ASFF.
func columns() map[string]string {
	return map[string]string{
		"AwsAccountId": "account", "Region": "region", "SeverityLabel": "severity", "SeverityNormalized": "severity_normalized", "Id": "id", "ProductArn": "product_arn",
		"WorkflowStatus": "workflow", "RecordState": "record_state", "ComplianceStatus": "compliance", "GeneratorId": "generator",
		"Title": "title", "CreatedAt": "created_at", "UpdatedAt": "updated_at", "ComplianceSecurityControlId": "control",
	}
}

// indexed turns a criterion of plain equalities over a column into a condition.
// A control is left to the document: the column also knows controls that the
// finding does not name.
func indexed(c filter.Criterion) (store.Condition, bool) {
	column, ok := columns()[c.Field.Name]
	if !ok || c.Field.Kind != filter.String || column == "control" {
		return store.Condition{}, false
	}
	condition := store.Condition{Column: column, Op: store.OpEqual}
	for _, t := range c.Strings {
		if t.Comparison != filter.Equals || !asStored(t.Value) {
			return store.Condition{}, false
		}
		condition.Values = append(condition.Values, t.Value)
	}
	return condition, len(condition.Values) > 0
}

// asStored reports whether a column holds v as the document does: long text is
// cut there, and what a database cannot keep is replaced.
func asStored(v string) bool {
	return len(v) <= 256 && !strings.ContainsAny(v, "\x00\uFFFD")
}

// tokenBinding names the question that a page's token belongs to.
func tokenBinding(q securityhub.Query) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", q.Accounts, q.Filters, q.Sort))
	return string(sum[:8])
}

func openToken(token, binding string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < len(binding) || string(raw[:len(binding)]) != binding {
		return "", foreignToken()
	}
	return string(raw[len(binding):]), nil
}

func foreignToken() error {
	return fault.Errorf(fault.Invalid, "read NextToken", "the token does not belong to these filters").
		WithHint("repeat the request without NextToken")
}

func clipped(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
