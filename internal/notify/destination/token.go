package destination

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/target"
)

const (
	// margin is how long before its end a token is not used any more, as in AWS.
	margin = time.Minute
	// unsaid is how long a token is used whose end the server does not say, maxLife how
	// long any.
	unsaid, maxLife = time.Hour, 24 * time.Hour
	maxGrant        = 64 << 10 // bytes of a server's answer
	maxToken        = 16 << 10
	opToken         = "ask for a token"
)

// holder keeps a connection's token.
type holder struct {
	version string
	value   target.Secret
	until   time.Time
	asking  *asking
}

// asking is a request for a token that others wait for.
type asking struct {
	done  chan struct{}
	value target.Secret
	err   error
}

// Authorize asks for a token where the connection needs one, to see whether it gets one. For
// other types there is nothing to try.
func (s *Sender) Authorize(ctx context.Context, c target.Connection) error {
	if c.Auth.OAuth == nil {
		return nil
	}
	_, _, err := s.ask(ctx, c)
	return err
}

// token gives the token of a connection, and whether it was asked for just now. One that
// is stale is not given again.
func (s *Sender) token(ctx context.Context, c target.Connection, stale target.Secret) (value target.Secret, fresh bool, err error) {
	s.mu.Lock()
	h := s.tokens[c.ARN]
	if h == nil || h.version != c.Version {
		h = &holder{version: c.Version}
		s.tokens[c.ARN] = h
	}
	if h.value != "" && h.value != stale && s.clock.Now().Before(h.until) {
		s.mu.Unlock()
		return h.value, false, nil
	}
	if a := h.asking; a != nil {
		s.mu.Unlock()
		select {
		case <-a.done:
			return a.value, true, a.err
		case <-ctx.Done():
			return "", false, fault.Transient(fault.E(fault.Unavailable, opToken, context.Cause(ctx)), 0)
		}
	}
	a := &asking{done: make(chan struct{})}
	h.asking = a
	s.mu.Unlock()
	a.err = fault.Transient(fault.Errorf(fault.Internal, opToken, "asking broke off"), 0) // unless it ends
	var life time.Duration
	defer func() { // also when it panics: nobody may wait for ever
		s.mu.Lock()
		h.value, h.until, h.asking = a.value, s.clock.Now().Add(life), nil
		s.mu.Unlock()
		close(a.done)
	}()
	a.value, life, a.err = s.ask(ctx, c)
	return a.value, true, a.err
}

// forget drops a token that was refused.
func (s *Sender) forget(c target.Connection, token target.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.tokens[c.ARN]; h != nil && h.value == token {
		h.value = ""
	}
}

// Keep drops the tokens of connections that are not in force.
func (s *Sender) Keep(inForce func(arn, version string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.tokens, func(arn string, h *holder) bool { return !inForce(arn, h.version) })
}

// ask gets a token from the connection's authorization server, and says how long it may be
// used.
func (s *Sender) ask(ctx context.Context, c target.Connection) (target.Secret, time.Duration, error) {
	req, err := tokenRequest(ctx, c.Auth.OAuth)
	if err != nil {
		return "", 0, fault.Terminal(err)
	}
	res, err := s.exchange(req)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxGrant+1))
	if err != nil || len(raw) > maxGrant {
		return "", 0, fault.Transient(fault.Errorf(fault.Unavailable, opToken, "the answer of %s ended early or is too long", req.URL.Host), 0)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return "", 0, s.noToken(req.URL.Host, res, raw)
	}
	return readToken(req.URL.Host, raw)
}

// tokenRequest is that of RFC 6749 section 4.4.2. The client is named by HTTP Basic, as
// section 2.3.1 has it, unless the parameters name it themselves.
func tokenRequest(ctx context.Context, o *target.OAuth) (*http.Request, error) {
	more := o.HTTP
	if more == nil {
		more = &target.ConnectionHTTP{}
	}
	form, query := url.Values{}, url.Values{}
	for to, list := range map[*url.Values][]target.Parameter{&form: more.Body, &query: more.Query} {
		for _, p := range list {
			to.Set(p.Key, string(p.Value))
		}
	}
	named := form.Has("client_id") || form.Has("client_secret") || query.Has("client_id") || query.Has("client_secret")
	if !form.Has("grant_type") && !query.Has("grant_type") {
		form.Set("grant_type", "client_credentials")
	}
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, opToken, "the authorization endpoint cannot be read")
	}
	all := u.Query()
	merge(all, query)
	var body io.Reader
	if o.Method == http.MethodGet {
		merge(all, form)
	} else {
		body = strings.NewReader(form.Encode())
	}
	u.RawQuery = all.Encode()
	req, err := http.NewRequestWithContext(ctx, o.Method, u.String(), body)
	if err != nil {
		return nil, fault.Errorf(fault.Invalid, opToken, "the authorization endpoint cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if !named {
		req.SetBasicAuth(url.QueryEscape(o.Client.ID), url.QueryEscape(string(o.Client.Secret)))
	}
	for _, h := range more.Header {
		if !target.ReservedHeader(h.Key) {
			req.Header.Set(h.Key, string(h.Value))
		}
	}
	return req, nil
}

func merge(to, from url.Values) {
	for name, values := range from {
		to[name] = values
	}
}

// errorCode is what RFC 6749 section 5.2 has for "error"; nothing else that a server
// says is repeated.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// noToken words a refusal.
func (s *Sender) noToken(host string, res *http.Response, raw []byte) error {
	var said struct {
		Error string `json:"error"`
	}
	why := ""
	if json.Unmarshal(raw, &said) == nil && errorCode.MatchString(said.Error) {
		why = " (" + said.Error + ")"
	}
	code := fault.Unavailable
	if res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
		code = fault.Denied
	}
	return fault.Transient(fault.Errorf(code, opToken, "the authorization server %s answered %d%s", host, res.StatusCode, why).
		WithHint("give the connection other credentials: aws events update-connection"), webhook.Wait(res.Header, s.clock.Now()))
}

func readToken(host string, raw []byte) (target.Secret, time.Duration, error) {
	var got struct {
		Token   string  `json:"access_token"`
		Type    string  `json:"token_type"`
		Expires float64 `json:"expires_in"`
	}
	printable := func(r rune) bool { return r <= ' ' || r > '~' }
	switch err := json.Unmarshal(raw, &got); {
	case err != nil || got.Token == "" || len(got.Token) > maxToken || strings.ContainsFunc(got.Token, printable):
		return "", 0, fault.Transient(fault.Errorf(fault.Denied, opToken, "the authorization server %s answered with no token", host), 0)
	case got.Type != "" && !strings.EqualFold(got.Type, "Bearer"):
		return "", 0, fault.Transient(fault.Errorf(fault.Denied, opToken, "the authorization server %s gave a token of another type than Bearer", host), 0)
	}
	life := unsaid
	if got.Expires > 0 {
		life = time.Duration(min(got.Expires, maxLife.Seconds()) * float64(time.Second))
	}
	return target.Secret(got.Token), life - margin, nil
}
