package sigv4_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	keyID  = "PARRYAAAAAAAAAAAAAAA"
	secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCD"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type keyring struct{ err error }

func (k keyring) Find(_ context.Context, id string) (auth.Principal, store.Secret, error) {
	switch {
	case k.err != nil:
		return auth.Principal{}, "", k.err
	case id != keyID:
		return auth.Principal{}, "", fault.Errorf(fault.NotFound, "find key", "none")
	}
	return auth.Principal{Name: "ada", KeyID: id}, secret, nil
}

type signatures struct {
	mu   sync.Mutex
	seen map[string]time.Time
	err  error
}

func (s *signatures) SeenSignature(_ context.Context, sig string, until time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return true, s.err
	}
	_, ok := s.seen[sig]
	s.seen[sig] = until
	return ok, nil
}

type bench struct {
	verifier *sigv4.Verifier
	clock    *service.FixedClock
	seen     *signatures
}

func setup(t *testing.T, change ...func(*sigv4.Config)) bench {
	t.Helper()
	b := bench{clock: service.NewFixedClock(noon), seen: &signatures{seen: map[string]time.Time{}}}
	cfg := sigv4.Config{Keys: keyring{}, Signatures: b.seen, Clock: b.clock}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	if b.verifier, err = sigv4.New(cfg); err != nil {
		t.Fatal(err)
	}
	return b
}

// verify does what the front does with a request.
func (b bench) verify(r *http.Request, limit int64) (*sigv4.Identity, *sigv4.Failure) {
	a, f := sigv4.ParseAuthorization(r.Header.Get("Authorization"))
	if f != nil {
		return nil, f
	}
	return b.verifier.Verify(r, a, limit)
}

// signed gives a request as AWS's own signer signs it, as the server sees it.
func signed(t *testing.T, method, target, body string, at time.Time, headers ...string) *http.Request {
	t.Helper()
	out, err := http.NewRequestWithContext(t.Context(), method, "http://parry.test"+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		out.Header.Add(headers[i], headers[i+1])
	}
	sum := sha256.Sum256([]byte(body))
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, out,
		hex.EncodeToString(sum[:]), "securityhub", "eu-central-1", at)
	if err != nil {
		t.Fatal(err)
	}
	in := httptest.NewRequestWithContext(t.Context(), method, out.URL.RequestURI(), strings.NewReader(body))
	in.Host = out.Host
	in.Header = out.Header.Clone()
	return in
}

