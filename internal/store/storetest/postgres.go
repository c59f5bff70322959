package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/parry-security/parry/internal/store/postgres"
)

// EnvPostgres names a PostgreSQL server to test against, as a URL of a user who
// may create databases; "require" makes a missing PostgreSQL a failure.
const EnvPostgres = "PARRY_TEST_POSTGRES"

// server is the one PostgreSQL of this test process.
type server struct {
	once sync.Once
	url  string
	err  error
	gone bool // there is no PostgreSQL on this machine
	own  bool // the cluster is this process's own, and goes with it
	stop io.Closer

	template sync.Once
	migrated string // name of a migrated database to copy, "" where none may be left behind
}

// shared outlives every test on purpose: making a cluster takes seconds. Its
// guard process ends it when this process ends, however it ends.
var shared server

// Postgres gives the URL of a new, empty database, dropped after the test. It
// skips the test under -short and where PostgreSQL is not installed.
func Postgres(t testing.TB) string {
	t.Helper()
	begin(t)
	return database(t, shared.url, "template1")
}

// migratedPostgres is Postgres with the schema in place, copied from a template:
// a copy costs a third of the migration.
func migratedPostgres(t testing.TB) string {
	t.Helper()
	begin(t)
	shared.template.Do(func() {
		if !shared.own {
			return
		}
		name := "parry_template"
		url := newDatabase(t, shared.url, name, "template1")
		s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Sealer: Sealer(t)})
		if err == nil {
			err = errors.Join(s.Migrate(t.Context()), s.Close())
		}
		if err != nil {
			t.Fatalf("migrate the template: %v", err)
		}
		shared.migrated = name
	})
	if shared.migrated == "" {
		return database(t, shared.url, "template1")
	}
	return database(t, shared.url, shared.migrated)
}

// begin makes sure that the server runs, or ends the test.
func begin(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("PostgreSQL is left out under -short")
	}
	shared.once.Do(shared.start)
	if shared.gone && os.Getenv(EnvPostgres) != "require" {
		t.Skip("PostgreSQL is not installed: install it or set " + EnvPostgres)
	}
	if shared.err != nil {
		t.Fatalf("start PostgreSQL: %v", shared.err)
	}
}

// database makes a copy of template for t and drops it after the test.
func database(t testing.TB, server, template string) string {
	t.Helper()
	name := "parry_test_" + randomHex(8)
	made := newDatabase(t, server, name, template)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := execute(ctx, server, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop test database: %v", err)
		}
	})
	return made
}

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, url, statement string) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return errors.Join(err, db.Close())
}

func newDatabase(t testing.TB, server, name, template string) string {
	t.Helper()
	if err := execute(t.Context(), server, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("create test database: %v", err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

func (s *server) start() {
	if given := os.Getenv(EnvPostgres); given != "" && given != "require" {
		s.url = given
		return
	}
	bin, ok := findPostgres()
	if !ok {
		s.gone, s.err = true, fmt.Errorf("no initdb in PATH or /usr/lib/postgresql")
		return
	}
	s.own, s.err = true, s.cluster(bin)
}

// findPostgres gives the folder of initdb and postgres, the newest there is.
func findPostgres() (string, bool) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), true
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is well formed
	if len(found) == 0 {
		return "", false
	}
	best := found[0]
	for _, f := range found {
		if versionOf(f) > versionOf(best) {
			best = f
		}
	}
	return filepath.Dir(best), true
}

func versionOf(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb)))) // not a number: oldest
	return n
}

// guard runs the server and waits for its standard input to close, which the
// system does when the test process ends, also when it is killed. Then it stops
// the server and removes the cluster.
const guard = `"$@" & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$PARRY_CLUSTER"`

// cluster makes and starts a cluster on a free loopback port.
func (s *server) cluster(bin string) error {
	dir, err := os.MkdirTemp("", "parry-postgres-")
	if err != nil {
		return err
	}
	as, err := asPostgres(dir)
	if err != nil {
		return err
	}
	password := randomHex(16)
	pwfile := filepath.Join(dir, "pw")
	if err := os.WriteFile(pwfile, []byte(password), 0o644); err != nil { //nolint:gosec // read by another user, in a folder only it can enter
		return err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(as[0], append(as[1:], filepath.Join(bin, "initdb"), "-D", data, "-U", "parry", "-A", "scram-sha-256",
		"--pwfile", pwfile, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")...)
	initdb.Dir = dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	args := append([]string{"-c", guard, "guard"}, as...)
	args = append(args, filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-k", dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=64MB")
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), "PARRY_CLUSTER="+dir)
	if s.stop, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.url = fmt.Sprintf("postgres://parry:%s@127.0.0.1:%d/postgres?sslmode=disable", password, port)
	return awaitPostgres(s.url, log)
}

// asPostgres gives the command that runs another one as a user that PostgreSQL
// accepts: it refuses to run as root.
func asPostgres(dir string) ([]string, error) {
	if os.Geteuid() != 0 {
		return []string{"env"}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		return []string{"runuser", "-u", "postgres", "--"}, os.Chown(dir, uid, gid)
	}
	return []string{"setpriv", "--reuid", u.Uid, "--regid", u.Gid, "--clear-groups", "--"}, os.Chown(dir, uid, gid)
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	if err := l.Close(); err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func awaitPostgres(url string, log *os.File) error {
	db, err := sql.Open("pgx", url)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing was written through it
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(log.Name()) // best effort: it only explains the error
			return fmt.Errorf("%w; the server said: %s", err, strings.TrimSpace(string(said)))
		case <-tick.C:
		}
	}
}
