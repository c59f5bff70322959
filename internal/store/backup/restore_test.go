package backup_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/backup"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
	"github.com/parry-security/parry/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func fatal(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		fatal(t, err)
		return v
	}
}

// opened opens the store of a target; close it before the target is replaced.
func opened(t *testing.T, target backup.Target, sealer store.Sealer) *store.Store {
	t.Helper()
	return openedAt(t, target, sealer, storetest.Start())
}

func openedAt(t *testing.T, target backup.Target, sealer store.Sealer, now time.Time) *store.Store {
	t.Helper()
	var s *store.Store
	var err error
	clock := service.NewFixedClock(now)
	if target.URL != "" {
		s, err = postgres.Open(t.Context(), postgres.Config{URL: target.URL, Sealer: sealer, Clock: clock, MaxConns: 3})
	} else {
		s, err = sqlite.Open(t.Context(), sqlite.Config{Dir: target.Dir, Sealer: sealer, Clock: clock})
	}
	fatal(t, err)
	t.Cleanup(func() { fatal(t, s.Close()) })
	fatal(t, s.Migrate(t.Context()))
	return s
}

// message is one of each topic that a stage reads.
func message(topic string) store.Effects {
	return store.Effects{Outbox: []store.Message{{ID: "m-" + topic, Topic: topic, Payload: json.RawMessage(`"x"`)}}}
}

// underWay fills s as it is when much is under way: a remediation in every state, the
// execution of one, approvals, messages of every topic, findings in the inbox.
func underWay(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	var w []store.FindingWrite
	for i := range 20 {
		w = append(w, storetest.Write(i))
	}
	fatal(t, s.CommitFindings(ctx, w, nil, store.Effects{}))
	for _, state := range remediation.States() {
		r, p := storetest.Remediation(t, remediation.ID("rem-"+string(state)))
		r.State = state
		fatal(t, s.CreateRemediation(ctx, r, &p, store.Effects{}))
	}
	fatal(t, s.RecordIntent(ctx, remediation.Change{
		ID: "chg-1", Remediation: "rem-verified", Call: storetest.Plan("rem-verified").Calls[0], Outcome: remediation.Intended, IntentAt: storetest.Start(),
	}))
	epoch := must(s.Heartbeat(ctx, "node-1", time.Minute))(t)
	for _, id := range []string{"exe-runs", "exe-ended"} {
		e := store.ExecutionRecord{ID: id, Remediation: "rem-running", Segment: 1, Status: "InProgress", State: []byte(`{}`), LeaseOwner: "node-1", LeaseEpoch: epoch, StartedAt: storetest.Start()}
		if id == "exe-ended" {
			e.Status, e.EndedAt = "Success", storetest.Start()
		}
		fatal(t, s.PutExecution(ctx, e))
	}
	fatal(t, s.PutTimer(ctx, store.Timer{ID: "exe-runs#2", At: storetest.Start(), Payload: []byte("x")}))
	for _, topic := range []string{"event", "rank", "inbox", "writeback"} {
		fatal(t, s.Enqueue(ctx, store.Findings, message(topic)))
	}
	for _, topic := range []string{"event", "plan", "approve", "execute", "wake", "verify", "annotate", "notify", store.TopicNotifyGroup} {
		fatal(t, s.Enqueue(ctx, store.Execution, message(topic)))
	}
	must(s.ClaimMessages(ctx, store.Execution, []string{"annotate", "notify"}, 9, "node-1", time.Hour))(t)
	fatal(t, s.AppendInbox(ctx, []store.InboxItem{{Source: "hub", Trusted: true, Finding: json.RawMessage(`{"Id":"waits"}`), ReceivedAt: storetest.Start()}}))
	for _, id := range []string{"PKONE", "PKTWO"} {
		fatal(t, s.PutKey(ctx, store.Key{AccessKeyID: id, Secret: store.Secret("secret-of-" + id), CreatedAt: storetest.Start()}, store.Effects{Audit: []store.AuditRecord{{At: storetest.Start(), Actor: "a", Action: "key.created", Object: id}}}))
	}
	fatal(t, s.RevokeKey(ctx, "PKTWO", store.Effects{}))
	for _, r := range []remediation.ID{"rem-awaiting_approval", "rem-queued"} {
		p := storetest.Plan(r)
		hash := must(p.Hash())(t)
		a := remediation.Approval{ID: "apr-" + string(r), Remediation: r, Plan: hash, Account: p.Account, State: remediation.ApprovalPending, Policy: "people", Quorum: 1, CreatedAt: storetest.Start(), ExpiresAt: storetest.Start().Add(time.Hour)}
		fatal(t, s.CreateApproval(ctx, a, nil, store.Effects{}))
	}
	chain(t, s)
}

