package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

// Differential gives the same random operations to a and b and compares every
// answer. What may differ is left out: row numbers, and the text of cursors.
func Differential(t *testing.T, a, b *store.Store, seed uint64, steps int) {
	t.Helper()
	x, y := newWalker(t, a, seed), newWalker(t, b, seed)
	for i := range steps {
		name, want := x.step(t.Context())
		_, got := y.step(t.Context())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("step %d of seed %d, %s: %s -, %s +:\n%s", i, seed, name, a.Dialect(), b.Dialect(), diff)
		}
	}
}

// walker makes one store's half of a differential test. Two walkers with the
// same seed and the same answers make the same operations.
type walker struct {
	t      *testing.T
	s      *store.Store
	r      *rand.Rand
	n      int
	revs   map[int]int64 // of findings, as this walker believes
	claims []store.Delivery
	cursor string
	query  store.FindingQuery
}

func newWalker(t *testing.T, s *store.Store, seed uint64) *walker {
	return &walker{t: t, s: s, r: rand.New(rand.NewPCG(seed, 7)), revs: map[int]int64{}}
}

// answer prints what an operation gave, the error by its code.
func answer(v any, err error) []string {
	out := []string{string(fault.CodeOf(err))}
	raw, merr := json.MarshalIndent(v, "", " ")
	if merr != nil {
		return append(out, merr.Error())
	}
	return append(out, strings.Split(string(raw), "\n")...)
}

func (w *walker) step(ctx context.Context) (string, []string) {
	w.n++
	ops := []struct {
		name string
		run  func(context.Context) []string
	}{
		{"commit", w.commit},
		{"commit", w.commit},
		{"commit", w.commit},
		{"read", w.read},
		{"query", w.page},
		{"query", w.page},
		{"count", w.count},
		{"group", w.group},
		{"trends", w.trends},
		{"history", w.history},
		{"inbox", w.inbox},
		{"enqueue", w.enqueue},
		{"claim", w.claim},
		{"settle", w.settle},
		{"time", w.time},
		{"remediation", w.remediation},
		{"approval", w.approval},
		{"change", w.change},
		{"lease", w.lease},
		{"timer", w.timer},
		{"signature", w.signature},
		{"prune", w.prune},
	}
	op := ops[w.r.IntN(len(ops))]
	return op.name, op.run(ctx)
}

func (w *walker) commit(ctx context.Context) []string {
	var writes []store.FindingWrite
	for range 1 + w.r.IntN(5) {
		i := w.r.IntN(40)
		one := Write(i)
		one.ExpectRev = w.revs[i]
		if w.r.IntN(12) == 0 {
			one.ExpectRev++ // stale
		}
		one.Record.Workflow = []string{"NEW", "NOTIFIED", "SUPPRESSED"}[w.r.IntN(3)]
		one.Record.Title = fmt.Sprintf("Ünïcode %d \x00", w.r.IntN(5))
		one.Record.UpdatedAt = Start().Add(time.Duration(w.r.IntN(20)) * time.Second)
		writes = append(writes, one)
	}
	err := w.s.CommitFindings(ctx, writes, nil, event(fmt.Sprintf("commit-%d", w.r.IntN(200))))
	if err == nil {
		for i := range 40 {
			for _, one := range writes {
				if one.Record.ID == ID(i) {
					w.revs[i]++
				}
			}
		}
	}
	return answer(nil, err)
}

func plain(r store.FindingRecord) string { return fmt.Sprintf("%+v %s %s", r.ID, r.Doc, fields(r)) }

func fields(r store.FindingRecord) string {
	r.Doc, r.Original = nil, nil
	raw, err := json.Marshal(r)
	return fmt.Sprint(string(raw), err)
}

func (w *walker) read(ctx context.Context) []string {
	records, err := w.s.Findings(ctx, ids(w.r.IntN(40), w.r.IntN(40), w.r.IntN(40)))
	out := answer(nil, err)
	for _, r := range records {
		out = append(out, plain(r))
	}
	slices.Sort(out)
	return out
}

