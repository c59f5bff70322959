package triage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	// MaxRules is how many rules may be stored; AWS takes 100.
	MaxRules = 10_000
	// maxRuleBytes bounds all stored rules together.
	maxRuleBytes = 64 << 20
	// MaxRuleBatch is how many rules one request may name.
	MaxRuleBatch = 100
)

// RuleWriter stores automation rules.
type RuleWriter interface {
	CreateRule(ctx context.Context, r store.AutomationRule, most store.RuleLimits, eff store.Effects) error
	UpdateRules(ctx context.Context, rules []store.AutomationRule, most store.RuleLimits, eff store.Effects) error
	DeleteRules(ctx context.Context, rules []store.AutomationRule, eff store.Effects) error
	RuleHits(ctx context.Context, rules []string) ([]store.RuleHit, error)
}

// RuleDeskConfig is what NewRuleDesk needs. Everything without a default is
// required.
type RuleDeskConfig struct {
	Triage *Triage
	Book   *Rulebook
	Rules  RuleWriter
	Runs   RuleRuns
	Pages  FindingPages
	// Account and Partition are those of the rules' ARNs. Default: aws.
	Account, Partition string
	// Node names this process for the lease of the runs. Default: no lease is
	// taken, since nobody else works on the database.
	Node   string
	Lease  Lease
	IDs    service.IDs   // default: random
	Clock  service.Clock // default: the system's
	Logger *slog.Logger  // default: discard
	// Poll is how often a run is looked for that another node was asked for.
	// Default: 2 s.
	Poll time.Duration
}

// RuleDesk makes, changes, tries and runs automation rules. Who may do so is for
// its callers to check.
type RuleDesk struct {
	cfg   RuleDeskConfig
	log   *slog.Logger
	lease turn
	runner
}

// NewRuleDesk makes a RuleDesk; Start makes it carry out runs.
func NewRuleDesk(cfg RuleDeskConfig) (*RuleDesk, error) {
	if cfg.Triage == nil || cfg.Book == nil || cfg.Rules == nil || cfg.Runs == nil || cfg.Pages == nil || cfg.Account == "" {
		return nil, fault.Errorf(fault.Internal, "make rule desk", "triage, book, rules, runs, pages and account are required")
	}
	if cfg.Partition == "" {
		cfg.Partition = "aws"
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Poll <= 0 {
		cfg.Poll = 2 * time.Second
	}
	d := &RuleDesk{cfg: cfg, log: cfg.Logger.With("component", "triage.rules"), lease: turn{cfg.Lease, "rule-runs", cfg.Node}}
	d.runner = newRunner(cfg.Poll, d.log, d.Work)
	return d, nil
}

// NewRule is a rule that is asked for.
type NewRule struct {
	// Version is 1 or 2, Document the rule in AWS's form. What the service says of
	// a rule (RuleArn, CreatedAt, UpdatedAt, CreatedBy) is not taken from it.
	Version  int
	Document json.RawMessage
	// Region is that of the rule's ARN; the rule applies in all.
	Region string
	// By is the principal that asks.
	By string
	// Token makes the request idempotent: with the same from the same principal,
	// the rule that was made first is the answer, or a conflict when another was
	// asked for. "" = none.
	Token string
}

// CreateRule makes a rule. What was accepted before is triaged first, without it: a
// rule applies to findings that arrive after it was made.
func (d *RuleDesk) CreateRule(ctx context.Context, n NewRule) (StoredRule, error) {
	const op = "create automation rule"
	r, err := rule.ParseVersion(n.Version, n.Document)
	if err != nil {
		return StoredRule{}, err
	}
	token := ""
	if n.Token != "" {
		sum := sha256.Sum256([]byte(n.By + "\x00" + n.Token))
		token = hex.EncodeToString(sum[:])
	}
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return StoredRule{}, fmt.Errorf("%s: %w", op, err)
	}
	key, err := d.newKey(r)
	if err != nil {
		return StoredRule{}, fmt.Errorf("%s: %w", op, err)
	}
	now := d.now()
	r.ARN = fmt.Sprintf("arn:%s:securityhub:%s:%s:%s/%s", d.cfg.Partition, n.Region, d.cfg.Account, resourceOf(n.Version), key)
	r.CreatedAt, r.UpdatedAt, r.CreatedBy = now, now, n.By
	made := StoredRule{Rule: r, Key: key, Rev: 1, Token: token}
	row, err := made.row()
	if err != nil {
		return StoredRule{}, err
	}
	eff, err := d.audit("rule.created", n.By, now, made)
	if err != nil {
		return StoredRule{}, err
	}
	err = d.cfg.Rules.CreateRule(ctx, row, limits(), eff)
	if errors.Is(err, store.ErrExists) && token != "" {
		return d.first(ctx, token, made)
	}
	return made, err
}

