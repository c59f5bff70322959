package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// rulesOnIngest measures what automation rules cost triage: the same findings with
// none and with many, in turn, so that both see the same machine.
func rulesOnIngest(kind string) measurement {
	name := "rules/" + kind
	few, many := name+"/1000", name+"/10000"
	return measurement{
		rows: []Row{
			atLeast(few, "findings indexed with 1,000 automation rules : none, "+title(kind), 0.85, "times"),
			atLeast(many, "findings indexed with 10,000 automation rules : none, "+title(kind), 0.85, "times"),
		},
		limit: 180 * time.Second,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			for _, want := range []struct {
				row   string
				rules int
			}{{few, 1000}, {many, 10_000}} {
				if rows[want.row] == nil {
					continue
				}
				if err := compareRules(ctx, b, kind, rows[want.row], want.rules); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func compareRules(ctx context.Context, b *bench, kind string, row *Row, n int) error {
	without, err := b.open(ctx, kind)
	if err != nil {
		return err
	}
	defer without.close()
	with, err := b.open(ctx, kind)
	if err != nil {
		return err
	}
	defer with.close()
	began := time.Now()
	if err := putRules(ctx, with.store, n); err != nil {
		return err
	}
	b.say("%.1f s to store %d rules", time.Since(began).Seconds(), n)
	const findings = 4000
	for seed := range uint64(4) {
		plain, _, err := drain(ctx, without.store, inboxItems(100+seed, findings, 500))
		if err != nil {
			return err
		}
		ruled, used, err := drain(ctx, with.store, inboxItems(100+seed, findings, 500))
		if err != nil {
			return err
		}
		hits, err := countHits(ctx, with.store)
		if err != nil {
			return err
		}
		if seed == 0 {
			continue // the first of both fills caches
		}
		row.set(ruled/plain, "%.0f : %.0f findings/s, triage.Drain of %d new findings, %s; %d times a rule applied so far; %s", ruled, plain, findings, used, hits, flushed(kind))
	}
	return nil
}

// putRules stores rules as an organization may have them: for an account and a
// control, for a control, for a tag, and a few that no value selects. About two
// of a thousand apply to a finding.
func putRules(ctx context.Context, s *store.Store, n int) error {
	for i := range n {
		key := fmt.Sprintf("00000000-0000-8000-8000-%012d", i)
		arn := "arn:aws:securityhub:us-east-1:999988887777:automation-rule/" + key
		doc, err := json.Marshal(map[string]any{
			"RuleArn": arn, "RuleName": fmt.Sprintf("Rule %d", i), "Description": "One of many.", "RuleOrder": 1 + i%1000, "RuleStatus": "ENABLED",
			"Criteria": ruleCriteria(i), "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
			"Actions": []any{map[string]any{"Type": "FINDING_FIELDS_UPDATE", "FindingFieldsUpdate": map[string]any{"Criticality": i % 100, "VerificationState": "TRUE_POSITIVE"}}},
		})
		if err != nil {
			return err
		}
		err = s.CreateRule(ctx, store.AutomationRule{ID: key, ARN: arn, Version: 1, CreatedAt: time.Unix(int64(i), 0), Doc: doc}, store.RuleLimits{Rules: int64(n), Bytes: 1 << 30}, store.Effects{})
		if err != nil {
			return err
		}
	}
	return nil
}

func ruleCriteria(i int) map[string]any {
	equals := func(v string) []any { return []any{map[string]string{"Value": v, "Comparison": "EQUALS"}} }
	control := fmt.Sprintf("S3.%d", i%controls)
	switch {
	case i%500 == 7:
		return map[string]any{"Title": []any{map[string]string{"Value": fmt.Sprintf("S3.%d no such", i), "Comparison": "PREFIX"}}}
	case i%10 == 3:
		return map[string]any{"ResourceTags": []any{map[string]string{"Key": "name", "Value": fmt.Sprintf("bucket-%d", i), "Comparison": "EQUALS"}}, "RecordState": equals("ACTIVE")}
	case i%1000 < 100:
		return map[string]any{"ComplianceSecurityControlId": equals(control), "WorkflowStatus": equals("NEW"), "SeverityLabel": equals("HIGH")}
	}
	return map[string]any{"AwsAccountId": equals(account(i % 500)), "ComplianceSecurityControlId": equals(control), "ComplianceStatus": equals("FAILED")}
}

func countHits(ctx context.Context, s *store.Store) (int64, error) {
	rules, _, err := s.AllRules(ctx)
	if err != nil {
		return 0, err
	}
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.ARN
	}
	hits, err := s.RuleHits(ctx, names)
	var n int64
	for _, h := range hits {
		n += h.Matched
	}
	return n, err
}

// newTriage is triage with the rules that are stored, as the server has it after its
// first batch: the rules are compiled.
func newTriage(ctx context.Context, s *store.Store) (*triage.Triage, error) {
	book := triage.NewRulebook(s, nil, slog.New(slog.DiscardHandler))
	if _, err := book.Rules(ctx); err != nil {
		return nil, err
	}
	return triage.New(triage.Config{Store: s, Rules: book, Clock: service.SystemClock{}})
}
