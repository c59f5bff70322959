package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// ruleVault is a rule desk with one rule; it notes what reaches it.
type ruleVault struct{ *vault }

func oneRule() triage.StoredRule {
	r, err := rule.Parse([]byte(`{"RuleArn":"arn:rule/one","RuleName":"one","Description":"d","RuleOrder":3,"Criteria":{"Title":[{"Value":"x","Comparison":"EQUALS"}]},
		"Actions":[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Confidence":1}}],"ExpiresAt":"2001-01-01T00:00:00Z"}`))
	if err != nil {
		panic(err)
	}
	return triage.StoredRule{Rule: r, Key: "one", Rev: 1}
}

func (v ruleVault) Rule(_ context.Context, text string) (triage.StoredRule, error) {
	if text == "one" {
		return oneRule(), nil
	}
	return triage.StoredRule{}, fault.Errorf(fault.NotFound, "find automation rule", "there is no such automation rule")
}

func (v ruleVault) ListRules(context.Context, triage.RuleQuery) ([]triage.StoredRule, string, error) {
	v.note("list rules")
	return []triage.StoredRule{oneRule()}, "next", nil
}

func (v ruleVault) RuleHits(context.Context, []triage.StoredRule) (map[string]store.RuleHit, error) {
	return map[string]store.RuleHit{"arn:rule/one": {Rule: "arn:rule/one", Matched: 5, Changed: 2, LastAt: time.Unix(9, 0)}}, nil
}

func (v ruleVault) CreateRule(_ context.Context, n triage.NewRule) (triage.StoredRule, error) {
	v.note(fmt.Sprintf("create %d %s by %s", n.Version, n.Document, n.By))
	return oneRule(), nil
}

func (v ruleVault) UpdateRules(_ context.Context, version int, changes []triage.RuleChange, by string) ([]triage.RuleOutcome, error) {
	members, err := json.Marshal(changes[0].Members)
	v.note(fmt.Sprintf("update %s %s by %s", changes[0].Rule, members, by))
	return []triage.RuleOutcome{{Rule: oneRule()}}, err
}

func (v ruleVault) DeleteRules(_ context.Context, _ int, names []string, by string) ([]triage.RuleOutcome, error) {
	v.note("delete " + names[0] + " by " + by)
	return []triage.RuleOutcome{{Rule: oneRule()}}, nil
}

func (v ruleVault) ExplainRule(r rule.Rule, record store.FindingRecord) (triage.RuleAnswer, error) {
	v.note("explain " + r.Name + " on " + record.ID.Id)
	return triage.RuleAnswer{Matched: true, Updates: []finding.Update{{UpdatedField: "Confidence", NewValue: "1"}}}, nil
}

func (v ruleVault) PreviewRule(_ context.Context, q triage.PreviewRequest) (triage.Preview, error) {
	v.note(fmt.Sprint("preview ", q.Rule.Name, " for ", q.Accounts))
	return triage.Preview{Scanned: 3, Matched: 2, Changed: 1, Complete: true, Fields: map[string]int{"Confidence": 1}, Examples: []triage.PreviewExample{}}, nil
}

func (v ruleVault) StartRun(_ context.Context, text string, accounts []string, by string) (triage.RuleRun, error) {
	v.note(fmt.Sprint("run ", text, " for ", accounts, " by ", by))
	return triage.RuleRun{ID: "run-1", State: triage.RunRunning, Accounts: accounts}, nil
}

func (v ruleVault) CancelRun(_ context.Context, id, by string) (triage.RuleRun, error) {
	v.note("cancel " + id + " by " + by)
	return triage.RuleRun{ID: id, State: triage.RunCancelled}, nil
}

func (v ruleVault) Run(_ context.Context, id string) (triage.RuleRun, error) {
	v.note("show " + id)
	return triage.RuleRun{ID: id, State: triage.RunDone}, nil
}

func (v ruleVault) Runs(_ context.Context, rule string, _ int, _ string) ([]triage.RuleRun, string, error) {
	v.note("runs of " + rule)
	return nil, "", nil
}

