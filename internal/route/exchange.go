package route

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// What the names of rules and archives begin with in a bus' index of patterns.
const (
	ruleMark    = "r"
	archiveMark = "a"
)

const (
	// loopMost is how many events that Parry or another rule caused a rule takes in
	// loopWindow: more are a loop, and it rests until the window is over.
	loopMost   = 600
	loopWindow = time.Minute
)

// configured is the target, of no rule, that the rules of parry.yaml stand behind.
const configured = "parry.yaml"

// Poster stores events and has them delivered.
type Poster interface {
	Post(ctx context.Context, events []*bus.Posted) error
}

// ExchangeConfig is what NewExchange needs.
type ExchangeConfig struct {
	Poster Poster // required
	// Open finds what delivers to a target. Required.
	Open func(r BusRule, t Outgoing) (Outlet, error)
	// Rules are those of parry.yaml, on the default bus; nil is none.
	Rules *Stage
	// AWSTransformers fills in input transformers as AWS does, without escaping, but for
	// targets that lead to changes: there whoever puts an event adds no parameter.
	AWSTransformers bool

	Clock  service.Clock // required
	IDs    func() string // ids of events; default: random UUIDs
	Logger *slog.Logger  // default: discard
}

// Exchange holds the rules, targets and archives in force, and sorts events by them.
// It is safe for concurrent use.
type Exchange struct {
	cfg   ExchangeConfig
	buses atomic.Pointer[map[string]*lines]
	mu    sync.Mutex // for Use
	tails tails
}

// lines are what is in force on one bus.
type lines struct {
	patterns pattern.Set
	mu       sync.RWMutex       // for what follows, which only Use changes
	rules    map[string]*forced // by name
	marked   map[string]*forced // by the name in patterns, which tells states of a rule apart
	archives map[string]BusArchive
}

// BusRule is an enabled rule. Without a pattern it has a schedule.
type BusRule struct {
	Bus, Name, ARN string
	// Rev changes whenever the rule does.
	Rev     string
	Pattern string
	Targets []Outgoing
	Owners  map[string]string // who put each target, by its id
	MaxHops int               // default DefaultMaxHops
}

// BusArchive is an archive that takes events of a bus; an empty pattern takes all.
type BusArchive struct {
	Bus, Name string
	Rev       string
	Pattern   string
}

// forced is a rule in force.
type forced struct {
	BusRule
	key     string // bus/name
	mark    string // its name in the index
	outlets []*outlet

	mu    sync.Mutex
	since time.Time // of the window in which caused events are counted
	loops int
	drops Drops
}

// Drops are events that a rule matched and did not take, since it came into force on this
// node: they had passed too many rules, or were of a loop.
type Drops struct {
	Events int64
	At     time.Time // of the last
	Reason string    // of the last
}

