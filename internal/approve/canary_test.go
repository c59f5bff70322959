package approve_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/store"
)

const second = "333333333333"

// tried is an earlier fix of S3.8 in a canary account by the runbook that plans pin.
func tried(id string, account string, state remediation.State, edit ...func(*remediation.Remediation)) remediation.Remediation {
	r := remediation.Remediation{
		ID: remediation.ID(id), Kind: remediation.KindFix, Account: account, Control: "S3.8", Playbook: "S3.8", State: state, PlanHash: "same",
	}
	for _, e := range edit {
		e(&r)
	}
	return r
}

// heldBy sets up a fix in dev under a policy whose canary are these accounts.
func heldBy(t *testing.T, canary []string, edit func(*memory), trials ...remediation.Remediation) world {
	t.Helper()
	accounts := []org.Account{{ID: dev, Unit: "dev", Listed: true}, {ID: prod, Unit: "dev", Listed: true}, {ID: second, Unit: "dev", Listed: true}}
	return setupIn(t, dev, func(m *memory) {
		m.r.Control, m.trials = "S3.8", trials
		m.plan.Runbook = remediation.Runbook{Name: "Close", Revision: "1"}
		m.plans = map[remediation.Hash]remediation.Plan{
			"same": {Runbook: remediation.Runbook{Name: "Close", Revision: "1"}}, "other": {Runbook: remediation.Runbook{Name: "Close", Revision: "2"}},
		}
		if edit != nil {
			edit(m)
		}
	}, accounts, approve.Policy{ID: "auto", Units: []string{"dev"}, Mode: approve.Automatic, Canary: approve.Canary{Accounts: canary}})
}

func TestAFixWaitsForItsCanary(t *testing.T) {
	t.Parallel()
	with := func(edit func(*remediation.Remediation)) func(*remediation.Remediation) { return edit }
	for name, c := range map[string]struct {
		canary []string
		trials []remediation.Remediation
		state  remediation.State
		reason string
	}{
		"nothing tried":            {[]string{prod}, nil, remediation.AwaitingApproval, "no fix of S3.8 by this runbook has been verified in account " + prod + " yet"},
		"verified":                 {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified)}, remediation.Queued, "rem-c was verified in the canary account " + prod},
		"is a canary itself":       {[]string{dev}, nil, remediation.Queued, "after a live read confirmed the violation"},
		"under way":                {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Running)}, remediation.AwaitingApproval, "verified in account"},
		"failed":                   {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Failed)}, remediation.AwaitingApproval, "rem-c in the canary account " + prod + " is failed"},
		"undone after it":          {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Undone), tried("rem-b", prod, remediation.Verified)}, remediation.AwaitingApproval, "rem-c in the canary account"},
		"verified after a failure": {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified), tried("rem-b", prod, remediation.Failed)}, remediation.Queued, "rem-c was verified"},
		"what ended without a word is passed over": {[]string{prod}, []remediation.Remediation{
			tried("rem-e", prod, remediation.Cancelled), tried("rem-d", prod, remediation.Superseded), tried("rem-c", prod, remediation.Rejected), tried("rem-b", prod, remediation.Verified),
		}, remediation.Queued, "rem-b was verified"},
		"another revision":       {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified, with(func(r *remediation.Remediation) { r.PlanHash = "other" }))}, remediation.AwaitingApproval, "by this runbook"},
		"its plan was pruned":    {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified, with(func(r *remediation.Remediation) { r.PlanHash = "gone" }))}, remediation.AwaitingApproval, "by this runbook"},
		"an undo proves nothing": {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified, with(func(r *remediation.Remediation) { r.Kind = remediation.KindUndo }))}, remediation.AwaitingApproval, "by this runbook"},
		"another control":        {[]string{prod}, []remediation.Remediation{tried("rem-c", prod, remediation.Verified, with(func(r *remediation.Remediation) { r.Control = "S3.2" }))}, remediation.AwaitingApproval, "by this runbook"},
		"verified elsewhere":     {[]string{prod}, []remediation.Remediation{tried("rem-c", second, remediation.Verified)}, remediation.AwaitingApproval, "by this runbook"},
		"one of two is enough":   {[]string{prod, second}, []remediation.Remediation{tried("rem-c", second, remediation.Verified)}, remediation.Queued, "rem-c was verified"},
		"but not if the other one failed": {[]string{prod, second}, []remediation.Remediation{
			tried("rem-c", second, remediation.Verified), tried("rem-b", prod, remediation.Unverified),
		}, remediation.AwaitingApproval, "rem-b in the canary account " + prod + " is unverified"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := heldBy(t, c.canary, nil, c.trials...)
			if w.r.State != c.state || !strings.Contains(w.r.Reason, c.reason) {
				t.Errorf("state %s (%s), want %s (… %s …)", w.r.State, w.r.Reason, c.state, c.reason)
			}
			if held := len(w.a.Canary) > 0; held != (c.state == remediation.AwaitingApproval) || w.a.Automatic == held {
				t.Errorf("approval: canary %v, automatic %v", w.a.Canary, w.a.Automatic)
			}
			if c.state == remediation.AwaitingApproval && !strings.Contains(w.r.Hint, "parry approval grant apr-1") {
				t.Errorf("hint: %s", w.r.Hint)
			}
		})
	}
}

