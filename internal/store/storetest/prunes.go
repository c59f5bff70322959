package storetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/store"
)

func pruneTests() []conformance {
	return []conformance{
		{"prune/delivered messages shrink", pruneDelivered},
		{"prune/everything else shrinks too", pruneAll},
		{"prune/findings go with all that is theirs", pruneFindings},
		{"prune/findings go in bounded transactions, and what is left is whole", pruneBounded},
		{"prune/no cutoff removes nothing", pruneNothing},
	}
}

func pruneDelivered(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for _, f := range []store.File{store.Findings, store.Execution} {
		ok(t, s.Enqueue(ctx, f, event("old")))
		ok(t, s.AckMessage(ctx, claim(t, s, f, 1)[0]))
	}
	clock(t, s).Advance(time.Hour)
	for _, f := range []store.File{store.Findings, store.Execution} {
		ok(t, s.Enqueue(ctx, f, event("new")))
		ok(t, s.Enqueue(ctx, f, event("waiting")))
		ok(t, s.AckMessage(ctx, claim(t, s, f, 1)[0]))
	}
	same(t, int64(2), must(s.PruneDelivered(ctx, Start().Add(time.Minute)))(t))
	same(t, int64(0), must(s.PruneDelivered(ctx, Start().Add(time.Minute)))(t))
	for _, f := range []store.File{store.Findings, store.Execution} {
		ok(t, s.Enqueue(ctx, f, event("old"))) // forgotten, so it is new
		ok(t, s.Enqueue(ctx, f, event("new"))) // remembered, so it is dropped
		same(t, []string{"waiting", "old"}, claimIDs(t, s, f))
	}
}

func pruneAll(t *testing.T, s *store.Store) {
	ctx := t.Context()
	half := Start().Add(30 * time.Minute)
	for round := range 2 {
		id := fmt.Sprint(round)
		for _, f := range []store.File{store.Findings, store.Execution} {
			ok(t, s.Enqueue(ctx, f, event("dead-"+id)))
			ok(t, s.DeadMessage(ctx, claim(t, s, f, 1)[0], "x"))
		}
		must(s.SeenSignature(ctx, id, clock(t, s).Now().Add(time.Minute)))(t)
		must(s.Heartbeat(ctx, "node-"+id, time.Second))(t)
		ok(t, s.PutTimer(ctx, store.Timer{ID: id, At: clock(t, s).Now()}))
		e := execution(1, 1)
		e.ID, e.EndedAt = "exe-"+id, clock(t, s).Now()
		ok(t, s.PutExecution(ctx, e))
		for seq := range 3 {
			ok(t, s.PutStep(ctx, store.Step{Execution: e.ID, Seq: seq}))
		}
		ok(t, s.AppendScriptCall(ctx, e.ID, "k", store.ScriptCall{N: 1}))
		must(s.PutBlob(ctx, store.ExecutionBlobs(e.ID), []byte("output of "+e.ID)))(t)
		clock(t, s).Advance(time.Hour)
	}
	running := execution(1, 1)
	running.ID = "exe-running"
	ok(t, s.PutExecution(ctx, running))
	c := store.Cutoffs{Dead: half, Nodes: half, Timers: half, Executions: half, Blobs: clock(t, s).Now()}
	same(t, store.Pruned{Dead: 2, Signatures: 1, Nodes: 1, Timers: 1, Steps: 3, Executions: 1, Blobs: 1}, must(s.Prune(ctx, c))(t))
	same(t, store.Pruned{}, must(s.Prune(ctx, c))(t))
	_, err := s.Execution(ctx, "exe-0")
	sentinel(t, err, store.ErrNotFound)
	same(t, 0, len(must(s.Steps(ctx, "exe-0"))(t)))
	same(t, 0, len(must(s.ScriptCalls(ctx, "exe-0", "k"))(t)))
	same(t, 3, len(must(s.Steps(ctx, "exe-1"))(t)))
	same(t, 1, len(must(s.ScriptCalls(ctx, "exe-1", "k"))(t)))
	must(s.Execution(ctx, "exe-running"))(t)
	same(t, []string{"node-1"}, must(s.DeadNodes(ctx, clock(t, s).Now()))(t))
	same(t, 1, len(must(s.DueTimers(ctx, clock(t, s).Now(), 9))(t)))
	same(t, 1, len(must(s.DeadMessages(ctx, store.Findings, 9))(t)))
}

func pruneFindings(t *testing.T, s *store.Store) {
	ctx := t.Context()
	fill(t, s, 30) // every third one is archived; updated 0 to 29 s after the start
	clock(t, s).Advance(time.Hour)
	fresh := store.FindingWrite{Record: Record(2), ExpectRev: 1} // archived, and written again just now
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{fresh}, nil, store.Effects{}))
	p := must(s.Prune(ctx, store.Cutoffs{Archived: Start().Add(20 * time.Second), Active: Start().Add(10 * time.Second)}))(t)
	// Archived before 20 s: 2, 5, 8, 11, 14, 17, without 2. Active before 10 s: 0, 1, 3, 4, 6, 7, 9.
	same(t, int64(5+7), p.Findings)
	all := everything(t, s)
	same(t, 30-12, len(all))
	var counted int64
	for _, c := range must(s.CountFindings(ctx, store.CountQuery{Accounts: store.AllAccounts(), GroupBy: []string{"record_state"}}))(t) {
		counted += c.N
	}
	same(t, int64(18), counted)
	history, _, err := s.FindingHistory(ctx, ID(0), 9, "")
	ok(t, err)
	same(t, 0, len(history))
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{Write(0)}, nil, store.Effects{})) // its identity is free again
	same(t, int64(1), readAll(t, s, 0)[ID(0)].Rev)
}

// pruneBounded ends the removal of 2,500 findings when a reader sees that it began: what
// was removed is a number of whole transactions of 1,000, or everything.
func pruneBounded(t *testing.T, s *store.Store) {
	const all = 2500
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var w []store.FindingWrite
	for i := range all {
		one := Write(i)
		one.Record.RecordState = "ARCHIVED"
		w = append(w, one)
	}
	ok(t, s.CommitFindings(ctx, w, nil, store.Effects{}))
	counted := func() (n int64) {
		for _, c := range must(s.CountFindings(t.Context(), store.CountQuery{Accounts: store.AllAccounts(), GroupBy: []string{"record_state"}}))(t) {
			n += c.N
		}
		return n
	}
	done := make(chan store.Pruned)
	go func() {
		p, _ := s.Prune(ctx, store.Cutoffs{Archived: Start().Add(1000 * time.Hour)}) // it may be ended
		done <- p
	}()
	for counted() == all {
		select {
		case p := <-done: // it was faster
			same(t, int64(all), p.Findings)
			return
		default:
		}
	}
	cancel()
	<-done
	left := counted()
	if removed := all - left; removed%1000 != 0 && removed != all {
		t.Errorf("%d were removed, which are no whole transactions", removed)
	}
	rows := 0
	cursor := ""
	for {
		page := must(s.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1000, Cursor: cursor}))(t)
		rows += len(page.Records)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	same(t, left, int64(rows))
}

func pruneNothing(t *testing.T, s *store.Store) {
	fill(t, s, 3)
	ok(t, s.Enqueue(t.Context(), store.Findings, event("a")))
	ok(t, s.AckMessage(t.Context(), claim(t, s, store.Findings, 1)[0]))
	clock(t, s).Advance(1000 * time.Hour)
	same(t, store.Pruned{}, must(s.Prune(t.Context(), store.Cutoffs{}))(t))
}
