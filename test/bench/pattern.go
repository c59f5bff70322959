package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/parry-security/parry/internal/pattern"
)

// patterns measures sets of rules on one core, with events that were found valid when
// they came in (spec/eventbus.md sections 4 and 7).
func patterns() measurement {
	rows := []Row{}
	for _, s := range ruleSets() {
		rows = append(rows, atLeast("pattern/"+s.name, "pattern matching, "+s.what, s.goal, "events/s"))
		if s.lots == "" {
			rows = append(rows, atMost("pattern/"+s.name+"/allocs", "  allocations per event", 0, "allocs"))
		}
		if s.n >= 10_000 {
			rows = append(rows, atMost("pattern/"+s.name+"/memory", "  memory per 10,000 rules, their text included", 8, "MiB"))
		}
	}
	rows = append(rows,
		atLeast("pattern/scan", "  scan, looking for the paths of 1,000 rules", 1.8, "GB/s"),
		atLeast("pattern/valid", "  finding events valid", 0.31, "GB/s"),
		atMost("pattern/add/p99", "one rule added to 10,000 that are matched meanwhile, p99", 1, "ms"),
		atMost("pattern/worst", "slowest of the worst cases: 16 stars, 3,000 elements, deep arrays", 50, "ms"))
	return measurement{rows: rows, limit: 4 * time.Minute, run: measurePatterns}
}

