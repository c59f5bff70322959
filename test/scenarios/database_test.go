package scenarios_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store/backup"
)

// TestAnOldBackupDoesNothingAgain: a backup is made while the server works, with a plan
// that waits for people. After it the plan is approved and applied. The restored
// database knows none of that: nothing of it is sent or told again, and what was fixed
// before the backup can be undone from its sealed before-image.
func TestAnOldBackupDoesNothingAgain(t *testing.T) {
	t.Parallel()
	w := earth(t)
	postgres := func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} }
	sqlite := func(*testing.T) []func(document) { return nil }
	for name, one := range map[string]struct {
		from, to func(t *testing.T) []func(document)
	}{"SQLite": {sqlite, nil}, "PostgreSQL": {postgres, nil}, "SQLite into PostgreSQL": {sqlite, postgres}, "PostgreSQL into SQLite": {postgres, sqlite}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := w.install(t, one.from(t)...).serve(t)
			fixed, waits := w.bucket(t, "dev"), w.bucket(t, "prod")
			n.report(fixed, waits)
			n.fixed(fixed)
			n.await(waits, remediation.KindFix, remediation.AwaitingApproval)
			file := n.backup()
			n.grant(n.await(waits, remediation.KindFix, remediation.AwaitingApproval).ID)
			n.await(waits, remediation.KindFix, remediation.Verified)
			n.refusesRestore(file)
			n.stop()
			if one.to != nil {
				n.configured(w, one.to(t)...)
			}
			out := n.restored(file)
			if out.Ended.Remediations != 1 || out.Ended.Approvals != 1 || out.Ended.Keys != 3 {
				t.Errorf("restored %+v", out.Ended)
			}
			n.setAside(out.Ended.Messages)
			since, mails := w.now(), len(w.env.SMTP.Mails())
			n.start()
			time.Sleep(3 * time.Second) // what would go on by itself has begun by now
			for _, b := range []*bucket{fixed, waits} {
				if calls := b.calls("", since); len(calls) > 0 {
					t.Errorf("%s: %v after the restore", b.name, operations(calls))
				}
			}
			for _, m := range w.env.SMTP.Mails()[mails:] {
				for _, b := range []*bucket{fixed, waits} {
					if strings.Contains(m.Text(), b.name) {
						t.Errorf("mail after the restore: %s", m.Subject)
					}
				}
			}
			r := n.await(waits, remediation.KindFix, remediation.Superseded)
			if !strings.Contains(r.Reason, "restored from a backup") || !strings.Contains(r.Hint, "parry finding remediate") {
				t.Errorf("%s (%s)", r.Reason, r.Hint)
			}
			report, err := n.as("olga").VerifyAudit(t.Context())
			if err != nil || !report.OK || len(report.Restored) != 1 {
				t.Errorf("audit %+v %v", report, err)
			}
			n.stopSwitch(false)
			id := n.undo(fixed)
			n.approveUndo(fixed, id)
			n.reopened(fixed, id)
			w.judge(t, "original", fixed)
		})
	}
}

// summary is what parry db prints as JSON.
type summary struct {
	File  string         `json:"file"`
	Rows  int64          `json:"rows"`
	Ended backup.Settled `json:"ended"`
}

func (n *node) backup() string {
	n.t.Helper()
	out, err := n.parry(n.t, "", "db", "backup", n.dir, "-o", "json")
	if err != nil {
		n.t.Fatal(err)
	}
	file := decode[summary](n.t, out).File
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		n.t.Fatalf("%s: %v %v", file, info, err)
	}
	return file
}

// refusesRestore: not while a server runs.
func (n *node) refusesRestore(file string) {
	n.t.Helper()
	if out, err := n.parry(n.t, "", "db", "restore", file, "--replace"); err == nil {
		n.t.Fatalf("restored under a running server: %s", out)
	}
}

// configured writes the configuration anew.
func (n *node) configured(w *world, edits ...func(document)) {
	n.t.Helper()
	cfg := w.configuration()
	for _, edit := range edits {
		edit(cfg)
	}
	n.url, _ = cfg["database"].(string)
	n.write(n.t, cfg)
}

func (n *node) restored(file string) summary {
	n.t.Helper()
	out, err := n.parry(n.t, "", "db", "restore", file, "--replace", "-o", "json")
	if err != nil {
		n.t.Fatal(err)
	}
	return decode[summary](n.t, out)
}

