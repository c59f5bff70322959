package migrations_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/store/migrations"
	"github.com/parry-security/parry/internal/store/storetest"
)

// Findings of a PostgreSQL database that had them in 16 parts are all there afterwards,
// and found by the same tables.
func TestPartsOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("pgx", storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	upTo(t, "postgres", db, 20)
	for _, statement := range []string{
		`INSERT INTO finding (rid, account, product_arn, id, rev, region, control, generator, product, severity, severity_normalized, workflow, record_state,
			compliance, resource_id, resource_type, title, source, trusted, touched, created_at, updated_at, stored_at, resources, evidence, priority, due_at,
			overdue, threat, exception, exempt_at, types)
		SELECT n, (111111111110 + n)::text, 'product', 'id-' || n, n + 10, 'region', 'control', 'generator', 'name', 'HIGH', n + 20, 'NEW', 'ACTIVE',
			'FAILED', 'resource-' || n, 'type', 'title', 'source', 1, '', n + 30, n + 40, n + 50, n + 60, 'evidence', n + 70, n + 80, 0, 0, '', 0, 'types'
		FROM generate_series(1, 100) n`,
		`INSERT INTO finding_doc (account, rid, docs) SELECT account, rid, ('doc ' || rid)::bytea FROM finding`,
		`INSERT INTO finding_identity (key, account, rid) SELECT 'key ' || rid, account, rid FROM finding`,
		`INSERT INTO finding_text (rid, text) SELECT rid, 'text ' || rid % 2 FROM finding`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%.60s: %v", statement, err)
		}
	}
	// Every column of every row, in one text.
	rows := func(table string) string {
		return strings.Join(column(t.Context(), t, db, "SELECT (to_jsonb(f))::text FROM "+table+" f ORDER BY rid"), "\n")
	}
	want := map[string]string{}
	for _, table := range []string{"finding", "finding_doc", "finding_identity", "finding_text"} {
		want[table] = rows(table)
	}
	if err := migrations.Apply(t.Context(), "postgres", "findings", db); err != nil {
		t.Fatal(err)
	}
	for table := range want {
		if diff := cmp.Diff(want[table], rows(table)); diff != "" {
			t.Errorf("%s: %s", table, diff)
		}
	}
	if diff := cmp.Diff([]string{"text 0", "text 1"}, column(t.Context(), t, db, "SELECT text FROM finding_words ORDER BY text")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0"}, column(t.Context(), t, db, "SELECT COUNT(*)::text FROM pg_inherits WHERE inhparent = 'finding'::regclass")); diff != "" {
		t.Error(diff)
	}
}
