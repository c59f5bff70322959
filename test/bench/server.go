package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/store"
)

// settings is parry.yaml in the making.
type settings map[string]any

// organization gives the part of the configuration that names accounts.
func organization(accounts []string, mode string) settings {
	list := make([]map[string]any, len(accounts))
	for i, id := range accounts {
		list[i] = map[string]any{"id": id, "name": "account-" + id, "unit": "all"}
	}
	policy := map[string]any{"id": "all", "units": []string{"all"}, "mode": mode}
	if mode == "people" {
		policy["quorum"], policy["expires"] = 1, "24h"
	}
	return settings{
		"organization": map[string]any{
			"management_account": "111111111111", "hub_account": "222222222222", "home_region": "us-east-1",
			"member_role": "ParryMemberRole", "external_id": "bench", "accounts": list,
		},
		"policies": []any{policy},
		"bus_rules": []any{map[string]any{"name": "public-buckets", "playbooks": []string{"S3.2"}, "pattern": map[string]any{
			"source": []string{"aws.securityhub"}, "detail-type": []string{"Security Hub Findings - Imported"},
			"detail": map[string]any{"findings": map[string]any{
				"GeneratorId": []any{map[string]any{"suffix": "/S3.2"}}, "Compliance": map[string]any{"Status": []string{"FAILED"}},
				"Workflow": map[string]any{"Status": []string{"NEW"}}, "RecordState": []string{"ACTIVE"},
			}},
		}}},
	}
}

// node is a parry serve process.
type node struct {
	b       *bench
	dir     string
	config  string
	url     string
	env     []string
	cmd     *exec.Cmd
	done    chan struct{}
	ready   time.Duration
	source  store.Key // brings findings
	person  store.Key // may do everything; admin has it too
	admin   *client.Client
	http    *http.Client
	signer  *v4.Signer
	started time.Time
}

// node writes the configuration of a node and starts nothing.
func (b *bench) node(ctx context.Context, dir string, cfg settings, env []string) (*node, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	cfg["listen"] = address
	if cfg["data_dir"] == nil {
		cfg["data_dir"] = filepath.Join(dir, "data")
	}
	raw, err := yaml.Marshal(map[string]any(cfg))
	if err != nil {
		return nil, err
	}
	n := &node{b: b, dir: dir, config: filepath.Join(dir, "parry-"+strings.ReplaceAll(address, ":", "-")+".yaml"), url: "http://" + address, signer: v4.NewSigner()}
	n.http = &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "PARRY_") {
			n.env = append(n.env, kv)
		}
	}
	n.env = append(n.env, env...)
	return n, os.WriteFile(n.config, raw, 0o600)
}

// keys issues a key that brings findings and one that may do everything.
func (n *node) keys(ctx context.Context) error {
	type issued struct {
		ID     string `json:"access_key_id"`
		Secret string `json:"secret_access_key"`
	}
	issue := func(args ...string) (issued, error) {
		cmd := exec.CommandContext(ctx, n.b.program, append([]string{"key", "create", "--config", n.config, "-o", "json"}, args...)...)
		cmd.Env, cmd.Dir = n.env, n.dir
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			return issued{}, fmt.Errorf("parry key create: %w: %s", err, errs.String())
		}
		return decode[issued](out)
	}
	source, err := issue("hub", "--role", "source", "--account", "*", "--product", "aws/securityhub", "--trusted")
	if err != nil {
		return err
	}
	admin, err := issue("admin", "--role", "admin", "--account", "*")
	if err != nil {
		return err
	}
	n.source = store.Key{AccessKeyID: source.ID, Secret: store.Secret(source.Secret)}
	n.person = store.Key{AccessKeyID: admin.ID, Secret: store.Secret(admin.Secret)}
	return n.as(admin.ID, admin.Secret)
}

func (n *node) as(id, secret string) (err error) {
	n.admin, err = client.New(client.Config{Endpoint: n.url, AccessKey: id, Secret: store.Secret(secret)})
	return err
}

// start starts the process and waits until it answers.
func (n *node) start(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(n.dir, "serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own
	n.cmd = n.b.serve(n.config)
	n.cmd.Env, n.cmd.Dir, n.cmd.Stdout, n.cmd.Stderr = n.env, n.dir, log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	n.started = time.Now()
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.done = make(chan struct{})
	go func() { _ = n.cmd.Wait(); close(n.done) }()
	for !n.healthy(ctx) {
		select {
		case <-n.done:
			return fmt.Errorf("parry serve ended: %s", n.log())
		case <-ctx.Done():
			n.kill()
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	n.ready = time.Since(n.started)
	return nil
}

// serve gives the command that serves: the binary, or with a profile this program,
// which then is the server.
func (b *bench) serve(config string) *exec.Cmd {
	if b.profile == "" {
		return exec.Command(b.program, "serve", "--config", config) //nolint:noctx // it outlives the call; stop ends it
	}
	b.profiles++
	return exec.Command("/proc/self/exe", profiledArg, fmt.Sprintf("%s.%d", b.profile, b.profiles), "serve", "--config", config) //nolint:noctx // as above
}

func (n *node) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/v1/health", nil)
	if err != nil {
		return false
	}
	res, err := n.http.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}

func (n *node) log() string {
	raw, _ := os.ReadFile(filepath.Join(n.dir, "serve.log")) // it only explains
	return strings.TrimSpace(string(raw[max(0, len(raw)-1500):]))
}

// stop ends the process as an operator would.
func (n *node) stop() {
	if n == nil || n.done == nil {
		return
	}
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.done:
	case <-time.After(20 * time.Second):
		n.kill()
	}
}

// kill ends it as a lost machine does.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// batch is the body of BatchImportFindings.
func batch(findings []json.RawMessage) ([]byte, error) {
	return json.Marshal(map[string]any{"Findings": findings})
}

// send signs a body as the AWS CLI does and has it imported.
func (n *node) send(ctx context.Context, body []byte, count int) error {
	raw, err := n.signed(ctx, "securityhub", "/findings/import", n.source, http.Header{"Content-Type": {"application/json"}}, body)
	if err != nil {
		return fmt.Errorf("import findings: %w", err)
	}
	answer, err := decode[struct{ SuccessCount int }](raw)
	if err == nil && answer.SuccessCount != count {
		err = fmt.Errorf("import findings: %d of %d accepted: %.300s", answer.SuccessCount, count, raw)
	}
	return err
}

// systemsManager asks the server's Systems Manager API, as a person.
func (n *node) systemsManager(ctx context.Context, operation string, in map[string]any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	raw, err := n.signed(ctx, "ssm", "/", n.person, http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AmazonSSM." + operation}}, body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", operation, err)
	}
	return raw, nil
}

// signed posts a body, signed with a key, and gives the answer.
func (n *node) signed(ctx context.Context, service, path string, key store.Key, header http.Header, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	sum := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.Secret.Reveal()}
	if err := n.signer.SignHTTP(ctx, credentials, req, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()); err != nil {
		return nil, err
	}
	res, err := n.http.Do(req)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d: %.300s", res.StatusCode, raw)
	}
	return raw, nil
}
