package awsapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/fault"
)

// endpoint finds where the message goes now; a redirect changes the region.
func (s *sending) endpoint() (*endpoint, error) {
	return s.c.endpoints.find(s.p.rt.service, endpointCall{op: s.p.op.op, input: s.p.input, region: s.region, account: s.creds.Account})
}

// request addresses and signs the message.
func (s *sending) request(ctx context.Context, ep *endpoint) (*http.Request, error) {
	u, err := s.address(ep)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, s.msg.method, u.String(), bytes.NewReader(s.msg.body))
	if err != nil {
		return nil, fault.E(fault.Invalid, "call "+s.p.name(), err)
	}
	req.URL = u
	for name, values := range s.msg.header {
		req.Header[name] = slices.Clone(values)
	}
	for name, value := range ep.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", s.c.cfg.UserAgent)
	if !s.signed {
		return req, nil
	}
	return req, s.sign(ctx, req, ep)
}

func (s *sending) sign(ctx context.Context, req *http.Request, ep *endpoint) error {
	if ep.unsignable != "" {
		return fault.Errorf(fault.Invalid, "call "+s.p.name(), "the endpoint wants a signature by %s, which is not supported", ep.unsignable).
			WithHint("%s", signatureHint(ep.unsignable))
	}
	sum := sha256.Sum256(s.msg.body)
	hash := hex.EncodeToString(sum[:])
	if given := s.msg.header.Get("X-Amz-Content-Sha256"); given != "" && !isS3(s.p.rt.service) {
		hash = given // the caller knows the hash; the service checks it
	}
	// S3 alone wants the body signed where TLS does not protect it.
	if (s.p.op.op.UnsignedPayload || s.p.op.op.AuthType == "v4-unsigned-body") && (req.URL.Scheme == "https" || !isS3(s.p.rt.service)) {
		hash = "UNSIGNED-PAYLOAD"
	}
	if isS3(s.p.rt.service) || hash == "UNSIGNED-PAYLOAD" {
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	// botocore does not sign the length: the hash of the body says more.
	length, sent := req.ContentLength, req.URL
	defer func() { req.ContentLength, req.URL = length, sent }()
	req.ContentLength = 0
	if !ep.rawPath {
		req.URL = canonicalPath(sent)
	}
	err := s.c.signer.SignHTTP(ctx, s.creds.sdk(), req, hash, ep.signingName, ep.signingRegion, s.c.now(req.URL.Host), func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = ep.rawPath
	})
	if err != nil {
		return fault.E(fault.Internal, "sign request", err)
	}
	return nil
}

// canonicalPath gives the address as it is signed outside S3: without empty and
// dotted parts of the path. The Go signer leaves that to its caller.
func canonicalPath(u *url.URL) *url.URL {
	path := u.EscapedPath()
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			parts = parts[:max(0, len(parts)-1)]
		default:
			parts = append(parts, part)
		}
	}
	clean := "/" + strings.Join(parts, "/")
	if strings.HasSuffix(path, "/") && len(parts) > 0 {
		clean += "/"
	}
	if clean == path {
		return u
	}
	out := *u
	out.RawPath = clean
	out.Path, _ = url.PathUnescape(clean) // it came from an escaped path
	return &out
}

func signatureHint(schemes string) string {
	switch {
	case strings.Contains(schemes, "s3express"):
		return "directory buckets need a session: set AWS_S3_DISABLE_EXPRESS_SESSION_AUTH=true to do without"
	case strings.Contains(schemes, "sigv4a"):
		return "name the bucket or an access point in one region instead"
	}
	return "this call cannot be made"
}

// address joins the endpoint and the message.
func (s *sending) address(ep *endpoint) (*url.URL, error) {
	raw := s.msg.rawPath
	if raw == "" {
		raw = (&url.URL{Path: s.msg.path}).EscapedPath()
	}
	raw, err := withoutBucket(s.p, raw)
	if err != nil {
		return nil, err
	}
	u := *ep.url
	if prefix := s.p.op.op.HostPrefix; prefix != "" && !isLocal(u.Host) && !prefixInRules(s.p.op.op) {
		if u.Host, err = fillHostPrefix(prefix, u.Host, s.p.input); err != nil {
			return nil, err
		}
	}
	u.RawPath = joinURLPath(ep.url.EscapedPath(), raw)
	if u.Path, err = url.PathUnescape(u.RawPath); err != nil {
		return nil, fault.E(fault.Invalid, "call "+s.p.name(), err)
	}
	u.RawQuery = s.msg.query
	return &u, nil
}

// joinURLPath puts the path of a request behind that of its endpoint, as botocore
// does: a bucket's own path has no slash at its end.
func joinURLPath(base, path string) string {
	switch {
	case path == "" || path == "/":
		if base == "" {
			return "/"
		}
		return base
	case strings.HasSuffix(base, "/") && strings.HasPrefix(path, "/"):
		return base[:len(base)-1] + path
	}
	return base + path
}
