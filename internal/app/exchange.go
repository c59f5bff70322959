package app

import (
	"context"

	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/route"
)

// buildExchange makes the bus: the rules in force, and what delivers to their targets.
func (s *Server) buildExchange(t *stages) error {
	hooks := map[string]*webhook.Sender{}
	for _, c := range s.cfg.Channels {
		if c.Kind == "webhook" {
			var err error
			if hooks[c.Name], err = webhook.New(webhook.Config{URL: c.URL, Secret: secretFrom(c.Secret), Clock: s.clock}); err != nil {
				return err
			}
		}
	}
	o := &outlets{
		account: s.cfg.Organization.HubAccount, allowed: s.cfg.EventTargets, route: t.route, known: s.routeTargets(), webhooks: hooks,
		session:  s.gate.OwnTraffic(awsapi.Identity{SessionName: "parry-bus"}, t.grants),
		exchange: func() *route.Exchange { return t.exchange }, log: s.log.With("component", "bus.log"),
	}
	ledger := busLedger{s.store}
	var err error
	if t.courier, err = bus.NewCourier(bus.CourierConfig{
		Events: ledger, Deliveries: ledger, Owner: s.node, Clock: s.clock, Logger: s.log,
		Target: func(r bus.Ref) (bus.Target, bool) { return t.exchange.Target(r) },
	}); err != nil {
		return err
	}
	if t.exchange, err = route.NewExchange(route.ExchangeConfig{Poster: t.courier, Open: o.open, Rules: t.route, Clock: s.clock, Logger: s.log}); err != nil {
		return err
	}
	t.timetable = &route.Timetable{Store: s.store, Exchange: t.exchange, Node: s.node, Clock: s.clock, Logger: s.log.With("component", "route.timetable")}
	t.book = &route.Book{Shelf: s.store, Exchange: t.exchange, Schedules: t.timetable.Use, Logger: s.log.With("component", "route.book")}
	return nil
}

// exchange is the bus as a service: the rules are in force before anything is delivered.
type exchange struct{ *stages }

// Start reads the rules and begins to deliver.
func (e exchange) Start(ctx context.Context) error {
	if err := e.book.Refresh(ctx); err != nil {
		return err
	}
	return e.courier.Start(ctx)
}

// Stop lets deliveries end.
func (e exchange) Stop(ctx context.Context) error { return e.courier.Stop(ctx) }
