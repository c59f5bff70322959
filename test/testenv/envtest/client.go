package envtest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/test/testenv"
)

// Creds are what a call is signed with; zero for an anonymous call.
type Creds struct {
	ID, Secret, Token string
	Region            string // us-east-1 where empty
}

// Of gives the credentials of a user of the estate.
func Of(k testenv.Key) Creds { return Creds{ID: k.AccessKeyID, Secret: k.Secret} }

// Answer is what a call got.
type Answer struct {
	Status int
	Code   string // AWS error code
	Body   string
	Err    error // the connection broke
}

// Is fails the test unless the answer has this status and this error code.
func (a Answer) Is(t testing.TB, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code != code {
		t.Errorf("got %d %q (%v), want %d %q: %s", a.Status, a.Code, a.Err, status, code, a.Body)
	}
}

// Call makes one call through the wall, signed by AWS's own signer, without
// retry. It is for what a test does beside Parry: set the scene, look behind.
func Call(t testing.TB, env *testenv.Env, c Creds, service, method, path, body string, header ...string) Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, env.WallURL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if strings.Contains(body, "Action=") {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.ID != "" {
		sum := sha256.Sum256([]byte(body))
		digest := hex.EncodeToString(sum[:])
		req.Header.Set("X-Amz-Content-Sha256", digest)
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		keys := aws.Credentials{AccessKeyID: c.ID, SecretAccessKey: c.Secret, SessionToken: c.Token}
		if err := signer.SignHTTP(t.Context(), keys, req, digest, service, cmp.Or(c.Region, "us-east-1"), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{Err: err}
	}
	return Answer{Status: resp.StatusCode, Body: string(raw), Code: errorCode(resp, raw)}
}

func errorCode(resp *http.Response, raw []byte) string {
	if code := resp.Header.Get("X-Amzn-Errortype"); code != "" {
		return code
	}
	_, rest, _ := bytes.Cut(raw, []byte("<Code>"))
	code, _, found := bytes.Cut(rest, []byte("</Code>"))
	if !found {
		return ""
	}
	return string(code)
}

// Assume calls AssumeRole with the parameters of form.
func Assume(t testing.TB, env *testenv.Env, c Creds, form url.Values) (Creds, Answer) {
	t.Helper()
	form.Set("Action", "AssumeRole")
	form.Set("Version", "2011-06-15")
	a := Call(t, env, c, "sts", http.MethodPost, "/", form.Encode())
	var out struct {
		ID     string `xml:"AssumeRoleResult>Credentials>AccessKeyId"`
		Secret string `xml:"AssumeRoleResult>Credentials>SecretAccessKey"`
		Token  string `xml:"AssumeRoleResult>Credentials>SessionToken"`
	}
	if a.Status == http.StatusOK {
		if err := xml.Unmarshal([]byte(a.Body), &out); err != nil {
			t.Fatal(err)
		}
	}
	return Creds{ID: out.ID, Secret: out.Secret, Token: out.Token}, a
}
