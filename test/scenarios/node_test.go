package scenarios_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/store"
)

// patience is how long a scenario waits for what must come.
const patience = 60 * time.Second

// document is YAML or JSON in the making.
type document = map[string]any

// installation is a data directory with its configuration and keys. Its nodes
// are processes.
type installation struct {
	w      *world
	dir    string
	config string
	url    string // of PostgreSQL; "" = SQLite
	keys   map[string]key

	program string   // of its servers
	environ []string // of its servers, beside what all have
}

type key struct {
	ID     string `json:"access_key_id"`
	Secret string `json:"secret_access_key"`
}

// install makes a fresh one. Each edit changes its configuration.
func (w *world) install(t *testing.T, edits ...func(document)) *installation {
	t.Helper()
	i := &installation{w: w, dir: t.TempDir(), keys: map[string]key{}, program: w.program}
	i.config = filepath.Join(i.dir, "parry.yaml")
	cfg := w.configuration()
	for _, edit := range edits {
		edit(cfg)
	}
	i.url, _ = cfg["database"].(string)
	i.write(t, cfg)
	for name, args := range map[string][]string{
		"hub":   {"--role", "source", "--account", "*", "--product", "aws/securityhub", "--trusted"},
		"olga":  {"--role", "operator,admin", "--account", "*"},
		"alice": {"--role", "approver", "--account", "*"},
	} {
		out, err := i.parry(t, "", append([]string{"key", "create", name, "-o", "json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		i.keys[name] = decode[key](t, out)
	}
	return i
}

func (i *installation) write(t *testing.T, cfg document) {
	t.Helper()
	raw, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.config, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// onPostgres gives the installation a database of its own.
func (w *world) onPostgres(t *testing.T) func(document) {
	t.Helper()
	p, err := w.postgres()
	if err != nil {
		if os.Getenv("PARRY_TEST_POSTGRES") == "require" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	url, err := p.CreateDatabase(t.Context(), fmt.Sprintf("scenario%d", w.database.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg document) { cfg["database"] = url }
}

// configuration is that of the story: S3.2 is fixed automatically in dev and by
// people in prod, and mail says so.
func (w *world) configuration() document {
	e := w.env.Estate
	return document{
		"data_dir": "data",
		"organization": document{
			"management_account": e.Management.Account, "hub_account": e.Security.Account, "home_region": e.Region,
			"member_role": e.MemberRole, "external_id": e.ExternalID,
			"accounts": []document{
				{"id": e.Members["dev"].Account, "name": "dev", "unit": "dev"},
				{"id": e.Members["prod"].Account, "name": "prod", "unit": "prod"},
			},
		},
		"bus_rules": []document{
			fixes("S3.2"),
			{"name": "tell-people", "channels": []string{"mail"}, "pattern": document{
				"source": []string{"parry"}, "detail-type": []string{"Parry Remediation State Change"},
				"detail": document{"to": []string{"verified", "unverified", "failed", "superseded", "undone"}},
			}},
		},
		"policies": []document{
			{"id": "dev-automatic", "units": []string{"dev"}, "mode": "automatic"},
			{"id": "prod-people", "units": []string{"prod"}, "mode": "people", "quorum": 1, "expires": "24h"},
		},
		"channels": []document{{"name": "mail", "kind": "email", "smtp": w.env.SMTP.Addr(), "tls": "none", "from": "parry@example.com", "to": []string{"security@example.com"}}},
	}
}

// fixes is a rule that has the resources fixed that a control of a standard fails for.
func fixes(control string) document {
	return document{"name": "fix-" + control, "playbooks": []string{control}, "pattern": document{
		"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
		"detail": document{"findings": document{
			"GeneratorId": []document{{"suffix": "/" + control}}, "Compliance": document{"Status": []string{"FAILED"}},
			"Workflow": document{"Status": []string{"NEW"}}, "RecordState": []string{"ACTIVE"},
		}},
	}}
}

// parry runs the command line beside the database, without a server.
func (i *installation) parry(t *testing.T, endpoint string, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), i.w.program, append(args, "--config", i.config)...)
	cmd.Dir, cmd.Env = i.dir, os.Environ()
	if endpoint != "" {
		k := i.keys["olga"]
		cmd.Env = append(cmd.Env, "PARRY_ENDPOINT="+endpoint, "PARRY_ACCESS_KEY_ID="+k.ID, "PARRY_SECRET_ACCESS_KEY="+k.Secret)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("parry %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// node is one parry serve.
type node struct {
	*installation
	t        *testing.T
	name     string
	log      string
	cmd      *exec.Cmd
	done     chan struct{}
	endpoint string
}

// serve starts a server. It ends with the test.
func (i *installation) serve(t *testing.T) *node {
	t.Helper()
	return i.serveAs(t, "node")
}

func (i *installation) serveAs(t *testing.T, name string) *node {
	t.Helper()
	n := &node{installation: i, t: t, name: name, log: filepath.Join(i.dir, name+".log")}
	n.start()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", name, tail(n.log))
		}
	})
	return n
}

// start starts the process and waits until it is ready.
func (n *node) start() {
	n.t.Helper()
	logs, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = logs.Close() }() // the child has its own
	before, err := logs.Seek(0, 2)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command(n.program, "serve", "--config", n.config) //nolint:noctx // kill and the cleanup end it
	cmd.Env = append(n.w.env.Environ(n.w.env.Estate.Security.Hub), "PARRY_LISTEN=127.0.0.1:0", "PARRY_NODE="+n.name)
	cmd.Env = append(cmd.Env, n.environ...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, logs, logs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.done = cmd, make(chan struct{})
	go func() { _ = cmd.Wait(); close(n.done) }()
	n.awaitReady(before)
}

// awaitReady waits until the process says where it listens, after the given place of its log.
func (n *node) awaitReady(before int64) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		raw, err := os.ReadFile(n.log)
		if err != nil {
			n.t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(raw[before:]), "parry is ready on "); ok {
			if address, _, ok := strings.Cut(rest, "\n"); ok {
				n.endpoint = "http://" + address
				return
			}
		}
		select {
		case <-n.done:
			n.t.Fatalf("parry serve ended: %s", tail(n.log))
		case <-time.After(5 * time.Millisecond):
		}
	}
	n.t.Fatalf("parry serve is not ready after %s: %s", patience, tail(n.log))
}

// kill is SIGKILL. It may be repeated.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.done
}

// stop is SIGTERM, as an operator stops a server.
func (n *node) stop() {
	n.t.Helper()
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(20 * time.Second):
		n.t.Errorf("parry serve did not end within 20 s of SIGTERM: %s", tail(n.log))
		n.kill()
	}
}

// as gives a client with a person's key.
func (n *node) as(person string) *client.Client {
	n.t.Helper()
	k := n.keys[person]
	c, err := client.New(client.Config{Endpoint: n.endpoint, AccessKey: k.ID, Secret: store.Secret(k.Secret)})
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// poll asks until ok, at most for limit.
func poll(t *testing.T, limit time.Duration, what func() string, ok func(ctx context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errors.New("out of patience"))
	defer cancel()
	for !ok(ctx) {
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %s", limit, what())
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func decode[T any](t *testing.T, raw []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("read JSON: %v; it was: %.300s", err, raw)
	}
	return v
}

func tail(name string) string {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	if len(raw) > 6000 {
		raw = raw[len(raw)-6000:]
	}
	return strings.TrimSpace(string(raw))
}