// page goes on with the last query, or begins another.
func (w *walker) page(ctx context.Context) []string {
	fresh := w.r.IntN(3) == 0
	q := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1 + w.r.IntN(8)}
	for range w.r.IntN(3) {
		q.Where = append(q.Where, randomCondition(w.r, 2))
	}
	for _, c := range []string{"updated_at", "title", "severity_normalized"}[:w.r.IntN(3)] {
		q.Sort = append(q.Sort, store.SortKey{Column: c, Descending: w.r.IntN(2) == 0})
	}
	if fresh || w.cursor == "" {
		w.query, w.cursor = q, ""
	}
	w.query.Cursor = w.cursor
	page, err := w.s.QueryFindings(ctx, w.query)
	w.cursor = page.Next
	out := append(answer(nil, err), fmt.Sprint(page.Next != ""))
	for _, r := range page.Records {
		out = append(out, plain(r))
	}
	return out
}

func (w *walker) count(ctx context.Context) []string {
	all := []string{"account", "region", "control", "severity", "workflow", "record_state"}
	w.r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return answer(w.s.CountFindings(ctx, store.CountQuery{Accounts: store.AllAccounts(), GroupBy: all[:w.r.IntN(4)]}))
}

func (w *walker) group(ctx context.Context) []string {
	by := []string{"ResourceId", "ResourceType", "SeverityLabel", "Title", "ProductName", "control"}[w.r.IntN(6)]
	q := store.GroupQuery{Accounts: store.AllAccounts(), By: by, Limit: 1 + w.r.IntN(20)}
	for range w.r.IntN(3) {
		q.Where = append(q.Where, randomCondition(w.r, 2))
	}
	return answer(w.s.GroupFindings(ctx, q))
}

func (w *walker) trends(ctx context.Context) []string {
	q := store.TrendQuery{Accounts: store.AllAccounts(), Days: 1 + w.r.IntN(5), GroupBy: []string{"", "account", "control", "severity"}[w.r.IntN(4)]}
	if w.r.IntN(2) == 0 {
		q.Accounts = []string{"111111111110", "111111111112"}
	}
	t, err := w.s.FindingTrends(ctx, q)
	out := answer(nil, err)
	for _, g := range t.Groups() {
		out = append(out, fmt.Sprintf("%q %+v", g, t.Points(g)))
	}
	return out
}

func (w *walker) history(ctx context.Context) []string {
	entries, next, err := w.s.FindingHistory(ctx, ID(w.r.IntN(40)), 1+w.r.IntN(5), "")
	return append(answer(entries, err), fmt.Sprint(next != ""))
}

func (w *walker) inbox(ctx context.Context) []string {
	if w.r.IntN(2) == 0 {
		return answer(nil, w.s.AppendInbox(ctx, []store.InboxItem{item(w.n), item(w.n + 1)}))
	}
	rows, err := w.s.PeekInbox(ctx, 1+w.r.IntN(3))
	if err != nil {
		return answer(nil, err)
	}
	var seqs []int64
	var out []string
	for _, r := range rows {
		seqs = append(seqs, r.Seq)
		out = append(out, fmt.Sprintf("%+v", r.InboxItem))
	}
	depth, err := w.s.InboxDepth(ctx)
	out = append(out, answer(depth, err)...)
	return append(out, answer(nil, w.s.CommitFindings(ctx, nil, seqs, store.Effects{}))...)
}

func (w *walker) file() store.File {
	return []store.File{store.Findings, store.Execution}[w.r.IntN(2)]
}

func (w *walker) enqueue(ctx context.Context) []string {
	eff := event(fmt.Sprintf("message-%d", w.r.IntN(60)))
	eff.Outbox[0].Topic = []string{store.TopicEvent, store.TopicPlan}[w.r.IntN(2)]
	return answer(nil, w.s.Enqueue(ctx, w.file(), eff))
}

