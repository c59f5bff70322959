package route

import (
	"context"
	"errors"
	"strings"

	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// Endpoint is an API destination with the connection that it is called by.
type Endpoint struct {
	target.Destination
	// Connection is zero where there is none any more.
	Connection target.Connection
}

// Active reports whether events can be sent to it.
func (e Endpoint) Active() bool { return e.Connection.State == target.Authorized }

// State is AWS's word for that.
func (e Endpoint) State() string {
	if e.Active() {
		return "ACTIVE"
	}
	return "INACTIVE"
}

// ReadDestination reads a stored API destination.
func ReadDestination(o store.BusObject) (target.Destination, error) {
	var out target.Destination
	err := unmarshal(o, &out)
	out.Name, out.CreatedAt = o.Name, o.CreatedAt
	return out, err
}

func destinationKey(name string) store.BusKey {
	return store.BusKey{Kind: store.BusKindDestination, Name: name}
}

func noDestination(name string) error {
	return say(store.ErrNotFound, "An api-destination '%s' does not exist.", name)
}

func (d *Desk) destination(ctx context.Context, name string) (Endpoint, store.BusHead, error) {
	o, err := d.cfg.Store.BusObject(ctx, destinationKey(name))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Endpoint{}, o.BusHead, noDestination(name)
	case err != nil:
		return Endpoint{}, o.BusHead, err
	}
	e, err := d.endpoint(ctx, o)
	return e, o.BusHead, err
}

func (d *Desk) endpoint(ctx context.Context, o store.BusObject) (e Endpoint, err error) {
	if e.Destination, err = ReadDestination(o); err != nil {
		return e, err
	}
	e.Connection, err = d.connectionOf(ctx, e.ConnectionARN)
	if errors.Is(err, store.ErrNotFound) {
		e.Connection, err = target.Connection{}, nil
	}
	return e, err
}

// Destination gives an API destination by its name.
func (d *Desk) Destination(ctx context.Context, name string) (Endpoint, error) {
	e, _, err := d.destination(ctx, name)
	return e, err
}

// TakesTarget fails where there is no API destination of the target's ARN, or the target
// does not go with it.
func (d *Desk) TakesTarget(ctx context.Context, t target.Target) error {
	resource, ok := d.ours(t.ARN)
	parts := strings.Split(resource, "/")
	if !ok || len(parts) != 3 || parts[0] != "api-destination" {
		return noTarget(t.ARN)
	}
	e, err := d.Destination(ctx, parts[1])
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && e.ARN != t.ARN:
		return noTarget(t.ARN)
	case err != nil:
		return err
	}
	return e.Takes(t.HTTPParameters)
}

// PutDestination is what an API destination is to be. An update leaves as it is what is
// not given.
type PutDestination struct {
	Name                            string
	Description                     *string
	ConnectionARN, Endpoint, Method string
	Rate                            int
	By                              string
}

// CreateDestination makes an API destination.
func (d *Desk) CreateDestination(ctx context.Context, p PutDestination) (Endpoint, error) {
	if p.Rate == 0 {
		p.Rate = target.DefaultInvocationRate
	}
	e := Endpoint{Destination: target.Destination{Name: p.Name, CreatedAt: d.now(), ARN: d.arn("api-destination/" + p.Name + "/" + d.cfg.IDs())}}
	if err := d.redirect(ctx, &e, p); err != nil {
		return e, err
	}
	err := d.saveDestination(ctx, store.BusHead{BusKey: destinationKey(p.Name), CreatedAt: e.CreatedAt}, &e, "api_destination.created", p.By)
	return e, created(err, "An api-destination", p.Name)
}

// UpdateDestination changes an API destination.
func (d *Desk) UpdateDestination(ctx context.Context, p PutDestination) (e Endpoint, err error) {
	err = again(func() error {
		var head store.BusHead
		if e, head, err = d.destination(ctx, p.Name); err != nil {
			return err
		}
		if err := d.redirect(ctx, &e, p); err != nil {
			return err
		}
		return d.saveDestination(ctx, head, &e, "api_destination.updated", p.By)
	})
	return e, err
}

// redirect makes e what p says.
func (d *Desk) redirect(ctx context.Context, e *Endpoint, p PutDestination) (err error) {
	if p.Description != nil {
		e.Description = *p.Description
	}
	for to, v := range map[*string]string{&e.ConnectionARN: p.ConnectionARN, &e.Endpoint: p.Endpoint, &e.Method: p.Method} {
		if v != "" {
			*to = v
		}
	}
	if p.Rate != 0 {
		e.Rate = p.Rate
	}
	if err := e.Validate(); err != nil {
		return say(err, "%s", withHint(plain(err)))
	}
	if p.ConnectionARN != "" {
		if e.Connection, err = d.connectionOf(ctx, p.ConnectionARN); err != nil {
			return err
		}
	}
	return d.cfg.Outside.Allowed(e.Destination.Endpoint)
}

// saveDestination writes e, as a new row where it has none.
func (d *Desk) saveDestination(ctx context.Context, head store.BusHead, e *Endpoint, action, by string) error {
	e.ModifiedAt = d.now()
	eff, err := d.audit(action, by, e.ARN, e.audited())
	if err != nil {
		return err
	}
	o, err := marshal(head, e.Destination)
	if err != nil {
		return err
	}
	if head.Rev > 0 {
		return d.cfg.Store.UpdateBusObject(ctx, o, eff)
	}
	return d.cfg.Store.CreateBusObject(ctx, o, MaxDestinations, eff)
}

// audited is what the audit log has of an API destination. Its address may hold a token, so
// it stands there by its digest.
func (e Endpoint) audited() map[string]any {
	return map[string]any{"connection": e.ConnectionARN, "endpoint_sha256": hexSum(e.Destination.Endpoint), "method": e.Method, "rate": e.Rate}
}

// DeleteDestination deletes an API destination. What rules still send there is given up.
func (d *Desk) DeleteDestination(ctx context.Context, name, by string) error {
	return again(func() error {
		e, head, err := d.destination(ctx, name)
		if err != nil {
			return err
		}
		eff, err := d.audit("api_destination.deleted", by, e.ARN, e.audited())
		if err != nil {
			return err
		}
		return d.cfg.Store.DeleteBusObject(ctx, head.BusKey, head.Rev, eff)
	})
}

// Destinations gives a page of the API destinations by name, of a connection where one is
// named, and the name behind which the next begins.
func (d *Desk) Destinations(ctx context.Context, connection string, p Paging) ([]Endpoint, string, error) {
	return everyPage(ctx, d, store.BusKindDestination, "", p, func(o store.BusObject) (Endpoint, bool, error) {
		e, err := d.endpoint(ctx, o)
		return e, connection == "" || e.ConnectionARN == connection, err
	})
}
