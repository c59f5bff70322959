package durable_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/store/storetest"
)

// BenchmarkSteps measures durable steps: work of ten steps with an output of
// 1 KB each, 32 at once. b.N counts steps.
func BenchmarkSteps(b *testing.B) {
	for name, at := range map[string]func(b *testing.B) place{
		"sqlite":   func(b *testing.B) place { return place{dir: b.TempDir()} },
		"postgres": func(b *testing.B) place { return place{dir: b.TempDir(), url: storetest.Postgres(b)} },
	} {
		b.Run(name, func(b *testing.B) {
			const steps, workers = 10, 32
			output := bytes.Repeat([]byte("x"), 1024)
			done := make(chan struct{}, workers)
			e := at(b).start(b, "bench", func(ctx context.Context, x *durable.Exec) error {
				for i := range steps {
					if _, err := x.Step(ctx, fmt.Sprint("s/", i), func(context.Context) ([]byte, error) { return output, nil }); err != nil {
						return err
					}
				}
				done <- struct{}{}
				return nil
			}, func(c *durable.Config) { c.LeaseTTL = time.Minute })
			b.ResetTimer()
			begin := time.Now()
			work := (b.N + steps - 1) / steps
			ids := make(chan int, work)
			for i := range work {
				ids <- i
			}
			close(ids)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for i := range ids {
						if err := e.Start(b.Context(), fmt.Sprint("w", i), output); err != nil {
							b.Error(err)
							return
						}
						<-done
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(work*steps)/time.Since(begin).Seconds(), "steps/s")
		})
	}
}
