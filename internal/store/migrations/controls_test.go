package migrations_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"github.com/parry-security/parry/internal/store/migrations"
	"github.com/parry-security/parry/internal/store/storetest"
)

// Findings that were stored before controls were counted are counted by their
// columns.
func TestControlsOfAnOlderDatabase(t *testing.T) {
	t.Parallel()
	for dialect, open := range map[string]func(t *testing.T) (*sql.DB, error){
		"sqlite": func(t *testing.T) (*sql.DB, error) {
			t.Helper()
			return sql.Open("sqlite", filepath.Join(t.TempDir(), "f.db"))
		},
		"postgres": func(t *testing.T) (*sql.DB, error) { t.Helper(); return sql.Open("pgx", storetest.Postgres(t)) },
	} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			db, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			upTo(t, dialect, db, 2)
			hub := "arn:aws:securityhub:eu-west-1::product/aws/securityhub"
			for i, f := range [][]any{
				{"111111111111", hub, "S3.8", "security-control/S3.8", "FAILED", "NEW", "ACTIVE"},
				{"111111111111", hub, "S3.8", "security-control/S3.8", "FAILED", "NOTIFIED", "ACTIVE"},
				{"222222222222", hub, "S3.8", "security-control/S3.8", "FAILED", "SUPPRESSED", "ACTIVE"},
				{"222222222222", hub, "CloudTrail.2", "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.7", "PASSED", "RESOLVED", "ACTIVE"},
				{"222222222222", hub, "S3.1", "pci-dss/v/3.2.1/PCI.S3.6", "FAILED", "NEW", "ARCHIVED"},
				{"222222222222", hub, "S3|1,x", "x", "FAILED", "NEW", "ACTIVE"},
				{"222222222222", "arn:aws:securityhub:eu-west-1:222222222222:product/222222222222/default", "S3.1", "x", "FAILED", "NEW", "ACTIVE"},
			} {
				if _, err := db.ExecContext(t.Context(), `INSERT INTO finding (rid, account, product_arn, id, rev, region, control, generator, product, severity,
    severity_normalized, workflow, record_state, compliance, resource_id, resource_type, title, source, trusted, touched, created_at, updated_at, stored_at)
    VALUES ($1, $2, $3, 'id', 1, 'eu-west-1', $4, $5, 'Security Hub', 'HIGH', 70, $7, $8, $6, '', '', '', '', 0, '', 0, 0, 0)`, append([]any{i + 1}, f...)...); err != nil {
					t.Fatal(err)
				}
			}
			if err := migrations.Apply(t.Context(), dialect, "findings", db); err != nil {
				t.Fatal(err)
			}
			want := []string{"111111111111 S3.8  FAILED 2", "222222222222 CloudTrail.2 cis-1.2 PASSED 1", "222222222222 S3.8  SUPPRESSED 1"}
			if diff := cmp.Diff(want, column(t.Context(), t, db, "SELECT account || ' ' || control || ' ' || standards || ' ' || state || ' ' || n FROM finding_count_control_account ORDER BY 1")); diff != "" {
				t.Error(diff)
			}
			want = []string{"CloudTrail.2 cis-1.2 PASSED 1", "S3.8  FAILED 2", "S3.8  SUPPRESSED 1"}
			if diff := cmp.Diff(want, column(t.Context(), t, db, "SELECT control || ' ' || standards || ' ' || state || ' ' || n FROM finding_count_control ORDER BY 1")); diff != "" {
				t.Error(diff)
			}
			want = []string{"", "", "", "FAILED|S3.8|", "FAILED|S3.8|", "PASSED|CloudTrail.2|cis-1.2", "SUPPRESSED|S3.8|"}
			if diff := cmp.Diff(want, column(t.Context(), t, db, "SELECT evidence FROM finding ORDER BY 1")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// upTo brings db to the schema that an older program left.
func upTo(t *testing.T, dialect string, db *sql.DB, version int64) {
	t.Helper()
	name := goose.DialectSQLite3
	if dialect == "postgres" {
		name = goose.DialectPostgres
	}
	p, err := goose.NewProvider(name, db, os.DirFS(dialect+"/findings"), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithTableName("schema_version"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
}

func column(ctx context.Context, t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
