package route

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// Outgoing is a target of a rule.
type Outgoing = target.Target

// Outlet delivers to one target.
type Outlet struct {
	// Address is what the target's deliveries wait for together: its ARN, mostly.
	Address string
	// Changes says that what it is sent may lead to a change in an account: it gets no
	// event that is replayed or that Parry caused.
	Changes bool
	// Send delivers; GivenUp may be nil. Both are as in bus.Target.
	Send    func(ctx context.Context, p Parcel) error
	GivenUp func(ctx context.Context, p Parcel, d Death) error
	bus.Limits
	// Pace is how many deliveries a second the address takes now, beside Limits; nil or 0:
	// it says nothing.
	Pace func() float64
}

// Parcel is one delivery with what the target's input makes of the event.
type Parcel struct {
	bus.Letter
	Rule  BusRule
	Input []byte
}

// ID is the event's own, the same at every delivery.
func (p Parcel) ID() string {
	if rest, ok := strings.CutPrefix(string(p.Text[:min(len(p.Text), 100)]), `{"version":"0","id":"`); ok {
		if id, _, ok := strings.Cut(rest, `"`); ok && !strings.Contains(id, `\`) {
			return id
		}
	}
	return p.Event().ID
}

// Event reads the event; zero is what cannot be read.
func (p Parcel) Event() bus.Event {
	var e bus.Event
	_ = json.Unmarshal(p.Text, &e) // it was one when it was put on the bus
	return e
}

// Death says why a delivery is made no more.
type Death struct {
	Code, Reason string
	Exhausted    target.Exhausted
}

// outlet is a target in force.
type outlet struct {
	target.Target
	outlet Outlet
	made   bus.Target
}

// force opens the targets of a rule. Those that cannot be opened are refused; the others
// get what the rule matches.
func (x *Exchange) force(r BusRule) (*forced, []Refusal) {
	if r.MaxHops <= 0 {
		r.MaxHops = DefaultMaxHops
	}
	f := &forced{BusRule: r, key: r.Bus + "/" + r.Name, mark: ruleMark + r.Name + "@" + r.Rev}
	var refusals []Refusal
	for _, t := range r.Targets {
		o, err := x.open(f, t)
		if err != nil {
			refusals = append(refusals, Refusal{Rule: f.key, Name: r.Name, Err: err})
			continue
		}
		f.outlets = append(f.outlets, o)
	}
	return f, refusals
}

func (x *Exchange) open(f *forced, t target.Target) (*outlet, error) {
	to, err := x.cfg.Open(f.BusRule, t)
	if err != nil {
		return nil, fault.E(fault.CodeOf(err), "open target "+t.ID, err)
	}
	input, err := t.Compile(target.Options{AWSCompatible: x.cfg.AWSTransformers && !to.Changes})
	if err != nil {
		return nil, err
	}
	pack := func(l bus.Letter) (Parcel, error) {
		p := Parcel{Letter: l, Rule: f.BusRule}
		var err error
		p.Input, err = input.Render(l.Text, target.Meta{RuleARN: f.ARN, RuleName: f.Name, IngestionTime: l.Since})
		if err != nil {
			return p, fault.Terminal(err)
		}
		return p, nil
	}
	o := &outlet{Target: t, outlet: to}
	o.made = bus.Target{Limits: to.Limits, Retry: t.RetryPolicy, Send: func(ctx context.Context, l bus.Letter) error {
		p, err := pack(l)
		if err != nil {
			return err
		}
		return to.Send(ctx, p)
	}}
	if to.GivenUp != nil {
		o.made.GivenUp = func(ctx context.Context, l bus.Letter, code, reason string, end target.Exhausted) error {
			p, err := pack(l)
			if err != nil {
				p.Input = l.Text
			}
			return to.GivenUp(ctx, p, Death{Code: code, Reason: reason, Exhausted: end})
		}
	}
	return o, nil
}

// paced is what makes deliveries at the pace that the address takes now.
func (o *outlet) paced() bus.Target {
	made := o.made
	if o.outlet.Pace == nil {
		return made
	}
	if pace := o.outlet.Pace(); pace > 0 && (made.Rate <= 0 || pace < made.Rate) {
		made.Rate = pace
	}
	return made
}

// Target finds what makes a delivery, false when rule or target are gone.
func (x *Exchange) Target(ref bus.Ref) (bus.Target, bool) {
	if ref.Rule == configured {
		return bus.Target{Send: x.toConfigured}, x.cfg.Rules != nil
	}
	on, name, ok := cutKey(ref.Rule)
	if !ok {
		return bus.Target{}, false
	}
	l := (*x.buses.Load())[on]
	if l == nil {
		return bus.Target{}, false
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	r := l.rules[name]
	if r == nil {
		return bus.Target{}, false
	}
	for _, o := range r.outlets {
		if o.ID == ref.Target {
			return o.paced(), true
		}
	}
	return bus.Target{}, false
}

// toConfigured hands an event that was put here to the rules of parry.yaml.
func (x *Exchange) toConfigured(ctx context.Context, l bus.Letter) error {
	return x.cfg.Rules.Handle(ctx, l.Text)
}
