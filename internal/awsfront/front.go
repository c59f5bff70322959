package awsfront

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/awsfront/sigv4"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// Service answers the requests that are signed for it.
type Service interface {
	http.Handler
	// Reads reports whether r changes nothing. Other requests are let through
	// once per signature.
	Reads(r *http.Request) bool
	// Refuse answers a request that was not let through.
	Refuse(w http.ResponseWriter, r *http.Request, f *sigv4.Failure)
	// MaxBody is the largest body that the service takes, in bytes.
	MaxBody() int64
}

// Config is what New needs.
type Config struct {
	Keys       sigv4.Keyring    // required
	Signatures sigv4.Signatures // required
	// NotBefore is as in sigv4.Config. Default: no limit.
	NotBefore time.Time
	// Services by the name that requests are signed for: "securityhub", "sts",
	// "parry". At least one is required.
	Services map[string]Service
	// Health answers GET /v1/health, the only request that needs no signature.
	// Default: not served.
	Health http.Handler
	// People knows who signed in, by the token of the session cookie. Default: nobody.
	People People
	// Pages answers what a browser asks for without a signature. Default: nothing.
	Pages Pages
	// Proxies are the addresses of reverse proxies, whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. Default: none.
	Proxies []netip.Prefix
	Clock   service.Clock // default: the system's
	IDs     service.IDs   // default: random
	Logger  *slog.Logger  // default: discard
	// InFlight bounds the bytes of all bodies together. Default: 128 MiB.
	InFlight int64
	// Hold is how long the refusal of a repeated signature is held back.
	// Default: 1 s, the resolution of a signature's time.
	Hold time.Duration
}

// maxHeld bounds the refusals that are held back at a time; others go at once.
const maxHeld = 256

// HealthPath is the path that needs no signature.
const HealthPath = "/v1/health"

type front struct {
	cfg      Config
	verifier *sigv4.Verifier
	log      *slog.Logger
	held     chan struct{}
	origin   *http.CrossOriginProtection
}

// New makes the handler of Parry's port.
func New(cfg Config) (http.Handler, error) {
	if len(cfg.Services) == 0 {
		return nil, fault.Errorf(fault.Internal, "make front", "no service is given")
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Hold <= 0 {
		cfg.Hold = time.Second
	}
	verifier, err := sigv4.New(sigv4.Config{Keys: cfg.Keys, Signatures: cfg.Signatures, NotBefore: cfg.NotBefore, Clock: cfg.Clock, InFlight: cfg.InFlight})
	if err != nil {
		return nil, err
	}
	return &front{cfg: cfg, verifier: verifier, log: cfg.Logger.With("component", "awsfront"), held: make(chan struct{}, maxHeld), origin: http.NewCrossOriginProtection()}, nil
}

// ServeHTTP lets a request through to its service, or answers why not.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := f.cfg.IDs.NewID("req")
	visit := f.visit(r)
	secure(w.Header(), visit, id)
	if f.cfg.Health != nil && r.URL.Path == HealthPath && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		f.cfg.Health.ServeHTTP(w, r)
		return
	}
	log := f.log.With("request_id", id, "method", r.Method, "path", r.URL.Path)
	if f.browse(w, r, visit, log) {
		return
	}
	header, failure := onlyAuthorization(r)
	if failure != nil {
		f.refuse(w, r, f.guess(r), failure, log)
		return
	}
	authorization, failure := sigv4.ParseAuthorization(header)
	if failure != nil {
		f.refuse(w, r, f.guess(r), failure, log)
		return
	}
	log = log.With("key_id", authorization.KeyID, "service", authorization.Service)
	svc, ok := f.cfg.Services[authorization.Service]
	if !ok {
		f.refuse(w, r, nil, &sigv4.Failure{Kind: sigv4.Unserved, Message: "The request is signed for the service " + authorization.Service +
			", which Parry does not answer. It answers " + f.served() + "."}, log)
		return
	}
	visit.Token = "" // a signed request has no session, whatever cookie it carries
	f.pass(w, r.WithContext(auth.WithVisit(r.Context(), visit)), svc, authorization, log)
}

// pass verifies r and serves it.
func (f *front) pass(w http.ResponseWriter, r *http.Request, svc Service, a sigv4.Authorization, log *slog.Logger) {
	identity, failure := f.verifier.Verify(r, a, svc.MaxBody())
	if failure != nil {
		f.refuse(w, r, svc, failure, log)
		return
	}
	defer identity.Release()
	log = log.With("principal", identity.Principal.Name)
	if !svc.Reads(r) {
		if failure := f.verifier.Once(r.Context(), identity); failure != nil {
			if failure.Kind == sigv4.Replayed {
				identity.Release()
				f.hold(r.Context())
			}
			f.refuse(w, r, svc, failure, log)
			return
		}
	}
	ctx := protocol.WithRegion(auth.WithPrincipal(r.Context(), identity.Principal), identity.Region)
	r = r.WithContext(ctx)
	protocol.SetBody(r, identity.Body)
	log.DebugContext(ctx, "request accepted")
	svc.ServeHTTP(w, r)
}

// hold waits before a repeated signature is refused. A client that signs again
// after the answer does so in a later second, so its next try has another
// signature; without the wait it may use up its tries within one second.
func (f *front) hold(ctx context.Context) {
	select {
	case f.held <- struct{}{}:
		defer func() { <-f.held }()
	default:
		return
	}
	timer := time.NewTimer(f.cfg.Hold)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// onlyAuthorization gives the one Authorization header. A signature in the
// query string is a presigned URL.
func onlyAuthorization(r *http.Request) (string, *sigv4.Failure) {
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 1 && values[0] != "":
		return values[0], nil
	case len(values) > 1:
		return "", &sigv4.Failure{Kind: sigv4.Incomplete, Message: "The request holds 'Authorization' twice."}
	case strings.Contains(r.URL.RawQuery, "X-Amz-Signature="):
		return "", &sigv4.Failure{Kind: sigv4.Missing, Message: "Presigned URLs are not accepted. Sign the request in the Authorization header."}
	}
	return "", &sigv4.Failure{Kind: sigv4.Missing, Message: "Missing Authentication Token"}
}

// guess finds the service whose words an unsigned request may understand.
func (f *front) guess(r *http.Request) Service {
	name := "securityhub"
	switch {
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		name = "parry"
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM."):
		name = "ssm"
	case strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AWSEvents."):
		name = "events"
	case r.URL.Path == "/":
		name = "sts"
	}
	return f.cfg.Services[name]
}

func (f *front) refuse(w http.ResponseWriter, r *http.Request, svc Service, failure *sigv4.Failure, log *slog.Logger) {
	level := slog.LevelWarn
	if failure.Kind == sigv4.Unavailable {
		level = slog.LevelError
	}
	log.Log(r.Context(), level, "request refused", "reason", string(failure.Kind), "error", failure)
	if failure.Again() {
		// botocore reads the first (milliseconds), others the second. A second
		// later the same request has another signature.
		w.Header().Set("X-Amz-Retry-After", "1000")
		w.Header().Set("Retry-After", "1")
	}
	if svc == nil {
		protocol.Refuse(w, failure)
		return
	}
	svc.Refuse(w, r, failure)
}

func (f *front) served() string {
	names := make([]string, 0, len(f.cfg.Services))
	for name := range f.cfg.Services {
		names = append(names, name)
	}
	return protocol.Enumerate(names)
}

// secure sets the headers that every answer has. Nothing may be loaded, framed or
// cached; what answers with a page says itself what a page may.
func secure(h http.Header, v auth.Visit, id string) {
	h.Set("X-Amzn-Requestid", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if v.Secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}
