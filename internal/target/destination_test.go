package target_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

const soldEvent = `{"id":"e-1","detail":{"n":7,"id":"a/b c","up":"../admin","back":"..\\admin","dots":"..","line":"a\r\nX-Evil: 1","word":"héllo","empty":""}}`

func parameters(pairs ...string) (out []target.Parameter) {
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, target.Parameter{Key: pairs[i], Value: target.Secret(pairs[i+1])})
	}
	return out
}

func TestRequest(t *testing.T) {
	t.Parallel()
	basic := target.AuthParameters{Basic: &target.BasicAuth{Username: "ada", Password: "pass word"}}
	key := target.AuthParameters{APIKey: &target.APIKeyAuth{Name: "x-api-key", Value: "k"}}
	more := func(a target.AuthParameters, h target.ConnectionHTTP) target.AuthParameters {
		a.Invocation = &h
		return a
	}
	for name, tt := range map[string]struct {
		endpoint, method string
		auth             target.AuthParameters
		params           *target.HTTPParameters
		input            string
		want             target.HTTPRequest
	}{
		"basic": {
			"https://h.example/a", "POST", basic, nil, `{"x":1}`,
			target.HTTPRequest{Method: "POST", URL: "https://h.example/a", Header: map[string]string{"Authorization": "Basic YWRhOnBhc3Mgd29yZA==", "Content-Type": "application/json; charset=utf-8"}, Body: []byte(`{"x":1}`)},
		},
		"a key, dynamic parameters, and the connection wins": {
			"https://h.example/a/*/b/*?z=1&q=0", "PUT",
			more(key, target.ConnectionHTTP{Header: parameters("X-B", "of the connection"), Query: parameters("q", "c&d"), Body: parameters("x", "of \"it\"", "y", "2")}),
			&target.HTTPParameters{
				PathParameterValues: []string{"$.detail.id", "fixed"}, HeaderParameters: map[string]string{"x-n": "$.detail.n", "X-b": "t", "content-type": "text/x"},
				QueryStringParameters: map[string]string{"q": "t", "id": "$.id"},
			}, `{"x":1,"n":12345678901234567890}`,
			target.HTTPRequest{
				Method: "PUT", URL: "https://h.example/a/a%2Fb%20c/b/fixed?id=e-1&q=c%26d&z=1",
				Header: map[string]string{"X-Api-Key": "k", "X-N": "7", "X-B": "of the connection", "Content-Type": "text/x"},
				Body:   []byte(`{"n":12345678901234567890,"x":"of \"it\"","y":"2"}`),
			},
		},
		"no body, and what EventBridge removes": {
			"https://h.example", "GET", more(basic, target.ConnectionHTTP{Header: parameters("Host", "evil", "transfer-encoding", "chunked")}),
			&target.HTTPParameters{HeaderParameters: map[string]string{"User-Agent": "me", "range": "bytes=0-1", "x-forwarded-for": "1"}}, `[1]`,
			target.HTTPRequest{Method: "GET", URL: "https://h.example", Header: map[string]string{"Authorization": "Basic YWRhOnBhc3Mgd29yZA==", "Content-Type": "application/json; charset=utf-8", "X-Forwarded-For": "1"}},
		},
	} {
		d := target.Destination{Name: "d", Endpoint: tt.endpoint, Method: tt.method, Rate: 1}
		if err := d.Validate(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := d.Request(target.Connection{Auth: tt.auth}, tt.params, []byte(soldEvent), []byte(tt.input))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestRequestsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		params *target.HTTPParameters
		more   target.ConnectionHTTP
		input  string
		words  string
	}{
		"a path upwards":       {&target.HTTPParameters{PathParameterValues: []string{"$.detail.up"}}, target.ConnectionHTTP{}, `{}`, "leads out of"},
		"a path back":          {&target.HTTPParameters{PathParameterValues: []string{"$.detail.back"}}, target.ConnectionHTTP{}, `{}`, "leads out of"},
		"dots":                 {&target.HTTPParameters{PathParameterValues: []string{"$.detail.dots"}}, target.ConnectionHTTP{}, `{}`, "leads out of"},
		"an empty path":        {&target.HTTPParameters{PathParameterValues: []string{"$.detail.empty"}}, target.ConnectionHTTP{}, `{}`, "has no value"},
		"nothing found":        {&target.HTTPParameters{PathParameterValues: []string{"$.detail.none"}}, target.ConnectionHTTP{}, `{}`, "has nothing at"},
		"too few":              {nil, target.ConnectionHTTP{}, `{}`, "1 times a *"},
		"too many":             {&target.HTTPParameters{PathParameterValues: []string{"a", "b"}}, target.ConnectionHTTP{}, `{}`, "1 times a *"},
		"a header of lines":    {&target.HTTPParameters{PathParameterValues: []string{"a"}, HeaderParameters: map[string]string{"X": "$.detail.line"}}, target.ConnectionHTTP{}, `{}`, "characters that a header cannot have"},
		"a header of letters":  {&target.HTTPParameters{PathParameterValues: []string{"a"}, HeaderParameters: map[string]string{"X": "$.detail.word"}}, target.ConnectionHTTP{}, `{}`, "characters that a header cannot have"},
		"no query":             {&target.HTTPParameters{PathParameterValues: []string{"a"}, QueryStringParameters: map[string]string{"x": "$.none"}}, target.ConnectionHTTP{}, `{}`, "query string parameter x"},
		"a body that is no {}": {&target.HTTPParameters{PathParameterValues: []string{"a"}}, target.ConnectionHTTP{Body: parameters("a", "b")}, `"text"`, "no JSON object"},
		"a body that is null":  {&target.HTTPParameters{PathParameterValues: []string{"a"}}, target.ConnectionHTTP{Body: parameters("a", "b")}, `null`, "no JSON object"},
		"too long an address":  {&target.HTTPParameters{PathParameterValues: []string{strings.Repeat("x", 9000)}}, target.ConnectionHTTP{}, `{}`, "more than 8192 bytes"},
	} {
		d := target.Destination{Name: "d", Endpoint: "https://h.example/a/*", Method: "POST", Rate: 1}
		_, err := d.Request(target.Connection{Auth: target.AuthParameters{Invocation: &tt.more}}, tt.params, []byte(soldEvent), []byte(tt.input))
		if err == nil || !fault.IsTerminal(err) || !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for text, words := range map[string]string{
		"h.example/a": "not an address", "https://": "not an address", "https://a:b@h.example/": "must not hold a user name", "ftp://h.example/": "begin with https://",
		"https://h.example/#a": "fragment", "https://*.example/": "must not have a *", "https://h.example/a?*": "", "https://h.example/*/x": "",
		"https:h.example": "not an address",
	} {
		err := target.Destination{Endpoint: text, Rate: 300}.Validate()
		if (err == nil) != (words == "") || err != nil && !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v; want %q", text, err, words)
		}
	}
	for _, rate := range []int{-1, 0, 301} {
		if err := (target.Destination{Endpoint: "https://h.example", Rate: rate}).Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("rate %d: %v", rate, err)
		}
	}
	if err := target.CheckEndpoint("X", "https://h.example/*", false); err == nil {
		t.Error("a star was taken")
	}
}

