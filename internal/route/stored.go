package route

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// The states of a stored rule, as EventBridge writes them.
const (
	StateEnabled    = "ENABLED"
	StateDisabled   = "DISABLED"
	StateEnabledAll = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
)

// StoredRule is a rule that was made by the API: what the database keeps of it.
type StoredRule struct {
	Bus         string            `json:"-"`
	Name        string            `json:"-"`
	Rev         int64             `json:"-"`
	CreatedAt   time.Time         `json:"-"`
	ARN         string            `json:"arn"`
	Pattern     string            `json:"pattern,omitempty"`
	Schedule    string            `json:"schedule,omitempty"`
	State       string            `json:"state"`
	Description string            `json:"description,omitempty"`
	RoleARN     string            `json:"roleArn,omitempty"`
	CreatedBy   string            `json:"createdBy,omitempty"` // the account
	Tags        map[string]string `json:"tags,omitempty"`
	Targets     []target.Target   `json:"targets,omitempty"`
	Owners      map[string]string `json:"owners,omitempty"` // who put each target, by its id
	UpdatedAt   time.Time         `json:"updatedAt,omitzero"`
	// Configured says that the rule is of parry.yaml, and not stored.
	Configured bool `json:"-"`
}

// Enabled reports whether the rule takes events.
func (r StoredRule) Enabled() bool { return r.State != StateDisabled }

// StoredArchive is an archive of a bus.
type StoredArchive struct {
	Name        string    `json:"-"`
	Rev         int64     `json:"-"`
	CreatedAt   time.Time `json:"-"`
	Bus         string    `json:"bus"`
	Pattern     string    `json:"pattern,omitempty"`
	Days        int       `json:"days,omitempty"` // that events are kept; 0 = for ever
	Description string    `json:"description,omitempty"`
	CreatedBy   string    `json:"createdBy,omitempty"`
	UpdatedAt   time.Time `json:"updatedAt,omitzero"`
}

// Shelf keeps what people make on the bus.
type Shelf interface {
	BusRevision(ctx context.Context) (int64, error)
	BusHeads(ctx context.Context, kind store.BusKind) ([]store.BusHead, error)
	BusObject(ctx context.Context, k store.BusKey) (store.BusObject, error)
	AllBusObjects(ctx context.Context, kind store.BusKind, each func(store.BusObject) error) error
}

// Book brings what is on the shelf into force in an exchange, on every node.
type Book struct {
	Shelf    Shelf
	Exchange *Exchange
	Logger   *slog.Logger
	// Schedules is given all enabled rules that have a schedule; nil: nobody asks.
	Schedules func(rules []StoredRule)
	// Endpoints is given all API destinations by their ARNs, with their connections; nil:
	// nobody asks.
	Endpoints func(endpoints map[string]Endpoint)

	mu       sync.Mutex
	revision int64
	read     bool
	leaves   map[store.BusKey]leaf
}

// leaf is what an object on the shelf says. It stays as it is while its head does.
type leaf struct {
	head    store.BusHead
	rule    *BusRule // nil: it is none, is disabled, or cannot be read
	timed   *StoredRule
	archive *BusArchive
	by      *target.Connection
	to      *target.Destination
}

// fewObjects are read one by one where they changed; more, when they are a good part of
// all, are read with all others.
const fewObjects = 100

// Refresh puts what is on the shelf in force, unless it has not changed.
func (b *Book) Refresh(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	revision, err := b.Shelf.BusRevision(ctx)
	if err != nil || b.read && revision == b.revision {
		return err
	}
	leaves := make(map[store.BusKey]leaf, len(b.leaves))
	for _, kind := range []store.BusKind{store.BusKindBus, store.BusKindRule, store.BusKindArchive, store.BusKindConnection, store.BusKindDestination} {
		if err := b.load(ctx, kind, leaves); err != nil {
			return fmt.Errorf("read the rules of the bus: %w", err)
		}
	}
	b.leaves = leaves
	b.use()
	// What changed while it was read has another revision, and is read the next time.
	b.revision, b.read = revision, true
	return nil
}

