package sigv4

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxParameters bounds the query string.
const maxParameters = 100

// canonicalRequest rebuilds what the sender signed. bodyHash is the hash of the
// body as received, not as the sender says.
func canonicalRequest(r *http.Request, signed []string, bodyHash string) (string, *Failure) {
	path, f := canonicalPath(r)
	if f != nil {
		return "", f
	}
	query, f := canonicalQuery(r.URL.RawQuery)
	if f != nil {
		return "", f
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range signed {
		value, ok := headerValue(r, name)
		if !ok {
			return "", fail(Mismatch, "The signed header '%s' is not in the request.", name)
		}
		b.WriteString(name + ":" + value + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + bodyHash)
	return b.String(), nil
}

// canonicalPath encodes the path as it was sent once more, as every service but
// S3 has it.
func canonicalPath(r *http.Request) (string, *Failure) {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	if !plainPath(path) {
		return "", fail(Malformed, "The path must begin with '/' and hold no empty, '.' or '..' part.")
	}
	return encode(path, true), nil
}

// plainPath reports whether path is its own normal form. Others are refused
// rather than normalized, so that the path that was signed is the path that is
// served.
func plainPath(path string) bool {
	if path == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return false
	}
	for part := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		plain, err := url.PathUnescape(part)
		if err != nil || plain == "" || slices.ContainsFunc(strings.Split(plain, "/"), dots) {
			return false
		}
	}
	return true
}

func dots(part string) bool { return part == "." || part == ".." }

// canonicalQuery decodes and encodes every parameter and sorts by name, then
// value. A plus is a space, as the handlers read it.
func canonicalQuery(raw string) (string, *Failure) {
	if raw == "" {
		return "", nil
	}
	parts := strings.Split(raw, "&")
	if len(parts) > maxParameters {
		return "", fail(Malformed, "The query holds %d parameters, more than the limit of %d.", len(parts), maxParameters)
	}
	type pair struct{ name, value string }
	pairs := make([]pair, 0, len(parts))
	for _, part := range parts {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err != nil || err2 != nil || strings.Contains(part, ";") {
			return "", fail(Malformed, "The query string is not percent-encoded.")
		}
		pairs = append(pairs, pair{encode(n, false), encode(v, false)})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	out := make([]string, len(pairs))
	for i, p := range pairs {
		out[i] = p.name + "=" + p.value
	}
	return strings.Join(out, "&"), nil
}

// headerValue gives the value of a signed header: outer space cut, inner runs
// of space made one, several values joined by commas.
func headerValue(r *http.Request, name string) (string, bool) {
	switch name {
	case "host":
		return r.Host, r.Host != ""
	case "content-length":
		if r.ContentLength < 0 {
			return "", false
		}
		return strconv.FormatInt(r.ContentLength, 10), true
	}
	values := r.Header.Values(name)
	if len(values) == 0 {
		return "", false
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ","), true
}

// encode percent-encodes all but AWS's unreserved characters, and the slash in
// a path.
func encode(s string, path bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string(hexDigits[c>>4]) + string(hexDigits[c&15]))
	}
	return b.String()
}

// sign computes the signature of a canonical request.
func sign(secret, canonical, date string, a Authorization) []byte {
	sum := sha256.Sum256([]byte(canonical))
	toSign := algorithm + "\n" + date + "\n" + a.Scope() + "\n" + hex.EncodeToString(sum[:])
	key := mac([]byte("AWS4"+secret), a.Date)
	for _, part := range []string{a.Region, a.Service, terminator} {
		key = mac(key, part)
	}
	return mac(key, toSign)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
