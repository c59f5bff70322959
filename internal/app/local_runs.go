package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// LocalRun is a run of a document that a process started with its own credentials.
type LocalRun struct {
	Execution remediation.Execution
	// Remediation has no ID while the run waits for its plan.
	Remediation remediation.Remediation
	dir         string
}

// Unfinished reports whether there is something left to do: people have to answer,
// or the process that carried it out was ended.
func (r LocalRun) Unfinished() bool {
	if r.Remediation.ID == "" {
		return r.Execution.EndedAt.IsZero()
	}
	return !r.Remediation.State.Final()
}

// LocalRuns are the runs of one data directory.
type LocalRuns struct {
	// Runs has the latest started first, at most maxListed of each process's directory.
	Runs []LocalRun
	// Busy counts the processes that run documents there now. What they run is not
	// among Runs: their directories are theirs.
	Busy int
}

// maxListed bounds the runs of one directory that are listed.
const maxListed = 200

// ListLocal gives the runs that processes started in cfg's data directory. It asks
// nothing of AWS and changes nothing.
func ListLocal(ctx context.Context, cfg config.Config) (LocalRuns, error) {
	var all LocalRuns
	for n := range maxLocal {
		dir := localDir(cfg.DataDir, n)
		if _, err := os.Stat(filepath.Join(dir, "execution.db")); err != nil {
			continue // never used, or removed
		}
		runs, err := listLocal(ctx, cfg, dir)
		if fault.Is(err, fault.Conflict) {
			all.Busy++
			continue
		}
		if err != nil {
			return all, err
		}
		all.Runs = append(all.Runs, runs...)
	}
	slices.SortStableFunc(all.Runs, func(a, b LocalRun) int { return b.Execution.StartedAt.Compare(a.Execution.StartedAt) })
	return all, nil
}

// localDir is the directory of the n-th process that runs documents at once.
func localDir(base string, n int) string {
	if n == 0 {
		return filepath.Join(base, "local")
	}
	return filepath.Join(base, fmt.Sprintf("local-%d", n))
}

func listLocal(ctx context.Context, cfg config.Config, dir string) ([]LocalRun, error) {
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer lock.unlock()
	cfg.DataDir, cfg.Database = dir, ""
	s, _, err := OpenStore(ctx, cfg, service.SystemClock{})
	if err != nil {
		return nil, err
	}
	out, err := runsIn(ctx, s, dir)
	if closing := s.Close(); err == nil {
		err = closing
	}
	return out, err
}

func runsIn(ctx context.Context, s *store.Store, dir string) ([]LocalRun, error) {
	found, _, err := executions{s}.ListAutomationExecutions(ctx, remediation.ExecutionFilter{Accounts: store.AllAccounts(), TopLevel: true}, maxListed, "")
	if err != nil {
		return nil, err
	}
	out := make([]LocalRun, 0, len(found))
	for _, e := range found {
		r, err := s.Remediation(ctx, e.Remediation)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return nil, err
		}
		out = append(out, LocalRun{Execution: e, Remediation: r, dir: dir})
	}
	return out, nil
}

// ResumeLocal is NewLocal in the directory of a run that was left unfinished; Start
// goes on with it. The credentials have to be of the account for which it was started:
// its plan is about that one.
func ResumeLocal(ctx context.Context, lc LocalConfig, run LocalRun) (*Local, error) {
	lc.Region, lc.resume = run.Execution.Region, run.dir
	if a := run.Execution.Asked; a != nil {
		lc.AnyAccount = len(a.TargetLocations) > 0
	}
	l, err := NewLocal(ctx, lc)
	if err != nil {
		return nil, err
	}
	if run.Execution.Account != l.Account {
		l.close()
		return nil, fault.Errorf(fault.Denied, "go on with "+run.Execution.ID, "it was started in account %s, and the credentials are of account %s", run.Execution.Account, l.Account).
			WithHint("use the credentials, or the AWS_PROFILE, with which it was started")
	}
	return l, nil
}

// Document gives the document that an execution runs, as it was when it was started.
func (l *Local) Document(ctx context.Context, e remediation.Execution) (*runbook.Document, error) {
	text, err := executions{l.store}.DocumentText(ctx, e)
	if err != nil {
		return nil, err
	}
	return runbook.Parse([]byte(text))
}
