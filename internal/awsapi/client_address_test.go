package awsapi_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// recorded is a transport that answers without a network.
type recorded struct {
	reqs    []*http.Request
	respond func(*http.Request) *http.Response
}

func (r *recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	r.reqs = append(r.reqs, req)
	resp := r.respond(req)
	resp.Request = req
	return resp, nil
}

func canned(status int, body string, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func TestABucketElsewhereIsFollowedOnce(t *testing.T) {
	t.Parallel()
	rt := &recorded{}
	rt.respond = func(req *http.Request) *http.Response {
		if strings.Contains(req.URL.Host, "eu-central-1") {
			return canned(200, `<AccessControlPolicy/>`)
		}
		return canned(301, `<Error><Code>PermanentRedirect</Code></Error>`, "X-Amz-Bucket-Region", "eu-central-1")
	}
	c := newClient(t, "", func(c *awsapi.ClientConfig) { quick(&waits{})(c); c.HTTP = &http.Client{Transport: rt} })
	call := apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": "the-bucket"}}
	if _, err := c.Send(t.Context(), testKeys, call); err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, r := range rt.reqs {
		hosts = append(hosts, r.URL.Host+r.URL.RequestURI())
	}
	want := []string{"the-bucket.s3.amazonaws.com/?acl=", "the-bucket.s3.eu-central-1.amazonaws.com/?acl="}
	if diff := cmp.Diff(want, hosts); diff != "" {
		t.Error(diff)
	}
	if auth := rt.reqs[1].Header.Get("Authorization"); !strings.Contains(auth, "/eu-central-1/s3/aws4_request") {
		t.Errorf("signed for %s", auth)
	}
}

func TestWhereABucketIsIsReadFromTheBodyToo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bucket string
		want   int
	}{"bucket": {"the-bucket", 2}, "access point": {"arn:aws:s3:us-east-1:111122223333:accesspoint/point", 1}} {
		rt := &recorded{}
		rt.respond = func(req *http.Request) *http.Response {
			if strings.Contains(req.Header.Get("Authorization"), "/eu-central-1/s3/") {
				return canned(200, `<AccessControlPolicy/>`)
			}
			return canned(400, `<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>`)
		}
		c := newClient(t, "", func(c *awsapi.ClientConfig) { quick(&waits{})(c); c.HTTP = &http.Client{Transport: rt} })
		_, err := c.Send(t.Context(), testKeys, apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": tc.bucket}})
		if len(rt.reqs) != tc.want || (err == nil) != (tc.want == 2) {
			t.Errorf("%s: %d requests, %v", name, len(rt.reqs), err)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	get := func(bucket, key string) apimodel.Call {
		return apimodel.Call{Service: "s3", Operation: "GetObject", Input: map[string]any{"Bucket": bucket, "Key": key}}
	}
	for name, tc := range map[string]struct {
		endpoint, region string
		call             apimodel.Call
		want             string
	}{
		"virtual host":    {"", "eu-west-1", get("a-bucket", "a b/ü+c"), "https://a-bucket.s3.eu-west-1.amazonaws.com/a%20b/%C3%BC%2Bc"},
		"dotted bucket":   {"", "eu-west-1", get("a.bucket", "k"), "https://s3.eu-west-1.amazonaws.com/a.bucket/k"},
		"slashes":         {"", "eu-west-1", get("a-bucket", "/a//b/../c"), "https://a-bucket.s3.eu-west-1.amazonaws.com//a//b/../c"},
		"address":         {"http://127.0.0.1:99", "eu-west-1", get("a-bucket", "k"), "http://127.0.0.1:99/a-bucket/k"},
		"localhost":       {"http://localhost:99", "", get("a-bucket", "k"), "http://localhost:99/a-bucket/k"},
		"address 6":       {"http://[::1]:99", "", get("a-bucket", "k"), "http://[::1]:99/a-bucket/k"},
		"container name":  {"http://moto:99", "", get("a-bucket", "k"), "http://moto:99/a-bucket/k"},
		"own host":        {"https://s3.example.org", "", get("a-bucket", "k"), "https://s3.example.org/a-bucket/k"},
		"base path":       {"https://gateway.example.org/aws/", "", readCall, "https://gateway.example.org/aws/"},
		"china":           {"", "cn-north-1", get("a-bucket", "k"), "https://a-bucket.s3.cn-north-1.amazonaws.com.cn/k"},
		"global":          {"", "eu-west-1", readCall, "https://organizations.us-east-1.amazonaws.com/"},
		"global, gov":     {"", "us-gov-east-1", readCall, "https://organizations.us-gov-west-1.amazonaws.com/"},
		"host prefix":     {"", "eu-west-1", apimodel.Call{Service: "s3control", Operation: "GetPublicAccessBlock", Input: map[string]any{"AccountId": "111122223333"}}, "https://111122223333.s3-control.eu-west-1.amazonaws.com/v20180820/configuration/publicAccessBlock"},
		"no host prefix":  {"http://127.0.0.1:99", "", apimodel.Call{Service: "s3control", Operation: "GetPublicAccessBlock", Input: map[string]any{"AccountId": "111122223333"}}, "http://127.0.0.1:99/v20180820/configuration/publicAccessBlock"},
		"control by ip":   {"http://127.0.0.1:99", "", apimodel.Call{Service: "s3control", Operation: "GetAccessPoint", Input: map[string]any{"AccountId": "111122223333", "Name": "point"}}, "http://127.0.0.1:99/v20180820/accesspoint/point"},
		"control host":    {"https://s3control.example.org", "", apimodel.Call{Service: "s3control", Operation: "GetAccessPoint", Input: map[string]any{"AccountId": "111122223333", "Name": "point"}}, "https://111122223333.s3control.example.org/v20180820/accesspoint/point"},
		"sync prefix":     {"", "eu-west-1", apimodel.Call{Service: "stepfunctions", Operation: "StartSyncExecution", Input: map[string]any{"stateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:x"}}, "https://sync-states.eu-west-1.amazonaws.com/"},
		"sync local":      {"http://localhost:99", "eu-west-1", apimodel.Call{Service: "stepfunctions", Operation: "StartSyncExecution", Input: map[string]any{"stateMachineArn": "arn:aws:states:eu-west-1:111122223333:stateMachine:x"}}, "http://localhost:99/"},
		"access point":    {"", "eu-west-1", get("arn:aws:s3:us-west-2:111122223333:accesspoint/point", "a/k"), "https://point-111122223333.s3-accesspoint.us-west-2.amazonaws.com/a/k"},
		"object lambda":   {"", "eu-west-1", get("arn:aws:s3-object-lambda:eu-west-1:111122223333:accesspoint/banner", "k"), "https://banner-111122223333.s3-object-lambda.eu-west-1.amazonaws.com/k"},
		"outpost":         {"", "eu-west-1", get("arn:aws:s3-outposts:eu-west-1:111122223333:outpost/op-1/accesspoint/point", "k"), "https://point-111122223333.op-1.s3-outposts.eu-west-1.amazonaws.com/k"},
		"own point":       {"https://vpce.example.org", "eu-west-1", get("arn:aws:s3:eu-west-1:111122223333:accesspoint/point", "k"), "https://point-111122223333.vpce.example.org/k"},
		"bucket, by path": {"https://gateway.example.org/s3/", "", apimodel.Call{Service: "s3", Operation: "ListObjectsV2", Input: map[string]any{"Bucket": "a-bucket"}}, "https://gateway.example.org/s3/a-bucket?encoding-type=url&list-type=2"},
		"bucket's region": {"", "eu-west-1", apimodel.Call{Service: "s3", Operation: "GetBucketLocation", Input: map[string]any{"Bucket": "a-bucket"}}, "https://s3.eu-west-1.amazonaws.com/a-bucket?location="},
		"list buckets":    {"", "eu-west-1", apimodel.Call{Service: "s3", Operation: "ListBuckets"}, "https://s3.eu-west-1.amazonaws.com/"},
		"zone id":         {"", "", apimodel.Call{Service: "route53", Operation: "GetHostedZone", Input: map[string]any{"Id": "/hostedzone/Z1"}}, "https://route53.amazonaws.com/2013-04-01/hostedzone/Z1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := &recorded{respond: func(*http.Request) *http.Response { return canned(204, "") }}
			c := newClient(t, tc.endpoint, func(c *awsapi.ClientConfig) { c.HTTP = &http.Client{Transport: rt} })
			tc.call.Region = tc.region
			_, _ = c.Send(t.Context(), testKeys, tc.call)
			if len(rt.reqs) == 0 {
				t.Fatal("nothing was sent")
			}
			if got := rt.reqs[0].URL.String(); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		call apimodel.Call
		want string
	}{
		"unknown service":       {apimodel.Call{Service: "nope", Operation: "Get"}, `unknown service: "nope"`},
		"unknown operation":     {apimodel.Call{Service: "s3", Operation: "GetNope"}, `has no operation "GetNope"`},
		"event stream":          {apimodel.Call{Service: "s3", Operation: "SelectObjectContent"}, "event stream"},
		"not AWS's keys":        {apimodel.Call{Service: "codecatalyst", Operation: "ListSpaces"}, "not signed with AWS credentials"},
		"access point of China": {apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": "arn:aws-cn:s3:cn-north-1:111122223333:accesspoint/x"}}, "Client was configured for partition `aws` but ARN"},
		"all regions":           {apimodel.Call{Service: "s3", Operation: "GetObject", Input: map[string]any{"Bucket": "arn:aws:s3::111122223333:accesspoint/abcdef.mrap", "Key": "k"}}, "a signature by sigv4a, which is not supported"},
		"directory bucket":      {apimodel.Call{Service: "s3", Operation: "GetObject", Input: map[string]any{"Bucket": "bucket--usw2-az1--x-s3", "Key": "k"}}, "a signature by sigv4-s3express, which is not supported"},
		"two accounts":          {apimodel.Call{Service: "s3control", Operation: "GetBucket", Input: map[string]any{"AccountId": "999999999999", "Bucket": "arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-1/bucket/b"}}, "does not match the AccountId parameter"},
		"dots as bucket":        {apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": ".."}}, "Invalid bucket name"},
		"bucket with path":      {apimodel.Call{Service: "s3", Operation: "GetBucketAcl", Input: map[string]any{"Bucket": "../other"}}, "Invalid bucket name"},
		"region as host":        {apimodel.Call{Service: "ec2", Operation: "DescribeVpcs", Region: "evil.example.org/#"}, "is not a region"},
		"host label":            {apimodel.Call{Service: "s3control", Operation: "GetPublicAccessBlock", Input: map[string]any{"AccountId": "evil.org/"}}, "AccountId must only contain"},
		"host label too":        {apimodel.Call{Service: "s3control", Operation: "GetPublicAccessBlock", Input: map[string]any{"AccountId": "-"}}, "AccountId"},
		"checksum":              {apimodel.Call{Service: "s3", Operation: "PutObject", Input: map[string]any{"Bucket": "bbb", "Key": "k", "ChecksumAlgorithm": "XXHASH3"}}, `checksum algorithm "XXHASH3" is not supported`},
		"alias twice":           {apimodel.Call{Service: "ec2", Operation: "DescribeVpcs", Input: map[string]any{"DryRun": "x"}}, "Invalid type for parameter DryRun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rt := &recorded{respond: func(*http.Request) *http.Response { return canned(200, "") }}
			c := newClient(t, "", func(c *awsapi.ClientConfig) { c.HTTP = &http.Client{Transport: rt} })
			_, err := c.Send(t.Context(), testKeys, tc.call)
			if err == nil || !strings.Contains(err.Error(), tc.want) || len(rt.reqs) != 0 {
				t.Errorf("got %v after %d requests", err, len(rt.reqs))
			}
		})
	}
	if _, err := newClient(t, "", nil).Send(t.Context(), awsapi.Credentials{}, readCall); !fault.Is(err, fault.Denied) {
		t.Errorf("no credentials: got %v", err)
	}
	_, err := newClient(t, "", nil).Send(t.Context(), testKeys, apimodel.Call{Service: "s3", Operation: "SelectObjectContent"})
	if !errors.Is(err, awsapi.ErrEventStream) {
		t.Errorf("event stream: got %v", err)
	}
}
