package scenarios_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/triage"
)

// TestARuleRunSurvivesKills: a server that is killed again and again while it applies a
// rule to what is stored changes every finding once, and counts each once.
func TestARuleRunSurvivesKills(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := w.install(t, edits(t)...).serve(t)
			n.runUnderKills(w.env.Estate.Members["dev"].Account, w.env.Estate.Region)
		})
	}
}

func (n *node) runUnderKills(account, region string) {
	const total = 3000 // in commits of 200
	t, product := n.t, n.many(account, region, total)
	// Made after they came, so that the run alone applies it.
	rule, err := n.as("olga").CreateRule(t.Context(), api.RuleRequest{Version: 1, Document: document{
		"RuleName": "later", "RuleOrder": 1, "Description": "d", "Criteria": document{"Title": equals("killed")},
		"Actions": []any{document{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": document{"Severity": document{"Label": "LOW"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := n.as("olga").RunRule(t.Context(), rule.Key, nil)
	if err != nil {
		t.Fatal(err)
	}
	between := 0
	for between < 3 {
		poll(t, patience, func() string { return fmt.Sprintf("nothing more than %d", run.Changed) }, func(ctx context.Context) bool {
			now, err := n.as("olga").RuleRun(ctx, run.ID)
			if err != nil || now.Changed == run.Changed {
				return false
			}
			run = now
			return true
		})
		if run.State != triage.RunRunning {
			break
		}
		n.kill()
		n.outliveLeases()
		n.start()
		between++
	}
	if between == 0 {
		t.Error("no kill came between, so the test proves nothing")
	}
	poll(t, patience, func() string { return fmt.Sprintf("%+v", run) }, func(ctx context.Context) bool {
		now, err := n.as("olga").RuleRun(ctx, run.ID)
		if err == nil {
			run = now
		}
		return run.State == triage.RunDone
	})
	if run.Scanned != total || run.Matched != total || run.Changed != total || run.Skipped != 0 {
		t.Errorf("after %d kills: %+v", between, run)
	}
	hit, err := n.as("olga").Rule(t.Context(), rule.Key)
	if err != nil || hit.Matched != total || hit.Changed != total {
		t.Errorf("the rule counts %d matched and %d changed, %v", hit.Matched, hit.Changed, err)
	}
	for i := 0; i < total; i += 7 {
		entries, err := n.as("olga").FindingHistory(t.Context(), finding.ID{ProductArn: product, Id: fmt.Sprintf("kill-%04d", i)}, client.Paging{})
		if err != nil {
			t.Fatal(err)
		}
		var story []string
		for _, e := range entries.Items {
			story = append(story, e.Source+" "+e.Identity)
		}
		if diff := cmp.Diff([]string{"AUTOMATION_RULE " + rule.ARN, "BATCH_IMPORT_FINDINGS hub"}, story); diff != "" {
			t.Fatalf("kill-%04d: %s", i, diff)
		}
	}
	// Of every finding: that it came, and the rule's change.
	if got := n.query("findings", "SELECT count(*) FROM finding_event"); got != 2*total {
		t.Errorf("the history has %d entries, want %d", got, 2*total)
	}
}