func TestVerifyAcceptsWhatTheSDKSigns(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*http.Request{
		"body":           signed(t, "POST", "/findings", `{"MaxResults":3}`, noon, "Content-Type", "application/json"),
		"no body":        signed(t, "GET", "/accounts", "", noon),
		"root":           signed(t, "POST", "/", "Action=GetCallerIdentity", noon),
		"query":          signed(t, "GET", "/accounts?b=2&a=1&a=%20x&HubArn=arn%3Aaws%3Ahub%2Fdefault&empty", "", noon),
		"encoded path":   signed(t, "GET", "/v1/findings/a%2Fb%20c~d", "", noon),
		"spaced header":  signed(t, "GET", "/accounts", "", noon, "X-Amz-Meta-Note", "  a   b  "),
		"header twice":   signed(t, "GET", "/accounts", "", noon, "X-Amz-Meta-Note", "b", "X-Amz-Meta-Note", "a"),
		"five min. old":  signed(t, "GET", "/accounts", "", noon.Add(-5*time.Minute)),
		"five min. fast": signed(t, "GET", "/accounts", "", noon.Add(5*time.Minute)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, f := setup(t).verify(r, 1000)
			if f != nil {
				t.Fatal(f)
			}
			defer id.Release()
			if diff := cmp.Diff([]string{"ada", keyID, "eu-central-1", "securityhub"}, []string{id.Principal.Name, id.Principal.KeyID, id.Region, id.Service}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	type change func(*http.Request)
	header := func(name, value string) change { return func(r *http.Request) { r.Header.Set(name, value) } }
	edit := func(from, to string) change {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
		}
	}
	target := func(s string) change {
		return func(r *http.Request) {
			in := httptest.NewRequestWithContext(r.Context(), r.Method, s, nil)
			r.URL, r.RequestURI = in.URL, in.RequestURI
		}
	}
	for name, c := range map[string]struct {
		change change
		kind   sigv4.Kind
		says   string
	}{
		"another method":     {func(r *http.Request) { r.Method = "PUT" }, sigv4.Mismatch, "The request signature we calculated does not match"},
		"another path":       {target("/findings/import"), sigv4.Mismatch, "does not match"},
		"another query":      {target("/findings?x=1"), sigv4.Mismatch, "does not match"},
		"another host":       {func(r *http.Request) { r.Host = "evil.test" }, sigv4.Mismatch, "does not match"},
		"another body":       {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("xxxxxxxxxx")) }, sigv4.Mismatch, "does not match"},
		"another type":       {header("Content-Type", "text/plain"), sigv4.Mismatch, "does not match"},
		"another length":     {func(r *http.Request) { r.ContentLength = 9 }, sigv4.Mismatch, "does not match"},
		"header added twice": {func(r *http.Request) { r.Header.Add("Content-Type", "x") }, sigv4.Mismatch, "does not match"},
		"signed header gone": {func(r *http.Request) { r.Header.Del("Content-Type") }, sigv4.Mismatch, "'content-type' is not in the request"},
		"another signature":  {edit("Signature=", "Signature="+strings.Repeat("0", 64)+"x"), sigv4.Incomplete, "64 lower-case"},
		"unknown key":        {edit(keyID, "AKIAIOSFODNN7EXAMPLE"), sigv4.UnknownKey, "The security token included in the request is invalid."},
		"another region":     {edit("eu-central-1", "eu-west-1"), sigv4.Mismatch, "does not match"},
		"another day":        {edit("20261123", "20261122"), sigv4.Mismatch, "'20261122' != '20261123', from '20261123T120000Z'"},
		"another time":       {header("X-Amz-Date", "20261123T120001Z"), sigv4.Mismatch, "does not match"},
		"no date":            {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, sigv4.Incomplete, "requires existence of either"},
		"two dates":          {func(r *http.Request) { r.Header.Add("X-Amz-Date", "20261123T120000Z") }, sigv4.Incomplete, "twice"},
		"date is none":       {header("X-Amz-Date", "yesterday"), sigv4.Incomplete, "ISO-8601"},
		"date unsigned":      {edit(";x-amz-date", ""), sigv4.Mismatch, "'X-Amz-Date' must be"},
		"host unsigned":      {edit("host;", ""), sigv4.Mismatch, "'Host'"},
		"unsigned amz":       {header("X-Amz-Target", "x"), sigv4.Mismatch, "not signed: 'x-amz-target'"},
		"session token": {func(r *http.Request) {
			r.Header.Set("X-Amz-Security-Token", "x")
			edit("x-amz-date", "x-amz-date;x-amz-security-token")(r)
		}, sigv4.UnknownKey, "no session token"},
		"unsigned payload": {func(r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			edit("host;", "host;x-amz-content-sha256;")(r)
		}, sigv4.Mismatch, "The payload must be signed"},
		"dots in the path":   {target("/a/../findings"), sigv4.Malformed, "The path"},
		"encoded dots":       {target("/a/%2e%2e/findings"), sigv4.Malformed, "The path"},
		"empty path part":    {target("//findings"), sigv4.Malformed, "The path"},
		"query is broken":    {target("/findings?a=%zz"), sigv4.Malformed, "The query string"},
		"semicolon in query": {target("/findings?a=1;b=2"), sigv4.Malformed, "The query string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := signed(t, "POST", "/findings", "0123456789", noon, "Content-Type", "application/json")
			c.change(r)
			_, f := setup(t).verify(r, 1000)
			if f == nil {
				t.Fatal("the request was let through")
			}
			if f.Kind != c.kind || !strings.Contains(f.Message, c.says) {
				t.Errorf("want %s %q, got %s %q", c.kind, c.says, f.Kind, f.Message)
			}
		})
	}
}

func TestVerifyHoldsTheClock(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   time.Time
		says string
	}{
		"old":  {noon.Add(-5*time.Minute - time.Second), "Signature expired: 20261123T115459Z is now earlier than 20261123T115500Z (20261123T120000Z - 5 min.)"},
		"fast": {noon.Add(5*time.Minute + time.Second), "Signature not yet current: 20261123T120501Z is still later than 20261123T120500Z (20261123T120000Z + 5 min.)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f := setup(t).verify(signed(t, "GET", "/accounts", "", c.at), 1000)
			if f == nil || f.Kind != sigv4.Skewed || f.Message != c.says {
				t.Errorf("want %q, got %v", c.says, f)
			}
		})
	}
}

