package postgres_test

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string, sealer store.Sealer) *store.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Sealer: sealer, Clock: service.NewFixedClock(storetest.Start())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.Store { return storetest.PostgresStore(t) })
}

func TestBothDatabasesGiveTheSameAnswers(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			storetest.Differential(t, storetest.PostgresStore(t), storetest.SQLite(t), seed, 400)
		})
	}
}

func TestNothingSealedStandsInTheTables(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := open(t, url, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Sealed(t, s, func() string { return dump(t, url) })
}

// dump gives every row of every table as text, and what its bytes decode to.
func dump(t *testing.T, url string) string {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // only read through
	var all strings.Builder
	for _, table := range column(t, db, "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname LIKE 'parry%'") {
		for _, row := range column(t, db, "SELECT t::text FROM "+table+" t") {
			all.WriteString(row)
			for _, digits := range regexp.MustCompile(`[0-9a-f]{8,}`).FindAllString(row, -1) {
				if raw, err := hex.DecodeString(digits); err == nil {
					all.Write(raw)
				}
			}
		}
	}
	return all.String()
}

func column(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTwoNodesMayStartTogether(t *testing.T) {
	t.Parallel()
	url, sealer := storetest.Postgres(t), storetest.Sealer(t)
	var wg sync.WaitGroup
	for range 4 {
		s := open(t, url, sealer)
		wg.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Errorf("migrate: %v", err)
			}
		})
	}
	wg.Wait()
	if _, err := open(t, url, sealer).InboxDepth(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFindingsOfAnEarlierSchemaAreSearched(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := open(t, url, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	storetest.Unsearched(t, s, func(statement string) {
		if _, err := db.ExecContext(t.Context(), "SET search_path TO parry_findings; "+statement); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTwoNodesShareTheWork(t *testing.T) {
	t.Parallel()
	url, sealer := storetest.Postgres(t), storetest.Sealer(t)
	one, two := open(t, url, sealer), open(t, url, sealer)
	if err := one.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.Share(t, one, two)
}

// Findings with the same title and description share one text. A text that no finding has
// any more goes with the next pruning.
func TestEveryTextIsKeptOnce(t *testing.T) {
	t.Parallel()
	url := storetest.Postgres(t)
	s := open(t, url, storetest.Sealer(t))
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }() // only read through
	write := func(id string, rev int64, title string) {
		t.Helper()
		w := store.FindingWrite{ExpectRev: rev}
		w.Record.ID, w.Record.Account = finding.ID{ProductArn: "arn:aws:securityhub:eu-west-1::product/aws/securityhub", Id: id}, "111111111111"
		w.Record.Doc = []byte(`{"Title":"` + title + `","Description":"Of the bucket"}`)
		if err := s.CommitFindings(t.Context(), []store.FindingWrite{w}, nil, store.Effects{}); err != nil {
			t.Fatal(err)
		}
	}
	kept := func(query string, want ...string) {
		t.Helper()
		if got := column(t, db, query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	const texts, found = "SELECT text FROM parry_findings.finding_words ORDER BY text", "SELECT rid || ' ' || text FROM parry_findings.finding_text ORDER BY 1"
	write("a", 0, "Open")
	write("b", 0, "Open")
	write("c", 0, "Closed")
	kept(texts, "closed\nof the bucket", "open\nof the bucket")
	kept(found, "1 open\nof the bucket", "2 open\nof the bucket", "3 closed\nof the bucket")
	write("c", 1, "Open")
	if _, err := s.Prune(t.Context(), store.Cutoffs{}); err != nil {
		t.Fatal(err)
	}
	kept(texts, "open\nof the bucket")
	kept(found, "1 open\nof the bucket", "2 open\nof the bucket", "3 open\nof the bucket")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	sealer := storetest.Sealer(t)
	for _, url := range []string{"postgres://user:hunter2@127.0.0.1:1/none?connect_timeout=2", "postgres://user:hunter2@127.0.0.1:port/none", "::hunter2::"} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: url, Sealer: sealer})
		if err == nil || fault.HintOf(err) == "" {
			t.Errorf("%s: error %v has no hint", url, err)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://localhost/x"}); err == nil {
		t.Error("opened without a sealer")
	}
}
