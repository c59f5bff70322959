// Package postgres opens the store on two schemas of one PostgreSQL database,
// parry_findings and parry_execution. Any number of nodes may share it.
package postgres

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
)

//go:embed queries.sql
var queries string

// The schemas. They are part of the installation's contract: backups and the
// durable engine's own schema stand beside them.
const (
	findingsSchema  = "parry_findings"
	executionSchema = "parry_execution"
)

// migrateLock is the key of the advisory lock that one node holds while it
// migrates; any number does, as long as it never changes.
const migrateLock int64 = 0x5061727279_01

// Config says where the database is.
type Config struct {
	// URL is a PostgreSQL connection URL. It may hold a password.
	URL    string
	Sealer store.Sealer
	Clock  service.Clock // default: the system's
	// MaxConns bounds the connections of each schema; default 8.
	MaxConns int
	// Suffix is put behind the names of the schemas, for a copy in the making.
	Suffix string
}

// Schema gives the name of a file's schema.
func Schema(f store.File, suffix string) string {
	if f == store.Findings {
		return findingsSchema + suffix
	}
	return executionSchema + suffix
}

// Pool gives connections to the database whose statements mean the tables of schema,
// for whoever copies it. What it returns does not show the URL's password.
func Pool(address, schema string, conns int) (*sql.DB, error) {
	pc, err := parse(address)
	if err != nil {
		return nil, err
	}
	return pool(pc, schema, conns), nil
}

// Alone says by an error that servers hold leases on the database at now.
func Alone(ctx context.Context, address string, now time.Time) (err error) {
	db, err := Pool(address, executionSchema, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return noNodes(ctx, db, now)
}

// StillAlone is Alone within tx, to whose end no server can take or renew a lease: who
// puts another database in the place of this one asks it right before.
func StillAlone(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, "DO $$ BEGIN IF to_regclass('"+executionSchema+".node') IS NOT NULL THEN LOCK TABLE "+executionSchema+".node IN ACCESS EXCLUSIVE MODE; END IF; END $$")
	if err != nil {
		return fault.E(fault.Unavailable, "look for servers", WithoutSecrets(err))
	}
	return noNodes(ctx, tx, now)
}

func noNodes(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, now time.Time,
) error {
	const op = "look for servers"
	var there bool
	if err := q.QueryRowContext(ctx, "SELECT to_regclass('"+executionSchema+".node') IS NOT NULL").Scan(&there); err != nil {
		return fault.E(fault.Unavailable, op, WithoutSecrets(err)).WithHint("check that the server is up and that the URL names an existing database")
	}
	if !there {
		return nil
	}
	var n int
	if err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+executionSchema+".node WHERE until > $1", now.UnixMicro()).Scan(&n); err != nil {
		return fault.E(fault.Unavailable, op, WithoutSecrets(err))
	}
	if n > 0 {
		return fault.Errorf(fault.Conflict, op, "%d node(s) of parry serve run on this database, or ran less than ten seconds ago", n).
			WithHint("stop them all, wait ten seconds, and run it again")
	}
	return nil
}

func parse(address string) (*pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig(address)
	if err != nil {
		// The cause may quote the URL with its password.
		return nil, fault.Errorf(fault.Invalid, "open the database", "the PostgreSQL URL cannot be read").
			WithHint("write it as postgres://user:password@host:5432/database?sslmode=verify-full")
	}
	return pc, nil
}

// Open connects to the database. Call Migrate before anything else.
func Open(ctx context.Context, cfg Config) (*store.Store, error) {
	const op = "open the database"
	if cfg.URL == "" || cfg.Sealer == nil {
		return nil, fault.Errorf(fault.Internal, op, "URL and sealer are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = 8
	}
	q, err := store.ParseQueries(queries)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	pc, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	findings, execution := pool(pc, Schema(store.Findings, cfg.Suffix), cfg.MaxConns), pool(pc, Schema(store.Execution, cfg.Suffix), cfg.MaxConns)
	s, err := open(ctx, cfg, q, pc, findings, execution)
	if err != nil {
		return nil, errors.Join(err, findings.Close(), execution.Close())
	}
	return s, nil
}

func open(ctx context.Context, cfg Config, q store.Queries, pc *pgx.ConnConfig, findings, execution *sql.DB) (*store.Store, error) {
	if err := findings.PingContext(ctx); err != nil {
		return nil, fault.Transient(fault.E(fault.Unavailable, "reach PostgreSQL", WithoutSecrets(err)).
			WithHint("check that the server is up and that the URL names an existing database"), 0)
	}
	return store.New(store.Config{
		Findings:  store.Database{Write: findings, Read: findings},
		Execution: store.Database{Write: execution, Read: execution},
		EngineURL: cfg.URL, Sealer: cfg.Sealer, Clock: cfg.Clock,
		Dialect: store.Dialect{
			Name: "postgres", Queries: q, Arrays: true, Find: "strpos", Guesses: true, Classify: classify,
			Snapshot: &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
			Notify:   "SELECT pg_notify('" + channel(cfg.Suffix) + "', $1)",
			Listen: func(ctx context.Context, got func(text string, gap bool)) error {
				listen(ctx, pc, cfg.Suffix, got)
				return nil
			},
			Migrate: func(ctx context.Context) error { return migrate(ctx, pc, cfg.Suffix, findings, execution) },
			Sweep:   func(ctx context.Context) error { return sweep(ctx, findings) },
		},
	})
}

// WithoutSecrets keeps of a connection error what the server or network said.
func WithoutSecrets(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}
	var conn *pgconn.ConnectError
	if errors.As(err, &conn) {
		return errors.Unwrap(conn)
	}
	return err
}