func TestVerifyBoundsTheBody(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 1001)
	t.Run("announced", func(t *testing.T) {
		t.Parallel()
		if _, f := setup(t).verify(signed(t, "POST", "/", body, noon), 1000); f == nil || f.Kind != sigv4.TooLarge || f.Status() != 413 {
			t.Errorf("got %v", f)
		}
	})
	t.Run("not announced", func(t *testing.T) {
		t.Parallel()
		r := signed(t, "POST", "/", body, noon)
		read := &counter{Reader: io.MultiReader(strings.NewReader(body), bytes.NewReader(make([]byte, 1<<20)))}
		r.Body, r.ContentLength = io.NopCloser(read), -1
		if _, f := setup(t).verify(r, 1000); f == nil || f.Kind != sigv4.TooLarge {
			t.Errorf("got %v", f)
		}
		if read.n > 6000 {
			t.Errorf("read %d bytes of a body that is refused", read.n)
		}
	})
	t.Run("unknown key reads nothing", func(t *testing.T) {
		t.Parallel()
		r := signed(t, "POST", "/", body, noon)
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), keyID, "AKIAIOSFODNN7EXAMPLE", 1))
		read := &counter{Reader: strings.NewReader(body)}
		r.Body = io.NopCloser(read)
		if _, f := setup(t).verify(r, 1000); f == nil || f.Kind != sigv4.UnknownKey || read.n != 0 {
			t.Errorf("got %v after %d bytes", f, read.n)
		}
	})
	t.Run("all together", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *sigv4.Config) { c.InFlight = 1500 })
		first, f := b.verify(signed(t, "POST", "/", body[:1000], noon), 1000)
		if f != nil {
			t.Fatal(f)
		}
		if _, f := b.verify(signed(t, "POST", "/", body[:1000], noon), 1000); f == nil || f.Kind != sigv4.Busy || !f.Again() {
			t.Errorf("got %v", f)
		}
		first.Release()
		if _, f := b.verify(signed(t, "POST", "/", body[:1000], noon), 1000); f != nil {
			t.Errorf("after release: %v", f)
		}
	})
}

type counter struct {
	io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestOnceIsOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := signed(t, "POST", "/findings/import", "{}", noon.Add(-time.Minute))
	for i := range 3 {
		id, f := b.verify(r.Clone(r.Context()), 1000)
		if i > 0 {
			r.Body = io.NopCloser(strings.NewReader("{}"))
			id, f = b.verify(r.Clone(r.Context()), 1000)
		}
		if f != nil {
			t.Fatal(f)
		}
		f = b.verifier.Once(t.Context(), id)
		if i == 0 && f != nil || i > 0 && (f == nil || f.Kind != sigv4.Replayed || f.Status() != 429) {
			t.Errorf("request %d: %v", i, f)
		}
	}
	for _, until := range b.seen.seen {
		if end := noon.Add(-time.Minute + 5*time.Minute); !until.After(end) {
			t.Errorf("forgotten at %s, valid until %s", until, end)
		}
	}
}

// TestNothingFromBeforeARestorePasses: what was signed before may have been accepted in
// the database that is gone.
func TestNothingFromBeforeARestorePasses(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *sigv4.Config) { cfg.NotBefore = noon.Add(-time.Minute + 500*time.Millisecond) })
	for signedAt, passes := range map[time.Time]bool{noon.Add(-2 * time.Minute): false, noon.Add(-time.Minute): false, noon.Add(-59 * time.Second): true} {
		id, f := b.verify(signed(t, "POST", "/findings/import", "{}", signedAt), 1000)
		if f != nil {
			t.Fatal(f)
		}
		f = b.verifier.Once(t.Context(), id)
		if passes != (f == nil) || f != nil && (f.Kind != sigv4.Replayed || !strings.Contains(f.Message, "restored from a backup")) {
			t.Errorf("signed at %s: %v", signedAt, f)
		}
		id.Release()
	}
}

func TestNothingPassesWhenTheStoreIsGone(t *testing.T) {
	t.Parallel()
	t.Run("keys", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *sigv4.Config) { c.Keys = keyring{errors.New("disk is gone")} })
		_, f := b.verify(signed(t, "GET", "/", "", noon), 1000)
		if f == nil || f.Kind != sigv4.Unavailable || strings.Contains(f.Message, "disk") {
			t.Errorf("got %v", f)
		}
	})
	t.Run("signatures", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.seen.err = errors.New("disk is gone")
		id, f := b.verify(signed(t, "POST", "/", "", noon), 1000)
		if f != nil {
			t.Fatal(f)
		}
		if f := b.verifier.Once(t.Context(), id); f == nil || f.Kind != sigv4.Unavailable {
			t.Errorf("got %v", f)
		}
	})
}
