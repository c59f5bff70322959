package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/finding"
)

// kind is a row of the rollup: what the counters tell findings apart by.
type kind struct {
	account, region, control, severity, workflow, recordState string
}

func (k kind) compare(l kind) int {
	return cmp.Or(strings.Compare(k.account, l.account), strings.Compare(k.region, l.region), strings.Compare(k.control, l.control),
		strings.Compare(k.severity, l.severity), strings.Compare(k.workflow, l.workflow), strings.Compare(k.recordState, l.recordState))
}

// kind gives the counter in which f is counted, with the texts as stored.
func (f FindingRecord) kind() kind {
	return kind{
		f.Account, text(f.Region, narrowColumn), text(f.Control, narrowColumn), text(f.SeverityLabel, narrowColumn),
		text(f.Workflow, narrowColumn), text(f.RecordState, narrowColumn),
	}
}

// current is what a commit must know of a finding that is there.
type current struct {
	rid, rev, resources int64
	kind                kind
	evidence            string
}

// CommitFindings writes findings, their history and counters, takes doneInbox
// out of the inbox and sends eff, in one transaction. It answers ErrConflict,
// having written nothing, when a finding is not at the revision expected, is of
// another account, or an inbox row is gone. Where there is one writer, calls that
// wait for it share a transaction: most of the pages that they touch are the same.
func (s *Store) CommitFindings(ctx context.Context, w []FindingWrite, doneInbox []int64, eff Effects) error {
	const op = "commit findings"
	c := &commit{ctx: ctx, done: doneInbox}
	var packing sync.WaitGroup
	var packErr error
	packing.Go(func() { c.effects, packErr = s.pack(eff) })
	var err error
	c.writes, err = s.prepareWrites(w)
	packing.Wait()
	if err := errors.Join(err, packErr); err != nil {
		return s.fail(op, err)
	}
	c.sort() // one order of locks for everybody keeps PostgreSQL from deadlocks
	if !s.dialect.OneWriter {
		return s.commit(ctx, c)
	}
	if !s.commits.do(ctx, c, s.commitAll) {
		return s.fail(op, context.Cause(ctx))
	}
	return c.err
}

// commit is a call of CommitFindings that is ready to be written.
type commit struct {
	ctx     context.Context
	writes  []prepared
	done    []int64
	effects packed
	err     error
}

// maxShared bounds the findings of calls that share a transaction: the cache of the
// writer is to hold the pages that it touches.
const maxShared = 3000

// commitAll writes what waits, as many calls together as maxShared lets.
func (s *Store) commitAll(all []*commit) {
	for _, c := range all {
		c.err = s.fail("commit findings", errBrokenOff)
	}
	for len(all) > 0 {
		n, findings := 1, len(all[0].writes)
		for n < len(all) && findings+len(all[n].writes) <= maxShared {
			findings += len(all[n].writes)
			n++
		}
		s.commitShared(all[:n])
		all = all[n:]
	}
}

// commitShared writes calls in one transaction. When one cannot be written, or two are
// about one finding, each is written for itself, so that it fails for itself.
func (s *Store) commitShared(all []*commit) {
	if len(all) > 1 {
		together := &commit{}
		for _, c := range all {
			together.writes = append(together.writes, c.writes...)
			together.done = append(together.done, c.done...)
			together.effects.join(c.effects)
		}
		if twice := together.sort(); !twice && s.commit(context.WithoutCancel(all[0].ctx), together) == nil {
			for _, c := range all {
				c.err = nil
			}
			return
		}
	}
	for _, c := range all {
		if c.err = context.Cause(c.ctx); c.err != nil {
			c.err = s.fail("commit findings", c.err)
			continue
		}
		c.err = s.commit(c.ctx, c)
	}
}

// sort brings writes into the one order of locks, and reports whether two are about
// one finding.
func (c *commit) sort() (twice bool) {
	slices.SortFunc(c.writes, func(a, b prepared) int { return strings.Compare(a.key, b.key) })
	for i := 1; i < len(c.writes); i++ {
		twice = twice || c.writes[i].key == c.writes[i-1].key
	}
	return twice
}

func (s *Store) commit(ctx context.Context, c *commit) error {
	return s.write(ctx, Findings, "commit findings", func(t *tx) error {
		if err := t.commitFindings(ctx, c.writes); err != nil {
			return err
		}
		if err := t.takeInbox(ctx, c.done); err != nil {
			return err
		}
		return t.sendPacked(ctx, c.effects)
	})
}

// prepared is a write whose documents are packed: that work needs no lock.
type prepared struct {
	FindingWrite
	key     string
	found   Search
	frame   []byte
	history [][]byte
}

// prepareChunk is how many writes one goroutine prepares at least.
const prepareChunk = 64

