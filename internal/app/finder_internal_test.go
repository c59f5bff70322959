package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/triage"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// newFinder gives a finder over a real store with the findings still in the inbox.
func newFinder(t *testing.T, docs []json.RawMessage) finder {
	t.Helper()
	dir := t.TempDir()
	keys, err := seal.Open(filepath.Join(dir, "key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Sealer: keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	clock := service.NewFixedClock(noon)
	tr, err := triage.New(triage.Config{Store: s, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	var items []store.InboxItem
	for _, doc := range docs {
		items = append(items, store.InboxItem{Source: "test", Finding: doc, ReceivedAt: noon})
	}
	if err := s.AppendInbox(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	return finder{store: s, drain: tr.Drain, clock: clock, unseen: func(context.Context) ([]string, error) { return nil, nil }}
}

// sampleFindings gives real controls' findings, some of them changed so that
// every filter of the test below has something to tell apart.
func sampleFindings(t *testing.T) []json.RawMessage {
	t.Helper()
	files, err := filepath.Glob("../finding/testdata/asff/afsbp-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	var out []json.RawMessage
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		f = f.With("AwsAccountId", []any{"111122223333", "222233334444"}[i%2])
		switch i % 5 {
		case 0:
			f = f.With("RecordState", "ARCHIVED")
		case 1:
			f = f.With("Compliance", nil).With("Region", nil)
		case 2:
			// Longer than the column that holds it; told apart by its last character.
			f = f.With("GeneratorId", longGenerator+fmt.Sprint(i%2))
		case 3:
			f = f.With("Title", "a \ufffd title").With("Severity", map[string]any{"Label": "CRITICAL"})
		}
		out = append(out, f.JSON())
	}
	return out
}

// TestFindingsOfAccountsThatAreGone are in no answer of Security Hub's API, pages,
// documents, counters and OCSF alike, whatever is asked; a key of that account included.
func TestFindingsOfAccountsThatAreGone(t *testing.T) {
	t.Parallel()
	const there, gone = "111122223333", "222233334444"
	f := newFinder(t, sampleFindings(t))
	whole := len(f.all(t, securityhub.Query{Accounts: []string{"*"}, Limit: 7}))
	left := len(f.all(t, securityhub.Query{Accounts: []string{there}, Limit: 7}))
	f.unseen = func(context.Context) ([]string, error) { return []string{gone}, nil }
	s, ok := f.store.(*store.Store)
	if !ok {
		t.Fatal("no store")
	}
	v2 := ocsfFinder{s, f.drain, f.clock, f.unseen}
	named := json.RawMessage(`{"AwsAccountId": [{"Value": "` + gone + `", "Comparison": "EQUALS"}]}`)
	for name, c := range map[string]struct {
		q    securityhub.Query
		want int
	}{
		"all":           {securityhub.Query{Accounts: []string{"*"}, Limit: 7}, left},
		"that account":  {securityhub.Query{Accounts: []string{"*"}, Filters: named, Limit: 7}, 0},
		"within it":     {securityhub.Query{Accounts: []string{gone}, Limit: 7}, 0},
		"another":       {securityhub.Query{Accounts: []string{there}, Limit: 7}, left},
		"by a document": {securityhub.Query{Accounts: []string{"*"}, Filters: json.RawMessage(`{"Description": [{"Value": "no such", "Comparison": "NOT_EQUALS"}]}`), Limit: 7}, left},
	} {
		if n := len(f.all(t, c.q)); n != c.want || whole <= left || left == 0 {
			t.Errorf("%s: %d of %d, want %d", name, n, whole, c.want)
		}
	}
	page, err := v2.QueryFindingsV2(t.Context(), securityhub.Query{Accounts: []string{"*"}, Limit: 100})
	if err != nil || len(page.Findings) == 0 {
		t.Fatal(len(page.Findings), err)
	}
	for _, field := range []string{"cloud.account.uid", "finding_info.title"} { // from the counters, and from documents
		groups, err := v2.CountFindingsV2(t.Context(), securityhub.CountV2{Accounts: []string{"*"}, Field: field})
		sum := 0
		for _, g := range groups {
			sum += g.Count
			if g.FieldValue == gone {
				t.Errorf("%s counts it: %+v", field, g)
			}
		}
		if err != nil || sum != len(page.Findings) {
			t.Errorf("%s: %d counted, %d listed, %v", field, sum, len(page.Findings), err)
		}
	}
	for _, doc := range page.Findings {
		if strings.Contains(string(doc), `"`+gone+`"`) {
			t.Errorf("listed: %.200s", doc)
		}
	}
	broken := fault.Errorf(fault.Unavailable, "", "away")
	f.unseen = func(context.Context) ([]string, error) { return nil, broken }
	v2.unseen = f.unseen
	if _, err := f.QueryFindings(t.Context(), securityhub.Query{Accounts: []string{"*"}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("while it is not known what to leave out: %v", err)
	}
	if _, err := v2.QueryFindingsV2(t.Context(), securityhub.Query{Accounts: []string{"*"}}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("in OCSF: %v", err)
	}
}

var longGenerator = strings.Repeat("ж", 511)

// all reads every page and gives the ids.
func (f finder) all(t *testing.T, q securityhub.Query) []string {
	t.Helper()
	var ids []string
	for {
		page, err := f.QueryFindings(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Findings {
			doc, err := finding.Reopen(raw)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, doc.ID().Id)
		}
		if page.Next == "" {
			return ids
		}
		q.Token = page.Next
	}
}

// TestFiltersMeanTheSameInTheStore: what is asked of columns gives the findings
// that the filter itself matches among all documents.
func TestFiltersMeanTheSameInTheStore(t *testing.T) {
	t.Parallel()
	f := newFinder(t, sampleFindings(t))
	everything := securityhub.Query{Accounts: store.AllAccounts(), Limit: 100}
	page, err := f.QueryFindings(t.Context(), everything)
	if err != nil || len(page.Findings) < 20 || page.Next != "" {
		t.Fatalf("%d findings, next %q, %v", len(page.Findings), page.Next, err)
	}
	for _, text := range []string{
		`{}`, `{"SeverityLabel":[]}`,
		`{"AwsAccountId":[{"Value":"111122223333","Comparison":"EQUALS"}]}`,
		`{"AwsAccountId":[{"Value":"1","Comparison":"PREFIX"}],"RecordState":[{"Value":"ACTIVE","Comparison":"EQUALS"}]}`,
		`{"SeverityLabel":[{"Value":"CRITICAL","Comparison":"EQUALS"},{"Value":"LOW","Comparison":"EQUALS"}]}`,
		`{"SeverityLabel":[{"Value":"critical","Comparison":"EQUALS"}]}`,
		`{"SeverityLabel":[{"Value":"CRITICAL","Comparison":"NOT_EQUALS"}]}`,
		`{"ComplianceStatus":[{"Value":"FAILED","Comparison":"EQUALS"}]}`,
		`{"ComplianceStatus":[{"Value":"FAILED","Comparison":"NOT_EQUALS"}]}`,
		`{"Region":[{"Value":"us-east-1","Comparison":"EQUALS"},{"Value":"us-east-2","Comparison":"EQUALS"}]}`,
		`{"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}],"RecordState":[{"Value":"ARCHIVED","Comparison":"NOT_EQUALS"}]}`,
		`{"GeneratorId":[{"Value":"` + longGenerator + `0","Comparison":"EQUALS"}]}`,
		`{"GeneratorId":[{"Value":"` + longGenerator + `","Comparison":"EQUALS"}]}`,
		`{"GeneratorId":[{"Value":"` + longGenerator + `","Comparison":"PREFIX"}]}`,
		`{"Title":[{"Value":"a \ufffd title","Comparison":"EQUALS"}]}`,
		`{"ComplianceSecurityControlId":[{"Value":"CloudTrail.1","Comparison":"EQUALS"}]}`,
		`{"SeverityNormalized":[{"Gte":40,"Lte":89}]}`,
		`{"CreatedAt":[{"Start":"2020-01-01T00:00:00Z","End":"2026-01-01T00:00:00Z"}]}`,
		`{"UpdatedAt":[{"DateRange":{"Value":36000,"Unit":"DAYS"}}]}`,
		`{"ResourceType":[{"Value":"AwsS3Bucket","Comparison":"EQUALS"}],"AwsAccountId":[{"Value":"222233334444","Comparison":"EQUALS"}]}`,
		`{"Keyword":[{"Value":"S3"}],"RecordState":[{"Value":"ACTIVE","Comparison":"EQUALS"}]}`,
	} {
		criteria, err := filter.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want []string
		for _, raw := range page.Findings {
			doc, err := finding.Reopen(raw)
			if err != nil {
				t.Fatal(err)
			}
			if criteria.Match(doc, noon) {
				want = append(want, doc.ID().Id)
			}
		}
		got := f.all(t, securityhub.Query{Accounts: store.AllAccounts(), Filters: json.RawMessage(text), Limit: 3})
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.120s (-match +store):\n%s", text, diff)
		}
	}
}

func TestThePageKeepsItsScopeAndOrder(t *testing.T) {
	t.Parallel()
	f := newFinder(t, sampleFindings(t))
	by := []securityhub.SortCriterion{{Field: "SeverityNormalized", SortOrder: "DESC"}, {Field: "Id", SortOrder: "asc"}}
	q := securityhub.Query{Accounts: []string{"111122223333"}, Sort: by, Limit: 4}
	var before *finding.Finding
	n := 0
	for {
		page, err := f.QueryFindings(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range page.Findings {
			doc, err := finding.Reopen(raw)
			if err != nil {
				t.Fatal(err)
			}
			if doc.Account() != "111122223333" {
				t.Errorf("a finding of account %s", doc.Account())
			}
			if before != nil && (before.SeverityNormalized() < doc.SeverityNormalized() ||
				before.SeverityNormalized() == doc.SeverityNormalized() && before.ID().Id > doc.ID().Id) {
				t.Errorf("%s comes before %s", before.ID().Id, doc.ID().Id)
			}
			before, n = &doc, n+1
		}
		if q.Token = page.Next; q.Token == "" {
			break
		}
	}
	if n < 10 {
		t.Errorf("%d findings", n)
	}
	if got := f.all(t, securityhub.Query{Accounts: []string{}, Limit: 10}); len(got) != 0 {
		t.Errorf("a caller without accounts sees %d findings", len(got))
	}
}

func TestAQuestionIsRefused(t *testing.T) {
	t.Parallel()
	f := newFinder(t, sampleFindings(t))
	asked := securityhub.Query{Accounts: []string{"111122223333"}, Filters: json.RawMessage(`{"RecordState":[{"Value":"ACTIVE","Comparison":"EQUALS"}]}`), Limit: 2}
	page, err := f.QueryFindings(t.Context(), asked)
	if err != nil || page.Next == "" {
		t.Fatalf("next %q, %v", page.Next, err)
	}
	for name, c := range map[string]struct {
		edit func(*securityhub.Query)
		want string
	}{
		"token of other filters": {func(q *securityhub.Query) { q.Filters = nil }, "does not belong to these filters"},
		"token of another scope": {func(q *securityhub.Query) { q.Accounts = store.AllAccounts() }, "does not belong to these filters"},
		"token of another order": {func(q *securityhub.Query) { q.Sort = []securityhub.SortCriterion{{Field: "Id"}} }, "does not belong to these filters"},
		"no base64":              {func(q *securityhub.Query) { q.Token = "!" }, "does not belong to these filters"},
		"too short":              {func(q *securityhub.Query) { q.Token = "AAAA" }, "does not belong to these filters"},
		"cut":                    {func(q *securityhub.Query) { q.Token = q.Token[:len(q.Token)-8] }, "does not belong to these filters"},
		"sorted by what is no key": {func(q *securityhub.Query) {
			q.Sort, q.Token = []securityhub.SortCriterion{{Field: strings.Repeat("x", 100)}}, ""
		}, "cannot be sorted by"},
		"sorted by too much": {func(q *securityhub.Query) {
			q.Sort, q.Token = slices.Repeat([]securityhub.SortCriterion{{Field: "Id"}}, 5), ""
		}, "more than 4 sort keys"},
		"broken filter": {func(q *securityhub.Query) { q.Filters, q.Token = json.RawMessage(`{"Nothing":[{}]}`), "" }, "Filters.Nothing: there is no such field"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := asked
			q.Token = page.Next
			c.edit(&q)
			if _, err := f.QueryFindings(t.Context(), q); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
		})
	}
}
