package app

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
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
	// unseen gives the accounts whose findings Security Hub does not show.
	unseen func(ctx context.Context) ([]string, error)
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
	query := store.FindingQuery{Accounts: q.Accounts, Limit: q.Limit, Filter: criteria, At: f.clock.Now(), Cursor: q.Token, DocumentsOnly: true}
	for _, s := range q.Sort {
		key, err := sortKey(s)
		if err != nil {
			return securityhub.Page{}, err
		}
		query.Sort = append(query.Sort, key)
	}
	var err error
	if query.WithoutAccounts, err = f.unseen(ctx); err != nil {
		return securityhub.Page{}, err
	}
	found, err := f.store.QueryFindings(ctx, query)
	if query.Cursor != "" && fault.Is(err, fault.Invalid) {
		return securityhub.Page{}, foreignToken() // everything else of the question was read before
	}
	if err != nil {
		return securityhub.Page{}, err
	}
	page := securityhub.Page{Findings: make([]json.RawMessage, 0, len(found.Records)), Next: found.Next, Release: found.Release}
	for _, r := range found.Records {
		page.Findings = append(page.Findings, finding.Bare(r.Doc))
	}
	return page, nil
}

// sortKey reads a sort criterion: a field of the filters, or the member of ASFF
// that the field reads, such as Severity.Label.
func sortKey(s securityhub.SortCriterion) (store.SortKey, error) {
	name := s.Field
	if _, ok := filter.FieldNamed(name); !ok {
		for _, f := range filter.Fields() {
			if strings.Join(f.Paths[0], ".") == name && f.Kind != filter.Keyword {
				name = f.Name
			}
		}
	}
	column, ok := sortColumns()[name]
	if !ok {
		return store.SortKey{}, fault.Errorf(fault.Invalid, "read SortCriteria", "findings cannot be sorted by %q", clipped(s.Field)).
			WithHint("sort by one of %s", strings.Join(slices.Sorted(maps.Keys(sortColumns())), ", "))
	}
	return store.SortKey{Column: column, Descending: strings.EqualFold(s.SortOrder, "desc")}, nil
}

// sortColumns gives the store's column for each field that findings can be
// sorted by. Labels are sorted by how severe they are, resources by the first.
func sortColumns() map[string]string {
	return map[string]string{
		"AwsAccountId": "account", "Region": "region", "SeverityLabel": "severity_normalized", "SeverityNormalized": "severity_normalized",
		"Id": "id", "ProductArn": "product_arn", "ProductName": "product", "WorkflowStatus": "workflow", "RecordState": "record_state",
		"ComplianceStatus": "compliance", "GeneratorId": "generator", "Title": "title", "CreatedAt": "created_at", "UpdatedAt": "updated_at",
		"ComplianceSecurityControlId": "control", "ResourceId": "resource_id", "ResourceType": "resource_type",
	}
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
