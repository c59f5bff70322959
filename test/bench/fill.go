package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	"golang.org/x/sync/errgroup"

	"github.com/parry-security/parry/internal/finding"
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

// full gives a store of many findings: a kept one, else a new one.
func (b *bench) full(ctx context.Context, kind string) (*place, int, error) {
	keep, url := b.keep, ""
	if kind != "sqlite" {
		keep, url = "", b.base
	}
	p, err := b.openIn(ctx, kind, keep, url)
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

// sql opens the database of findings beside the store.
func (p *place) sql(ctx context.Context) (*sql.DB, error) {
	driver, source := "sqlite", "file:"+filepath.Join(p.dir, "findings.db")+"?_pragma=synchronous(OFF)&_pragma=busy_timeout(10000)&_pragma=cache_size(-200000)"
	if p.url != "" {
		driver, source = "pgx", p.url
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if p.url != "" {
		_, err = db.ExecContext(ctx, "SET search_path TO parry_findings; SET synchronous_commit TO off")
	}
	return db, err
}

// size gives the bytes on disk of findings with all that belongs to them.
func (p *place) size(ctx context.Context) (int64, error) {
	db, err := p.sql(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // it only read
	query := "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	if p.url != "" {
		query = "SELECT SUM(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relnamespace = 'parry_findings'::regnamespace AND relkind = 'r'"
	}
	var n int64
	err = db.QueryRowContext(ctx, query).Scan(&n)
	return n, err
}

// fill writes some findings the ordinary way and lets SQL copy them to the size
// that was asked for, each copy as another account's. The counters are then
// made anew from the rows.
func (b *bench) fill(ctx context.Context, p *place) (int, error) {
	began := time.Now()
	if _, _, err := drain(ctx, p.store, inboxItems(7, seeds, 1)); err != nil {
		return 0, err
	}
	db, err := p.sql(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = db.Close() }() // what it wrote is committed
	if _, err := db.ExecContext(ctx, "DELETE FROM outbox"); err != nil {
		return 0, err
	}
	var indexes []string
	if p.url == "" {
		if indexes, err = dropIndexes(ctx, db, "finding"); err != nil {
			return 0, err
		}
	}
	n := seeds
	for n < b.rows && time.Since(began) < fillLimit/2 {
		copies := min(20, (b.rows-n)/seeds)
		if copies < 1 {
			break
		}
		if err := p.duplicate(ctx, db, n/seeds, copies); err != nil {
			return n, err
		}
		n += copies * seeds
	}
	b.say("%d findings after %.0f s", n, time.Since(began).Seconds())
	statements := append(indexes, "DELETE FROM finding_count",
		`INSERT INTO finding_count (account, region, control, severity, workflow, record_state, n)
		SELECT account, region, control, severity, workflow, record_state, COUNT(*) FROM finding GROUP BY 1, 2, 3, 4, 5, 6`,
		"DELETE FROM finding_count_kind", `INSERT INTO finding_count_kind (region, control, severity, workflow, record_state, n)
		SELECT region, control, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY 1, 2, 3, 4, 5`,
		"DELETE FROM finding_count_account", `INSERT INTO finding_count_account (account, severity, workflow, record_state, n)
		SELECT account, severity, workflow, record_state, SUM(n) FROM finding_count GROUP BY 1, 2, 3, 4`,
		// The first account had all findings before they were copied.
		fmt.Sprintf(`INSERT INTO finding_count_control_account (account, control, standards, state, n)
		WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d)
		SELECT CAST(300000000000 + c.n AS TEXT), f.control, f.standards, f.state, f.n FROM c, finding_count_control_account f`, n/seeds-1),
		fmt.Sprintf("UPDATE finding_count_control SET n = n * %d", n/seeds))
	if p.url == "" {
		statements = append(statements, "PRAGMA wal_checkpoint(TRUNCATE)")
	} else {
		statements = append(statements, "SELECT setval('finding_rid', (SELECT MAX(rid) FROM finding))", "ANALYZE", "CHECKPOINT")
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return n, fmt.Errorf("%.60s: %w", statement, err)
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
func (p *place) duplicate(ctx context.Context, db *sql.DB, first, copies int) error {
	const earlier = " - (c.n * 2654435761 + f.rid * 40503) % 2592000 * 1000000"
	series := fmt.Sprintf("WITH RECURSIVE c (n) AS (SELECT %d UNION ALL SELECT n + 1 FROM c WHERE n < %d) ", first, first+copies-1)
	for _, table := range []string{"finding", "finding_doc", "finding_text", "finding_event", "finding_identity"} {
		columns, err := p.columnsOf(ctx, db, table)
		if err != nil {
			return err
		}
		values := make([]string, len(columns))
		for i, c := range columns {
			switch {
			case c == "rid":
				values[i] = fmt.Sprintf("f.rid + c.n * %d", seeds)
			case c == "account":
				values[i] = "CAST(300000000000 + c.n AS TEXT)"
			case c == "id" || c == "resource_id":
				values[i] = "f." + c + " || '-' || c.n"
			case c == "text":
				values[i] = "f.text || ' copy-' || c.n || '-'"
			case c == "key":
				// A key is a digest; another beginning makes another of the same length.
				values[i] = "CAST(1000000000 + c.n * 2654435761 % 4294967296 AS TEXT) || substr(f.key, 11)"
			case c == "created_at" || c == "updated_at":
				// Spread over a month, so that neighbours in time are of any kind.
				values[i] = "f." + c + earlier
			case c == "due_at": // 0 is none
				values[i] = "CASE WHEN f.due_at = 0 THEN 0 ELSE f.due_at" + earlier + " END"
			default:
				values[i] = "f." + c
			}
		}
		// In the order of arrival, as triage writes them.
		statement := "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") " + series + "SELECT " + strings.Join(values, ", ") +
			fmt.Sprintf(" FROM c, %s f WHERE f.rid <= %d ORDER BY c.n, f.rid", table, seeds)
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.60s: %w", statement, err)
		}
	}
	return nil
}

// columnsOf gives the columns that a copy has to name: not those that count by themselves.
func (p *place) columnsOf(ctx context.Context, db *sql.DB, table string) ([]string, error) {
	query := "SELECT name FROM pragma_table_info($1) WHERE name <> 'seq'"
	if p.url != "" {
		query = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'parry_findings' AND table_name = $1 AND column_name <> 'seq'"
	}
	rows, err := db.QueryContext(ctx, query, table)
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

// narrow measures what the table of columns with its indexes and counters takes alone, by
// as many commits at once as triage has under way. The documents that there are stand
// aside: rows without any would go into what is free on their pages, and write those.
func narrow(ctx context.Context, p *place, seed int) (rate float64, err error) {
	const n, batch, writers = 40_000, 1000, 4
	db, err := p.sql(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "ALTER TABLE finding_doc RENAME TO finding_doc_aside; CREATE TABLE finding_doc (LIKE finding_doc_aside INCLUDING ALL)"); err != nil {
		return 0, err
	}
	defer func() {
		_, back := db.ExecContext(ctx, "INSERT INTO finding_doc_aside SELECT * FROM finding_doc; DROP TABLE finding_doc; ALTER TABLE finding_doc_aside RENAME TO finding_doc")
		err = errors.Join(err, back)
	}()
	items := inboxItems(uint64(seed), n, 500)
	writes := make([]store.FindingWrite, n)
	for i, it := range items {
		f, err := finding.Parse(it.Finding)
		if err != nil {
			return 0, err
		}
		w := store.FindingWrite{Search: &store.Search{}}
		w.Record.Describe(finding.Create(f))
		w.Record.Source, w.Record.Doc = it.Source, json.RawMessage("{}")
		writes[i] = w
	}
	var g errgroup.Group
	g.SetLimit(writers)
	began := time.Now()
	for at := 0; at < n; at += batch {
		g.Go(func() error { return p.store.CommitFindings(ctx, writes[at:at+batch], nil, store.Effects{}) })
	}
	err = g.Wait()
	return n / time.Since(began).Seconds(), err
}
