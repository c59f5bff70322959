package approve_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	dev  = "111111111111"
	prod = "222222222222"
)

// memory is a store of one remediation, its plan, finding and approval.
type memory struct {
	r       remediation.Remediation
	plan    remediation.Plan
	trusted bool
	except  string
	a       *remediation.Approval
	eff     []store.Effects
	ended   time.Time                 // of the execution
	trials  []remediation.Remediation // earlier fixes, the latest first
	plans   map[remediation.Hash]remediation.Plan
}

func (m *memory) Execution(_ context.Context, id string) (store.ExecutionRecord, error) {
	if id != m.r.Execution {
		return store.ExecutionRecord{}, store.ErrNotFound
	}
	return store.ExecutionRecord{ID: id, EndedAt: m.ended}, nil
}

func (m *memory) UpdateRemediation(_ context.Context, r remediation.Remediation, eff store.Effects) error {
	if err := m.r.State.Check(r.State); err != nil {
		return err
	}
	m.r, m.eff = r, append(m.eff, eff)
	m.r.Version++
	return nil
}

func (m *memory) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	if id != m.r.ID {
		return remediation.Remediation{}, store.ErrNotFound
	}
	return m.r, nil
}

func (m *memory) Plan(_ context.Context, hash remediation.Hash) (remediation.Plan, error) {
	if hash == m.r.PlanHash {
		return m.plan, nil
	}
	p, ok := m.plans[hash]
	if !ok {
		return p, store.ErrNotFound
	}
	return p, nil
}

// ListRemediations gives pages of two.
func (m *memory) ListRemediations(_ context.Context, f store.RemediationFilter, _ int, cursor string) ([]remediation.Remediation, string, error) {
	var out []remediation.Remediation
	for _, r := range m.trials {
		if slices.Contains(f.Accounts, r.Account) && r.Control == f.Control {
			out = append(out, r)
		}
	}
	from := len(cursor)
	if to := from + 2; to < len(out) {
		return out[from:to], cursor + "xx", nil
	}
	return out[from:], "", nil
}

func (m *memory) Findings(context.Context, []finding.ID) ([]store.FindingRecord, error) {
	return []store.FindingRecord{{Trusted: m.trusted, Title: "S3.8", Exception: m.except}}, nil
}

