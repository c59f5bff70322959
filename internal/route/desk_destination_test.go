package route_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/target"
)

// beyond is what may be reached: hosts of example.com, which authorize unless err is set.
type beyond struct{ err error }

func (b *beyond) Allowed(address string) error {
	if !strings.Contains(address, ".example.com/") {
		return fault.Errorf(fault.Denied, "", "not a host that may be called")
	}
	return nil
}

func (b *beyond) Authorize(context.Context, target.Connection) error { return b.err }

// newOutside gives a desk that may reach the outside.
func newOutside(t *testing.T) (*route.Desk, *store.Store, *beyond) {
	t.Helper()
	s, out, n := storetest.SQLite(t), &beyond{}, 0
	d, err := route.NewDesk(route.DeskConfig{
		Store: s, Pages: s, Archives: s, Account: deskAccount, Region: "eu-west-1", Clock: s.Clock(), Outside: out,
		Allow: func(context.Context, string, target.Target) error { return nil }, IDs: func() string { n++; return fmt.Sprintf("id-%d", n) },
	})
	ok(t, err)
	return d, s, out
}

func basicAuth(password target.Secret) *target.AuthParameters {
	return &target.AuthParameters{Basic: &target.BasicAuth{Username: "ada", Password: password}}
}

func oauthAt(endpoint string) *target.AuthParameters {
	return &target.AuthParameters{OAuth: &target.OAuth{Client: target.OAuthClient{ID: "i", Secret: "hush-o"}, Endpoint: endpoint, Method: "POST"}}
}

func TestConnections(t *testing.T) {
	t.Parallel()
	d, s, out := newOutside(t)
	ctx := t.Context()
	c, err := d.CreateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthBasic, Auth: basicAuth("hush-1"), By: "ada"})
	ok(t, err)
	if c.State != target.Authorized || c.ARN != eventsARN+"connection/shop/id-2" || c.AuthorizedAt.IsZero() {
		t.Errorf("%+v", c)
	}
	_, err = d.CreateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthBasic, Auth: basicAuth("x"), By: "ada"})
	refused(t, err, store.ErrExists, "already exists")
	_, err = d.CreateConnection(ctx, route.PutConnection{Name: "bad", Type: target.AuthAPIKey, Auth: basicAuth("hush-1"), By: "ada"})
	refused(t, err, nil, "does not go with")

	said := "of both shops"
	c, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Description: &said, By: "ada"})
	ok(t, err)
	c, err = d.Connection(ctx, "shop")
	ok(t, err)
	if c.Auth.Basic.Password != "hush-1" || c.Description != said {
		t.Errorf("%+v", c)
	}
	c, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Auth: basicAuth("hush-2"), By: "ada"})
	ok(t, err)
	_, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthOAuth, By: "ada"})
	refused(t, err, nil, "needs OAuthParameters")
	_, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthOAuth, Auth: oauthAt("https://elsewhere.example/t"), By: "ada"})
	refused(t, err, nil, "not a host")

	// An authorization server that gives no token leaves a connection that authorizes nothing.
	out.err = errors.New("the server answered 401")
	c, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthOAuth, Auth: oauthAt("https://id.example.com/t"), By: "ada"})
	ok(t, err)
	if c.State != target.Deauthorized || !strings.Contains(c.Reason, "answered 401") || c.Auth.Basic != nil {
		t.Errorf("%+v", c)
	}
	out.err = nil
	c, err = d.UpdateConnection(ctx, route.PutConnection{Name: "shop", Auth: oauthAt(""), By: "ada"})
	ok(t, err)
	if c.State != target.Authorized || c.Reason != "" || c.Auth.OAuth.Endpoint != "https://id.example.com/t" {
		t.Errorf("%+v", c)
	}
	c, err = d.DeauthorizeConnection(ctx, "shop", "ada")
	ok(t, err)
	c, err = d.Connection(ctx, "shop")
	ok(t, err)
	if c.State != target.Deauthorized || len(c.Auth.Secrets()) != 0 || c.Auth.OAuth != nil {
		t.Errorf("%+v", c)
	}
	page, next, err := d.Connections(ctx, target.Authorized, route.Paging{})
	if err != nil || len(page) != 0 || next != "" {
		t.Errorf("%v %q %v", page, next, err)
	}
	c, err = d.DeleteConnection(ctx, "shop", "ada")
	ok(t, err)
	if c.State != target.Deleting {
		t.Errorf("%+v", c)
	}
	for _, err := range []error{
		second(d.Connection(ctx, "shop")), second(d.UpdateConnection(ctx, route.PutConnection{Name: "shop"})), second(d.DeauthorizeConnection(ctx, "shop", "")), second(d.DeleteConnection(ctx, "shop", "")),
	} {
		refused(t, err, store.ErrNotFound, "Connection 'shop' does not exist.")
	}
	want := []string{
		"created id-2", "updated id-2", "updated id-2", "updated id-2", "updated id-2", "deauthorized id-2", "deleted id-2",
	}
	for i := range want {
		action, id, _ := strings.Cut(want[i], " ")
		want[i] = "ada connection." + action + " connection/shop/" + id
	}
	if diff := cmp.Diff(want, audited(t, s)); diff != "" {
		t.Error(diff)
	}
	all, err := s.AuditPending(ctx, store.Execution, 100)
	ok(t, err)
	digests := map[string]bool{}
	for _, a := range all {
		if strings.Contains(string(a.Detail), "hush") {
			t.Errorf("the audit log has a secret: %s", a.Detail)
		}
		if _, digest, ok := strings.Cut(string(a.Detail), `"secrets_sha256":"`); ok {
			digests[digest[:64]] = true
		}
	}
	if len(digests) != 3 {
		t.Errorf("%d digests of three secrets", len(digests))
	}
}

