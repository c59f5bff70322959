// Package front_test holds the port of a real parry serve process to what it
// promises about requests that are wrong: each gets a clear error with the
// place and the next step, nothing is stored, and the server goes on. There is
// no AWS behind the server.
package front_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/test/testenv/envtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(buildDir()) // a leftover in the temporary directory harms nobody
		os.Exit(code)
	}), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

func buildDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("parry-front-%d", os.Getpid()))
}

const (
	hubAccount, dev, prod = "999988887777", "111122223333", "444455556666"
	product               = "arn:aws:securityhub:us-east-1::product/aws/securityhub"
	hookSecret            = "a-signing-key-of-some-length"
)

// key is an access key that Parry issued.
type key struct{ ID, Secret string }

// server is parry serve as a process of its own.
type server struct {
	url  string
	data string // the data directory
	keys map[string]key
	log  *buffer
	hook *hook
	plan remediation.Hash // of every seeded approval
}

// buffer is a log that is written and read at the same time.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// program is built once for all tests.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir(), "parry")
	build := exec.Command("go", "build", "-o", path, "./cmd/parry") //nolint:noctx // the test's own time limit holds
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build parry: %w\n%s", err, out)
	}
	return path, nil
})

// configuration has one automation rule and one event pattern that do not
// parse among good ones.
const configuration = `
data_dir: %s
listen: %s
database: %q
organization:
  hub_account: "` + hubAccount + `"
  accounts:
    - {id: "` + dev + `", name: dev, unit: dev}
    - {id: "` + prod + `", name: prod, unit: prod}
sources: {detective: [us-east-1]}
documents:
  - {names: ["Story-*"], key_roles: [operator], roles: ["arn:aws:iam::*:role/Story"]}
automation_rules:
  - '{"RuleName": "Broken", "RuleOrder": '
  - RuleName: Raise production
    Description: Findings in production count more.
    RuleOrder: 1
    RuleStatus: ENABLED
    Criteria: {AwsAccountId: [{Value: "` + prod + `", Comparison: EQUALS}]}
    Actions: [{Type: FINDING_FIELDS_UPDATE, FindingFieldsUpdate: {Severity: {Label: CRITICAL}}}]
bus_rules:
  - {name: broken, channels: [hook], pattern: {source: aws.securityhub}}
  - name: production
    channels: [hook]
    pattern: {source: [aws.securityhub], detail: {findings: {AwsAccountId: ["` + prod + `"]}}}
  - {name: exceptions, channels: [hook], pattern: {source: [parry], detail-type: [{prefix: Parry Exception}]}}
  - name: on-request
    channels: [hook]
    playbooks: [S3.8]
    pattern: {detail-type: [Security Hub Findings - Custom Action], resources: ["arn:aws:securityhub:us-east-1:` + hubAccount + `:action/custom/Fix"]}
event_targets: ["arn:aws:sqs:us-east-1:` + hubAccount + `:listed"]
webhooks: {hosts: [127.0.0.1], allow_private: true}
channels:
  - {name: hook, kind: webhook, url: %q, secret_env: FRONT_HOOK_SECRET}
`

// onBoth tells a story on a server of each database, name being that of PostgreSQL's.
func onBoth(t *testing.T, name string, story func(t *testing.T, s *server, python string)) {
	t.Helper()
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds and starts a server; run without -short")
	}
	python := envtest.Needs(t)
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		story(t, start(t, ""), python)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		url, err := envtest.Postgres(t).CreateDatabase(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		story(t, start(t, url), python)
	})
}

