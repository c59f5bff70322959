package route

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/target"
)

// connectionDoc is what is kept of a connection. The store seals it; the secrets stand
// beside the rest, which has none.
type connectionDoc struct {
	target.Connection
	Secrets map[string]string `json:"secrets,omitempty"`
	// Salt keeps the digest of the secrets in the audit log from being guessed at.
	Salt string `json:"salt"`
}

// ReadConnection reads a stored connection.
func ReadConnection(o store.BusObject) (target.Connection, error) {
	doc, err := readConnection(o)
	return doc.Connection, err
}

func readConnection(o store.BusObject) (doc connectionDoc, err error) {
	if err := json.Unmarshal(o.Doc, &doc); err != nil {
		// Not the cause, which may repeat what it read.
		return doc, fault.Errorf(fault.Internal, "read connection "+o.Name, "what is stored of it cannot be read")
	}
	doc.Auth.Restore(doc.Secrets)
	doc.Name, doc.CreatedAt, doc.Version = o.Name, o.CreatedAt, revOf(o)
	return doc, nil
}

func noConnection(name string) error {
	return say(store.ErrNotFound, "Connection '%s' does not exist.", name)
}

func connectionKey(name string) store.BusKey {
	return store.BusKey{Kind: store.BusKindConnection, Name: name}
}

func (d *Desk) connection(ctx context.Context, name string) (connectionDoc, store.BusHead, error) {
	o, err := d.cfg.Store.BusObject(ctx, connectionKey(name))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return connectionDoc{}, o.BusHead, noConnection(name)
	case err != nil:
		return connectionDoc{}, o.BusHead, err
	}
	doc, err := readConnection(o)
	return doc, o.BusHead, err
}

// Connection gives a connection by its name.
func (d *Desk) Connection(ctx context.Context, name string) (target.Connection, error) {
	doc, _, err := d.connection(ctx, name)
	return doc.Connection, err
}

// connectionOf gives the connection of an ARN: one that was made again under the name of
// another is not that one.
func (d *Desk) connectionOf(ctx context.Context, arn string) (target.Connection, error) {
	resource, ok := d.ours(arn)
	parts := strings.Split(resource, "/")
	if !ok || len(parts) != 3 || parts[0] != "connection" {
		return target.Connection{}, noConnection(arn)
	}
	c, err := d.Connection(ctx, parts[1])
	if err == nil && c.ARN != arn {
		err = noConnection(arn)
	}
	return c, err
}

// PutConnection is what a connection is to be. An update leaves as it is what is not given.
type PutConnection struct {
	Name, Type  string
	Description *string
	Auth        *target.AuthParameters
	By          string
}

// CreateConnection makes a connection.
func (d *Desk) CreateConnection(ctx context.Context, p PutConnection) (target.Connection, error) {
	if _, err := d.Connection(ctx, p.Name); err == nil {
		return target.Connection{}, say(store.ErrExists, "Connection %s already exists.", p.Name)
	}
	doc := connectionDoc{Salt: d.cfg.IDs()}
	doc.Name, doc.CreatedAt, doc.ARN = p.Name, d.now(), d.arn("connection/"+p.Name+"/"+d.cfg.IDs())
	if err := d.reform(ctx, &doc, p); err != nil {
		return target.Connection{}, err
	}
	err := d.saveConnection(ctx, store.BusHead{BusKey: connectionKey(p.Name), CreatedAt: doc.CreatedAt}, &doc, "connection.created", p.By)
	return doc.Connection, created(err, "Connection", p.Name)
}

// UpdateConnection changes a connection. Whatever is said of how it authorizes has it
// authorized anew.
func (d *Desk) UpdateConnection(ctx context.Context, p PutConnection) (c target.Connection, err error) {
	err = again(func() error {
		doc, head, err := d.connection(ctx, p.Name)
		if err != nil {
			return err
		}
		if err := d.reform(ctx, &doc, p); err != nil {
			return err
		}
		c = doc.Connection
		return d.saveConnection(ctx, head, &doc, "connection.updated", p.By)
	})
	return c, err
}