func TestConnectionsValidated(t *testing.T) {
	t.Parallel()
	oauth := func(change func(*target.OAuth)) *target.OAuth {
		o := &target.OAuth{Client: target.OAuthClient{ID: "i", Secret: "s"}, Endpoint: "https://h.example/token", Method: "POST"}
		change(o)
		return o
	}
	for name, tt := range map[string]struct {
		kind  string
		auth  target.AuthParameters
		words string
	}{
		"basic":         {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}}, ""},
		"no password":   {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a"}}, "needs BasicAuthParameters"},
		"another type":  {target.AuthBasic, target.AuthParameters{APIKey: &target.APIKeyAuth{Name: "a", Value: "b"}}, "does not go with parameters of API_KEY"},
		"nothing":       {target.AuthAPIKey, target.AuthParameters{}, "needs ApiKeyAuthParameters"},
		"no header":     {target.AuthAPIKey, target.AuthParameters{APIKey: &target.APIKeyAuth{Name: "a b", Value: "b"}}, "cannot be sent as a header"},
		"framing":       {target.AuthAPIKey, target.AuthParameters{APIKey: &target.APIKeyAuth{Name: "content-length", Value: "1"}}, "cannot be sent as a header"},
		"oauth":         {target.AuthOAuth, target.AuthParameters{OAuth: oauth(func(*target.OAuth) {})}, ""},
		"no secret":     {target.AuthOAuth, target.AuthParameters{OAuth: oauth(func(o *target.OAuth) { o.Client.Secret = "" })}, "needs OAuthParameters"},
		"no server":     {target.AuthOAuth, target.AuthParameters{OAuth: oauth(func(o *target.OAuth) { o.Endpoint = "x" })}, "AuthorizationEndpoint is not an address"},
		"a star":        {target.AuthOAuth, target.AuthParameters{OAuth: oauth(func(o *target.OAuth) { o.Endpoint += "/*" })}, "must not have a *"},
		"private":       {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}, Connectivity: []byte(`{}`)}, "ConnectivityParameters is not served"},
		"twice":         {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}, Invocation: &target.ConnectionHTTP{Header: parameters("x-a", "1", "X-A", "2")}}, "twice"},
		"no value":      {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}, Invocation: &target.ConnectionHTTP{Query: parameters("x", "")}}, "without Key or Value"},
		"a large body":  {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}, Invocation: &target.ConnectionHTTP{Body: parameters("x", strings.Repeat("x", 64<<10))}}, "at most 65536 bytes"},
		"a long name":   {target.AuthBasic, target.AuthParameters{Basic: &target.BasicAuth{Username: "a", Password: "b"}, Invocation: &target.ConnectionHTTP{Body: parameters(strings.Repeat("x", 513), "x")}}, "more than 512"},
		"of the server": {target.AuthOAuth, target.AuthParameters{OAuth: oauth(func(o *target.OAuth) { o.HTTP = &target.ConnectionHTTP{Query: parameters("", "x")} })}, "without Key or Value"},
	} {
		err := target.Connection{Type: tt.kind, Auth: tt.auth}.Validate()
		if (err == nil) != (tt.words == "") || err != nil && !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSecretsAreNotShown: neither JSON nor any verb prints one; Secrets alone has them.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	const given = `{"BasicAuthParameters":{"Username":"ada","Password":"hush-1"},"ApiKeyAuthParameters":{"ApiKeyName":"n","ApiKeyValue":"hush-2"},
		"OAuthParameters":{"ClientParameters":{"ClientID":"i","ClientSecret":"hush-3"},"AuthorizationEndpoint":"https://h.example","HttpMethod":"POST",
			"OAuthHttpParameters":{"BodyParameters":[{"Key":"scope","Value":"all"},{"Key":"b","Value":"hush-4","IsValueSecret":true}]}},
		"InvocationHttpParameters":{"HeaderParameters":[{"Key":"h","Value":"hush-5","IsValueSecret":true},{"Key":"open","Value":"seen"}],"QueryStringParameters":[{"Key":"q","Value":"hush-6","IsValueSecret":true}]}}`
	var a target.AuthParameters
	if err := json.Unmarshal([]byte(given), &a); err != nil {
		t.Fatal(err)
	}
	shown, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	secrets := a.Secrets()
	c := target.Connection{Name: "c", Auth: a}
	for _, text := range []string{string(shown), fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", *a.Basic, *a.APIKey, a.OAuth.Client), fmt.Sprintf("%v %+v", a.Invocation.Header, a.OAuth.HTTP.Body)} {
		if strings.Contains(text, "hush-") {
			t.Errorf("a secret is shown: %s", text)
		}
	}
	if !strings.Contains(string(shown), `"Value":"seen"`) || !strings.Contains(string(shown), `"Value":"all"`) || !strings.Contains(string(shown), `{"Key":"h","IsValueSecret":true}`) || strings.Contains(string(shown), "Password") {
		t.Errorf("shown: %s", shown)
	}
	var back target.AuthParameters
	if err := json.Unmarshal(shown, &back); err != nil {
		t.Fatal(err)
	}
	back.Restore(secrets)
	if diff := cmp.Diff(a, back); diff != "" || len(secrets) != 6 {
		t.Errorf("%d secrets; %s", len(secrets), diff)
	}
}

