package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/service"
)

// DefaultTimeout bounds one delivery.
const DefaultTimeout = 10 * time.Second

// MinSecret is the least length of a signing key, in bytes.
const MinSecret = 16

const (
	again    = 10 * time.Second // the least wait before another try
	maxAgain = time.Hour        // the most that a receiver's Retry-After is believed
	maxReply = 4 << 10          // bytes of the reply that are read
	// writeBuffer holds a request with an event of usual size, so that it goes in one packet.
	writeBuffer = 16 << 10
	maxIdle     = 256 // connections that are kept: as many as event_limits lets the bus post at a time
)

// Config is a channel.
type Config struct {
	URL     string            // https, or http to a loopback address
	Secret  string            // signing key, at least MinSecret bytes; never printed
	Timeout time.Duration     // default: DefaultTimeout
	Clock   service.Clock     // required: the signature's time
	Base    http.RoundTripper // default: a transport of its own, with the environment's proxy
}

// Sender posts.
type Sender struct {
	url     *url.URL
	signer  signer
	clock   service.Clock
	timeout time.Duration
	// base makes one request and follows no redirect, which would send the signed body to
	// an address that nobody configured.
	base http.RoundTripper
}

// New checks cfg; it opens no connection.
func New(cfg Config) (*Sender, error) {
	const op = "configure webhook"
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "":
		return nil, fault.Errorf(fault.Invalid, op, "url is not an address") // the text may hold a token
	case u.User != nil:
		return nil, fault.Errorf(fault.Invalid, op, "url to %s holds a user name", u.Host).WithHint("the receiver checks the signature instead")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return nil, fault.Errorf(fault.Invalid, op, "url to %s is neither https nor http to a loopback address", u.Host).WithHint("write url: https://…")
	case len(cfg.Secret) < MinSecret:
		return nil, fault.Errorf(fault.Invalid, op, "the signing key for %s has %d bytes, it needs at least %d", u.Host, len(cfg.Secret), MinSecret).
			WithHint("make one with: openssl rand -hex 32")
	case cfg.Clock == nil:
		return nil, fault.Errorf(fault.Internal, op, "clock is required")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Base == nil {
		cfg.Base = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: maxIdle, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: 64 << 10,
			WriteBufferSize: writeBuffer,
		}
	}
	u.Fragment, u.RawFragment = "", "" // which is not sent
	return &Sender{url: u, signer: newSigner([]byte(cfg.Secret)), clock: cfg.Clock, timeout: cfg.Timeout, base: cfg.Base}, nil
}

// loopback takes addresses only: a name, even localhost, may resolve anywhere.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Payload is the JSON body.
type Payload struct {
	ID      string    `json:"id"` // the same for every try
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Test    bool      `json:"test,omitempty"` // nothing happened
	Event   bus.Event `json:"event"`
}

// Send posts m. Every 2xx is a success; 408, 425, 429 and 5xx are tried again,
// not before Retry-After.
func (s *Sender) Send(ctx context.Context, m notify.Message) (string, error) {
	raw, err := json.Marshal(Payload{ID: m.ID, Subject: m.Subject, Text: m.Body, Test: m.Test, Event: m.Event})
	if err != nil {
		return "", fault.Terminal(fault.E(fault.Invalid, "post webhook", err))
	}
	return s.post(ctx, m.ID, raw, again)
}

// Post sends body as it is, signed like a message: for events of the bus, which are tried
// again by their own rules. id is the same for every try.
func (s *Sender) Post(ctx context.Context, id string, body []byte) error {
	_, err := s.post(ctx, id, body, 0)
	return err
}

// post sends raw; least is the least wait before another try.
func (s *Sender) post(ctx context.Context, id string, raw []byte, least time.Duration) (string, error) {
	const op = "post webhook"
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	res, err := s.base.RoundTrip(s.request(ctx, id, raw))
	if err != nil {
		return "", fault.Transient(fault.Errorf(fault.Unavailable, op, "%s: %w", s.url.Host, err), least)
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxReply)) // so that the connection can be used again
	return "HTTP " + res.Status, s.judge(res, least)
}

// request is made without http.Client and http.NewRequest, which cost as much as sending
// it: the address was checked once, and there are no cookies and no redirects.
func (s *Sender) request(ctx context.Context, id string, raw []byte) *http.Request {
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
	first, _ := body()
	return (&http.Request{
		Method: http.MethodPost, URL: s.url, Host: s.url.Host,
		Header: http.Header{
			"Content-Type": {"application/json"}, "User-Agent": {"parry"},
			HeaderID: {id}, HeaderSignature: {s.signer.sign(s.clock.Now(), raw)},
		},
		Body: first, GetBody: body, ContentLength: int64(len(raw)),
	}).WithContext(ctx)
}

func (s *Sender) judge(res *http.Response, least time.Duration) error {
	const op = "post webhook"
	err := fmt.Errorf("%s answered %d", s.url.Host, res.StatusCode)
	switch code := res.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests || code >= 500:
		return fault.Transient(fault.E(fault.Unavailable, op, err), max(least, retryAfter(res.Header.Get("Retry-After"), s.clock.Now())))
	case code >= 300 && code < 400:
		return fault.Terminal(fault.E(fault.Denied, op, err).WithHint("redirects are not followed: set the channel's url to where it leads"))
	default:
		return fault.Terminal(fault.E(fault.Denied, op, err).WithHint("check url and signing key of the channel, then run: parry notify test"))
	}
}

// retryAfter reads seconds or a date: zero where it says neither, or what has passed.
func retryAfter(v string, now time.Time) time.Duration {
	var wait time.Duration
	if n, err := strconv.Atoi(v); err == nil {
		wait = time.Duration(min(max(n, 0), int(maxAgain/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil && !now.IsZero() {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxAgain)
}