func pool(base *pgx.ConnConfig, schema string, conns int) *sql.DB {
	pc := base.Copy()
	if pc.RuntimeParams == nil {
		pc.RuntimeParams = map[string]string{}
	}
	pc.RuntimeParams["search_path"] = schema
	pc.RuntimeParams["application_name"] = "parry"
	// A node that is stopped in the middle of a transaction must not hold its
	// locks against the others for longer than a lease; in milliseconds.
	pc.RuntimeParams["idle_in_transaction_session_timeout"] = "10000"
	db := stdlib.OpenDB(*pc)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxLifetime(time.Hour)
	return db
}

// migrate makes the schemas and runs the migrations, while one connection holds
// a lock that ends with it. The connection is none of the pools': waiting for the
// lock must not take what its holder needs.
func migrate(ctx context.Context, pc *pgx.ConnConfig, suffix string, findings, execution *sql.DB) (err error) {
	db := pool(pc, Schema(store.Findings, suffix), 1)
	defer func() { err = errors.Join(err, db.Close()) }()
	lock, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", migrateLock); err != nil {
		return fmt.Errorf("wait for the migration of another node: %w", err)
	}
	for _, schema := range []string{Schema(store.Findings, suffix), Schema(store.Execution, suffix)} {
		if _, err := lock.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+schema); err != nil {
			return fmt.Errorf("make schema %s: %w", schema, err)
		}
	}
	if err := migrations.Apply(ctx, "postgres", "findings", findings); err != nil {
		return err
	}
	return migrations.Apply(ctx, "postgres", "execution", execution)
}

// sweepTexts is how many texts one transaction of sweep removes.
const sweepTexts = 1000

// sweep removes the texts that no finding has any more. Whoever stores a finding takes a
// text that is there as it is; so the texts are looked up again when nobody can be about
// to do so.
func sweep(ctx context.Context, findings *sql.DB) error {
	for {
		n, err := sweepOnce(ctx, findings)
		if err != nil || n < sweepTexts {
			return err
		}
	}
}

func sweepOnce(ctx context.Context, findings *sql.DB) (int64, error) {
	var keys sql.NullString
	err := findings.QueryRowContext(ctx, `SELECT string_agg(key::text, ',') FROM (SELECT w.key FROM finding_words w
		WHERE NOT EXISTS (SELECT 1 FROM finding_worded d WHERE d.words = w.key) LIMIT $1) k`, sweepTexts).Scan(&keys)
	if err != nil || !keys.Valid {
		return 0, err
	}
	tx, err := findings.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	// It waits for the writers that are at work, and they for this short transaction.
	if _, err := tx.ExecContext(ctx, "LOCK TABLE finding_worded IN SHARE MODE"); err != nil {
		return 0, err
	}
	res, err := tx.ExecContext(ctx, `DELETE FROM finding_words w WHERE w.key = ANY (string_to_array($1, ',')::uuid[])
		AND NOT EXISTS (SELECT 1 FROM finding_worded d WHERE d.words = w.key)`, keys.String)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return n, errors.Join(err, tx.Commit())
}

// classify tells what an error of PostgreSQL means, by its SQLSTATE.
func classify(err error) store.Failure {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		var conn *pgconn.ConnectError
		if errors.As(err, &conn) || pgconn.SafeToRetry(err) {
			return store.FailureUnavailable
		}
		return store.FailureOther
	}
	switch e.Code {
	case "40001", "40P01": // serialization failure, deadlock
		return store.FailureRetry
	case "23505":
		return store.FailureUnique
	case "53100", "53200":
		return store.FailureFull
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "57", "53": // connection, operator intervention, resources
		return store.FailureUnavailable
	}
	return store.FailureOther
}