// start starts a server on an empty database ("" is SQLite) with keys for
// everybody and, in the store, remediations that no AWS was needed for.
func start(t *testing.T, database string) *server {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address := freeAddress(t)
	s := &server{url: "http://" + address, keys: map[string]key{}, log: &buffer{}, hook: newHook(t)}
	file := filepath.Join(dir, "parry.yaml")
	text := fmt.Sprintf(configuration, filepath.Join(dir, "data"), address, database, s.hook.url)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.data = filepath.Join(dir, "data")
	s.seed(t, file)
	s.serve(t, path, file)
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// grants are the keys of everybody, by name.
func grants() map[string]auth.Grant {
	all := []string{auth.All}
	return map[string]auth.Grant{
		"admin": {Roles: []string{"admin"}, Accounts: all}, "operator": {Roles: []string{"operator"}, Accounts: all},
		"approver": {Roles: []string{"approver"}, Accounts: all}, "reader": {Roles: []string{"reader"}, Accounts: all},
		"dev-reader": {Roles: []string{"reader"}, Accounts: []string{dev}}, "dev-operator": {Roles: []string{"operator"}, Accounts: []string{dev}},
		"dev-approver": {Roles: []string{"approver"}, Accounts: []string{dev}}, "revoked": {Roles: []string{"admin"}, Accounts: all},
		"source":     {Roles: []string{"source"}, Accounts: []string{dev, prod}, Products: []string{"aws/securityhub"}},
		"scanner":    {Roles: []string{"source"}, Accounts: []string{hubAccount}, Products: []string{auth.All}},
		"walker":     {Roles: []string{"admin"}, Accounts: all, Products: []string{auth.All}},
		"dev-source": {Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"aws/securityhub"}},
	}
}

// issue puts the keys into the store.
func (s *server) issue(t *testing.T, db *store.Store) {
	t.Helper()
	for name, grant := range grants() {
		grant.Name = name
		k, err := auth.NewKey(grant, rand.Reader, db.Clock().Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PutKey(t.Context(), k, store.Effects{}); err != nil {
			t.Fatal(err)
		}
		s.keys[name] = key{k.AccessKeyID, k.Secret.Reveal()}
	}
	if err := db.RevokeKey(t.Context(), s.keys["revoked"].ID, store.Effects{}); err != nil {
		t.Fatal(err)
	}
}

// seed puts keys, and for each account a remediation that awaits approval and
// one that is verified, into the store.
func (s *server) seed(t *testing.T, file string) {
	t.Helper()
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	clock := service.SystemClock{}
	db, _, err := app.OpenStore(t.Context(), cfg, clock)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s.issue(t, db)
	now := clock.Now().UTC().Truncate(time.Microsecond)
	for name, account := range map[string]string{"dev": dev, "prod": prod} {
		for _, state := range []remediation.State{remediation.AwaitingApproval, remediation.Verified} {
			r := remediation.Remediation{
				ID: remediation.ID("rem_" + name + "_" + string(state)), Kind: remediation.KindFix, Finding: finding.ID{ProductArn: product, Id: "seed-" + name},
				Control: "S3.8", Playbook: "S3.8", Runbook: "Parry-BlockS3BucketPublicAccess", Account: account, Region: "us-east-1",
				Resource: "arn:aws:s3:::seed-" + name, State: state, RequestedBy: "test", CreatedAt: now, UpdatedAt: now,
			}
			p := remediation.Plan{
				Remediation: r.ID, Kind: r.Kind, Finding: r.Finding, Control: r.Control, Playbook: r.Playbook, Account: account,
				Region: r.Region, Resource: r.Resource, Role: "ParryMemberRole", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
			}
			if r.PlanHash, err = p.Hash(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(
				db.CreateRemediation(t.Context(), r, &p, store.Effects{}),
				db.CreateApproval(t.Context(), remediation.Approval{
					ID: "appr_" + name + "_" + string(state), Remediation: r.ID, Plan: r.PlanHash, Account: account, State: approvalOf(state),
					Policy: "default", Quorum: 1, CreatedAt: now, ExpiresAt: now.Add(time.Hour),
				}, nil, store.Effects{}),
			); err != nil {
				t.Fatal(err)
			}
			if name == "prod" && state == remediation.AwaitingApproval {
				s.plan = r.PlanHash
			}
		}
	}
}

// serve starts the process and waits until it answers.
func (s *server) serve(t *testing.T, path, file string) {
	t.Helper()
	cmd := exec.Command(path, "serve", "--config", file) //nolint:noctx // the clean-up ends it
	cmd.Stderr, cmd.Stdout = s.log, s.log
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=nothing",
		"AWS_EC2_METADATA_DISABLED=true", "FRONT_HOOK_SECRET="+hookSecret)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Error("the server did not end")
			<-done
		}
		if t.Failed() {
			t.Logf("its log:\n%s", s.log)
		}
		if strings.Contains(s.log.String(), "panic") {
			t.Errorf("the server panicked:\n%s", s.log)
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for !s.healthy(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer:\n%s", s.log)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *server) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/health", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = res.Body.Close()
	return res.StatusCode == http.StatusOK
}
