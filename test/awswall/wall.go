package awswall

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// MaxBody is the largest request body that the wall takes, in bytes.
const MaxBody = 64 << 20

// RootKey is an access key that exists from the start and may do everything in
// its account, as the keys of an AWS account's root user may.
type RootKey struct {
	AccessKeyID string
	Secret      string
	Account     string
}

// Config says what the wall stands in front of.
type Config struct {
	// Upstream is moto's address: "http://127.0.0.1:5000". Required.
	Upstream string
	// Listen is the address to listen on; loopback only. Default "127.0.0.1:0".
	Listen string
	// RootKeys exist from the start; every other key is one that the wall saw
	// being made.
	RootKeys []RootKey
	// LogFile receives the request log as JSON lines; "" keeps it in memory only.
	LogFile string
	// MaxSkew refuses a signature whose time is farther away. Default 0: unchecked.
	MaxSkew time.Duration
	// Logger receives what goes wrong in the wall itself; nil discards.
	Logger *slog.Logger
}

// Wall is the proxy. It is safe for concurrent use.
type Wall struct {
	cfg      Config
	upstream *url.URL
	client   *http.Client
	keys     *keyring
	estate   *estate
	faults   *faults
	log      *requestLog
	calls    atomic.Int64

	mu       sync.Mutex
	server   *http.Server
	listener net.Listener
	done     chan struct{}
}

// New checks cfg and gives a wall that is not listening yet.
func New(cfg Config) (*Wall, error) {
	up, err := url.Parse(cfg.Upstream)
	if err != nil || up.Scheme != "http" || up.Host == "" {
		return nil, fmt.Errorf("upstream %q is not an http address", cfg.Upstream)
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	host, _, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen address %q: %w", cfg.Listen, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen address %q is not loopback", cfg.Listen)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Wall{
		cfg:      cfg,
		upstream: up,
		// moto answers HTTP/1.0 and closes; a pooled connection would only race
		// with that. No timeout: a held request waits for its test.
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, Proxy: nil},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keys:   newKeyring(cfg.RootKeys),
		faults: newFaults(),
		log:    newRequestLog(),
	}
	w.estate = newEstate(w.ask)
	return w, nil
}

// Start listens and serves until Stop. It may be called once.
func (w *Wall) Start(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server != nil {
		return nil
	}
	if err := w.log.open(w.cfg.LogFile); err != nil {
		return fmt.Errorf("open request log: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", w.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	w.listener = l
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 30 * time.Second}
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		if err := w.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			w.cfg.Logger.Error("wall ended", "error", err)
		}
	}()
	return nil
}

// Stop ends every connection, held ones too, and closes the log.
func (w *Wall) Stop(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.server == nil {
		return nil
	}
	w.faults.clear()
	err := w.server.Close()
	<-w.done
	w.server = nil
	return errors.Join(err, w.log.close())
}

// URL is the address to give to clients as AWS_ENDPOINT_URL; "" before Start.
func (w *Wall) URL() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener == nil {
		return ""
	}
	return "http://" + w.listener.Addr().String()
}

// Log gives the request log so far, in the order in which calls ended.
func (w *Wall) Log() []Entry { return w.log.entries() }

// Await gives the first entry, past or coming, that match accepts.
func (w *Wall) Await(ctx context.Context, match func(Entry) bool) (Entry, error) {
	return w.log.await(ctx, match)
}

// Inject puts a fault in force and gives the handle to watch and end it.
func (w *Wall) Inject(f Fault) (*Injection, error) { return w.faults.add(f) }

// ClearFaults ends every fault; held calls go on.
func (w *Wall) ClearFaults() { w.faults.clear() }

// Forget drops what the wall learned about keys, buckets and policies, root keys
// excepted. To be called when moto was restarted, because moto forgets as well.
func (w *Wall) Forget() {
	w.keys.reset(w.cfg.RootKeys)
	w.estate.reset()
}

