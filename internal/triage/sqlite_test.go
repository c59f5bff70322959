package triage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/triage"
)

func openStore(t testing.TB) *store.Store {
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
	return s
}

// samples gives the findings of real controls.
func samples(t testing.TB) []json.RawMessage {
	t.Helper()
	files, err := filepath.Glob("../finding/testdata/asff/afsbp-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	var out []json.RawMessage
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, raw)
	}
	return out
}

// Over the real store: samples and poison go in, two processes drain, a
// customer updates meanwhile; nothing is lost and every write has its event.
func TestOverSQLite(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	var items []store.InboxItem
	ids := map[finding.ID]bool{}
	for _, raw := range samples(t) {
		items = append(items, store.InboxItem{Source: "hub", Trusted: true, Finding: raw, ReceivedAt: epoch()})
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		ids[f.ID()] = true
	}
	items = append(items, store.InboxItem{Source: "hub", Finding: json.RawMessage(`{"Id":"x\u0000","ProductArn":"y","AwsAccountId":"1"}`), ReceivedAt: epoch()})
	if err := db.AppendInbox(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 2 {
		tr, err := triage.New(triage.Config{Store: db, Batch: 5})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if _, err := tr.Drain(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	left, err := db.InboxDepth(t.Context())
	if err != nil || left != 0 {
		t.Errorf("%d rows left, %v", left, err)
	}
	page, err := db.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1000})
	if err != nil || len(page.Records) != len(ids) {
		t.Fatalf("%d findings, want %d: %v", len(page.Records), len(ids), err)
	}
	tr, err := triage.New(triage.Config{Store: db})
	if err != nil {
		t.Fatal(err)
	}
	first := page.Records[0].ID
	patch := finding.Patch{Workflow: &finding.WorkflowUpdate{Status: finding.Suppressed}}
	got, err := tr.Update(t.Context(), triage.UpdateRequest{Identifiers: []finding.ID{first}, Patch: patch}, "ann", store.AllAccounts())
	if err != nil || len(got.Processed) != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	history, _, err := db.FindingHistory(t.Context(), first, 10, "")
	if err != nil || len(history) != 2 {
		t.Errorf("history %+v, %v", history, err)
	}
	claimed, err := db.ClaimMessages(t.Context(), store.Findings, []string{store.TopicEvent, triage.TopicInbox}, 1000, "test", 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	topics := map[string]int{}
	for _, m := range claimed {
		topics[m.Topic] += len(apart(m.Message))
	}
	if want := fmt.Sprint(map[string]int{store.TopicEvent: len(ids) + 1, triage.TopicInbox: 1}); fmt.Sprint(topics) != want {
		t.Errorf("messages %v, want %s", topics, want)
	}
}

// BenchmarkDrain measures triage over SQLite, from the inbox to stored findings.
func BenchmarkDrain(b *testing.B) {
	db := openStore(b)
	tr, err := triage.New(triage.Config{Store: db})
	if err != nil {
		b.Fatal(err)
	}
	var all []finding.Finding
	for _, raw := range samples(b) {
		f, err := finding.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, f)
	}
	b.ResetTimer()
	for n := 0; n < b.N; {
		b.StopTimer()
		var items []store.InboxItem
		for range min(2000, b.N-n) {
			f := all[n%len(all)].With("Id", fmt.Sprint("finding-", n))
			items = append(items, store.InboxItem{Source: "hub", Trusted: true, Finding: f.JSON(), ReceivedAt: epoch()})
			n++
		}
		if err := db.AppendInbox(b.Context(), items); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := tr.Drain(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "findings/s")
}
