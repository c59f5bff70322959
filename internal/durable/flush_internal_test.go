package durable

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Everyone waits for a flush that began after they asked, and shares it.
func TestFlushesAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flushes, committed atomic.Int64
		var durable int64
		f := &flusher{done: func() error { return nil }}
		f.sync = func() error {
			seen := committed.Load()
			time.Sleep(time.Millisecond) // the disk, in the bubble's time
			flushes.Add(1)
			atomic.StoreInt64(&durable, seen)
			return nil
		}
		var wg sync.WaitGroup
		const people, rounds = 50, 20
		for range people {
			wg.Go(func() {
				for range rounds {
					mine := committed.Add(1)
					if err := f.wait(); err != nil {
						t.Error(err)
					}
					if have := atomic.LoadInt64(&durable); have < mine {
						t.Errorf("commit %d was not on the disk, %d were", mine, have)
					}
				}
			})
		}
		wg.Wait()
		if err := f.close(); err != nil {
			t.Error(err)
		}
		if n := flushes.Load(); n > 3*rounds {
			t.Errorf("%d flushes for %d commits", n, people*rounds)
		}
	})
}

func TestFailedFlushIsToldToAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk")
	f := &flusher{sync: func() error { return broken }, done: func() error { return nil }}
	if err := f.wait(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	var none *flusher
	if err := errors.Join(none.wait(), none.close(), f.close()); err != nil {
		t.Error(err)
	}
}