// ServeHTTP answers one call.
func (w *Wall) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if isControl(r) {
		w.serveControl(rw, r)
		return
	}
	started := time.Now()
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBody+1))
	if err != nil {
		drop(rw)
		return
	}
	c := readCall(r, body)
	c.requestID = fmt.Sprintf("WALL%016X", w.calls.Add(1))
	e := c.entry(started)
	if len(body) > MaxBody {
		w.answer(rw, &e, c.refusal(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the body is larger than the wall takes"))
		return
	}
	if ref := w.identify(c, r); ref != nil {
		c.describe(&e)
		w.answer(rw, &e, *ref)
		return
	}
	c.describe(&e)
	w.serveCall(rw, r, c, &e)
}

// serveCall lets c pass the faults and the border to moto and back.
func (w *Wall) serveCall(rw http.ResponseWriter, r *http.Request, c *call, e *Entry) {
	hit := w.faults.match(e)
	if hit != nil {
		e.Fault = hit.fault.Kind
		if w.failBefore(rw, r, c, e, hit) {
			return
		}
	}
	if ref := w.regionOff(r.Context(), c); ref != nil {
		w.answer(rw, e, *ref)
		return
	}
	if ref := w.authorize(r.Context(), c); ref != nil {
		w.answer(rw, e, *ref)
		return
	}
	if c.dryRun() {
		// moto honours it in some operations only, and makes the change in others.
		w.answer(rw, e, c.refusal(http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."))
		return
	}
	if hit != nil && hit.fault.Kind == Swallow {
		w.answer(rw, e, c.success())
		return
	}
	e.Forwarded = true
	rep, err := w.forward(context.WithoutCancel(r.Context()), r, c)
	if err != nil {
		e.Error = "upstream: " + err.Error()
		w.log.append(e)
		drop(rw)
		return
	}
	rep = w.repair(c, rep)
	if rep.status < 300 {
		w.learn(c, rep)
	}
	if hit != nil && hit.fault.Kind == DropAfter {
		e.Status = rep.status
		w.log.append(e)
		drop(rw)
		return
	}
	if hit != nil && hit.fault.Kind == HoldAfter {
		e.Status = rep.status
		w.log.append(e)
		if hit.wait(r.Context()) {
			rep.write(rw)
		}
		return
	}
	w.answer(rw, e, rep)
}

// answer logs the call, then answers it: whoever has the answer finds the entry.
func (w *Wall) answer(rw http.ResponseWriter, e *Entry, rep reply) {
	e.Status = rep.status
	if e.Error == "" {
		e.Error = rep.code
	}
	w.log.append(e)
	rep.write(rw)
}

// reply is an answer that is not yet written.
type reply struct {
	status int
	header http.Header
	body   []byte
	code   string // AWS error code, where the wall knows it
}

func (p reply) write(rw http.ResponseWriter) {
	h := rw.Header()
	for k, v := range p.header {
		switch http.CanonicalHeaderKey(k) {
		case "Connection", "Transfer-Encoding", "Content-Length", "Access-Control-Allow-Origin":
		default:
			h[k] = v
		}
	}
	rw.WriteHeader(p.status)
	if p.status != http.StatusNoContent && p.status != http.StatusNotModified {
		_, _ = rw.Write(p.body) // a client that went away has nothing to be told
	}
}

// forward sends the call to moto in the name of its account.
func (w *Wall) forward(ctx context.Context, r *http.Request, c *call) (reply, error) {
	target := url.URL{Scheme: "http", Host: w.upstream.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	out, err := http.NewRequestWithContext(ctx, r.Method, target.String(), bytes.NewReader(c.body))
	if err != nil {
		return reply{}, err
	}
	out.Header = r.Header.Clone()
	out.Header.Del("X-Moto-Account-Id")
	if c.asAccount != "" {
		out.Header.Set("X-Moto-Account-Id", c.asAccount)
	}
	out.Header.Del("Expect")
	out.Host = r.Host // SQS makes its queue URLs of it, and they must lead here.
	out.ContentLength = int64(len(c.body))
	return w.do(out)
}

func (w *Wall) do(out *http.Request) (reply, error) {
	resp, err := w.client.Do(out)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, err
	}
	return reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// drop closes the connection without an answer, with a reset where the system
// allows it, as a broken network does.
func drop(rw http.ResponseWriter) {
	hj, ok := rw.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := hj.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
