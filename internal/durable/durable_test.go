package durable_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) {
	if os.Getenv(envChild) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m,
		// The shared PostgreSQL of the test process and its pools outlive the tests.
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"))
}

// timers hands the store's timers to the engine, as internal/app does.
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

// place is where an engine keeps its things: a directory, and for PostgreSQL a
// database.
type place struct {
	dir string
	url string
}

// config opens the store of p and gives the configuration of an engine there.
func (p place) config(ctx context.Context, node string) (durable.Config, func() error, error) {
	keys, err := seal.Open(filepath.Join(p.dir, "data.key"))
	if err != nil {
		return durable.Config{}, nil, err
	}
	var s *store.Store
	if p.url == "" {
		s, err = sqlite.Open(ctx, sqlite.Config{Dir: p.dir, Sealer: keys, Clock: service.SystemClock{}})
	} else {
		s, err = postgres.Open(ctx, postgres.Config{URL: p.url, Sealer: keys, Clock: service.SystemClock{}})
	}
	if err != nil {
		return durable.Config{}, nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return durable.Config{}, nil, errors.Join(err, s.Close())
	}
	cfg := durable.Config{
		Node: node, Sealer: keys, Timers: timers{s}, Lease: s, LeaseTTL: time.Minute, Poll: 50 * time.Millisecond,
		PostgresURL: p.url,
	}
	if p.url == "" {
		var db *sql.DB
		if db, err = durable.OpenSQLite(ctx, filepath.Join(p.dir, "durable.db")); err != nil {
			return durable.Config{}, nil, errors.Join(err, s.Close())
		}
		cfg.SQLite = db
	}
	return cfg, s.Close, nil
}

// start runs an engine at p until the test ends.
func (p place) start(t testing.TB, node string, run func(context.Context, *durable.Exec) error, change ...func(*durable.Config)) *durable.Engine {
	t.Helper()
	cfg, done, err := p.config(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Run = run
	for _, c := range change {
		c(&cfg)
	}
	e, err := durable.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Service().Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := errors.Join(e.Service().Stop(ctx), done()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return e
}

// both runs a test on SQLite and on PostgreSQL.
func both(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, place{dir: t.TempDir()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, place{dir: t.TempDir(), url: storetest.Postgres(t)})
	})
}

// await polls until work has a status; it fails the test after a while.
func await(t testing.TB, e *durable.Engine, id string, want durable.Status) durable.Work {
	t.Helper()
	deadline := time.After(20 * time.Second)
	var last []durable.Work
	for {
		list, err := e.List(t.Context(), durable.Filter{IDs: []string{id}})
		if err != nil {
			t.Fatal(err)
		}
		if last = list; len(list) == 1 && list[0].Status == want {
			return list[0]
		}
		select {
		case <-deadline:
			t.Fatalf("%s is %+v, want %s", id, last, want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// tally counts by name.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
	return c.n[name]
}

func (c *tally) get(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[name]
}

func TestWorkRunsOnceByItsID(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		var ran tally
		e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
			for _, name := range []string{"1/a", "2/b"} {
				out, err := x.Step(ctx, name, func(context.Context) ([]byte, error) {
					ran.add(name)
					return append(x.Input(), name...), nil
				})
				if err != nil {
					return err
				}
				if string(out) != "in "+name {
					return fmt.Errorf("step %s gave %q", name, out)
				}
			}
			return nil
		})
		for range 3 {
			if err := e.Start(t.Context(), "w#1", []byte("in ")); err != nil {
				t.Fatal(err)
			}
		}
		await(t, e, "w#1", durable.Done)
		if err := e.Start(t.Context(), "w#1", []byte("other")); err != nil {
			t.Fatal(err)
		}
		if ran.get("1/a") != 1 || ran.get("2/b") != 1 {
			t.Errorf("ran %v", ran.n)
		}
		steps, err := e.Steps(t.Context(), "w#1")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range steps {
			got = append(got, s.Name+"="+string(s.Output))
		}
		if diff := cmp.Diff([]string{"1/a=in 1/a", "2/b=in 2/b"}, got); diff != "" {
			t.Error(diff)
		}
		list, err := e.List(t.Context(), durable.Filter{Prefix: "w#", Status: durable.Done})
		if err != nil || len(list) != 1 || list[0].Node != "n1" {
			t.Errorf("list %+v, %v", list, err)
		}
	})
}

