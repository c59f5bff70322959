package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/store"
)

const (
	// fillLimit bounds how long filling the store may take; what is there then
	// has to do, and the conditions say how many rows that are.
	fillLimit = 8 * time.Minute
	// seeds is how many findings are written the ordinary way before SQL copies
	// them: each copy is one more account.
	seeds = 2000
)

// atSize measures indexing, pages and counts in a store of many findings.
func atSize() measurement {
	return measurement{
		rows: []Row{
			atLeast("indexed/sqlite/full", "findings indexed by triage, full store, SQLite", 5000, "findings/s"),
			atMost("page/p50", "filtered page of 50, p50", 15, "ms"),
			atMost("page/p99", "filtered page of 50, p99", 15, "ms"),
			atMost("page/api/p99", "the same through GetFindings, p99", 15, "ms"),
			atMost("bytes", "bytes per finding on disk, with history, counters and indexes", 3500, "bytes"),
			atMost("words/p99", "page of findings whose title or description contains a rare word, p99", 1500, "ms"),
			atMost("counts/p99", "dashboard counts, p99", 20, "ms"),
		},
		limit: fillLimit + 2*time.Minute,
		run:   measureSize,
	}
}

func measureSize(ctx context.Context, b *bench, rows map[string]*Row) error {
	p, n, err := b.full(ctx)
	if err != nil {
		return err
	}
	defer func() { p.close() }()
	at := fmt.Sprintf("SQLite, %s findings of %s accounts", number(float64(n)), number(float64(n/seeds)))
	if rows["page/p50"] != nil || rows["page/p99"] != nil {
		for range 3 {
			took, err := pages(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			rows["page/p50"].set(quantile(took, 0.5), "%d pages with documents, 8 kinds of filter, first and second page; %s", len(took), at)
			rows["page/p99"].set(quantile(took, 0.99), "%d pages with documents, 8 kinds of filter, first and second page; %s", len(took), at)
		}
	}
	if r := rows["bytes"]; r != nil {
		mb, err := fileSize(filepath.Join(p.dir, "findings.db"))
		if err != nil {
			return err
		}
		r.set(mb*(1<<20)/float64(n), "findings.db, one entry of history each, documents of 4 KB; %s", at)
	}
	if r := rows["words/p99"]; r != nil {
		for range 3 {
			took, err := words(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			r.set(quantile(took, 0.99), "%d searches, p50 %.0f ms, the texts of all findings are read; %s", len(took), quantile(took, 0.5), at)
		}
	}
	if rows["counts/p99"] != nil {
		for range 3 {
			took, err := counts(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			rows["counts/p99"].set(quantile(took, 0.99), "%d counts, 5 kinds, p50 %.1f ms; %s", len(took), quantile(took, 0.5), at)
		}
	}
	if r := rows["indexed/sqlite/full"]; r != nil {
		for seed := range uint64(3) {
			rate, used, err := drain(ctx, p.store, inboxItems(200+seed, 8000, 500))
			if err != nil {
				return err
			}
			r.set(rate, "triage.Drain of 8,000 new findings; %s; %s", used, at)
		}
	}
	if r := rows["page/api/p99"]; r != nil {
		p.close()
		for range 2 {
			took, err := b.pagesByAPI(ctx, p.dir, n/seeds)
			if err != nil {
				return err
			}
			r.set(quantile(took, 0.99), "%d signed calls one after the other, p50 %.1f ms, 6 kinds of filter, first and second page; %s", len(took), quantile(took, 0.5), at)
		}
	}
	return nil
}

// pagesByAPI asks a server over the store in dir for pages, as boto3 does.
func (b *bench) pagesByAPI(ctx context.Context, dir string, accounts int) ([]time.Duration, error) {
	home, err := b.temp("api")
	if err != nil {
		return nil, err
	}
	cfg := organization([]string{account(0)}, "people")
	cfg["data_dir"], cfg["bus_rules"] = dir, []any{}
	n, err := b.node(ctx, home, cfg, nil)
	if err != nil {
		return nil, err
	}
	defer n.stop()
	if err := errors.Join(n.keys(ctx), n.start(ctx)); err != nil {
		return nil, err
	}
	is := func(values ...string) []map[string]string {
		var out []map[string]string
		for _, v := range values {
			out = append(out, map[string]string{"Value": v, "Comparison": "EQUALS"})
		}
		return out
	}
	type filters map[string]any
	var took []time.Duration
	for i := range 40 {
		owner, control, region := is(account(i*7%max(accounts, 1))), is(fmt.Sprintf("S3.%d", i*13%controls)), is(regions()[i%4])
		for _, f := range []filters{
			{"RecordState": is("ACTIVE"), "WorkflowStatus": is("NEW", "NOTIFIED")},
			{"AwsAccountId": owner},
			{"SeverityLabel": is("CRITICAL", "HIGH"), "WorkflowStatus": is("NEW"), "RecordState": is("ACTIVE")},
			{"ComplianceSecurityControlId": control, "Region": region},
			{"AwsAccountId": owner, "SeverityLabel": is("HIGH"), "WorkflowStatus": is("NEW")},
			{"Region": region, "ComplianceStatus": is("FAILED")},
		} {
			in := map[string]any{"Filters": f, "MaxResults": 50, "SortCriteria": []any{map[string]any{"Field": "UpdatedAt", "SortOrder": "desc"}}}
			for range 2 {
				began := time.Now()
				next, err := n.findings(ctx, in)
				if err != nil {
					return nil, err
				}
				took = append(took, time.Since(began))
				if in["NextToken"] = next; next == "" {
					break
				}
			}
		}
	}
	return took, nil
}

// findings asks for a page of findings and gives the token of the next.
func (n *node) findings(ctx context.Context, in map[string]any) (string, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	raw, err := n.signed(ctx, "securityhub", "/findings", n.person, http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		return "", fmt.Errorf("get findings: %w", err)
	}
	page, err := decode[struct {
		Findings  []json.RawMessage
		NextToken string
	}](raw)
	if err == nil && len(page.Findings) == 0 {
		err = fmt.Errorf("get findings: none for %s", body)
	}
	return page.NextToken, err
}

// full gives a store of many findings: a kept one, else a new one.
func (b *bench) full(ctx context.Context) (*place, int, error) {
	p, err := b.openIn(ctx, "sqlite", b.keep)
	if err != nil {
		return nil, 0, err
	}
	counts, err := p.store.CountFindings(ctx, store.CountQuery{Accounts: store.AllAccounts()})
	n := 0
	if err == nil {
		n = int(counts[0].N)
	}
	if err == nil && n == 0 {
		n, err = b.fill(ctx, p)
	}
	if err != nil {
		p.close()
		return nil, 0, fmt.Errorf("fill the store: %w", err)
	}
	return p, n, nil
}

// fill writes some findings the ordinary way and lets SQL copy them to the size
// that was asked for, each copy as another account's. The counters are then
// made anew from the rows.
func (b *bench) fill(ctx context.Context, p *place) (int, error) {
	began := time.Now()
	if _, _, err := drain(ctx, p.store, inboxItems(7, seeds, 500)); err != nil {
		return 0, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, "findings.db")+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_pragma=cache_size(-200000)")
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // what it wrote is committed
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "DELETE FROM outbox; UPDATE finding SET account = '"+account(0)+"'"); err != nil {
		return 0, err
	}
	indexes, err := dropIndexes(ctx, db, "finding")
	if err != nil {
		return 0, err
	}
	n := seeds
	for n < b.rows && time.Since(began) < fillLimit/2 {
		copies := min(20, (b.rows-n)/seeds)
		if copies < 1 {
			break
		}
		if err := duplicate(ctx, db, n/seeds, copies); err != nil {
			return n, err
		}
		n += copies * seeds
	}
	b.say("%d findings after %.0f s", n, time.Since(began).Seconds())
	indexes = append(indexes, "DELETE FROM finding_count",
		`INSERT INTO finding_count (account, region, control, severity, workflow, record_state, n)
		SELECT account, region, control, severity, workflow, record_state, COUNT(*) FROM finding GROUP BY 1, 2, 3, 4, 5, 6`,
		"DELETE FROM finding_count_kind", `INSERT INTO finding_count_kind (region, control, severity, workflow, record_state, n)
		SELECT region, control, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY 1, 2, 3, 4, 5`,
		"DELETE FROM finding_count_account", `INSERT INTO finding_count_account (account, severity, workflow, record_state, n)
		SELECT account, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY 1, 2, 3, 4`, "PRAGMA wal_checkpoint(TRUNCATE)")
	for _, statement := range indexes {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return n, fmt.Errorf("%.40s: %w", statement, err)
		}
	}
	b.say("filled after %.0f s", time.Since(began).Seconds())
	return n, nil
}

// dropIndexes drops a table's indexes and gives the statements that make them:
// an index of a million rows is sorted faster than it is grown.
func dropIndexes(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = $1 AND sql IS NOT NULL", table)
	if err != nil {
		return nil, err
	}
	var names, statements []string
	for rows.Next() {
		var name, statement string
		if err := rows.Scan(&name, &statement); err != nil {
			return nil, err
		}
		names, statements = append(names, name), append(statements, statement)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := db.ExecContext(ctx, "DROP INDEX "+name); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// duplicate copies the first findings so many times, as those of the accounts
// from the first on.
func duplicate(ctx context.Context, db *sql.DB, first, copies int) error {
	columns, err := columnsOf(ctx, db, "finding")
	if err != nil {
		return err
	}
	values := make([]string, len(columns))
	for i, c := range columns {
		switch c {
		case "rid":
			values[i] = fmt.Sprintf("f.rid + c.n * %d", seeds)
		case "account":
			values[i] = "printf('%012d', 300000000000 + c.n)"
		case "id", "resource_id":
			values[i] = "f." + c + " || '-' || c.n"
		case "created_at", "updated_at":
			// Spread over a month, so that neighbours in time are of any kind.
			values[i] = "f." + c + " - (c.n * 2654435761 + f.rid * 40503) % 2592000 * 1000000"
		default:
			values[i] = "f." + c
		}
	}
	series := fmt.Sprintf("WITH RECURSIVE c (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM c WHERE n < %d) ", first, first+copies-1)
	for _, statement := range []string{
		"INSERT INTO finding (" + strings.Join(columns, ", ") + ") " + series + "SELECT " + strings.Join(values, ", ") + fmt.Sprintf(" FROM c, finding f WHERE f.rid <= %d", seeds),
		"INSERT INTO finding_doc (rid, docs) " + series + fmt.Sprintf("SELECT d.rid + c.n * %d, d.docs FROM c, finding_doc d WHERE d.rid <= %d", seeds, seeds),
		"INSERT INTO finding_text (rid, text) " + series + fmt.Sprintf("SELECT t.rid + c.n * %d, t.text || ' copy-' || c.n || '-' FROM c, finding_text t WHERE t.rid <= %d", seeds, seeds),
		"INSERT INTO finding_event (rid, at, doc) " + series + fmt.Sprintf("SELECT e.rid + c.n * %d, e.at, e.doc FROM c, finding_event e WHERE e.rid <= %d", seeds, seeds),
		"INSERT INTO finding_link (rid, account, key, rank) " + series +
			fmt.Sprintf("SELECT l.rid + c.n * %d, printf('%%012d', 300000000000 + c.n), l.key || '-' || c.n, l.rank FROM c, finding_link l WHERE l.rid <= %d", seeds, seeds),
		// A key is a digest; what stands before the old one makes another.
		"INSERT INTO finding_identity (key, account, rid) " + series +
			fmt.Sprintf("SELECT printf('%%08x', c.n * 2654435761 %% 4294967296) || i.key, printf('%%012d', 300000000000 + c.n), i.rid + c.n * %d FROM c, finding_identity i WHERE i.rid <= %d", seeds, seeds),
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.40s: %w", statement, err)
		}
	}
	return nil
}

func columnsOf(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT name FROM pragma_table_info($1)", table)
	if err != nil {
		return nil, err
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Close()
}

func equal(column string, values ...string) store.Condition {
	return store.Condition{Column: column, Op: store.OpEqual, Values: values}
}

// pages asks for first and second pages as people filter them.
func pages(ctx context.Context, s *store.Store, accounts int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 40 {
		owner, control, region := account(i*7%max(accounts, 1)), fmt.Sprintf("S3.%d", i*13%controls), regions()[i%4]
		for _, where := range [][]store.Condition{
			nil,
			{equal("account", owner)},
			{equal("severity", "CRITICAL", "HIGH"), equal("workflow", "NEW"), equal("record_state", "ACTIVE")},
			{equal("control", control), equal("region", region)},
			{equal("account", owner), equal("severity", "HIGH"), equal("workflow", "NEW")},
			{equal("workflow", "NEW"), equal("record_state", "ACTIVE"), equal("compliance", "FAILED")},
			{equal("region", region), equal("compliance", "FAILED")},
			{equal("account", owner), equal("control", control)},
		} {
			q := store.FindingQuery{Accounts: store.AllAccounts(), Where: where, Limit: 50}
			for range 2 {
				began := time.Now()
				page, err := s.QueryFindings(ctx, q)
				if err != nil {
					return nil, err
				}
				took = append(took, time.Since(began))
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
		}
	}
	return took, nil
}

// words asks for words that no finding has, and that one of the copies has.
func words(ctx context.Context, s *store.Store, copies int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 6 {
		for _, word := range []string{"no finding has this", fmt.Sprintf("COPY-%d-", 1+i*7%max(copies-1, 1))} {
			began := time.Now()
			_, err := s.QueryFindings(ctx, store.FindingQuery{
				Accounts: store.AllAccounts(), Where: []store.Condition{{Column: "text", Op: store.OpContains, Values: []string{word}}}, Limit: 50,
			})
			if err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}

// counts asks for what a dashboard shows.
func counts(ctx context.Context, s *store.Store, accounts int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 20 {
		owner := account(i * 7 % max(accounts, 1))
		for _, q := range []store.CountQuery{
			{GroupBy: []string{"severity"}},
			{GroupBy: []string{"severity", "workflow"}, Where: []store.Condition{equal("record_state", "ACTIVE")}},
			{GroupBy: []string{"account"}, Where: []store.Condition{equal("record_state", "ACTIVE"), equal("severity", "CRITICAL")}},
			{GroupBy: []string{"control"}},
			{GroupBy: []string{"control", "severity"}, Where: []store.Condition{equal("account", owner)}},
		} {
			q.Accounts = store.AllAccounts()
			began := time.Now()
			if _, err := s.CountFindings(ctx, q); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}
