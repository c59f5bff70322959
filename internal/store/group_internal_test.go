package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	_ "modernc.org/sqlite"
)

// groupDB gives a file with one table of numbers, at most pages long.
func groupDB(t *testing.T, pages int) (*Store, *handle) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "g.db")+"?_txlock=immediate&_pragma=journal_mode(WAL)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	for _, text := range []string{"CREATE TABLE n (v INTEGER PRIMARY KEY, fill BLOB)", fmt.Sprintf("PRAGMA max_page_count = %d", pages)} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return &Store{dialect: Dialect{OneWriter: true}}, &handle{DB: db}
}

// have gives the numbers that were committed.
func have(t *testing.T, db *handle) []int {
	t.Helper()
	all, err := collect(t.Context(), db, "SELECT v FROM n ORDER BY v", nil, func(r scanner) (v int, err error) {
		err = r.Scan(&v)
		return v, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// held keeps the writer until release is closed, so that what comes next waits.
func held(t *testing.T, s *Store, db *handle) (release func()) {
	t.Helper()
	began, free := make(chan struct{}), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		if _, err := s.writeOn(t.Context(), db, func(*tx) error { close(began); <-free; return nil }); err != nil {
			t.Errorf("hold: %v", err)
		}
	})
	<-began
	return func() { close(free); done.Wait() }
}

// waits returns when n writes wait.
func waits(t *testing.T, db *handle, n int) {
	t.Helper()
	for {
		db.group.mu.Lock()
		got := len(db.group.waiting)
		db.group.mu.Unlock()
		if got == n {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%d writes wait, want %d", got, n)
		}
	}
}

func insert(v, size int) func(*tx) error {
	return func(t *tx) error {
		_, err := t.ExecContext(context.Background(), "INSERT INTO n (v, fill) VALUES ($1, zeroblob($2))", v, size)
		return err
	}
}

// TestAGroupKeepsItsWritesApart commits writes together, among them one that fails,
// one whose statement fails, one that panics and one whose caller has gone.
func TestAGroupKeepsItsWritesApart(t *testing.T) {
	t.Parallel()
	s, db := groupDB(t, 1_000_000)
	release := held(t, s, db)
	refused := errors.New("refused")
	gone, cancel := context.WithCancelCause(t.Context())
	writes := []struct {
		ctx  context.Context
		fn   func(*tx) error
		want func(err error, panicked any) bool
	}{
		{t.Context(), insert(1, 0), func(err error, _ any) bool { return err == nil }},
		{t.Context(), func(t *tx) error { return errors.Join(insert(2, 0)(t), refused) }, func(err error, _ any) bool { return errors.Is(err, refused) }},
		{t.Context(), insert(3, 0), func(err error, _ any) bool { return err == nil }},
		{t.Context(), func(t *tx) error { return errors.Join(insert(4, 0)(t), insert(4, 0)(t)) }, func(err error, _ any) bool { return err != nil }},
		{t.Context(), func(t *tx) error { _ = insert(5, 0)(t); panic("five") }, func(_ error, p any) bool { return p == "five" }},
		{gone, insert(6, 0), func(err error, _ any) bool { return errors.Is(err, refused) }},
		{t.Context(), insert(7, 0), func(err error, _ any) bool { return err == nil }},
	}
	var wg sync.WaitGroup
	for i, w := range writes {
		wg.Go(func() {
			var err error
			defer func() {
				if p := recover(); !w.want(err, p) {
					t.Errorf("write %d: %v, panic %v", i, err, p)
				}
			}()
			_, err = s.writeOn(w.ctx, db, w.fn)
		})
		waits(t, db, i+1)
	}
	cancel(refused)
	waits(t, db, len(writes)-1)
	release()
	wg.Wait()
	if got := have(t, db); !slices.Equal(got, []int{1, 3, 7}) {
		t.Errorf("committed are %v", got)
	}
	// The writer is free, whatever happened.
	if _, err := s.writeOn(t.Context(), db, insert(8, 0)); err != nil {
		t.Error(err)
	}
}

// TestAFullDiskTakesBackOneWrite has one write of a group fill the file, upon which
// SQLite takes back the whole transaction.
func TestAFullDiskTakesBackOneWrite(t *testing.T) {
	t.Parallel()
	s, db := groupDB(t, 20)
	release := held(t, s, db)
	var wg sync.WaitGroup
	for v, size := range []int{0, 0, 1 << 20, 0, 0} {
		wg.Go(func() {
			if _, err := s.writeOn(t.Context(), db, insert(v, size)); (err != nil) != (size > 0) {
				t.Errorf("write %d of %d bytes: %v", v, size, err)
			}
		})
		waits(t, db, v+1)
	}
	release()
	wg.Wait()
	if got := have(t, db); !slices.Equal(got, []int{0, 1, 3, 4}) {
		t.Errorf("committed are %v", got)
	}
}

// TestManyWriters writes from many sides at once, a part of it failing.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	s, db := groupDB(t, 1_000_000)
	var commits atomic.Int64
	var wg sync.WaitGroup
	for w := range 20 {
		wg.Go(func() {
			for i := range 50 {
				v := w*50 + i
				_, err := s.writeOn(t.Context(), db, func(t *tx) error {
					if err := insert(v, 10)(t); err != nil || v%3 > 0 {
						return err
					}
					return errors.New("refused")
				})
				if (err != nil) != (v%3 == 0) {
					t.Errorf("write %d: %v", v, err)
				}
				commits.Add(1)
			}
		})
	}
	wg.Wait()
	for _, v := range have(t, db) {
		if v%3 == 0 {
			t.Errorf("%d was refused and is there", v)
		}
	}
	if got := len(have(t, db)); got != 666 || commits.Load() != 1000 {
		t.Errorf("%d of %d writes are there, want 666", got, commits.Load())
	}
}

// A panic in the one who leads holds nobody up. Seen to fail without the deferred handOn:
// the others wait for ever.
func TestGatherSurvivesAPanic(t *testing.T) {
	t.Parallel()
	var g gather[int]
	leading, wait := make(chan struct{}), make(chan struct{})
	var led, followed sync.WaitGroup
	led.Go(func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		g.do(t.Context(), 1, func([]int) { close(leading); <-wait; panic("broken") })
	})
	<-leading
	var done atomic.Int32
	for range 3 {
		followed.Go(func() { g.do(t.Context(), 2, func(all []int) { done.Add(int32(len(all))) }) })
	}
	close(wait)
	led.Wait()
	followed.Wait()
	if done.Load() != 3 {
		t.Errorf("%d of 3 were done", done.Load())
	}
}
