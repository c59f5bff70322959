package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/parry-security/parry/internal/fault"
)

// flusher makes commits of a SQLite file survive a power cut, many at a time.
//
// With synchronous=FULL SQLite flushes its log once for every commit, one after
// the other, and the disk sets the pace: 360 steps a second where this reaches
// three times that. So the file is opened with NORMAL, which writes the same
// log without the flush, and whoever must rely on a commit waits here for a
// flush that began after it. Flushing the log is all that FULL does more.
type flusher struct {
	sync func() error
	done func() error

	mu     sync.Mutex
	next   *flush // gathers those who wait for the next flush
	busy   bool
	closed bool
	wg     sync.WaitGroup
}

type flush struct {
	done chan struct{}
	err  error
}

// newFlusher gives a flusher for db, or one that does nothing when db flushes
// every commit itself.
func newFlusher(ctx context.Context, db *sql.DB) (*flusher, error) {
	const op = "open the durable engine's log"
	nothing := func() error { return nil }
	f := &flusher{sync: nothing, done: nothing}
	var level int
	if err := db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&level); err != nil {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	if level >= 2 {
		f.sync = nil
		return f, nil
	}
	var seq int
	var name, path string
	if err := db.QueryRowContext(ctx, "PRAGMA database_list").Scan(&seq, &name, &path); err != nil {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	// SQLite removes the log when its last connection closes. One that is kept
	// open for nothing else makes sure that the file here is the one in use.
	pin, err := db.Conn(ctx)
	if err != nil {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	log, err := os.OpenFile(path+"-wal", os.O_RDWR, 0)
	if err != nil {
		return nil, fault.E(fault.Unavailable, op, fmt.Errorf("%w; closing: %w", err, pin.Close()))
	}
	f.sync = log.Sync
	f.done = func() error {
		if err := log.Close(); err != nil {
			return err
		}
		return pin.Close()
	}
	return f, nil
}

// wait returns when everything committed before the call is on the disk. A nil
// flusher, for PostgreSQL, has nothing to do.
func (f *flusher) wait() error {
	if f == nil || f.sync == nil {
		return nil
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return errors.New("the log is closed")
	}
	if f.next == nil {
		f.next = &flush{done: make(chan struct{})}
	}
	mine := f.next
	if !f.busy {
		f.busy = true
		f.wg.Go(f.lead)
	}
	f.mu.Unlock()
	<-mine.done
	return mine.err
}

// lead flushes as long as somebody waits. Whoever comes during a flush waits
// for the next one, since it may have missed what they committed.
func (f *flusher) lead() {
	for {
		f.mu.Lock()
		now := f.next
		f.next = nil
		if now == nil {
			f.busy = false
			f.mu.Unlock()
			return
		}
		f.mu.Unlock()
		now.err = f.sync()
		close(now.done)
	}
}

func (f *flusher) close() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.wg.Wait()
	return f.done()
}
