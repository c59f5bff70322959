package route

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// TargetFailure is a target that was not put.
type TargetFailure struct {
	ID, Code, Message string
}

// PutTargets are targets that somebody puts at a rule.
type PutTargets struct {
	Bus, Rule string
	Targets   []target.Target
	By        string
	// Starts says why By may not have the rule start the document that a target is.
	// Default: it may have none started.
	Starts func(ctx context.Context, t target.Target) error
}

// PutTargets puts targets at a rule, over those with the same ids. What one of them fails
// with keeps none of the others; what is no target at all refuses the request.
func (d *Desk) PutTargets(ctx context.Context, p PutTargets) ([]TargetFailure, error) {
	bus, err := d.BusName(p.Bus)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, t := range p.Targets {
		if err := t.Validate(d.cfg.Account); err != nil {
			return nil, say(err, "%s", withHint(plain(err)))
		}
		if seen[t.ID] {
			return nil, wrong("Target id %s is in the request more than once.", t.ID)
		}
		seen[t.ID] = true
	}
	if r, err := d.Rule(ctx, bus, p.Rule); err != nil {
		return nil, err
	} else if r.Configured {
		return nil, managed(r)
	}
	good, failed, err := d.allowed(ctx, bus, p)
	if err != nil || len(good) == 0 {
		return failed, err
	}
	_, err = d.changeRule(ctx, bus, p.Rule, "event_targets.put", p.By, func(r *StoredRule) error {
		for _, t := range good {
			if r.Owners == nil {
				r.Owners = map[string]string{}
			}
			r.Owners[t.ID] = p.By
			if i := slices.IndexFunc(r.Targets, func(has target.Target) bool { return has.ID == t.ID }); i >= 0 {
				r.Targets[i] = t
				continue
			}
			r.Targets = append(r.Targets, t)
		}
		return r.checkTargets()
	})
	return failed, err
}

// plain gives a fault without what was being attempted.
func plain(err error) error {
	if e, ok := err.(*fault.Error); ok && e.Err != nil { //nolint:errorlint // what it wraps says something else
		return &fault.Error{Code: e.Code, Err: e.Err, Hint: e.Hint}
	}
	return err
}

func (r *StoredRule) checkTargets() error {
	size := 0
	for _, t := range r.Targets {
		size += len(targetText(t))
	}
	switch {
	case len(r.Targets) > MaxTargets:
		return full("The requested resource exceeds the maximum number allowed: a rule has at most %d targets.", MaxTargets)
	case size > maxTargets:
		return full("The requested resource exceeds the maximum allowed: all targets of a rule together have at most %d bytes.", maxTargets)
	}
	return nil
}

func targetText(t target.Target) string {
	raw, err := json.Marshal(t)
	if err != nil {
		return t.ID // What is kept as it came was read as JSON.
	}
	return string(raw)
}

// allowed divides targets into those that a rule on a bus may have, and the others.
func (d *Desk) allowed(ctx context.Context, bus string, p PutTargets) (good []target.Target, failed []TargetFailure, err error) {
	for _, t := range p.Targets {
		err := d.cfg.Allow(ctx, bus, t)
		if err == nil {
			err = p.starts(ctx, t)
		}
		if err == nil {
			good = append(good, t)
			continue
		}
		f := TargetFailure{ID: t.ID, Message: withHint(plain(err))}
		switch fault.CodeOf(err) {
		case fault.NotFound:
			f.Code = "ResourceNotFoundException"
		case fault.Denied:
			f.Code = "AccessDeniedException"
		case fault.Invalid:
			f.Code = "ValidationException"
		default:
			return nil, nil, err
		}
		failed = append(failed, f)
	}
	return good, failed, nil
}

// starts refuses a document that whoever asks may not start: the rule starts it as them.
func (p PutTargets) starts(ctx context.Context, t target.Target) error {
	arn, _ := target.ParseARN(t.ARN)
	if _, _, ok := arn.Document(); !ok {
		return nil
	}
	if p.Starts == nil {
		return fault.Errorf(fault.Denied, "", "%s may not have a rule start a document", p.By)
	}
	return p.Starts(ctx, t)
}

// RemoveTargets takes targets from a rule. Ids that it does not have are gone already.
func (d *Desk) RemoveTargets(ctx context.Context, bus, rule string, ids []string, by string) error {
	_, err := d.changeRule(ctx, bus, rule, "event_targets.removed", by, func(r *StoredRule) error {
		r.Targets = slices.DeleteFunc(r.Targets, func(t target.Target) bool { return slices.Contains(ids, t.ID) })
		for _, id := range ids {
			delete(r.Owners, id)
		}
		return nil
	})
	return err
}

// Targets gives a page of the targets of a rule by id, and the id behind which the next
// begins.
func (d *Desk) Targets(ctx context.Context, bus, rule string, p Paging) ([]target.Target, string, error) {
	r, err := d.Rule(ctx, bus, rule)
	if err != nil {
		return nil, "", err
	}
	page, next := cut(r.Targets, p, func(t target.Target) string { return t.ID })
	return page, next, nil
}

// RulesOf gives a page of the rules of a bus that have a target.
func (d *Desk) RulesOf(ctx context.Context, bus, arn string, p Paging) ([]StoredRule, string, error) {
	return d.Rules(ctx, bus, p, func(r StoredRule) bool {
		return slices.ContainsFunc(r.Targets, func(t target.Target) bool { return t.ARN == arn })
	})
}

// missingMembers gives what an event lacks of the members that each on a bus has.
func missingMembers(event []byte) (missing []string) {
	var members map[string]json.RawMessage
	if json.Unmarshal(event, &members) != nil {
		return []string{"an object"}
	}
	for _, name := range []string{"id", "account", "source", "time", "region", "resources", "detail-type"} {
		if _, ok := members[name]; !ok {
			missing = append(missing, name)
		}
	}
	return missing
}
