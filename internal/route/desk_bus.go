package route

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/store"
)

// EventBus is one bus.
type EventBus struct {
	Name, ARN string
	busDoc
	CreatedAt time.Time // zero for the default bus, until something is said of it
	head      store.BusHead
}

// busDoc is what is kept of a bus.
type busDoc struct {
	Description string            `json:"description,omitempty"`
	Policy      string            `json:"policy,omitempty"` // JSON, as it was given
	Tags        map[string]string `json:"tags,omitempty"`
	UpdatedAt   time.Time         `json:"updated_at,omitzero"`
}

// BusName gives the name of the bus that a request names, by name or ARN; "" is the
// default bus.
func (d *Desk) BusName(ref string) (string, error) {
	switch name, ok := d.ours(ref); {
	case ref == "":
		return store.DefaultBus, nil
	case ok && strings.HasPrefix(name, "event-bus/"):
		return strings.TrimPrefix(name, "event-bus/"), nil
	case strings.HasPrefix(ref, "arn:"):
		return "", noBus(ref)
	}
	return ref, nil
}

func noBus(name string) error { return say(store.ErrNotFound, "Event bus %s does not exist.", name) }

// BusARN gives the ARN of a bus by its name.
func (d *Desk) BusARN(name string) string { return d.arn("event-bus/" + name) }

// Bus gives a bus by name or ARN.
func (d *Desk) Bus(ctx context.Context, ref string) (EventBus, error) {
	name, err := d.BusName(ref)
	if err != nil {
		return EventBus{}, err
	}
	b := EventBus{Name: name, ARN: d.BusARN(name)}
	b.head, err = read(ctx, d, store.BusKindBus, "", name, &b.busDoc)
	b.CreatedAt = b.head.CreatedAt
	if errors.Is(err, store.ErrNotFound) {
		if name != store.DefaultBus {
			return b, noBus(name)
		}
		b.head = store.BusHead{BusKey: store.BusKey{Kind: store.BusKindBus, Name: name}}
		return b, nil
	}
	return b, err
}

// CreateBus makes a bus.
func (d *Desk) CreateBus(ctx context.Context, name, description string, tags map[string]string, by string) (EventBus, error) {
	b := EventBus{Name: name, ARN: d.BusARN(name), busDoc: busDoc{Description: description, Tags: tags}}
	switch {
	case name == store.DefaultBus:
		return b, say(store.ErrExists, "Event bus %s already exists.", name)
	case strings.Contains(name, "/"):
		return b, wrong("Event bus name must not contain '/'. Parry has no partner event sources.")
	}
	if err := checkTags(tags); err != nil {
		return b, err
	}
	b.head = store.BusHead{BusKey: store.BusKey{Kind: store.BusKindBus, Name: name}}
	return b, created(d.saveBus(ctx, &b, "event_bus.created", by), "Event bus", name)
}

// saveBus writes b, as a new row where it has none.
func (d *Desk) saveBus(ctx context.Context, b *EventBus, action, by string) error {
	now := d.now()
	b.UpdatedAt = now
	if b.head.Rev == 0 {
		b.head.CreatedAt, b.CreatedAt = now, now
	}
	eff, err := d.audit(action, by, b.ARN, b.busDoc)
	if err != nil {
		return err
	}
	o, err := marshal(b.head, b.busDoc)
	if err != nil {
		return err
	}
	if b.head.Rev > 0 {
		return d.cfg.Store.UpdateBusObject(ctx, o, eff)
	}
	err = d.cfg.Store.CreateBusObject(ctx, o, MaxBuses, eff)
	if errors.Is(err, store.ErrExists) && b.Name == store.DefaultBus {
		return store.ErrConflict // somebody else said something of it for the first time
	}
	return err
}

// changeBus changes a bus.
func (d *Desk) changeBus(ctx context.Context, ref, action, by string, change func(*EventBus) error) (b EventBus, err error) {
	err = again(func() error {
		if b, err = d.Bus(ctx, ref); err != nil {
			return err
		}
		if err := change(&b); err != nil {
			return err
		}
		return d.saveBus(ctx, &b, action, by)
	})
	return b, err
}

// UpdateBus replaces the description of a bus.
func (d *Desk) UpdateBus(ctx context.Context, ref, description, by string) (EventBus, error) {
	return d.changeBus(ctx, ref, "event_bus.updated", by, func(b *EventBus) error {
		b.Description = description
		return nil
	})
}

