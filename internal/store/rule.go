package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// AutomationRule is a stored automation rule. What it says is in Doc, which the
// store does not read.
type AutomationRule struct {
	ID  string
	ARN string
	// Version is 1 or 2: which of Security Hub's APIs made it.
	Version int64
	// Token makes creation idempotent: a second rule with the same is refused;
	// "" is none.
	Token     string
	CreatedAt time.Time
	// Rev counts the writes; 1 is the first.
	Rev int64
	Doc json.RawMessage
}

// RuleLimits bound all stored rules together.
type RuleLimits struct {
	Rules int64
	Bytes int64
}

// maxRule bounds the document of a rule: its criteria may have 256 KB.
const maxRule = 512 << 10

// CreateRule stores a new rule and sends eff. It answers ErrExists when id, ARN
// or token are taken, and code exhausted over the limits.
func (s *Store) CreateRule(ctx context.Context, r AutomationRule, most RuleLimits, eff Effects) error {
	const op = "create automation rule"
	if err := errors.Join(checkID(op, "rule id", r.ID), checkID(op, "rule ARN", r.ARN), checkRule(r)); err != nil {
		return err
	}
	return s.write(ctx, Findings, op, func(t *tx) error {
		if err := t.moveRules(ctx); err != nil {
			return err
		}
		n, err := t.changed(ctx, s.q.RuleInsert, r.ID, r.ARN, r.Version, text(r.Token, maxID), micros(r.CreatedAt), int64(len(r.Doc)), s.docs.pack(r.Doc))
		if err != nil {
			return err
		}
		if n == 0 {
			return exists("create automation rule %s", r.ID)
		}
		if err := t.checkRuleTotal(ctx, most); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

func checkRule(r AutomationRule) error {
	if !isObject(r.Doc) || len(r.Doc) > maxRule {
		return invalid("check automation rule", "its document has %d bytes or is no object; the limit is %d", len(r.Doc), maxRule)
	}
	return nil
}

// moveRules tells all nodes that the rules change, and keeps other writers of
// rules waiting until this transaction ends.
func (t *tx) moveRules(ctx context.Context) error {
	_, err := t.changed(ctx, t.s.q.RuleRevisionNext)
	return err
}

func (t *tx) checkRuleTotal(ctx context.Context, most RuleLimits) error {
	const op = "count automation rules"
	total, err := one(ctx, t, t.s.q.RuleTotal, nil, func(r scanner) (l RuleLimits, err error) {
		err = r.Scan(&l.Rules, &l.Bytes)
		return l, err
	})
	switch {
	case err != nil:
		return err
	case total.Rules > most.Rules:
		return fault.Errorf(fault.Exhausted, op, "there are %d automation rules already, which is the limit", most.Rules).
			WithHint("delete rules that are no longer needed: parry rule list")
	case total.Bytes > most.Bytes:
		return fault.Errorf(fault.Exhausted, op, "all automation rules together have more than %d bytes", most.Bytes).
			WithHint("delete rules that are no longer needed, or shorten their criteria: parry rule list")
	}
	return nil
}

// UpdateRules replaces rules, each at the Rev that was read, and sends eff: all
// or none. ErrConflict says that one was changed or deleted meanwhile.
func (s *Store) UpdateRules(ctx context.Context, rules []AutomationRule, most RuleLimits, eff Effects) error {
	for _, r := range rules {
		if err := checkRule(r); err != nil {
			return err
		}
	}
	return s.write(ctx, Findings, "update automation rules", func(t *tx) error {
		if err := t.moveRules(ctx); err != nil {
			return err
		}
		for _, r := range rules {
			n, err := t.changed(ctx, s.q.RuleUpdate, r.ID, r.Rev, int64(len(r.Doc)), s.docs.pack(r.Doc))
			if err != nil {
				return err
			}
			if n == 0 {
				return conflict("update automation rule %s", r.ID)
			}
		}
		if err := t.checkRuleTotal(ctx, most); err != nil {
			return err
		}
		return t.send(ctx, eff)
	})
}

// DeleteRules removes rules with their counters, and sends eff. ErrNotFound, with
// nothing removed, says that one is not there.
func (s *Store) DeleteRules(ctx context.Context, rules []AutomationRule, eff Effects) error {
	rules = slices.Clone(rules)
	// The order in which everybody locks counters.
	slices.SortFunc(rules, func(a, b AutomationRule) int { return strings.Compare(a.ARN, b.ARN) })
	return s.write(ctx, Findings, "delete automation rules", func(t *tx) error {
		if err := t.moveRules(ctx); err != nil {
			return err
		}
		for _, r := range rules {
			n, err := t.changed(ctx, s.q.RuleDelete, r.ID)
			if err != nil {
				return err
			}
			if n == 0 {
				return notFound("delete automation rule %s", r.ID)
			}
			if _, err := t.changed(ctx, s.q.RuleHitDelete, text(r.ARN, maxID)); err != nil {
				return err
			}
		}
		return t.send(ctx, eff)
	})
}

func (s *Store) scanRule(r scanner) (AutomationRule, error) {
	var rule AutomationRule
	var created int64
	var frame []byte
	if err := r.Scan(&rule.ID, &rule.ARN, &rule.Version, &rule.Token, &created, &rule.Rev, &frame); err != nil {
		return rule, err
	}
	rule.CreatedAt = fromMicros(created)
	doc, err := s.docs.unpack(frame)
	rule.Doc = doc
	return rule, err
}

// RuleRevision is a number that moves with every change of the rules.
func (s *Store) RuleRevision(ctx context.Context) (int64, error) {
	n, err := one(ctx, s.findings.Read, s.q.RuleRevision, nil, scanInt)
	return n, s.fail("read the revision of the automation rules", err)
}

// AllRules gives every rule, in the order of creation, and the revision at which
// they were read.
func (s *Store) AllRules(ctx context.Context) ([]AutomationRule, int64, error) {
	const op = "read automation rules"
	raw, err := s.findings.Read.BeginTx(ctx, s.dialect.Snapshot)
	if err != nil {
		return nil, 0, s.fail(op, err)
	}
	rev, err := one(ctx, raw, s.q.RuleRevision, nil, scanInt)
	var rules []AutomationRule
	if err == nil {
		rules, err = collect(ctx, raw, s.q.RuleAll, nil, s.scanRule)
	}
	return rules, rev, s.fail(op, errors.Join(err, raw.Rollback()))
}

// RuleHit is how often a rule applied to findings that came in or that a run of
// it went over.
type RuleHit struct {
	// Rule is the rule's ARN, or the name of a configured rule.
	Rule string `json:"rule"`
	// Matched counts the versions of findings that met the criteria, Changed those
	// of them that the action changed.
	Matched int64     `json:"matched"`
	Changed int64     `json:"changed"`
	LastAt  time.Time `json:"last_at"`
}

func hitRows(hits []RuleHit) [][]any {
	rows := make([][]any, 0, len(hits))
	for _, h := range hits {
		rows = append(rows, []any{text(h.Rule, maxID), h.Matched, h.Changed, micros(h.LastAt)})
	}
	// One order of locks for everybody keeps PostgreSQL from deadlocks.
	slices.SortFunc(rows, func(a, b []any) int {
		x, _ := a[0].(string)
		y, _ := b[0].(string)
		return strings.Compare(x, y)
	})
	return rows
}

// RuleHits gives the counters of those of rules that ever applied.
func (s *Store) RuleHits(ctx context.Context, rules []string) ([]RuleHit, error) {
	clean := make([]string, len(rules))
	for i, r := range rules {
		clean[i] = text(r, maxID)
	}
	arg, err := list(clean)
	if err != nil {
		return nil, err
	}
	hits, err := collect(ctx, s.findings.Read, s.q.RuleHits, []any{arg}, func(r scanner) (RuleHit, error) {
		var h RuleHit
		var at int64
		err := r.Scan(&h.Rule, &h.Matched, &h.Changed, &at)
		h.LastAt = fromMicros(at)
		return h, err
	})
	return hits, s.fail("read the counters of automation rules", err)
}