func limits() store.RuleLimits { return store.RuleLimits{Rules: MaxRules, Bytes: maxRuleBytes} }

// first gives the rule that an earlier request with this token made, also when it was
// changed since. A token that was used for another request is a mistake of the caller.
func (d *RuleDesk) first(ctx context.Context, token string, again StoredRule) (StoredRule, error) {
	all, err := d.cfg.Book.All(ctx)
	if err != nil {
		return StoredRule{}, err
	}
	request := again.Key[len("00000000-0000-0000-"):] // see newKey
	for _, r := range all {
		if r.Token == token && strings.HasSuffix(r.Key, request) {
			return r, nil
		}
	}
	return StoredRule{}, fault.Errorf(fault.Conflict, "create automation rule", "the client token was used for another rule").
		WithHint("use a new token for a new rule; with the same token the whole request must be the same")
}

// resourceOf is the resource part of a rule's ARN.
func resourceOf(version int) string {
	if version == 2 {
		return "automation-rulev2"
	}
	return "automation-rule"
}

// newKey makes an identifier in the form of AWS's. Its second half is a digest of what
// was asked for, see first.
func (d *RuleDesk) newKey(asked rule.Rule) (string, error) {
	request, err := digest(asked)
	if err != nil {
		return "", fault.E(fault.Internal, "write automation rule", err)
	}
	id := sha256.Sum256([]byte("automation rule\x00" + d.cfg.IDs.NewID("rule")))
	copy(id[8:], request[:8])
	return service.UUID(id), nil
}

// digest is the same for all ways to write a rule: spaces and the order of members do
// not count.
func digest(r rule.Rule) ([sha256.Size]byte, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var sorted any
	if err := d.Decode(&sorted); err != nil {
		return [sha256.Size]byte{}, err
	}
	raw, err = json.Marshal(sorted)
	return sha256.Sum256(raw), err
}

func (d *RuleDesk) now() time.Time { return d.cfg.Clock.Now().UTC().Truncate(time.Microsecond) }

// row is the rule as it is stored.
func (r StoredRule) row() (store.AutomationRule, error) {
	doc, err := json.Marshal(r.Rule)
	if err != nil {
		return store.AutomationRule{}, fault.E(fault.Internal, "write automation rule", err)
	}
	return store.AutomationRule{ID: r.Key, ARN: r.ARN, Version: int64(r.Version), Token: r.Token, CreatedAt: r.CreatedAt, Rev: r.Rev, Doc: doc}, nil
}

// Rule gives the rule that text names: by its key, its ARN, or the name of a
// configured one.
func (d *RuleDesk) Rule(ctx context.Context, text string) (StoredRule, error) {
	found, err := d.FindRules(ctx, 0, []string{text})
	if err != nil {
		return StoredRule{}, err
	}
	return found[0].Rule, found[0].Err
}

// FindRules gives the rules that names name, see Rule; outcomes stand in the order
// of the names. Version limits the rules to those of one API; 0 is both.
func (d *RuleDesk) FindRules(ctx context.Context, version int, names []string) ([]RuleOutcome, error) {
	all, err := d.cfg.Book.All(ctx)
	if err != nil {
		return nil, err
	}
	// Names are of people and may be anything; an ARN and a key are not.
	byName := make(map[string]int, 2*len(all))
	for i, r := range all {
		byName[r.ID()] = i
	}
	for i, r := range all {
		byName[r.Key] = i
	}
	out := make([]RuleOutcome, len(names))
	for i, name := range names {
		at, ok := byName[name]
		// Configured rules have no ARN, so AWS's API cannot show them.
		if !ok || version != 0 && (all[at].Version != version || all[at].Configured) {
			out[i].Err = unknownRule()
			continue
		}
		out[i].Rule = all[at]
	}
	return out, nil
}

func unknownRule() error {
	return fault.Errorf(fault.NotFound, "find automation rule", "there is no such automation rule").WithHint("list them: parry rule list")
}

// RuleChange is what is to become of a rule.
type RuleChange struct {
	// Rule names the rule, see RuleDesk.Rule.
	Rule string
	// Members are the members of the rule's document that change.
	Members map[string]json.RawMessage
	// Err refuses the change before it is looked at.
	Err error
}