func TestWith(t *testing.T) {
	t.Parallel()
	was := target.AuthParameters{
		Basic: &target.BasicAuth{Username: "ada", Password: "p"}, APIKey: &target.APIKeyAuth{Name: "n", Value: "v"},
		OAuth: &target.OAuth{Client: target.OAuthClient{ID: "i", Secret: "s"}, Endpoint: "https://e", Method: "GET"}, Invocation: &target.ConnectionHTTP{Header: parameters("a", "b")},
	}
	got := was.With(target.AuthParameters{
		Basic: &target.BasicAuth{Password: "q"}, APIKey: &target.APIKeyAuth{Name: "m"}, OAuth: &target.OAuth{Method: "POST", HTTP: &target.ConnectionHTTP{}},
		Invocation: &target.ConnectionHTTP{Query: parameters("c", "d")},
	})
	want := target.AuthParameters{
		Basic: &target.BasicAuth{Username: "ada", Password: "q"}, APIKey: &target.APIKeyAuth{Name: "m", Value: "v"},
		OAuth:      &target.OAuth{Client: target.OAuthClient{ID: "i", Secret: "s"}, Endpoint: "https://e", Method: "POST", HTTP: &target.ConnectionHTTP{}},
		Invocation: &target.ConnectionHTTP{Query: parameters("c", "d")},
	}
	if diff := cmp.Diff(want, got); diff != "" || was.Basic.Password != "p" {
		t.Error(diff)
	}
	if only := got.Only(target.AuthBasic); only.APIKey != nil || only.OAuth != nil || only.Basic == nil || only.Invocation == nil {
		t.Errorf("%+v", only)
	}
}

