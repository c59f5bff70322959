package awsfront_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

func TestImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := send(t, b.request(t, "dev", "securityhub", "POST", "/findings/import",
		batch(t, exampleFinding("a", dev), exampleFinding("b", prod), map[string]any{"Id": "c"})))
	var got struct {
		FailedCount, SuccessCount int
		FailedFindings            []finding.ImportError
	}
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		t.Fatal(a, err)
	}
	if got.SuccessCount != 1 || got.FailedCount != 2 || b.stored() != 1 {
		t.Errorf("got %s", a.body)
	}
	for i, want := range []finding.ImportError{{Id: "b", ErrorCode: "InvalidAccess"}, {Id: "c", ErrorCode: "InvalidInput"}} {
		if f := got.FailedFindings[i]; f.Id != want.Id || f.ErrorCode != want.ErrorCode {
			t.Errorf("got %v, want %v", f, want)
		}
	}
	if item := b.inbox[0]; item.Source != "dev" || item.Trusted {
		t.Errorf("stored as %q, trusted %v", item.Source, item.Trusted)
	}
}

func TestSecurityHubRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	large := exampleFinding("large", dev)
	large["Description"] = strings.Repeat("x", 6<<20+80<<10)
	for name, c := range map[string]struct {
		key, method, path, body string
		status                  int
		code, says              string
	}{
		"broken JSON":          {"dev", "POST", "/findings/import", "{\"Findings\": [\n{]}", 400, "InvalidInputException", "line 2, column 2"},
		"not an object":        {"dev", "POST", "/findings/import", "[]", 400, "InvalidInputException", "data should be object"},
		"null":                 {"dev", "POST", "/findings/import", "null", 400, "InvalidInputException", "data should be object"},
		"no findings":          {"dev", "POST", "/findings/import", "{}", 400, "InvalidInputException", "data should have required property 'Findings'"},
		"other case":           {"dev", "POST", "/findings/import", `{"findings":[{}]}`, 400, "InvalidInputException", "required property 'Findings'"},
		"empty batch":          {"dev", "POST", "/findings/import", `{"Findings":[]}`, 400, "InvalidInputException", "fewer than 1 items"},
		"wrong type":           {"dev", "POST", "/findings/import", `{"Findings":"x"}`, 400, "InvalidInputException", "data.Findings should be array"},
		"wrong item":           {"dev", "POST", "/findings/import", `{"Findings":[{},7]}`, 400, "InvalidInputException", "data.Findings[1] should be object"},
		"101 findings":         {"dev", "POST", "/findings/import", batch(t, many(101, dev)...), 400, "InvalidInputException", "more than 100 items, it has 101"},
		"over 6 MB":            {"dev", "POST", "/findings/import", batch(t, large), 413, "RequestEntityTooLargeException", "smaller than"},
		"nested":               {"dev", "POST", "/findings/import", `{"Findings":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + "}", 400, "InvalidInputException", "nested more than 64"},
		"reader imports":       {"reader", "POST", "/findings/import", `{"Findings":[{}]}`, 403, "AccessDeniedException", "may not do finding.import"},
		"reader updates":       {"reader", "PATCH", "/findings/batchupdate", `{}`, 403, "AccessDeniedException", "may not do finding.update"},
		"source enables":       {"dev", "POST", "/accounts", "{}", 403, "AccessDeniedException", "hub.enable"},
		"limit 0":              {"dev", "POST", "/findings", `{"MaxResults":0}`, 400, "InvalidInputException", "data.MaxResults should be >= 1"},
		"limit 101":            {"dev", "POST", "/findings", `{"MaxResults":101}`, 400, "InvalidInputException", "data.MaxResults should be <= 100"},
		"limit is text":        {"dev", "POST", "/findings", `{"MaxResults":"5"}`, 400, "InvalidInputException", "data.MaxResults should be integer"},
		"filters are a list":   {"dev", "POST", "/findings", `{"Filters":[]}`, 400, "InvalidInputException", "data.Filters should be object"},
		"sort order":           {"dev", "POST", "/findings", `{"SortCriteria":[{"Field":"Id","SortOrder":"up"}]}`, 400, "InvalidInputException", "data.SortCriteria[0].SortOrder"},
		"token is a number":    {"dev", "POST", "/findings", `{"NextToken":1}`, 400, "InvalidInputException", "data.NextToken should be string"},
		"record state":         {"dev", "PATCH", "/findings/batchupdate", `{"FindingIdentifiers":[{"Id":"a","ProductArn":"b"}],"RecordState":"ARCHIVED"}`, 400, "InvalidInputException", "RecordState"},
		"unknown workflow":     {"dev", "PATCH", "/findings/batchupdate", `{"FindingIdentifiers":[{"Id":"a","ProductArn":"b"}],"Workflow":{"Status":"DONE"}}`, 400, "InvalidInputException", "Workflow.Status"},
		"identifiers missing":  {"dev", "PATCH", "/findings/batchupdate", `{"Workflow":{"Status":"NEW"}}`, 400, "InvalidInputException", "required property 'FindingIdentifiers'"},
		"operation not served": {"admin", "GET", "/nothing", "", 501, "UnknownOperationException", "no operation GET on this path"},
		"method not served":    {"admin", "DELETE", "/accounts", "", 401, "InvalidAccessException", "DisableSecurityHub is not for Parry to do"},
		"another hub":          {"admin", "GET", "/accounts?HubArn=arn%3Aaws%3Asecurityhub%3Aus-east-1%3A1%3Ahub%2Fdefault", "", 404, "ResourceNotFoundException", ":hub/default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, b.request(t, c.key, "securityhub", c.method, c.path, c.body))
			var e struct{ Code, Message string }
			if err := json.Unmarshal([]byte(a.body), &e); err != nil {
				t.Fatal(a, err)
			}
			if a.status != c.status || a.header.Get("X-Amzn-Errortype") != c.code || e.Code != c.code || !strings.Contains(e.Message, c.says) {
				t.Errorf("want %d %s %q, got %d %s", c.status, c.code, c.says, a.status, a.body)
			}
		})
	}
	t.Cleanup(func() {
		if b.stored() != 0 || b.updated() != 0 {
			t.Error("a refused request had an effect")
		}
	})
}

func TestFrontRefusesInTheWordsOfTheService(t *testing.T) {
	t.Parallel()
	b := setup(t)
	without := func(r *http.Request) { r.Header.Del("Authorization") }
	forge := func(r *http.Request) {
		r.Header.Set("Authorization", r.Header.Get("Authorization")[:len(r.Header.Get("Authorization"))-4]+"0000")
	}
	stranger := func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), auth.KeyPrefix, "OTHER", 1))
	}
	late := func(r *http.Request) {
		sum := sha256.Sum256(nil)
		r.Header.Del("Authorization")
		k := b.keys["admin"]
		if err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.Secret.Reveal()}, r, hex.EncodeToString(sum[:]), "securityhub", "eu-central-1", time.Now().Add(-6*time.Minute)); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		key, service, method, path string
		change                     func(*http.Request)
		status                     int
		says                       string
	}{
		"no signature":        {"admin", "securityhub", "GET", "/accounts", without, 403, `"MissingAuthenticationTokenException"`},
		"no signature, query": {"admin", "sts", "POST", "/", without, 403, "<Code>MissingAuthenticationToken</Code>"},
		"wrong":               {"admin", "securityhub", "GET", "/accounts", forge, 403, `"InvalidSignatureException"`},
		"wrong, query":        {"admin", "sts", "POST", "/", forge, 403, "<Code>SignatureDoesNotMatch</Code>"},
		"unknown key":         {"admin", "securityhub", "GET", "/accounts", stranger, 403, `"UnrecognizedClientException"`},
		"unknown key, query":  {"admin", "sts", "POST", "/", stranger, 403, "<Code>InvalidClientTokenId</Code>"},
		"revoked key":         {"revoked", "securityhub", "GET", "/accounts", nil, 403, `"UnrecognizedClientException"`},
		"too late":            {"admin", "securityhub", "GET", "/accounts", late, 403, "Signature expired: "},
		"another service":     {"admin", "ec2", "POST", "/", nil, 404, "Parry does not answer. It answers securityhub and sts."},
		"presigned":           {"admin", "sts", "GET", "/?X-Amz-Signature=00", without, 403, "Presigned URLs are not accepted"},
		"authorization twice": {"admin", "securityhub", "GET", "/accounts", func(r *http.Request) { r.Header.Add("Authorization", "x") }, 400, "twice"},
		"unknown action":      {"admin", "sts", "GET", "/?Action=AssumeRole", nil, 400, "<Code>InvalidAction</Code>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := b.request(t, c.key, c.service, c.method, c.path, "")
			if c.change != nil {
				c.change(r)
			}
			a := send(t, r)
			if a.status != c.status || !strings.Contains(a.body, c.says) {
				t.Errorf("want %d %s, got %d %s", c.status, c.says, a.status, a.body)
			}
			for _, h := range []string{"X-Amzn-Requestid", "X-Content-Type-Options", "Content-Security-Policy"} {
				if a.header.Get(h) == "" {
					t.Errorf("the answer has no %s", h)
				}
			}
			for _, k := range b.keys {
				if strings.Contains(a.body, k.Secret.Reveal()) {
					t.Error("the answer holds a secret")
				}
			}
		})
	}
}

func TestAChangeIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.request(t, "dev", "securityhub", "POST", "/findings/import", batch(t, exampleFinding("a", dev)))
	again := func() *http.Request {
		body, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		c := r.Clone(t.Context())
		c.Body = body
		return c
	}
	if a := send(t, again()); a.status != 200 {
		t.Fatal(a)
	}
	a := send(t, again())
	if a.status != 429 || a.header.Get("X-Amzn-Errortype") != "LimitExceededException" || a.header.Get("X-Amz-Retry-After") != "1000" || !strings.Contains(a.body, "accepted already") {
		t.Errorf("replay: %v", a)
	}
	if b.stored() != 1 {
		t.Errorf("%d findings stored, want 1", b.stored())
	}
	read := b.request(t, "dev", "securityhub", "POST", "/findings", "")
	for range 2 {
		if a := send(t, read.Clone(t.Context())); a.status != 200 {
			t.Errorf("a read was refused: %v", a)
		}
	}
}

func TestReadsAreScopedOnTheServer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if a := send(t, b.request(t, "admin", "securityhub", "POST", "/findings/import", batch(t, exampleFinding("a", dev), exampleFinding("b", prod)))); a.status != 200 {
		t.Fatal(a)
	}
	for name, body := range map[string]string{
		"no filter":      `{}`,
		"foreign filter": `{"Filters":{"AwsAccountId":[{"Value":"` + prod + `","Comparison":"EQUALS"}]}}`,
		"scope in body":  `{"Accounts":["*"],"accounts":["*"],"Filters":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := send(t, b.request(t, "dev", "securityhub", "POST", "/findings", body))
			if a.status != 200 || strings.Contains(a.body, prod) {
				t.Errorf("a key for dev got %d %s", a.status, a.body)
			}
		})
	}
	if a := send(t, b.request(t, "dev", "securityhub", "PATCH", "/findings/batchupdate",
		`{"FindingIdentifiers":[{"Id":"b","ProductArn":"arn"}],"Workflow":{"Status":"SUPPRESSED"}}`)); a.status != 200 {
		t.Error(a)
	}
	if got := b.scopes[0]; !slices.Equal(got, []string{dev}) {
		t.Errorf("the update is scoped to %v", got)
	}
}

func TestInternalErrorsStayInside(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.failWith = fault.Errorf(fault.Internal, "write", "disk at /secret/path is gone")
	a := send(t, b.request(t, "dev", "securityhub", "POST", "/findings/import", batch(t, exampleFinding("a", dev))))
	if a.status != 500 || !strings.Contains(a.body, "InternalException") || strings.Contains(a.body, "/secret/path") {
		t.Error(a)
	}
}