// chain appends what waits in the audit outboxes.
func chain(t *testing.T, s *store.Store) {
	t.Helper()
	a := must(audit.New(audit.Config{Chain: s, Lease: s, Node: "node-1", Clock: s.Clock()}))(t)
	must(a.Drain(t.Context()))(t)
}

func written(t *testing.T, target backup.Target, sealer backup.Sealer, key []byte) string {
	t.Helper()
	d, err := target.Current(t.Context())
	fatal(t, err)
	path := filepath.Join(t.TempDir(), "x.backup")
	_, err = backup.Write(t.Context(), d, backup.Order{Path: path, Program: "test", Now: storetest.Start(), Sealer: sealer, Key: key})
	fatal(t, err, d.Close())
	return path
}

func under(sealer backup.Sealer) backup.Keyring {
	return func([]byte) (backup.Sealer, error) { return sealer, nil }
}

// restored is when the restores of these tests happen: long after the backup.
func restored() time.Time { return storetest.Start().Add(72 * time.Hour) }

func restore(t *testing.T, path string, target backup.Target, sealer backup.Sealer) (backup.Settled, error) {
	t.Helper()
	a, err := backup.Open(path, under(sealer))
	if err != nil {
		return backup.Settled{}, err
	}
	defer func() { fatal(t, a.Close()) }()
	if err := a.Verify(t.Context(), nil); err != nil {
		return backup.Settled{}, err
	}
	return backup.Restore(t.Context(), a, target, backup.Settings{Sealer: sealer, Clock: service.NewFixedClock(restored()), Actor: "test"})
}

// TestNothingGoesOnAfterARestore: what was under way is ended with its reason, nothing
// that waits would tell or start anything, and what is done with is as it was.
func TestNothingGoesOnAfterARestore(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(t *testing.T) backup.Target{
		"SQLite":     func(t *testing.T) backup.Target { return backup.Target{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) backup.Target { return backup.Target{Dir: t.TempDir(), URL: storetest.Postgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealer, from, to := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}, target(t)
			before := opened(t, from, sealer)
			underWay(t, before)
			path := written(t, from, sealer, nil)
			settled, err := restore(t, path, to, sealer)
			fatal(t, err)
			want := backup.Settled{Remediations: 6, Executions: 1, Approvals: 2, Messages: 10, Inbox: 1, Keys: 1}
			if diff := cmp.Diff(want, settled); diff != "" {
				t.Errorf("settled (-want +got):\n%s", diff)
			}
			s := openedAt(t, to, sealer, restored())
			states(t, s)
			quiet(t, s)
			kept(t, before, s)
			chained(t, s)
		})
	}
}

