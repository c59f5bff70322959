package app

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// ocsfFinder answers questions about findings in OCSF: columns leave out what
// cannot match, the views of the documents decide.
type ocsfFinder struct {
	store ocsfPages
	drain func(ctx context.Context) (int, error)
	clock service.Clock
	// unseen gives the accounts whose findings Security Hub does not show.
	unseen func(ctx context.Context) ([]string, error)
}

// ocsfPages is what the store knows of findings.
type ocsfPages interface {
	QueryFindings(ctx context.Context, q store.FindingQuery) (store.FindingPage, error)
	CountFindings(ctx context.Context, q store.CountQuery) ([]store.FindingCount, error)
}

// mostCounted bounds the documents that one count reads.
const mostCounted = 50_000

// QueryFindingsV2 gives one page; Filters of q are OcsfFindingFilters. It sees what
// was accepted before it was asked.
func (f ocsfFinder) QueryFindingsV2(ctx context.Context, q securityhub.Query) (securityhub.Page, error) {
	filters, err := ocsfFilters(q.Filters)
	if err != nil {
		return securityhub.Page{}, err
	}
	if _, err := f.drain(ctx); err != nil {
		return securityhub.Page{}, err
	}
	query := store.FindingQuery{Accounts: q.Accounts, Limit: q.Limit}
	if query.WithoutAccounts, err = f.unseen(ctx); err != nil {
		return securityhub.Page{}, err
	}
	for _, s := range q.Sort {
		column, ok := ocsfSortColumns()[s.Field]
		if !ok {
			return securityhub.Page{}, fault.Errorf(fault.Invalid, "read SortCriteria", "findings cannot be sorted by %q", clipped(s.Field)).
				WithHint("sort by one of %s", strings.Join(slices.Sorted(maps.Keys(ocsfSortColumns())), ", "))
		}
		query.Sort = append(query.Sort, store.SortKey{Column: column, Descending: s.SortOrder == "desc"})
	}
	at := f.clock.Now().UTC().Truncate(time.Microsecond)
	binding := ocsfBinding(q)
	if q.Token != "" {
		if query.Cursor, at, err = openOCSFToken(q.Token, binding); err != nil {
			return securityhub.Page{}, err
		}
	}
	query.Where, _ = store.NarrowOCSF(filters, at)
	// The view is made once, for the filters and for the answer.
	views := map[finding.ID]json.RawMessage{}
	query.Match = func(r store.FindingRecord) bool {
		view, ok := viewOf(r)
		if !ok || !filters.Match(view, at) {
			return false
		}
		views[r.ID] = view.JSON()
		return true
	}
	found, err := f.store.QueryFindings(ctx, query)
	if err != nil {
		if query.Cursor != "" && fault.Is(err, fault.Invalid) {
			return securityhub.Page{}, foreignToken()
		}
		return securityhub.Page{}, err
	}
	page := securityhub.Page{Findings: make([]json.RawMessage, 0, len(found.Records))}
	for _, r := range found.Records {
		page.Findings = append(page.Findings, views[r.ID])
	}
	if found.Next != "" {
		page.Next = sealOCSFToken(binding, at, found.Next)
	}
	return page, nil
}

// CountFindingsV2 counts the findings that Filters of q hold for by the values of
// one field, the greatest count first. Values that a finding has several times
// count once.
func (f ocsfFinder) CountFindingsV2(ctx context.Context, q securityhub.CountV2) ([]securityhub.GroupV2, error) {
	filters, err := ocsfFilters(q.Filters)
	if err != nil {
		return nil, err
	}
	if _, err := f.drain(ctx); err != nil {
		return nil, err
	}
	without, err := f.unseen(ctx)
	if err != nil {
		return nil, err
	}
	at := f.clock.Now().UTC().Truncate(time.Microsecond)
	where, exact := store.NarrowOCSF(filters, at)
	counts := map[string]int{}
	if column, ok := rollupColumn(q.Field); ok && exact && counted(where) {
		err = f.rollup(ctx, store.CountQuery{Accounts: q.Accounts, WithoutAccounts: without, Where: where, GroupBy: []string{column}}, counts)
	} else {
		scan := store.FindingQuery{Accounts: q.Accounts, WithoutAccounts: without, Where: where, MaxScan: mostCounted, Limit: 1000}
		err = f.scan(ctx, scan, q.Field, func(view finding.Finding) bool { return filters.Match(view, at) }, counts)
	}
	if err != nil {
		return nil, err
	}
	out := make([]securityhub.GroupV2, 0, len(counts))
	for value, n := range counts {
		out = append(out, securityhub.GroupV2{FieldValue: value, Count: n})
	}
	slices.SortFunc(out, func(a, b securityhub.GroupV2) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.FieldValue, b.FieldValue))
	})
	return out, nil
}