// load reads the objects of a kind, and of those that did not change nothing.
func (b *Book) load(ctx context.Context, kind store.BusKind, into map[store.BusKey]leaf) error {
	heads, err := b.Shelf.BusHeads(ctx, kind)
	if err != nil {
		return err
	}
	var changed []store.BusKey
	for _, h := range heads {
		if have, ok := b.leaves[h.BusKey]; ok && have.head == h {
			into[h.BusKey] = have
		} else {
			changed = append(changed, h.BusKey)
		}
	}
	if len(changed) > max(fewObjects, len(heads)/8) {
		return b.Shelf.AllBusObjects(ctx, kind, func(o store.BusObject) error {
			if have, ok := into[o.BusKey]; !ok || have.head != o.BusHead {
				into[o.BusKey] = b.leaf(ctx, o)
			}
			return nil
		})
	}
	for _, key := range changed {
		o, err := b.Shelf.BusObject(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		into[key] = b.leaf(ctx, o)
	}
	return nil
}

// leaf reads an object. One that cannot be read is out of force.
func (b *Book) leaf(ctx context.Context, o store.BusObject) leaf {
	out := leaf{head: o.BusHead}
	switch o.Kind {
	case store.BusKindRule:
		r, err := ReadRule(o)
		if err != nil {
			b.Logger.ErrorContext(ctx, "rule disabled", "rule", o.Bus+"/"+o.Name, "error", err)
			break
		}
		if !r.Enabled() {
			break
		}
		out.rule = &BusRule{Bus: r.Bus, Name: r.Name, ARN: r.ARN, Rev: revOf(o), Pattern: r.Pattern, Targets: r.Targets, Owners: r.Owners}
		if r.Schedule != "" {
			out.timed = &r
		}
	case store.BusKindArchive:
		a, err := ReadArchive(o)
		if err != nil {
			b.Logger.ErrorContext(ctx, "archive disabled", "archive", o.Name, "error", err)
			break
		}
		out.archive = &BusArchive{Bus: a.Bus, Name: a.Name, Rev: revOf(o), Pattern: a.Pattern}
	case store.BusKindConnection:
		c, err := ReadConnection(o)
		if err != nil {
			b.Logger.ErrorContext(ctx, "connection disabled", "connection", o.Name, "error", err)
			break
		}
		out.by = &c
	case store.BusKindDestination:
		d, err := ReadDestination(o)
		if err != nil {
			b.Logger.ErrorContext(ctx, "API destination disabled", "destination", o.Name, "error", err)
			break
		}
		out.to = &d
	case store.BusKindBus, store.BusKindReplay:
	}
	return out
}

// use puts what was read in force.
func (b *Book) use() {
	buses := []string{store.DefaultBus}
	rules := make([]BusRule, 0, len(b.leaves))
	var archives []BusArchive
	var timed []StoredRule
	for key, l := range b.leaves {
		if key.Kind == store.BusKindBus && key.Name != store.DefaultBus {
			buses = append(buses, key.Name)
		}
		if l.rule != nil {
			rules = append(rules, *l.rule)
		}
		if l.timed != nil {
			timed = append(timed, *l.timed)
		}
		if l.archive != nil {
			archives = append(archives, *l.archive)
		}
	}
	if b.Endpoints != nil {
		b.Endpoints(b.endpoints())
	}
	b.Exchange.Use(buses, rules, archives)
	if b.Schedules != nil {
		b.Schedules(timed)
	}
}

// endpoints puts API destinations and connections together.
func (b *Book) endpoints() map[string]Endpoint {
	connections, out := map[string]target.Connection{}, map[string]Endpoint{}
	for _, l := range b.leaves {
		if l.by != nil {
			connections[l.by.ARN] = *l.by
		}
	}
	for _, l := range b.leaves {
		if l.to != nil {
			out[l.to.ARN] = Endpoint{*l.to, connections[l.to.ConnectionARN]}
		}
	}
	return out
}

// revOf tells a state of an object from every other of its name, also from those of one
// that was deleted and made again.
func revOf(o store.BusObject) string { return fmt.Sprintf("%d.%d", o.CreatedAt.UnixMicro(), o.Rev) }

// ReadRule reads a stored rule.
func ReadRule(o store.BusObject) (StoredRule, error) {
	r := StoredRule{Bus: o.Bus, Name: o.Name, Rev: o.Rev, CreatedAt: o.CreatedAt}
	if err := json.Unmarshal(o.Doc, &r); err != nil {
		return r, fault.E(fault.Internal, "read rule "+o.Name, err)
	}
	return r, nil
}

// ReadArchive reads a stored archive.
func ReadArchive(o store.BusObject) (StoredArchive, error) {
	a := StoredArchive{Name: o.Name, Rev: o.Rev, CreatedAt: o.CreatedAt}
	if err := json.Unmarshal(o.Doc, &a); err != nil {
		return a, fault.E(fault.Internal, "read archive "+o.Name, err)
	}
	return a, nil
}