func shown(all []store.Delivery) []string {
	var out []string
	for _, d := range all {
		out = append(out, fmt.Sprintf("%s %s %s %s %d %d %s", d.ID, d.Topic, d.Payload, d.File, d.Attempts, d.Claim, d.Since))
	}
	return out
}

func (w *walker) claim(ctx context.Context) []string {
	got, err := w.s.ClaimMessages(ctx, w.file(), []string{store.TopicEvent, store.TopicPlan}[:1+w.r.IntN(2)], 1+w.r.IntN(4), "node", time.Minute)
	w.claims = append(w.claims, got...)
	return append(answer(nil, err), shown(got)...)
}

func (w *walker) settle(ctx context.Context) []string {
	choice, at := w.r.IntN(4), w.r.IntN(1000)
	if len(w.claims) == 0 {
		return nil
	}
	d := w.claims[at%len(w.claims)]
	switch choice {
	case 0:
		return answer(nil, w.s.RetryMessage(ctx, d, w.s.Clock().Now().Add(time.Duration(at)*time.Millisecond), "later"))
	case 1:
		return answer(nil, w.s.DeadMessage(ctx, d, "never"))
	case 2:
		dead, err := w.s.DeadMessages(ctx, d.File, 5)
		out := answer(nil, err)
		for _, m := range dead {
			out = append(out, shown([]store.Delivery{m.Delivery})...)
			out = append(out, m.Reason, m.DiedAt.String())
		}
		if len(dead) > 0 {
			out = append(out, answer(nil, w.s.RequeueDead(ctx, d.File, dead[0].Seq))...)
		}
		return out
	}
	return answer(nil, w.s.AckMessage(ctx, d))
}

func (w *walker) time(context.Context) []string {
	d := time.Duration(w.r.IntN(90)) * time.Second
	if w.r.IntN(8) == 0 {
		d += 20 * time.Hour
	}
	clock(w.t, w.s).Advance(d)
	return nil
}

func (w *walker) remediation(ctx context.Context) []string {
	id := remediation.ID(fmt.Sprintf("rem-%d", w.r.IntN(8)))
	to := remediation.States()[w.r.IntN(len(remediation.States()))]
	r, p := Remediation(w.t, id)
	r.Account = fmt.Sprintf("11111111111%d", w.r.IntN(3))
	if w.r.IntN(2) == 0 {
		return answer(nil, w.s.CreateRemediation(ctx, r, &p, event(string(id))))
	}
	was, err := w.s.Remediation(ctx, id)
	out := answer(was, err)
	was.State = to
	out = append(out, answer(nil, w.s.UpdateRemediation(ctx, was, event(string(id)+string(to))))...)
	all, next, err := w.s.ListRemediations(ctx, store.RemediationFilter{Accounts: []string{r.Account}}, 3, "")
	return append(append(out, answer(all, err)...), fmt.Sprint(next != ""))
}

func (w *walker) approval(ctx context.Context) []string {
	r, _ := Remediation(w.t, remediation.ID(fmt.Sprintf("rem-%d", w.r.IntN(8))))
	a := approval(r)
	a.CreatedAt = w.s.Clock().Now()
	to := remediation.ApprovalStates()[w.r.IntN(5)]
	if w.r.IntN(2) == 0 {
		return answer(nil, w.s.CreateApproval(ctx, a, nil, event(a.ID)))
	}
	was, err := w.s.ApprovalFor(ctx, r.ID)
	out := answer(was, err)
	was.State = to
	out = append(out, answer(nil, w.s.UpdateApproval(ctx, was, nil, store.Effects{}))...)
	due, err := w.s.DueApprovals(ctx, w.s.Clock().Now(), 5)
	out = append(out, answer(due, err)...)
	all, next, err := w.s.ListApprovals(ctx, "", store.AllAccounts(), 3, "")
	return append(append(out, answer(all, err)...), fmt.Sprint(next != ""))
}