// FuzzRequest: whatever an event says, the call goes to the endpoint's host, below its path,
// with headers that are headers.
func FuzzRequest(f *testing.F) {
	f.Add("a", "b", "c", `{"x":1}`)
	f.Add("../..", "x\r\ny: z", "&d=1#", `"text"`)
	f.Add("..%2f", "\u2028", "%", `null`)
	f.Fuzz(func(t *testing.T, path, header, query, input string) {
		event, err := json.Marshal(map[string]string{"p": path, "h": header, "q": query})
		if err != nil {
			return
		}
		d := target.Destination{Endpoint: "https://h.example/base/*/end?fixed=1", Method: http.MethodPost, Rate: 1}
		r, err := d.Request(target.Connection{Auth: target.AuthParameters{Invocation: &target.ConnectionHTTP{Body: parameters("k", "v")}}}, &target.HTTPParameters{
			PathParameterValues: []string{"$.p"}, HeaderParameters: map[string]string{"X-H": "$.h"}, QueryStringParameters: map[string]string{"q": "$.q"},
		}, event, []byte(input))
		if err != nil {
			if !fault.IsTerminal(err) {
				t.Errorf("not terminal: %v", err)
			}
			return
		}
		u, err := url.Parse(r.URL)
		if err != nil || u.Host != "h.example" || u.Fragment != "" || u.Query().Get("fixed") != "1" || len(u.Query()) != 2 || strings.Count(u.EscapedPath(), "/") != 3 || !strings.HasSuffix(u.EscapedPath(), "/end") {
			t.Errorf("it goes to %s: %v", r.URL, err)
		}
		for name, v := range r.Header {
			if textproto.TrimString(v) == "" && v != "" || strings.ContainsAny(v, "\r\n\x00") || target.ReservedHeader(name) {
				t.Errorf("header %s: %q", name, v)
			}
		}
		var body map[string]any
		if json.Unmarshal(r.Body, &body) != nil || body["k"] != "v" {
			t.Errorf("body %s", r.Body)
		}
	})
}
