package storetest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
)

func ruleTests() []conformance {
	return []conformance{
		{"rule/is kept, replaced and deleted", ruleLife},
		{"rule/moves the revision", ruleRevision},
		{"rule/all are given in the order of creation", ruleList},
		{"rule/limits hold for all together", ruleLimits},
		{"rule/refuses", ruleRefuses},
		{"rule/many writers keep to the limit", ruleRace},
		{"rule/hits are counted with the commit", ruleHits},
	}
}

func ruleLimit() store.RuleLimits { return store.RuleLimits{Rules: 100, Bytes: 1 << 20} }

func automationRule(i int) store.AutomationRule {
	return store.AutomationRule{
		ID: fmt.Sprintf("rule-%03d", i), ARN: fmt.Sprintf("arn:aws:securityhub:eu-west-1:111111111111:automation-rule/rule-%03d", i), Version: int64(1 + i%2),
		CreatedAt: Start().Add(time.Duration(i/2) * time.Second), Rev: 1, Doc: json.RawMessage(fmt.Sprintf(`{"RuleName":"rule %d"}`, i)),
	}
}

func ruleLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := automationRule(1)
	r.Token = "ada\x00token"
	ok(t, s.CreateRule(ctx, r, ruleLimit(), event("made")))
	sentinel(t, s.CreateRule(ctx, r, ruleLimit(), event("made again")), store.ErrExists)
	other := automationRule(2)
	other.Token = r.Token
	sentinel(t, s.CreateRule(ctx, other, ruleLimit(), event("same token")), store.ErrExists)
	other.Token, other.ARN = "", r.ARN
	sentinel(t, s.CreateRule(ctx, other, ruleLimit(), event("same ARN")), store.ErrExists)
	r.Token = "ada\uFFFDtoken" // a text column holds no zero byte
	same(t, []store.AutomationRule{r}, allRules(t, s))

	r.Doc = json.RawMessage(`{"RuleName":"renamed"}`)
	ok(t, s.UpdateRules(ctx, []store.AutomationRule{r}, ruleLimit(), event("changed")))
	sentinel(t, s.UpdateRules(ctx, []store.AutomationRule{r}, ruleLimit(), event("changed from an old version")), store.ErrConflict)
	r.Rev = 2
	same(t, []store.AutomationRule{r}, allRules(t, s))

	second := automationRule(2)
	ok(t, s.CreateRule(ctx, second, ruleLimit(), store.Effects{}))
	sentinel(t, s.DeleteRules(ctx, []store.AutomationRule{second, automationRule(9)}, event("one is not there")), store.ErrNotFound)
	ok(t, s.DeleteRules(ctx, []store.AutomationRule{r}, event("deleted")))
	same(t, []store.AutomationRule{second}, allRules(t, s))
	same(t, []string{"made", "changed", "deleted"}, claimIDs(t, s, store.Findings))
}

func ruleRevision(t *testing.T, s *store.Store) {
	ctx := t.Context()
	before := must(s.RuleRevision(ctx))(t)
	moved := func(what string, want bool) {
		t.Helper()
		now := must(s.RuleRevision(ctx))(t)
		if moved := now != before; moved != want {
			t.Errorf("%s: moved %v, want %v", what, moved, want)
		}
		before = now
	}
	r := automationRule(1)
	ok(t, s.CreateRule(ctx, r, ruleLimit(), store.Effects{}))
	moved("create", true)
	sentinel(t, s.CreateRule(ctx, r, ruleLimit(), store.Effects{}), store.ErrExists)
	moved("create in vain", false)
	ok(t, s.UpdateRules(ctx, []store.AutomationRule{r}, ruleLimit(), store.Effects{}))
	moved("update", true)
	_, at, err := s.AllRules(ctx)
	ok(t, err)
	same(t, before, at)
	ok(t, s.DeleteRules(ctx, []store.AutomationRule{r}, store.Effects{}))
	moved("delete", true)
	code(t, s.CreateRule(ctx, r, ruleLimit(), broken()), fault.Invalid)
	moved("create with effects that fail", false)
	nothingSent(t, s, store.Findings)
}

func ruleList(t *testing.T, s *store.Store) {
	var want []store.AutomationRule
	for _, i := range []int{5, 1, 3, 0, 4, 2} {
		ok(t, s.CreateRule(t.Context(), automationRule(i), ruleLimit(), store.Effects{}))
	}
	for i := range 6 {
		want = append(want, automationRule(i))
	}
	same(t, want, allRules(t, s))
}

