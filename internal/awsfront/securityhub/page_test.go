package securityhub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/securityhub"
)

// library gives the same page whatever is asked.
type library struct {
	stages
	page securityhub.Page
}

func (l library) QueryFindings(context.Context, securityhub.Query) (securityhub.Page, error) {
	return l.page, nil
}

func (l library) QueryFindingsV2(context.Context, securityhub.Query) (securityhub.Page, error) {
	return l.page, nil
}

func librarian(t testing.TB, page securityhub.Page) *securityhub.Handler {
	t.Helper()
	l := library{page: page}
	h, err := securityhub.New(securityhub.Config{Importer: l, Updater: l, Finder: l, FinderV2: l, Account: "999988887777"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A page's answer is what encoding/json makes of it, to the byte, and says its length.
func TestPagesAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	t.Parallel()
	doc := json.RawMessage(`{"Id":"a","Title":"<b> & \u2028 \"é\"","Note":{"Text":" "},"n":1.50}`)
	reader := auth.Principal{Name: "a", Roles: []auth.Role{auth.RoleReader}, Accounts: []string{auth.All}}
	for name, page := range map[string]securityhub.Page{
		"empty":        {},
		"one":          {Findings: []json.RawMessage{doc}},
		"several":      {Findings: []json.RawMessage{doc, json.RawMessage(`{}`), doc}, Next: "token_-="},
		"odd token":    {Findings: []json.RawMessage{doc}, Next: "\"\n"},
		"no document":  {Findings: []json.RawMessage{nil}},
		"many":         {Findings: bytesOf(100, 30_000), Next: "x"},
		"after a many": {Findings: []json.RawMessage{doc}},
	} {
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(struct {
			Findings  []json.RawMessage
			NextToken string `json:",omitempty"`
		}{append([]json.RawMessage{}, page.Findings...), page.Next}); err != nil {
			t.Fatal(err)
		}
		released := 0
		page.Release = func() { released++ }
		h := librarian(t, page)
		for _, path := range []string{"/findings", "/findingsv2"} {
			released = 0
			w := serve(t.Context(), h, "POST", path, "{}", reader)
			if got := w.Body.String(); w.Code != http.StatusOK || got != strings.TrimSuffix(want.String(), "\n") || !json.Valid([]byte(got)) {
				t.Errorf("%s of %s: %d, %d bytes %.300s, want %d bytes %.300s", path, name, w.Code, len(got), got, want.Len()-1, want.String())
			}
			if length := w.Header().Get("Content-Length"); length != strconv.Itoa(w.Body.Len()) || released != 1 {
				t.Errorf("%s of %s: Content-Length %q for %d bytes, released %d times", path, name, length, w.Body.Len(), released)
			}
		}
	}
}

func bytesOf(n, size int) []json.RawMessage {
	out := make([]json.RawMessage, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"Id":"%d","Description":"%s"}`, i, strings.Repeat("x", size))
	}
	return out
}

// nowhere takes an answer and keeps nothing of it.
type nowhere struct {
	io.Writer
	header http.Header
}

func (n nowhere) Header() http.Header { return n.header }

func (nowhere) WriteHeader(int) {}

// BenchmarkWritePage answers GetFindings with 50 documents of 4 KB, without reading them
// from anywhere: what is left is the request and writing the answer.
func BenchmarkWritePage(b *testing.B) {
	h := librarian(b, securityhub.Page{Findings: bytesOf(50, 4000), Next: "token"})
	reader := auth.Principal{Name: "a", Roles: []auth.Role{auth.RoleReader}, Accounts: []string{auth.All}}
	ctx := auth.WithPrincipal(b.Context(), reader)
	b.ReportAllocs()
	b.SetBytes(50 * 4000)
	for b.Loop() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://parry/findings", strings.NewReader("{}"))
		if err != nil {
			b.Fatal(err)
		}
		h.ServeHTTP(nowhere{io.Discard, http.Header{}}, r)
	}
}