// Drops gives what a rule did not take.
func (x *Exchange) Drops(on, name string) Drops {
	l := (*x.buses.Load())[on]
	if l == nil {
		return Drops{}
	}
	l.mu.RLock()
	r := l.rules[name]
	l.mu.RUnlock()
	if r == nil {
		return Drops{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.drops
}

// NewExchange makes an exchange in which nothing is in force.
func NewExchange(cfg ExchangeConfig) (*Exchange, error) {
	if cfg.Poster == nil || cfg.Open == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make exchange", "poster, open and clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.IDs == nil {
		cfg.IDs = uuid.NewString
	}
	cfg.Logger = cfg.Logger.With("component", "route.exchange")
	x := &Exchange{cfg: cfg}
	x.buses.Store(&map[string]*lines{})
	return x, nil
}

// Use puts rules and archives in force, and nothing else; what did not change is left as
// it is. What is wrong is in the refusals, and matches nothing.
func (x *Exchange) Use(buses []string, rules []BusRule, archives []BusArchive) []Refusal {
	x.mu.Lock()
	defer x.mu.Unlock()
	old, next := *x.buses.Load(), map[string]*lines{}
	for _, name := range buses {
		if next[name] = old[name]; next[name] == nil {
			next[name] = &lines{rules: map[string]*forced{}, marked: map[string]*forced{}, archives: map[string]BusArchive{}}
		}
	}
	var refusals []Refusal
	byBus := map[string]map[string]BusRule{}
	for _, r := range rules {
		if byBus[r.Bus] == nil {
			byBus[r.Bus] = map[string]BusRule{}
		}
		byBus[r.Bus][r.Name] = r
	}
	kept := map[string]map[string]BusArchive{}
	for _, a := range archives {
		if kept[a.Bus] == nil {
			kept[a.Bus] = map[string]BusArchive{}
		}
		kept[a.Bus][a.Name] = a
	}
	for name, l := range next {
		refusals = append(refusals, x.useRules(l, byBus[name])...)
		refusals = append(refusals, l.useArchives(kept[name])...)
	}
	x.buses.Store(&next)
	for _, r := range refusals {
		x.cfg.Logger.Error("rule disabled", "refusal", r)
	}
	return refusals
}

// useRules makes a bus have these rules. Matching goes on meanwhile: an event meets the
// rules of before, with the targets of before, or those of after.
func (x *Exchange) useRules(l *lines, want map[string]BusRule) (refusals []Refusal) {
	next := make(map[string]*forced, len(want))
	var fresh []pattern.Named
	var made []*forced
	for name, r := range want {
		if have := l.rules[name]; have != nil && have.Rev == r.Rev {
			next[name] = have
			continue
		}
		var p *pattern.Pattern
		if r.Pattern != "" { // else it has a schedule
			var err error
			if p, err = pattern.Parse([]byte(r.Pattern)); err != nil {
				refusals = append(refusals, Refusal{Rule: r.Bus + "/" + name, Name: name, Err: err})
				continue
			}
		}
		f, failures := x.force(r)
		refusals = append(refusals, failures...)
		next[name] = f
		if p != nil {
			made, fresh = append(made, f), append(fresh, pattern.Named{Name: f.mark, Pattern: p})
		}
	}
	var gone []string
	for name, f := range l.rules {
		if next[name] != f {
			gone = append(gone, f.mark)
		}
	}
	l.mu.Lock()
	l.rules = next
	for _, f := range made {
		l.marked[f.mark] = f
	}
	l.mu.Unlock()
	refusals = append(refusals, l.change(fresh, gone)...)
	l.mu.Lock()
	for _, mark := range gone {
		delete(l.marked, mark)
	}
	l.mu.Unlock()
	return refusals
}

// change changes the index in one step.
func (l *lines) change(fresh []pattern.Named, gone []string) (refusals []Refusal) {
	if len(fresh)+len(gone) == 0 {
		return nil
	}
	if err := l.patterns.Change(fresh, gone); err != nil { // it has none that was not parsed
		for _, n := range fresh {
			refusals = append(refusals, Refusal{Rule: n.Name[1:], Err: err})
		}
		return refusals
	}
	l.patterns.Compact()
	return nil
}

// useArchives makes a bus have these archives. One that stays takes events all the while.
func (l *lines) useArchives(want map[string]BusArchive) (refusals []Refusal) {
	have := l.archives
	next := map[string]BusArchive{}
	var fresh []pattern.Named
	for name, a := range want {
		if have[name] != a {
			text := a.Pattern
			if text == "" {
				text = `{"source":[{"prefix":""}]}` // every event has one
			}
			p, err := pattern.Parse([]byte(text))
			if err != nil {
				refusals = append(refusals, Refusal{Rule: "archive " + name, Err: err})
				continue
			}
			fresh = append(fresh, pattern.Named{Name: archiveMark + name, Pattern: p})
		}
		next[name] = a
	}
	l.mu.Lock()
	l.archives = next
	l.mu.Unlock()
	var gone []string
	for name := range have {
		if _, stays := next[name]; !stays {
			gone = append(gone, archiveMark+name)
		}
	}
	return append(refusals, l.change(fresh, gone)...)
}

// sorted is where one event has to go.
type sorted struct {
	targets  []bus.Ref
	archives []string
}

// cause says how an event came about, as far as rules ask for it.
type cause struct {
	replay string
	hops   int
	parry  bool     // Parry's own work, or a rule, caused it: it leads to no change
	looped bool     // it may be one of a loop: it counts against the rule's breaker
	only   []string // ARNs of the rules that get it; none is all
}

// sort finds where an event on a bus has to go. Rules that cannot judge it are told of.
func (x *Exchange) sort(ctx context.Context, l *lines, e pattern.Text, id string, c cause) sorted {
	names, err := l.patterns.Match(e, nil)
	if err != nil {
		var u *pattern.Unjudged
		if errors.As(err, &u) {
			x.cfg.Logger.ErrorContext(ctx, "event not judged by every rule", "event", id, "rules", u.Names, "error", err)
		}
	}
	var out sorted
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, name := range names {
		if name[:1] == archiveMark {
			if _, ok := l.archives[name[1:]]; ok && c.replay == "" {
				out.archives = append(out.archives, name[1:])
			}
			continue
		}
		r := l.marked[name]
		if r == nil || len(c.only) > 0 && !slices.Contains(c.only, r.ARN) {
			continue // it was removed meanwhile, or is not meant
		}
		if why := r.refuses(c, x.cfg.Clock.Now()); why != "" {
			x.cfg.Logger.WarnContext(ctx, "event dropped", "rule", r.key, "event", id, "reason", why)
			continue
		}
		for _, o := range r.outlets {
			if o.outlet.Changes && (c.parry || c.replay != "") {
				x.cfg.Logger.InfoContext(ctx, "no remediation", "rule", r.key, "event", id, "reason", "the event is replayed, or was caused by Parry")
				continue
			}
			out.targets = append(out.targets, bus.Ref{Rule: r.key, Target: o.ID, Address: o.outlet.Address})
		}
	}
	return out
}

// refuses says why the rule does not take an event that it matches, "" when it does.
func (r *forced) refuses(c cause, now time.Time) string {
	if !c.looped && c.hops == 0 {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	why := r.limits(c, now)
	if why != "" {
		r.drops = Drops{Events: r.drops.Events + 1, At: now, Reason: why}
	}
	return why
}

// limits counts an event against the rule's limits; r.mu is held.
func (r *forced) limits(c cause, now time.Time) string {
	if c.hops > r.MaxHops {
		return fmt.Sprintf("it has passed %d rules, and the rule takes events that passed %d", c.hops, r.MaxHops)
	}
	if !c.looped {
		return ""
	}
	if now.Sub(r.since) >= loopWindow {
		r.since, r.loops = now, 0
	}
	if r.loops++; r.loops > loopMost {
		return fmt.Sprintf("it is one of more than %d in a minute that rules or Parry caused: a loop", loopMost)
	}
	return ""
}

// item is an event that is put on a bus.
type item struct {
	id   string
	at   time.Time
	raw  []byte
	text pattern.Text // raw, known to be valid
}

// post sorts events that are put on a bus and sends them on their way. It returns when
// those that go anywhere are stored.
func (x *Exchange) post(ctx context.Context, on string, items []item, c cause) error {
	l, ok := (*x.buses.Load())[on]
	if !ok {
		return fault.Errorf(fault.NotFound, "put events", "there is no event bus %q", on)
	}
	now := x.cfg.Clock.Now()
	posted := make([]*bus.Posted, 0, len(items))
	for _, it := range items {
		if c.replay == "" {
			x.tails.show(on, it.raw)
		}
		s := x.sort(ctx, l, it.text, it.id, c)
		if on == store.DefaultBus && x.cfg.Rules != nil && len(c.only) == 0 && x.cfg.Rules.wants(it.text) {
			s.targets = append(s.targets, bus.Ref{Rule: configured, Target: configured, Address: configured})
		}
		if len(s.targets)+len(s.archives) == 0 {
			continue
		}
		posted = append(posted, &bus.Posted{Bus: on, At: it.at, Since: now, Targets: s.targets, Archives: s.archives, Text: it.raw})
	}
	if len(posted) == 0 {
		return nil
	}
	return x.cfg.Poster.Post(ctx, posted)
}
