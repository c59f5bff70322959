package testenv

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/motoext"
	"github.com/parry-security/parry/test/py"
)

// ManagementAccount is the account of the estate's management account.
const ManagementAccount = "111111111111"

// Options says where and with what to start.
type Options struct {
	// Dir keeps the logs, the mail and the Python programs. Required; it has to exist.
	Dir string
	// Python is the interpreter; "" = find one (see FindPython).
	Python string
	// Log receives what a person may want to know; nil discards.
	Log *slog.Logger
	// WithoutEstate leaves moto empty.
	WithoutEstate bool
	// Story makes the organization of `parry demo`: six members in three units.
	Story bool
}

// Env is the running world. Its exported fields are set once by Start.
type Env struct {
	WallURL string // what to give to clients as AWS_ENDPOINT_URL
	Wall    *awswall.Wall
	Root    awswall.RootKey // the management account's root user
	Estate  Estate
	SMTP    *SMTPSink
	Python  string
	Dir     string

	moto  *process
	log   *slog.Logger
	story bool
}

// WallLog is the file with the request log, as JSON lines.
func (e *Env) WallLog() string { return filepath.Join(e.Dir, "wall.jsonl") }

// EstateFile is the file with the estate, as JSON: the judges read it.
func (e *Env) EstateFile() string { return filepath.Join(e.Dir, "estate.json") }

// MotoAddr is moto's own host and port, behind the wall.
func (e *Env) MotoAddr() string { return fmt.Sprintf("127.0.0.1:%d", e.moto.port) }

// Start starts everything, or nothing.
func Start(ctx context.Context, o Options) (*Env, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil || o.Dir == "" {
		return nil, fmt.Errorf("start test environment: directory %q: %w", o.Dir, errors.Join(err, fs.ErrInvalid))
	}
	e := &Env{Dir: dir, log: o.Log, story: o.Story}
	if e.Python, err = FindPython(ctx, o.Python); err != nil {
		return nil, err
	}
	if err := e.start(ctx, o); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

func (e *Env) start(ctx context.Context, o Options) error {
	if err := e.unpack(); err != nil {
		return fmt.Errorf("unpack the Python programs: %w", err)
	}
	address, err := e.startMoto(ctx, 0)
	if err != nil {
		return err
	}
	e.Root = awswall.RootKey{AccessKeyID: "AKIAROOTROOTROOTROOT", Secret: randomSecret(), Account: ManagementAccount}
	e.Wall, err = awswall.New(awswall.Config{Upstream: address, RootKeys: []awswall.RootKey{e.Root}, LogFile: e.WallLog(), Logger: e.log})
	if err != nil {
		return err
	}
	if err := e.Wall.Start(ctx); err != nil {
		return err
	}
	e.WallURL = e.Wall.URL()
	if e.SMTP, err = StartSMTP(ctx, filepath.Join(e.Dir, "mail")); err != nil {
		return err
	}
	if o.WithoutEstate {
		return nil
	}
	return e.makeEstate(ctx)
}

// Stop ends everything and waits for it. It may be repeated.
func (e *Env) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if e.SMTP != nil {
		e.SMTP.Stop()
	}
	if e.Wall != nil {
		if err := e.Wall.Stop(ctx); err != nil {
			e.log.Warn("wall did not stop cleanly", "error", err)
		}
	}
	if e.moto != nil {
		e.moto.stop()
	}
}

// KillMoto ends moto at once, as a lost server does. What it held is lost: for an
// outage that passes, inject awswall.DropBefore instead.
func (e *Env) KillMoto() { e.moto.kill() }

// RestartMoto starts an empty moto where the killed one was and makes the estate
// anew: new keys, the same accounts and names.
func (e *Env) RestartMoto(ctx context.Context) error {
	e.moto.kill()
	if _, err := e.startMoto(ctx, e.moto.port); err != nil {
		return err
	}
	e.Wall.Forget()
	return e.makeEstate(ctx)
}

func (e *Env) startMoto(ctx context.Context, port int) (address string, err error) {
	e.moto, err = startPython(ctx, e.Python, filepath.Join(e.Dir, "python"), filepath.Join(e.Dir, "moto.log"),
		"-m", "motoext.server", "--until-eof", "--port", fmt.Sprint(port))
	if err != nil {
		return "", fmt.Errorf("start moto: %w", err)
	}
	return "http://" + e.MotoAddr(), nil
}

// unpack writes the embedded Python files below Dir.
func (e *Env) unpack() error {
	return unpackTo(filepath.Join(e.Dir, "python"), map[string]fs.FS{"motoext": motoext.FS, "py": py.FS})
}

func (e *Env) makeEstate(ctx context.Context) error {
	args := []string{"--endpoint", e.WallURL, "--out", e.EstateFile()}
	if e.story {
		args = append(args, "--story")
	}
	_, err := e.run(ctx, e.environ(Key{AccessKeyID: e.Root.AccessKeyID, Secret: e.Root.Secret}), "estate.py", args...)
	if err != nil {
		return fmt.Errorf("make the organization: %w", err)
	}
	raw, err := os.ReadFile(e.EstateFile())
	if err != nil {
		return err
	}
	var estate Estate
	if err := json.Unmarshal(raw, &estate); err != nil {
		return fmt.Errorf("read the estate: %w", err)
	}
	e.Estate = estate
	return nil
}

func randomSecret() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	return hex.EncodeToString(b[:])
}
