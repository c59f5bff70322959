package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	// maxAnswer bounds an answer; the largest is a plan with its document.
	maxAnswer = 64 << 20
	// signingRegion is part of what is signed; Parry has no regions.
	signingRegion = "us-east-1"
	// NonceHeader makes every signature another one.
	NonceHeader = "X-Parry-Nonce"
)

// Config is what New needs.
type Config struct {
	// Endpoint of the server: "http://127.0.0.1:8470". Required. Plain HTTP is
	// taken for a loopback address only.
	Endpoint  string
	AccessKey string       // required
	Secret    store.Secret // required
	// HTTP sends the requests. Default: a client with a timeout of a minute that
	// follows no redirect.
	HTTP  *http.Client
	Clock service.Clock // default: the system's
}

// Client calls one server with one key. It is safe for concurrent use.
type Client struct {
	base   *url.URL
	cfg    Config
	signer *v4.Signer
}

// New makes a Client. It sends nothing.
func New(cfg Config) (*Client, error) {
	const op = "make client"
	base, err := url.Parse(cfg.Endpoint)
	switch {
	case err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https":
		return nil, fault.Errorf(fault.Invalid, op, "%q is not the address of a server", cfg.Endpoint).
			WithHint("set PARRY_ENDPOINT or --endpoint, for example http://127.0.0.1:8470")
	case base.Scheme == "http" && !loopback(base.Hostname()):
		return nil, fault.Errorf(fault.Invalid, op, "%s is not on this machine and the address has no TLS", base.Hostname()).
			WithHint("use https://")
	case cfg.AccessKey == "" || cfg.Secret == "":
		return nil, fault.Errorf(fault.Invalid, op, "no access key is set").
			WithHint("set PARRY_ACCESS_KEY_ID and PARRY_SECRET_ACCESS_KEY; make a key on the server: parry key create")
	}
	base.Path, base.RawQuery, base.Fragment, base.User = "", "", "", nil
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{
			Timeout: time.Minute,
			// A redirect would carry the signature elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	return &Client{base: base, cfg: cfg, signer: v4.NewSigner()}, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// call sends one request and reads the answer into out, unless it is nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	res, err := c.send(ctx, c.cfg.HTTP, method, path, query, in)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if out == nil {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return c.unreachable(err)
	}
	if len(raw) > maxAnswer {
		return fault.Errorf(fault.Exhausted, "read answer", "it has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fault.E(fault.Internal, "read answer of "+c.base.Host, err).WithHint("is this a Parry server of the same version?")
	}
	return nil
}

// octets is a body that is sent as it is.
type octets []byte

// bodyOf gives a body and its content type.
func bodyOf(in any) (body []byte, kind string, err error) {
	switch v := in.(type) {
	case nil:
		return nil, "", nil
	case octets:
		return v, "application/octet-stream", nil
	}
	if body, err = json.Marshal(in); err != nil {
		return nil, "", fault.E(fault.Invalid, "write request", err)
	}
	return body, "application/json", nil
}

// send signs and sends one request. An answer that is an error becomes one.
func (c *Client) send(ctx context.Context, via *http.Client, method, path string, query url.Values, in any) (*http.Response, error) {
	body, kind, err := bodyOf(in)
	if err != nil {
		return nil, err
	}
	target := *c.base
	target.Path = path
	target.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fault.E(fault.Invalid, "make request", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set(NonceHeader, rand.Text())
	sum := sha256.Sum256(body)
	err = c.signer.SignHTTP(ctx, aws.Credentials{AccessKeyID: c.cfg.AccessKey, SecretAccessKey: c.cfg.Secret.Reveal()},
		req, hex.EncodeToString(sum[:]), api.Service, signingRegion, c.cfg.Clock.Now())
	if err != nil {
		return nil, fault.E(fault.Internal, "sign request", err)
	}
	res, err := via.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	return nil, c.refusal(res)
}

func (c *Client) unreachable(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // The method and address stand in the operation.
	}
	hint := "is it running? start it: parry serve"
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		hint = "name the authority that signed its certificate: SSL_CERT_FILE=ca.pem parry ..."
	}
	return fault.E(fault.Unavailable, "reach the server at "+c.base.String(), err).WithHint("%s", hint)
}

// refusal turns an error answer into the fault error that the server made.
func (c *Client) refusal(res *http.Response) error {
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	media, _, mediaErr := mime.ParseMediaType(res.Header.Get("Content-Type"))
	var p api.Problem
	if err != nil || mediaErr != nil || media != "application/problem+json" || json.Unmarshal(raw, &p) != nil || p.Detail == "" {
		return fault.Errorf(fault.Internal, "call "+c.base.Host, "the answer is HTTP %d and no error of Parry", res.StatusCode).
			WithHint("is this a Parry server? check the address")
	}
	code := fault.Code(p.Code)
	if !code.Valid() {
		code = fault.Internal
	}
	e := &fault.Error{Code: code, Err: errors.New(p.Detail), Hint: p.Hint}
	if code == fault.Unavailable {
		return fault.Transient(e, time.Second)
	}
	return e
}

// path joins a path of which the last part but suffix comes from outside.
func path(prefix, id, suffix string) (string, error) {
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\\") {
		return "", fault.Errorf(fault.Invalid, "", "%q is not an id", id)
	}
	return fmt.Sprintf("%s%s%s", prefix, id, suffix), nil
}
