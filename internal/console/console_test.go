package console_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/parry-security/parry/internal/console"
)

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func ask(t *testing.T, h *console.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
	r.URL.Path = path
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestFilesAreServedInTheFormThatIsTaken(t *testing.T) {
	t.Parallel()
	h, err := console.From(fstest.MapFS{
		"index.html": {Data: []byte("page")}, "favicon.svg": {Data: []byte("<svg/>")},
		"assets/a-1.js": {Data: []byte("plain script")}, "assets/a-1.js.br": {Data: []byte("brotli")}, "assets/a-1.js.gz": {Data: zip(t, "plain script")},
		"assets/b-2.css.gz": {Data: zip(t, "plain style")}, ".gitignore": {Data: []byte("*")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, takes, encoding, kind, body string
	}{
		"brotli":          {"/assets/a-1.js", "gzip, deflate, br", "br", "text/javascript; charset=utf-8", "brotli"},
		"brotli refused":  {"/assets/a-1.js", "br;q=0, identity", "", "text/javascript; charset=utf-8", "plain script"},
		"gzip":            {"/assets/a-1.js", "GZIP;q=0.5", "gzip", "text/javascript; charset=utf-8", ""},
		"nothing taken":   {"/assets/a-1.js", "", "", "text/javascript; charset=utf-8", "plain script"},
		"packed only":     {"/assets/b-2.css", "", "", "text/css; charset=utf-8", "plain style"},
		"page":            {"/findings/x", "br", "", "text/html; charset=utf-8", "page"},
		"file beside":     {"/favicon.svg", "", "", "image/svg+xml", "<svg/>"},
		"hidden":          {"/.gitignore", "", "", "text/plain; charset=utf-8", "there is no such file\n"},
		"a packed name":   {"/assets/a-1.js.br", "", "", "text/plain; charset=utf-8", "there is no such file\n"},
		"out of the tree": {"/assets/../../console.go", "", "", "text/plain; charset=utf-8", "there is no such file\n"},
	} {
		w := ask(t, h, http.MethodGet, c.path, "Accept-Encoding", c.takes)
		if w.Header().Get("Content-Encoding") != c.encoding || w.Header().Get("Content-Type") != c.kind || c.body != "" && w.Body.String() != c.body {
			t.Errorf("%s: %v %q", name, w.Header(), w.Body)
		}
	}
	first := ask(t, h, http.MethodGet, "/assets/a-1.js")
	if first.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || ask(t, h, http.MethodGet, "/").Header().Get("Cache-Control") != "no-cache" {
		t.Errorf("%v", first.Header())
	}
	if w := ask(t, h, http.MethodGet, "/assets/a-1.js", "If-None-Match", first.Header().Get("ETag")); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("again: %d %q", w.Code, w.Body)
	}
	if w := ask(t, h, http.MethodHead, "/"); w.Code != http.StatusOK || w.Body.Len() > 0 {
		t.Errorf("head: %d %q", w.Code, w.Body)
	}
}

func TestWithoutPages(t *testing.T) {
	t.Parallel()
	h, err := console.From(fstest.MapFS{".gitignore": {Data: []byte("*")}})
	if err != nil {
		t.Fatal(err)
	}
	w := ask(t, h, http.MethodGet, "/findings")
	if h.Built() || w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make build") || !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if _, err := console.From(fstest.MapFS{"a.js.br": {Data: []byte("x")}}); err == nil {
		t.Error("a file that few could read was taken")
	}
}

func TestTheEmbeddedPagesCanBeServed(t *testing.T) {
	t.Parallel()
	if _, err := console.New(); err != nil {
		t.Fatal(err)
	}
}