func TestErrorsOfStepsAreKeptWithTheirClass(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		var ran tally
		var mu sync.Mutex
		var told error
		e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
			_, err := x.Step(ctx, "refused", func(context.Context) ([]byte, error) {
				ran.add("refused")
				return nil, fault.Refused(fault.Errorf(fault.Denied, "change", "not in the plan").WithHint("plan again"))
			})
			return err
		}, func(c *durable.Config) {
			c.Failed = func(_ context.Context, _ string, input []byte, err error) {
				mu.Lock()
				defer mu.Unlock()
				told = fmt.Errorf("%s: %w", input, err)
			}
		})
		if err := e.Start(t.Context(), "w", []byte("in")); err != nil {
			t.Fatal(err)
		}
		await(t, e, "w", durable.Failed)
		mu.Lock()
		defer mu.Unlock()
		if !fault.Is(told, fault.Denied) || !fault.IsRefused(told) || fault.HintOf(told) != "plan again" || told.Error() != "in: change: not in the plan" {
			t.Errorf("told %v (hint %q)", told, fault.HintOf(told))
		}
		if ran.get("refused") != 1 {
			t.Errorf("ran %d times", ran.get("refused"))
		}
	})
}

// An error that passes repeats the body, but no step that completed.
func TestPassingErrorsAreTriedAgain(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		var ran tally
		e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
			for _, name := range []string{"a", "b", "c"} {
				if _, err := x.Step(ctx, name, func(context.Context) ([]byte, error) {
					if ran.add(name) == 1 && name == "b" {
						return nil, fault.Transient(errors.New("busy"), 0)
					}
					return nil, nil
				}); err != nil {
					return err
				}
			}
			if ran.add("body") == 1 {
				return fault.Errorf(fault.Unavailable, "write", "database is away")
			}
			return nil
		})
		if err := e.Start(t.Context(), "w", nil); err != nil {
			t.Fatal(err)
		}
		await(t, e, "w", durable.Done)
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 2, "c": 1, "body": 2}, ran.n); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPanicIsAnErrorOfTheWork(t *testing.T) {
	t.Parallel()
	p := place{dir: t.TempDir()}
	e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
		if x.ID() == "step" {
			_, err := x.Step(ctx, "s", func(context.Context) ([]byte, error) { panic("in a step") })
			return err
		}
		panic("in the body")
	})
	for _, id := range []string{"step", "body"} {
		if err := e.Start(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
		await(t, e, id, durable.Failed)
	}
}

func TestScheduleStartsWhenDue(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		started := make(chan string, 10)
		e := p.start(t, "n1", func(_ context.Context, x *durable.Exec) error {
			started <- x.ID() + " " + string(x.Input())
			return nil
		})
		now := time.Now()
		for id, at := range map[string]time.Time{"past": now.Add(-time.Hour), "soon": now.Add(300 * time.Millisecond), "later": now.Add(time.Hour)} {
			if err := e.Schedule(t.Context(), at, id, []byte("for "+id)); err != nil {
				t.Fatal(err)
			}
		}
		got := []string{<-started, <-started}
		if diff := cmp.Diff([]string{"past for past", "soon for soon"}, got); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(now); took < 300*time.Millisecond {
			t.Errorf("started after %s", took)
		}
		list, err := e.List(t.Context(), durable.Filter{IDs: []string{"later"}})
		if err != nil || len(list) != 0 {
			t.Errorf("later: %v %v", list, err)
		}
	})
}

func TestSignal(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		got := make(chan string, 2)
		e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
			payload, ok, err := x.Receive(ctx, "approve", 10*time.Second)
			got <- fmt.Sprint(string(payload), ok, err)
			if err != nil {
				return err
			}
			_, ok, err = x.Receive(ctx, "approve", 10*time.Millisecond)
			got <- fmt.Sprint(ok, err)
			return err
		})
		if err := e.Signal(t.Context(), "nobody", "approve", nil); !fault.Is(err, fault.NotFound) {
			t.Errorf("signal to nobody: %v", err)
		}
		if err := e.Start(t.Context(), "w", nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Signal(t.Context(), "w", "approve", []byte("yes")); err != nil {
			t.Fatal(err)
		}
		if first, second := <-got, <-got; first != "yes true <nil>" && first != "yestrue <nil>" || second != "false <nil>" {
			t.Errorf("received %q, %q", first, second)
		}
		await(t, e, "w", durable.Done)
	})
}