// RuleOutcome is what became of one rule of a request.
type RuleOutcome struct {
	Rule StoredRule // as it is now
	Err  error
}

// UpdateRules changes rules, each on its own; outcomes stand in the order of the
// changes. Version limits the rules to those of one API; 0 is both. The error is
// for the request as a whole.
func (d *RuleDesk) UpdateRules(ctx context.Context, version int, changes []RuleChange, by string) ([]RuleOutcome, error) {
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return nil, fmt.Errorf("update automation rules: %w", err)
	}
	var out []RuleOutcome
	err := d.cfg.Triage.again(ctx, func() error {
		var err error
		out, err = d.update(ctx, version, changes, by)
		return err
	})
	return out, err
}

func (d *RuleDesk) update(ctx context.Context, version int, changes []RuleChange, by string) ([]RuleOutcome, error) {
	now := d.now()
	found, err := d.editable(ctx, version, changes)
	if err != nil {
		return nil, err
	}
	var rows []store.AutomationRule
	var eff store.Effects
	for i := range found {
		o := &found[i]
		if o.Err != nil {
			continue
		}
		if o.Rule, o.Err = changed(o.Rule, changes[i].Members, now); o.Err != nil {
			continue
		}
		row, err := o.Rule.row()
		if err != nil {
			return nil, err
		}
		audit, err := d.audit("rule.updated", by, now, o.Rule)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		eff.Audit = append(eff.Audit, audit.Audit...)
		o.Rule.Rev++
	}
	if len(rows) == 0 {
		return found, nil
	}
	return found, d.cfg.Rules.UpdateRules(ctx, rows, limits(), eff)
}

// editable finds the rules of changes. A rule that is named twice is refused the
// second time.
func (d *RuleDesk) editable(ctx context.Context, version int, changes []RuleChange) ([]RuleOutcome, error) {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Rule
	}
	out, err := d.FindRules(ctx, version, names)
	seen := map[string]bool{}
	for i, o := range out {
		switch {
		case changes[i].Err != nil:
			out[i].Err = changes[i].Err
		case o.Err != nil:
		case o.Rule.Configured:
			out[i].Err = fault.Errorf(fault.Conflict, "change automation rule", "the rule %q is of the configuration", o.Rule.Name).
				WithHint("change automation_rules in parry.yaml and restart the server")
		case seen[o.Rule.Key]:
			out[i].Err = fault.Errorf(fault.Invalid, "change automation rule", "the rule is in the request more than once")
		default:
			seen[o.Rule.Key] = true
		}
	}
	return out, err
}

// changed gives r with members of its document replaced.
func changed(r StoredRule, members map[string]json.RawMessage, now time.Time) (StoredRule, error) {
	if r.Problem != "" {
		return r, fault.Errorf(fault.Conflict, "change automation rule", "the stored rule cannot be read: %s", r.Problem).
			WithHint("delete it and make it anew")
	}
	raw, err := json.Marshal(r.Rule)
	if err != nil {
		return r, fault.E(fault.Internal, "write automation rule", err)
	}
	doc := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return r, fault.E(fault.Internal, "read automation rule", err)
	}
	for name, value := range members {
		doc[name] = value
	}
	if raw, err = json.Marshal(doc); err != nil {
		return r, fault.E(fault.Invalid, "change automation rule", err)
	}
	next, err := rule.ParseVersion(r.Version, raw)
	if err != nil {
		return r, err
	}
	// What the service says of a rule is not the caller's to say. Tags say nothing
	// about what a rule does, so they do not move it among those of equal order.
	if _, tags := members["Tags"]; tags && len(members) == 1 {
		now = r.UpdatedAt
	}
	next.ARN, next.CreatedAt, next.CreatedBy, next.UpdatedAt = r.ARN, r.CreatedAt, r.CreatedBy, now
	r.Rule = next
	return r, nil
}

// DeleteRules deletes rules, each on its own, see UpdateRules.
func (d *RuleDesk) DeleteRules(ctx context.Context, version int, names []string, by string) ([]RuleOutcome, error) {
	if _, err := d.cfg.Triage.Drain(ctx); err != nil {
		return nil, fmt.Errorf("delete automation rules: %w", err)
	}
	changes := make([]RuleChange, len(names))
	for i, n := range names {
		changes[i].Rule = n
	}
	for n := 1; ; n++ {
		out, err := d.delete(ctx, version, changes, by)
		// Somebody else deleted one of them meanwhile: look again.
		if !errors.Is(err, store.ErrNotFound) || n == maxConflicts {
			return out, err
		}
	}
}

