package triage

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/store"
)

// RuleReader reads the stored automation rules.
type RuleReader interface {
	// RuleRevision moves with every change of a rule.
	RuleRevision(ctx context.Context) (int64, error)
	AllRules(ctx context.Context) ([]store.AutomationRule, int64, error)
}

// StoredRule is an automation rule with where it comes from.
type StoredRule struct {
	rule.Rule
	// Key names the rule in paths: the last part of a stored rule's ARN.
	Key string
	// Configured says that the rule is of the configuration, where alone it can be
	// changed.
	Configured bool
	// Rev is what a change of a stored rule must name.
	Rev int64
	// Token made the creation idempotent, "" = none.
	Token string
	// Problem is why a stored rule takes no part, "" = it is read whole.
	Problem string
}

// Rulebook gives the automation rules in force: those of the configuration and
// those that are stored. It reads them again when they were changed, by whatever
// node, before the next batch of findings.
type Rulebook struct {
	reader     RuleReader
	configured []StoredRule
	log        *slog.Logger

	mu     sync.Mutex
	rev    int64
	set    *rule.Set
	all    []StoredRule // in the order of application; never written, only replaced
	parsed map[string]StoredRule
}

// NewRulebook makes a Rulebook of the stored rules and of configured ones.
func NewRulebook(reader RuleReader, configured []rule.Rule, log *slog.Logger) *Rulebook {
	b := &Rulebook{reader: reader, log: log.With("component", "triage.rules")}
	for _, r := range configured {
		sum := sha256.Sum256([]byte(r.ID()))
		b.configured = append(b.configured, StoredRule{Rule: r, Key: "config-" + hex.EncodeToString(sum[:8]), Configured: true})
	}
	return b
}

// Rules gives the rules in force, compiled.
func (b *Rulebook) Rules(ctx context.Context) (*rule.Set, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.refresh(ctx)
	return b.set, err
}

// All gives every rule, enabled or not, in the order of application. The slice is
// shared: it must not be written.
func (b *Rulebook) All(ctx context.Context) ([]StoredRule, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.refresh(ctx)
	return b.all, err
}

func (b *Rulebook) refresh(ctx context.Context) error {
	rev, err := b.reader.RuleRevision(ctx)
	if err != nil || b.set != nil && rev == b.rev {
		return err
	}
	stored, rev, err := b.reader.AllRules(ctx)
	if err != nil {
		return err
	}
	// What has not changed is not parsed again: while somebody makes thousands of
	// rules, findings come in between.
	parsed := make(map[string]StoredRule, len(stored))
	all := slices.Clone(b.configured)
	for _, s := range stored {
		r, known := b.parsed[s.ID]
		if !known || r.Rev != s.Rev {
			r = b.read(s)
		}
		parsed[s.ID] = r
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(x, y StoredRule) int { return rule.Compare(x.Rule, y.Rule) })
	rules := make([]rule.Rule, 0, len(all))
	for _, r := range all {
		if r.Problem == "" {
			rules = append(rules, r.Rule)
		}
	}
	b.rev, b.parsed, b.all, b.set = rev, parsed, all, rule.Compile(rules)
	return nil
}

// read parses a stored rule. One that cannot be read takes no part and says so:
// it was good when it was stored, so another version of Parry wrote it, or
// somebody changed the table.
func (b *Rulebook) read(s store.AutomationRule) StoredRule {
	r, err := rule.ParseVersion(int(s.Version), s.Doc)
	if err == nil && r.ARN != s.ARN {
		err = fmt.Errorf("the document is of another rule")
	}
	if err != nil {
		b.log.Error("automation rule disabled", "rule", s.ARN, "error", err)
		var named struct{ RuleName string }
		_ = json.Unmarshal(s.Doc, &named) // a rule without a name is still there to be deleted
		return StoredRule{
			Rule: rule.Rule{ARN: s.ARN, Name: named.RuleName, Version: int(s.Version), CreatedAt: s.CreatedAt, UpdatedAt: s.CreatedAt},
			Key:  s.ID, Rev: s.Rev, Token: s.Token, Problem: err.Error(),
		}
	}
	return StoredRule{Rule: r, Key: s.ID, Rev: s.Rev, Token: s.Token}
}

// Status words whether the rule takes part at time now.
func (r StoredRule) Status(now time.Time) string {
	switch {
	case r.Problem != "":
		return "BROKEN"
	case !r.Enabled:
		return "DISABLED"
	case !r.Active(now):
		return "EXPIRED"
	}
	return "ENABLED"
}

// after reports whether r stands behind the place that a cursor names.
func (r StoredRule) after(c ruleCursor) bool {
	return cmp.Or(cmp.Compare(r.Order, c.Order), r.UpdatedAt.Compare(c.UpdatedAt), strings.Compare(r.ID(), c.ID)) > 0
}
