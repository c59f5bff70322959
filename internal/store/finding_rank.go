package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// maxRanked bounds what one call ranks, lists as due or asks about.
const maxRanked = 1000

// RankFindings writes Priority, DueAt and Overdue of findings as they were read, and
// nothing else of them, and sends eff. One that was written meanwhile keeps what that
// write gave it.
func (s *Store) RankFindings(ctx context.Context, records []FindingRecord, eff Effects) error {
	const op = "rank findings"
	if len(records) > maxRanked {
		return invalid(op, "%d findings, the limit is %d", len(records), maxRanked)
	}
	rows := make([][]any, len(records))
	for i, r := range records {
		rows[i] = []any{r.rid, r.Account, r.Rev, int64(r.Priority), micros(r.DueAt), flag(r.Overdue)}
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		if _, err := t.bulk(ctx, t.s.q.FindingRank, rows); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// DueFindings gives up to n findings whose deadline is at or before now and which are
// not marked as overdue, the longest due first.
func (s *Store) DueFindings(ctx context.Context, now time.Time, n int) ([]finding.ID, error) {
	ids, err := collect(ctx, s.findings.Read, s.q.FindingDue, []any{micros(now), int64(min(n, maxRanked))}, func(r scanner) (id finding.ID, err error) {
		err = r.Scan(&id.ProductArn, &id.Id)
		return id, err
	})
	return ids, s.fail("list due findings", err)
}

// Threatened gives those of resources that are the first resource of a finding with
// Threat.
func (s *Store) Threatened(ctx context.Context, resources []string) (map[string]bool, error) {
	const op = "list threatened resources"
	if len(resources) == 0 {
		return nil, nil
	}
	cut := make([]string, len(resources))
	for i, r := range resources {
		cut[i] = text(r, wideColumn)
	}
	arg, err := list(unique(cut))
	if err != nil {
		return nil, s.fail(op, err)
	}
	found, err := collect(ctx, s.findings.Read, s.q.FindingThreats, []any{arg}, func(r scanner) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
	if err != nil {
		return nil, s.fail(op, err)
	}
	is := make(map[string]bool, len(found))
	for _, id := range found {
		is[id] = true
	}
	out := make(map[string]bool, len(found))
	for i, id := range cut {
		if is[id] {
			out[resources[i]] = true
		}
	}
	return out, nil
}

// Resource is one resource with the findings that are open on it: active, and new or
// notified.
type Resource struct {
	ID      string
	Type    string
	Account string
	Region  string
	// Priority is the highest of its findings.
	Priority int
	Open     int64
	Overdue  int64
	// BySeverity counts them by severity label.
	BySeverity map[string]int64
}

// maxResourceScan bounds the findings that TopResources looks at.
const maxResourceScan = 50_000

// TopResources gives the n resources that need attention first, by the priority of
// their most urgent open finding. It looks at findings in that order, at most 50,000,
// until it has n. Findings of priority 0 do not bring a resource into the list.
func (s *Store) TopResources(ctx context.Context, accounts []string, n int) ([]Resource, error) {
	const op = "list resources"
	n = min(max(n, 1), maxRanked)
	var out []Resource
	at := map[string]int{}
	q := FindingQuery{
		Accounts: accounts, ColumnsOnly: true, Limit: maxRanked,
		// What needs no work has none; the index of priorities is in this order.
		Where: []Condition{{Column: "priority", Op: OpGreater, Values: []string{"0"}}},
		Sort:  []SortKey{{Column: "priority", Descending: true}, {Column: "updated_at", Descending: true}},
	}
	for range maxResourceScan / maxRanked {
		page, err := s.QueryFindings(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, f := range page.Records {
			if _, seen := at[f.ResourceID]; seen || f.ResourceID == "" || len(out) == n {
				continue
			}
			at[f.ResourceID] = len(out)
			out = append(out, Resource{ID: f.ResourceID, Type: f.ResourceType, Account: f.Account, Region: f.Region, Priority: f.Priority, BySeverity: map[string]int64{}})
		}
		if q.Cursor = page.Next; q.Cursor == "" || len(out) == n {
			break
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	b := builder{columns: findingColumn, dialect: s.dialect}
	if err := b.scope(op, accounts); err != nil {
		return nil, err
	}
	names := make([]string, len(out))
	for i, r := range out {
		names[i] = r.ID
	}
	if err := b.conditions(append(openFindings(), Condition{Column: "resource_id", Op: OpEqual, Values: names})); err != nil {
		return nil, err
	}
	_, err := collect(ctx, s.findings.Read, s.q.ResourceTotals+b.sql()+" GROUP BY f.resource_id, f.severity", b.args, func(r scanner) (struct{}, error) {
		var id, severity string
		var count, overdue int64
		err := r.Scan(&id, &severity, &count, &overdue)
		if i, ok := at[id]; ok {
			out[i].Open, out[i].Overdue = out[i].Open+count, out[i].Overdue+overdue
			out[i].BySeverity[severity] += count
		}
		return struct{}{}, err
	})
	slices.SortStableFunc(out, func(a, b Resource) int {
		if a.Priority != b.Priority {
			return b.Priority - a.Priority
		}
		if a.Open != b.Open {
			return int(b.Open - a.Open)
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out, s.fail(op, err)
}

// openFindings selects what somebody has to deal with.
func openFindings() []Condition {
	return []Condition{
		{Column: "record_state", Op: OpEqual, Values: []string{string(finding.Active)}},
		{Column: "workflow", Op: OpEqual, Values: []string{string(finding.New), string(finding.Notified)}},
	}
}