func TestCancelEndsAStepUnderWay(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		began := make(chan struct{})
		ended := make(chan error, 1)
		e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
			_, err := x.Step(ctx, "long", func(ctx context.Context) ([]byte, error) {
				close(began)
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			ended <- context.Cause(ctx)
			return err
		})
		if err := e.Start(t.Context(), "w", nil); err != nil {
			t.Fatal(err)
		}
		<-began
		if err := e.Cancel(t.Context(), "w"); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, durable.ErrCancelled) {
			t.Errorf("cause %v", err)
		}
		await(t, e, "w", durable.Cancelled)
		if err := e.Cancel(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
			t.Errorf("cancel nobody: %v", err)
		}
	})
}

// A stop lets the step under way end, and the rest is done after the next start.
func TestStopThenStartGoesOn(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		var ran tally
		began, release := make(chan struct{}), make(chan struct{})
		run := func(ctx context.Context, x *durable.Exec) error {
			for _, name := range []string{"a", "b", "c"} {
				if _, err := x.Step(ctx, name, func(context.Context) ([]byte, error) {
					if ran.add(name) == 1 && name == "b" {
						close(began)
						<-release
					}
					return nil, nil
				}); err != nil {
					return err
				}
			}
			return nil
		}
		cfg, done, err := p.config(t.Context(), "n1")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Run = run
		first, err := durable.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Service().Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Start(t.Context(), "w", nil); err != nil {
			t.Fatal(err)
		}
		<-began
		go close(release)
		if err := errors.Join(first.Service().Stop(t.Context()), done()); err != nil {
			t.Fatal(err)
		}
		if err := first.Start(t.Context(), "x", nil); !fault.Is(err, fault.Unavailable) {
			t.Errorf("start after stop: %v", err)
		}
		second := p.start(t, "n2", run)
		await(t, second, "w", durable.Done)
		if diff := cmp.Diff(map[string]int{"a": 1, "b": 1, "c": 1}, ran.n); diff != "" {
			t.Error(diff)
		}
	})
}

// The pause after a passing error is made once, not again in every replay.
func TestReplayMakesNoPause(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, p place) {
		var ran tally
		failed := make(chan struct{})
		run := func(ctx context.Context, x *durable.Exec) error {
			_, err := x.Step(ctx, "a", func(context.Context) ([]byte, error) {
				if ran.add("a") == 1 {
					defer close(failed)
					return nil, fault.Transient(errors.New("busy"), 20*time.Second)
				}
				return nil, nil
			})
			return err
		}
		cfg, done, err := p.config(t.Context(), "n1")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Run = run
		first, err := durable.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Service().Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := first.Start(t.Context(), "w", nil); err != nil {
			t.Fatal(err)
		}
		<-failed
		for steps := 0; steps == 0; { // until the error is recorded
			list, err := first.Steps(t.Context(), "w")
			if err != nil {
				t.Fatal(err)
			}
			steps = len(list)
		}
		if err := errors.Join(first.Service().Stop(t.Context()), done()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		second := p.start(t, "n2", run)
		await(t, second, "w", durable.Done)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("it took %s", took)
		}
		if diff := cmp.Diff(map[string]int{"a": 2}, ran.n); diff != "" {
			t.Error(diff)
		}
	})
}

// Nothing of what work handles can be read in the database's files.
func TestTablesHoldNoPlaintext(t *testing.T) {
	t.Parallel()
	p := place{dir: t.TempDir()}
	const secret = "s3cr3t-marker"
	e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
		if _, err := x.Step(ctx, "output", func(context.Context) ([]byte, error) { return []byte("out " + secret), nil }); err != nil {
			return err
		}
		if _, _, err := x.Receive(ctx, "topic", 5*time.Second); err != nil {
			return err
		}
		if x.ID() == "panic" {
			panic(secret)
		}
		_, err := x.Step(ctx, "error", func(context.Context) ([]byte, error) {
			return nil, fault.Errorf(fault.Denied, "do", "error %s", secret)
		})
		return err
	})
	for _, id := range []string{"error", "panic"} {
		if err := e.Start(t.Context(), id, []byte("in "+secret)); err != nil {
			t.Fatal(err)
		}
		if err := e.Signal(t.Context(), id, "topic", []byte("signal "+secret)); err != nil {
			t.Fatal(err)
		}
		await(t, e, id, durable.Failed)
	}
	if err := e.Schedule(t.Context(), time.Now().Add(time.Hour), "timer", []byte("timer "+secret)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "*.db*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	seen := false
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		seen = seen || bytes.Contains(raw, []byte("parry-interpreter"))
		for _, layer := range layers(raw) {
			if bytes.Contains(layer, []byte(secret)) {
				t.Errorf("%s holds the secret", filepath.Base(f))
			}
		}
	}
	if !seen {
		t.Error("the search did not see the engine's tables")
	}
	if twice := base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(secret + " and more text")))); !slices.ContainsFunc(layers([]byte(" "+twice+" ")), func(l []byte) bool { return bytes.Contains(l, []byte(secret)) }) {
		t.Error("the search does not look through base64")
	}
}

