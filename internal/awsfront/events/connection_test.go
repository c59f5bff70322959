package events_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/awsfront/events"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/target"
)

// reach is what connections reach: example.com, where the client "no" gets no token.
type reach struct{}

func (reach) Allowed(address string) error {
	if strings.HasPrefix(address, "https://example.com/") {
		return nil
	}
	return fault.Errorf(fault.Denied, "", "not among the hosts that may be called").WithHint("list it under webhooks.hosts in parry.yaml")
}

func (reach) Authorize(_ context.Context, c target.Connection) error {
	if o := c.Auth.OAuth; o != nil && o.Client.ID == "no" {
		return errors.New("example.com answered 401")
	}
	return nil
}

// described gives an answer without what changes from run to run.
func described(t *testing.T, o object) object {
	t.Helper()
	for _, name := range []string{"CreationTime", "LastModifiedTime", "LastAuthorizedTime"} {
		if _, ok := o[name].(float64); ok {
			o[name] = "a time"
		}
	}
	return o
}

func TestConnections(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	const extra = `"InvocationHttpParameters":{"HeaderParameters":[{"Key":"x-a","Value":"seen"},{"Key":"x-b","Value":"hush-b","IsValueSecret":true}],` +
		`"QueryStringParameters":[{"Key":"q","Value":"hush-q","IsValueSecret":true}],"BodyParameters":[{"Key":"b","Value":"shown","IsValueSecret":false}]}`
	shown := object{
		"HeaderParameters":      []any{object{"Key": "x-a", "Value": "seen", "IsValueSecret": false}, object{"Key": "x-b", "IsValueSecret": true}},
		"QueryStringParameters": []any{object{"Key": "q", "IsValueSecret": true}}, "BodyParameters": []any{object{"Key": "b", "Value": "shown", "IsValueSecret": false}},
	}
	for name, tt := range map[string]struct {
		kind, auth string
		want       object
	}{
		"basic": {"BASIC", `"BasicAuthParameters":{"Username":"ada","Password":"hush-1"},` + extra, object{"BasicAuthParameters": object{"Username": "ada"}, "InvocationHttpParameters": shown}},
		"key":   {"API_KEY", `"ApiKeyAuthParameters":{"ApiKeyName":"x-key","ApiKeyValue":"hush-2"}`, object{"ApiKeyAuthParameters": object{"ApiKeyName": "x-key"}}},
		"oauth": {
			"OAUTH_CLIENT_CREDENTIALS",
			`"OAuthParameters":{"ClientParameters":{"ClientID":"i","ClientSecret":"hush-3"},"AuthorizationEndpoint":"https://example.com/token","HttpMethod":"POST","OAuthHttpParameters":{"BodyParameters":[{"Key":"scope","Value":"all"},{"Key":"pin","Value":"hush-4","IsValueSecret":true}]}}`,
			object{"OAuthParameters": object{
				"ClientParameters": object{"ClientID": "i"}, "AuthorizationEndpoint": "https://example.com/token", "HttpMethod": "POST",
				"OAuthHttpParameters": object{"BodyParameters": []any{object{"Key": "scope", "Value": "all", "IsValueSecret": false}, object{"Key": "pin", "IsValueSecret": true}}},
			}},
		},
	} {
		made := ask(t, h, "CreateConnection", fmt.Sprintf(`{"Name":%q,"Description":"d","AuthorizationType":%q,"AuthParameters":{%s}}`, name, tt.kind, tt.auth))
		arn, _ := made["ConnectionArn"].(string)
		if !strings.HasPrefix(arn, arns+"connection/"+name+"/") || len(arn) != len(arns+"connection/"+name+"/")+36 {
			t.Errorf("%s: %v", name, made)
		}
		got := ask(t, h, "DescribeConnection", fmt.Sprintf(`{"Name":%q}`, name))
		want := object{
			"ConnectionArn": arn, "Name": name, "Description": "d", "ConnectionState": "AUTHORIZED", "AuthorizationType": tt.kind, "AuthParameters": tt.want,
			"CreationTime": "a time", "LastModifiedTime": "a time", "LastAuthorizedTime": "a time",
		}
		if diff := cmp.Diff(want, described(t, got)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if changed := ask(t, h, "UpdateConnection", fmt.Sprintf(`{"Name":%q,"Description":"e"}`, name)); changed["ConnectionArn"] != arn || changed["ConnectionState"] != "AUTHORIZED" {
			t.Errorf("%v", changed)
		}
	}
	none := ask(t, h, "CreateConnection", `{"Name":"none","AuthorizationType":"OAUTH_CLIENT_CREDENTIALS","AuthParameters":{"OAuthParameters":{"ClientParameters":{"ClientID":"no","ClientSecret":"s"},"AuthorizationEndpoint":"https://example.com/t","HttpMethod":"GET"}}}`)
	if none["ConnectionState"] != "DEAUTHORIZED" {
		t.Errorf("%v", none)
	}
	first := ask(t, h, "ListConnections", `{"Limit":2}`)
	rest := ask(t, h, "ListConnections", fmt.Sprintf(`{"NextToken":%q}`, first["NextToken"]))
	if names(first["Connections"])+","+names(rest["Connections"]) != "basic,key,none,oauth" {
		t.Errorf("%v %v", first, rest)
	}
	if got := ask(t, h, "ListConnections", `{"ConnectionState":"DEAUTHORIZED","NamePrefix":"n"}`); names(got["Connections"]) != "none" || !strings.Contains(fmt.Sprint(got), "answered 401") {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "DeauthorizeConnection", `{"Name":"basic"}`); got["ConnectionState"] != "DEAUTHORIZED" {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "DescribeConnection", `{"Name":"basic"}`); len(got["AuthParameters"].(object)) != 0 {
		t.Errorf("%v", got)
	}
	if got := ask(t, h, "DeleteConnection", `{"Name":"key"}`); got["ConnectionState"] != "DELETING" {
		t.Errorf("%v", got)
	}
	wrong(t, h, admin(), "DescribeConnection", `{"Name":"key"}`, "ResourceNotFoundException", "Connection 'key' does not exist.")
}

func TestDestinations(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	conn := ask(t, h, "CreateConnection", `{"Name":"c","AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"ada","Password":"hush"}}}`)["ConnectionArn"]
	made := ask(t, h, "CreateApiDestination", fmt.Sprintf(`{"Name":"d","ConnectionArn":%q,"InvocationEndpoint":"https://example.com/a/*","HttpMethod":"PUT"}`, conn))
	if made["ApiDestinationState"] != "ACTIVE" {
		t.Errorf("%v", made)
	}
	ask(t, h, "UpdateApiDestination", `{"Name":"d","Description":"e","InvocationRateLimitPerSecond":7}`)
	want := object{
		"ApiDestinationArn": made["ApiDestinationArn"], "Name": "d", "Description": "e", "ApiDestinationState": "ACTIVE", "ConnectionArn": conn, "InvocationEndpoint": "https://example.com/a/*",
		"HttpMethod": "PUT", "InvocationRateLimitPerSecond": 7.0, "CreationTime": "a time", "LastModifiedTime": "a time",
	}
	if diff := cmp.Diff(want, described(t, ask(t, h, "DescribeApiDestination", `{"Name":"d"}`))); diff != "" {
		t.Error(diff)
	}
	if got := ask(t, h, "ListApiDestinations", fmt.Sprintf(`{"ConnectionArn":%q}`, conn)); names(got["ApiDestinations"]) != "d" {
		t.Errorf("%v", got)
	}
	ask(t, h, "DeleteConnection", `{"Name":"c"}`)
	if got := ask(t, h, "DescribeApiDestination", `{"Name":"d"}`); got["ApiDestinationState"] != "INACTIVE" {
		t.Errorf("%v", got)
	}
	ask(t, h, "DeleteApiDestination", `{"Name":"d"}`)
	wrong(t, h, admin(), "DeleteApiDestination", `{"Name":"d"}`, "ResourceNotFoundException", "does not exist")
}

// TestConnectionsRefused: errors have AWS's names, say what to do, and repeat no secret.
func TestConnectionsRefused(t *testing.T) {
	t.Parallel()
	_, h := setup(t)
	basic := func(auth string) string {
		return `{"Name":"c","AuthorizationType":"BASIC","AuthParameters":` + auth + `}`
	}
	arn := arns + "connection/c/00000000-0000-0000-0000-000000000000"
	for _, c := range []struct{ operation, body, code, words string }{
		{"CreateConnection", basic(`{}`), "ValidationException", "needs BasicAuthParameters"},
		{"CreateConnection", basic(`{"ApiKeyAuthParameters":{"ApiKeyName":"a","ApiKeyValue":"hush"}}`), "ValidationException", "does not go with parameters of API_KEY"},
		{"CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"hush\u0000"}}`), "ValidationException", "without zero characters"},
		{"CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"hush:x"}}`), "ValidationException", "Value '[redacted]' at 'authParameters.basicAuthParameters.password'"},
		{"CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"hush` + strings.Repeat("x", 600) + `"}}`), "ValidationException", "less than or equal to 512"},
		{"CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"hush"},"ConnectivityParameters":{"ResourceParameters":{"ResourceConfigurationArn":""}}}`), "ValidationException", "ConnectivityParameters is not served"},
		{"CreateConnection", `{"Name":"c","AuthorizationType":"BASIC","InvocationConnectivityParameters":{"ResourceParameters":{"ResourceConfigurationArn":""}},"AuthParameters":{"BasicAuthParameters":{"Username":"a","Password":"hush"}}}`, "ValidationException", "VPC Lattice"},
		{"CreateConnection", `{"Name":"c","KmsKeyIdentifier":"k","AuthorizationType":"BASIC","AuthParameters":{"BasicAuthParameters":{"Username":"a","Password":"hush"}}}`, "ValidationException", "KmsKeyIdentifier is not served"},
		{"CreateConnection", `{"Name":"c","AuthorizationType":"OAUTH_CLIENT_CREDENTIALS","AuthParameters":{"OAuthParameters":{"ClientParameters":{"ClientID":"i","ClientSecret":"hush"},"AuthorizationEndpoint":"https://evil.example/t","HttpMethod":"POST"}}}`, "AccessDeniedException", "webhooks.hosts"},
		{"UpdateConnection", `{"Name":"c"}`, "ResourceNotFoundException", "Connection 'c' does not exist."},
		{"CreateApiDestination", `{"Name":"d","ConnectionArn":"` + arn + `","InvocationEndpoint":"https://example.com/","HttpMethod":"POST"}`, "ResourceNotFoundException", "does not exist"},
		{"CreateApiDestination", `{"Name":"d","ConnectionArn":"` + arn + `","InvocationEndpoint":"https://example.com/","HttpMethod":"CONNECT"}`, "ValidationException", "enum value set"},
		{"CreateApiDestination", `{"Name":"d","ConnectionArn":"` + arn + `","InvocationEndpoint":"https://example.com/","HttpMethod":"POST","InvocationRateLimitPerSecond":301}`, "ValidationException", "outside 1 to 300"},
		{"CreateApiDestination", `{"Name":"d","ConnectionArn":"x","InvocationEndpoint":"https://example.com/","HttpMethod":"POST"}`, "ValidationException", "connectionArn"},
	} {
		wrong(t, h, admin(), c.operation, c.body, c.code, c.words)
		_, err := h.Answer(t.Context(), admin(), c.operation, []byte(c.body))
		if err != nil && strings.Contains(events.ErrorOf(err).Message, "hush") {
			t.Errorf("%s: the error has the secret: %s", c.operation, events.ErrorOf(err).Message)
		}
	}
	conn := ask(t, h, "CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"hush"}}`))["ConnectionArn"]
	wrong(t, h, admin(), "CreateApiDestination", fmt.Sprintf(`{"Name":"d","ConnectionArn":%q,"InvocationEndpoint":"https://evil.example/","HttpMethod":"POST"}`, conn), "AccessDeniedException", "webhooks.hosts")
	wrong(t, h, admin(), "CreateConnection", basic(`{"BasicAuthParameters":{"Username":"a","Password":"x"}}`), "ResourceAlreadyExistsException", "Connection c already exists.")
	if raw, err := json.Marshal(ask(t, h, "DescribeConnection", `{"Name":"c"}`)); err != nil || strings.Contains(string(raw), "hush") {
		t.Errorf("%s, %v", raw, err)
	}
}
