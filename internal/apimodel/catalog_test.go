package apimodel_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

func load(t testing.TB) *apimodel.Catalog {
	t.Helper()
	c, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogHoldsEveryService(t *testing.T) {
	t.Parallel()
	c := load(t)
	if got := len(c.Services()); got <= 400 {
		t.Errorf("services: got %d, want over 400", got)
	}
	if got := c.Operations(); got <= 18000 {
		t.Errorf("operations: got %d, want over 18,000", got)
	}
	total := 0
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		total += len(s.Operations)
		for _, op := range s.Operations {
			if found, ok := s.Operation(op.Name); !ok || found != op {
				t.Errorf("%s:%s is not found by its own name", name, op.Name)
			}
			if op.Method == "" || op.URI == "" {
				t.Errorf("%s:%s has no HTTP binding", name, op.Name)
			}
		}
	}
	if total != c.Operations() {
		t.Errorf("operations unpacked: got %d, table of contents says %d", total, c.Operations())
	}
}

func TestServiceInAnySpelling(t *testing.T) {
	t.Parallel()
	c := load(t)
	for spelling, want := range map[string]string{
		"s3": "s3", "S3": "s3", "securityhub": "securityhub", "SecurityHub": "securityhub", "logs": "logs",
		"CloudWatch Logs": "logs", "cloudwatch-logs": "logs", "secrets-manager": "secretsmanager", "monitoring": "cloudwatch",
		"IAM": "iam", "stepfunctions": "stepfunctions", "states": "stepfunctions", "SFN": "stepfunctions", "rds": "rds",
	} {
		s, err := c.Service(spelling)
		if err != nil {
			t.Errorf("%q: %v", spelling, err)
			continue
		}
		if s.Name != want {
			t.Errorf("%q: got %s, want %s", spelling, s.Name, want)
		}
	}
	if _, err := c.Service("email"); !fault.Is(err, fault.Invalid) || fault.HintOf(err) != "use one of pinpoint-email, ses, sesv2" {
		t.Errorf("shared prefix: got %v, hint %q", err, fault.HintOf(err))
	}
	if _, err := c.Service("nope"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: got %v", err)
	}
}

func TestOperationInAnySpelling(t *testing.T) {
	t.Parallel()
	c := load(t)
	for _, spelling := range []string{"PutPublicAccessBlock", "putPublicAccessBlock", "put_public_access_block", "put-public-access-block", "PUTPUBLICACCESSBLOCK"} {
		_, op, err := c.Find("s3", spelling)
		if err != nil {
			t.Fatal(err)
		}
		if op.Name != "PutPublicAccessBlock" {
			t.Errorf("%q: got %s", spelling, op.Name)
		}
	}
	_, _, err := c.Find("s3", "PutPublicAccess")
	if !fault.Is(err, fault.NotFound) || fault.HintOf(err) != "did you mean PutPublicAccessBlock?" {
		t.Errorf("unknown operation: got %v, hint %q", err, fault.HintOf(err))
	}
}

func TestShapesCarryTheWireFormat(t *testing.T) {
	t.Parallel()
	_, op, err := load(t).Find("s3", "PutBucketAcl")
	if err != nil {
		t.Fatal(err)
	}
	bucket, _ := op.Input.Member("Bucket")
	policy, _ := op.Input.Member("AccessControlPolicy")
	got := []any{op.Method, op.URI, op.Input.Payload, bucket.Location, policy.LocationName, policy.XMLNamespace.URI, op.Checksum.AlgorithmMember, op.Checksum.Required, op.Input.Required}
	want := []any{"PUT", "/{Bucket}?acl", "AccessControlPolicy", "uri", "AccessControlPolicy", "http://s3.amazonaws.com/doc/2006-03-01/", "ChecksumAlgorithm", true, []string{"Bucket"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFirstUseIsQuick(t *testing.T) {
	t.Parallel()
	// The goals are 20 ms, and 60 ms for EC2; the limits here are ten times
	// that, so that a busy machine does not fail the build.
	for service, limit := range map[string]time.Duration{"securityhub": 200 * time.Millisecond, "ec2": 600 * time.Millisecond} {
		c := load(t)
		start := time.Now()
		if _, err := c.Service(service); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > limit {
			t.Errorf("%s took %v, want under %v", service, took, limit)
		}
	}
}

func BenchmarkFirstUse(b *testing.B) {
	for _, service := range []string{"s3", "securityhub", "ec2"} {
		b.Run(service, func(b *testing.B) {
			for b.Loop() {
				if _, err := load(b).Service(service); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
