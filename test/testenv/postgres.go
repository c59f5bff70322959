package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// Postgres is a PostgreSQL server of its own: loopback, a free port, no
// password, durability off.
type Postgres struct {
	URL string // database "postgres", user "postgres"

	bin      string
	dir      string
	settings []string
	own      bool // dir was made here, not given
	run      func(cmd *exec.Cmd)
	port     string
	proc     *process
}

// supervise ends PostgreSQL (fast shutdown) when standard input is closed, and
// then removes the directory that was made for it.
const supervise = `"$@" </dev/null & child=$!; read -r _; kill -INT "$child" 2>/dev/null; wait "$child"; [ -z "$PARRY_REMOVE" ] || rm -rf "$PARRY_REMOVE"`

// StartPostgres starts a server with its data below dir. Settings ("fsync=on")
// win over those above. As root it runs as user
// postgres, which refuses root; dir then has to be reachable for that user, else
// a directory beside it is used.
func StartPostgres(ctx context.Context, dir string, settings ...string) (*Postgres, error) {
	const op = "start PostgreSQL"
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	p := &Postgres{bin: bin, dir: dir, settings: settings, run: func(*exec.Cmd) {}}
	if err := p.prepare(); err != nil {
		return nil, fault.E(fault.Unavailable, op, err)
	}
	if err := p.start(ctx); err != nil {
		p.Stop()
		return nil, fault.E(fault.Unavailable, op, err)
	}
	return p, nil
}

// postgresBin finds the newest of Debian's directories, else the PATH's.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	slices.SortFunc(found, func(a, b string) int { return major(a) - major(b) })
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fault.E(fault.Unavailable, "find PostgreSQL", err).WithHint("install it; Debian: apt-get install -y postgresql")
	}
	return filepath.Dir(path), nil
}

func major(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

func (p *Postgres) prepare() error {
	if os.Geteuid() != 0 {
		p.dir = filepath.Join(p.dir, "postgres")
		return os.MkdirAll(p.dir, 0o700)
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	p.run = func(cmd *exec.Cmd) { become(cmd, uint32(uid), uint32(gid)) } //nolint:gosec // ids fit
	// A test's own directory is closed to others, so the data goes beside it.
	if p.dir, err = os.MkdirTemp("", "parry-postgres-"); err != nil {
		return err
	}
	p.own = true
	return os.Chown(p.dir, uid, gid)
}

func (p *Postgres) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(p.bin, name), args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "HOME="+p.dir)
	p.run(cmd)
	return cmd
}

func (p *Postgres) start(ctx context.Context) error {
	data := filepath.Join(p.dir, "data")
	out, err := p.command(ctx, "initdb", "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, lastLine(string(out), err))
	}
	return p.launch(ctx, data)
}

func (p *Postgres) launch(ctx context.Context, data string) error {
	var err error
	if p.port, err = freePort(ctx); err != nil {
		return err
	}
	logs, err := os.OpenFile(filepath.Join(p.dir, "postgres.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()                                                                               // the child has its own
	cmd := exec.Command("/bin/sh", "-c", supervise, "sh", filepath.Join(p.bin, "postgres"), "-D", data, "-p", p.port, //nolint:noctx // it outlives the call
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	for _, one := range p.settings {
		cmd.Args = append(cmd.Args, "-c", one) // the last one wins
	}
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, append(os.Environ(), "LC_ALL=C"), logs, logs
	if p.own {
		cmd.Env = append(cmd.Env, "PARRY_REMOVE="+p.dir)
	}
	separate(cmd)
	p.run(cmd)
	if p.proc, err = launch(cmd); err != nil {
		return err
	}
	p.URL = p.Database("postgres")
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if p.command(ctx, "pg_isready", "-q", "-h", "127.0.0.1", "-p", p.port).Run() == nil {
			return nil
		}
		if raw, _ := os.ReadFile(logs.Name()); strings.Contains(string(raw), "FATAL:  could not") {
			break
		}
		select {
		case <-ctx.Done():
			p.proc.stop()
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	p.proc.stop()
	return fmt.Errorf("it does not answer: %s", tail(logs.Name()))
}

// freePort gives a port that nobody listens on. Somebody may take it before
// PostgreSQL does: the range is wide, and the error says so.
func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// Database is the URL of a database of this server.
func (p *Postgres) Database(name string) string {
	return "postgres://postgres@127.0.0.1:" + p.port + "/" + name + "?sslmode=disable"
}

// CreateDatabase makes an empty database and gives its URL.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) (string, error) {
	out, err := p.command(ctx, "createdb", "-h", "127.0.0.1", "-p", p.port, "-U", "postgres", name).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("create database %s: %w: %s", name, err, lastLine(string(out), err))
	}
	return p.Database(name), nil
}

// Stop ends the server and removes a directory that was made for it.
func (p *Postgres) Stop() {
	if p.proc != nil {
		p.proc.stop()
	}
	if p.own {
		_ = os.RemoveAll(p.dir) // a leftover in the temporary directory harms nobody
	}
}
