package webhook

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// The limits of a Poster.
const (
	MaxPost    = 256 << 10 // bytes of a body
	MaxAnswer  = 64 << 10  // bytes of an answer that are kept
	maxHeaders = 20
	maxHeader  = 8 << 10
)

// HeaderPost holds Post.ID: a receiver that keeps it can tell a repetition.
const HeaderPost = "Idempotency-Key"

// PostConfig says where a Poster may post to.
type PostConfig struct {
	// Hosts are the host names that may be posted to: "hooks.example.com", or
	// "*.example.com" for all names below one. None: nothing may.
	Hosts []string
	// AllowPrivate lets the hosts have addresses of private networks.
	AllowPrivate bool
	Timeout      time.Duration // default: 30 seconds
	// Transport replaces the connection's settings in tests; its DialContext is set.
	Transport *http.Transport
}

// Poster posts what runbooks send to addresses that Parry's operator allows.
type Poster struct {
	guard  *Guard
	client *http.Client
}

// Post is one request. URL and headers may be secret: no error names them, but
// for the host.
type Post struct {
	ID      string // in HeaderPost
	URL     string // https
	Headers map[string]string
	Body    string
}

// Answer is what a receiver answered, whatever its code.
type Answer struct {
	Code int
	Body string
	// Again is the wait that Retry-After asks for, an hour at most; zero = it says none.
	Again time.Duration
}

var headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~` + "`" + `-]+$`)

// NewPoster checks cfg; it opens no connection.
func NewPoster(cfg PostConfig) (*Poster, error) {
	guard, err := NewGuard(cfg.Hosts, cfg.AllowPrivate)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Poster{guard, guard.Client(cfg.Timeout, cfg.Transport)}, nil
}

// Do posts once. An address that is not allowed is denied; an answer of any code
// is no error.
func (p *Poster) Do(ctx context.Context, post Post) (Answer, error) {
	const op = "post webhook"
	req, err := p.request(ctx, post)
	if err != nil {
		return Answer{}, err
	}
	res, err := p.client.Do(req)
	if err != nil {
		err = Failed(req.URL.Hostname(), err)
		return Answer{}, fault.E(fault.CodeOf(err), op, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer))
	if err != nil {
		return Answer{}, fault.Errorf(fault.Unavailable, op, "%s: read the answer: %w", req.URL.Hostname(), err)
	}
	return Answer{Code: res.StatusCode, Body: strings.ToValidUTF8(string(raw), "\uFFFD"), Again: Wait(res.Header, time.Time{})}, nil
}

func (p *Poster) request(ctx context.Context, post Post) (*http.Request, error) {
	const op = "post webhook"
	u, err := url.Parse(post.URL)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, fault.Errorf(fault.Invalid, op, "the url is no address")
	case u.Scheme != "https" || u.User != nil:
		return nil, fault.Errorf(fault.Denied, op, "the url to %.253s has to be https, without a user name", u.Hostname())
	case len(post.Body) > MaxPost:
		return nil, fault.Errorf(fault.Invalid, op, "the body has %d bytes, the limit is %d", len(post.Body), MaxPost)
	}
	if err := p.guard.Check(u); err != nil {
		return nil, fault.E(fault.Denied, op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(post.Body))
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "the url cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "parry")
	if err := headers(req.Header, post.Headers); err != nil {
		return nil, fault.E(fault.Invalid, op, err)
	}
	if post.ID != "" {
		req.Header.Set(HeaderPost, post.ID)
	}
	return req, nil
}

// framing are the headers that say how a request is sent, which is ours to say.
var framing = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Te", "Trailer", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Expect"}

func headers(to http.Header, given map[string]string) error {
	if len(given) > maxHeaders {
		return fmt.Errorf("%d headers, the limit is %d", len(given), maxHeaders)
	}
	for name, v := range given {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !headerName.MatchString(name) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) || len(name)+len(v) > maxHeader || slices.Contains(framing, name) {
			return fmt.Errorf("header %.60q cannot be sent", name)
		}
		to.Set(name, v)
	}
	return nil
}