func allRules(t *testing.T, s *store.Store) []store.AutomationRule {
	t.Helper()
	rules, _, err := s.AllRules(t.Context())
	ok(t, err)
	return rules
}

func ruleLimits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateRule(ctx, automationRule(1), store.RuleLimits{Rules: 1, Bytes: 100}, store.Effects{}))
	code(t, s.CreateRule(ctx, automationRule(2), store.RuleLimits{Rules: 1, Bytes: 100}, event("one too many")), fault.Exhausted)
	code(t, s.CreateRule(ctx, automationRule(2), store.RuleLimits{Rules: 2, Bytes: 30}, event("too large together")), fault.Exhausted)
	long := automationRule(1)
	long.Doc = json.RawMessage(`{"RuleName":"a much longer name than before, which no longer fits into the limit of all"}`)
	code(t, s.UpdateRules(ctx, []store.AutomationRule{long}, store.RuleLimits{Rules: 1, Bytes: 60}, event("grown")), fault.Exhausted)
	same(t, []store.AutomationRule{automationRule(1)}, allRules(t, s))
	nothingSent(t, s, store.Findings)
}

func ruleRefuses(t *testing.T, s *store.Store) {
	for name, change := range map[string]func(*store.AutomationRule){
		"no id": func(r *store.AutomationRule) { r.ID = "" }, "no ARN": func(r *store.AutomationRule) { r.ARN = "" },
		"no object": func(r *store.AutomationRule) { r.Doc = json.RawMessage(`[]`) },
		"too large": func(r *store.AutomationRule) {
			r.Doc = append(append(json.RawMessage(`{"a":"`), make([]byte, 1<<20)...), `"}`...)
		},
	} {
		r := automationRule(1)
		change(&r)
		if err := s.CreateRule(t.Context(), r, ruleLimit(), store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	same(t, []store.AutomationRule(nil), allRules(t, s), cmpopts.EquateEmpty())
}

func ruleRace(t *testing.T, s *store.Store) {
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			err := s.CreateRule(t.Context(), automationRule(i), store.RuleLimits{Rules: 5, Bytes: 1 << 20}, store.Effects{})
			if err != nil && !fault.Is(err, fault.Exhausted) && !fault.Is(err, fault.Conflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if rules := allRules(t, s); len(rules) != 5 {
		t.Errorf("%d rules are stored, the limit is 5", len(rules))
	}
}

func ruleHits(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := automationRule(1)
	ok(t, s.CreateRule(ctx, r, ruleLimit(), store.Effects{}))
	hit := func(rule string, matched, changed int64, at time.Time) store.RuleHit {
		return store.RuleHit{Rule: rule, Matched: matched, Changed: changed, LastAt: at}
	}
	later := Start().Add(time.Hour)
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{Write(1)}, nil, store.Effects{RuleHits: []store.RuleHit{hit(r.ARN, 2, 1, later), hit("configured", 1, 0, Start())}}))
	ok(t, s.CommitFindings(ctx, []store.FindingWrite{Write(2)}, nil, store.Effects{RuleHits: []store.RuleHit{hit(r.ARN, 3, 3, Start())}}))
	// The commit is refused, and with it what it would have counted.
	sentinel(t, s.CommitFindings(ctx, []store.FindingWrite{Write(2)}, nil, store.Effects{RuleHits: []store.RuleHit{hit(r.ARN, 9, 9, Start())}}), store.ErrConflict)
	got := must(s.RuleHits(ctx, []string{"configured", r.ARN, "never"}))(t)
	same(t, []store.RuleHit{hit(r.ARN, 5, 4, later), hit("configured", 1, 0, Start())}, got, cmpopts.SortSlices(func(a, b store.RuleHit) bool { return a.Rule < b.Rule }))
	ok(t, s.DeleteRules(ctx, []store.AutomationRule{r}, store.Effects{}))
	same(t, []store.RuleHit{hit("configured", 1, 0, Start())}, must(s.RuleHits(ctx, []string{"configured", r.ARN}))(t))
	same(t, []store.RuleHit(nil), must(s.RuleHits(ctx, nil))(t), cmpopts.EquateEmpty())
}

func ruleRunTests() []conformance {
	return []conformance{
		{"rule run/commits findings with its progress", ruleRunCommit},
		{"rule run/one of a rule, and not too many", ruleRunOpen},
		{"rule run/lists the latest first, and is pruned", ruleRunList},
	}
}

func ruleRun(i int) store.RuleRun {
	return store.RuleRun{
		ID: fmt.Sprintf("run-%d", i), Rule: fmt.Sprintf("rule-%d", i%2), CreatedAt: Start().Add(time.Duration(i) * time.Second), Rev: 1, Doc: json.RawMessage(`{"scanned":0}`),
	}
}

func ruleRunCommit(t *testing.T, s *store.Store) {
	ctx := t.Context()
	r := ruleRun(1)
	ok(t, s.CreateRuleRun(ctx, r, 5, event("asked for")))
	same(t, r, must(s.RuleRun(ctx, r.ID))(t))
	_, err := s.RuleRun(ctx, "none")
	sentinel(t, err, store.ErrNotFound)

	next := r
	next.Doc = json.RawMessage(`{"scanned":1}`)
	ok(t, s.CommitRuleRun(ctx, next, []store.FindingWrite{Write(1)}, event("first batch")))
	// The same batch again, by a node that was thought to be dead.
	sentinel(t, s.CommitRuleRun(ctx, next, []store.FindingWrite{Write(2)}, event("again")), store.ErrConflict)
	next.Rev = 2
	same(t, next, must(s.RuleRun(ctx, r.ID))(t))
	// A finding that somebody else wrote: neither it nor the progress is written.
	last := next
	last.Doc, last.EndedAt = json.RawMessage(`{"scanned":2}`), Start().Add(time.Hour)
	sentinel(t, s.CommitRuleRun(ctx, last, []store.FindingWrite{Write(1)}, event("stale finding")), store.ErrConflict)
	same(t, next, must(s.RuleRun(ctx, r.ID))(t))
	same(t, 1, len(must(s.Findings(ctx, []finding.ID{ID(1), ID(2)}))(t)))
	ok(t, s.CommitRuleRun(ctx, last, nil, event("ended")))
	last.Rev = 3
	same(t, last, must(s.RuleRun(ctx, r.ID))(t))
	sentinel(t, s.CommitRuleRun(ctx, last, nil, event("after the end")), store.ErrConflict)
	same(t, []store.RuleRun(nil), must(s.OpenRuleRuns(ctx, 10))(t), cmpopts.EquateEmpty())
	same(t, []string{"asked for", "first batch", "ended"}, claimIDs(t, s, store.Findings))
}

func ruleRunOpen(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateRuleRun(ctx, ruleRun(1), 2, store.Effects{}))
	sentinel(t, s.CreateRuleRun(ctx, ruleRun(3), 2, event("the same rule")), store.ErrConflict)
	ok(t, s.CreateRuleRun(ctx, ruleRun(2), 2, store.Effects{}))
	third := ruleRun(4)
	third.Rule = "another"
	code(t, s.CreateRuleRun(ctx, third, 2, event("too many")), fault.Exhausted)
	same(t, []store.RuleRun{ruleRun(1), ruleRun(2)}, must(s.OpenRuleRuns(ctx, 10))(t))
	ended := ruleRun(1)
	ended.EndedAt = Start().Add(time.Minute)
	ok(t, s.CommitRuleRun(ctx, ended, nil, store.Effects{}))
	ok(t, s.CreateRuleRun(ctx, ruleRun(3), 2, store.Effects{}))
	same(t, []store.RuleRun{ruleRun(2), ruleRun(3)}, must(s.OpenRuleRuns(ctx, 10))(t))
	nothingSent(t, s, store.Findings)
}

func ruleRunList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for i := range 5 {
		ok(t, s.CreateRuleRun(ctx, ruleRun(i), 10, store.Effects{}))
		if i < 4 {
			ended := ruleRun(i)
			ended.EndedAt = Start().Add(time.Duration(i) * time.Hour)
			ok(t, s.CommitRuleRun(ctx, ended, nil, store.Effects{}))
		}
	}
	for rule, want := range map[string][]string{"": {"run-4", "run-3", "run-2", "run-1", "run-0"}, "rule-1": {"run-3", "run-1"}, "none": nil} {
		var got []string
		cursor := ""
		for page := 0; page == 0 || cursor != ""; page++ {
			runs, next, err := s.ListRuleRuns(ctx, rule, 2, cursor)
			ok(t, err)
			for _, r := range runs {
				got = append(got, r.ID)
			}
			cursor = next
		}
		same(t, want, got)
	}
	pruned := must(s.Prune(ctx, store.Cutoffs{RuleRuns: Start().Add(2 * time.Hour)}))(t)
	same(t, int64(2), pruned.RuleRuns)
	left, _, err := s.ListRuleRuns(ctx, "", 10, "")
	ok(t, err)
	same(t, 3, len(left))
}
