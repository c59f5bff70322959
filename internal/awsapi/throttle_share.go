package awsapi

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// RateCut says that AWS complained about the rate of calls that Key names.
type RateCut struct {
	Key       string    // account/region/service
	PerSecond float64   // of all nodes together, when it complained
	At        time.Time // by the clock of the node that was told
}

// SharedRates is where the nodes of one installation tell each other what AWS
// complained about.
type SharedRates interface {
	// ExchangeRates stores what this node noticed, the first of one storm, and
	// gives what all nodes noticed since and how many nodes there are.
	ExchangeRates(ctx context.Context, mine []RateCut, since time.Time) (all []RateCut, nodes int, err error)
}

const (
	// shareEvery is how often a node asks what the others noticed.
	shareEvery = time.Second
	// shareSoon is how soon it tells them of a cut; a storm in many accounts is
	// told at once.
	shareSoon = 100 * time.Millisecond
	// shareLimit bounds one exchange. No call waits for it.
	shareLimit = 2 * time.Second
	// shareSpan is how old a cut may be that still matters to a new bucket.
	shareSpan = time.Minute
	maxDirty  = 5000
)

// RateSharing keeps the rates of a client those of all nodes: a service.Service.
// While the others cannot be reached it goes on with what it knows, and with its
// own part of the rate.
type RateSharing struct {
	throttle *throttle
	with     SharedRates
	log      *slog.Logger
	now      func() time.Time
	soon     chan struct{}

	mu     sync.Mutex
	dirty  map[string]cut
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// ShareRates gives the service that shares the rates of c. To be called before
// the first call is sent.
func (c *Client) ShareRates(with SharedRates) *RateSharing {
	r := &RateSharing{throttle: c.throttle, with: with, log: c.log, now: c.cfg.Clock.Now, soon: make(chan struct{}, 1), dirty: map[string]cut{}}
	c.throttle.onCut = r.note
	return r
}

// note remembers a cut for the next exchange, which is soon.
func (r *RateSharing) note(key string, c cut) {
	r.mu.Lock()
	if len(r.dirty) < maxDirty {
		r.dirty[key] = c
	}
	r.mu.Unlock()
	select {
	case r.soon <- struct{}{}:
	default:
	}
}

// Start begins to exchange in the background, the first time at once.
func (r *RateSharing) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		return nil
	}
	// It outlives the context of Start.
	ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.done.Go(func() { r.run(ctx) })
	return nil
}

// Stop ends the exchange.
func (r *RateSharing) Stop(context.Context) error {
	r.mu.Lock()
	cancel := r.cancel
	r.cancel = nil
	r.mu.Unlock()
	if cancel != nil {
		cancel()
		r.done.Wait()
	}
	return nil
}

func (r *RateSharing) run(ctx context.Context) {
	tick := time.NewTicker(shareEvery)
	defer tick.Stop()
	failing := false
	for {
		err := r.exchange(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			r.log.WarnContext(ctx, "cannot share rates with other nodes; this one keeps its part", "error", err)
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.soon:
			if sleep(ctx, shareSoon) != nil {
				return
			}
		}
	}
}

func (r *RateSharing) exchange(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shareLimit)
	defer cancel()
	r.mu.Lock()
	sent := r.dirty
	r.dirty = map[string]cut{}
	r.mu.Unlock()
	mine := make([]RateCut, 0, len(sent))
	for key, c := range sent {
		mine = append(mine, RateCut{Key: key, PerSecond: c.rate, At: c.at})
	}
	all, nodes, err := r.with.ExchangeRates(ctx, mine, r.now().Add(-shareSpan))
	if err != nil {
		r.keep(sent)
		return err
	}
	cuts := make(map[string]cut, len(all))
	for _, c := range all {
		cuts[c.Key] = cut{rate: c.PerSecond, at: c.At}
	}
	r.throttle.adopt(cuts, nodes)
	return nil
}

// keep puts cuts back that were not stored, unless there are later ones.
func (r *RateSharing) keep(cuts map[string]cut) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range cuts {
		if _, later := r.dirty[key]; !later && len(r.dirty) < maxDirty {
			r.dirty[key] = c
		}
	}
}