// setAside: what a restore did not let go on is listed, with why.
func (n *node) setAside(want int) {
	n.t.Helper()
	raw, err := n.parry(n.t, "", "db", "undelivered", "-o", "json")
	if err != nil {
		n.t.Fatal(err)
	}
	list := decode[[]struct{ Topic, Reason string }](n.t, raw)
	if len(list) != want {
		n.t.Errorf("%d messages were set aside and %d are listed", want, len(list))
	}
	for _, m := range list {
		if m.Topic == "" || !strings.Contains(m.Reason, "restored from a backup of ") {
			n.t.Errorf("%+v", m)
		}
	}
}

// TestMoveSurvivesKills moves an installation to PostgreSQL with the program killed on
// its way, and goes on there.
func TestMoveSurvivesKills(t *testing.T) {
	t.Parallel()
	w := earth(t)
	n := w.install(t).serve(t)
	b := w.bucket(t, "dev")
	n.report(b)
	n.fixed(b)
	const many = 4000
	for at := 0; at < many; at += 100 {
		var findings []document
		for i := range 100 {
			f := asff(b, "PASSED", time.Now())
			f["Id"] = fmt.Sprintf("%s-%d", f["Id"], at+i)
			findings = append(findings, f)
		}
		n.importAll(findings)
	}
	poll(t, patience, func() string { return strings.Join(n.open(), "; ") }, func(context.Context) bool { return len(n.open()) == 0 })
	before := n.all()
	cfg := document{}
	w.onPostgres(t)(cfg)
	url, _ := cfg["database"].(string)
	if out, err := n.parry(t, "", "db", "move", "--to", url); err == nil {
		t.Fatalf("moved under a running server: %s", out)
	}
	n.stop()
	seed := fromEnv(t, envSeed, uint64(time.Now().UnixNano())) //nolint:gosec // it is positive
	kills := n.move(url, rand.New(rand.NewPCG(seed, 5)))       //nolint:gosec // repeatable
	t.Logf("%d kills, %s=%d", kills, envSeed, seed)
	if out, err := n.parry(t, "", "key", "list"); err == nil || !strings.Contains(err.Error(), "moved to PostgreSQL") {
		t.Errorf("the old files are still used: %s %v", out, err)
	}
	n.configured(w, func(cfg document) { cfg["database"] = url })
	n.start()
	after := n.all()
	if len(before) < many || len(after) != len(before) {
		t.Errorf("%d findings, were %d", len(after), len(before))
	}
	for id, text := range before {
		if after[id] != text {
			t.Errorf("%s is %q, was %q", id, after[id], text)
		}
	}
	id := n.undo(b)
	n.approveUndo(b, id)
	n.reopened(b, id)
	w.judge(t, "original", b)
}

// move runs parry db move until it ends, killed ten times on the way if it lives so
// long, and gives how often it was.
func (n *node) move(url string, random *rand.Rand) (kills int) {
	n.t.Helper()
	for range 40 {
		ctx, kill := context.WithCancel(n.t.Context())
		cmd := exec.CommandContext(ctx, n.program, "db", "move", "--to", url, "--config", n.config, "-o", "json")
		cmd.Dir, cmd.Env = n.dir, os.Environ()
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		var killed *time.Timer
		if kills < 10 {
			killed = time.AfterFunc(time.Duration(50+random.IntN(400*(kills+1)))*time.Millisecond, kill)
		}
		out, err := cmd.Output()
		kill()
		if killed != nil {
			killed.Stop()
		}
		var ended *exec.ExitError
		switch {
		case err == nil:
			moved := decode[backup.Moved](n.t, out)
			n.t.Logf("moved %d rows, %d of them in the last run", moved.Rows, moved.Copied)
			return kills
		case errors.As(err, &ended) && ended.ExitCode() == -1:
			kills++
		case errors.As(err, &ended) && strings.Contains(string(ended.Stderr), "not empty"):
			return kills // it was killed after its last step
		default:
			n.t.Fatalf("%v: %s", err, ended.Stderr)
		}
	}
	n.t.Fatal("the move does not come to its end")
	return kills
}

// all gives what is listed of every finding, by id.
func (n *node) all() map[string]string {
	n.t.Helper()
	all := map[string]string{}
	paging := client.Paging{Limit: 200}
	for {
		page, err := n.as("olga").Findings(n.t.Context(), client.FindingFilter{}, paging)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, f := range page.Items {
			text, err := yaml.Marshal(f)
			if err != nil {
				n.t.Fatal(err)
			}
			all[f.ID] = string(text)
		}
		if paging.Cursor = page.Next; paging.Cursor == "" {
			return all
		}
	}
}
