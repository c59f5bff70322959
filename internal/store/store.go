package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Sealer encrypts what a table must not show. The additional data binds the
// sealed text to its row: opened under another row's key, it does not open.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

// Database is one file. Write may be limited to one connection; Read sees every
// commit of Write.
type Database struct {
	Write, Read *sql.DB
}

// Config is what a dialect's Open hands to New.
type Config struct {
	Findings, Execution Database
	Dialect             Dialect
	Sealer              Sealer
	Clock               service.Clock
	// Engine is a pool of its own on the Execution file for the durable engine,
	// so that it cannot wait for a connection that its caller holds. SQLite only.
	Engine *sql.DB
	// EngineURL is the same for PostgreSQL: a connection URL with its password.
	EngineURL string
}

// Store is the one way to the tables. It is safe for concurrent use.
type Store struct {
	findings, execution files
	dialect             Dialect
	q                   Queries
	sealer              Sealer
	clock               service.Clock
	engine              *sql.DB
	engineURL           string
	docs                *documents
	wake                map[File]chan struct{}
	watch               atomic.Pointer[func([]Hint, bool)]
	acks                map[File]*gather[*ack]
	commits             gather[*commit]
	intake              intake
	counting            chan struct{} // counts that read documents
	pruned              atomic.Int64  // when signatures were last pruned
	close               sync.Once
	closed              error
}

// New makes a store of open databases; use sqlite.Open or postgres.Open. The
// store owns the handles from here on.
func New(cfg Config) (*Store, error) {
	for _, db := range []*sql.DB{cfg.Findings.Write, cfg.Findings.Read, cfg.Execution.Write, cfg.Execution.Read} {
		if db == nil {
			return nil, fault.Errorf(fault.Internal, "make store", "a database handle is missing")
		}
	}
	if cfg.Sealer == nil || cfg.Clock == nil || cfg.Dialect.Classify == nil || cfg.Dialect.Migrate == nil {
		return nil, fault.Errorf(fault.Internal, "make store", "sealer, clock and dialect are required")
	}
	docs, err := newDocuments()
	if err != nil {
		return nil, fault.E(fault.Internal, "make store", err)
	}
	return &Store{
		findings: newFiles(cfg.Findings), execution: newFiles(cfg.Execution), dialect: cfg.Dialect, q: cfg.Dialect.Queries,
		sealer: cfg.Sealer, clock: cfg.Clock, engine: cfg.Engine, engineURL: cfg.EngineURL, docs: docs,
		wake: map[File]chan struct{}{Findings: make(chan struct{}, 1), Execution: make(chan struct{}, 1)},
		acks: map[File]*gather[*ack]{Findings: {}, Execution: {}}, counting: make(chan struct{}, 2),
	}, nil
}

// Migrate brings both files to the current schema. Two nodes may call it at the
// same time. It also prepares statements, so nothing else may run yet.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.dialect.Migrate(ctx)
	if !s.dialect.Arrays { // PostgreSQL's driver keeps statements by itself
		for _, h := range []*handle{s.findings.Write, s.findings.Read, s.execution.Write, s.execution.Read} {
			err = errors.Join(err, h.prepare(ctx, s.dialect))
		}
	}
	if err == nil {
		err = s.enterUnsearched(ctx)
	}
	return s.fail("migrate the database", err)
}

// Close closes the databases. It is safe to call twice.
func (s *Store) Close() error {
	s.close.Do(func() {
		var errs []error
		for _, db := range []*sql.DB{s.engine, s.findings.Read.DB, s.execution.Read.DB, s.findings.Write.DB, s.execution.Write.DB} {
			if db != nil {
				errs = append(errs, db.Close())
			}
		}
		s.docs.close()
		s.closed = errors.Join(errs...)
	})
	return s.closed
}

// Clock is the clock by which the store judges leases and due times.
func (s *Store) Clock() service.Clock { return s.clock }

// Dialect says which database this is: "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.dialect.Name }

// ExecutionDB is a pool on the Execution file for the durable engine, nil on
// PostgreSQL. The store closes it.
func (s *Store) ExecutionDB() *sql.DB { return s.engine }

// ExecutionURL is the PostgreSQL URL for the durable engine, "" on SQLite. It
// may hold a password: never log it.
func (s *Store) ExecutionURL() string { return s.engineURL }

// NotifyChan is woken after a commit of this process that put a message into
// the outbox of f. It holds one wake-up, so it has room for one reader.
func (s *Store) NotifyChan(f File) <-chan struct{} { return s.wake[f] }

// Ping asks both files for an answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.fail("reach the database", errors.Join(s.findings.Read.PingContext(ctx), s.execution.Read.PingContext(ctx)))
}

func (s *Store) now() time.Time { return s.clock.Now() }

func (s *Store) db(f File) (files, error) {
	switch f {
	case Findings:
		return s.findings, nil
	case Execution:
		return s.execution, nil
	}
	return files{}, invalid("choose a database file", "there is no file %q", f)
}
