package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func auditTests() []conformance {
	return []conformance{
		{"audit/records of both files become one chain", auditChain},
		{"audit/appending again does nothing", auditAgain},
		{"audit/the chain has no gap and no fork", auditGaps},
		{"audit/one of two appenders wins", auditRace},
	}
}

func record(i int) store.AuditRecord {
	return store.AuditRecord{At: Start().Add(time.Duration(i) * time.Nanosecond), Actor: "alice", Action: "approval.granted", Object: fmt.Sprint(i), Detail: json.RawMessage(fmt.Sprintf(`{"n":%d,"text":"a\u003cb"}`, i))}
}

func audit(t testing.TB, s *store.Store, f store.File, i int) {
	t.Helper()
	ok(t, s.Enqueue(t.Context(), f, store.Effects{Audit: []store.AuditRecord{record(i)}}))
}

// chain continues after last with rows; the hash is a stand-in.
func chain(last store.AuditEntry, rows ...store.AuditRow) []store.AuditEntry {
	var out []store.AuditEntry
	for _, r := range rows {
		last = store.AuditEntry{Index: last.Index + 1, PrevHash: last.Hash, Hash: fmt.Sprintf("%s<%s/%d", last.Hash, r.File, r.Seq), File: r.File, Seq: r.Seq, AuditRecord: r.AuditRecord}
		out = append(out, last)
	}
	return out
}

func auditChain(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, there, err := s.LastAudit(ctx)
	ok(t, err)
	same(t, false, there)
	audit(t, s, store.Findings, 1)
	audit(t, s, store.Execution, 2)
	audit(t, s, store.Findings, 3)
	var rows []store.AuditRow
	for _, f := range []store.File{store.Findings, store.Execution} {
		rows = append(rows, must(s.AuditPending(ctx, f, 10))(t)...)
	}
	same(t, []store.AuditRecord{record(1), record(3), record(2)}, []store.AuditRecord{rows[0].AuditRecord, rows[1].AuditRecord, rows[2].AuditRecord})
	entries := chain(store.AuditEntry{}, rows...)
	ok(t, s.AppendAudit(ctx, entries))
	for _, f := range []store.File{store.Findings, store.Execution} {
		same(t, 0, len(must(s.AuditPending(ctx, f, 10))(t)))
	}
	last, there, err := s.LastAudit(ctx)
	ok(t, err)
	same(t, true, there)
	same(t, entries[2], last)
	same(t, entries[1:], must(s.AuditEntries(ctx, 1, 10))(t))
	same(t, entries[:1], must(s.AuditEntries(ctx, 0, 1))(t))
	audit(t, s, store.Findings, 4)
	more := must(s.AuditPending(ctx, store.Findings, 10))(t)
	if more[0].Seq == rows[0].Seq || more[0].Seq == rows[1].Seq {
		t.Errorf("sequence number %d was used twice", more[0].Seq)
	}
	ok(t, s.AppendAudit(ctx, chain(last, more...)))
	ok(t, s.AppendAudit(ctx, nil))
}

func auditAgain(t *testing.T, s *store.Store) {
	ctx := t.Context()
	audit(t, s, store.Findings, 1)
	audit(t, s, store.Execution, 2)
	rows := append(must(s.AuditPending(ctx, store.Findings, 10))(t), must(s.AuditPending(ctx, store.Execution, 10))(t)...)
	entries := chain(store.AuditEntry{}, rows...)
	ok(t, s.AppendAudit(ctx, entries))
	ok(t, s.AppendAudit(ctx, entries))
	same(t, entries, must(s.AuditEntries(ctx, 0, 10))(t))
	other := chain(store.AuditEntry{}, rows...)
	other[0].Hash = "rewritten"
	sentinel(t, s.AppendAudit(ctx, other), store.ErrConflict)
	same(t, entries, must(s.AuditEntries(ctx, 0, 10))(t))
}

func auditGaps(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 3 {
		audit(t, s, store.Execution, i)
	}
	rows := must(s.AuditPending(ctx, store.Execution, 10))(t)
	ok(t, s.AppendAudit(ctx, chain(store.AuditEntry{}, rows[0])))
	last, _, err := s.LastAudit(ctx)
	ok(t, err)
	good := chain(last, rows[1], rows[2])
	for name, spoil := range map[string]func(e []store.AuditEntry){
		"a gap in the index":    func(e []store.AuditEntry) { e[0].Index++ },
		"a gap inside":          func(e []store.AuditEntry) { e[1].Index++ },
		"another previous hash": func(e []store.AuditEntry) { e[0].PrevHash = "x" },
		"a break inside":        func(e []store.AuditEntry) { e[1].PrevHash = "x" },
		"no hash":               func(e []store.AuditEntry) { e[1].Hash = "" },
	} {
		e := chain(last, rows[1], rows[2])
		spoil(e)
		if err := s.AppendAudit(ctx, e); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v, want conflict", name, err)
		}
	}
	foreign := chain(last, rows[1])
	foreign[0].File = "other"
	code(t, s.AppendAudit(ctx, foreign), fault.Invalid)
	same(t, 2, len(must(s.AuditPending(ctx, store.Execution, 10))(t)))
	ok(t, s.AppendAudit(ctx, good))
}

func auditRace(t *testing.T, s *store.Store) {
	const n = 6
	for i := range n {
		audit(t, s, store.Execution, i)
	}
	rows := must(s.AuditPending(t.Context(), store.Execution, n))(t)
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range n { // each begins the chain with another record
		wg.Go(func() {
			err := s.AppendAudit(t.Context(), chain(store.AuditEntry{}, rows[i]))
			if err == nil {
				won.Add(1)
			} else if !fault.Is(err, fault.Conflict) {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	same(t, int32(1), won.Load())
	same(t, 1, len(must(s.AuditEntries(t.Context(), 0, n))(t)))
	same(t, n-1, len(must(s.AuditPending(t.Context(), store.Execution, n))(t)))
}
