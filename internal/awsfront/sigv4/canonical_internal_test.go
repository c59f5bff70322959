package sigv4

import (
	"encoding/hex"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The example of AWS's own documentation ("Signature Version 4 signing
// process", ListUsers), which fixes canonical request and signature.
func TestSignAWSExample(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	a := Authorization{KeyID: "AKIDEXAMPLE", Date: "20150830", Region: "us-east-1", Service: "iam", SignedHeaders: []string{"content-type", "host", "x-amz-date"}}
	canonical, f := canonicalRequest(r, a.SignedHeaders, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	if f != nil {
		t.Fatal(f)
	}
	got := hex.EncodeToString(sign("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", canonical, "20150830T123600Z", a))
	if want := "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"; got != want {
		t.Errorf("signature %s, want %s; canonical request:\n%s", got, want, canonical)
	}
}

func TestCanonicalQuery(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":              "",
		"b=2&a=1":       "a=1&b=2",
		"a=b&a-b=c":     "a=b&a-b=c", // by name first: "a" is before "a-b" although "=" is after "-"
		"a=2&a=10&a":    "a=&a=10&a=2",
		"x=%7e&y=%2F+z": "x=~&y=%2F%20z",
		"&&a=1&":        "a=1",
		"k=a=b":         "k=a%3Db",
	} {
		got, f := canonicalQuery(raw)
		if f != nil || got != want {
			t.Errorf("canonicalQuery(%q) = %q, %v; want %q", raw, got, f, want)
		}
	}
}

// FuzzCanonicalQuery: the canonical form is its own canonical form, sorted, and
// says what the handlers read.
func FuzzCanonicalQuery(f *testing.F) {
	for _, seed := range []string{"b=2&a=1", "a=%20+", "a=%zz", "&&", "a;b", "a==&=", "%00=%ff", strings.Repeat("a&", 101)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, failure := canonicalQuery(raw)
		if failure != nil {
			return
		}
		again, failure := canonicalQuery(got)
		if failure != nil || again != got {
			t.Fatalf("%q became %q became %q, %v", raw, got, again, failure)
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			t.Fatalf("accepted %q, which handlers refuse: %v", raw, err)
		}
		read, err := url.ParseQuery(got)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range want {
			slices.Sort(values)
			other := read[name]
			slices.Sort(other)
			if !slices.Equal(values, other) {
				t.Errorf("%q: parameter %q was %q, is %q", raw, name, values, other)
			}
		}
	})
}

// FuzzCanonicalPath: what is accepted is what is served.
func FuzzCanonicalPath(f *testing.F) {
	for _, seed := range []string{"/", "/findings/import", "/a/../b", "/%2e%2e/a", "//", "/a%2Fb", "/ä", "/a/", "/%", "*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse(path)
		if err != nil || u.Path == "" {
			return
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.URL = u
		got, failure := canonicalPath(r)
		if failure != nil {
			return
		}
		for part := range strings.SplitSeq(u.Path, "/") {
			if part == ".." || part == "." {
				t.Fatalf("%q was accepted", path)
			}
		}
		plain, err := url.PathUnescape(got)
		if err != nil || plain != u.EscapedPath() {
			t.Errorf("%q is canonical %q, which stands for %q", path, got, plain)
		}
	})
}
