package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// timers shows the store's timers to the engine, as internal/app does.
type timers struct{ *store.Store }

func (t timers) PutTimer(ctx context.Context, timer durable.Timer) error {
	return t.Store.PutTimer(ctx, store.Timer(timer))
}

func (t timers) DueTimers(ctx context.Context, now time.Time, n int) ([]durable.Timer, error) {
	due, err := t.Store.DueTimers(ctx, now, n)
	out := make([]durable.Timer, 0, len(due))
	for _, d := range due {
		out = append(out, durable.Timer(d))
	}
	return out, err
}

// steps measures checkpoints of the durable engine.
func steps(kind string) measurement {
	name, goal := "steps/"+kind, 1200.0
	if kind == "postgres" {
		goal = 1000
	}
	return measurement{
		rows:  []Row{atLeast(name, "durable steps, "+title(kind), goal, "steps/s")},
		limit: 60 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			for range 3 {
				used := processor()
				rate, err := stepsOnce(ctx, b, kind, 200)
				if err != nil {
					return err
				}
				rows[name].set(rate, "%d executions of 10 steps with 1 KB each, %d at once; %s; %s", 200, workers, used(rate), flushed(kind))
			}
			return nil
		},
	}
}

const workers = 32

// stepsOnce runs some executions of ten steps on a new database.
func stepsOnce(ctx context.Context, b *bench, kind string, executions int) (rate float64, err error) {
	p, err := b.open(ctx, kind)
	if err != nil {
		return 0, err
	}
	defer p.close()
	output := bytes.Repeat([]byte("x"), 1024)
	done := make(chan struct{}, executions)
	cfg := durable.Config{
		Node: "bench", Sealer: p.keys, Timers: timers{p.store}, Lease: p.store, LeaseTTL: time.Minute, Clock: service.SystemClock{}, PostgresURL: p.url,
		Run: func(ctx context.Context, x *durable.Exec) error {
			for i := range 10 {
				if _, err := x.Step(ctx, fmt.Sprint("s/", i), func(context.Context) ([]byte, error) { return output, nil }); err != nil {
					return err
				}
			}
			done <- struct{}{}
			return nil
		},
	}
	if p.url == "" {
		if cfg.SQLite, err = durable.OpenSQLite(ctx, filepath.Join(p.dir, "durable.db")); err != nil {
			return 0, err
		}
	}
	engine, err := durable.New(cfg)
	if err != nil {
		return 0, err
	}
	if err := engine.Service().Start(ctx); err != nil {
		return 0, err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, engine.Service().Stop(stopping))
	}()
	return startAll(ctx, engine, executions, output, done)
}

func startAll(ctx context.Context, engine *durable.Engine, executions int, input []byte, done <-chan struct{}) (float64, error) {
	ids := make(chan int, executions)
	for i := range executions {
		ids <- i
	}
	close(ids)
	errs := make([]error, workers)
	var wg sync.WaitGroup
	began := time.Now()
	for w := range workers {
		wg.Go(func() {
			for i := range ids {
				if errs[w] = engine.Start(ctx, fmt.Sprint("w", i), input); errs[w] != nil {
					return
				}
				select {
				case <-done:
				case <-ctx.Done():
					errs[w] = context.Cause(ctx)
					return
				}
			}
		})
	}
	wg.Wait()
	return float64(executions*10) / time.Since(began).Seconds(), errors.Join(errs...)
}
