package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/org"
)

// maxSightings bounds what one call writes.
const maxSightings = 50_000

// Members gives every account that AWS Organizations showed, by id.
func (s *Store) Members(ctx context.Context) ([]org.Member, error) {
	all, err := collect(ctx, s.findings.Read, s.q.MemberList, nil, scanMember)
	return all, s.fail("list accounts of the organization", err)
}

// MembersRevision is another one after every change of them.
func (s *Store) MembersRevision(ctx context.Context) (string, error) {
	rev, err := one(ctx, s.findings.Read, s.q.MemberRevision, nil, func(r scanner) (string, error) {
		var n, sum int64
		err := r.Scan(&n, &sum)
		return fmt.Sprintf("%d/%d", n, sum), err
	})
	return rev, s.fail("read revision of the organization", err)
}

// Member gives one.
func (s *Store) Member(ctx context.Context, id string) (org.Member, error) {
	m, err := one(ctx, s.findings.Read, s.q.MemberRead, []any{text(id, maxID)}, scanMember)
	return m, s.fail("read account of the organization", err)
}

func scanMember(r scanner) (org.Member, error) {
	var m org.Member
	var units, tags string
	var joined, first, last, tagged int64
	if err := r.Scan(&m.ID, &m.Name, &m.Unit, &units, &m.State, &tags, &joined, &first, &last, &tagged, &m.Rev); err != nil {
		return m, err
	}
	m.Joined, m.FirstSeen, m.LastSeen, m.TagsAt = fromMicros(joined), fromMicros(first), fromMicros(last), fromMicros(tagged)
	if err := json.Unmarshal([]byte(units), &m.UnitIDs); err != nil {
		return m, err
	}
	return m, json.Unmarshal([]byte(tags), &m.Tags)
}

