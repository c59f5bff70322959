package awsapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// sentTo is where a call goes and what it is signed for, or why it does not.
type sentTo struct {
	URL     string            `json:"url,omitempty"`
	Region  string            `json:"region,omitempty"`
	Name    string            `json:"name,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Error   string            `json:"error,omitempty"`
	Kind    string            `json:"kind,omitempty"`
}

type wholeCall struct {
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Region    string         `json:"region"`
	Input     map[string]any `json:"input,omitempty"`
}

type asked struct {
	Regions  []string          `json:"regions"`
	Services map[string]string `json:"services"`
	Calls    []wholeCall       `json:"calls"`
}

type botocoreSays struct {
	Services map[string][]sentTo `json:"services"`
	Calls    []sentTo            `json:"calls"`
}

// addressed are calls whose input decides where they go.
func addressed() (calls []wholeCall) {
	const (
		point   = "arn:aws:s3:us-west-2:123456789012:accesspoint/my-point"
		lambda  = "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/banner"
		outpost = "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/accesspoint/my-point"
		onPost  = "arn:aws:s3-outposts:eu-west-1:123456789012:outpost/op-01234567890123456/bucket/my-bucket"
	)
	add := func(service, operation string, input map[string]any, regions ...string) {
		for _, r := range regions {
			calls = append(calls, wholeCall{service, operation, r, input})
		}
	}
	for _, bucket := range []string{
		"a-bucket", "a.bucket", "A_Bucket", "1.2.3.4", "ab", "-bucket", point, lambda, outpost, strings.Replace(point, "aws", "aws-cn", 1),
		"arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", "arn:aws:s3:eu-west-1:123456789012:bucket/x", "../other", "my-point-abcdefg-s3alias", "a-bucket--usw2-az1--x-s3",
	} {
		add("s3", "GetObject", map[string]any{"Bucket": bucket, "Key": "a b/ü+c"}, "us-east-1", "eu-west-1", "cn-north-1")
		add("s3", "GetBucketAcl", map[string]any{"Bucket": bucket}, "eu-west-1")
		add("s3", "GetBucketLocation", map[string]any{"Bucket": bucket}, "us-east-1")
	}
	add("s3", "ListBuckets", nil, "us-east-1", "us-gov-west-1")
	add("s3", "ListDirectoryBuckets", nil, "us-west-2")
	add("s3", "CreateBucket", map[string]any{"Bucket": "a-bucket"}, "eu-west-1", "us-east-1")
	add("s3control", "GetPublicAccessBlock", map[string]any{"AccountId": "111122223333"}, "eu-west-1", "cn-north-1")
	add("s3control", "GetBucket", map[string]any{"Bucket": onPost}, "eu-west-1", "us-east-1")
	add("s3control", "GetBucket", map[string]any{"Bucket": onPost, "AccountId": "123456789012"}, "eu-west-1")
	add("s3control", "GetBucket", map[string]any{"Bucket": onPost, "AccountId": "999999999999"}, "eu-west-1")
	add("s3control", "GetAccessPoint", map[string]any{"Name": outpost}, "eu-west-1")
	add("s3control", "GetAccessPoint", map[string]any{"Name": point}, "eu-west-1")
	add("s3control", "GetAccessPoint", map[string]any{"Name": "my-point", "AccountId": "111122223333"}, "eu-west-1")
	add("s3control", "ListRegionalBuckets", map[string]any{"AccountId": "111122223333", "OutpostId": "op-01234567890123456"}, "eu-west-1")
	add("s3outposts", "ListEndpoints", nil, "eu-west-1")
	add("kinesis", "DescribeStreamSummary", map[string]any{"StreamName": "s"}, "eu-west-1")
	add("kinesis", "DescribeStreamSummary", map[string]any{"StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s"}, "eu-west-1", "us-east-1", "cn-north-1")
	add("kinesis", "PutRecord", map[string]any{"StreamARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/s", "Data": "x", "PartitionKey": "k"}, "eu-west-1")
	add("dynamodb", "DescribeTable", map[string]any{"TableName": "t"}, "eu-west-1", "cn-north-1", "us-gov-west-1")
	add("dynamodb", "DescribeTable", map[string]any{"TableName": "arn:aws:dynamodb:eu-west-1:123456789012:table/t"}, "eu-west-1", "us-east-1")
	add("dynamodb", "ListTables", nil, "eu-west-1")
	add("dynamodb", "BatchGetItem", map[string]any{"RequestItems": map[string]any{"arn:aws:dynamodb:eu-west-1:123456789012:table/t": map[string]any{"Keys": []any{map[string]any{"k": map[string]any{"S": "v"}}}}}}, "eu-west-1")
	add("dynamodb", "TransactGetItems", map[string]any{"TransactItems": []any{map[string]any{"Get": map[string]any{"TableName": "arn:aws:dynamodb:eu-west-1:123456789012:table/t", "Key": map[string]any{"k": map[string]any{"S": "v"}}}}}}, "eu-west-1")
	add("events", "PutEvents", map[string]any{"Entries": []any{map[string]any{"Source": "s"}}}, "eu-west-1")
	add("events", "PutEvents", map[string]any{"EndpointId": "abc.def", "Entries": []any{map[string]any{"Source": "s"}}}, "eu-west-1")
	add("cloudfront-keyvaluestore", "ListKeys", map[string]any{"KvsARN": "arn:aws:cloudfront::123456789012:key-value-store/3e0fc3c1"}, "eu-west-1")
	add("arc-region-switch", "ListPlans", nil, "eu-west-1")
	add("iam", "ListUsers", nil, "eu-west-1", "us-gov-east-1", "us-iso-east-1")
	add("route53", "GetHostedZone", map[string]any{"Id": "/hostedzone/Z1"}, "eu-west-1")
	add("servicediscovery", "DiscoverInstances", map[string]any{"NamespaceName": "n", "ServiceName": "s"}, "eu-west-1")
	add("stepfunctions", "StartSyncExecution", map[string]any{"stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:x"}, "eu-west-1")
	return calls
}

func askBotocore(t *testing.T, q asked) (a botocoreSays) {
	t.Helper()
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), venvPython(t), "testdata/endpoints.py") //nolint:gosec // our own program
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		_ = errors.As(err, &exit)
		t.Fatalf("botocore: %v\n%s (run `make venv`)", err, exit.Stderr)
	}
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// unlikeBotocore are the differences that are meant, by service or bucket. One
// that no longer differs has to go.
var unlikeBotocore = map[string]string{
	"signin":                   "its hosts are below no domain of a partition, and only those are trusted; nothing here signs in with a browser",
	"codecatalyst":             "botocore's region \"aws-global\" signs nothing: the service takes bearer tokens, which are refused",
	"a-bucket--usw2-az1--x-s3": "objects in directory buckets need a session of their own (CreateSession), which is refused",
}

// TestEndpointsAreBotocores asks botocore's clients for the endpoint of every
// service, and for the whole address of calls whose input decides it.
func TestEndpointsAreBotocores(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a thousand botocore clients; run `make test`")
	}
	t.Parallel()
	c := catalog(t)
	q := asked{Regions: []string{"us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1"}, Services: map[string]string{}, Calls: addressed()}
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		q.Services[name] = s.Operations[0].Name
	}
	a := askBotocore(t, q)
	different := map[string]int{}
	compared := 0
	compare := func(key, what string, want, got sentTo) {
		compared++
		diff := diffSent(want, got)
		if diff == "" {
			return
		}
		if different[key]++; unlikeBotocore[key] == "" {
			t.Errorf("%s (-botocore +ours)\n%s", what, diff)
		}
	}
	for name, want := range a.Services {
		for i, got := range ourEndpoints(t, c, name, q) {
			compare(name, fmt.Sprintf("%s in %s, FIPS %v, dual stack %v", name, q.Regions[i/4], i&2 != 0, i&1 != 0), want[i], got)
		}
	}
	for i, want := range a.Calls {
		bucket, _ := q.Calls[i].Input["Bucket"].(string)
		compare(bucket, fmt.Sprintf("%+v", q.Calls[i]), want, ourRequest(t, c, q.Calls[i]))
	}
	for key := range unlikeBotocore {
		if different[key] == 0 {
			t.Errorf("%s is listed as different and is not", key)
		}
	}
	t.Logf("compared %d, different: %v", compared, different)
	if compared < 424*16 {
		t.Errorf("compared %d endpoints only", compared)
	}
}

// diffSent takes two refusals for the same, whatever their words, and "?acl"
// for "?acl=", which is signed alike.
func diffSent(want, got sentTo) string {
	if want.Error != "" && got.Error != "" {
		return ""
	}
	want.URL, got.URL = strings.TrimSuffix(want.URL, "="), strings.TrimSuffix(got.URL, "=")
	return cmp.Diff(want, got)
}

func ourEndpoints(t *testing.T, c *apimodel.Catalog, service string, q asked) (out []sentTo) {
	t.Helper()
	s, op, err := c.Find(service, q.Services[service])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 * len(q.Regions) {
		all, err := newEndpoints(c, readEndpointSettings(func(string) string { return "" }, i&2 != 0, i&1 != 0))
		if err != nil {
			t.Fatal(err)
		}
		ep, err := all.find(s, endpointCall{op: op, region: q.Regions[i/4], account: "111122223333"})
		if err != nil {
			out = append(out, sentTo{Error: err.Error()})
			continue
		}
		out = append(out, sentTo{URL: ep.url.String(), Region: ep.signingRegion, Name: ep.signingName})
	}
	return out
}

type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip calls f.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ourRequest(t *testing.T, c *apimodel.Catalog, call wholeCall) (out sentTo) {
	t.Helper()
	client, err := NewClient(ClientConfig{Models: c, Getenv: func(string) string { return "" }, HTTP: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		scope := append(strings.Split(credential, "/"), "", "", "", "")
		out = sentTo{URL: r.URL.String(), Region: scope[2], Name: scope[3]}
		for _, name := range []string{"x-amz-account-id", "x-amz-outpost-id"} {
			if v := r.Header.Get(name); v != "" {
				if out.Headers == nil {
					out.Headers = map[string]string{}
				}
				out.Headers[name] = v
			}
		}
		return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	})}})
	if err != nil {
		t.Fatal(err)
	}
	keys := Credentials{AccessKeyID: "AKIAPARRYTEST0000000", SecretAccessKey: NewSecret("secret"), Account: "111122223333"}
	if _, err := client.Send(t.Context(), keys, apimodel.Call{Service: call.Service, Operation: call.Operation, Region: call.Region, Input: call.Input}); err != nil && out.URL == "" {
		return sentTo{Error: err.Error()}
	}
	return out
}
