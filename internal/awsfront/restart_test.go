package awsfront_test

import (
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
	ingesthttp "github.com/parry-security/parry/internal/ingest/http"
	"github.com/parry-security/parry/internal/normalize/asff"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

// TestAReplayIsRefusedAfterARestart: keys and signatures outlive the process.
func TestAReplayIsRefusedAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open := func() *store.Store {
		sealer, err := seal.Open(filepath.Join(dir, "data.key"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Sealer: sealer, Clock: service.SystemClock{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	}
	serve := func(s *store.Store) *httptest.Server {
		intake, err := ingesthttp.New(ingesthttp.Config{Inbox: s, Normalizer: asff.Normalizer{}})
		if err != nil {
			t.Fatal(err)
		}
		hub, err := securityhub.New(securityhub.Config{Importer: intake, Updater: &vault{}, Finder: &vault{}, Controls: &vault{}, Account: hubAccount})
		if err != nil {
			t.Fatal(err)
		}
		ring, err := auth.NewKeyring(s)
		if err != nil {
			t.Fatal(err)
		}
		front, err := awsfront.New(awsfront.Config{Keys: ring, Signatures: s, Services: map[string]awsfront.Service{"securityhub": hub}})
		if err != nil {
			t.Fatal(err)
		}
		return httptest.NewServer(front)
	}
	first := open()
	key, err := auth.NewKey(auth.Grant{Name: "dev", Roles: []string{"source"}, Accounts: []string{dev}, Products: []string{"*"}}, strings.NewReader(strings.Repeat("abcdefghij", 20)), first.Clock().Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.PutKey(t.Context(), key, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	server := serve(first)
	b := bench{url: server.URL, keys: map[string]store.Key{"dev": key}}
	request := b.request(t, "dev", "securityhub", "POST", "/findings/import", batch(t, exampleFinding("a", dev)))
	if a := send(t, request); a.status != 200 {
		t.Fatal(a)
	}
	server.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := open()
	t.Cleanup(func() { _ = second.Close() })
	server = serve(second)
	t.Cleanup(server.Close)
	// The same bytes, to the same host name as was signed, at the new port.
	again := request.Clone(t.Context())
	again.Host = request.URL.Host
	again.URL.Host = strings.TrimPrefix(server.URL, "http://")
	if again.Body, err = request.GetBody(); err != nil {
		t.Fatal(err)
	}
	if a := send(t, again); a.status != 429 || !strings.Contains(a.body, "accepted already") {
		t.Errorf("after a restart: %v", a)
	}
	if n, err := second.InboxDepth(t.Context()); err != nil || n != 1 {
		t.Errorf("%d findings in the inbox, %v", n, err)
	}
}