func second[T any](_ T, err error) error { return err }

func TestDestinations(t *testing.T) {
	t.Parallel()
	d, s, _ := newOutside(t)
	ctx := t.Context()
	c, err := d.CreateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthBasic, Auth: basicAuth("hush"), By: "ada"})
	ok(t, err)
	put := route.PutDestination{Name: "orders", ConnectionARN: c.ARN, Endpoint: "https://a.example.com/*/t?key=hush", Method: "POST", By: "ada"}
	for words, spoil := range map[string]func(*route.PutDestination){
		"does not exist.":  func(p *route.PutDestination) { p.ConnectionARN = eventsARN + "connection/shop/other" },
		"no address":       func(*route.PutDestination) {},
		"not a host that":  func(p *route.PutDestination) { p.Endpoint = "https://other.example/" },
		"outside 1 to 300": func(p *route.PutDestination) { p.Rate = 301 },
		"not an address":   func(p *route.PutDestination) { p.Endpoint = "orders" },
		"connection/x/y": func(p *route.PutDestination) {
			p.ConnectionARN = "arn:aws:events:us-east-1:" + deskAccount + ":connection/x/y"
		},
	} {
		bad, on := put, d
		spoil(&bad)
		if words == "no address" {
			on, _ = newDesk(t)
			_, err := on.CreateConnection(ctx, route.PutConnection{Name: "o", Type: target.AuthOAuth, Auth: oauthAt("https://id.example.com/t")})
			refused(t, err, nil, words)
			continue
		}
		_, err := on.CreateDestination(ctx, bad)
		refused(t, err, nil, words)
	}
	e, err := d.CreateDestination(ctx, put)
	ok(t, err)
	if e.State() != "ACTIVE" || e.Rate != 300 || !strings.HasPrefix(e.ARN, eventsARN+"api-destination/orders/id-") {
		t.Errorf("%+v", e.Destination)
	}
	_, err = d.CreateDestination(ctx, put)
	refused(t, err, store.ErrExists, "already exists")
	_, err = d.UpdateDestination(ctx, route.PutDestination{Name: "orders", Rate: 5, By: "ada"})
	ok(t, err)
	e, err = d.Destination(ctx, "orders")
	ok(t, err)
	if e.Rate != 5 || e.Endpoint != put.Endpoint || !e.Active() {
		t.Errorf("%+v", e.Destination)
	}
	values := &target.HTTPParameters{PathParameterValues: []string{"$.id"}}
	ok(t, d.TakesTarget(ctx, target.Target{ARN: e.ARN, HTTPParameters: values}))
	refused(t, d.TakesTarget(ctx, target.Target{ARN: e.ARN}), nil, "1 times a *")
	refused(t, d.TakesTarget(ctx, target.Target{ARN: e.ARN + "0", HTTPParameters: values}), nil, "does not exist")

	// The book has them with their connections, and without those that are gone.
	var got map[string]route.Endpoint
	book := &route.Book{Shelf: s, Exchange: newCounter(t).Exchange, Logger: slog.New(slog.DiscardHandler), Endpoints: func(all map[string]route.Endpoint) { got = all }}
	ok(t, book.Refresh(ctx))
	if in := got[e.ARN]; !in.Active() || in.Connection.Auth.Basic.Password != "hush" || in.Connection.Version == "" {
		t.Errorf("%+v", in.Destination)
	}
	_, err = d.DeauthorizeConnection(ctx, "shop", "ada")
	ok(t, err)
	ok(t, book.Refresh(ctx))
	if got[e.ARN].Active() {
		t.Error("a destination is active without authorization")
	}
	_, err = d.DeleteConnection(ctx, "shop", "ada")
	ok(t, err)
	again, err := d.CreateConnection(ctx, route.PutConnection{Name: "shop", Type: target.AuthBasic, Auth: basicAuth("hush"), By: "ada"})
	ok(t, err)
	if e, err := d.Destination(ctx, "orders"); err != nil || e.State() != "INACTIVE" {
		t.Errorf("another connection of the name is taken: %s, %v", e.State(), err)
	}
	_, err = d.UpdateDestination(ctx, route.PutDestination{Name: "orders", ConnectionARN: again.ARN, By: "ada"})
	ok(t, err)
	for arn, n := range map[string]int{"": 1, again.ARN: 1, c.ARN: 0} {
		if page, _, err := d.Destinations(ctx, arn, route.Paging{}); err != nil || len(page) != n {
			t.Errorf("%s: %d, %v", arn, len(page), err)
		}
	}
	ok(t, d.DeleteDestination(ctx, "orders", "ada"))
	refused(t, d.DeleteDestination(ctx, "orders", "ada"), store.ErrNotFound, "does not exist")
	ok(t, book.Refresh(ctx))
	if len(got) != 0 {
		t.Errorf("%d are in force", len(got))
	}
	all, err := s.AuditPending(ctx, store.Execution, 100)
	ok(t, err)
	for _, a := range all {
		if strings.Contains(string(a.Detail), "hush") {
			t.Errorf("the audit log has a secret: %s", a.Detail)
		}
	}
}
