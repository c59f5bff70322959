package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// place is a new database: a directory, and the URL of a PostgreSQL database.
type place struct {
	dir, url string
	keys     *seal.Keyring
	store    *store.Store
}

// open makes a new database of a kind.
func (b *bench) open(ctx context.Context, kind string) (*place, error) {
	return b.openIn(ctx, kind, "", "")
}

// openIn makes or opens a database in dir, "" being a new directory, and with
// PostgreSQL at url, "" being a new database.
func (b *bench) openIn(ctx context.Context, kind, dir, url string) (*place, error) {
	p := &place{dir: dir, url: url}
	var err error
	if dir == "" {
		p.dir, err = b.temp(kind)
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, err
	}
	if p.keys, err = seal.Open(filepath.Join(p.dir, "data.key")); err != nil {
		return nil, err
	}
	if kind == "sqlite" {
		p.store, err = sqlite.Open(ctx, sqlite.Config{Dir: p.dir, Sealer: p.keys, Clock: service.SystemClock{}})
	} else {
		if url == "" {
			if p.url, err = b.postgres(ctx); err != nil {
				return nil, err
			}
		}
		p.store, err = postgres.Open(ctx, postgres.Config{URL: p.url, Sealer: p.keys, Clock: service.SystemClock{}})
	}
	if err != nil {
		return nil, err
	}
	return p, p.store.Migrate(ctx)
}

func (p *place) close() { _ = p.store.Close() } // its directory is thrown away

// title names a database for people.
func title(kind string) string {
	if kind == "sqlite" {
		return "SQLite"
	}
	return "PostgreSQL"
}

// flushed says how durable a commit is.
func flushed(kind string) string {
	if kind == "sqlite" {
		return "SQLite, WAL, synchronous FULL"
	}
	return "PostgreSQL, fsync on, on the same cores"
}

func intakeGoal(kind string) float64 {
	if kind == "sqlite" {
		return 20_000
	}
	return 20_000
}

// intake measures what the inbox takes from concurrent callers.
func intake(kind string) measurement {
	name := "intake/" + kind
	return measurement{
		rows:  []Row{atLeast(name, "durable intake of 4 KB findings, "+title(kind), intakeGoal(kind), "findings/s")},
		limit: 60 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			p, err := b.open(ctx, kind)
			if err != nil {
				return err
			}
			defer p.close()
			items := inboxItems(2, 4000, 500)
			for range 3 {
				used := processor()
				rate, err := appendFor(ctx, p.store, items, 2500*time.Millisecond)
				if err != nil {
					return err
				}
				rows[name].set(rate, "store.AppendInbox, %d callers, 100 each, documents of %d bytes; %s; %s", callers, size(items), used(rate), flushed(kind))
			}
			return nil
		},
	}
}

// callers is how many sources send at the same time.
const callers = 16

func appendFor(ctx context.Context, s *store.Store, items []store.InboxItem, d time.Duration) (float64, error) {
	var wg sync.WaitGroup
	var n atomic.Int64
	errs := make([]error, callers)
	began := time.Now()
	for i := range callers {
		wg.Go(func() {
			for at := i * 100; time.Since(began) < d; at += callers * 100 {
				from := at % (len(items) - 99)
				if errs[i] = s.AppendInbox(ctx, items[from:from+100]); errs[i] != nil {
					return
				}
				n.Add(100)
			}
		})
	}
	wg.Wait()
	return float64(n.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}

// inboxItems gives n different findings of a number of accounts.
func inboxItems(seed uint64, n, accounts int) []store.InboxItem {
	m := newMaker(seed)
	items := make([]store.InboxItem, n)
	for i := range items {
		items[i] = store.InboxItem{Source: "hub", Trusted: true, Finding: m.finding(accounts), ReceivedAt: m.now}
	}
	return items
}

func size(items []store.InboxItem) int {
	n := 0
	for _, it := range items {
		n += len(it.Finding)
	}
	return n / len(items)
}

// drainEmpty measures triage from a full inbox into an empty store.
func drainEmpty(kind string) measurement {
	name, again := "indexed/"+kind+"/empty", "repeated/"+kind
	return measurement{
		rows: []Row{
			atLeast(name, "findings indexed by triage, empty store, "+title(kind), 5000, "findings/s"),
			atLeast(again, "  the same findings once more, unchanged, "+title(kind), 10_000, "findings/s"),
		},
		limit: 90 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			p, err := b.open(ctx, kind)
			if err != nil {
				return err
			}
			defer p.close()
			for seed := range uint64(3) {
				items := inboxItems(100+seed, 8000, 500)
				rate, used, err := drain(ctx, p.store, items)
				if err != nil {
					return err
				}
				fresh := rate
				rows[name].set(rate, "triage.Drain of 8,000 new findings, with history, counters and events; %s; %s", used, flushed(kind))
				if rows[again] == nil {
					continue
				}
				if rate, used, err = drain(ctx, p.store, items); err != nil {
					return err
				}
				rows[again].set(rate, "%.1f times the rate of new ones; %s; %s", rate/fresh, used, flushed(kind))
			}
			return nil
		},
	}
}

// drain puts findings into the inbox and measures triage alone.
func drain(ctx context.Context, s *store.Store, items []store.InboxItem) (rate float64, used string, err error) {
	n := len(items)
	for at := 0; at < n; at += 1000 {
		if err := s.AppendInbox(ctx, items[at:min(at+1000, n)]); err != nil {
			return 0, "", err
		}
	}
	stage, err := newTriage(ctx, s)
	if err != nil {
		return 0, "", err
	}
	began, cost := time.Now(), processor()
	done, err := stage.Drain(ctx)
	if err != nil {
		return 0, "", err
	}
	if done != n {
		return 0, "", fmt.Errorf("triage took %d of %d findings", done, n)
	}
	rate = float64(n) / time.Since(began).Seconds()
	return rate, cost(rate), nil
}

// decode reads JSON of a command or an answer.
func decode[T any](raw []byte) (T, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("%w; it was: %.300s", err, raw)
	}
	return v, nil
}
