package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// record is one thing that was done, sec seconds after the start.
func record(sec int, action string) store.AuditRecord {
	return store.AuditRecord{
		At: at.Add(time.Duration(sec) * time.Second), Actor: "alice", Action: action, Object: "rem-1",
		Detail: json.RawMessage(`{"b": 1.50, "a": "<é>", "nested": [{"z":null,"y":true}]}`),
	}
}

func enqueue(t *testing.T, s *store.Store, f store.File, records ...store.AuditRecord) {
	t.Helper()
	if err := s.Enqueue(t.Context(), f, store.Effects{Audit: records}); err != nil {
		t.Fatal(err)
	}
}

func appender(t *testing.T, s *store.Store, node string, clock service.Clock) *audit.Appender {
	t.Helper()
	a, err := audit.New(audit.Config{Chain: s, Lease: s, Node: node, Clock: clock, Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// filled gives a store with a chain of n entries of both files.
func filled(t *testing.T, n int) *store.Store {
	t.Helper()
	s := storetest.SQLite(t)
	for i := range n {
		enqueue(t, s, []store.File{store.Findings, store.Execution}[i%2], record(i, fmt.Sprint("step.", i)))
	}
	got, err := appender(t, s, "n1", service.NewFixedClock(at)).Drain(t.Context())
	if err != nil || got != n {
		t.Fatalf("appended %d, %v; want %d", got, err, n)
	}
	return s
}

func entries(t *testing.T, s *store.Store) []store.AuditEntry {
	t.Helper()
	all, err := s.AuditEntries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRecordsOfBothFilesAreChainedInOrder(t *testing.T) {
	t.Parallel()
	s := filled(t, 10)
	var got []string
	for _, e := range entries(t, s) {
		got = append(got, fmt.Sprintf("%d %s/%d %s", e.Index, e.File, e.Seq, e.Action))
	}
	want := []string{
		"1 findings/1 step.0", "2 execution/1 step.1", "3 findings/2 step.2", "4 execution/2 step.3", "5 findings/3 step.4",
		"6 execution/3 step.5", "7 findings/4 step.6", "8 execution/4 step.7", "9 findings/5 step.8", "10 execution/5 step.9",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	n, err := appender(t, s, "n1", service.NewFixedClock(at)).Drain(t.Context())
	if err != nil || n != 0 {
		t.Errorf("a second drain appends %d, %v", n, err)
	}
	report, err := audit.Verify(t.Context(), s, nil)
	if err != nil || !report.OK || report.Entries != 10 || report.First != 1 || report.Head.Index != 10 {
		t.Errorf("report %+v, %v", report, err)
	}
	enqueue(t, s, store.Execution, record(11, "later"))
	if _, err := appender(t, s, "n1", service.NewFixedClock(at)).Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	// What was a good head stays a good checkpoint.
	again, err := audit.Verify(t.Context(), s, &report.Head)
	if err != nil || !again.OK || !again.Checked || again.Entries != 11 {
		t.Errorf("report %+v, %v", again, err)
	}
	head, ok, err := audit.Head(t.Context(), s)
	if err != nil || !ok || head != again.Head {
		t.Errorf("head %v, %v, %v", head, ok, err)
	}
}

func TestAnEmptyLogIsWhole(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	report, err := audit.Verify(t.Context(), s, nil)
	if diff := cmp.Diff(audit.Report{OK: true}, report); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	cut := audit.Checkpoint{Index: 1, Hash: strings.Repeat("0", 64)}
	if report, _ := audit.Verify(t.Context(), s, &cut); report.OK {
		t.Error("an emptied log passes against a checkpoint")
	}
}

// slice is a log in memory that a test can forge.
type slice []store.AuditEntry

func (s slice) AuditEntries(_ context.Context, after int64, n int) ([]store.AuditEntry, error) {
	i := 0
	if after > 0 {
		i = slices.IndexFunc(s, func(e store.AuditEntry) bool { return e.Index == after }) + 1
	}
	return s[i:min(len(s), i+n)], nil
}

func TestVerifyNamesTheFirstBrokenEntry(t *testing.T) {
	t.Parallel()
	good := entries(t, filled(t, 6))
	head := audit.Checkpoint{Index: 6, Hash: good[5].Hash}
	rehash := func(s slice, from int) slice {
		for i := from; i < len(s); i++ {
			if i > 0 {
				s[i].PrevHash = s[i-1].Hash
			}
			var err error
			if s[i].Hash, err = audit.Hash(s[i]); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	for name, tc := range map[string]struct {
		forge      func(s slice) slice
		checkpoint *audit.Checkpoint
		index      int64
		reason     string
	}{
		"actor altered":   {func(s slice) slice { s[2].Actor = "mallory"; return s }, nil, 3, "altered"},
		"time altered":    {func(s slice) slice { s[2].At = s[2].At.Add(time.Nanosecond); return s }, nil, 3, "altered"},
		"detail altered":  {func(s slice) slice { s[2].Detail = json.RawMessage(`{"a":2}`); return s }, nil, 3, "altered"},
		"detail repeated": {func(s slice) slice { s[2].Detail = json.RawMessage(`{"a":"x",` + string(s[2].Detail[1:])); return s }, nil, 3, "altered"},
		"detail broken":   {func(s slice) slice { s[2].Detail = json.RawMessage(`{`); return s }, nil, 3, "hash audit record"},
		"row altered":     {func(s slice) slice { s[2].Seq = 99; return s }, nil, 3, "altered"},
		"file altered":    {func(s slice) slice { s[2].File = store.Execution; return s }, nil, 3, "altered"},
		"hash altered":    {func(s slice) slice { s[2].Hash = strings.Repeat("0", 64); return s }, nil, 3, "altered"},
		"link altered":    {func(s slice) slice { s[2].PrevHash = strings.Repeat("0", 64); return s }, nil, 3, "not that of entry 2"},
		"replaced":        {func(s slice) slice { s[2].Actor = "mallory"; s[2].Hash, _ = audit.Hash(s[2]); return s }, nil, 4, "not that of entry 3"},
		"one removed":     {func(s slice) slice { return slices.Delete(s, 2, 3) }, nil, 4, "entry 3 is missing"},
		"two removed":     {func(s slice) slice { return slices.Delete(s, 2, 4) }, nil, 5, "entries 3 to 4 are missing"},
		"first removed":   {func(s slice) slice { return s[1:] }, nil, 2, "entry 1 is missing"},
		"doubled":         {func(s slice) slice { return slices.Insert(s, 3, s[2]) }, nil, 3, "twice"},
		"exchanged":       {func(s slice) slice { s[1], s[2] = s[2], s[1]; return s }, nil, 3, "entry 2 is missing"},
		"tail removed":    {func(s slice) slice { return s[:4] }, &head, 6, "ends with entry 4"},
		"chain rewritten": {func(s slice) slice { s[1].Actor = "mallory"; return rehash(s, 1) }, &head, 6, "rewritten"},
		"other checkpoint": {
			func(s slice) slice { return s },
			&audit.Checkpoint{Index: 2, Hash: strings.Repeat("a", 64)}, 2, "rewritten",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forged := tc.forge(slices.Clone(good))
			report, err := audit.Verify(t.Context(), forged, tc.checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, report, tc.index, tc.reason)
			var out bytes.Buffer
			if _, err := audit.Export(t.Context(), forged, &out); err != nil {
				if name != "detail broken" && name != "doubled" && name != "exchanged" {
					t.Fatal(err)
				}
				return
			}
			if name == "doubled" || name == "exchanged" {
				return // the forged reader cannot page through these
			}
			report, err = audit.VerifyExport(&out, tc.checkpoint)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, report, tc.index, tc.reason)
		})
	}
}

func judge(t *testing.T, r audit.Report, index int64, reason string) {
	t.Helper()
	if r.OK || r.Broken == nil || r.Broken.Index != index || !strings.Contains(r.Broken.Error(), reason) {
		t.Errorf("broken is %+v, want entry %d: %s", r.Broken, index, reason)
	}
}

func TestExportIsVerifiedAlone(t *testing.T) {
	t.Parallel()
	s := filled(t, 7)
	var out bytes.Buffer
	head, err := audit.Export(t.Context(), s, &out)
	if err != nil || head.Index != 7 {
		t.Fatal(head, err)
	}
	text := out.String()
	report, err := audit.VerifyExport(strings.NewReader(text), &head)
	if err != nil || !report.OK || !report.Checked || report.Entries != 7 || report.Head != head {
		t.Errorf("report %+v, %v", report, err)
	}
	// Another order of members and more white space is the same record.
	var lines []string
	for line := range strings.Lines(text) {
		var m map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.ReplaceAll(string(raw), `,"`, ` , "`))
	}
	if report, err := audit.VerifyExport(strings.NewReader(strings.Join(lines, "\n\n")), &head); err != nil || !report.OK {
		t.Errorf("reordered members: %+v, %v", report.Broken, err)
	}
	first, _, _ := strings.Cut(text, "\n")
	for name, forged := range map[string]string{
		"no JSON":       "nonsense",
		"extra member":  strings.Replace(first, `{"index"`, `{"note":"x","index"`, 1),
		"member twice":  strings.Replace(first, `{"index":1`, `{"index":9,"index":1`, 1),
		"other case":    strings.Replace(first, `{"index":1`, `{"Index":1`, 1),
		"record twice":  strings.Replace(first, `"actor":"alice"`, `"actor":"mallory","actor":"alice"`, 1),
		"more behind":   first + ` {"index":2}`,
		"other actor":   strings.Replace(first, "alice", "mallory", 1),
		"endless line":  `{"index":` + strings.Repeat(" ", 9<<20),
		"other instant": strings.Replace(first, "10:00:00Z", "11:00:00+01:00", 1),
	} {
		report, err := audit.VerifyExport(strings.NewReader(forged), nil)
		if err != nil || report.OK == (name != "other instant") {
			t.Errorf("%s: report %+v, %v", name, report.Broken, err)
		}
	}
}

func TestOneNodeAppends(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	clock := service.NewFixedClock(at)
	a, b := appender(t, s, "a", clock), appender(t, s, "b", clock)
	enqueue(t, s, store.Execution, record(1, "one"))
	if n, err := a.Drain(t.Context()); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	enqueue(t, s, store.Execution, record(2, "two"))
	if n, err := b.Drain(t.Context()); err != nil || n != 0 {
		t.Errorf("the node without the lease appends %d, %v", n, err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, store.Execution, record(3, "three"))
	if n, err := b.Drain(t.Context()); err != nil || n != 1 {
		t.Errorf("after a clean stop the other node appends %d, %v", n, err)
	}
	if report, err := audit.Verify(t.Context(), s, nil); err != nil || report.Entries != 3 || !report.OK {
		t.Errorf("report %+v, %v", report, err)
	}
}

func TestTheServiceAppendsByItself(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	seen := &watched{Chain: s, appended: make(chan int, 10)}
	a, err := audit.New(audit.Config{Chain: seen, Lease: s, Node: "a", Clock: service.NewFixedClock(at), Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, store.Findings, record(1, "before the start"))
	for range 2 {
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-seen.appended; n != 1 {
		t.Errorf("appended %d at the start, want 1", n)
	}
	enqueue(t, s, store.Execution, record(2, "woken"))
	a.Wake()
	if n := <-seen.appended; n != 1 {
		t.Errorf("appended %d after the wake-up, want 1", n)
	}
	enqueue(t, s, store.Execution, record(3, "at the stop"))
	for range 2 {
		if err := a.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := <-seen.appended; n != 1 {
		t.Errorf("appended %d at the stop, want 1", n)
	}
}

// watched tells of appends, and fails them as told.
type watched struct {
	audit.Chain
	appended chan int
	fail     []error
}

func (w *watched) AppendAudit(ctx context.Context, entries []store.AuditEntry) error {
	if len(w.fail) > 0 {
		err := w.fail[0]
		w.fail = w.fail[1:]
		return err
	}
	err := w.Chain.AppendAudit(ctx, entries)
	if err == nil && w.appended != nil {
		w.appended <- len(entries)
	}
	return err
}

func TestAnotherAppenderWasFaster(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fail []error
		want int
	}{
		"away":            {fail: []error{errors.New("disk is gone")}},
		"always faster":   {fail: slices.Repeat([]error{store.ErrConflict}, 9)},
		"faster at first": {fail: slices.Repeat([]error{store.ErrConflict}, 2), want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := storetest.SQLite(t)
			enqueue(t, s, store.Execution, record(1, "one"))
			a, err := audit.New(audit.Config{Chain: &watched{Chain: s, fail: tc.fail}, Lease: s, Node: "a", Clock: service.NewFixedClock(at)})
			if err != nil {
				t.Fatal(err)
			}
			if n, err := a.Drain(t.Context()); n != tc.want || (err == nil) != (tc.want > 0) {
				t.Errorf("appended %d, %v; want %d", n, err, tc.want)
			}
			if n := len(entries(t, s)); n != tc.want {
				t.Errorf("%d entries, want %d", n, tc.want)
			}
		})
	}
}

// TestTwoAppendersWithoutALease race each other; the store lets each entry in once.
func TestTwoAppendersWithoutALease(t *testing.T) {
	t.Parallel()
	s := storetest.SQLite(t)
	for i := range 40 {
		enqueue(t, s, []store.File{store.Findings, store.Execution}[i%2], record(i, fmt.Sprint("step.", i)))
	}
	done := make(chan error, 2)
	for _, node := range []string{"a", "b"} {
		a, err := audit.New(audit.Config{Chain: s, Lease: everyone{}, Node: node, Clock: service.NewFixedClock(at), Batch: 2})
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for { // a conflict too many ends a drain; the next poll goes on
				if _, err := a.Drain(t.Context()); !errors.Is(err, store.ErrConflict) {
					done <- err
					return
				}
			}
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	report, err := audit.Verify(t.Context(), s, nil)
	if err != nil || !report.OK || report.Entries != 40 {
		t.Errorf("report %+v, %v", report, err)
	}
}

// everyone gives the lease to all who ask.
type everyone struct{}

func (everyone) AcquireLease(context.Context, string, string, time.Duration) (bool, error) {
	return true, nil
}

func (everyone) ReleaseLease(context.Context, string, string) error { return nil }

func TestCheckpointsAreReadBack(t *testing.T) {
	t.Parallel()
	want := audit.Checkpoint{Index: 42, Hash: strings.Repeat("ab", 32)}
	got, err := audit.ParseCheckpoint(" " + want.String() + "\n")
	if err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, s := range []string{"", "42", "42:", "0:" + want.Hash, "x:" + want.Hash, "42:" + want.Hash[1:], "42:" + strings.Repeat("z", 64)} {
		if _, err := audit.ParseCheckpoint(s); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%q gives %v", s, err)
		}
	}
}

// TestHashIsPinned holds the form of the hash: an installation's old chains must
// verify for ever.
func TestHashIsPinned(t *testing.T) {
	t.Parallel()
	e := store.AuditEntry{Index: 1, File: store.Findings, Seq: 7, AuditRecord: record(0, "finding.updated")}
	got, err := audit.Hash(e)
	if err != nil {
		t.Fatal(err)
	}
	const want = "dfd255adb09cfe47426344225726d0942fc187042e346d2a9a1b7304db3c55df"
	if got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func FuzzVerifyExport(f *testing.F) {
	r := record(1, "x")
	e := store.AuditEntry{Index: 1, File: store.Findings, Seq: 1, AuditRecord: r}
	e.Hash, _ = audit.Hash(e)
	var out bytes.Buffer
	if _, err := audit.Export(context.Background(), slice{e}, &out); err != nil {
		f.Fatal(err)
	}
	f.Add(out.Bytes())
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		report, err := audit.VerifyExport(bytes.NewReader(raw), nil)
		if err == nil && report.OK == (report.Broken != nil) {
			t.Errorf("report %+v is neither whole nor broken", report)
		}
	})
}
