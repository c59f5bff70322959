package route

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/schedule"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// ManagedBy is who manages the rules that are listed and do not change here.
const ManagedBy = "parry.yaml"

// RuleARN gives the ARN of a rule.
func (d *Desk) RuleARN(bus, name string) string {
	if bus == store.DefaultBus {
		return d.arn("rule/" + name)
	}
	return d.arn("rule/" + bus + "/" + name)
}

func noRule(bus, name string) error {
	return say(store.ErrNotFound, "Rule %s does not exist on EventBus %s.", name, bus)
}

// ofConfig shows a rule of parry.yaml as one of the default bus.
func (d *Desk) ofConfig(r Rule) StoredRule {
	out := StoredRule{Bus: store.DefaultBus, Name: r.Name, ARN: d.RuleARN(store.DefaultBus, r.Name), Configured: true}
	out.Pattern, out.State, out.CreatedBy = string(r.Pattern), StateEnabled, d.cfg.Account
	if !r.Enabled {
		out.State = StateDisabled
	}
	for _, t := range r.Targets {
		out.Targets = append(out.Targets, target.Target{
			ID: string(t.Kind) + "-" + hexSum(t.Name)[:8], ARN: "arn:" + d.cfg.Partition + ":parry:" + d.cfg.Region + ":" + d.cfg.Account + ":" + string(t.Kind) + "/" + t.Name,
		})
	}
	return out
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// head is the row of r.
func (r StoredRule) head() store.BusHead {
	return store.BusHead{BusKey: store.BusKey{Kind: store.BusKindRule, Bus: r.Bus, Name: r.Name}, CreatedAt: r.CreatedAt, Rev: r.Rev}
}

// Rule gives a rule of a bus.
func (d *Desk) Rule(ctx context.Context, bus, name string) (StoredRule, error) {
	bus, err := d.BusName(bus)
	if err != nil {
		return StoredRule{}, err
	}
	o, err := d.cfg.Store.BusObject(ctx, store.BusKey{Kind: store.BusKindRule, Bus: bus, Name: name})
	switch {
	case err == nil:
		return ReadRule(o)
	case !errors.Is(err, store.ErrNotFound):
		return StoredRule{}, err
	}
	if r, ok := d.configured[name]; ok && bus == store.DefaultBus {
		return r, nil
	}
	if _, err := d.Bus(ctx, bus); err != nil {
		return StoredRule{}, err
	}
	return StoredRule{}, noRule(bus, name)
}

// PutRule is what a rule is to be. What it leaves out, the rule has no more, but for its
// targets and tags.
type PutRule struct {
	Bus, Name, Pattern, Schedule, State, Description, RoleARN string
	Tags                                                      map[string]string // of a new rule
	By                                                        string
}

func (p PutRule) check(bus string, now time.Time) error {
	switch {
	case p.Pattern == "" && p.Schedule == "":
		return wrong("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	case p.Schedule != "" && bus != store.DefaultBus:
		return wrong("ScheduleExpression is supported only on the default event bus.")
	}
	if p.Schedule != "" {
		s, err := schedule.ParseRule(p.Schedule)
		if err != nil {
			return say(err, "Parameter ScheduleExpression is not valid. Reason: %s", withHint(err))
		}
		if at := s.Once(); !at.IsZero() && !at.After(now) {
			return wrong("Parameter ScheduleExpression is not valid. Reason: %s has passed.", p.Schedule)
		}
	}
	if p.Pattern != "" {
		if err := checkPattern(p.Pattern); err != nil {
			return err
		}
	}
	return checkTags(p.Tags)
}

func checkPattern(text string) error {
	if _, err := pattern.Parse([]byte(text)); err != nil {
		return say(ErrPattern, "Event pattern is not valid. Reason: %s", withHint(err))
	}
	return nil
}

func withHint(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

// PutRule makes a rule, or replaces what it says.
func (d *Desk) PutRule(ctx context.Context, p PutRule) (r StoredRule, err error) {
	bus, err := d.BusName(p.Bus)
	if err != nil {
		return r, err
	}
	if err := p.check(bus, d.now()); err != nil {
		return r, err
	}
	err = again(func() error {
		r, err = d.Rule(ctx, bus, p.Name)
		fresh := errors.Is(err, store.ErrNotFound)
		switch {
		case err == nil && r.Configured:
			return managed(r)
		case err != nil && !fresh:
			return err
		}
		if fresh {
			r = StoredRule{Bus: bus, Name: p.Name, ARN: d.RuleARN(bus, p.Name), CreatedAt: d.now(), CreatedBy: d.cfg.Account, Tags: p.Tags}
		}
		if r.Pattern != p.Pattern || r.Schedule != p.Schedule {
			// Whoever says what starts documents stands for the runs, and approves none of them.
			for id := range r.Owners {
				r.Owners[id] = p.By
			}
		}
		r.Pattern, r.Schedule, r.Description, r.RoleARN = p.Pattern, p.Schedule, p.Description, p.RoleARN
		r.State = cmp.Or(p.State, StateEnabled)
		return d.saveRule(ctx, &r, "event_rule.put", p.By)
	})
	return r, err
}

func managed(r StoredRule) error {
	return say(fault.E(fault.Conflict, "", ErrManaged).WithHint("change bus_rules in parry.yaml and start the server again"),
		"Rule %s is managed by %s and cannot be changed here. Change bus_rules in parry.yaml and start the server again.", r.Name, ManagedBy)
}

// saveRule writes r, as a new row where it has none.
func (d *Desk) saveRule(ctx context.Context, r *StoredRule, action, by string) error {
	r.UpdatedAt = d.now()
	eff, err := d.audit(action, by, r.ARN, r.audited())
	if err != nil {
		return err
	}
	o, err := marshal(r.head(), r)
	if err != nil {
		return err
	}
	if r.Rev > 0 {
		err = d.cfg.Store.UpdateBusObject(ctx, o, eff)
	} else {
		err = d.cfg.Store.CreateBusObject(ctx, o, MaxRules, eff)
	}
	switch {
	case errors.Is(err, store.ErrExists):
		return store.ErrConflict // somebody else made it meanwhile: it is to be changed
	case errors.Is(err, store.ErrNotFound):
		return noBus(r.Bus)
	}
	return created(err, "Rule", r.Name)
}

// audited is what the audit log has of a rule: what is sent to targets may hold secrets,
// so each stands there with a digest.
func (r StoredRule) audited() map[string]any {
	out := map[string]any{"state": r.State}
	for name, text := range map[string]string{"schedule": r.Schedule, "description": r.Description} {
		if text != "" {
			out[name] = text
		}
	}
	if r.Pattern != "" {
		out["pattern_sha256"] = hexSum(r.Pattern)
	}
	if len(r.Tags) > 0 {
		out["tags"] = r.Tags
	}
	var targets []map[string]string
	for _, t := range r.Targets {
		targets = append(targets, map[string]string{"id": t.ID, "arn": t.ARN, "sha256": hexSum(targetText(t))})
	}
	if targets != nil {
		out["targets"] = targets
	}
	return out
}

// changeRule changes a stored rule.
func (d *Desk) changeRule(ctx context.Context, bus, name, action, by string, change func(*StoredRule) error) (r StoredRule, err error) {
	err = again(func() error {
		if r, err = d.Rule(ctx, bus, name); err != nil {
			return err
		}
		if r.Configured {
			return managed(r)
		}
		if err := change(&r); err != nil {
			return err
		}
		return d.saveRule(ctx, &r, action, by)
	})
	return r, err
}

// SetRuleState enables or disables a rule.
func (d *Desk) SetRuleState(ctx context.Context, bus, name string, enabled bool, by string) error {
	state, action := StateDisabled, "event_rule.disabled"
	if enabled {
		state, action = StateEnabled, "event_rule.enabled"
	}
	_, err := d.changeRule(ctx, bus, name, action, by, func(r *StoredRule) error {
		r.State = state
		return nil
	})
	return err
}

// DeleteRule deletes a rule without targets. One that is not there is deleted already, as
// in AWS.
func (d *Desk) DeleteRule(ctx context.Context, bus, name, by string) error {
	return again(func() error {
		r, err := d.Rule(ctx, bus, name)
		switch {
		case errors.Is(err, store.ErrNotFound):
			_, err := d.Bus(ctx, bus)
			return err
		case err != nil:
			return err
		case r.Configured:
			return managed(r)
		case len(r.Targets) > 0:
			return wrong("Rule can't be deleted since it has targets.")
		}
		eff, err := d.audit("event_rule.deleted", by, r.ARN, r.audited())
		if err != nil {
			return err
		}
		return d.cfg.Store.DeleteBusObject(ctx, r.head().BusKey, r.Rev, eff)
	})
}

// Rules gives a page of the rules of a bus by name that keep keeps, nil for all, and the
// name behind which the next begins.
func (d *Desk) Rules(ctx context.Context, bus string, p Paging, keep func(StoredRule) bool) ([]StoredRule, string, error) {
	b, err := d.Bus(ctx, bus)
	if err != nil {
		return nil, "", err
	}
	if keep == nil {
		keep = func(StoredRule) bool { return true }
	}
	stored, next, err := everyPage(ctx, d, store.BusKindRule, b.Name, p, func(o store.BusObject) (StoredRule, bool, error) {
		r, err := ReadRule(o)
		return r, keep(r), err
	})
	if err != nil || b.Name != store.DefaultBus {
		return stored, next, err
	}
	// Those of parry.yaml stand among the stored ones as far as these have been read.
	all := slices.Clone(stored)
	for name, r := range d.configured {
		has := slices.ContainsFunc(stored, func(s StoredRule) bool { return s.Name == name })
		if !has && keep(r) && (next == "" || name <= next) {
			all = append(all, r)
		}
	}
	page, more := cut(all, p, func(r StoredRule) string { return r.Name })
	if more == "" {
		more = next
	}
	return page, more, nil
}

// TestPattern reports whether an event matches a pattern. The event must have the members
// that events on a bus have.
func TestPattern(text, event string) (bool, error) {
	p, err := pattern.Parse([]byte(text))
	if err != nil {
		return false, say(ErrPattern, "Event pattern is not valid. Reason: %s", withHint(err))
	}
	e, err := pattern.ParseEvent([]byte(event))
	if err != nil {
		return false, say(fault.E(fault.Invalid, "", err), "Parameter Event is not valid. Reason: %s", withHint(err))
	}
	if missing := missingMembers([]byte(event)); len(missing) > 0 {
		return false, wrong("Parameter Event is not valid. Reason: it lacks %s.", strings.Join(missing, ", "))
	}
	ok, err := p.MatchEvent(e)
	if err != nil {
		return false, say(fault.E(fault.Invalid, "", err), "Parameter Event is not valid. Reason: %s", withHint(err))
	}
	return ok, nil
}
