package sigv4

import (
	"encoding/hex"
	"slices"
	"strings"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	// maxHeader bounds the Authorization header; SDKs send about 300 bytes.
	maxHeader        = 8 << 10
	maxSignedHeaders = 100
)

// Authorization is a parsed Authorization header.
type Authorization struct {
	KeyID   string
	Date    string // yyyymmdd
	Region  string
	Service string
	// SignedHeaders are lower case and sorted.
	SignedHeaders []string
	Signature     string // 64 lower-case hexadecimal digits
}

// Scope gives the credential scope without the key.
func (a Authorization) Scope() string {
	return a.Date + "/" + a.Region + "/" + a.Service + "/" + terminator
}

// ParseAuthorization reads an Authorization header. A header that could be
// read in two ways is refused.
func ParseAuthorization(header string) (Authorization, *Failure) {
	if len(header) > maxHeader {
		return Authorization{}, fail(Incomplete, "Authorization header has %d bytes, more than the limit of %d.", len(header), maxHeader)
	}
	scheme, rest, ok := strings.Cut(header, " ")
	if !ok || scheme != algorithm {
		return Authorization{}, fail(Incomplete, "Authorization header requires algorithm '%s'.", algorithm)
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.Trim(part, " "), "=")
		if !ok || value == "" {
			return Authorization{}, fail(Incomplete, "Authorization header holds a part that is not name=value.")
		}
		if !slices.Contains([]string{"Credential", "SignedHeaders", "Signature"}, name) {
			return Authorization{}, fail(Incomplete, "Authorization header holds an unknown parameter.")
		}
		if _, twice := fields[name]; twice {
			return Authorization{}, fail(Incomplete, "Authorization header holds '%s' twice.", name)
		}
		fields[name] = value
	}
	var a Authorization
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if fields[name] == "" {
			return a, fail(Incomplete, "Authorization header requires '%s' parameter.", name)
		}
	}
	if f := a.credential(fields["Credential"]); f != nil {
		return Authorization{}, f
	}
	if f := a.headers(fields["SignedHeaders"]); f != nil {
		return Authorization{}, f
	}
	a.Signature = fields["Signature"]
	if raw, err := hex.DecodeString(a.Signature); err != nil || len(raw) != 32 || strings.ToLower(a.Signature) != a.Signature {
		return Authorization{}, fail(Incomplete, "Authorization header requires a 'Signature' of 64 lower-case hexadecimal digits.")
	}
	return a, nil
}

func (a *Authorization) credential(s string) *Failure {
	parts := strings.Split(s, "/")
	if len(parts) != 5 {
		return fail(Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, it has %d.", len(parts))
	}
	a.KeyID, a.Date, a.Region, a.Service = parts[0], parts[1], parts[2], parts[3]
	switch {
	case parts[4] != terminator:
		return fail(Incomplete, "Credential should be scoped with a valid terminator: '%s'.", terminator)
	case !word(a.KeyID, 1, 128, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"):
		return fail(Incomplete, "Credential should be scoped to a valid access key id.")
	case !word(a.Date, 8, 8, "0123456789"):
		return fail(Incomplete, "Credential should be scoped to a date as yyyymmdd.")
	case !word(a.Region, 1, 64, lower):
		return fail(Incomplete, "Credential should be scoped to a valid region.")
	case !word(a.Service, 1, 64, lower):
		return fail(Incomplete, "Credential should be scoped to a valid service.")
	}
	return nil
}

const lower = "abcdefghijklmnopqrstuvwxyz0123456789-"

func word(s string, least, most int, alphabet string) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, alphabet) == "" // Trim leaves "" only if every byte is in the alphabet.
}

func (a *Authorization) headers(s string) *Failure {
	names := strings.Split(s, ";")
	if len(names) > maxSignedHeaders {
		return fail(Incomplete, "SignedHeaders names %d headers, more than the limit of %d.", len(names), maxSignedHeaders)
	}
	for i, name := range names {
		if !word(name, 1, 256, lower+"_.!#$%&'*+^`|~") {
			return fail(Incomplete, "SignedHeaders should be lower-case header names.")
		}
		if i > 0 && names[i-1] >= name {
			return fail(Incomplete, "SignedHeaders should be sorted and name each header once.")
		}
	}
	if !slices.Contains(names, "host") {
		return fail(Mismatch, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	a.SignedHeaders = names
	return nil
}
