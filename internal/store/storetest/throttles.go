package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/store"
)

func throttleTests() []conformance {
	return []conformance{
		{"throttle/nodes know each other's cuts", throttleExchange},
		{"throttle/one storm is one cut", throttleStorm},
		{"throttle/cuts are pruned", throttlePrune},
	}
}

func exchange(t *testing.T, s *store.Store, since time.Time, mine ...store.ThrottleCut) ([]store.ThrottleCut, int) {
	t.Helper()
	all, nodes, err := s.ExchangeThrottleCuts(t.Context(), mine, since)
	ok(t, err)
	return all, nodes
}

func throttleExchange(t *testing.T, s *store.Store) {
	all, nodes := exchange(t, s, Start())
	same(t, 0, len(all))
	same(t, 0, nodes)
	must(s.Heartbeat(t.Context(), "node-1", ttl))(t)
	must(s.Heartbeat(t.Context(), "node-2", 2*ttl))(t)
	one := store.ThrottleCut{Key: "111122223333/us-east-1/iam", Rate: 12.5, At: Start().Add(time.Second)}
	two := store.ThrottleCut{Key: "111122223333/us-east-1/s3", Rate: 0.5, At: Start().Add(2 * time.Second)}
	long := store.ThrottleCut{Key: strings.Repeat("x", 2000), Rate: 1, At: two.At}
	all, nodes = exchange(t, s, Start(), two, one, long)
	same(t, []store.ThrottleCut{two, one}, all)
	same(t, 2, nodes)
	all, _ = exchange(t, s, one.At)
	same(t, []store.ThrottleCut{two}, all)
	clock(t, s).Advance(ttl)
	_, nodes = exchange(t, s, Start())
	same(t, 1, nodes)
}

func throttleStorm(t *testing.T, s *store.Store) {
	cut := func(after time.Duration, rate float64) store.ThrottleCut {
		return store.ThrottleCut{Key: "k", Rate: rate, At: Start().Add(after)}
	}
	for _, step := range []struct{ in, out store.ThrottleCut }{
		{cut(time.Second, 20), cut(time.Second, 20)},
		{cut(1400*time.Millisecond, 14), cut(time.Second, 20)}, // the same storm
		{cut(0, 30), cut(time.Second, 20)},                     // an older one
		{cut(1500*time.Millisecond, 14), cut(1500*time.Millisecond, 14)},
	} {
		all, _ := exchange(t, s, Start().Add(-time.Second), step.in)
		same(t, []store.ThrottleCut{step.out}, all)
	}
}

func throttlePrune(t *testing.T, s *store.Store) {
	exchange(t, s, Start(), store.ThrottleCut{Key: "old", Rate: 1, At: Start()})
	clock(t, s).Advance(time.Hour)
	late := store.ThrottleCut{Key: "new", Rate: 1, At: clock(t, s).Now()}
	exchange(t, s, Start(), late)
	same(t, store.Pruned{ThrottleCuts: 1}, must(s.Prune(t.Context(), store.Cutoffs{}))(t))
	all, _ := exchange(t, s, Start().Add(-time.Hour))
	same(t, []store.ThrottleCut{late}, all)
}
