package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/remediation"
)

const (
	// callQueue is how many calls wait to be written before callers have to wait.
	callQueue = 4096
	// callBatch and callDelay say when a batch is written: at so many, or so long
	// after its first.
	callBatch = 200
	callDelay = 100 * time.Millisecond
	// callPatience is how long a caller waits for room in the queue. A database
	// that stands still must not stop reads for longer; changes write their own row.
	callPatience = 2 * time.Second
	callTries    = 5
)

// callStore keeps the record of calls.
type callStore interface {
	AppendCalls(ctx context.Context, calls []remediation.CallRecord) error
}

// callWriter writes the record of calls in batches, beside those who call. A
// crash loses the last tenth of a second of reads; a change is not among them,
// its row is written with its intent.
type callWriter struct {
	store callStore
	log   *slog.Logger
	queue chan *remediation.CallRecord // pointers: a row has 300 bytes, and the queue is made whole
	mu    sync.Mutex
	stop  chan struct{} // not nil while it runs
	done  sync.WaitGroup
}

func newCallWriter(store callStore, log *slog.Logger) *callWriter {
	return &callWriter{store: store, log: log.With("component", "calls"), queue: make(chan *remediation.CallRecord, callQueue)}
}

// put hands over one call.
func (w *callWriter) put(c remediation.CallRecord) {
	select {
	case w.queue <- &c:
		return
	default:
	}
	timer := time.NewTimer(callPatience)
	defer timer.Stop()
	select {
	case w.queue <- &c:
	case <-timer.C:
		w.log.Error("a call was not recorded: the database does not keep up", "service", c.Service, "operation", c.Operation, "outcome", c.Outcome)
	}
}

// Start begins to write.
func (w *callWriter) Start(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop == nil {
		stop := make(chan struct{})
		w.stop = stop
		w.done.Go(func() { w.run(stop) })
	}
	return nil
}

// Stop writes what waits and ends.
func (w *callWriter) Stop(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stop != nil {
		close(w.stop)
		w.done.Wait()
		w.stop = nil
	}
	return nil
}

func (w *callWriter) run(stop <-chan struct{}) {
	for {
		select {
		case c := <-w.queue:
			w.write(w.batch(c, stop))
		case <-stop:
			for len(w.queue) > 0 {
				w.write(w.batch(<-w.queue, stop))
			}
			return
		}
	}
}

// batch collects what comes shortly after first.
func (w *callWriter) batch(first *remediation.CallRecord, stop <-chan struct{}) []remediation.CallRecord {
	batch := []remediation.CallRecord{*first}
	timer := time.NewTimer(callDelay)
	defer timer.Stop()
	for len(batch) < callBatch {
		select {
		case c := <-w.queue:
			batch = append(batch, *c)
			continue
		default:
		}
		select {
		case c := <-w.queue:
			batch = append(batch, *c)
		case <-timer.C:
			return batch
		case <-stop:
			return batch
		}
	}
	return batch
}

// write stores a batch; a database that is busy is asked again.
func (w *callWriter) write(batch []remediation.CallRecord) {
	var err error
	for try := range callTries {
		if try > 0 {
			time.Sleep(time.Duration(try) * callDelay)
		}
		if err = w.store.AppendCalls(context.Background(), batch); err == nil {
			return
		}
	}
	w.log.Error("calls were not recorded", "count", len(batch), "error", err)
}