// ruleEndpoints asks every endpoint of rules once.
func ruleEndpoints() map[string]func(ctx context.Context, c *client.Client) error {
	doc := map[string]any{"RuleName": "x"}
	return map[string]func(ctx context.Context, c *client.Client) error{
		"list": func(ctx context.Context, c *client.Client) error { _, err := c.Rules(ctx, client.Paging{}); return err },
		"show": func(ctx context.Context, c *client.Client) error { _, err := c.Rule(ctx, "one"); return err },
		"create": func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateRule(ctx, api.RuleRequest{Version: 1, Document: doc})
			return err
		},
		"update": func(ctx context.Context, c *client.Client) error {
			_, err := c.UpdateRule(ctx, "one", api.RuleRequest{Version: 1, Document: doc})
			return err
		},
		"delete": func(ctx context.Context, c *client.Client) error { return c.DeleteRule(ctx, "one") },
		"preview of a stored rule": func(ctx context.Context, c *client.Client) error {
			_, err := c.PreviewRule(ctx, api.PreviewRuleRequest{Key: "one", Version: 1, Scan: 10, Examples: 1})
			return err
		},
		"explain": func(ctx context.Context, c *client.Client) error {
			_, err := c.ExplainFinding(ctx, finding.ID{ProductArn: arn, Id: "dev"}, api.FilterQuestion{Rule: "one"})
			return err
		},
		"run": func(ctx context.Context, c *client.Client) error { _, err := c.RunRule(ctx, "one", nil); return err },
		"runs": func(ctx context.Context, c *client.Client) error {
			_, err := c.RuleRuns(ctx, "one", client.Paging{})
			return err
		},
		"a run":  func(ctx context.Context, c *client.Client) error { _, err := c.RuleRun(ctx, "run-1"); return err },
		"cancel": func(ctx context.Context, c *client.Client) error { _, err := c.CancelRuleRun(ctx, "run-1"); return err },
	}
}

// TestRulesAreOfTheWholeInstallation: a key that is limited to accounts neither sees
// nor changes rules, whatever its role; only an administrator changes them. What is
// refused reaches nobody.
func TestRulesAreOfTheWholeInstallation(t *testing.T) {
	t.Parallel()
	writes := map[string]bool{"create": true, "update": true, "delete": true, "run": true, "cancel": true}
	for role, reads := range map[string]bool{"admin": true, "operator": true, "approver": true, "reader": true, "source": false} {
		b := setup(t)
		all, scoped := b.as(t, role, "*"), b.as(t, role, dev, prod)
		for name, ask := range ruleEndpoints() {
			before := len(b.calls)
			if err := ask(t.Context(), scoped); !fault.Is(err, fault.Denied) {
				t.Errorf("%s with two accounts, %s: %v", role, name, err)
			}
			if len(b.calls) != before {
				t.Errorf("%s with two accounts, %s reached %v", role, name, b.calls[before:])
			}
			allowed := reads && (role == "admin" || !writes[name])
			err := ask(t.Context(), all)
			if allowed && err != nil || !allowed && (!fault.Is(err, fault.Denied) || len(b.calls) != before) {
				t.Errorf("%s, %s: %v, reached %v", role, name, err, b.calls[before:])
			}
		}
	}
}

// A rule that is not stored is tried on the findings of the caller's accounts.
func TestPreviewIsLimitedToTheCallersAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	q := api.PreviewRuleRequest{Version: 1, Scan: 10, Examples: 1, Document: map[string]any{
		"RuleName": "mine", "Description": "d", "RuleOrder": 1, "Criteria": map[string]any{"Title": []any{map[string]any{"Value": "x", "Comparison": "EQUALS"}}},
		"Actions": []any{map[string]any{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": map[string]any{"Confidence": 1}}},
	}}
	out, err := b.as(t, "reader", dev).PreviewRule(t.Context(), q)
	if err != nil || out.Matched != 2 {
		t.Errorf("%v %+v", err, out)
	}
	if diff := cmp.Diff([]string{"preview mine for [" + dev + "]"}, b.calls); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(q *api.PreviewRuleRequest){
		"both":    func(q *api.PreviewRuleRequest) { q.Key = "one" },
		"neither": func(q *api.PreviewRuleRequest) { q.Document = nil },
		"broken":  func(q *api.PreviewRuleRequest) { q.Document = map[string]any{"RuleName": "x"} },
	} {
		bad := q
		change(&bad)
		if _, err := b.as(t, "admin", "*").PreviewRule(t.Context(), bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRuleIsShownWithItsCounters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c := b.as(t, "admin", "*")
	got, err := c.Rule(t.Context(), "one")
	if err != nil || got.Status != "EXPIRED" || got.Matched != 5 || got.Changed != 2 || got.Order != 3 || got.LastHitAt.IsZero() || len(got.Document) < 100 {
		t.Errorf("%v %+v", err, got)
	}
	if _, err := c.Rule(t.Context(), "two"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := c.RunRule(t.Context(), "one", []string{"12"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no account: %v", err)
	}
	if _, err := c.UpdateRule(t.Context(), "one", api.RuleRequest{Version: 1, Document: map[string]any{}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no change: %v", err)
	}
	if _, err := c.CreateRule(t.Context(), api.RuleRequest{Version: 3, Document: map[string]any{}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("no version: %v", err)
	}
}