// prepareWrites checks and compresses on all processors: with one writer, that is
// what the others can take off it.
func (s *Store) prepareWrites(w []FindingWrite) ([]prepared, error) {
	seen := make(map[finding.ID]bool, len(w))
	for _, one := range w {
		if seen[one.Record.ID] {
			return nil, invalid("check finding", "%q is in the batch twice", one.Record.ID)
		}
		seen[one.Record.ID] = true
	}
	out, errs := make([]prepared, len(w)), make([]error, len(w))
	size := max(prepareChunk, len(w)/runtime.GOMAXPROCS(0)+1)
	var wg sync.WaitGroup
	for from := 0; from < len(w); from += size {
		part := func() {
			for i := from; i < min(from+size, len(w)); i++ {
				out[i], errs[i] = s.prepare(w[i])
			}
		}
		if from+size >= len(w) {
			part() // the last part, or the only one, needs no goroutine
			break
		}
		wg.Go(part)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Store) prepare(w FindingWrite) (prepared, error) {
	r := w.Record
	if err := checkFinding(r); err != nil {
		return prepared{}, err
	}
	found, err := w.search()
	if err != nil {
		return prepared{}, invalid("check finding", "the document of %q: %v", r.ID, err)
	}
	out := prepared{FindingWrite: w, key: findingKey(r.ID), found: found, frame: s.docs.packPair(r.Doc, r.Original)}
	for _, h := range w.History {
		h.At = h.At.UTC()
		raw, err := json.Marshal(h)
		if err != nil {
			return prepared{}, err
		}
		out.history = append(out.history, s.docs.packEntry(raw))
	}
	return out, nil
}

func checkFinding(r FindingRecord) error {
	const op = "check finding"
	if len(r.ID.ProductArn) > 2048 || len(r.ID.Id) > 2048 || r.ID.ProductArn == "" || r.ID.Id == "" {
		return invalid(op, "the identity is empty or longer than 2,048 bytes")
	}
	if text(r.ID.String(), 1<<13) != r.ID.String() {
		return invalid(op, "the identity is not plain text")
	}
	if err := checkID(op, "account", r.Account); err != nil {
		return err
	}
	if len(r.Doc) > maxFinding || len(r.Original) > maxFinding {
		return invalid(op, "a document is longer than %d bytes", maxFinding)
	}
	if !isObject(r.Doc) || len(r.Original) > 0 && !isObject(r.Original) {
		return invalid(op, "a document of %q is not a JSON object", r.ID)
	}
	return nil
}

// isObject looks at both ends only: whoever made the document parsed it, and
// parsing it again here was a sixth of the cost of a commit.
func isObject(doc []byte) bool {
	doc = bytes.TrimSpace(doc)
	return len(doc) >= 2 && doc[0] == '{' && doc[len(doc)-1] == '}'
}

func (t *tx) commitFindings(ctx context.Context, w []prepared) error {
	if len(w) == 0 {
		return nil
	}
	have, err := t.current(ctx, w)
	if err != nil {
		return err
	}
	var created int64
	for _, p := range w {
		cur, ok := have[p.key]
		switch {
		case ok && (p.ExpectRev != cur.rev || p.Record.Account != cur.kind.account), !ok && p.ExpectRev != 0:
			return conflict("write finding %q", p.Record.ID)
		case !ok:
			created++
		}
	}
	rids, err := t.rids(ctx, created)
	if err != nil {
		return err
	}
	var b batch
	now := micros(t.s.now())
	for _, p := range w {
		if err := b.add(p, have, &rids, now); err != nil {
			return err
		}
	}
	return b.run(ctx, t)
}

func (t *tx) rids(ctx context.Context, n int64) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	return collect(ctx, t, t.s.q.FindingRids, []any{n}, scanInt)
}

func (t *tx) current(ctx context.Context, w []prepared) (map[string]current, error) {
	keys := make([]string, len(w))
	for i, p := range w {
		keys[i] = p.key
	}
	arg, err := list(keys)
	if err != nil {
		return nil, err
	}
	have := make(map[string]current, len(w))
	_, err = collect(ctx, t, t.s.q.FindingCurrent, []any{arg}, func(r scanner) (struct{}, error) {
		var key string
		var c current
		err := r.Scan(&key, &c.rid, &c.rev, &c.resources, &c.kind.account, &c.kind.region, &c.kind.control, &c.kind.severity, &c.kind.workflow, &c.kind.recordState, &c.evidence)
		have[key] = c
		return struct{}{}, err
	})
	return have, err
}