// TestAServerThatStartsMeanwhileKeepsItsDatabase: the leases are asked for again right
// before the copy takes the place of what is there, since a copy takes long.
func TestAServerThatStartsMeanwhileKeepsItsDatabase(t *testing.T) {
	t.Parallel()
	sealer, from := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}
	to := backup.Target{Dir: t.TempDir(), URL: storetest.Postgres(t)}
	before := opened(t, from, sealer)
	underWay(t, before)
	path := written(t, from, sealer, nil)
	server := openedAt(t, to, sealer, restored())
	fatal(t, server.CommitFindings(t.Context(), []store.FindingWrite{storetest.Write(77)}, nil, store.Effects{}))
	a := must(backup.Open(path, under(sealer)))(t)
	defer func() { fatal(t, a.Close()) }()
	started := false
	settings := backup.Settings{Sealer: sealer, Clock: service.NewFixedClock(restored()), Actor: "test", Progress: func(string, int64, int64) {
		if !started {
			started = true
			must(server.Heartbeat(t.Context(), "late", time.Minute))(t)
		}
	}}
	if _, err := backup.Restore(t.Context(), a, to, settings); !started || !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "1 node(s) of parry serve") || !strings.Contains(fault.HintOf(err), "wait ten seconds") {
		t.Fatalf("started %t: %v (%s)", started, err, fault.HintOf(err))
	}
	if got := must(server.Findings(t.Context(), []finding.ID{storetest.Write(77).Record.ID}))(t); len(got) != 1 {
		t.Errorf("the server's database was replaced: %v", got)
	}
	// It stopped, and its lease ran out.
	settings.Clock = service.NewFixedClock(restored().Add(2 * time.Minute))
	fatal(t, server.Close())
	must(backup.Restore(t.Context(), a, to, settings))(t)
	if got := must(openedAt(t, to, sealer, restored()).Findings(t.Context(), []finding.ID{storetest.Write(77).Record.ID}))(t); len(got) != 0 {
		t.Errorf("the restore replaced nothing: %v", got)
	}
}

// states: everything has ended, with its reason and the next command.
func states(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	want := map[remediation.State]remediation.State{
		remediation.Planned: remediation.Superseded, remediation.AwaitingApproval: remediation.Superseded, remediation.Queued: remediation.Superseded,
		remediation.Running: remediation.Failed, remediation.Verifying: remediation.Unverified, remediation.Undoing: remediation.Unverified,
	}
	for _, state := range remediation.States() {
		r := must(s.Remediation(ctx, remediation.ID("rem-"+string(state))))(t)
		to, moved := want[state]
		if !moved {
			to = state
		}
		if r.State != to || moved && (!strings.Contains(r.Reason, "restored from a backup of 2026-03-01T12:00:00Z while it was "+string(state)) || !strings.Contains(r.Hint, "parry finding remediate")) {
			t.Errorf("%s is %s: %s (%s)", r.ID, r.State, r.Reason, r.Hint)
		}
	}
	e := must(s.Execution(ctx, "exe-runs"))(t)
	if e.Status != "Failed" || e.EndedAt.IsZero() || !strings.Contains(e.Result.Failure, "restored from a backup") {
		t.Errorf("execution %+v", e)
	}
	if e := must(s.Execution(ctx, "exe-ended"))(t); e.Status != "Success" {
		t.Errorf("execution %+v", e)
	}
	pending, _, err := s.ListApprovals(ctx, remediation.ApprovalPending, store.AllAccounts(), 10, "")
	if err != nil || len(pending) != 0 {
		t.Errorf("pending approvals: %v %v", pending, err)
	}
	if on, reason, err := s.StopSwitch(ctx); !on || err != nil || !strings.Contains(reason, "parry stop off") {
		t.Errorf("stop switch %v %q %v", on, reason, err)
	}
	var at store.RestoredAt
	if fatal(t, s.SourceState(ctx, store.StateRestored, &at)); !at.At.Equal(restored()) || !at.MadeAt.Equal(storetest.Start()) {
		t.Errorf("restored %+v", at)
	}
}

