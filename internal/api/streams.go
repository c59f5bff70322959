package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// The limits of streams.
const (
	// maxKept hints are kept for who comes back; who missed more is told to read anew.
	maxKept = 4096
	// maxStreamsEach and maxStreams are open at a time: of one person, and on one node.
	maxStreamsEach = 16
	maxStreams     = 1000
)

// Watcher gives what changed on any node, see store.Store.
type Watcher interface {
	Watch(ctx context.Context, got func(hints []store.Hint, gap bool)) error
}

// StreamsConfig is what NewStreams needs.
type StreamsConfig struct {
	Watcher Watcher      // required
	Random  io.Reader    // default: the operating system's
	Logger  *slog.Logger // default: discard
}

// Streams carries hints from the store to everybody who follows them. It keeps the
// latest in one ring that all streams read at their own pace, so that a slow reader
// takes no memory. It is a service.
type Streams struct {
	cfg   StreamsConfig
	log   *slog.Logger
	epoch string // of this ring: an event id of another node or an earlier start is no place in it

	mu     sync.Mutex
	ring   [maxKept]event
	next   uint64        // number of the event to come
	news   chan struct{} // closed when there is one
	open   map[string]int
	total  int
	closed bool
	stop   context.CancelFunc
	done   chan struct{}
	over   chan struct{} // closed by Close
}

// event is a hint, or that hints were lost.
type event struct {
	store.Hint
	gap bool
}

// NewStreams makes streams that begin with Start.
func NewStreams(cfg StreamsConfig) (*Streams, error) {
	if cfg.Watcher == nil {
		return nil, fault.Errorf(fault.Internal, "make streams", "a watcher is required")
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	var raw [8]byte
	if _, err := io.ReadFull(cfg.Random, raw[:]); err != nil {
		return nil, fault.E(fault.Internal, "make streams", fmt.Errorf("read random source: %w", err))
	}
	return &Streams{cfg: cfg, log: discardLogger(cfg.Logger).With("component", "api"), epoch: hex.EncodeToString(raw[:]), next: 1, news: make(chan struct{}), over: make(chan struct{}), open: map[string]int{}}, nil
}

// Start begins to watch.
func (s *Streams) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done != nil {
		return nil
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.done = stop, make(chan struct{})
	go func() {
		defer close(s.done)
		if err := s.cfg.Watcher.Watch(watch, s.Put); err != nil {
			s.log.ErrorContext(watch, "changes are not followed; pages show them when they are loaded again", "error", err)
		}
	}()
	return nil
}

// Close ends all streams: the port waits for them when it is closed.
func (s *Streams) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(s.news)
		close(s.over)
	}
}

// ended is closed when all streams are to end.
func (s *Streams) ended() <-chan struct{} { return s.over }

// Stop ends the streams and the watch.
func (s *Streams) Stop(ctx context.Context) error {
	s.Close()
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Put gives hints to all streams; gap says that some may have been lost before. It
// returns at once.
func (s *Streams) Put(hints []store.Hint, gap bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !gap && len(hints) == 0 {
		return
	}
	if gap {
		s.add(event{gap: true})
	}
	for _, h := range hints {
		s.add(event{Hint: h})
	}
	close(s.news)
	s.news = make(chan struct{})
}

func (s *Streams) add(e event) {
	s.ring[s.next%maxKept] = e
	s.next++
}

// enter takes a place for a stream of name and gives how to leave it.
func (s *Streams) enter(name string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fault.Errorf(fault.Unavailable, "follow changes", "the server stops")
	case s.open[name] >= maxStreamsEach:
		return nil, fault.Errorf(fault.Exhausted, "follow changes", "%s has %d streams open already, which is the limit", name, maxStreamsEach).WithHint("close other tabs of the console")
	case s.total >= maxStreams:
		return nil, fault.Errorf(fault.Exhausted, "follow changes", "this node has %d streams open already, which is the limit", maxStreams).WithHint("reload pages to see what is new, or add a node")
	}
	s.open[name]++
	s.total++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open[name]--; s.open[name] == 0 {
			delete(s.open, name)
		}
		s.total--
	}), nil
}

// place gives where a stream goes on that saw the event with this id, and whether
// nothing was missed. Without an id it begins now.
func (s *Streams) place(id string) (at uint64, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		return s.next, true
	}
	epoch, number, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || epoch != s.epoch || n >= s.next || s.next-n-1 > maxKept {
		return s.next, false
	}
	return n + 1, true
}

// since gives the events from place at, the next place, and what is closed when there
// are more; whole says that none was lost, open that the streams go on.
func (s *Streams) since(at uint64) (events []event, next uint64, news <-chan struct{}, whole, open bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	whole = s.next-at <= maxKept
	if !whole {
		at = s.next
	}
	for n := at; n < s.next; n++ {
		events = append(events, s.ring[n%maxKept])
	}
	return events, s.next, s.news, whole, !s.closed
}

// id names the event before place at.
func (s *Streams) id(at uint64) string { return s.epoch + "-" + strconv.FormatUint(at-1, 10) }

// visible reports whether p may be told of a hint, and gives it as p may see it.
func visible(p auth.Principal, h store.Hint) (store.Hint, bool) {
	needs := map[store.HintKind]auth.Action{
		store.HintFinding: auth.FindingRead, store.HintRemediation: auth.RemediationRead, store.HintApproval: auth.ApprovalRead,
		store.HintException: auth.ExceptionRead, store.HintStop: auth.SwitchRead,
	}
	action, known := needs[h.Kind]
	switch {
	case !known || !p.May(action) || len(p.Accounts) == 0:
		return h, false
	case h.Account != "":
		return h, p.Covers(h.Account)
	case !p.Covers(auth.All): // of which accounts it is, is not known here
		h.ID, h.Rev = "", 0
	}
	return h, true
}
