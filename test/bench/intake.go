package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// intakeHTTP measures what a server accepts while its triage drains the inbox.
func intakeHTTP(kind string) measurement {
	name := "intake/http/" + kind
	return measurement{
		rows: []Row{
			atLeast(name, "  the same over HTTP, signed batches of 100, "+title(kind), intakeGoal(kind), "findings/s"),
			atMost(name+"/memory", "  the server's resident memory meanwhile, peak", 400, "MB"),
		},
		limit: 60 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			dir, err := b.temp("http")
			if err != nil {
				return err
			}
			cfg := organization([]string{account(0)}, "people")
			cfg["bus_rules"] = []any{}
			if kind == "postgres" {
				if cfg["database"], err = b.postgres(ctx); err != nil {
					return err
				}
			}
			n, err := b.node(ctx, dir, cfg, nil)
			if err != nil {
				return err
			}
			defer n.stop()
			if err := errors.Join(n.keys(ctx), n.start(ctx)); err != nil {
				return err
			}
			const senders, batches = 8, 150
			bodies, err := importBodies(9, batches*2, 500)
			if err != nil {
				return err
			}
			for run := range 2 {
				rate, err := sendAll(ctx, n, bodies[run*batches:(run+1)*batches], senders, 8*time.Second)
				if err != nil {
					return err
				}
				rows[name].set(rate, "BatchImportFindings to parry serve, %d senders on the same cores, triage draining meanwhile; %s", senders, flushed(kind))
			}
			_, peak, err := memory(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			rows[name+"/memory"].set(peak, "of parry serve, from its start")
			return nil
		},
	}
}

// importBodies gives bodies of 100 different findings each.
func importBodies(seed uint64, n, accounts int) ([][]byte, error) {
	m := newMaker(seed)
	out := make([][]byte, n)
	for i := range out {
		findings := make([]json.RawMessage, 100)
		for j := range findings {
			findings[j] = m.finding(accounts)
		}
		var err error
		if out[i], err = batch(findings); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sendAll sends every body once, as many as there is time for, and gives
// findings per second.
func sendAll(ctx context.Context, n *node, bodies [][]byte, senders int, limit time.Duration) (float64, error) {
	var wg sync.WaitGroup
	var next, sent atomic.Int64
	errs := make([]error, senders)
	began := time.Now()
	for i := range senders {
		wg.Go(func() {
			for {
				at := int(next.Add(1)) - 1
				if at >= len(bodies) || time.Since(began) > limit {
					return
				}
				if errs[i] = n.send(ctx, bodies[at], 100); errs[i] != nil {
					return
				}
				sent.Add(100)
			}
		})
	}
	wg.Wait()
	return float64(sent.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