// reform makes doc what p says, and authorizes it.
func (d *Desk) reform(ctx context.Context, doc *connectionDoc, p PutConnection) error {
	if p.Description != nil {
		doc.Description = *p.Description
	}
	if p.Type == "" && p.Auth == nil {
		return nil
	}
	doc.Type = cmp.Or(p.Type, doc.Type)
	doc.Auth = doc.Auth.Only(doc.Type)
	if p.Auth != nil {
		doc.Auth = doc.Auth.With(*p.Auth)
	}
	if err := doc.Validate(); err != nil {
		return say(err, "%s", withHint(plain(err)))
	}
	if o := doc.Auth.OAuth; o != nil {
		if err := d.cfg.Outside.Allowed(o.Endpoint); err != nil {
			return err
		}
	}
	doc.State, doc.Reason = target.Authorized, ""
	if err := d.cfg.Outside.Authorize(ctx, doc.Connection); err != nil && doc.Auth.OAuth != nil {
		doc.State, doc.Reason = target.Deauthorized, clipped("Authorization failed: "+withHint(err))
		return nil
	}
	doc.AuthorizedAt = d.now()
	return nil
}

// clipped bounds a reason as AWS's model does.
func clipped(text string) string {
	const most = 512
	if len(text) > most {
		return strings.ToValidUTF8(text[:most-3], "") + "…"
	}
	return text
}

// saveConnection writes doc, as a new row where it has none.
func (d *Desk) saveConnection(ctx context.Context, head store.BusHead, doc *connectionDoc, action, by string) error {
	doc.ModifiedAt = d.now()
	doc.Secrets = doc.Auth.Secrets()
	eff, err := d.audit(action, by, doc.ARN, doc.audited())
	if err != nil {
		return err
	}
	o, err := marshal(head, doc)
	if err != nil {
		return err
	}
	if head.Rev > 0 {
		return d.cfg.Store.UpdateBusObject(ctx, o, eff)
	}
	return d.cfg.Store.CreateBusObject(ctx, o, MaxConnections, eff)
}

// audited is what the audit log has of a connection: of its secrets a digest that changes
// when they do.
func (doc *connectionDoc) audited() map[string]any {
	out := map[string]any{"type": doc.Type, "state": doc.State}
	secrets := doc.Auth.Secrets()
	if len(secrets) > 0 {
		text := doc.Salt
		for _, place := range slices.Sorted(maps.Keys(secrets)) {
			text += "\x00" + place + "\x00" + secrets[place]
		}
		out["secrets_sha256"] = hexSum(text)
	}
	if doc.Auth.OAuth != nil {
		out["authorization_endpoint_sha256"] = hexSum(doc.Auth.OAuth.Endpoint) // it may hold a token too
	}
	return out
}

// DeauthorizeConnection takes everything from a connection that it authorizes with.
func (d *Desk) DeauthorizeConnection(ctx context.Context, name, by string) (c target.Connection, err error) {
	err = again(func() error {
		doc, head, err := d.connection(ctx, name)
		if err != nil {
			return err
		}
		doc.Auth = target.AuthParameters{}
		doc.State, doc.Reason = target.Deauthorized, "It was deauthorized by DeauthorizeConnection."
		c = doc.Connection
		return d.saveConnection(ctx, head, &doc, "connection.deauthorized", by)
	})
	return c, err
}

// DeleteConnection deletes a connection. API destinations that had it are inactive.
func (d *Desk) DeleteConnection(ctx context.Context, name, by string) (c target.Connection, err error) {
	err = again(func() error {
		doc, head, err := d.connection(ctx, name)
		if err != nil {
			return err
		}
		eff, err := d.audit("connection.deleted", by, doc.ARN, doc.audited())
		if err != nil {
			return err
		}
		c = doc.Connection
		c.State = target.Deleting
		return d.cfg.Store.DeleteBusObject(ctx, head.BusKey, head.Rev, eff)
	})
	return c, err
}

// Connections gives a page of the connections by name, in a state where one is named, and
// the name behind which the next begins.
func (d *Desk) Connections(ctx context.Context, state string, p Paging) ([]target.Connection, string, error) {
	return everyPage(ctx, d, store.BusKindConnection, "", p, func(o store.BusObject) (target.Connection, bool, error) {
		c, err := ReadConnection(o)
		return c, state == "" || c.State == state, err
	})
}