func (m *memory) CreateApproval(_ context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error {
	if m.a != nil {
		return store.ErrExists
	}
	return m.put(a, r, eff)
}

func (m *memory) UpdateApproval(_ context.Context, a remediation.Approval, r *remediation.Remediation, eff store.Effects) error {
	if m.a == nil || m.a.Version != a.Version {
		return store.ErrConflict
	}
	a.Version++
	return m.put(a, r, eff)
}

func (m *memory) put(a remediation.Approval, r *remediation.Remediation, eff store.Effects) error {
	if r != nil {
		if err := m.r.State.Check(r.State); err != nil {
			return err
		}
		m.r = *r
		m.r.Version++
	}
	m.a, m.eff = &a, append(m.eff, eff)
	return nil
}

func (m *memory) ApprovalFor(_ context.Context, id remediation.ID) (remediation.Approval, error) {
	if m.a == nil || m.a.Remediation != id || m.a.OfStep() {
		return remediation.Approval{}, store.ErrNotFound
	}
	return *m.a, nil
}

func (m *memory) Approval(_ context.Context, id string) (remediation.Approval, error) {
	if m.a == nil || m.a.ID != id {
		return remediation.Approval{}, store.ErrNotFound
	}
	return *m.a, nil
}

func (m *memory) DueApprovals(_ context.Context, now time.Time, _ int) ([]remediation.Approval, error) {
	if m.a != nil && m.a.State == remediation.ApprovalPending && !now.Before(m.a.ExpiresAt) {
		return []remediation.Approval{*m.a}, nil
	}
	return nil, nil
}

func (m *memory) ListApprovals(_ context.Context, state remediation.ApprovalState, _ []string, _ int, _ string) ([]remediation.Approval, string, error) {
	if m.a == nil || m.a.State != state {
		return nil, "", nil
	}
	return []remediation.Approval{*m.a}, "", nil
}

type world struct {
	*memory
	stage *approve.Stage
	clock *service.FixedClock
}

func setup(t *testing.T, account string, edit func(*memory), policies ...approve.Policy) world {
	t.Helper()
	return setupIn(t, account, edit, []org.Account{{ID: dev, Unit: "dev", Listed: true}, {ID: prod, Unit: "prod", Listed: true}}, policies...)
}

// setupIn is setup in an organization of these accounts, the first of an id counting.
func setupIn(t *testing.T, account string, edit func(*memory), accounts []org.Account, policies ...approve.Policy) world {
	t.Helper()
	slices.Reverse(accounts) // of two, a Live knows the last
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	m := &memory{
		trusted: true,
		r: remediation.Remediation{
			ID: "rem-1", Kind: remediation.KindFix, Account: account, Playbook: "S3.8", State: remediation.Planned,
			PlanHash: "hash", RequestedBy: "rule/s3", Version: 1, Finding: finding.ID{ProductArn: "p", Id: "f"},
		},
		plan: remediation.Plan{Calls: []remediation.PlannedCall{{Class: apimodel.Change}}, ExpiresAt: now.Add(48 * time.Hour)},
	}
	if edit != nil {
		edit(m)
	}
	clock := service.NewFixedClock(now)
	stage, err := approve.New(approve.Config{Store: m, Policies: policies, Clock: clock, Account: org.NewLive(accounts).Account})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(m.r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := stage.Handle(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
	return world{m, stage, clock}
}

func automaticInDev() approve.Policy {
	return approve.Policy{ID: "dev", Units: []string{"dev"}, Mode: approve.Automatic}
}

func TestAutomaticOnlyWhereNothingStandsInTheWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		account string
		edit    func(*memory)
		state   remediation.State
		reason  string
	}{
		"policy, trusted, reversible": {dev, nil, remediation.Queued, "approved by policy dev"},
		"no policy for the account":   {prod, nil, remediation.AwaitingApproval, "policy default asks for 1"},
		"untrusted source":            {dev, func(m *memory) { m.trusted = false }, remediation.AwaitingApproval, "not marked trusted"},
		"open plan":                   {dev, func(m *memory) { m.plan.Open, m.plan.OpenReason = true, "a wait" }, remediation.AwaitingApproval, "the plan is open"},
		"irreversible change":         {dev, func(m *memory) { m.plan.Calls[0].Irreversible = true }, remediation.AwaitingApproval, "without a known inverse"},
		"undo":                        {dev, func(m *memory) { m.r.Kind = remediation.KindUndo }, remediation.AwaitingApproval, "an undo can reopen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, c.account, c.edit, automaticInDev())
			if w.r.State != c.state || !strings.Contains(w.r.Reason, c.reason) {
				t.Errorf("state %s (%s), want %s (… %s …)", w.r.State, w.r.Reason, c.state, c.reason)
			}
			queued := 0
			for _, m := range w.eff[0].Outbox {
				if m.Topic == store.TopicExecute {
					queued++
				}
			}
			if want := map[bool]int{true: 1}[c.state == remediation.Queued]; queued != want {
				t.Errorf("%d jobs for execute, want %d", queued, want)
			}
			if len(w.eff[0].Audit) != 1 {
				t.Errorf("%d audit records, want 1", len(w.eff[0].Audit))
			}
		})
	}
}

// TestAutomaticWhereAccountsComeByThemselves: an account that parry.yaml does not list
// gets what policies say that name it, its unit or its tags, and nothing else by itself.
func TestAutomaticWhereAccountsComeByThemselves(t *testing.T) {
	t.Parallel()
	const came = "444444444444"
	anywhere := approve.Policy{ID: "any", Mode: approve.Automatic}
	tagged := approve.Policy{ID: "tagged", Mode: approve.Automatic, AccountTags: map[string]string{"Tier": "2"}}
	for name, c := range map[string]struct {
		account  org.Account
		policies []approve.Policy
		edit     func(*memory)
		state    remediation.State
		reason   string
	}{
		"a policy for all":           {org.Account{Unit: "new"}, []approve.Policy{anywhere}, nil, remediation.AwaitingApproval, "account " + came + " came with the organization"},
		"a policy for its unit":      {org.Account{Unit: "new"}, []approve.Policy{{ID: "unit", Units: []string{"new"}, Mode: approve.Automatic}}, nil, remediation.Queued, "approved by policy unit"},
		"a policy for the account":   {org.Account{}, []approve.Policy{{ID: "one", Accounts: []string{came}, Mode: approve.Automatic}}, nil, remediation.Queued, "approved by policy one"},
		"a policy for its tags":      {org.Account{Tags: map[string]string{"Tier": "2"}}, []approve.Policy{tagged}, nil, remediation.Queued, "approved by policy tagged"},
		"other tags":                 {org.Account{Tags: map[string]string{"Tier": "1"}}, []approve.Policy{tagged}, nil, remediation.AwaitingApproval, "policy default"},
		"tags that are not known":    {org.Account{TagsUnknown: true}, []approve.Policy{{ID: "never", AccountTags: map[string]string{"Tier": "1"}, Mode: approve.Never}, anywhere}, nil, remediation.AwaitingApproval, "policy default"},
		"one that is listed":         {org.Account{Listed: true}, []approve.Policy{anywhere}, nil, remediation.Queued, "approved by policy any"},
		"a call in one that is not":  {org.Account{ID: dev, Listed: true}, []approve.Policy{anywhere}, func(m *memory) { m.plan.Calls[0].Account = came }, remediation.AwaitingApproval, "account " + came},
		"tags asked of another unit": {org.Account{Unit: "new", TagsUnknown: true}, []approve.Policy{{ID: "never", Units: []string{"old"}, AccountTags: map[string]string{"Tier": "1"}, Mode: approve.Never}, {ID: "unit", Units: []string{"new"}, Mode: approve.Automatic}}, nil, remediation.Queued, "policy unit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.account.ID == "" {
				c.account.ID = came
			}
			w := setupIn(t, c.account.ID, c.edit, []org.Account{c.account, {ID: came}}, c.policies...)
			if w.r.State != c.state || !strings.Contains(w.r.Reason, c.reason) {
				t.Errorf("state %s (%s), want %s (… %s …)", w.r.State, w.r.Reason, c.state, c.reason)
			}
		})
	}
}