// FollowOrganization stores what changed with its history, and sends eff, in one
// transaction. Every member must be the version after the one that is stored, else
// ErrConflict: somebody else has read the organization meanwhile.
func (s *Store) FollowOrganization(ctx context.Context, u org.Update, eff Effects) error {
	const op = "follow organization"
	rows, err := memberRows(op, u.Members)
	if err != nil {
		return err
	}
	changes := make([][]any, 0, len(u.Changes))
	for _, c := range u.Changes {
		changes = append(changes, []any{text(c.Account, maxID), micros(c.At), text(string(c.Kind), narrowColumn), text(c.Before, wideColumn), text(c.After, wideColumn)})
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		n, err := t.bulk(ctx, s.q.MemberPut, rows)
		if err != nil {
			return err
		}
		if n != int64(len(rows)) {
			return conflict("%d of %d accounts were written meanwhile", int64(len(rows))-n, len(rows))
		}
		if _, err := t.bulk(ctx, s.q.OrgChangePut, changes); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

func memberRows(op string, members []org.Member) ([][]any, error) {
	rows := make([][]any, 0, len(members))
	for _, m := range members {
		if err := checkID(op, "account", m.ID); err != nil {
			return nil, err
		}
		units, err := list(m.UnitIDs)
		if err != nil {
			return nil, err
		}
		tags := m.Tags
		if tags == nil {
			tags = map[string]string{}
		}
		raw, err := json.Marshal(tags)
		if err != nil {
			return nil, err
		}
		rows = append(rows, []any{
			m.ID, text(m.Name, narrowColumn), text(m.Unit, wideColumn), text(units, 1<<12), text(string(m.State), narrowColumn), text(string(raw), 1<<16),
			micros(m.Joined), micros(m.FirstSeen), micros(m.LastSeen), micros(m.TagsAt), m.Rev,
		})
	}
	return rows, nil
}

// OrganizationChanges gives a page of what happened to an account, the latest first.
func (s *Store) OrganizationChanges(ctx context.Context, account string, limit int, cursor string) ([]org.Change, string, error) {
	b := builder{columns: findingColumn}
	b.and("f.account = %s", b.arg(text(account, maxID)))
	by := order{{"f.at", timeColumn, true}, {"f.kind", textColumn, true}}
	out, next, err := keyPage(ctx, s.findings.Read, s.q.OrgChangePage, &b, by, limit, cursor, func(r scanner) (org.Change, error) {
		var c org.Change
		var at int64
		err := r.Scan(&c.Account, &at, &c.Kind, &c.Before, &c.After)
		c.At = fromMicros(at)
		return c, err
	}, func(c org.Change) []any { return []any{micros(c.At), string(c.Kind)} })
	return out, next, s.fail("list changes of account", err)
}

// CoverageFilter selects coverage. Accounts is the scope, never nil.
type CoverageFilter struct {
	Accounts       []string
	Account, State string // "" = all
	Region         string
}

// ListCoverage gives a page of coverage by account and region, what was never covered
// and what is lost first.
func (s *Store) ListCoverage(ctx context.Context, f CoverageFilter, limit int, cursor string) ([]org.Coverage, string, error) {
	const op = "list coverage"
	b := builder{columns: findingColumn}
	if err := b.scope(op, f.Accounts); err != nil {
		return nil, "", err
	}
	for column, v := range map[string]string{"f.account": f.Account, "f.state": f.State, "f.region": f.Region} {
		if v != "" {
			b.and(column+" = %s", b.arg(text(v, maxID)))
		}
	}
	// The names of the states are in that order by chance; a region that is off is nobody's
	// work, and comes last.
	by := order{{"CASE f.state WHEN 'off' THEN '' ELSE f.state END", textColumn, true}, {"f.account", textColumn, false}, {"f.region", textColumn, false}}
	out, next, err := keyPage(ctx, s.findings.Read, s.q.CoveragePage, &b, by, limit, cursor, scanCoverage, func(c org.Coverage) []any {
		state := string(c.State)
		if c.State == org.Off {
			state = ""
		}
		return []any{state, c.Account, c.Region}
	})
	return out, next, s.fail(op, err)
}

// Coverage gives all of it.
func (s *Store) Coverage(ctx context.Context) ([]org.Coverage, error) {
	out, err := collect(ctx, s.findings.Read, s.q.CoveragePage, nil, scanCoverage)
	return out, s.fail("read coverage", err)
}

// CoverageOf gives that of accounts.
func (s *Store) CoverageOf(ctx context.Context, accounts []string) ([]org.Coverage, error) {
	const op = "read coverage of accounts"
	if len(accounts) == 0 {
		return nil, nil
	}
	b := builder{columns: findingColumn}
	if err := b.scope(op, accounts); err != nil {
		return nil, err
	}
	out, err := collect(ctx, s.findings.Read, s.q.CoveragePage+b.sql(), b.args, scanCoverage)
	return out, s.fail(op, err)
}

// CoverageCounts counts regions of accounts within a scope by their state, those of
// accounts that are suspended, closed or gone apart, under "idle".
func (s *Store) CoverageCounts(ctx context.Context, accounts []string) (map[string]int64, error) {
	const op = "count coverage"
	b := builder{columns: findingColumn}
	if err := b.scope(op, accounts); err != nil {
		return nil, err
	}
	out := map[string]int64{}
	_, err := collect(ctx, s.findings.Read, s.q.CoverageCount+b.sql()+" GROUP BY f.state, f.reason", b.args, func(r scanner) (struct{}, error) {
		var state, reason string
		var n int64
		err := r.Scan(&state, &reason, &n)
		if reason == string(org.ReachState) {
			state = "idle"
		}
		out[state] += n
		return struct{}{}, err
	})
	return out, s.fail(op, err)
}

func scanCoverage(r scanner) (org.Coverage, error) {
	var c org.Coverage
	var since, checked int64
	err := r.Scan(&c.Account, &c.Region, &c.State, &since, &c.Reason, &c.Detail, &c.Next, &checked)
	c.Since, c.CheckedAt = fromMicros(since), fromMicros(checked)
	return c, err
}

// PutCoverage stores coverage, and sends eff.
func (s *Store) PutCoverage(ctx context.Context, all []org.Coverage, eff Effects) error {
	const op = "store coverage"
	rows := make([][]any, 0, len(all))
	for _, c := range all {
		if err := checkID(op, "account", c.Account); err != nil {
			return err
		}
		rows = append(rows, []any{
			c.Account, text(c.Region, narrowColumn), text(string(c.State), narrowColumn), micros(c.Since), text(string(c.Reason), narrowColumn),
			text(c.Detail, maxReason), text(c.Next, maxReason), micros(c.CheckedAt),
		})
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		if _, err := t.bulk(ctx, s.q.CoveragePut, rows); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// DropCoverage forgets regions of accounts.
func (s *Store) DropCoverage(ctx context.Context, all []org.Coverage) error {
	rows := make([][]any, 0, len(all))
	for _, c := range all {
		rows = append(rows, []any{c.Account, c.Region})
	}
	if len(rows) == 0 {
		return nil
	}
	return s.write(ctx, Findings, "forget coverage", func(t *tx) error {
		_, err := t.bulk(ctx, s.q.CoverageDrop, rows)
		return err
	})
}

// PutSightings stores when sources last brought something; an earlier time changes
// nothing.
func (s *Store) PutSightings(ctx context.Context, all []org.Sighting) error {
	const op = "store sightings"
	if len(all) > maxSightings {
		return invalid(op, "%d sightings, the limit is %d", len(all), maxSightings)
	}
	rows := make([][]any, 0, len(all))
	for _, x := range all {
		rows = append(rows, []any{text(x.Account, maxID), text(x.Region, narrowColumn), text(x.Source, maxID), micros(x.At)})
	}
	if len(rows) == 0 {
		return nil
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		_, err := t.bulk(ctx, s.q.SightingPut, rows)
		return err
	})
}

// Sightings gives those of account, or of all accounts where it is "".
func (s *Store) Sightings(ctx context.Context, account string) ([]org.Sighting, error) {
	out, err := collect(ctx, s.findings.Read, s.q.SightingList, []any{text(account, maxID)}, func(r scanner) (org.Sighting, error) {
		var x org.Sighting
		var at int64
		err := r.Scan(&x.Account, &x.Region, &x.Source, &at)
		x.At = fromMicros(at)
		return x, err
	})
	return out, s.fail("list sightings", err)
}

// pruneOrganization removes what happened before, accounts that left before, and what
// sources brought before.
func (s *Store) pruneOrganization(ctx context.Context, before time.Time) (total int64, err error) {
	if before.IsZero() {
		return 0, nil
	}
	for _, query := range []string{s.q.OrgChangePrune, s.q.MemberPrune, s.q.SightingPrune} {
		n, err := s.pruneRows(ctx, Findings, query, micros(before), int64(pruneChunk))
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}
