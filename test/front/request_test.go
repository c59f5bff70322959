package front_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/remediation"
)

func approvalOf(s remediation.State) remediation.ApprovalState {
	if s == remediation.AwaitingApproval {
		return remediation.ApprovalPending
	}
	return remediation.ApprovalApproved
}

// hook is a receiver of webhooks.
type hook struct {
	url string
	got chan string
}

func newHook(t *testing.T) *hook {
	h := &hook{got: make(chan string, 100)}
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body) // what is missing fails the test that waits for it
		h.got <- string(raw)
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// call is a request in the making. Its zero values are what most requests need.
type call struct {
	key     string // by name
	service string // default: parry below /v1/, else securityhub
	method  string // default: POST
	path    string
	body    string
	at      time.Duration // of the signature, from now
	secret  string        // default: the key's
	id      string        // default: the key's
	bare    bool          // no signature
	target  string        // X-Amz-Target
	nonce   string
}

// signed gives what is sent: a request can be made of it again and again, the
// same to the byte.
type signed struct {
	method, url, body string
	header            http.Header
}

func (s *server) sign(t *testing.T, c call) signed {
	t.Helper()
	if c.service == "" {
		c.service = "securityhub"
		if strings.HasPrefix(c.path, "/v1/") {
			c.service = "parry"
		}
	}
	out := signed{method: cmp.Or(c.method, http.MethodPost), url: s.url + c.path, body: c.body}
	req, err := http.NewRequestWithContext(t.Context(), out.method, out.url, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.target != "" {
		req.Header.Set("X-Amz-Target", c.target)
	}
	if !c.bare {
		if c.service == "parry" {
			req.Header.Set("X-Parry-Nonce", cmp.Or(c.nonce, time.Now().Format(time.RFC3339Nano)))
		}
		k := s.keys[c.key]
		sum := sha256.Sum256([]byte(c.body))
		keys := aws.Credentials{AccessKeyID: cmp.Or(c.id, k.ID), SecretAccessKey: cmp.Or(c.secret, k.Secret)}
		if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hex.EncodeToString(sum[:]), c.service, "us-east-1", time.Now().Add(c.at)); err != nil {
			t.Fatal(err)
		}
	}
	out.header = req.Header
	return out
}

// answer is what came back, in the words of either API.
type answer struct {
	status     int
	code       string
	message    string
	hint       string
	body       []byte
	retryAfter string
}

func (r signed) send(t *testing.T) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, r.url, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = r.header.Clone()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	a := answer{status: res.StatusCode, retryAfter: res.Header.Get("Retry-After")}
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	var said struct {
		Type    string `json:"__type"`
		Code    string
		Message string
		Detail  string
		Hint    string
	}
	if bytes.HasPrefix(bytes.TrimSpace(a.body), []byte("{")) {
		if err := json.Unmarshal(a.body, &said); err != nil {
			t.Fatalf("%v: %s", err, a.body)
		}
	}
	a.code = cmp.Or(res.Header.Get("X-Amzn-Errortype"), said.Type, said.Code)
	a.message, a.hint = cmp.Or(said.Detail, said.Message), said.Hint
	if res.Header.Get("X-Amzn-Requestid") == "" || res.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s %s: an answer without its headers: %v", r.method, r.url, res.Header)
	}
	return a
}

func (s *server) do(t *testing.T, c call) answer {
	t.Helper()
	return s.sign(t, c).send(t)
}

// is fails the test unless the answer has this status, this code, and these
// words in its message or hint.
func (a answer) is(t *testing.T, status int, code string, words ...string) {
	t.Helper()
	if a.status != status || a.code != code {
		t.Errorf("got %d %s, want %d %s: %.500s", a.status, a.code, status, code, a.body)
	}
	for _, w := range words {
		if !strings.Contains(a.message+"\n"+a.hint, w) {
			t.Errorf("%q is not in the answer: %s\nhint: %s", w, a.message, a.hint)
		}
	}
}

// findings gives every finding that key may see, as stored.
func (s *server) findings(t *testing.T, keyName, filters string) []map[string]any {
	t.Helper()
	a := s.do(t, call{key: keyName, path: "/findings", body: `{"Filters":` + cmp.Or(filters, "{}") + `,"SortCriteria":[{"Field":"Id","SortOrder":"asc"}]}`})
	var page struct {
		Findings  []map[string]any
		NextToken string
	}
	if err := json.Unmarshal(a.body, &page); err != nil || a.status != http.StatusOK || page.NextToken != "" {
		t.Fatalf("GetFindings: %d %s (%v)", a.status, a.body, err)
	}
	return page.Findings
}

// example is a valid finding.
func example(id, account string) map[string]any {
	return map[string]any{
		"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": product, "GeneratorId": "a-check", "AwsAccountId": account,
		"Types": []string{"Software and Configuration Checks"}, "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
		"Severity": map[string]any{"Label": "LOW"}, "Title": "A title", "Description": "A description.",
		"Resources": []map[string]any{{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + id}},
	}
}

func batch(t *testing.T, findings ...map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"Findings": findings})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// imported is BatchImportFindings' answer.
type imported struct {
	FailedCount, SuccessCount int
	FailedFindings            []struct{ Id, ErrorCode, ErrorMessage string }
}

func (a answer) imported(t *testing.T) imported {
	t.Helper()
	var out imported
	if err := json.Unmarshal(a.body, &out); err != nil || a.status != http.StatusOK {
		t.Fatalf("BatchImportFindings: %d %s (%v)", a.status, a.body, err)
	}
	return out
}