// quiet: what is left in the outboxes is done to findings alone.
func quiet(t *testing.T, s *store.Store) {
	t.Helper()
	ctx := t.Context()
	all := []string{"event", "rank", "inbox", "writeback", "plan", "approve", "execute", "wake", "verify", "annotate", "notify"}
	var topics []string
	for _, f := range []store.File{store.Findings, store.Execution} {
		for _, d := range must(s.ClaimMessages(ctx, f, all, 50, "node-2", time.Minute))(t) {
			topics = append(topics, d.Topic)
		}
	}
	slices.Sort(topics)
	if diff := cmp.Diff([]string{"annotate", "inbox", "rank"}, topics); diff != "" {
		t.Errorf("topics that go on (-want +got):\n%s", diff)
	}
	dead := must(s.DeadMessages(ctx, store.Execution, 50))(t)
	if len(dead) != 8 || !strings.Contains(dead[0].Reason, "restored from a backup") {
		t.Errorf("set aside %+v", dead)
	}
	due := must(s.DueTimers(ctx, restored().AddDate(1, 0, 0), 9))(t)
	rows := must(s.PeekInbox(ctx, 9))(t)
	if len(due) != 0 || len(rows) != 1 || rows[0].Trusted || rows[0].Source != "hub" {
		t.Errorf("timers %v, inbox %+v", due, rows)
	}
}

// kept: findings, history, counters, keys and sealed before-images are as they were.
func kept(t *testing.T, before, after *store.Store) {
	t.Helper()
	ctx := t.Context()
	for _, s := range []*store.Store{before, after} {
		k := must(s.Key(ctx, "PKONE"))(t)
		if k.Secret.Reveal() != "secret-of-PKONE" {
			t.Errorf("secret %q", k.Secret.Reveal())
		}
	}
	want, got := must(before.Changes(ctx, "rem-verified"))(t), must(after.Changes(ctx, "rem-verified"))(t)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 1 || got[0].Call.Before == nil {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	query := store.FindingQuery{Accounts: store.AllAccounts(), Limit: 50}
	a, b := must(before.QueryFindings(ctx, query))(t), must(after.QueryFindings(ctx, query))(t)
	if diff := cmp.Diff(a.Records, b.Records, cmp.AllowUnexported(store.FindingRecord{})); diff != "" || len(b.Records) != 20 {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	count := store.CountQuery{Accounts: store.AllAccounts()}
	if diff := cmp.Diff(must(before.CountFindings(ctx, count))(t), must(after.CountFindings(ctx, count))(t)); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
	// A new finding gets a row of its own, and a message a number of its own.
	fatal(t, after.CommitFindings(ctx, []store.FindingWrite{storetest.Write(777)}, nil, message("after")))
}

// chained: the log goes on behind its last entry, and says why.
func chained(t *testing.T, s *store.Store) {
	t.Helper()
	chain(t, s)
	report := must(audit.Verify(t.Context(), s, nil))(t)
	if !report.OK || len(report.Restored) != 1 || report.Restored[0].Entries != report.Restored[0].Index-1 || !report.Restored[0].BackupMadeAt.Equal(storetest.Start()) {
		t.Errorf("report %+v", report)
	}
}

// repacked writes the archive at path again, member by member, as edit wants it.
func repacked(t *testing.T, path string, edit func(name string, raw []byte) (string, []byte)) string {
	t.Helper()
	in, err := zip.OpenReader(path)
	fatal(t, err)
	defer func() { fatal(t, in.Close()) }()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range in.File {
		raw, err := f.OpenRaw()
		fatal(t, err)
		data, err := io.ReadAll(raw)
		fatal(t, err)
		h := f.FileHeader
		name, changed := edit(f.Name, data)
		if name == "" {
			continue
		}
		h.Name, h.CompressedSize64 = name, uint64(len(changed))
		to, err := w.CreateRaw(&h)
		fatal(t, err)
		_, err = to.Write(changed)
		fatal(t, err)
	}
	fatal(t, w.Close())
	to := filepath.Join(t.TempDir(), "changed.backup")
	fatal(t, os.WriteFile(to, out.Bytes(), 0o600))
	return to
}

// TestADamagedBackupIsRefused before anything is touched, and says where.
func TestADamagedBackupIsRefused(t *testing.T) {
	t.Parallel()
	sealer, from := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}
	underWay(t, opened(t, from, sealer))
	path := written(t, from, sealer, nil)
	whole := must(os.ReadFile(path))(t)
	file := func(raw []byte) string {
		to := filepath.Join(t.TempDir(), "x.backup")
		fatal(t, os.WriteFile(to, raw, 0o600))
		return to
	}
	same := func(name string, raw []byte) (string, []byte) { return name, raw }
	if _, err := restore(t, repacked(t, path, same), backup.Target{Dir: t.TempDir()}, sealer); err != nil {
		t.Fatalf("repacking alone spoils it: %v", err)
	}
	for name, one := range map[string]struct {
		path, says string
	}{
		"nothing":         {file(nil), "cut off"},
		"another file":    {file([]byte(strings.Repeat("no backup at all ", 99))), "cut off"},
		"cut off":         {file(whole[:len(whole)-1000]), "cut off"},
		"half":            {file(whole[:len(whole)/2]), "cut off"},
		"a table cut out": {repacked(t, path, func(n string, raw []byte) (string, []byte) { return strings.TrimPrefix(n, "findings/finding_doc"), raw }), "table findings/finding_doc"},
		"a member too much": {repacked(t, path, func(n string, raw []byte) (string, []byte) {
			return strings.Replace(n, "findings/finding_doc", "../../etc/passwd", 1), raw
		}), "table findings/finding_doc"},
		"tables exchanged": {repacked(t, path, func(n string, raw []byte) (string, []byte) {
			switch n {
			case "execution/plan":
				return "execution/change_record", raw
			case "execution/change_record":
				return "execution/plan", raw
			}
			return n, raw
		}), "table execution/"},
		"another manifest": {repacked(t, path, func(n string, raw []byte) (string, []byte) {
			if n == "manifest.json" {
				raw = raw[:len(raw)-3]
			}
			return n, raw
		}), "manifest.json"},
		"without its code": {repacked(t, path, func(n string, raw []byte) (string, []byte) { return strings.TrimPrefix(n, "manifest.hmac"), raw }), "manifest.hmac"},
	} {
		to := backup.Target{Dir: t.TempDir()}
		_, err := restore(t, one.path, to, sealer)
		if err == nil || !strings.Contains(err.Error(), one.says) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v, want an error with %q and a hint", name, err, one.says)
		}
		if left, _ := os.ReadDir(to.Dir); len(left) > 0 {
			t.Errorf("%s: something was written: %v", name, left)
		}
	}
	_, err := restore(t, path, backup.Target{Dir: t.TempDir()}, storetest.Sealer(t))
	if !fault.Is(err, fault.Denied) || !strings.Contains(fault.HintOf(err), "data.key") {
		t.Errorf("under another key: %v (%s)", err, fault.HintOf(err))
	}
}

