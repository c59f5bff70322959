package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/seal"
)

// Server is one Parry node: everything between its port and its database.
type Server struct {
	cfg      config.Config
	version  string
	clock    service.Clock
	ids      service.IDs
	log      *slog.Logger
	node     string
	store    *store.Store
	seal     *seal.Keyring
	client   *awsapi.Client
	gate     *awsapi.Gate
	live     *org.Live // the accounts as they are known now
	calls    *callWriter
	loop     *loopback
	steps    *stepWriter
	scripts  service.Service // the runner of scripts
	local    bool            // one person's process, without a port
	env      environment
	models   *apimodel.Catalog // nil = loaded by open
	engine   *durable.Engine
	content  *Content
	stages   *stages
	services []service.Service // in the order in which they start
	streams  *api.Streams
	http     *http.Server
	listener net.Listener
	lock     *dirLock
	served   sync.WaitGroup
	failed   chan error
	released map[string]bool // dead nodes whose messages were taken over
}

// NewServer opens the database and the gate, builds every stage and starts
// nothing. Close or Stop frees what it holds.
func NewServer(ctx context.Context, cfg config.Config, version string, logger *slog.Logger) (*Server, error) {
	s := &Server{cfg: cfg, version: version, clock: service.SystemClock{}, ids: service.RandomIDs{}, log: logger, failed: make(chan error, 1), released: map[string]bool{}}
	// A node's name must be new at every start: work of an earlier process of the
	// same name would otherwise look like this one's.
	s.node = s.ids.NewID(cfg.Node)
	if err := s.open(ctx); err != nil {
		s.close()
		return nil, err
	}
	if err := s.build(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open opens what the node leans on: database, models, client, gate, catalog.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.store, s.seal, err = OpenStore(ctx, s.cfg, s.clock); err != nil {
		return err
	}
	if s.cfg.Database == "" && s.lock == nil {
		if s.lock, err = lockDir(s.cfg.DataDir); err != nil {
			return err
		}
	}
	models := s.models
	if models == nil {
		if models, err = apimodel.Load(); err != nil {
			return err
		}
	}
	s.models = models
	s.loop = &loopback{models: models, store: s.store, open: s.local}
	if s.client, err = newClient(s.cfg, awsapi.ClientConfig{Models: models, Clock: s.clock, IDs: s.ids, Logger: s.log, Getenv: s.env.getenv}); err != nil {
		return err
	}
	if err := s.openOrganization(ctx); err != nil {
		return err
	}
	s.calls = newCallWriter(s.store, s.log)
	if s.gate, err = newGate(s.cfg, s.client, models, gateNeeds{
		stop: s.store.StopSwitch, key: s.seal.Derive("redaction"), record: s.calls.put, local: s.loop.locals(), log: s.log, own: s.env.own, live: s.live,
	}); err != nil {
		return err
	}
	s.content, err = LoadContent(catalog.FS)
	return err
}

// build makes the stages, the durable engine, the dispatchers and the port.
func (s *Server) build(ctx context.Context) error {
	var err error
	if s.stages, err = s.newStages(); err != nil {
		return err
	}
	if s.engine, err = s.newEngine(ctx); err != nil {
		return err
	}
	s.stages.execute.Engine = crashEngine(s.engine)
	dispatchers, err := s.newDispatchers()
	if err != nil {
		return err
	}
	// The record of calls starts first and stops last: everything else calls.
	s.services = append([]service.Service{s.calls, s.scripts, s.steps, s.engine.Service(), s.stages.triage, s.stages.rules, s.stages.exceptions, exchange{s.stages}}, dispatchers...)
	s.services = append(s.services, s.stages.audit, s.housekeeping())
	if !s.local {
		for _, c := range s.stages.collectors {
			s.services = append(s.services, c)
		}
		s.services = append(s.services, s.stages.follower)
	}
	if s.cfg.Database != "" {
		s.services = append(s.services, s.client.ShareRates(sharedRates{s.store}))
	}
	handler, err := s.newHandler(ctx)
	if err != nil {
		return err
	}
	if !s.local {
		s.services = append(s.services, s.streams)
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 60 * time.Second, WriteTimeout: 120 * time.Second,
		IdleTimeout: 120 * time.Second, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.http.RegisterOnShutdown(s.streams.Close) // or the port waits for streams that do not end
	return nil
}

// newEngine opens the durable engine on the store's kind of database.
func (s *Server) newEngine(ctx context.Context) (*durable.Engine, error) {
	cfg := durable.Config{
		Node: s.node, Sealer: s.seal, Timers: crashTimers(timers{s.store}), Lease: s.store, Clock: s.clock, Logger: s.log.With("component", "durable"),
		Run: func(ctx context.Context, x *durable.Exec) error {
			return s.stages.execute.Run(ctx, x.Input(), crashStepper(x.ID(), x))
		},
		Failed: func(ctx context.Context, id string, input []byte, err error) {
			if err := s.stages.execute.Abandon(ctx, input, err); err != nil {
				s.log.ErrorContext(ctx, "cannot settle a failed execution", "execution", id, "error", err)
			}
		},
	}
	if s.cfg.Database != "" {
		cfg.PostgresURL = s.store.ExecutionURL()
	} else {
		db, err := durable.OpenSQLite(ctx, filepath.Join(s.cfg.DataDir, "durable.db"))
		if err != nil {
			return nil, err
		}
		cfg.SQLite = db
	}
	return durable.New(cfg)
}

// timers shows the store's timers to the durable engine.
type timers struct{ store *store.Store }

// PutTimer stores t.
func (t timers) PutTimer(ctx context.Context, timer durable.Timer) error {
	return t.store.PutTimer(ctx, store.Timer{ID: timer.ID, At: timer.At, Payload: timer.Payload})
}

// DueTimers gives at most n timers whose time has come.
func (t timers) DueTimers(ctx context.Context, now time.Time, n int) ([]durable.Timer, error) {
	due, err := t.store.DueTimers(ctx, now, n)
	out := make([]durable.Timer, 0, len(due))
	for _, d := range due {
		out = append(out, durable.Timer{ID: d.ID, At: d.At, Payload: d.Payload})
	}
	return out, err
}

// DeleteTimer forgets a timer.
func (t timers) DeleteTimer(ctx context.Context, id string) error {
	return t.store.DeleteTimer(ctx, id)
}

// Start starts every service and opens the port. It returns when the server is
// ready.
func (s *Server) Start(ctx context.Context) error {
	if err := s.auditStart(ctx); err != nil {
		return err
	}
	if s.lock != nil {
		if err := s.adopt(ctx); err != nil {
			return err
		}
	}
	for _, svc := range s.services {
		if err := svc.Start(ctx); err != nil {
			return err
		}
	}
	if s.local {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.cfg.Listen)
	if err != nil {
		return fault.E(fault.Unavailable, "open "+s.cfg.Listen, err).WithHint("is another parry serve running? set listen in parry.yaml or PARRY_LISTEN")
	}
	s.listener = l
	s.served.Go(func() {
		var err error
		if s.cfg.TLS.Certificate != "" {
			err = s.http.ServeTLS(l, s.cfg.TLS.Certificate, s.cfg.TLS.Key)
		} else {
			err = s.http.Serve(l)
		}
		if err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	})
	return nil
}

// Addr is the address that the port has.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Failed gives the error with which the node can no longer serve.
func (s *Server) Failed() <-chan error { return s.failed }

// Lost is closed when the node lost its lease: it must be stopped, because another
// node may have taken its work. A new Server on the same database may follow it.
func (s *Server) Lost() <-chan struct{} { return s.engine.Lost() }

// Stop closes the port, lets steps under way end and frees everything.
func (s *Server) Stop(ctx context.Context) error {
	var errs []error
	if s.listener != nil {
		errs = append(errs, s.http.Shutdown(ctx))
		s.served.Wait()
	}
	for i := len(s.services) - 1; i >= 0; i-- {
		errs = append(errs, s.services[i].Stop(ctx))
	}
	s.close()
	return errors.Join(errs...)
}

func (s *Server) close() {
	if s.client != nil {
		s.client.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Warn("the database did not close cleanly", "error", err)
		}
	}
	s.lock.unlock()
}

// auditStart writes what this node may do on its own: the hash of the guards
// and every own-traffic grant, as configured.
func (s *Server) auditStart(ctx context.Context) error {
	detail, err := json.Marshal(map[string]any{
		"node": s.node, "guards_revision": s.gate.GuardsRevision(), "own_traffic": s.stages.grants, "own_traffic_hash": hashOf(s.stages.grants),
		"bus_rules": len(s.cfg.BusRules), "policies": len(s.cfg.Policies),
	})
	if err != nil {
		return fmt.Errorf("audit the start: %w", err)
	}
	return s.store.Enqueue(ctx, store.Execution, store.Effects{Audit: []store.AuditRecord{{
		At: s.clock.Now(), Actor: "parry/" + s.node, Action: "server.started", Object: s.node, Detail: detail,
	}}})
}
