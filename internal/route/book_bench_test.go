package route_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

const manyRules = 100_000

// storedRule is one of many rules, each of one account and control.
func storedRule(i int) store.BusObject {
	name := fmt.Sprintf("rule-%06d", i)
	doc := fmt.Sprintf(`{"arn":"arn:aws:events:us-east-1:111122223333:rule/%s","pattern":%q,"state":"ENABLED","createdBy":"111122223333",`+
		`"targets":[{"Id":"one","Arn":%q}],"updatedAt":"2026-11-30T12:00:00Z"}`, name,
		fmt.Sprintf(`{"source":["aws.securityhub"],"detail":{"findings":{"AwsAccountId":["%012d"],"Compliance":{"SecurityControlId":["S3.%d"]}}}}`, 100000000000+i/40, 1+i%40), logARN)
	return store.BusObject{
		BusHead: store.BusHead{BusKey: store.BusKey{Kind: store.BusKindRule, Bus: "default", Name: name}, CreatedAt: storetest.Start(), Rev: 1}, Doc: json.RawMessage(doc),
	}
}

// each calls do for all i below n, many at a time: they share transactions.
func each(b *testing.B, n int, do func(ctx context.Context, i int) error) {
	b.Helper()
	var wg sync.WaitGroup
	for w := range 200 {
		wg.Go(func() {
			for i := w; i < n; i += 200 {
				if err := do(b.Context(), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkBook reads 100,000 rules from the database, and then again after changes.
func BenchmarkBook(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *store.Store{"SQLite": storetest.SQLite, "PostgreSQL": storetest.PostgresStore} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			each(b, manyRules, func(ctx context.Context, i int) error {
				return s.CreateBusObject(ctx, storedRule(i), manyRules, store.Effects{})
			})
			for b.Loop() {
				benchBook(b, s)
			}
		})
	}
}

// processor is what the process has spent of it: on a busy machine that tells more than
// the clock.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func benchBook(b *testing.B, s *store.Store) {
	b.Helper()
	heap := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	c := newCounter(b)
	book := &route.Book{Shelf: s, Exchange: c.Exchange, Logger: slog.New(slog.DiscardHandler)}
	refresh := func(unit string) {
		began, spent := time.Now(), processor()
		if err := book.Refresh(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "ms/"+unit)
		b.ReportMetric(float64((processor() - spent).Milliseconds()), "cpu-ms/"+unit)
	}
	refresh("start")
	b.ReportMetric(heap()-before, "MiB")
	change := func(n int) {
		each(b, n, func(ctx context.Context, i int) error {
			o, err := s.BusObject(ctx, storedRule(i).BusKey)
			if err != nil {
				return err
			}
			return s.UpdateBusObject(ctx, o, store.Effects{})
		})
	}
	for _, unit := range []string{"one", "one-more"} {
		change(1)
		refresh(unit)
	}
	change(1000)
	refresh("1000")
	runtime.KeepAlive(book)
}