// rollup answers from the counters, whatever the number of findings.
func (f ocsfFinder) rollup(ctx context.Context, q store.CountQuery, counts map[string]int) error {
	groups, err := f.store.CountFindings(ctx, q)
	for _, g := range groups {
		if g.Group[0] != "" {
			counts[g.Group[0]] += int(g.N)
		}
	}
	return err
}

// scan reads the documents that q leaves.
func (f ocsfFinder) scan(ctx context.Context, q store.FindingQuery, name string, matches func(finding.Finding) bool, counts map[string]int) error {
	field, ok := filter.OCSFField(filter.String, name)
	if !ok {
		return fault.Errorf(fault.Invalid, "read GroupByField", "findings cannot be grouped by %q", clipped(name))
	}
	q.Match = func(r store.FindingRecord) bool {
		if view, ok := viewOf(r); ok && matches(view) {
			for _, v := range valuesOf(view, field) {
				counts[v]++
			}
		}
		return false // counted, and not kept
	}
	page, err := f.store.QueryFindings(ctx, q)
	if err == nil && page.Next != "" {
		err = fault.Errorf(fault.Invalid, "count findings", "more than %d findings would have to be read", mostCounted).
			WithHint("narrow the filters by account, region, severity, status or time")
	}
	return err
}

// valuesOf gives the different texts that view has in field.
func valuesOf(view finding.Finding, field filter.Field) []string {
	var out []string
	view.Values(field.Paths[0], func(v any) bool {
		if s, ok := v.(string); ok && s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
		return true
	})
	return out
}

func viewOf(r store.FindingRecord) (finding.Finding, bool) {
	doc, err := finding.Reopen(r.Doc)
	if err != nil {
		return finding.Finding{}, false
	}
	return finding.Wrap(ocsf.View(doc)), true
}

func ocsfFilters(raw json.RawMessage) (filter.Composite, error) {
	if len(raw) == 0 {
		return filter.Composite{}, nil
	}
	return filter.ParseOCSF(raw)
}

// rollupColumn gives the counters' column for a field whose values they have as
// OCSF has them. Severity and status are not among them: one of their values may
// be several in OCSF.
func rollupColumn(field string) (string, bool) {
	switch field {
	case "cloud.account.uid":
		return "account", true
	case "cloud.region":
		return "region", true
	}
	return "", false
}

// counted reports whether the counters know all columns of where.
func counted(where []store.Condition) bool {
	for _, c := range where {
		switch c.Column {
		case "", "account", "region", "severity", "workflow", "record_state":
		default:
			return false
		}
		if !counted(c.Or) || !counted(c.And) {
			return false
		}
	}
	return true
}

func ocsfSortColumns() map[string]string {
	return map[string]string{
		"finding_info.modified_time_dt": "updated_at", "finding_info.created_time_dt": "created_at", "severity_id": "severity_normalized",
		"severity": "severity_normalized", "status": "workflow", "cloud.account.uid": "account", "cloud.region": "region",
		"finding_info.title": "title", "finding_info.uid": "id", "metadata.product.uid": "product_arn", "metadata.product.name": "product",
		"resources.uid": "resource_id", "resources.type": "resource_type", "compliance.control": "control", "compliance.status": "compliance",
	}
}

// ocsfBinding names the question that a page's token belongs to.
func ocsfBinding(q securityhub.Query) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "V2 %q %q %q", q.Accounts, q.Filters, q.Sort))
	return string(sum[:8])
}

// sealOCSFToken makes the token of the page behind cursor. It carries the time
// from which relative dates are measured, so that all pages answer one question.
func sealOCSFToken(binding string, at time.Time, cursor string) string {
	raw := binary.BigEndian.AppendUint64([]byte(binding), uint64(at.UnixMicro())) //nolint:gosec // read back as it was
	return base64.RawURLEncoding.EncodeToString(append(raw, cursor...))
}

func openOCSFToken(token, binding string) (cursor string, at time.Time, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) <= len(binding)+8 || string(raw[:len(binding)]) != binding {
		return "", at, foreignToken()
	}
	raw = raw[len(binding):]
	return string(raw[8:]), time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC(), nil //nolint:gosec // as it was written
}
