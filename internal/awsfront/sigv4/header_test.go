package sigv4_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/awsfront/sigv4"
)

const good = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"

func TestParseAuthorization(t *testing.T) {
	t.Parallel()
	want := sigv4.Authorization{
		KeyID: "AKIDEXAMPLE", Date: "20150830", Region: "us-east-1", Service: "iam",
		SignedHeaders: []string{"content-type", "host", "x-amz-date"},
		Signature:     "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
	}
	for _, header := range []string{good, strings.ReplaceAll(good, ", ", ","), strings.ReplaceAll(good, ", ", ",  ")} {
		got, f := sigv4.ParseAuthorization(header)
		if f != nil {
			t.Fatal(f)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestParseAuthorizationRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ from, to, says string }{
		"nothing":                {good, "", "requires algorithm"},
		"another scheme":         {"AWS4-HMAC-SHA256", "Bearer", "requires algorithm 'AWS4-HMAC-SHA256'"},
		"asymmetric":             {"AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "requires algorithm"},
		"no credential":          {"Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, ", "", "requires 'Credential' parameter"},
		"no headers":             {"SignedHeaders=content-type;host;x-amz-date, ", "", "requires 'SignedHeaders' parameter"},
		"no signature":           {", Signature=", ", Sig=", "unknown parameter"},
		"signature twice":        {"SignedHeaders=", "Signature=00, SignedHeaders=", "'Signature' twice"},
		"four parts":             {"/iam/", "/", "exactly 5 slash-delimited elements"},
		"six parts":              {"AKIDEXAMPLE", "AKID/EXAMPLE", "exactly 5 slash-delimited elements"},
		"another terminator":     {"aws4_request", "aws5_request", "valid terminator"},
		"key with control bytes": {"AKIDEXAMPLE", "AKID\x00", "access key id"},
		"date too short":         {"20150830", "2015083", "yyyymmdd"},
		"region with spaces":     {"us-east-1", "us east", "valid region"},
		"upper-case service":     {"/iam/", "/IAM/", "valid service"},
		"headers unsorted":       {"content-type;host", "host;content-type", "sorted"},
		"header twice":           {"content-type;host", "host;host", "sorted"},
		"upper-case header":      {"content-type", "Content-Type", "lower-case"},
		"host unsigned":          {"host;", "", "'Host'"},
		"upper-case signature":   {"5d672d79", "5D672D79", "64 lower-case"},
		"short signature":        {"5d672d79", "", "64 lower-case"},
		"much too long":          {"AKIDEXAMPLE", strings.Repeat("A", 9000), "more than the limit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, f := sigv4.ParseAuthorization(strings.Replace(good, c.from, c.to, 1))
			if f == nil || !strings.Contains(f.Message, c.says) {
				t.Errorf("want %q, got %v", c.says, f)
			}
		})
	}
}

// FuzzParseAuthorization: what is accepted says the same when it is written anew.
func FuzzParseAuthorization(f *testing.F) {
	f.Add(good)
	f.Add(strings.ReplaceAll(good, ", ", ","))
	f.Add("AWS4-HMAC-SHA256 Credential=a/20150830/r/s/aws4_request,SignedHeaders=host,Signature=")
	f.Add("AWS4-HMAC-SHA256 ,,,=,")
	f.Fuzz(func(t *testing.T, header string) {
		a, failure := sigv4.ParseAuthorization(header)
		if failure != nil {
			return
		}
		again := "AWS4-HMAC-SHA256 Credential=" + a.KeyID + "/" + a.Scope() + ", SignedHeaders=" + strings.Join(a.SignedHeaders, ";") + ", Signature=" + a.Signature
		b, failure := sigv4.ParseAuthorization(again)
		if failure != nil {
			t.Fatalf("%q was accepted, %q was not: %v", header, again, failure)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Error(diff)
		}
	})
}
