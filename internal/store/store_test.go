package store_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseQueriesKeepsTheDialectsAlike(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"missing": {"-- name: InboxPeek\nSELECT 1;\n", "missing"},
		"unknown": {"-- name: Nonsense\nSELECT 1;\n", "not one of"},
		"twice":   {"-- name: InboxPeek\nSELECT 1;\n\n-- name: InboxPeek\nSELECT 1;\n", "twice"},
		"empty":   {"-- name: InboxPeek\n\n-- name: InboxDepth\nSELECT 1;\n", "empty"},
	} {
		if _, err := store.ParseQueries(tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestNewRefusesAHalfMadeStore(t *testing.T) {
	t.Parallel()
	if _, err := store.New(store.Config{}); err == nil {
		t.Error("accepted")
	}
}

// FuzzCursor gives any text as a cursor: it is refused or leads to a page, and
// never to a statement that the database does not understand.
func FuzzCursor(f *testing.F) {
	s := storetest.SQLite(f)
	f.Add("")
	f.Add("%")
	for _, text := range []string{`{"o":"f.updated_at DESC, f.rid DESC","v":[1,2]}`, `{"o":"f.updated_at DESC, f.rid DESC","v":["a",{}]}`, `{"o":"f.updated_at DESC, f.rid DESC","v":[1e99,null]}`, `{"o":"1; DROP TABLE finding","v":[]}`} {
		f.Add(base64.RawURLEncoding.EncodeToString([]byte(text)))
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		_, err := s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Cursor: cursor})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if _, _, err := s.FindingHistory(t.Context(), finding.ID{ProductArn: "p", Id: "i"}, 10, cursor); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}

// FuzzCondition gives any text as a value of every operator.
func FuzzCondition(f *testing.F) {
	s := storetest.SQLite(f)
	for _, v := range []string{"", "S3.8", "'", "\x00", "\xff", "%_*?[", "9223372036854775808", "2026-03-01T00:00:00Z"} {
		f.Add("title", "contains", v)
		f.Add("updated_at", "gt", v)
		f.Add(v, "eq", "x")
	}
	f.Fuzz(func(t *testing.T, column, op, value string) {
		_, err := s.QueryFindings(t.Context(), store.FindingQuery{
			Accounts: store.AllAccounts(), Where: []store.Condition{{Column: column, Op: store.Op(op), Values: []string{value}}},
		})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
	})
}
