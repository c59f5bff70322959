// Package sqlite opens the store on two SQLite files: WAL, every commit flushed,
// foreign keys on, one writing connection and a pool of readers for each file.
package sqlite

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/migrations"
)

//go:embed queries.sql
var queries string

// Replacing stands in the directory while its files are replaced by others: half of
// them may be old.
const Replacing = "restore.ready"

// MovedMark stands in the directory after its files were moved to PostgreSQL.
const MovedMark = "moved-to-postgresql"

// Config says where the files are.
type Config struct {
	// Dir holds findings.db and execution.db; it is made when missing. Whoever
	// can write there owns the installation, so it is for one user only.
	Dir    string
	Sealer store.Sealer
	Clock  service.Clock // default: the system's
	// BusyTimeout is how long a writer waits for another process; default 10 s.
	BusyTimeout time.Duration
}

// Open opens or makes both files. Call Migrate before anything else.
func Open(ctx context.Context, cfg Config) (*store.Store, error) {
	const op = "open the database"
	if cfg.Dir == "" || cfg.Sealer == nil {
		return nil, fault.Errorf(fault.Internal, op, "directory and sealer are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.BusyTimeout <= 0 {
		cfg.BusyTimeout = 10 * time.Second
	}
	if err := registerFind(); err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	q, err := store.ParseQueries(queries)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fault.E(fault.Internal, op, err)
	}
	cfg.Dir = dir
	if _, err := os.Stat(filepath.Join(dir, Replacing)); err == nil {
		return nil, fault.Errorf(fault.Conflict, op, "a restore of %s did not come to its end", dir).
			WithHint("run the restore again: parry db restore FILE --replace")
	}
	if _, err := os.Stat(filepath.Join(dir, MovedMark)); err == nil {
		return nil, fault.Errorf(fault.Conflict, op, "the database in %s was moved to PostgreSQL", dir).
			WithHint("set database in parry.yaml; to go on with the files as they were then, remove %s: not while a server runs on the copy", filepath.Join(dir, MovedMark))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.E(fault.Internal, op, err).WithHint("check that %s can be written by this user", filepath.Dir(dir))
	}
	o := opener{cfg: cfg}
	sc := store.Config{
		Findings: o.file("findings", triageCache), Execution: o.file("execution", fmt.Sprintf("cache_size(-%d)", writeKB)), Engine: o.engine("execution"),
		Sealer: cfg.Sealer, Clock: cfg.Clock,
	}
	sc.Dialect = store.Dialect{
		Name: "sqlite", Queries: q, OneWriter: true, Find: findFunction, Snapshot: &sql.TxOptions{ReadOnly: true}, Classify: classify,
		Migrate: func(ctx context.Context) error { return migrate(ctx, cfg, sc) },
	}
	if o.err == nil {
		o.err = errors.Join(sc.Findings.Write.PingContext(ctx), sc.Execution.Write.PingContext(ctx))
	}
	if o.err == nil {
		var s *store.Store
		if s, o.err = store.New(sc); o.err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(fault.E(fault.Unavailable, op, o.err).WithHint("check the files in %s", dir), o.close())
}

// opener opens pools and remembers the first error.
type opener struct {
	cfg  Config
	open []*sql.DB
	err  error
}

func (o *opener) path(file string) string { return filepath.Join(o.cfg.Dir, file+".db") }

// touch makes a file for its owner only. SQLite gives the log beside a file the
// mode of the file, so the mode is settled before SQLite makes it.
func (o *opener) touch(file string) {
	f, err := os.OpenFile(o.path(file), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Close()
	}
	o.err = errors.Join(o.err, err)
}

// What connections keep of a file, in KB. The driver's allocator gives each page the
// next power of two, so it takes twice that.
const (
	cacheKB = 1000
	writeKB = 2000
	// The cache of the findings' writer is to hold what a commit of triage touches:
	// what does not fit is written to the log, and read again, before the commit's end.
	// At a million findings that is nearly mostTriageKB; below, an eighth of the file.
	leastTriageKB, mostTriageKB, triageShare = 8_000, 64_000, 8
)

const (
	// writerLife is after what time a writer is opened anew, with a cache of the size
	// that its file has come to ask for.
	writerLife = 2 * time.Minute
	// idleLife is how long a connection that nobody needs keeps its memory: each has
	// the whole schema and a cache, half a MB where there is nothing to do.
	idleLife = 5 * time.Second
)

// file opens the pools of a file.
func (o *opener) file(file, writeCache string) store.Database {
	o.touch(file)
	// One connection writes, so writers wait in Go, where waiting is fair,
	// instead of in SQLite's busy loop.
	write := o.pool(file, "immediate", 1, writeCache, "wal_autocheckpoint(4000)", "journal_size_limit(67108864)")
	read := o.pool(file, "deferred", max(4, runtime.NumCPU()), fmt.Sprintf("cache_size(-%d)", cacheKB), "query_only(1)")
	if o.err == nil {
		write.SetConnMaxLifetime(writerLife)
		read.SetConnMaxIdleTime(idleLife)
	}
	return store.Database{Write: write, Read: read}
}

func (o *opener) engine(file string) *sql.DB {
	db := o.pool(file, "immediate", 4, fmt.Sprintf("cache_size(-%d)", cacheKB))
	if o.err == nil {
		db.SetConnMaxIdleTime(idleLife)
	}
	return db
}

func (o *opener) pool(file, lock string, conns int, pragmas ...string) *sql.DB {
	db, err := OpenFile(o.path(file), lock, conns, append([]string{
		fmt.Sprintf("busy_timeout(%d)", o.cfg.BusyTimeout.Milliseconds()), "journal_mode(WAL)",
		"synchronous(FULL)", "foreign_keys(1)", "temp_store(2)",
	}, pragmas...)...)
	if err != nil {
		o.err = errors.Join(o.err, err)
		return nil
	}
	o.open = append(o.open, db)
	return db
}

// OpenFile gives a pool on one file, for whoever copies it. lock is how its
// transactions begin: deferred, immediate or exclusive.
func OpenFile(path, lock string, conns int, pragmas ...string) (*sql.DB, error) {
	values := url.Values{"_txlock": {lock}, "_pragma": append([]string{"trusted_schema(0)"}, pragmas...)}
	path, err := filepath.Abs(path) // what is not absolute would be taken for a host
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector{path: path, values: values})
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// triageCache stands for the pragma of a cache whose size goes by the file's.
const triageCache = "cache_size(triage)"

// connector opens connections to a file as it is then.
type connector struct {
	path   string
	values url.Values
}

func (c connector) Connect(ctx context.Context) (sqldriver.Conn, error) {
	values := c.values
	if i := slices.Index(values["_pragma"], triageCache); i >= 0 {
		kb := int64(leastTriageKB)
		if info, err := os.Stat(c.path); err == nil { // else it is new
			kb = min(max(info.Size()/1024/triageShare, leastTriageKB), mostTriageKB)
		}
		values = maps.Clone(values)
		values["_pragma"] = slices.Clone(values["_pragma"])
		values["_pragma"][i] = fmt.Sprintf("cache_size(-%d)", kb)
	}
	dsn := url.URL{Scheme: "file", Path: filepath.ToSlash(c.path), RawQuery: values.Encode()}
	opened, err := driver.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return opened.Connect(ctx)
}

func (connector) Driver() sqldriver.Driver { return &driver.Driver{} }

func (o *opener) close() error {
	var errs []error
	for _, db := range o.open {
		errs = append(errs, db.Close())
	}
	return errors.Join(errs...)
}

// migrate runs the migrations of both files while it holds an exclusive lock on
// a third file, which the system gives back when the process dies.
func migrate(ctx context.Context, cfg Config, sc store.Config) (err error) {
	o := opener{cfg: cfg}
	o.touch("migrate-lock")
	lock := o.pool("migrate-lock", "exclusive", 1)
	if o.err != nil {
		return o.err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	held, err := lock.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("wait for the migration of another process: %w", err)
	}
	defer func() { err = errors.Join(err, held.Rollback()) }()
	if err := migrations.Apply(ctx, "sqlite", "findings", sc.Findings.Write); err != nil {
		return err
	}
	return migrations.Apply(ctx, "sqlite", "execution", sc.Execution.Write)
}

// classify tells what an error of SQLite means.
func classify(err error) store.Failure {
	var e *driver.Error
	if !errors.As(err, &e) {
		return store.FailureOther
	}
	switch e.Code() {
	case codes.SQLITE_CONSTRAINT_UNIQUE, codes.SQLITE_CONSTRAINT_PRIMARYKEY, codes.SQLITE_CONSTRAINT_ROWID:
		return store.FailureUnique
	case codes.SQLITE_BUSY_SNAPSHOT:
		return store.FailureRetry
	}
	switch e.Code() & 0xff {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_CANTOPEN:
		return store.FailureUnavailable
	case codes.SQLITE_FULL:
		return store.FailureFull
	}
	return store.FailureOther
}