// TestAPolicysUnitsHoldThoseBelowThem: by whole names of the path; what a policy is
// not about waits for people. Matching by prefix instead, or holding everything below
// the root, makes rows fail.
func TestAPolicysUnitsHoldThoseBelowThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		units   []string
		account string // its unit
		held    bool
	}{
		{[]string{"dev"}, "dev", true},
		{[]string{"dev"}, "dev/team-a", true},
		{[]string{"dev"}, "dev/team-a/lab", true},
		{[]string{"dev"}, "development", false},
		{[]string{"dev"}, "dev-old/team-a", false},
		{[]string{"dev"}, "prod/dev", false},
		{[]string{"dev"}, "Dev", false},
		{[]string{"dev"}, "de", false},
		{[]string{"dev"}, org.Root, false},
		{[]string{"dev"}, "", false},
		{[]string{"dev/team-a"}, "dev", false},
		{[]string{"dev/team-a"}, "dev/team-ab", false},
		{[]string{"dev/team-a"}, "dev/team-a/lab", true},
		{[]string{"/dev/"}, "dev/team-a", true},
		{[]string{"*"}, "dev", false},
		{[]string{"de*"}, "dev", false},
		{[]string{"=dev"}, "dev", true},
		{[]string{"=dev"}, "dev/team-a", false},
		{[]string{"=dev"}, "development", false},
		{[]string{"=dev/team-a"}, "dev/team-a", true},
		{[]string{"=dev/team-a"}, "dev/team-a/lab", false},
		{[]string{"=dev"}, "", false},
		{[]string{"/"}, org.Root, true},
		{[]string{"/"}, "dev", false},
		{[]string{"/"}, "", false},
		{[]string{"=/"}, "dev", false},
		{[]string{"prod", "=dev"}, "dev", true},
		{[]string{"prod", "=dev"}, "dev/prod", false},
	} {
		t.Run(strings.Join(c.units, ",")+" of "+c.account, func(t *testing.T) {
			t.Parallel()
			policy := approve.Policy{ID: "units", Units: c.units, Mode: approve.Automatic}
			w := setupIn(t, dev, nil, []org.Account{{ID: dev, Unit: c.account, Listed: true}}, policy)
			want := remediation.AwaitingApproval
			if c.held {
				want = remediation.Queued
			}
			if w.r.State != want {
				t.Errorf("state %s (%s), want %s", w.r.State, w.r.Reason, want)
			}
		})
	}
}

func TestAPolicysUnitsMustNameOne(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "="} {
		p := approve.Policy{ID: "p", Mode: approve.People, Units: []string{"dev", u}}
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "units[1]") {
			t.Errorf("unit %q: %v", u, err)
		}
	}
}

func TestNeverIsNever(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, nil, approve.Policy{ID: "frozen", Mode: approve.Never})
	if w.r.State != remediation.Cancelled || w.a.State != remediation.ApprovalRejected {
		t.Errorf("remediation %s, approval %s", w.r.State, w.a.State)
	}
}

func TestGrantBindsToTheHashAndThePerson(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		principal string
		hash      remediation.Hash
		edit      func(world)
		code      fault.Code
	}{
		"another hash":     {"alice", "other", nil, fault.Conflict},
		"own request":      {"rule/s3", "hash", nil, fault.Denied},
		"after its expiry": {"alice", "hash", func(w world) { w.clock.Advance(73 * time.Hour) }, fault.Conflict},
		"already rejected": {"alice", "hash", func(w world) { w.a.State = remediation.ApprovalRejected }, fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t, prod, nil)
			if c.edit != nil {
				c.edit(w)
			}
			before := w.r
			_, err := w.stage.Grant(t.Context(), w.a.ID, c.principal, c.hash, "")
			if !fault.Is(err, c.code) {
				t.Errorf("err = %v, want %s", err, c.code)
			}
			if diff := cmp.Diff(before, w.r); diff != "" {
				t.Errorf("a refused decision changed the remediation:\n%s", diff)
			}
		})
	}
}

