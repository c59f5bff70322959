package awsapi

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

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

func TestEndpointsAreBotocores(t *testing.T) {
	if testing.Short() {
		t.Skip("runs botocore; run `make test`")
	}
	t.Parallel()
	got, err := exec.CommandContext(t.Context(), venvPython(t), filepath.Join("testdata", "endpoints.py")).Output() //nolint:gosec // our own program
	if err != nil {
		t.Fatalf("botocore: %v (run `make venv`)", err)
	}
	if diff := cmp.Diff(string(endpointsJSON), string(got)); diff != "" {
		t.Errorf("endpoints.json is not botocore's; run `make models` (-have +botocore):\n%s", diff)
	}
}

func TestResolveEndpoint(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, tc := range []struct{ service, region, url, signing string }{
		{"s3", "eu-west-1", "https://s3.eu-west-1.amazonaws.com", "eu-west-1"},
		{"sts", "eu-west-1", "https://sts.eu-west-1.amazonaws.com", "eu-west-1"},
		{"iam", "eu-west-1", "https://iam.amazonaws.com", "us-east-1"},
		{"iam", "cn-northwest-1", "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"iam", "us-gov-east-1", "https://iam.us-gov.amazonaws.com", "us-gov-west-1"},
		{"organizations", "ap-southeast-2", "https://organizations.us-east-1.amazonaws.com", "us-east-1"},
		{"cloudfront", "eu-west-1", "https://cloudfront.amazonaws.com", "us-east-1"},
		{"security-ir", "eu-west-1", "https://security-ir.eu-west-1.api.aws", "eu-west-1"},
		{"securityhub", "cn-north-1", "https://securityhub.cn-north-1.amazonaws.com.cn", "cn-north-1"},
		{"logs", "me-central-1", "https://logs.me-central-1.amazonaws.com", "me-central-1"},
	} {
		s, err := c.Service(tc.service)
		if err != nil {
			t.Fatal(err)
		}
		e, err := resolveEndpoint(s, tc.region, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		if e.url.String() != tc.url || e.signingRegion != tc.signing || e.custom {
			t.Errorf("%s in %s: got %s signed for %s", tc.service, tc.region, e.url, e.signingRegion)
		}
	}
}

func TestEndpointOverride(t *testing.T) {
	t.Parallel()
	s, err := catalog(t).Service("logs")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		env  map[string]string
		want string
	}{
		"all":        {map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:5000/"}, "http://127.0.0.1:5000"},
		"one":        {map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": "http://b/base"}, "http://b/base"},
		"other":      {map[string]string{"AWS_ENDPOINT_URL_S3": "http://b"}, "https://logs.eu-west-1.amazonaws.com"},
		"not wanted": {map[string]string{"AWS_ENDPOINT_URL": "http://a", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "https://logs.eu-west-1.amazonaws.com"},
	} {
		e, err := resolveEndpoint(s, "eu-west-1", func(n string) string { return tc.env[n] })
		if err != nil {
			t.Fatal(err)
		}
		if e.url.String() != tc.want || e.signingRegion != "eu-west-1" {
			t.Errorf("%s: got %s", name, e.url)
		}
	}
	for _, bad := range []string{"127.0.0.1:5000", "ftp://x", "http://"} {
		if _, err := resolveEndpoint(s, "eu-west-1", func(string) string { return bad }); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	if _, err := resolveEndpoint(s, "us-iso-east-1", func(string) string { return "" }); fault.HintOf(err) != "set AWS_ENDPOINT_URL_CLOUDWATCH_LOGS" {
		t.Errorf("unknown partition: got %v", err)
	}
}
