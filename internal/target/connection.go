package target

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The authorization types of connections.
const (
	AuthBasic  = "BASIC"
	AuthAPIKey = "API_KEY"
	AuthOAuth  = "OAUTH_CLIENT_CREDENTIALS"
)

// The states of connections that are true here: nothing is under way after an answer.
// Deleting is what the answer to a deletion says, as in AWS.
const (
	Authorized   = "AUTHORIZED"
	Deauthorized = "DEAUTHORIZED"
	Deleting     = "DELETING"
)

// Connection says how API destinations are called: who calls, and what every call has.
type Connection struct {
	Name         string         `json:"-"`
	Version      string         `json:"-"` // another one after every change
	CreatedAt    time.Time      `json:"-"`
	ARN          string         `json:"arn"`
	Description  string         `json:"description,omitempty"`
	Type         string         `json:"type"`
	Auth         AuthParameters `json:"auth"`
	State        string         `json:"state"`
	Reason       string         `json:"reason,omitempty"`
	ModifiedAt   time.Time      `json:"modifiedAt,omitzero"`
	AuthorizedAt time.Time      `json:"authorizedAt,omitzero"`
}

// Secret is a text that is left out of JSON and prints as "[redacted]".
type Secret string

const redacted = "[redacted]"

// String prints "[redacted]", also under %s and %v.
func (Secret) String() string { return redacted }

// GoString prints "[redacted]" under %#v.
func (Secret) GoString() string { return redacted }

// MarshalText prints "[redacted]" in logs, and in JSON where IsZero is not asked.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// IsZero has every secret left out of JSON.
func (Secret) IsZero() bool { return true }

// AuthParameters are what a connection authorizes with. Read from JSON they are AWS's of
// CreateConnection; written they are those of DescribeConnection, without any secret.
type AuthParameters struct {
	Basic      *BasicAuth      `json:"BasicAuthParameters,omitempty"`
	APIKey     *APIKeyAuth     `json:"ApiKeyAuthParameters,omitempty"`
	OAuth      *OAuth          `json:"OAuthParameters,omitempty"`
	Invocation *ConnectionHTTP `json:"InvocationHttpParameters,omitempty"`
	// Connectivity is to a private network, which is refused.
	Connectivity jsontext.Value `json:"ConnectivityParameters,omitempty"`
}

// BasicAuth is a name and a password.
type BasicAuth struct {
	Username string `json:"Username,omitempty"`
	Password Secret `json:"Password,omitzero"`
}

// APIKeyAuth is a header.
type APIKeyAuth struct {
	Name  string `json:"ApiKeyName,omitempty"`
	Value Secret `json:"ApiKeyValue,omitzero"`
}

// OAuth is where a token is had, and by whom (RFC 6749 section 4.4).
type OAuth struct {
	Client   OAuthClient     `json:"ClientParameters,omitzero"`
	Endpoint string          `json:"AuthorizationEndpoint,omitempty"`
	Method   string          `json:"HttpMethod,omitempty"`
	HTTP     *ConnectionHTTP `json:"OAuthHttpParameters,omitempty"`
}

// OAuthClient is who asks for a token.
type OAuthClient struct {
	ID     string `json:"ClientID,omitempty"`
	Secret Secret `json:"ClientSecret,omitzero"`
}

// ConnectionHTTP is what a request has beside who sends it.
type ConnectionHTTP struct {
	Header []Parameter `json:"HeaderParameters,omitempty"`
	Query  []Parameter `json:"QueryStringParameters,omitempty"`
	Body   []Parameter `json:"BodyParameters,omitempty"`
}

// Parameter is a name with its value.
type Parameter struct {
	Key           string
	Value         Secret
	IsValueSecret bool
}

// MarshalJSON leaves out a value that is secret.
func (p Parameter) MarshalJSON() ([]byte, error) {
	shown := struct {
		Key           string  `json:"Key"`
		Value         *string `json:"Value,omitempty"`
		IsValueSecret bool    `json:"IsValueSecret"`
	}{Key: p.Key, IsValueSecret: p.IsValueSecret}
	if !p.IsValueSecret {
		shown.Value = (*string)(&p.Value)
	}
	return json.Marshal(shown)
}

// Secrets gives what JSON leaves out, by place: to be sealed, and for nothing else.
func (a *AuthParameters) Secrets() map[string]string {
	out := map[string]string{}
	a.each(func(place string, s *Secret) {
		if *s != "" {
			out[place] = string(*s)
		}
	})
	return out
}

// Restore puts back what Secrets gave.
func (a *AuthParameters) Restore(secrets map[string]string) {
	a.each(func(place string, s *Secret) { *s = Secret(secrets[place]) })
}

// each visits every place that holds a secret.
func (a *AuthParameters) each(visit func(place string, s *Secret)) {
	if a.Basic != nil {
		visit("basic", &a.Basic.Password)
	}
	if a.APIKey != nil {
		visit("api-key", &a.APIKey.Value)
	}
	if a.OAuth != nil {
		visit("oauth", &a.OAuth.Client.Secret)
		a.OAuth.HTTP.each("oauth", visit)
	}
	a.Invocation.each("invocation", visit)
}

func (h *ConnectionHTTP) each(place string, visit func(place string, s *Secret)) {
	if h == nil {
		return
	}
	for part, list := range map[string][]Parameter{"header": h.Header, "query": h.Query, "body": h.Body} {
		for i := range list {
			if list[i].IsValueSecret {
				visit(fmt.Sprintf("%s/%s/%d", place, part, i), &list[i].Value)
			}
		}
	}
}

// With gives a with the members that more names, for a connection of a type: what an
// update leaves out stays as it is, lists of parameters are replaced whole.
func (a AuthParameters) With(more AuthParameters) AuthParameters {
	if more.Basic != nil {
		next := or(a.Basic)
		set(&next.Username, more.Basic.Username)
		set(&next.Password, more.Basic.Password)
		a.Basic = &next
	}
	if more.APIKey != nil {
		next := or(a.APIKey)
		set(&next.Name, more.APIKey.Name)
		set(&next.Value, more.APIKey.Value)
		a.APIKey = &next
	}
	if more.OAuth != nil {
		next := or(a.OAuth)
		set(&next.Client.ID, more.OAuth.Client.ID)
		set(&next.Client.Secret, more.OAuth.Client.Secret)
		set(&next.Endpoint, more.OAuth.Endpoint)
		set(&next.Method, more.OAuth.Method)
		if more.OAuth.HTTP != nil {
			next.HTTP = more.OAuth.HTTP
		}
		a.OAuth = &next
	}
	if more.Invocation != nil {
		a.Invocation = more.Invocation
	}
	a.Connectivity = more.Connectivity
	return a
}

// Only gives the members of a that a connection of a type has.
func (a AuthParameters) Only(kind string) AuthParameters {
	out := AuthParameters{Invocation: a.Invocation}
	switch kind {
	case AuthBasic:
		out.Basic = a.Basic
	case AuthAPIKey:
		out.APIKey = a.APIKey
	case AuthOAuth:
		out.OAuth = a.OAuth
	}
	return out
}

// or gives a copy of what p points to.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func set[T ~string](to *T, v T) {
	if v != "" {
		*to = v
	}
}
