package app

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/target"
)

// BenchmarkExchange is the bus from an entry to a webhook that was called, without the API
// before it: batches of 10 events of 4 KB, 16 callers, one rule.
func BenchmarkExchange(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkExchange(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { benchmarkExchange(b, storetest.PostgresStore(b)) })
}

func benchmarkExchange(b *testing.B, s *store.Store) {
	var got atomic.Int64
	done := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	}))
	defer receiver.Close()
	hook, err := webhook.New(webhook.Config{URL: receiver.URL, Secret: strings.Repeat("k", 32), Clock: service.SystemClock{}})
	if err != nil {
		b.Fatal(err)
	}
	var x *route.Exchange
	ledger := busLedger{s}
	courier, err := bus.NewCourier(bus.CourierConfig{
		Events: ledger, Deliveries: ledger, Owner: "node-1", Clock: service.SystemClock{}, Target: func(r bus.Ref) (bus.Target, bool) { return x.Target(r) },
	})
	if err != nil {
		b.Fatal(err)
	}
	o := &outlets{account: "111122223333", webhooks: map[string]*webhook.Sender{"w": hook}}
	if x, err = route.NewExchange(route.ExchangeConfig{Poster: courier, Open: o.open, Clock: service.SystemClock{}}); err != nil {
		b.Fatal(err)
	}
	x.Use([]string{"default"}, []route.BusRule{{
		Bus: "default", Name: "r", Rev: "1", Pattern: `{"source":["shop"]}`, Targets: []target.Target{{ID: "w", ARN: "arn:aws:parry:us-east-1:111122223333:webhook/w"}},
	}}, nil)
	if err := courier.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = courier.Stop(context.Background()) }()
	r := rand.New(rand.NewPCG(1, 1))
	details := make([][]byte, 1000)
	for i := range details {
		var text strings.Builder
		for text.Len() < 3500 {
			fmt.Fprintf(&text, "%016x word arn:aws:s3:::bucket-%d ", r.Uint64(), r.IntN(1000))
		}
		details[i] = fmt.Appendf(nil, `{"n":%d,"text":%q}`, i, text.String())
	}
	b.ResetTimer()
	begin := time.Now()
	var next atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for {
				at := int(next.Add(10)) - 10
				if at >= b.N {
					return
				}
				var entries []route.Entry
				for i := at; i < min(at+10, b.N); i++ {
					entries = append(entries, route.Entry{Source: "shop", DetailType: "Order", Account: "111122223333", Region: "us-east-1", Detail: details[i%len(details)]})
				}
				if _, err := x.Put(context.Background(), "default", entries); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	<-done
	b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "events/s")
}
