package target

import (
	"encoding/base64"
	"encoding/json"
	"net/textproto"
	"net/url"
	"strings"
	"time"
)

// The limits of API destinations.
const (
	DefaultInvocationRate = 300     // a second, as AWS
	MaxInvocationRate     = 300     // as AWS's default quota
	maxAddress            = 8 << 10 // bytes of an address with its parameters
	maxDynamic            = 8 << 10 // bytes of a header
)

// Requests of these methods have no body: RFC 9110 gives it no meaning there.
const methodGet, methodHead = "GET", "HEAD"

// Destination is an HTTP endpoint that events are sent to. In its path * stands for the
// path parameters of whichever target it is.
type Destination struct {
	Name          string    `json:"-"`
	CreatedAt     time.Time `json:"-"`
	ARN           string    `json:"arn"`
	Description   string    `json:"description,omitempty"`
	ConnectionARN string    `json:"connectionArn"`
	Endpoint      string    `json:"endpoint"`
	Method        string    `json:"method"`
	Rate          int       `json:"rate"` // calls a second
	ModifiedAt    time.Time `json:"modifiedAt,omitzero"`
}

// Validate checks what the API's model does not express.
func (d Destination) Validate() error {
	if d.Rate < 1 || d.Rate > MaxInvocationRate {
		return invalid("InvocationRateLimitPerSecond is %d, outside 1 to %d.", d.Rate, MaxInvocationRate)
	}
	return CheckEndpoint("InvocationEndpoint", d.Endpoint, true)
}

// Takes checks that a target has a value for every * of the endpoint, and no other.
func (d Destination) Takes(p *HTTPParameters) error {
	want, have := strings.Count(d.path(), "*"), 0
	if p != nil {
		have = len(p.PathParameterValues)
	}
	if want != have {
		return invalid("the endpoint of API destination %s has %d times a * in its path, and the target %d PathParameterValues", d.Name, want, have)
	}
	return nil
}

func (d Destination) path() string {
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return "" // Validate has refused it
	}
	return u.EscapedPath()
}

// HTTPRequest is one call. It holds secrets: nothing of it is shown.
type HTTPRequest struct {
	Method, URL string
	Header      map[string]string // by canonical name
	Body        []byte
}

// Request gives the call that delivers an event. input is what the target's input makes of
// it; paths of parameters are looked up in the event itself. What the connection says wins
// over what the target says. The token of an OAuth connection is for the sender to add.
// What is wrong with the event's own values is terminal.
func (d Destination) Request(c Connection, p *HTTPParameters, event, input []byte) (HTTPRequest, error) {
	if p == nil {
		p = &HTTPParameters{}
	}
	if err := d.Takes(p); err != nil {
		return HTTPRequest{}, refused("%w", err)
	}
	r := HTTPRequest{Method: d.Method, Header: map[string]string{"Content-Type": "application/json; charset=utf-8"}}
	var err error
	if r.URL, err = d.address(c.Auth.Invocation, p, event); err != nil {
		return r, err
	}
	if err = r.headers(c.Auth, p, event); err != nil {
		return r, err
	}
	if d.Method != methodGet && d.Method != methodHead {
		r.Body, err = withBody(input, c.Auth.Invocation)
	}
	return r, err
}

// address fills the path and adds to the query string.
func (d Destination) address(more *ConnectionHTTP, p *HTTPParameters, event []byte) (string, error) {
	u, err := url.Parse(d.Endpoint)
	if err != nil {
		return "", refused("the endpoint is not an address")
	}
	parts := strings.Split(u.EscapedPath(), "*")
	path := parts[0]
	for i, v := range p.PathParameterValues {
		value, err := Dynamic(v, event)
		if err != nil || value == "" {
			return "", refused("path parameter %d has no value: %w", i+1, orEmpty(err))
		}
		path += url.PathEscape(value) + parts[i+1]
	}
	// A value must not lead to another path than the one that was meant, also where a
	// receiver decodes it first.
	plain, err := url.PathUnescape(path)
	if err != nil {
		return "", refused("the path cannot be read")
	}
	for _, segment := range strings.FieldsFunc(plain, func(c rune) bool { return c == '/' || c == '\\' }) {
		if segment == "." || segment == ".." {
			return "", refused("a path parameter leads out of the endpoint's path")
		}
	}
	query := u.Query()
	for name, v := range p.QueryStringParameters {
		value, err := Dynamic(v, event)
		if err != nil {
			return "", refused("query string parameter %s: %w", name, err)
		}
		query.Set(name, value)
	}
	if more != nil {
		for _, q := range more.Query {
			query.Set(q.Key, string(q.Value))
		}
	}
	address := u.Scheme + "://" + u.Host + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	if len(address) > maxAddress {
		return "", refused("the address with its parameters has more than %d bytes", maxAddress)
	}
	return address, nil
}

// headers sets what target and connection say, and who calls.
func (r *HTTPRequest) headers(a AuthParameters, p *HTTPParameters, event []byte) error {
	for name, v := range p.HeaderParameters {
		value, err := Dynamic(v, event)
		if err != nil {
			return refused("header %s: %w", name, err)
		}
		if err := r.header(name, value); err != nil {
			return err
		}
	}
	if a.Invocation != nil {
		for _, h := range a.Invocation.Header {
			if err := r.header(h.Key, string(h.Value)); err != nil {
				return err
			}
		}
	}
	switch {
	case a.Basic != nil:
		r.Header["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Basic.Username+":"+string(a.Basic.Password)))
	case a.APIKey != nil:
		return r.header(a.APIKey.Name, string(a.APIKey.Value))
	}
	return nil
}

func (r *HTTPRequest) header(name, value string) error {
	name = textproto.CanonicalMIMEHeaderKey(name)
	if ReservedHeader(name) {
		return nil
	}
	if !headerName.MatchString(name) || len(value) > maxDynamic || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c > '~' }) {
		return refused("header %s has characters that a header cannot have, or more than %d bytes", name, maxDynamic)
	}
	r.Header[name] = value
	return nil
}

// withBody puts the connection's body parameters into what is sent.
func withBody(input []byte, more *ConnectionHTTP) ([]byte, error) {
	if more == nil || len(more.Body) == 0 {
		return input, nil
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(input, &members); err != nil || members == nil {
		return nil, refused("the connection has body parameters, and what is sent is no JSON object to put them into")
	}
	for _, b := range more.Body {
		value, err := json.Marshal(string(b.Value))
		if err != nil {
			return nil, refused("body parameter %s cannot be written", b.Key)
		}
		members[b.Key] = value
	}
	return json.Marshal(members)
}

// errEmpty is why a path parameter is refused whose path found an empty text.
type errEmpty struct{}

func (errEmpty) Error() string { return "it is empty" }

func orEmpty(err error) error {
	if err == nil {
		return errEmpty{}
	}
	return err
}
