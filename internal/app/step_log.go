package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/execute"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// stepDelay is how long steps wait to be written together. What a segment did is
// written with its end, so the delay is one of what people see, and a crash loses
// nothing: the segment that is run again tells of its steps again.
const stepDelay = 100 * time.Millisecond

// stepStore keeps the history of steps.
type stepStore interface {
	PutProgress(ctx context.Context, steps []store.Step, at []store.Progress, eff store.Effects) error
}

// stepWriter writes the history of the steps of all executions that run here,
// beside them: a transaction for each step would cost more than the step.
type stepWriter struct {
	store     stepStore
	log       *slog.Logger
	partition string

	mu    sync.Mutex
	dirty map[*stepLog]bool
	stop  chan struct{} // not nil while it runs
	wake  chan struct{}
	done  sync.WaitGroup
}

func newStepWriter(s stepStore, partition string, log *slog.Logger) *stepWriter {
	return &stepWriter{store: s, partition: partition, log: log.With("component", "steps"), dirty: map[*stepLog]bool{}, wake: make(chan struct{}, 1)}
}

// Start begins to write.
func (w *stepWriter) Start(context.Context) error {
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
func (w *stepWriter) Stop(context.Context) error {
	w.mu.Lock()
	stop := w.stop
	w.stop = nil
	w.mu.Unlock()
	if stop != nil {
		close(stop)
		w.done.Wait()
	}
	return nil
}

func (w *stepWriter) run(stop <-chan struct{}) {
	for {
		select {
		case <-w.wake:
		case <-stop:
			w.flush()
			return
		}
		timer := time.NewTimer(stepDelay)
		select {
		case <-timer.C:
		case <-stop:
			timer.Stop()
		}
		w.flush()
	}
}

// flush writes what all logs have. A log that ends meanwhile waits for it, so that
// nothing old is written over what its segment's end writes.
func (w *stepWriter) flush() {
	w.mu.Lock()
	logs := slices.Collect(maps.Keys(w.dirty))
	clear(w.dirty)
	w.mu.Unlock()
	var all written
	var at []store.Progress
	for _, l := range logs {
		l.flushing.Lock()
		defer l.flushing.Unlock()
		got := l.take()
		all.steps, all.events = append(all.steps, got.steps...), append(all.events, got.events...)
		if got.at != nil {
			at = append(at, *got.at)
		}
	}
	if len(all.steps) == 0 {
		return
	}
	if err := w.store.PutProgress(context.Background(), all.steps, at, store.Effects{Outbox: store.Bundle(all.events)}); err != nil {
		// The segments' ends write them again.
		w.log.Warn("steps not written yet", "count", len(all.steps), "error", err)
		for _, l := range logs {
			l.giveBack(all)
		}
	}
}

// touched says that l has something to write.
func (w *stepWriter) touched(l *stepLog) {
	w.mu.Lock()
	w.dirty[l] = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// open gives the log of a segment.
func (w *stepWriter) open(s execute.Segment) *stepLog {
	return &stepLog{w: w, segment: s, pending: map[int]store.Step{}}
}

// written is what a log has to write.
type written struct {
	steps  []store.Step
	events []store.Message
	at     *store.Progress
}

// stepLog keeps the steps of one segment until they are written.
type stepLog struct {
	w       *stepWriter
	segment execute.Segment

	flushing sync.Mutex // held while what was taken is written

	mu      sync.Mutex
	pending map[int]store.Step
	events  []store.Message
	at      *store.Progress
	closed  bool
}

// Observe keeps one attempt of a step; inputs and outputs are sealed by the store.
// It answers automation.Observer.
func (l *stepLog) Observe(_ context.Context, rec automation.StepRecord) error {
	step, err := stepOf(rec)
	if err != nil {
		return fmt.Errorf("record step %s: %w", rec.Name, err)
	}
	events, err := l.announce(rec, step)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.pending[step.Seq] = step
	l.events = append(l.events, events...)
	l.at = &store.Progress{Execution: rec.Execution, Segment: l.segment.Number, Step: rec.Name, Action: rec.Action, Status: string(automation.InProgress)}
	l.mu.Unlock()
	l.w.touched(l)
	return nil
}

// announce gives the event of a step's change of status. Only runs that somebody
// started have them: of a fix, its remediation tells.
func (l *stepLog) announce(rec automation.StepRecord, step store.Step) ([]store.Message, error) {
	if l.segment.Where.Kind != remediation.KindRun || !rec.Status.Ended() {
		return nil, nil
	}
	of := l.segment.Of
	eff, err := store.AnnounceStep(remediation.Execution{
		ID: rec.Execution, Remediation: l.segment.Where.ID, Document: of.Document, Version: of.Version, Account: of.Account, Region: of.Region, StartedBy: of.StartedBy,
	}, remediation.StepExecution{
		ID: step.ID, Name: rec.Name, Action: rec.Action, Attempt: rec.Attempt, Status: string(rec.Status), StartedAt: rec.StartedAt, EndedAt: rec.EndedAt,
	}, l.w.partition, rec.EndedAt)
	return eff.Outbox, err
}

// take gives what is to be written and forgets it.
func (l *stepLog) take() written {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return written{}
	}
	out := written{steps: make([]store.Step, 0, len(l.pending)), events: l.events, at: l.at}
	for _, seq := range slices.Sorted(maps.Keys(l.pending)) {
		out.steps = append(out.steps, l.pending[seq])
	}
	clear(l.pending)
	l.events, l.at = nil, nil
	return out
}

// giveBack keeps those of what was not written that are l's and that nothing newer
// has come for. An event that two logs keep is sent once: its id says what it is.
func (l *stepLog) giveBack(lost written) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(lost.events, l.events...)
	for _, s := range lost.steps {
		if _, newer := l.pending[s.Seq]; s.Execution == l.segment.Execution && !newer {
			l.pending[s.Seq] = s
		}
	}
}

// close ends the log and gives what was not written yet.
func (l *stepLog) close() written {
	l.flushing.Lock()
	defer l.flushing.Unlock()
	out := l.take()
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	return out
}

// stepOf is a record as the store keeps it.
func stepOf(rec automation.StepRecord) (store.Step, error) {
	inputs, err := json.Marshal(rec.Inputs)
	if err != nil {
		return store.Step{}, err
	}
	outputs, err := json.Marshal(rec.Outputs)
	if err != nil {
		return store.Step{}, err
	}
	more := rec
	more.Inputs, more.Outputs = nil, nil
	detail, err := json.Marshal(more)
	if err != nil {
		return store.Step{}, err
	}
	step := store.Step{
		Execution: rec.Execution, Seq: rec.Seq, ID: rec.ID, Name: rec.Name, Action: rec.Action, Attempt: rec.Attempt, Status: string(rec.Status),
		Inputs: inputs, Outputs: outputs, Detail: detail, StartedAt: rec.StartedAt, EndedAt: rec.EndedAt,
	}
	switch {
	case rec.Failure != nil && rec.Status == automation.Waiting:
		step.Failure = rec.Failure.Message // why it waits
	case rec.Failure != nil:
		step.Failure = failure(rec.Failure)
	}
	return step, nil
}
