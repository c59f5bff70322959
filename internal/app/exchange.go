package app

import (
	"cmp"
	"context"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/notify/destination"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
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
	guard, err := webhook.NewGuard(s.cfg.Webhooks.Hosts, s.cfg.Webhooks.AllowPrivate)
	if err != nil {
		return err
	}
	sender, err := destination.New(destination.Config{Guard: guard, Clock: s.clock})
	if err != nil {
		return err
	}
	limits := map[string]bus.Limits{}
	for _, l := range s.cfg.EventLimits {
		limits[l.Target] = bus.Limits{Concurrency: l.Concurrency, Rate: l.Rate, Timeout: l.Timeout}
	}
	o := &outlets{
		limits:  limits,
		account: s.cfg.Organization.HubAccount, allowed: s.cfg.EventTargets, route: t.route, known: s.routeTargets(), webhooks: hooks,
		session:  s.gate.OwnTraffic(awsapi.Identity{SessionName: "parry-bus"}, t.grants),
		exchange: func() *route.Exchange { return t.exchange }, start: s.loop.start, log: s.log.With("component", "bus.log"),
		outside: &outside{Sender: sender},
	}
	ledger := busLedger{s.store}
	if t.courier, err = bus.NewCourier(bus.CourierConfig{
		Events: ledger, Deliveries: ledger, Owner: s.node, Clock: s.clock, Logger: s.log,
		Target: func(r bus.Ref) (bus.Target, bool) { return t.exchange.Target(r) },
	}); err != nil {
		return err
	}
	if t.exchange, err = route.NewExchange(route.ExchangeConfig{Poster: t.courier, Open: o.open, Rules: t.route, AWSTransformers: s.cfg.EventTransformers == config.TransformersAWS, Clock: s.clock, Logger: s.log}); err != nil {
		return err
	}
	t.timetable = &route.Timetable{Store: s.store, Exchange: t.exchange, Node: s.node, Clock: s.clock, Logger: s.log.With("component", "route.timetable")}
	t.book = &route.Book{Shelf: s.store, Exchange: t.exchange, Schedules: t.timetable.Use, Endpoints: o.outside.use, Logger: s.log.With("component", "route.book")}
	return s.buildBusDesk(t, o)
}

// everyEvent is a pattern that targets are tried with.
const everyEvent = `{"source":[{"prefix":""}]}`

// buildBusDesk makes what people change the bus by. A target is taken when the
// configuration allows it, it is there, and it can be opened for delivery.
func (s *Server) buildBusDesk(t *stages, o *outlets) error {
	organization := s.cfg.Organization
	allowance := route.Allowance{
		Account: organization.HubAccount, Partition: organization.Partition, Listed: s.cfg.EventTargets, Known: o.known,
		Webhook: func(name string) bool { return o.webhooks[name] != nil },
		Runbook: func(ctx context.Context, name, version string) error {
			_, err := t.documents.Resolve(ctx, name, version)
			return err
		},
		Bus: func(ctx context.Context, name string) error {
			_, err := t.buses.Bus(ctx, name)
			return err
		},
		Destination: func(ctx context.Context, to target.Target) error { return t.buses.TakesTarget(ctx, to) },
	}
	var err error
	t.buses, err = route.NewDesk(route.DeskConfig{
		Store: s.store, Pages: s.store, Archives: s.store, Configured: s.configuredRules(),
		Account: organization.HubAccount, Partition: organization.Partition, Region: organization.HomeRegion, Outside: o.outside, Clock: s.clock,
		Allow: func(ctx context.Context, on string, to target.Target) error {
			if err := allowance.Check(ctx, on, to); err != nil {
				return err
			}
			_, err := o.open(route.BusRule{Bus: on, Name: "trial", Pattern: everyEvent}, to)
			return err
		},
		Membership: s.live.Membership,
		Changed: func(ctx context.Context) {
			// What cannot be read now is read when the book is looked at the next time.
			if err := t.book.Refresh(context.WithoutCancel(ctx)); err != nil {
				s.log.WarnContext(ctx, "rules not refreshed", "error", err)
			}
		},
	})
	t.replayer = &route.Replayer{
		Replays: t.buses, Archived: s.store, Exchange: t.exchange, Lease: s.store, Node: s.node, Clock: s.clock, Logger: s.log.With("component", "route.replay"),
	}
	return err
}

// busAPI is the bus as the REST API shows it.
func (s *Server) busAPI() api.Bus {
	t := s.stages
	return api.Bus{
		Letters: s.store, Shelf: t.buses, Rules: t.buses, Drops: t.exchange.Drops, Transformers: cmp.Or(s.cfg.EventTransformers, config.TransformersParry), Preview: t.replayer.Preview, Tail: t.exchange.Tail,
		Backtest: func(ctx context.Context, q route.BacktestRequest) (route.Backtest, error) {
			return t.route.Backtest(ctx, s.store, q)
		},
	}
}

// pruneArchives removes archived events that are past their archive's retention.
func (s *Server) pruneArchives(ctx context.Context) error {
	after := ""
	for {
		page, next, err := s.stages.buses.Archives(ctx, "", route.Paging{After: after})
		if err != nil {
			return err
		}
		for _, a := range page {
			for n := 1; a.Days > 0 && n > 0; {
				if n, err = s.store.PruneArchive(ctx, a.Name, s.clock.Now().AddDate(0, 0, -a.Days)); err != nil {
					return err
				}
			}
		}
		if after = next; next == "" {
			return nil
		}
	}
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
