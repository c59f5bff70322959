package store

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// ThrottleCut is the last time that AWS complained about a rate of calls.
type ThrottleCut struct {
	Key  string  // account/region/service
	Rate float64 // calls a second of all nodes together when it complained
	At   time.Time
}

const (
	// keepCuts is how long a cut is kept: long after it has ceased to matter.
	keepCuts = time.Hour
	// maxCuts bounds what one node reads; the latest count.
	maxCuts = 5000
)

// ExchangeThrottleCuts stores what this node noticed and gives what all nodes
// noticed since, the latest first, and the number of nodes that hold a lease. Of
// two cuts of one key within half a second the first stays: they were one storm.
// Without cuts it only reads. A key that is too long is left out.
func (s *Store) ExchangeThrottleCuts(ctx context.Context, mine []ThrottleCut, since time.Time) (all []ThrottleCut, nodes int, err error) {
	const op = "exchange throttle cuts"
	var rows [][]any
	for _, c := range mine {
		if c.Key != "" && len(c.Key) <= maxID {
			rows = append(rows, []any{c.Key, int64(c.Rate * 1000), micros(c.At)})
		}
	}
	if len(rows) > 0 {
		// In one order, so that two nodes do not lock each other out.
		slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
		if err := s.write(ctx, Execution, op, func(t *tx) error {
			_, err := t.bulk(ctx, s.q.ThrottlePut, rows)
			return err
		}); err != nil {
			return nil, 0, err
		}
	}
	all, err = collect(ctx, s.execution.Read, s.q.ThrottleList, []any{micros(since), int64(maxCuts)}, func(r scanner) (ThrottleCut, error) {
		var c ThrottleCut
		var rate, at int64
		err := r.Scan(&c.Key, &rate, &at)
		c.Rate, c.At = float64(rate)/1000, fromMicros(at)
		return c, err
	})
	if err != nil {
		return nil, 0, s.fail(op, err)
	}
	n, err := one(ctx, s.execution.Read, s.q.NodeCount, []any{micros(s.now())}, scanInt)
	return all, int(n), s.fail(op, err)
}