// layers gives raw and what is base64 in it, to the third time.
func layers(raw []byte) [][]byte {
	out, todo := [][]byte{raw}, [][]byte{raw}
	run := regexp.MustCompile(`[A-Za-z0-9+/]{16,}`)
	for range 3 {
		var next [][]byte
		for _, layer := range todo {
			for _, text := range run.FindAll(layer, -1) {
				// A run may begin before the encoded text does.
				for skip := range 4 {
					t := text[min(skip, len(text)):]
					if plain, err := base64.RawStdEncoding.DecodeString(string(t[:len(t)/4*4])); err == nil {
						next = append(next, plain)
					}
				}
			}
		}
		out, todo = append(out, next...), next
	}
	return out
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := durable.New(durable.Config{}); err == nil || !strings.Contains(err.Error(), "exactly one of SQLite and PostgresURL") {
		t.Errorf("error %v", err)
	}
	if _, err := durable.New(durable.Config{PostgresURL: "x"}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("error %v", err)
	}
}

func TestFenceAndLostLease(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	broken := false
	p := place{dir: t.TempDir()}
	began, ended := make(chan struct{}), make(chan error, 1)
	e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
		_, err := x.Step(ctx, "long", func(ctx context.Context) ([]byte, error) {
			close(began)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		ended <- context.Cause(ctx)
		return err
	}, func(c *durable.Config) {
		c.LeaseTTL = 6 * time.Second
		c.Lease = &flaky{Lease: c.Lease, broken: func() bool { mu.Lock(); defer mu.Unlock(); return broken }}
	})
	if err := e.Fence(t.Context()); err != nil {
		t.Fatalf("fence of a live node: %v", err)
	}
	if err := e.Start(t.Context(), "w", nil); err != nil {
		t.Fatal(err)
	}
	<-began
	mu.Lock()
	broken = true
	mu.Unlock()
	begin := time.Now()
	if err := e.Fence(t.Context()); !errors.Is(err, durable.ErrLeaseLost) || !fault.Is(err, fault.Unavailable) {
		t.Errorf("fence without a lease: %v", err)
	}
	<-e.Lost()
	if err := <-ended; !errors.Is(err, durable.ErrLeaseLost) {
		t.Errorf("cause %v", err)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("the loss was noticed after %s", took)
	}
	if err := e.Start(t.Context(), "x", nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("start without a lease: %v", err)
	}
	// The row is as it was, for whoever takes it over.
	db, err := durable.OpenSQLite(t.Context(), filepath.Join(p.dir, "durable.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var status string
	if err := db.QueryRowContext(t.Context(), "SELECT status FROM workflow_status WHERE workflow_uuid = 'w'").Scan(&status); err != nil || status != "PENDING" {
		t.Errorf("status %q, %v", status, err)
	}
}

// flaky is a lease whose database goes away.
type flaky struct {
	durable.Lease
	broken func() bool
}

func (f *flaky) Heartbeat(ctx context.Context, node string, ttl time.Duration) (int64, error) {
	if f.broken() {
		return 0, errors.New("the database is away")
	}
	return f.Lease.Heartbeat(ctx, node, ttl)
}

func (f *flaky) LeaseValid(ctx context.Context, node string, epoch int64) (bool, error) {
	if f.broken() {
		return false, errors.New("the database is away")
	}
	return f.Lease.LeaseValid(ctx, node, epoch)
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	p := place{dir: t.TempDir()}
	var mu sync.Mutex
	now, most := 0, 0
	e := p.start(t, "n1", func(ctx context.Context, x *durable.Exec) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		_, err := x.Step(ctx, "s", func(context.Context) ([]byte, error) { return nil, nil })
		mu.Lock()
		now--
		mu.Unlock()
		return err
	}, func(c *durable.Config) { c.Concurrency = 3 })
	var ids []string
	for i := range 20 {
		ids = append(ids, fmt.Sprintf("w%d", i))
		if err := e.Start(t.Context(), ids[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	for id := range slices.Values(ids) {
		await(t, e, id, durable.Done)
	}
	if most > 3 {
		t.Errorf("%d bodies ran at once", most)
	}
}
