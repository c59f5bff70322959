package store_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

// document gives a finding of about 4 KB whose text does not repeat, so that
// compression is not flattered.
func document(r *rand.Rand, i int) json.RawMessage {
	hex := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "%016x", r.Uint64())
		}
		return b.String()[:n]
	}
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("arn:aws:securityhub:eu-west-1:111111111111:subscription/x/finding/%d", i),
		"ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub", "AwsAccountId": "111111111111",
		"Title": "S3 general purpose buckets should block public access", "Description": hex(600),
		"Severity": map[string]any{"Label": "HIGH", "Normalized": 70}, "CreatedAt": "2026-03-01T12:00:00.000Z",
		"ProductFields": map[string]any{"a": hex(500), "b": hex(500), "c": hex(400)}, "Workflow": map[string]any{"Status": "NEW"},
		"Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + hex(40), "Tags": map[string]any{"k": hex(900)}}},
		"Note":      hex(500),
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil
	}
	return raw
}

func both(b *testing.B, run func(b *testing.B, s *store.Store)) {
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.PostgresStore(b)) })
}

func rate(b *testing.B, n int, begin time.Time) {
	b.ReportMetric(float64(n)/time.Since(begin).Seconds(), "findings/s")
}

// BenchmarkInboxAppend is the durable intake: 4 KB findings in batches of 100,
// as BatchImportFindings brings them, from four callers.
func BenchmarkInboxAppend(b *testing.B) {
	both(b, func(b *testing.B, s *store.Store) {
		r := rand.New(rand.NewPCG(1, 1))
		items := make([]store.InboxItem, 2000)
		for i := range items {
			items[i] = store.InboxItem{Source: "bench", Finding: document(r, i), ReceivedAt: storetest.Start()}
		}
		b.SetBytes(int64(len(items[0].Finding)) * 100)
		b.ResetTimer()
		begin := time.Now()
		var wg sync.WaitGroup
		for caller := range 4 {
			wg.Go(func() {
				for n := caller; n < b.N; n += 4 {
					at := n * 100 % len(items)
					if err := s.AppendInbox(b.Context(), items[at:at+100]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		rate(b, b.N*100, begin)
	})
}

// BenchmarkCommitFindings writes new findings with their history, counters and
// one event each, 500 in a commit.
func BenchmarkCommitFindings(b *testing.B) {
	const batch = 500
	both(b, func(b *testing.B, s *store.Store) {
		r := rand.New(rand.NewPCG(1, 1))
		docs := make([]json.RawMessage, 200)
		for i := range docs {
			docs[i] = document(r, i)
		}
		n := 0
		b.ResetTimer()
		begin := time.Now()
		for b.Loop() {
			var w []store.FindingWrite
			var eff store.Effects
			for range batch {
				one := storetest.Write(n)
				one.Record.ID.Id = fmt.Sprintf("%x", r.Uint64())
				one.Record.Doc, one.Record.Original = docs[n%len(docs)], docs[n%len(docs)]
				w = append(w, one)
				eff.Outbox = append(eff.Outbox, store.Message{ID: one.Record.ID.Id, Topic: store.TopicEvent, Payload: docs[n%len(docs)]})
				n++
			}
			if err := s.CommitFindings(b.Context(), w, nil, eff); err != nil {
				b.Fatal(err)
			}
		}
		rate(b, n, begin)
	})
}

// BenchmarkQueryFindings reads a filtered page of 50 among 20,000 findings.
func BenchmarkQueryFindings(b *testing.B) {
	both(b, func(b *testing.B, s *store.Store) {
		for chunk := range 20 {
			var w []store.FindingWrite
			for i := range 1000 {
				w = append(w, storetest.Write(chunk*1000+i))
			}
			if err := s.CommitFindings(b.Context(), w, nil, store.Effects{}); err != nil {
				b.Fatal(err)
			}
		}
		q := store.FindingQuery{Accounts: []string{"111111111111"}, Where: []store.Condition{
			{Column: "severity_normalized", Op: store.OpAtLeast, Values: []string{"70"}},
			{Column: "workflow", Op: store.OpEqual, Values: []string{"NEW", "NOTIFIED"}},
		}}
		for b.Loop() {
			page, err := s.QueryFindings(b.Context(), q)
			if err != nil || len(page.Records) != 50 {
				b.Fatal(len(page.Records), err)
			}
		}
	})
}
