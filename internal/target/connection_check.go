package target

import (
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

// MaxAuthParameters bounds a connection's parameters in all, in bytes: as the secret in
// AWS Secrets Manager that AWS keeps them in.
const MaxAuthParameters = 64 << 10

// maxHTTPParameters bounds a list of parameters, as AWS's model.
const maxHTTPParameters = 100

// Validate checks what a connection of its type needs to call anything.
func (c Connection) Validate() error {
	a := c.Auth
	if len(a.Connectivity) > 0 {
		return invalid("ConnectivityParameters is not served: Parry reaches no private network by VPC Lattice.").
			WithHint("leave it out; Parry calls private addresses itself where webhooks.allow_private of parry.yaml is set")
	}
	if err := a.suits(c.Type); err != nil {
		return err
	}
	size := 0
	if a.OAuth != nil {
		if err := CheckEndpoint("AuthorizationEndpoint", a.OAuth.Endpoint, false); err != nil {
			return err
		}
		if err := a.OAuth.HTTP.validate("OAuthHttpParameters", &size); err != nil {
			return err
		}
	}
	if a.APIKey != nil && (!headerName.MatchString(a.APIKey.Name) || ReservedHeader(a.APIKey.Name)) {
		return invalid("ApiKeyName %q cannot be sent as a header.", a.APIKey.Name)
	}
	if err := a.Invocation.validate("InvocationHttpParameters", &size); err != nil {
		return err
	}
	if size > MaxAuthParameters {
		return invalid("The parameters of a connection have at most %d bytes together.", MaxAuthParameters)
	}
	return nil
}

// suits checks that a has what a type authorizes with, all of it, and nothing of others.
func (a AuthParameters) suits(kind string) error {
	whole := map[string]bool{
		AuthBasic:  a.Basic != nil && a.Basic.Username != "" && a.Basic.Password != "",
		AuthAPIKey: a.APIKey != nil && a.APIKey.Name != "" && a.APIKey.Value != "",
		AuthOAuth:  a.OAuth != nil && a.OAuth.Client.ID != "" && a.OAuth.Client.Secret != "" && a.OAuth.Endpoint != "" && a.OAuth.Method != "",
	}
	names := map[string]string{
		AuthBasic: "BasicAuthParameters with Username and Password", AuthAPIKey: "ApiKeyAuthParameters with ApiKeyName and ApiKeyValue",
		AuthOAuth: "OAuthParameters with ClientID, ClientSecret, AuthorizationEndpoint and HttpMethod",
	}
	given := map[string]bool{AuthBasic: a.Basic != nil, AuthAPIKey: a.APIKey != nil, AuthOAuth: a.OAuth != nil}
	for other, is := range given {
		if is && other != kind {
			return invalid("AuthorizationType %s does not go with parameters of %s.", kind, other)
		}
	}
	if !whole[kind] {
		return invalid("AuthorizationType %s needs %s.", kind, names[kind])
	}
	return nil
}

func (h *ConnectionHTTP) validate(name string, size *int) error {
	if h == nil {
		return nil
	}
	for part, list := range map[string][]Parameter{"HeaderParameters": h.Header, "QueryStringParameters": h.Query, "BodyParameters": h.Body} {
		if len(list) > maxHTTPParameters {
			return invalid("%s of %s has more than %d entries.", part, name, maxHTTPParameters)
		}
		seen := map[string]bool{}
		for _, p := range list {
			key := p.Key
			if part == "HeaderParameters" {
				key = textproto.CanonicalMIMEHeaderKey(key)
			}
			switch {
			case p.Key == "" || p.Value == "":
				return invalid("%s of %s has an entry without Key or Value.", part, name).WithHint("values that are secret have to be given again")
			case utf8.RuneCountInString(p.Key) > MaxParameter:
				return invalid("%s of %s has a Key of more than %d characters.", part, name, MaxParameter)
			case seen[key]:
				return invalid("%s of %s has the Key %s twice.", part, name, p.Key)
			}
			seen[key] = true
			*size += len(p.Key) + len(p.Value)
		}
	}
	return nil
}

// CheckEndpoint checks an address that is to be called. stars says whether its path may
// have parameters. Whether it may be called is not asked here.
func CheckEndpoint(member, text string, stars bool) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return invalid("%s is not an address.", member).WithHint("write https://HOST/PATH")
	case u.Scheme != "https" && u.Scheme != "http":
		return invalid("%s has to begin with https://.", member)
	case u.User != nil:
		return invalid("%s must not hold a user name.", member).WithHint("use a connection of the type BASIC")
	case u.Fragment != "":
		return invalid("%s must not have a fragment.", member)
	case strings.Contains(u.Host, "*"), !stars && strings.Contains(u.EscapedPath(), "*"):
		return invalid("%s must not have a * there.", member).WithHint("parameters stand in the path of an API destination's endpoint")
	}
	return nil
}

// reservedHeaders are those that EventBridge sets itself or removes (EventBridge User
// Guide, "Headers in requests to API destinations"), and those of a connection's framing.
var reservedHeaders = []string{
	"A-Im", "Accept-Charset", "Accept-Datetime", "Accept-Encoding", "Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Md5", "Date", "Expect",
	"Forwarded", "From", "Host", "Http2-Settings", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Max-Forwards", "Origin", "Pragma",
	"Proxy-Authorization", "Proxy-Connection", "Range", "Referer", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "Warning",
}

// ReservedHeader reports whether a header is removed from what people give.
func ReservedHeader(name string) bool {
	return slices.Contains(reservedHeaders, textproto.CanonicalMIMEHeaderKey(name))
}

// refused is a delivery that no repetition mends.
func refused(format string, args ...any) error {
	return fault.Terminal(fault.Errorf(fault.Invalid, "call API destination", format, args...))
}