func (w *walker) change(ctx context.Context) []string {
	c := change(w.r.IntN(6))
	c.Outcome = []remediation.Outcome{remediation.Intended, remediation.Applied, remediation.Refused, remediation.Uncertain}[w.r.IntN(4)]
	if c.Outcome == remediation.Intended {
		return answer(nil, w.s.RecordIntent(ctx, c))
	}
	out := answer(nil, w.s.RecordOutcome(ctx, c))
	all, err := w.s.Changes(ctx, "rem-1")
	return append(out, answer(all, err)...)
}

func (w *walker) lease(ctx context.Context) []string {
	node := fmt.Sprint(w.r.IntN(3))
	epoch, err := w.s.Heartbeat(ctx, node, time.Minute)
	out := answer(epoch, err)
	held, err := w.s.AcquireLease(ctx, "l", node, 30*time.Second)
	out = append(out, answer(held, err)...)
	dead, err := w.s.DeadNodes(ctx, w.s.Clock().Now())
	return append(out, answer(dead, err)...)
}

func (w *walker) timer(ctx context.Context) []string {
	id, at := fmt.Sprint(w.r.IntN(5)), w.s.Clock().Now().Add(time.Duration(w.r.IntN(100))*time.Second)
	if w.r.IntN(2) == 0 {
		return answer(nil, w.s.PutTimer(ctx, store.Timer{ID: id, At: at}))
	}
	due, err := w.s.DueTimers(ctx, w.s.Clock().Now(), 3)
	return append(answer(due, err), answer(nil, w.s.DeleteTimer(ctx, id))...)
}

func (w *walker) signature(ctx context.Context) []string {
	return answer(w.s.SeenSignature(ctx, fmt.Sprint(w.r.IntN(10)), w.s.Clock().Now().Add(time.Duration(w.r.IntN(100))*time.Second)))
}

func (w *walker) prune(ctx context.Context) []string {
	before := w.s.Clock().Now().Add(-time.Duration(w.r.IntN(600)) * time.Second)
	if w.r.IntN(4) > 0 {
		before = time.Time{} // mostly keep
	}
	p, err := w.s.Prune(ctx, store.Cutoffs{Delivered: before, Dead: before, Nodes: before, Timers: before, Archived: before, Days: before})
	if p.Findings > 0 {
		for i := range 40 {
			if len(readAll(w.t, w.s, i)) == 0 {
				w.revs[i] = 0
			}
		}
	}
	return answer(p, err)
}

// Share lets two nodes work on one database at once: every message is handled by
// one of them, every finding written by one.
func Share(t *testing.T, one, two *store.Store) {
	t.Helper()
	const n = 200
	var eff store.Effects
	for i := range n {
		eff.Outbox = append(eff.Outbox, event(fmt.Sprint(i)).Outbox...)
	}
	ok(t, one.Enqueue(t.Context(), store.Execution, eff))
	var mu sync.Mutex
	handled, wrote := map[string]int{}, 0
	var wg sync.WaitGroup
	for _, s := range []*store.Store{one, two} {
		wg.Go(func() {
			for {
				got, err := s.ClaimMessages(t.Context(), store.Execution, []string{store.TopicEvent}, 9, "n", time.Minute)
				if err != nil {
					t.Errorf("claim: %v", err)
					return
				}
				mu.Lock()
				for _, d := range got {
					handled[d.ID]++
				}
				enough := len(handled) == n
				mu.Unlock()
				if enough {
					return
				}
			}
		})
		for round := range 20 {
			wg.Go(func() {
				var w []store.FindingWrite
				for i := range 10 {
					w = append(w, Write(round*10+i))
				}
				err := s.CommitFindings(t.Context(), w, nil, store.Effects{})
				if err != nil && !fault.Is(err, fault.Conflict) {
					t.Errorf("commit: %v", err)
				}
				if err == nil {
					mu.Lock()
					wrote++
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for id, times := range handled {
		if times != 1 {
			t.Errorf("message %s was claimed %d times", id, times)
		}
	}
	same(t, 20, wrote)
	same(t, int64(200), must(one.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts()}))(t)[0].N)
}
