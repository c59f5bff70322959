package destination

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/target"
)

const (
	// Timeout is what an endpoint has for its answer, as in AWS.
	Timeout = 5 * time.Second
	// userAgent names the caller; AWS's is Amazon/EventBridge/ApiDestinations.
	userAgent = "Parry/ApiDestinations"
	// maxReply is how much of an answer is read, so that its connection can be used again.
	maxReply = 64 << 10
	maxIdle  = 16 // connections to a host that are kept: as many as deliveries by default
	op       = "call API destination"
)

// Config is what New needs.
type Config struct {
	Guard   *webhook.Guard // required: where calls may go
	Clock   service.Clock  // required
	Timeout time.Duration  // default: Timeout
}

// Sender calls. It is safe for concurrent use.
type Sender struct {
	guard  *webhook.Guard
	client *http.Client
	clock  service.Clock

	mu     sync.Mutex
	tokens map[string]*holder // by the connection's ARN
}

// New makes a Sender; it opens no connection.
func New(cfg Config) (*Sender, error) {
	if cfg.Guard == nil || cfg.Clock == nil {
		return nil, fault.Errorf(fault.Internal, "make API destinations", "guard and clock are required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = Timeout
	}
	client := cfg.Guard.Client(cfg.Timeout, &http.Transport{
		// An answer is not unpacked: nobody reads it, and a small one may be large inside.
		DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConns: 8 * maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: 30 * time.Second,
		TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: 64 << 10,
	})
	return &Sender{guard: cfg.Guard, client: client, clock: cfg.Clock, tokens: map[string]*holder{}}, nil
}

// Allowed refuses an address that the configuration does not let be called.
func (s *Sender) Allowed(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return fault.Errorf(fault.Invalid, op, "the address cannot be read")
	}
	return s.guard.Check(u)
}

// Send makes one call. Errors are terminal or transient, as bus.Target has them.
func (s *Sender) Send(ctx context.Context, c target.Connection, r target.HTTPRequest) error {
	if c.Auth.OAuth == nil {
		answer, err := s.do(ctx, r, "")
		if err != nil {
			return err
		}
		return s.judge(answer)
	}
	token, fresh, err := s.token(ctx, c, "")
	if err != nil {
		return err
	}
	answer, err := s.do(ctx, r, token)
	if err == nil && !fresh && unauthorized(answer.code) {
		if token, _, err = s.token(ctx, c, token); err != nil {
			return err
		}
		answer, err = s.do(ctx, r, token)
	}
	if err != nil {
		return err
	}
	if unauthorized(answer.code) {
		s.forget(c, token) // the next delivery asks for another
	}
	return s.judge(answer)
}

func unauthorized(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusProxyAuthRequired
}

// answer is what is known of one.
type answer struct {
	host   string
	code   int
	header http.Header
}

func (s *Sender) do(ctx context.Context, r target.HTTPRequest, token target.Secret) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return answer{}, fault.Terminal(fault.Errorf(fault.Invalid, op, "the address cannot be used"))
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+string(token))
	}
	res, err := s.exchange(req)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxReply)) // the code has said it all
	return answer{host: req.URL.Host, code: res.StatusCode, header: res.Header}, nil
}

// exchange sends a request where it may go.
func (s *Sender) exchange(req *http.Request) (*http.Response, error) {
	if err := s.guard.Check(req.URL); err != nil {
		return nil, fault.Terminal(err)
	}
	req.Header.Set("User-Agent", userAgent)
	res, err := s.client.Do(req)
	if err == nil {
		return res, nil
	}
	if err = webhook.Failed(req.URL.Hostname(), err); fault.Is(err, fault.Denied) {
		return nil, fault.Terminal(err)
	}
	return nil, fault.Transient(err, 0)
}

// judge says what a code means for the delivery.
func (s *Sender) judge(a answer) error {
	code := fault.Invalid
	switch {
	case a.code >= 200 && a.code < 300:
		return nil
	case a.code == http.StatusUnauthorized, a.code == http.StatusForbidden, a.code == http.StatusProxyAuthRequired:
		code = fault.Denied
	case a.code >= 300 && a.code < 400:
		return fault.Terminal(fault.Errorf(fault.Denied, op, "%s answered %d", a.host, a.code).
			WithHint("redirects are not followed: set the destination's InvocationEndpoint to where it leads, then run: parry dlq redrive"))
	case a.code == http.StatusNotFound, a.code == http.StatusGone:
		code = fault.NotFound
	case a.code == http.StatusTooManyRequests:
		code = fault.Exhausted
	case a.code >= 500, a.code == http.StatusConflict:
		code = fault.Unavailable
	}
	err := fault.Errorf(code, op, "%s answered %d", a.host, a.code)
	if !repeated(a.code) {
		return fault.Terminal(err)
	}
	if strings.HasPrefix(strings.TrimSpace(a.header.Get("Retry-After")), "-") {
		return fault.Terminal(fault.Errorf(code, op, "%s answered %d, and by a negative Retry-After that it is not to be tried again", a.host, a.code))
	}
	return fault.Transient(err, webhook.Wait(a.header, s.clock.Now()))
}

// repeated reports whether EventBridge tries again after a code.
func repeated(code int) bool {
	return unauthorized(code) || code == http.StatusConflict || code == http.StatusTooManyRequests || code >= 500
}