// TestNoFlippedByteGetsThrough: whichever byte of an archive is another, it is refused,
// unless it is one that nobody reads.
func TestNoFlippedByteGetsThrough(t *testing.T) {
	t.Parallel()
	sealer, from := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}
	underWay(t, opened(t, from, sealer))
	whole := must(os.ReadFile(written(t, from, sealer, nil)))(t)
	path := filepath.Join(t.TempDir(), "x.backup")
	step := max(1, len(whole)/600)
	refused, n := 0, 0
	for at := 0; at < len(whole); at += step {
		spoiled := slices.Clone(whole)
		spoiled[at] ^= 0x40
		fatal(t, os.WriteFile(path, spoiled, 0o600))
		n++
		a, err := backup.Open(path, under(sealer))
		if err == nil {
			err = errors.Join(a.Verify(t.Context(), nil), a.Close())
		}
		if err != nil {
			refused++
		}
	}
	// What nobody reads of the ZIP's headers may differ; all that was written has its
	// digest. In a small archive headers are a tenth.
	if refused < n*3/4 {
		t.Errorf("%d of %d were refused", refused, n)
	}
}

// TestABombIsRefused: a member that would unpack to more than the manifest says, and a
// manifest that says more than it can be.
func TestABombIsRefused(t *testing.T) {
	t.Parallel()
	sealer, from := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}
	opened(t, from, sealer)
	path := written(t, from, sealer, nil)
	zeros := filepath.Join(t.TempDir(), "x.backup")
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	in, err := zip.OpenReader(path)
	fatal(t, err)
	defer func() { fatal(t, in.Close()) }()
	for _, f := range in.File {
		if f.Name == "findings/finding" {
			to, err := w.Create(f.Name)
			fatal(t, err)
			for range 512 {
				_, err := to.Write(make([]byte, 1<<20))
				fatal(t, err)
			}
			continue
		}
		fatal(t, w.Copy(f))
	}
	fatal(t, w.Close(), os.WriteFile(zeros, out.Bytes(), 0o600))
	if _, err := restore(t, zeros, backup.Target{Dir: t.TempDir()}, sealer); err == nil || !strings.Contains(err.Error(), "table findings/finding") {
		t.Errorf("%v", err)
	}
	var many bytes.Buffer
	w = zip.NewWriter(&many)
	for i := range 70_000 {
		_, err := w.Create(fmt.Sprint(i))
		fatal(t, err)
	}
	fatal(t, w.Close(), os.WriteFile(zeros, many.Bytes(), 0o600))
	if _, err := restore(t, zeros, backup.Target{Dir: t.TempDir()}, sealer); err == nil || !strings.Contains(err.Error(), "the directory") {
		t.Errorf("%v", err)
	}
}