func measurePatterns(ctx context.Context, b *bench, rows map[string]*Row) error {
	events, err := texts(hubEvents(20_000, 500))
	if err != nil {
		return err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, s := range ruleSets() {
		if rows["pattern/"+s.name] == nil && rows["pattern/"+s.name+"/allocs"] == nil && rows["pattern/"+s.name+"/memory"] == nil {
			continue
		}
		measured := events
		if s.lots != "" {
			if measured, err = texts(lotEvents(50_000)); err != nil {
				return err
			}
		}
		if err := measureSet(ctx, s, measured, rows); err != nil {
			return err
		}
	}
	if rows["pattern/scan"] != nil || rows["pattern/valid"] != nil {
		if err := measureScan(ctx, events, rows); err != nil {
			return err
		}
	}
	if r := rows["pattern/worst"]; r != nil {
		if err := measureWorst(r); err != nil {
			return err
		}
	}
	if r := rows["pattern/add/p99"]; r != nil {
		runtime.GOMAXPROCS(runtime.NumCPU())
		return measureAdd(ctx, events, r)
	}
	return nil
}

func texts(events [][]byte) ([]pattern.Text, error) {
	out := make([]pattern.Text, len(events))
	for i, e := range events {
		var err error
		if out[i], err = pattern.Validate(e); err != nil {
			return nil, fmt.Errorf("event %s: %w", e, err)
		}
	}
	return out, nil
}

// load makes a set and says how much memory it keeps, with the rules' text.
func (s ruleSet) load() (set *pattern.Set, kept uint64, err error) {
	before := heapKept()
	text := make([][]byte, s.n)
	for i := range text {
		text[i] = []byte(s.rule(i))
	}
	set = &pattern.Set{}
	load := make([]pattern.Named, s.n)
	for i, raw := range text {
		p, err := pattern.Parse(raw)
		if err != nil {
			return nil, 0, fmt.Errorf("rule %s: %w", raw, err)
		}
		load[i] = pattern.Named{Name: fmt.Sprint("rule-", i), Pattern: p}
	}
	if err := set.Replace(load); err != nil {
		return nil, 0, err
	}
	load = nil
	kept = heapKept() - before
	runtime.KeepAlive(text)
	runtime.KeepAlive(load)
	return set, kept, nil
}

func heapKept() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func measureSet(ctx context.Context, s ruleSet, events []pattern.Text, rows map[string]*Row) error {
	set, kept, err := s.load()
	if err != nil {
		return err
	}
	size := 0
	for _, e := range events {
		size += e.Len()
	}
	memory := float64(kept) / (1 << 20) * 10_000 / float64(s.n)
	rows["pattern/"+s.name+"/memory"].set(memory, "%.1f MiB for %d rules", float64(kept)/(1<<20), s.n)
	for range 4 {
		used := processor()
		perSecond, each, matches, err := matchFor(ctx, set, events, time.Second)
		if err != nil {
			return err
		}
		rows["pattern/"+s.name].set(perSecond, "one core, %s%d events of %d bytes, %.2f matches each; %s", s.note(), len(events), size/len(events), matches, used(perSecond))
		rows["pattern/"+s.name+"/allocs"].set(each, "Go heap allocations")
	}
	return nil
}

// matchFor matches events over and over for a while.
func matchFor(ctx context.Context, set *pattern.Set, events []pattern.Text, d time.Duration) (perSecond, allocs, matches float64, err error) {
	names, err := set.Match(events[0], nil) // the memory for matching is made once
	if err != nil {
		return 0, 0, 0, err
	}
	names = slices.Grow(names, 1024)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began, n, found := time.Now(), 0, 0
	for ctx.Err() == nil && time.Since(began) < d {
		for range 100 {
			if names, err = set.Match(events[n%len(events)], names[:0]); err != nil {
				return 0, 0, 0, err
			}
			found += len(names)
			n++
		}
	}
	took := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	// A collection empties the pool of memory for matching: a few for a million events.
	allocs = float64((after.Mallocs - before.Mallocs) / uint64(n)) //nolint:gosec // counted up
	return float64(n) / took, allocs, float64(found) / float64(n), ctx.Err()
}

// measureScan looks for the paths of many rules in events that none can meet, and
// measures Validate, for which the goal is encoding/json's Valid.
func measureScan(ctx context.Context, events []pattern.Text, rows map[string]*Row) error {
	set := &pattern.Set{}
	var load []pattern.Named
	for i := range 1000 {
		p, err := pattern.Parse([]byte(scanRule(i)))
		if err != nil {
			return err
		}
		load = append(load, pattern.Named{Name: fmt.Sprint(i), Pattern: p})
	}
	if err := set.Replace(load); err != nil {
		return err
	}
	size := 0
	for _, e := range events {
		size += e.Len()
	}
	each := float64(size) / float64(len(events)) / 1e9
	for range 4 {
		perSecond, _, _, err := matchFor(ctx, set, events, time.Second)
		if err != nil {
			return err
		}
		rows["pattern/scan"].set(perSecond*each, "%.0f events/s of %.0f bytes, %d paths", perSecond, each*1e9, len(scanPaths()))
	}
	raw := make([][]byte, 1000)
	for i := range raw {
		raw[i] = []byte(events[i].String())
	}
	for range 3 {
		began, n := time.Now(), 0
		for time.Since(began) < time.Second {
			for range 10 {
				if _, err := pattern.Validate(raw[n%len(raw)]); err != nil {
					return err
				}
				n++
			}
		}
		perSecond := float64(n) / time.Since(began).Seconds()
		rows["pattern/valid"].set(perSecond*each, "%.0f events/s; the goal is what encoding/json.Valid does", perSecond)
	}
	return nil
}

// measureAdd adds and removes rules while another goroutine matches, and a third
// compacts as the owner of a set does.
func measureAdd(ctx context.Context, events []pattern.Text, row *Row) error {
	set, _, err := ruleSets()[1].load()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	busy, changed := make(chan error, 2), make(chan struct{}, 1)
	go func() {
		var names []string
		var err error
		for i := 0; ctx.Err() == nil && err == nil; i++ {
			names, err = set.Match(events[i%len(events)], names[:0])
		}
		busy <- err
	}()
	go func() {
		for {
			select {
			case <-ctx.Done():
				busy <- nil
				return
			case <-changed:
				set.Compact()
			}
		}
	}()
	took := make([]time.Duration, 0, 1000)
	for i := range cap(took) {
		p, err := pattern.Parse([]byte(plainRule(1_000_000 + i)))
		if err != nil {
			return err
		}
		began := time.Now()
		if err := set.Add(fmt.Sprint("added-", i%100), p); err != nil {
			return err
		}
		took = append(took, time.Since(began))
		select {
		case changed <- struct{}{}:
		default:
		}
		time.Sleep(2 * time.Millisecond)
	}
	stop(nil)
	err = errors.Join(<-busy, <-busy)
	row.set(quantile(took, 0.99), "%d rules in two seconds and more, p50 %.2f ms, slowest %.2f ms; a rule counts when Add has returned", len(took),
		quantile(took, 0.5), milliseconds(slices.Max(took)))
	return err
}

func measureWorst(row *Row) error {
	var slowest time.Duration
	var which string
	for name, c := range worstCases() {
		p, err := pattern.Parse([]byte(c.pattern))
		if err != nil {
			return err
		}
		var set pattern.Set
		if err := set.Add(name, p); err != nil {
			return err
		}
		e, err := pattern.Validate([]byte(c.event))
		if err != nil {
			return err
		}
		best := time.Hour
		for range 5 {
			began := time.Now()
			_, _ = set.Match(e, nil) // some are given up with an error: that is bounded work too
			best = min(best, time.Since(began))
		}
		if best > slowest {
			slowest, which = best, name
		}
	}
	row.set(milliseconds(slowest), "%s; least of five each", which)
	return nil
}
