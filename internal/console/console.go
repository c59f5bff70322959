package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// dist is empty but for one file in a fresh clone.
//
//go:embed all:dist
var dist embed.FS

const (
	// policy is what a page may do.
	policy = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	permissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

	index = "index.html"
	// assets have the hash of their content in their names.
	assets = "/assets/"
)

// missing is the page of a binary without pages.
const missing = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Parry</title></head>
<body>
<main>
<h1>This binary has no console</h1>
<p>It was built without the pages. Build it with them, which needs Node 20 or newer:</p>
<pre>make build</pre>
<p>The command line and the APIs work as ever: <code>parry --help</code>.</p>
</main>
</body>
</html>
`

// file is what is served at a path, in each encoding that there is.
type file struct {
	kind            string // media type
	plain, gzip, br []byte
	tag             string // entity tag without the encoding
}

// Handler serves the pages.
type Handler struct{ files map[string]*file }

// New makes a handler of the pages in the binary.
func New() (*Handler, error) {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		return nil, fault.E(fault.Internal, "open the console", err)
	}
	return From(sub)
}

// From makes a handler of the files of a folder: each as it is, and beside it
// compressed as .br and .gz, or as .gz alone. Names that begin with a dot are not
// served.
func From(folder fs.FS) (*Handler, error) {
	h := &Handler{files: map[string]*file{}}
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		raw, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		h.add("/"+name, raw)
		return nil
	})
	if err != nil {
		return nil, fault.E(fault.Internal, "read the console", err)
	}
	for name, f := range h.files {
		if err := f.complete(name); err != nil {
			return nil, fault.E(fault.Internal, "read the console", err)
		}
	}
	return h, nil
}

func (h *Handler) add(name string, raw []byte) {
	base, put := name, func(f *file) { f.plain = raw }
	switch path.Ext(name) {
	case ".br":
		base, put = strings.TrimSuffix(name, ".br"), func(f *file) { f.br = raw }
	case ".gz":
		base, put = strings.TrimSuffix(name, ".gz"), func(f *file) { f.gzip = raw }
	}
	f := h.files[base]
	if f == nil {
		f = &file{}
		h.files[base] = f
	}
	put(f)
}

// complete fills in what follows from what there is.
func (f *file) complete(name string) error {
	if f.plain == nil {
		if f.gzip == nil {
			return fmt.Errorf("%s is there as .br only", name)
		}
		r, err := gzip.NewReader(bytes.NewReader(f.gzip))
		if err != nil {
			return fmt.Errorf("%s.gz: %w", name, err)
		}
		if f.plain, err = io.ReadAll(r); err != nil {
			return fmt.Errorf("%s.gz: %w", name, err)
		}
	}
	sum := sha256.Sum256(f.plain)
	f.tag = hex.EncodeToString(sum[:8])
	f.kind = kindOf(name)
	return nil
}

// kindOf gives a media type from a table of ours: the system's may say anything.
func kindOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	case ".svg", ".png", ".ico":
		return mime.TypeByExtension(ext)
	}
	return "application/octet-stream"
}

// Built reports whether the binary has pages.
func (h *Handler) Built() bool { return h.files["/"+index] != nil }

// Serves reports whether r asks for a page or a file of one.
func (h *Handler) Serves(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	if strings.HasPrefix(r.URL.Path, assets) {
		return true
	}
	if f := h.files[r.URL.Path]; f != nil && r.URL.Path != "/"+index {
		return true
	}
	return page(r)
}

// page reports whether r is somebody who opens an address in a browser.
func page(r *http.Request) bool {
	return strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html")
}

// ServeHTTP answers with a file, or with the page that finds its way by the address.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("Content-Security-Policy", policy)
	head.Set("Permissions-Policy", permissions)
	head.Set("Vary", "Accept, Accept-Encoding")
	if f := h.files[r.URL.Path]; f != nil && r.URL.Path != "/"+index {
		if strings.HasPrefix(r.URL.Path, assets) {
			head.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			head.Set("Cache-Control", "no-cache")
		}
		f.serve(w, r)
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, assets) || path.Ext(r.URL.Path) != "" && !page(r):
		head.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "there is no such file\n") // A client that is gone needs no answer.
	case h.Built():
		head.Set("Cache-Control", "no-cache")
		h.files["/"+index].serve(w, r)
	default:
		head.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		if r.Method != http.MethodHead {
			_, _ = io.WriteString(w, missing)
		}
	}
}

// serve answers with the smallest form that the client takes.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	body, tag := f.plain, f.tag
	for _, form := range []struct {
		name string
		body []byte
	}{{"br", f.br}, {"gzip", f.gzip}} {
		if form.body != nil && takes(r, form.name) {
			body, tag = form.body, f.tag+"-"+form.name
			w.Header().Set("Content-Encoding", form.name)
			break
		}
	}
	tag = `"` + tag + `"`
	w.Header().Set("Content-Type", f.kind)
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.Header().Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // A client that is gone needs no answer.
	}
}

// takes reports whether r names encoding without a weight of 0. A star is taken as
// nothing: plain is right for everybody.
func takes(r *http.Request, encoding string) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(name), encoding) {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q="), 64)
		return weight == "" || err == nil && q > 0
	}
	return false
}