// TestTheCanaryLetsTheOthersGo: what waits is looked at again, and judged as if it came now.
func TestTheCanaryLetsTheOthersGo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then func(*memory, *approve.Stage)
		want remediation.State
	}{
		"not yet":              {func(*memory, *approve.Stage) {}, remediation.AwaitingApproval},
		"verified":             {func(m *memory, _ *approve.Stage) { m.trials[0].State = remediation.Verified }, remediation.Queued},
		"failed":               {func(m *memory, _ *approve.Stage) { m.trials[0].State = remediation.Failed }, remediation.AwaitingApproval},
		"no longer trusted":    {func(m *memory, _ *approve.Stage) { m.trials[0].State, m.trusted = remediation.Verified, false }, remediation.AwaitingApproval},
		"the policy is gone":   {func(m *memory, s *approve.Stage) { m.trials[0].State, s.Policies = remediation.Verified, nil }, remediation.AwaitingApproval},
		"an exception came":    {func(m *memory, _ *approve.Stage) { m.trials[0].State, m.except = remediation.Verified, "exc-1" }, remediation.Superseded},
		"people said no first": {func(m *memory, s *approve.Stage) { m.trials[0].State = remediation.Verified; reject(t, m, s) }, remediation.Rejected},
	} {
		w := heldBy(t, []string{prod}, nil, tried("rem-c", prod, remediation.Running))
		c.then(w.memory, w.stage)
		for range 2 { // a second look finds nothing to do
			if _, _, err := w.stage.Review(t.Context(), "", 10); err != nil {
				t.Fatal(err)
			}
		}
		if w.r.State != c.want {
			t.Errorf("%s: %s (%s)", name, w.r.State, w.r.Reason)
		}
		jobs := 0
		for _, e := range w.eff {
			for _, m := range e.Outbox {
				if m.Topic == store.TopicExecute {
					jobs++
				}
			}
		}
		if want := map[bool]int{true: 1}[c.want == remediation.Queued]; jobs != want || w.a.Automatic != (want == 1) {
			t.Errorf("%s: %d jobs for execute, automatic %v", name, jobs, w.a.Automatic)
		}
	}
}

func reject(t *testing.T, m *memory, s *approve.Stage) {
	t.Helper()
	if _, err := s.Reject(t.Context(), m.a.ID, "alice", m.r.PlanHash, ""); err != nil {
		t.Fatal(err)
	}
}

// TestPeopleMayGoOnWithoutTheCanary: the approval is one like any other, and what it let run
// is not let run again.
func TestPeopleMayGoOnWithoutTheCanary(t *testing.T) {
	t.Parallel()
	w := heldBy(t, []string{prod}, nil, tried("rem-c", prod, remediation.Running))
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "rule/s3", w.r.PlanHash, ""); !fault.Is(err, fault.Denied) {
		t.Errorf("who asked for it approved it: %v", err)
	}
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", w.r.PlanHash, "urgent"); err != nil {
		t.Fatal(err)
	}
	if w.r.State != remediation.Queued || w.a.Automatic {
		t.Errorf("%s, automatic %v", w.r.State, w.a.Automatic)
	}
	late := heldBy(t, []string{prod}, nil, tried("rem-c", prod, remediation.Running))
	late.trials[0].State = remediation.Verified
	late.clock.Advance(100 * time.Hour)
	if _, n, err := late.stage.Review(t.Context(), "", 10); err != nil || n != 0 || late.r.State != remediation.AwaitingApproval {
		t.Errorf("a plan whose time has passed: %d, %v, %s", n, err, late.r.State)
	}
}

func TestACanaryIsChecked(t *testing.T) {
	t.Parallel()
	canary := approve.Canary{Accounts: []string{dev}}
	many := approve.Canary{}
	for i := range 21 {
		many.Accounts = append(many.Accounts, "1111111111"+string(rune('0'+i/10))+string(rune('0'+i%10)))
	}
	for want, p := range map[string]approve.Policy{
		"canary is for mode automatic":   {ID: "p", Mode: approve.People, Canary: canary},
		"documents names what people":    {ID: "p", Mode: approve.Automatic, Documents: []string{"*"}, Canary: canary},
		"limit is 20":                    {ID: "p", Mode: approve.Automatic, Canary: many},
		"is not an account id":           {ID: "p", Mode: approve.Automatic, Canary: approve.Canary{Accounts: []string{"dev"}}},
		"is there twice":                 {ID: "p", Mode: approve.Automatic, Canary: approve.Canary{Accounts: []string{dev, dev}}},
		"not one of the policy's accoun": {ID: "p", Mode: approve.Automatic, Accounts: []string{prod}, Canary: canary},
	} {
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	good := approve.Policy{ID: "p", Mode: approve.Automatic, Accounts: []string{dev, prod}, Canary: canary}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
}
