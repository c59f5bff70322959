package awswall

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parts of a SigV4 Authorization header.
var authorizationPattern = regexp.MustCompile(`^AWS4-HMAC-SHA256 +Credential=[A-Za-z0-9]+/(\d{8})/([a-z0-9-]+)/([a-z0-9.-]+)/aws4_request, *SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})$`)

type signatureError struct{ code, text string }

const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method."

// checkSignature computes the signature of the request anew (Signature Version
// 4, "Create a signed AWS API request"). moto does not look at signatures, so
// without this a client that signs wrongly would pass every test.
func (w *Wall) checkSignature(c *call, r *http.Request, secret string) *signatureError {
	m := authorizationPattern.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil {
		return &signatureError{"IncompleteSignature", "The Authorization header is not of the form that AWS Signature Version 4 asks for."}
	}
	day, region, service, names, given := m[1], m[2], m[3], strings.Split(m[4], ";"), m[5]
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || at.Format("20060102") != day {
		return &signatureError{"IncompleteSignature", "X-Amz-Date is missing or does not fit the credential's date."}
	}
	if skew := time.Since(at).Abs(); w.cfg.MaxSkew > 0 && skew > w.cfg.MaxSkew {
		if c.protocol == protoS3 {
			return &signatureError{"RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
		}
		return &signatureError{"SignatureDoesNotMatch", "Signature expired: " + stamp + " is now earlier than " + time.Now().UTC().Add(-w.cfg.MaxSkew).Format("20060102T150405Z")}
	}
	digest, bad := payloadDigest(c, r)
	if bad != nil {
		return bad
	}
	if !slices.Contains(names, "host") || (r.Header.Get("X-Amz-Security-Token") != "" && !slices.Contains(names, "x-amz-security-token")) {
		return &signatureError{"SignatureDoesNotMatch", "The host and x-amz-security-token headers must be signed."}
	}
	canonical := strings.Join([]string{
		r.Method, canonicalPath(c, r), canonicalQuery(r.URL.RawQuery), canonicalHeaders(r, names), strings.Join(names, ";"), digest,
	}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	text := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, day + "/" + region + "/" + service + "/aws4_request", hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, service, "aws4_request"} {
		key = mac(key, part)
	}
	if !hmac.Equal([]byte(hex.EncodeToString(mac(key, text))), []byte(given)) {
		return &signatureError{"SignatureDoesNotMatch", mismatch}
	}
	return nil
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text)) // a hash never fails
	return h.Sum(nil)
}

// payloadDigest is the payload hash of the canonical request, checked against
// the body where it is a hash.
func payloadDigest(c *call, r *http.Request) (string, *signatureError) {
	sum := sha256.Sum256(c.body)
	actual := hex.EncodeToString(sum[:])
	declared := r.Header.Get("X-Amz-Content-Sha256")
	switch {
	case declared == "":
		return actual, nil
	case declared == "UNSIGNED-PAYLOAD" || strings.HasPrefix(declared, "STREAMING-"):
		return declared, nil
	case declared != actual:
		return "", &signatureError{"XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	}
	return declared, nil
}

// canonicalPath encodes the path once for S3 and twice for everyone else.
func canonicalPath(c *call, r *http.Request) string {
	raw := r.URL.EscapedPath()
	if raw == "" {
		raw = "/"
	}
	if c.service == "s3" {
		return awsEscape(r.URL.Path, true)
	}
	return awsEscape(raw, true)
}

func canonicalQuery(raw string) string {
	var pairs []string
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		pairs = append(pairs, awsEscape(unescape(k), false)+"="+awsEscape(unescape(v), false))
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func unescape(s string) string {
	out, err := url.QueryUnescape(s)
	if err != nil {
		return s
	}
	return out
}

func canonicalHeaders(r *http.Request, names []string) string {
	var b strings.Builder
	for _, name := range names {
		var value string
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		default:
			values := r.Header.Values(http.CanonicalHeaderKey(name))
			for i, v := range values {
				values[i] = strings.Join(strings.Fields(v), " ")
			}
			value = strings.Join(values, ",")
		}
		b.WriteString(name + ":" + value + "\n")
	}
	return b.String()
}

// awsEscape is URI encoding as AWS has it: all but unreserved characters.
func awsEscape(s string, keepSlash bool) string {
	var b strings.Builder
	for i := range len(s) {
		ch := s[i]
		switch {
		case ch >= 'A' && ch <= 'Z', ch >= 'a' && ch <= 'z', ch >= '0' && ch <= '9', ch == '-', ch == '_', ch == '.', ch == '~', ch == '/' && keepSlash:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}
