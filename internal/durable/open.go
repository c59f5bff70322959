package durable

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // registers the driver with DBOS
	"github.com/dbos-inc/dbos-transact-golang/dbos/internals"
	"github.com/jackc/pgx/v5"

	"github.com/parry-security/parry/internal/fault"
)

const (
	appName = "parry"
	// version is the generation of the interpreter, not of Parry. Invariant: it
	// changes only when a body of the new generation could not replay work of the
	// old one; such work then needs the old program to end.
	version  = "parry-interpreter-1"
	workflow = "parry-interpreter"
	schema   = "dbos"
	// migrationLock is the advisory lock under which one node migrates.
	migrationLock = 0x7061727279646273
	// maxRecoveries parks work that takes the process down each time.
	maxRecoveries = 100
)

// OpenSQLite opens or makes the engine's own file, with a write-ahead log. A
// file of its own keeps its writers out of the way of the store's. SQLite does
// not flush each commit; the engine does, see flusher.
func OpenSQLite(ctx context.Context, path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.E(fault.Invalid, "open the durable engine's file", err)
	}
	// SQLite gives its log the mode of the file, so the mode comes first.
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "open the durable engine's file", err).WithHint("check that %s can be written by this user", filepath.Dir(abs))
	}
	if err := f.Close(); err != nil {
		return nil, fault.E(fault.Unavailable, "open the durable engine's file", err)
	}
	values := url.Values{"_txlock": {"immediate"}}
	for _, p := range []string{
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)", "trusted_schema(0)", "temp_store(2)",
		"cache_size(-2000)", "wal_autocheckpoint(4000)", "journal_size_limit(67108864)",
	} {
		values.Add("_pragma", p)
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: abs, RawQuery: values.Encode()}).String())
	if err != nil {
		return nil, fault.E(fault.Unavailable, "open the durable engine's file", err)
	}
	// One connection that works, because writers wait better in Go than in
	// SQLite, and the flusher's.
	db.SetMaxOpenConns(2)
	if err := db.PingContext(ctx); err != nil {
		return nil, fault.E(fault.Unavailable, "open the durable engine's file", fmt.Errorf("%w; closing: %w", err, db.Close())).WithHint("check %s", abs)
	}
	return db, nil
}

// Unfinished gives the ids of work that a file from OpenSQLite holds and that has not
// ended, without an engine on it.
func Unfinished(ctx context.Context, db *sql.DB) (ids []string, err error) {
	const op = "read the durable engine's work"
	var there int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'workflow_status'").Scan(&there); err != nil || there == 0 {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT workflow_uuid FROM workflow_status WHERE status IN ('PENDING', 'ENQUEUED', 'DELAYED') ORDER BY workflow_uuid")
	if err != nil {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fault.E(fault.Unavailable, op, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// launch opens DBOS, registers the one workflow and recovers what belongs here.
func (e *Engine) launch(ctx, root context.Context) (dbos.Context, error) {
	logger := slog.New(quiet{e.cfg.Logger.Handler()})
	cfg := dbos.Config{
		AppName: appName, Logger: logger, DatabaseSchema: schema, ApplicationVersion: version, ExecutorID: e.cfg.Node,
		SQLiteSystemDB: e.cfg.SQLite, DatabaseURL: e.cfg.PostgresURL, SchedulerPollingInterval: time.Hour,
		// A node that is stopped in the middle of a transaction must not hold its
		// locks against whoever takes its work over.
		SystemDBIdleTransactionTimeout: max(e.cfg.LeaseTTL, 5*time.Second),
	}
	if e.cfg.PostgresURL != "" {
		if err := migrate(ctx, e.cfg.PostgresURL, logger); err != nil {
			return nil, fault.E(fault.Unavailable, "migrate the durable engine's tables", err).WithHint("check the PostgreSQL address and that its user may create schema %s", schema)
		}
		cfg.SkipMigrations = true
	}
	dctx, err := dbos.NewContext(root, cfg)
	if err != nil {
		return nil, fault.E(fault.Unavailable, "open the durable engine", err)
	}
	if e.cfg.SQLite != nil {
		if e.flush, err = newFlusher(ctx, e.cfg.SQLite); err != nil {
			_ = shutdown(dctx, time.Second)
			return nil, err
		}
	}
	if dctx.GetExecutorID() != e.cfg.Node || dctx.GetApplicationVersion() != version {
		_ = shutdown(dctx, time.Second)
		return nil, fault.Errorf(fault.Invalid, "open the durable engine", "the environment overrides the node or the version").
			WithHint("unset DBOS__VMID and DBOS__APPVERSION")
	}
	dbos.RegisterWorkflow(dctx, e.body, dbos.WithWorkflowName(workflow), dbos.WithMaxRecoveryAttempts(maxRecoveries))
	err = dbos.Launch(dctx)
	if err == nil && e.cfg.SQLite != nil {
		err = e.adopt(dctx)
	}
	if err != nil {
		return nil, errors.Join(fault.E(fault.Unavailable, "launch the durable engine", err), shutdown(dctx, time.Second), e.flush.close())
	}
	return dctx, nil
}

// migrate makes or updates DBOS's tables under a lock: two nodes that start
// together on an empty database would otherwise collide.
func migrate(ctx context.Context, address string, logger *slog.Logger) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	// Closing the connection gives the lock back.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("take the migration lock: %w", err)
	}
	return dbos.Migrate(ctx, address, dbos.WithMigrateSchema(schema), dbos.WithMigrateLogger(logger))
}

// adopt takes over what earlier processes left in a file that only one process
// uses.
func (e *Engine) adopt(dctx dbos.Context) error {
	pending, err := dbos.ListWorkflows(dctx, dbos.WithFilterStatus(dbos.WorkflowStatusPending), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
	if err != nil {
		return fault.E(fault.Unavailable, "list work of earlier processes", err)
	}
	var nodes []string
	for _, w := range pending {
		if w.ExecutorID != e.cfg.Node && !slices.Contains(nodes, w.ExecutorID) {
			nodes = append(nodes, w.ExecutorID)
		}
	}
	return e.recover(dctx, nodes)
}

// recover makes the work of dead nodes available to every node. It is the one
// use of the interface that DBOS made for its commercial module; it may be
// repeated at will.
func (e *Engine) recover(dctx dbos.Context, nodes []string) error {
	if len(nodes) == 0 {
		return nil
	}
	runtime, err := internals.RuntimeOf(dctx)
	if err != nil {
		return fault.E(fault.Internal, "reach the durable engine", err)
	}
	taken, err := runtime.RecoverPendingWorkflows(nodes)
	if err != nil {
		return fault.E(fault.Unavailable, "take over work", err)
	}
	if len(taken) > 0 {
		e.cfg.Logger.Warn("work of dead nodes taken over", "count", len(taken), "nodes", nodes)
	}
	return nil
}

func shutdown(dctx dbos.Context, timeout time.Duration) error {
	if err := dbos.Shutdown(dctx, timeout); err != nil {
		return fault.E(fault.Unavailable, "stop the durable engine", err)
	}
	return nil
}

// quiet passes only what an operator must see of DBOS's own log.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }

func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }
