package awsapi

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// venvPython is the project's interpreter, or the one that the tester names.
func venvPython(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("PARRY_PYTHON"), filepath.Join("..", "..", ".venv", "bin", "python"), "python3"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	t.Fatal("no Python: run `make venv`, or set PARRY_PYTHON")
	return ""
}

// findEndpoint resolves as a client with these variables does.
func findEndpoint(t testing.TB, c *apimodel.Catalog, service, region string, env map[string]string) (*endpoint, error) {
	t.Helper()
	all, err := newEndpoints(c, readEndpointSettings(func(n string) string { return env[n] }, false, false))
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Service(service)
	if err != nil {
		t.Fatal(err)
	}
	return all.find(s, endpointCall{region: region})
}

func TestFindEndpoint(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	fips, dual := map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "True"}
	for _, tc := range []struct {
		service, region string
		env             map[string]string
		url, signing    string
	}{
		{"s3", "eu-west-1", nil, "https://s3.eu-west-1.amazonaws.com", "eu-west-1"},
		{"s3", "us-east-1", nil, "https://s3.amazonaws.com", "us-east-1"},
		{"s3", "us-east-1", map[string]string{"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}, "https://s3.us-east-1.amazonaws.com", "us-east-1"},
		{"s3", "us-east-1", dual, "https://s3.dualstack.us-east-1.amazonaws.com", "us-east-1"},
		{"sts", "eu-west-1", nil, "https://sts.eu-west-1.amazonaws.com", "eu-west-1"},
		{"sts", "eu-west-1", map[string]string{"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "https://sts.amazonaws.com", "us-east-1"},
		{"sts", "eu-south-1", map[string]string{"AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, "https://sts.eu-south-1.amazonaws.com", "eu-south-1"},
		{"iam", "eu-west-1", nil, "https://iam.amazonaws.com", "us-east-1"},
		{"iam", "eu-west-1", fips, "https://iam-fips.amazonaws.com", "us-east-1"},
		{"iam", "cn-northwest-1", nil, "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"iam", "us-gov-east-1", nil, "https://iam.us-gov.amazonaws.com", "us-gov-west-1"},
		{"organizations", "ap-southeast-2", nil, "https://organizations.us-east-1.amazonaws.com", "us-east-1"},
		{"cloudfront", "eu-west-1", nil, "https://cloudfront.amazonaws.com", "us-east-1"},
		{"route53", "us-iso-east-1", nil, "https://route53.c2s.ic.gov", "us-iso-east-1"},
		{"security-ir", "eu-west-1", nil, "https://security-ir.eu-west-1.api.aws", "eu-west-1"},
		{"securityhub", "cn-north-1", nil, "https://securityhub.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"logs", "me-central-1", nil, "https://logs.me-central-1.amazonaws.com", "me-central-1"},
		{"kms", "us-gov-west-1", fips, "https://kms-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"},
		{"ec2", "eu-west-1", dual, "https://ec2.eu-west-1.api.aws", "eu-west-1"},
	} {
		e, err := findEndpoint(t, c, tc.service, tc.region, tc.env)
		if err != nil {
			t.Fatal(err)
		}
		if e.url.String() != tc.url || e.signingRegion != tc.signing {
			t.Errorf("%s in %s: got %s signed for %s, want %s", tc.service, tc.region, e.url, e.signingRegion, tc.url)
		}
	}
}

func TestEndpointOverride(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for name, tc := range map[string]struct {
		service       string
		env           map[string]string
		want, signing string
	}{
		"all":        {"logs", map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:5000/"}, "http://127.0.0.1:5000/", "eu-west-1"},
		"one":        {"logs", map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://b/base"}, "http://b/base", "eu-west-1"},
		"other":      {"logs", map[string]string{"AWS_ENDPOINT_URL_S3": "http://b"}, "https://logs.eu-west-1.amazonaws.com", "eu-west-1"},
		"not wanted": {"logs", map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://logs.eu-west-1.amazonaws.com", "eu-west-1"},
		"global":     {"iam", map[string]string{"AWS_ENDPOINT_URL": "http://a"}, "http://a", "us-east-1"},
		"and FIPS":   {"iam", map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, "http://a", "us-east-1"},
	} {
		e, err := findEndpoint(t, c, tc.service, "eu-west-1", tc.env)
		if err != nil {
			t.Fatal(err)
		}
		if e.url.String() != tc.want || e.signingRegion != tc.signing {
			t.Errorf("%s: got %s signed for %s", name, e.url, e.signingRegion)
		}
	}
	for _, bad := range []string{"127.0.0.1:5000", "ftp://x", "http://"} {
		if _, err := findEndpoint(t, c, "logs", "eu-west-1", map[string]string{"AWS_ENDPOINT_URL": bad}); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v", bad, err)
		}
	}
}

func TestNoEndpoint(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for name, tc := range map[string]struct {
		service, region string
		env             map[string]string
		want            string
	}{
		"FIPS in China":   {"s3", "cn-north-1", map[string]string{"AWS_USE_FIPS_ENDPOINT": "true"}, "find endpoint of s3: Partition does not support FIPS"},
		"not a region":    {"ec2", "evil.example.org/#", nil, `find endpoint of ec2: "evil.example.org/#" is not a region`},
		"on this machine": {"dynamodb", "local", nil, `find endpoint of dynamodb: "http://localhost:8000" is not an address of AWS`},
	} {
		if _, err := findEndpoint(t, c, tc.service, tc.region, tc.env); err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestHostsThatAreNotAWS looks at what would be signed for another's host.
func TestHostsThatAreNotAWS(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	all, err := newEndpoints(c, readEndpointSettings(func(string) string { return "" }, false, false))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ service, operation, member, value string }{
		{"kinesis", "DescribeStream", "StreamARN", "arn:aws:kinesis:us-east-1:evil.example.org/:stream/x"},
		{"kinesis", "DescribeStream", "StreamId", "evil.example.org/x"},
		{"cloudfront-keyvaluestore", "ListKeys", "KvsARN", "arn:aws:cloudfront::evil.example.org/x:key-value-store/a"},
		{"events", "PutEvents", "EndpointId", "evil.example.org/.x"},
		{"sesv2", "SendEmail", "EndpointId", "evil.example.org#"},
		{"s3", "GetBucketAcl", "Bucket", "arn:aws:s3:evil.example.org/:111122223333:accesspoint/x"},
		{"s3", "GetBucketAcl", "Bucket", "arn:aws:s3-object-lambda:us-east-1:evil.example.org/:accesspoint/x"},
		{"s3control", "GetBucket", "Bucket", "arn:aws:s3-outposts:us-east-1:evil.example.org/:outpost/o/bucket/b"},
	} {
		s, op, err := c.Find(tc.service, tc.operation)
		if err != nil {
			t.Fatal(err)
		}
		e, err := all.find(s, endpointCall{op: op, region: "us-east-1", account: "111122223333", input: map[string]any{tc.member: tc.value}})
		if err == nil && !all.partitions.HasHost(e.url.Host) {
			t.Errorf("%s %s: sent to %s", tc.service, tc.value, e.url)
		}
	}
}

func TestEndpointsAreKeptApart(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	all, err := newEndpoints(c, readEndpointSettings(func(string) string { return "" }, false, false))
	if err != nil {
		t.Fatal(err)
	}
	s, op, err := c.Find("s3", "GetObject")
	if err != nil {
		t.Fatal(err)
	}
	host := func(bucket, key string) string {
		e, err := all.find(s, endpointCall{op: op, region: "eu-west-1", input: map[string]any{"Bucket": bucket, "Key": key}})
		if err != nil {
			t.Fatal(err)
		}
		return e.url.Host
	}
	for i := range 10 {
		_ = host("same-bucket", strconv.Itoa(i))
	}
	if a, b := host("bucket-a", "k"), host("bucket-b", "k"); a == b || host("bucket-a", "k") != a {
		t.Errorf("got %s for one bucket and %s for another", a, b)
	}
	if n := len(all.services["s3"].found); n != 3 {
		t.Errorf("%d endpoints are kept, want 3: the key of an object makes no difference", n)
	}
}

func BenchmarkFindEndpoint(b *testing.B) {
	c := catalog(b)
	all, err := newEndpoints(c, readEndpointSettings(func(string) string { return "" }, false, false))
	if err != nil {
		b.Fatal(err)
	}
	for _, bm := range []struct {
		name, service, operation string
		input                    map[string]any
	}{{"regional", "ec2", "DescribeVpcs", nil}, {"bucket", "s3", "PutBucketAcl", map[string]any{"Bucket": "bucket"}}} {
		s, op, err := c.Find(bm.service, bm.operation)
		if err != nil {
			b.Fatal(err)
		}
		call := endpointCall{op: op, region: "eu-west-1", input: bm.input}
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := all.find(s, call); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(bm.name+", not kept", func(b *testing.B) {
			b.ReportAllocs()
			se, err := all.of(s)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := se.resolve(se.values(call), call.region); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
