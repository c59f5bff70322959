package awsapi

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
)

// ClientConfig is what a Client needs.
type ClientConfig struct {
	// Models are the API models. Required.
	Models *apimodel.Catalog
	// Region is used where a call names none. Default AWS_REGION,
	// AWS_DEFAULT_REGION, then us-east-1.
	Region string
	// Getenv reads AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE>, the other
	// variables for endpoints (docs/configuration.md), AWS_MAX_ATTEMPTS and the
	// region. Default os.Getenv.
	Getenv func(string) string
	// HTTP sends requests. Default a client of our own with connection reuse and
	// timeouts, which follows no redirect.
	HTTP *http.Client
	// Clock is the time that requests are signed with. Default service.SystemClock.
	Clock service.Clock
	// IDs fills idempotency tokens. Default service.RandomIDs.
	IDs service.IDs
	// Logger is told of attempts, never of inputs. Nil discards.
	Logger *slog.Logger
	// Sleep waits between attempts. Default waits on a timer or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration) error
	// MaxBody bounds an answer's body in bytes. Default 10 MB.
	MaxBody int64
	// PerSecond and Burst are where the throttle of each account, region and
	// service starts, in calls a second of all nodes together. Default 50 and 100.
	PerSecond float64
	Burst     int
	// Limits are where single services start ("organizations"), or operations that
	// AWS counts apart ("cloudtrail:LookupEvents"). Others start where AWS documents
	// a limit, else at PerSecond and Burst.
	Limits map[string]Limit
	// UseFIPS and UseDualStack pick AWS's FIPS and dual-stack endpoints. Default
	// AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT.
	UseFIPS, UseDualStack bool
	// UserAgent names us to AWS. Default "parry".
	UserAgent string
	// Sent is told of every request that left, each attempt by itself, those of the
	// credential chain included; it may be called by several goroutines at once. Nil
	// tells nobody.
	Sent func(Sent)
}

// Sent is one request on its way to AWS.
type Sent struct {
	Service, Operation string
	Account            string // "" = that of the credentials
	Region             string
}

// SendOptions change how one call is sent.
type SendOptions struct {
	// RetryUncertain allows a change whose answer was lost to be sent again: it
	// says that doing it twice is doing it once, as setting a configuration is.
	RetryUncertain bool
	// CoerceStrings turns "true" and "30" into what the model asks for, and
	// numbers into text, as Systems Manager does for runbooks.
	CoerceStrings bool
}

// Client sends calls of any AWS service, driven by the API models. It checks,
// writes, signs, sends, repeats and reads; it decides nothing about whether a
// call may be made, which is the gate's. Safe for concurrent use.
type Client struct {
	cfg      ClientConfig
	log      *slog.Logger
	signer   *v4.Signer
	retry    *retryPolicy
	throttle *throttle

	endpoints *endpoints

	mu       sync.Mutex
	runtimes map[string]*runtime
	skews    map[string]time.Duration // by host: how far its clock is from ours
}

// NewClient checks cfg, fills its defaults and gives a client. It opens no
// connection.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Models == nil {
		return nil, fault.Errorf(fault.Invalid, "open AWS client", "no models")
	}
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if cfg.Region == "" {
			cfg.Region = cfg.Getenv(name)
		}
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1"
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.IDs == nil {
		cfg.IDs = service.RandomIDs{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = defaultHTTP()
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = 10 << 20
	}
	if cfg.PerSecond <= 0 {
		cfg.PerSecond = defaultLimit.PerSecond
	}
	if cfg.Burst <= 0 {
		cfg.Burst = defaultLimit.Burst
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "parry"
	}
	endpoints, err := newEndpoints(cfg.Models, readEndpointSettings(cfg.Getenv, cfg.UseFIPS, cfg.UseDualStack))
	if err != nil {
		return nil, err
	}
	return &Client{
		cfg: cfg, endpoints: endpoints, log: cfg.Logger.With("component", "awsapi"), signer: v4.NewSigner(), retry: newRetryPolicy(attemptsFrom(cfg.Getenv)),
		throttle: newThrottle(limits{start: Limit{cfg.PerSecond, cfg.Burst}, own: cfg.Limits}, cfg.Clock.Now), runtimes: map[string]*runtime{}, skews: map[string]time.Duration{},
	}, nil
}

// defaultHTTP follows no redirect: a signed request must not go where a service
// did not expect it, and S3's redirects between regions are answers to read. How
// long an answer may take is a matter of the operation; see attemptLimit.
func defaultHTTP() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout:     60 * time.Second,
			MaxIdleConns:        200,
			MaxIdleConnsPerHost: 20,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		},
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends idle connections.
func (c *Client) Close() { c.cfg.HTTP.CloseIdleConnections() }

// Validate checks a call against its model, as Send does first, without
// sending. The error is a *ParamError, or a fault where the service or the
// operation is unknown.
func (c *Client) Validate(call apimodel.Call) error {
	_, err := c.prepare(call, SendOptions{})
	return err
}

// Send makes one call and gives the parsed answer. Errors: *ParamError (nothing
// was sent), *apimodel.APIError (AWS answered, or the answer was lost), or a
// fault.
func (c *Client) Send(ctx context.Context, creds Credentials, call apimodel.Call) (apimodel.Reply, error) {
	return c.SendWith(ctx, creds, call, SendOptions{})
}

// prepared is a call that was checked, before it is written.
type prepared struct {
	rt     *runtime
	op     *operationRuntime
	input  map[string]any
	region string
	class  apimodel.Class
}

// prepare resolves and checks a call.
func (c *Client) prepare(call apimodel.Call, opts SendOptions) (*prepared, error) {
	s, op, err := c.cfg.Models.Find(call.Service, call.Operation)
	if err != nil {
		return nil, err
	}
	rt, err := c.runtime(s)
	if err != nil {
		return nil, err
	}
	o, err := rt.operation(op)
	if err != nil {
		return nil, err
	}
	p := &prepared{rt: rt, op: o, region: call.Region, class: c.cfg.Models.Classify(s.Name, op.Name)}
	if p.region == "" {
		p.region = c.cfg.Region
	}
	if p.input, err = c.input(s, op, call.Input, opts); err != nil {
		return nil, err
	}
	return p, nil
}

func (c *Client) input(s *apimodel.Service, op *apimodel.Operation, given map[string]any, opts SendOptions) (map[string]any, error) {
	in := make(map[string]any, len(given)+1)
	for k, v := range given {
		in[k] = v
	}
	if opts.CoerceStrings && op.Input != nil {
		if out, ok := coerce(apimodel.Member{Shape: op.Input}, in, 0).(map[string]any); ok {
			in = out
		}
	}
	if err := adaptInput(s, op, in); err != nil {
		return nil, err
	}
	if op.Input != nil {
		for _, m := range op.Input.Members {
			if _, given := in[m.Name]; m.IdempotencyToken && !given {
				in[m.Name] = uuidFrom(c.cfg.IDs)
			}
		}
	}
	return in, validateInput(s, op, in)
}

func (c *Client) runtime(s *apimodel.Service) (*runtime, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.runtimes[s.Name]; r != nil {
		return r, nil
	}
	r, err := newRuntime(s, s.Protocol)
	if err == nil {
		c.runtimes[s.Name] = r
	}
	return r, err
}
