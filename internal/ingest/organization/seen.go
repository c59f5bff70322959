package organization

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/org"
)

// flushEvery is how often what sources brought is stored. A node that dies loses so
// much of it, which no judgement of hours notices.
const flushEvery = 30 * time.Second

// seen is when sources last brought something, as far as it is not stored.
type seen struct {
	mu  sync.Mutex
	all map[org.Sighting]time.Time // by account, region and source
}

// maxSeen bounds what waits to be stored.
const maxSeen = 50_000

// Seen notes that source brought something of a region of an account. What no coverage
// is kept of is not noted: a source cannot fill the store with accounts of its own.
func (f *Follower) Seen(source, account, region string) {
	if f.cfg.Organization.Coverage.Every == 0 || !slices.Contains(f.cfg.Regions, region) {
		return
	}
	if _, known := f.cfg.Live.Account(account); !known {
		return
	}
	k := org.Sighting{Account: account, Region: region, Source: source}
	now := f.cfg.Clock.Now()
	f.seen.mu.Lock()
	defer f.seen.mu.Unlock()
	if f.seen.all == nil {
		f.seen.all = map[org.Sighting]time.Time{}
	}
	if _, there := f.seen.all[k]; there || len(f.seen.all) < maxSeen {
		f.seen.all[k] = now
	}
}

// flushSightings stores what was seen.
func (f *Follower) flushSightings(ctx context.Context) error {
	f.seen.mu.Lock()
	all := make([]org.Sighting, 0, len(f.seen.all))
	for k, at := range f.seen.all {
		k.At = at
		all = append(all, k)
	}
	f.seen.all = nil
	f.seen.mu.Unlock()
	return f.cfg.Store.PutSightings(ctx, all)
}

func (f *Follower) keepSightings(ctx context.Context) {
	every := time.NewTicker(flushEvery)
	defer every.Stop()
	for {
		stopping := false
		select {
		case <-ctx.Done():
			stopping = true
		case <-every.C:
		}
		// What is lost comes again with the next finding.
		if err := f.flushSightings(context.WithoutCancel(ctx)); err != nil {
			f.log.WarnContext(ctx, "when sources last brought something is not stored", "error", err)
		}
		if stopping {
			return
		}
	}
}