func (d *RuleDesk) delete(ctx context.Context, version int, changes []RuleChange, by string) ([]RuleOutcome, error) {
	out, err := d.editable(ctx, version, changes)
	if err != nil {
		return nil, err
	}
	now := d.now()
	var rows []store.AutomationRule
	var eff store.Effects
	for _, o := range out {
		if o.Err != nil {
			continue
		}
		audit, err := d.audit("rule.deleted", by, now, o.Rule)
		if err != nil {
			return nil, err
		}
		eff.Audit = append(eff.Audit, audit.Audit...)
		rows = append(rows, store.AutomationRule{ID: o.Rule.Key, ARN: o.Rule.ARN})
	}
	if len(rows) == 0 {
		return out, nil
	}
	return out, d.cfg.Rules.DeleteRules(ctx, rows, eff)
}

// audit makes the record of a person's change of a rule. Criteria may be long, so
// they stand there as a digest.
func (d *RuleDesk) audit(action, by string, at time.Time, r StoredRule) (store.Effects, error) {
	detail := map[string]any{"name": r.Name, "order": r.Order, "status": r.Status(at), "terminal": r.Terminal, "update": r.Update}
	if !r.ExpiresAt.IsZero() {
		detail["expires_at"] = r.ExpiresAt
	}
	criteria, err := r.CriteriaJSON()
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit "+action, err)
	}
	sum := sha256.Sum256(criteria)
	detail["criteria_sha256"] = hex.EncodeToString(sum[:])
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Effects{}, fault.E(fault.Internal, "audit "+action, err)
	}
	return store.Effects{Audit: []store.AuditRecord{{At: at, Actor: by, Action: action, Object: r.ID(), Detail: raw}}}, nil
}

// RuleQuery asks for a page of rules.
type RuleQuery struct {
	Version int // 0 = both, with the configured ones
	Limit   int // 100 by default, at most 1,000
	Cursor  string
}

// ruleCursor names the last rule of a page. Rules that move or come between two
// pages hide no others.
type ruleCursor struct {
	Order     float64   `json:"o"`
	UpdatedAt time.Time `json:"u"`
	ID        string    `json:"i"`
	Version   int       `json:"v"`
}

// ListRules gives a page of the rules in the order of application; the cursor of the
// next page is "" on the last.
func (d *RuleDesk) ListRules(ctx context.Context, q RuleQuery) ([]StoredRule, string, error) {
	all, err := d.cfg.Book.All(ctx)
	if err != nil {
		return nil, "", err
	}
	from, err := readRuleCursor(q)
	if err != nil {
		return nil, "", err
	}
	limit := 100
	if q.Limit > 0 {
		limit = min(q.Limit, 1000)
	}
	var page []StoredRule
	for _, r := range all {
		// Configured rules have no ARN, so AWS's API cannot show them.
		if q.Version != 0 && (r.Version != q.Version || r.Configured) || from != nil && !r.after(*from) {
			continue
		}
		if len(page) == limit {
			last := page[limit-1]
			raw, err := json.Marshal(ruleCursor{last.Order, last.UpdatedAt, last.ID(), q.Version})
			return page, hex.EncodeToString(raw), err
		}
		page = append(page, r)
	}
	return page, "", nil
}

func readRuleCursor(q RuleQuery) (*ruleCursor, error) {
	if q.Cursor == "" {
		return nil, nil
	}
	var c ruleCursor
	raw, err := hex.DecodeString(q.Cursor)
	if err != nil || len(raw) > 4096 || json.Unmarshal(raw, &c) != nil || c.Version != q.Version || c.ID == "" {
		return nil, fault.Errorf(fault.Invalid, "read token", "the token does not belong to this list").WithHint("start again from the first page, without a token")
	}
	return &c, nil
}

// RuleHits gives the counters of rules, by ARN or name; one that never applied has
// none.
func (d *RuleDesk) RuleHits(ctx context.Context, rules []StoredRule) (map[string]store.RuleHit, error) {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = r.ID()
	}
	hits, err := d.cfg.Rules.RuleHits(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make(map[string]store.RuleHit, len(hits))
	for _, h := range hits {
		out[h.Rule] = h
	}
	return out, nil
}
