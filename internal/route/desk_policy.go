package route

import (
	"context"
	"errors"
	"time"

	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

// ActionPut is the action of putting events on a bus, by IAM's name.
const ActionPut = "events:PutEvents"

// PutPermission adds a statement to the policy of a bus, or replaces the one with its id.
func (d *Desk) PutPermission(ctx context.Context, bus string, p buspolicy.Permission, by string) error {
	return d.changePolicy(ctx, bus, "event_bus.permitted", by, func(policy, arn string) (string, error) {
		p.Bus = arn
		return buspolicy.Put(policy, p)
	})
}

// SetPolicy replaces the whole policy of a bus; "" is none.
func (d *Desk) SetPolicy(ctx context.Context, bus, policy, by string) error {
	return d.changePolicy(ctx, bus, "event_bus.permitted", by, func(string, string) (string, error) {
		_, err := buspolicy.Parse(policy)
		return policy, err
	})
}

// RemovePermission takes a statement from the policy of a bus.
func (d *Desk) RemovePermission(ctx context.Context, bus, statement, by string) error {
	return d.changePolicy(ctx, bus, "event_bus.revoked", by, func(policy, _ string) (string, error) {
		return buspolicy.Remove(policy, statement)
	})
}

func (d *Desk) changePolicy(ctx context.Context, bus, action, by string, change func(policy, arn string) (string, error)) error {
	_, err := d.changeBus(ctx, bus, action, by, func(b *EventBus) (err error) {
		b.Policy, err = change(b.Policy, b.ARN)
		switch {
		case fault.Is(err, fault.Exhausted):
			return say(ErrPolicyLength, "%s", withHint(plain(err)))
		case fault.Is(err, fault.NotFound):
			return say(store.ErrNotFound, "%s", withHint(plain(err)))
		case err != nil:
			return say(err, "%s", withHint(plain(err)))
		}
		return nil
	})
	if name, nameErr := d.BusName(bus); nameErr == nil {
		d.policies.Delete(name) // this node knows it at once
	}
	return err
}

// policyAge is for how long a policy that was read is believed: another node's change
// counts after that.
const policyAge = time.Second

// heldPolicy is a policy that was read.
type heldPolicy struct {
	policy buspolicy.Policy
	err    error
	at     time.Time
}

// MayPut refuses events that a caller may not put on a bus, by its name: the policy of
// the bus decides for other accounts than its own, and its Deny for everybody.
func (d *Desk) MayPut(ctx context.Context, bus string, caller buspolicy.Caller, source, detailType string) error {
	held, ok := d.policies.Load(bus)
	h, _ := held.(heldPolicy)
	if !ok || d.now().Sub(h.at) >= policyAge || h.at.After(d.now()) {
		var err error
		if h, err = d.readPolicy(ctx, bus); err != nil {
			return err
		}
	}
	if h.err != nil {
		return h.err
	}
	r := buspolicy.Request{
		Caller: caller, Action: ActionPut, Resource: d.BusARN(bus),
		Context: map[string][]string{buspolicy.Source: {source}, buspolicy.DetailType: {detailType}},
	}
	if id, path := d.membership(caller.Account); id != "" {
		r.Context[buspolicy.PrincipalOrgID], r.Context[buspolicy.PrincipalOrgPaths] = []string{id}, []string{path}
	} else {
		r.Unknown = []string{buspolicy.PrincipalOrgID, buspolicy.PrincipalOrgPaths}
	}
	switch decision := h.policy.Decide(r); {
	case decision.Verdict == buspolicy.Denied:
		return say(fault.E(fault.Denied, "", errDenied), "User: %s is not authorized to perform: %s on resource: %s with an explicit deny in a resource-based policy (%s)", caller.ARN, ActionPut, r.Resource, decision.Statement)
	case decision.Verdict == buspolicy.Silent && caller.Account != d.cfg.Account:
		return say(fault.E(fault.Denied, "", errDenied), "User: %s is not authorized to perform: %s on resource: %s because no resource-based policy allows the %s action", caller.ARN, ActionPut, r.Resource, ActionPut)
	}
	return nil
}

var errDenied = errors.New("denied")

// membership gives the organization and the path of an account, "" where they are not known.
func (d *Desk) membership(account string) (organization, path string) {
	if d.cfg.Membership == nil {
		return "", ""
	}
	return d.cfg.Membership(account)
}

// readPolicy reads the policy of a bus and holds it.
func (d *Desk) readPolicy(ctx context.Context, bus string) (heldPolicy, error) {
	b, err := d.Bus(ctx, bus)
	if err != nil {
		return heldPolicy{}, err
	}
	h := heldPolicy{at: d.now()}
	// One that cannot be read any more lets nobody in.
	if h.policy, err = buspolicy.Parse(b.Policy); err != nil {
		h.err = say(fault.E(fault.Denied, "", err), "The policy of event bus %s cannot be read: %s", bus, withHint(plain(err)))
	}
	d.policies.Store(bus, h)
	return h, nil
}