// TestSchemasOfOtherVersions: a newer one is refused, an older one is brought up.
func TestSchemasOfOtherVersions(t *testing.T) {
	t.Parallel()
	sealer, from := storetest.Sealer(t), backup.Target{Dir: t.TempDir()}
	s := opened(t, from, sealer)
	underWay(t, s)
	set := func(statement string) {
		db, err := sqlite.OpenFile(filepath.Join(from.Dir, "findings.db"), "immediate", 1, "busy_timeout(5000)")
		fatal(t, err)
		_, err = db.ExecContext(t.Context(), statement)
		fatal(t, err, db.Close())
	}
	set("UPDATE schema_version SET version_id = 4711 WHERE version_id = (SELECT MAX(version_id) FROM schema_version)")
	_, err := restore(t, written(t, from, sealer, nil), backup.Target{Dir: t.TempDir()}, sealer)
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "schema 4711 of findings") || fault.HintOf(err) == "" {
		t.Errorf("newer: %v", err)
	}
	// A schema that the rows do not fit, as of a program that was built otherwise.
	set("DELETE FROM schema_version WHERE version_id > 18")
	if _, err := restore(t, written(t, from, sealer, nil), backup.Target{Dir: t.TempDir()}, sealer); err == nil || !strings.Contains(err.Error(), "copy table findings/") {
		t.Errorf("mislabelled: %v", err)
	}
}

// FuzzArchive: no file makes the reader panic or take much room, and only what was
// written under the key is read.
func FuzzArchive(f *testing.F) {
	sealer := must2(seal.Parse([]byte("1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	dir := f.TempDir()
	path := filepath.Join(dir, "seed.backup")
	if s, err := sqlite.Open(f.Context(), sqlite.Config{Dir: dir, Sealer: sealer}); err == nil {
		err = errors.Join(s.Migrate(f.Context()), s.Close())
		d, openErr := backup.OpenSQLite(f.Context(), dir)
		if err = errors.Join(err, openErr); err != nil {
			f.Fatal(err)
		}
		if _, err := backup.Write(f.Context(), d, backup.Order{Path: path, Now: storetest.Start(), Sealer: sealer}); err != nil {
			f.Fatal(err)
		}
		_ = d.Close()
		raw, _ := os.ReadFile(path)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "x")
		fatal(t, os.WriteFile(path, raw, 0o600))
		a, err := backup.Open(path, under(sealer))
		if err != nil {
			return
		}
		_ = a.Verify(t.Context(), nil)
		fatal(t, a.Close())
	})
}

func must2[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
