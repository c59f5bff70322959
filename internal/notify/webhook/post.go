package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
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

// Poster posts what runbooks send to addresses that Parry's operator allows. It
// uses no proxy, which would hide where a name leads to.
type Poster struct {
	hosts   []string
	timeout time.Duration
	client  *http.Client
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

var (
	hostName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	headerName = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+.^_|~` + "`" + `-]+$`)
)

// NewPoster checks cfg; it opens no connection.
func NewPoster(cfg PostConfig) (*Poster, error) {
	p := &Poster{timeout: cfg.Timeout}
	for _, h := range cfg.Hosts {
		h = strings.ToLower(strings.TrimSuffix(h, "."))
		name := strings.TrimPrefix(h, "*.")
		if !hostName.MatchString(name) {
			return nil, fault.Errorf(fault.Invalid, "configure webhooks", "%.100q is no host name", h).WithHint("write names such as hooks.example.com or *.example.com under webhooks.hosts")
		}
		p.hosts = append(p.hosts, h)
	}
	if p.timeout <= 0 {
		p.timeout = 30 * time.Second
	}
	t := cfg.Transport
	if t == nil {
		t = &http.Transport{
			ForceAttemptHTTP2: true, MaxIdleConns: 4, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: p.timeout,
			ResponseHeaderTimeout: p.timeout, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	dialer := &net.Dialer{Timeout: p.timeout}
	if !cfg.AllowPrivate {
		// Of the address that is connected to, not of one that the name had before.
		dialer.Control = func(_, address string, _ syscall.RawConn) error { return public(address) }
	}
	t.DialContext = dialer.DialContext
	p.client = &http.Client{
		Transport: t, Timeout: p.timeout,
		// A redirect would send the body to an address that nobody allowed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

var errPrivate = errors.New("it is an address of a private network")

// sharedSpace is the space of carrier-grade NAT, which Go does not count as
// private; AWS uses it inside.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

func public(address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errPrivate
	}
	ip := ap.Addr().Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip) || ip.Zone() != "" {
		return errPrivate
	}
	return nil
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
	if errors.Is(err, errPrivate) {
		return Answer{}, fault.Errorf(fault.Denied, op, "%s: %w", req.URL.Hostname(), errPrivate).WithHint("set webhooks.allow_private where that is meant")
	}
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // without the url, which may hold a token
		}
		return Answer{}, fault.Errorf(fault.Unavailable, op, "%s: %w", req.URL.Hostname(), err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswer))
	if err != nil {
		return Answer{}, fault.Errorf(fault.Unavailable, op, "%s: read the answer: %w", req.URL.Hostname(), err)
	}
	said, _ := http.ParseTime(res.Header.Get("Date")) // the receiver's clock, by which its dates count
	return Answer{Code: res.StatusCode, Body: strings.ToValidUTF8(string(raw), "\uFFFD"), Again: retryAfter(res.Header.Get("Retry-After"), said)}, nil
}

func (p *Poster) request(ctx context.Context, post Post) (*http.Request, error) {
	const op = "post webhook"
	u, err := url.Parse(post.URL)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, fault.Errorf(fault.Invalid, op, "the url is no address")
	case u.Scheme != "https" || u.User != nil:
		return nil, fault.Errorf(fault.Denied, op, "the url to %.253s has to be https, without a user name", u.Hostname())
	case !p.allows(u.Hostname()):
		return nil, fault.Errorf(fault.Denied, op, "%.253s is not among the hosts that runbooks may post to", u.Hostname()).
			WithHint("list it under webhooks.hosts in parry.yaml")
	case len(post.Body) > MaxPost:
		return nil, fault.Errorf(fault.Invalid, op, "the body has %d bytes, the limit is %d", len(post.Body), MaxPost)
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

func (p *Poster) allows(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(p.hosts, func(h string) bool {
		below, wild := strings.CutPrefix(h, "*")
		return h == host || wild && strings.HasSuffix(host, below) && len(host) > len(below)
	})
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