func TestQuorumCountsPeople(t *testing.T) {
	t.Parallel()
	w := setup(t, prod, nil, approve.Policy{ID: "two", Mode: approve.People, Quorum: 2})
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", "hash", "looks right"); err != nil {
		t.Fatal(err)
	}
	if w.r.State != remediation.AwaitingApproval {
		t.Fatalf("one of two approvals made it %s", w.r.State)
	}
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", "hash", ""); !fault.Is(err, fault.Conflict) {
		t.Fatalf("alice counted twice: %v", err)
	}
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "bob", "hash", ""); err != nil {
		t.Fatal(err)
	}
	if w.r.State != remediation.Queued || w.a.State != remediation.ApprovalApproved {
		t.Errorf("remediation %s, approval %s", w.r.State, w.a.State)
	}
}

func TestRejectionAndExpiryEndTheRemediation(t *testing.T) {
	t.Parallel()
	w := setup(t, prod, nil)
	if _, err := w.stage.Reject(t.Context(), w.a.ID, "alice", "hash", "not today"); err != nil {
		t.Fatal(err)
	}
	if w.r.State != remediation.Rejected || !strings.Contains(w.r.Reason, "not today") {
		t.Errorf("remediation %s (%s)", w.r.State, w.r.Reason)
	}
	w = setup(t, prod, nil)
	w.clock.Advance(48*time.Hour + time.Second) // the plan's own lifetime is shorter than the policy's
	n, err := w.stage.Expire(t.Context(), 10)
	if err != nil || n != 1 || w.r.State != remediation.Expired {
		t.Errorf("expired %d, %v, remediation %s", n, err, w.r.State)
	}
}

// A plan whose finding an exception suppresses is neither put up nor approved; an undo
// is, since it takes back what was done.
func TestAnExceptedFindingIsNotFixed(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, func(m *memory) { m.except = "ex-1" }, automaticInDev())
	if w.r.State != remediation.Cancelled || !strings.Contains(w.r.Reason, "exception ex-1") || !strings.Contains(w.r.Hint, "parry exception expire ex-1") || w.a != nil {
		t.Errorf("%+v, approval %+v", w.r, w.a)
	}
	w = setup(t, prod, nil)
	w.except = "ex-1"
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", "hash", ""); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.HintOf(err), "parry exception expire ex-1") || w.r.State != remediation.AwaitingApproval {
		t.Errorf("%v, hint %s, %s", err, fault.HintOf(err), w.r.State)
	}
	if _, err := w.stage.Reject(t.Context(), w.a.ID, "alice", "hash", ""); err != nil || w.r.State != remediation.Rejected {
		t.Errorf("%v, %s", err, w.r.State)
	}
	w = setup(t, prod, func(m *memory) { m.r.Kind, m.except = remediation.KindUndo, "ex-1" })
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", "hash", ""); err != nil || w.r.State != remediation.Queued {
		t.Errorf("undo: %v, %s", err, w.r.State)
	}
}

// A plan that waits when an exception comes to suppress its finding waits no more; that
// of an undo, and one whose finding is open, do.
func TestAPlanOfAnExceptedFindingIsWithdrawn(t *testing.T) {
	t.Parallel()
	w := setup(t, prod, nil)
	look := func(w world, want int) {
		t.Helper()
		if next, n, err := w.stage.Review(t.Context(), "", 10); err != nil || n != want || next != "" {
			t.Fatalf("%d withdrawn, want %d, next %q: %v", n, want, next, err)
		}
	}
	look(w, 0)
	w.except = "ex-1"
	look(w, 1)
	if w.r.State != remediation.Superseded || w.a.State != remediation.ApprovalSuperseded || w.r.Exception != "ex-1" || !strings.Contains(w.r.Reason, "exception ex-1") || !strings.Contains(w.r.Hint, "parry exception expire ex-1") {
		t.Errorf("%+v, approval %+v", w.r, w.a)
	}
	look(w, 0)
	if _, err := w.stage.Grant(t.Context(), w.a.ID, "alice", "hash", ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("granted all the same: %v", err)
	}
	w = setup(t, prod, func(m *memory) { m.r.Kind, m.except = remediation.KindUndo, "ex-1" })
	look(w, 0)
	if w.r.State != remediation.AwaitingApproval {
		t.Errorf("undo: %s", w.r.State)
	}
}

func TestARepeatedJobDecidesOnce(t *testing.T) {
	t.Parallel()
	w := setup(t, dev, nil, automaticInDev())
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`)); err != nil {
		t.Fatal(err)
	}
	if len(w.eff) != 1 {
		t.Errorf("%d decisions were stored", len(w.eff))
	}
}