// batch gathers the rows of a commit, statement by statement.
type batch struct {
	identities, inserts, updates, docs, events [][]any
	search                                     searchRows
	delta                                      map[kind]int64
	controls                                   map[control.Count]int64
	days                                       map[cell]DayCount
	hints                                      []Hint
}

func (b *batch) add(p prepared, have map[string]current, rids *[]int64, now int64) error {
	r := p.Record
	cur, known := have[p.key]
	if known {
		r.rid = cur.rid
		b.count(cur.kind, -1)
		b.countControls(r.Account, cur.evidence, -1)
	} else {
		r.rid, *rids = (*rids)[0], (*rids)[1:]
		b.identities = append(b.identities, []any{p.key, r.Account, r.rid})
	}
	b.count(r.kind(), 1)
	b.countControls(r.Account, r.evidence(), 1)
	b.move(cur.kind, r.kind())
	r.Rev = p.ExpectRev + 1
	row, err := r.columns(now, len(p.found.Resources))
	if err != nil {
		return err
	}
	if known {
		b.updates = append(b.updates, row)
	} else {
		b.inserts = append(b.inserts, row)
	}
	b.docs = append(b.docs, []any{r.Account, r.rid, p.frame})
	b.search.add(r.Account, r.rid, p.found, known && cur.resources > 1)
	if !known || len(p.history) > 0 { // what is said again unchanged is no news
		b.hints = append(b.hints, Hint{HintFinding, findingName(r.ID), r.Account, r.Rev})
	}
	for i, h := range p.history {
		b.events = append(b.events, []any{r.rid, micros(p.History[i].At), h})
	}
	return nil
}

func (b *batch) count(k kind, n int64) {
	if b.delta == nil {
		b.delta = map[kind]int64{}
	}
	b.delta[k] += n
}

func (b *batch) run(ctx context.Context, t *tx) error {
	q := t.s.q
	for _, step := range []struct {
		query string
		rows  [][]any
		all   bool // every row must have been changed
	}{
		{q.IdentityAppend, b.identities, true},
		{q.FindingInsert, b.inserts, true},
		{q.FindingUpdate, b.updates, true},
		{q.DocPut, b.docs, false},
		{q.EventAppend, b.events, false},
	} {
		n, err := t.bulk(ctx, step.query, step.rows)
		if err != nil {
			return err
		}
		if step.all && n != int64(len(step.rows)) {
			return conflict("write findings")
		}
	}
	t.hints = append(t.hints, b.hints...)
	if err := b.search.run(ctx, t); err != nil {
		return err
	}
	return t.addBatchCounts(ctx, *b)
}

// rollup is the change of one table of counters.
type rollup struct {
	query string
	rows  [][]any
}

// addBatchCounts adds what b changed to the counters. All writers take the tables in
// this order, each in the order of its rows, so that they cannot wait for each other in
// a circle; those whose few rows every commit touches come last, and are held shortest.
func (t *tx) addBatchCounts(ctx context.Context, b batch) error {
	counts, controls, days := t.counts(b.delta), t.controlCounts(b.controls), t.dayCounts(dayOf(t.s.now()), b.days)
	for _, r := range []rollup{
		counts.each, controls.each, days.each,
		counts.accounts, days.accounts,
		counts.all, controls.all, days.all,
	} {
		if _, err := t.bulk(ctx, r.query, r.rows); err != nil {
			return err
		}
	}
	return nil
}

// rollups are the counters of one kind: by account and all else, by account alone, and
// of all accounts.
type rollups struct{ each, accounts, all rollup }

// counts gives what is added to the counters of findings.
func (t *tx) counts(delta map[kind]int64) rollups {
	// Without what the counter does not tell apart.
	sum := func(query string, part func(k kind) kind, row func(k kind, n int64) []any) rollup {
		sums := map[kind]int64{}
		for k, n := range delta {
			sums[part(k)] += n
		}
		r := rollup{query: query}
		for _, k := range slices.SortedFunc(maps.Keys(sums), kind.compare) {
			if sums[k] != 0 {
				r.rows = append(r.rows, row(k, sums[k]))
			}
		}
		return r
	}
	q := t.s.q
	return rollups{
		each: sum(q.CountAdd, func(k kind) kind { return k }, func(k kind, n int64) []any {
			return []any{k.account, k.region, k.control, k.severity, k.workflow, k.recordState, n}
		}),
		accounts: sum(q.CountAddAccount, func(k kind) kind { k.region, k.control = "", ""; return k }, func(k kind, n int64) []any {
			return []any{k.account, k.severity, k.workflow, k.recordState, n}
		}),
		all: sum(q.CountAddKind, func(k kind) kind { k.account = ""; return k }, func(k kind, n int64) []any {
			return []any{k.region, k.control, k.severity, k.workflow, k.recordState, n}
		}),
	}
}