// DeleteBus deletes a bus without rules. One that is not there is deleted already, as in
// AWS.
func (d *Desk) DeleteBus(ctx context.Context, name, by string) error {
	if name == store.DefaultBus {
		return wrong("Cannot delete event bus %s.", name)
	}
	return again(func() error {
		b, err := d.Bus(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		eff, err := d.audit("event_bus.deleted", by, b.ARN, b.busDoc)
		if err != nil {
			return err
		}
		err = d.cfg.Store.DeleteBusObject(ctx, b.head.BusKey, b.head.Rev, eff)
		if errors.Is(err, store.ErrInUse) {
			return say(wrong(""), "Event bus %s can't be deleted since it has rules.", name)
		}
		return err
	})
}

// Buses gives a page of the buses by name, and the name behind which the next begins.
func (d *Desk) Buses(ctx context.Context, p Paging) ([]EventBus, string, error) {
	def, err := d.Bus(ctx, store.DefaultBus)
	if err != nil {
		return nil, "", err
	}
	all := []EventBus{def}
	err = d.cfg.Pages.AllBusObjects(ctx, store.BusKindBus, func(o store.BusObject) error {
		if o.Name == store.DefaultBus {
			return nil
		}
		b := EventBus{Name: o.Name, ARN: d.BusARN(o.Name), CreatedAt: o.CreatedAt, head: o.BusHead}
		all = append(all, b)
		return unmarshal(o, &all[len(all)-1].busDoc)
	})
	page, next := cut(all, p, func(b EventBus) string { return b.Name })
	return page, next, err
}

// checkTags holds tags to AWS's limits.
func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return wrong("A resource has at most %d tags.", MaxTags)
	}
	for k, v := range tags {
		if k == "" || len([]rune(k)) > maxTagKey || len([]rune(v)) > maxTagValue {
			return wrong("A tag key has 1 to %d characters and its value up to %d.", maxTagKey, maxTagValue)
		}
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return wrong("Tag keys must not begin with aws:, which is reserved: %s.", k)
		}
	}
	return nil
}

// Tags gives the tags of a bus or a rule by its ARN.
func (d *Desk) Tags(ctx context.Context, arn string) (tags map[string]string, err error) {
	bus, rule, err := d.tagged(arn)
	if err != nil {
		return nil, err
	}
	if rule != "" {
		r, err := d.Rule(ctx, bus, rule)
		return r.Tags, err
	}
	b, err := d.Bus(ctx, bus)
	return b.Tags, err
}

// tagged gives the bus, and the rule where it is one, of an ARN.
func (d *Desk) tagged(arn string) (bus, rule string, err error) {
	resource, ok := d.ours(arn)
	kind, name, _ := strings.Cut(resource, "/")
	switch {
	case ok && kind == "event-bus" && name != "":
		return name, "", nil
	case ok && kind == "rule" && strings.Contains(name, "/"):
		bus, rule, _ = cutLast(name)
		return bus, rule, nil
	case ok && kind == "rule" && name != "":
		return store.DefaultBus, name, nil
	}
	return "", "", say(store.ErrNotFound, "Resource %s does not exist. Parry keeps tags of event buses and rules.", arn)
}

func cutLast(name string) (bus, rule string, ok bool) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return "", name, false
	}
	return name[:i], name[i+1:], true
}

// SetTags puts tags on a bus or a rule over those it has, and takes those named in less away.
func (d *Desk) SetTags(ctx context.Context, arn string, more map[string]string, less []string, by string) error {
	bus, rule, err := d.tagged(arn)
	if err != nil {
		return err
	}
	next := func(have map[string]string) (map[string]string, error) {
		out := make(map[string]string, len(have)+len(more))
		for _, tags := range []map[string]string{have, more} {
			for k, v := range tags {
				out[k] = v
			}
		}
		for _, k := range less {
			delete(out, k)
		}
		return out, checkTags(out)
	}
	if rule != "" {
		_, err = d.changeRule(ctx, bus, rule, "event_rule.tagged", by, func(r *StoredRule) (err error) {
			r.Tags, err = next(r.Tags)
			return err
		})
		return err
	}
	_, err = d.changeBus(ctx, bus, "event_bus.tagged", by, func(b *EventBus) (err error) {
		b.Tags, err = next(b.Tags)
		return err
	})
	return err
}
