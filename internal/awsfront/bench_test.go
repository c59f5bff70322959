package awsfront_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/awsfront/sts"
	"github.com/parry-security/parry/internal/control"
	"github.com/parry-security/parry/internal/fault"
	ingesthttp "github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/normalize/asff"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

const (
	hubAccount = "111111111111"
	dev        = "222222222222"
	prod       = "333333333333"
)

// vault is a store of keys, signatures, inbox and findings in memory.
type vault struct {
	mu       sync.Mutex
	keys     map[string]store.Key
	seen     map[string]bool
	inbox    []store.InboxItem
	queries  []securityhub.Query
	updates  []triage.UpdateRequest
	scopes   [][]string
	failWith error
}

// ControlCounts has a finding of one standard in each account of the scope.
func (v *vault) ControlCounts(_ context.Context, q store.ControlQuery, yield func(control.Count) error) error {
	v.mu.Lock()
	v.scopes = append(v.scopes, q.Accounts)
	v.mu.Unlock()
	for range q.Accounts {
		if err := yield(control.Count{Control: "S3.8", Set: "cis-5.0", State: control.Failed, N: 1}); err != nil {
			return err
		}
	}
	return v.failWith
}

func (v *vault) Key(_ context.Context, id string) (store.Key, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.keys[id]
	if !ok {
		return k, fault.E(fault.NotFound, "read key", store.ErrNotFound)
	}
	return k, nil
}

func (v *vault) SeenSignature(_ context.Context, sig string, _ time.Time) (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	seen := v.seen[sig]
	v.seen[sig] = true
	return seen, nil
}

func (v *vault) AppendInbox(_ context.Context, items []store.InboxItem) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failWith != nil {
		return v.failWith
	}
	v.inbox = append(v.inbox, items...)
	return nil
}

// QueryFindings gives what is in the inbox and in scope.
func (v *vault) QueryFindings(_ context.Context, q securityhub.Query) (securityhub.Page, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.queries = append(v.queries, q)
	var page securityhub.Page
	for _, item := range v.inbox {
		var doc struct{ AwsAccountId string }
		if err := json.Unmarshal(item.Finding, &doc); err != nil {
			return page, err
		}
		if slices.Contains(q.Accounts, auth.All) || slices.Contains(q.Accounts, doc.AwsAccountId) {
			page.Findings = append(page.Findings, item.Finding)
		}
	}
	return page, nil
}

func (v *vault) Update(_ context.Context, req triage.UpdateRequest, _ string, accounts []string) (triage.UpdateResult, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.updates, v.scopes = append(v.updates, req), append(v.scopes, accounts)
	return triage.UpdateResult{Processed: req.Identifiers, Unprocessed: []triage.Unprocessed{}}, nil
}

func (v *vault) stored() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.inbox)
}

func (v *vault) updated() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.updates)
}

type bench struct {
	*vault
	url     string
	handler http.Handler
	log     *bytes.Buffer
	keys    map[string]store.Key // by name
}

// setup makes a front with real intake behind it and these keys: admin (all
// accounts), dev (a source for the dev account), reader (dev), none (no role).
func setup(t *testing.T) bench {
	t.Helper()
	v := &vault{keys: map[string]store.Key{}, seen: map[string]bool{}}
	b := bench{vault: v, keys: map[string]store.Key{}, log: &bytes.Buffer{}}
	for i, g := range []auth.Grant{
		{Name: "admin", Roles: []string{"admin"}, Accounts: []string{"*"}, Products: []string{"*"}, Trusted: true},
		{Name: "dev", Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"aws/securityhub"}},
		{Name: "reader", Roles: []string{"reader"}, Accounts: []string{dev}},
		{Name: "revoked", Roles: []string{"admin"}, Accounts: []string{"*"}},
	} {
		k, err := auth.NewKey(g, strings.NewReader(strings.Repeat(string(rune('a'+i))+"bcdefghij", 20)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if g.Name == "revoked" {
			k.RevokedAt = time.Now()
		}
		v.keys[k.AccessKeyID], b.keys[g.Name] = k, k
	}
	intake, err := ingesthttp.New(ingesthttp.Config{Inbox: v, Normalizer: asff.Normalizer{}})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := securityhub.New(securityhub.Config{Importer: intake, Updater: v, Finder: v, Controls: v, Account: hubAccount, Since: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	identity, err := sts.New(sts.Config{Account: hubAccount})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := auth.NewKeyring(v)
	if err != nil {
		t.Fatal(err)
	}
	b.handler, err = awsfront.New(awsfront.Config{
		Keys: ring, Signatures: v, Services: map[string]awsfront.Service{"securityhub": hub, "sts": identity}, Clock: service.SystemClock{},
		Logger: slog.New(slog.NewTextHandler(&locked{w: b.log}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(b.handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// request signs for service with the key called name.
func (b bench) request(t *testing.T, name, svc, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(body))
	k := b.keys[name]
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.Secret.Reveal()}, r,
		hex.EncodeToString(sum[:]), svc, "eu-central-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(raw)}
}

// exampleFinding is a valid finding of Security Hub for account.
func exampleFinding(id, account string) map[string]any {
	return map[string]any{
		"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": "arn:aws:securityhub:eu-central-1::product/aws/securityhub",
		"GeneratorId": "security-control/S3.8", "AwsAccountId": account, "Types": []string{"Software and Configuration Checks"},
		"CreatedAt": "2026-11-01T00:00:00Z", "UpdatedAt": "2026-11-01T00:00:00Z", "Severity": map[string]any{"Label": "HIGH"},
		"Title": "S3 general purpose buckets should block public access", "Description": "A bucket is open.",
		"Resources":  []any{map[string]any{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::bucket", "Partition": "aws", "Region": "eu-central-1"}},
		"Compliance": map[string]any{"Status": "FAILED", "SecurityControlId": "S3.8"}, "Workflow": map[string]any{"Status": "NEW"}, "RecordState": "ACTIVE",
	}
}

func batch(t *testing.T, findings ...any) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"Findings": findings})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func many(n int, account string) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = exampleFinding("f-"+strings.Repeat("x", i+1), account)
	}
	return out
}
