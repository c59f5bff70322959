package awsfront_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/store"
)

// python finds an interpreter with boto3.
func python(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Python: not in -short")
	}
	if p := os.Getenv("PARRY_PYTHON"); p != "" {
		return p
	}
	if p, err := filepath.Abs("../../.venv/bin/python"); err == nil {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	return "python3"
}

func environment(k store.Key) []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=" + k.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + k.Secret.Reveal(), "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "HOME=/nonexistent",
	}
	for _, name := range []string{"PATH", "LANG", "VIRTUAL_ENV", "PYENV_ROOT"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// boto runs a scenario of testdata/client.py.
func boto(t *testing.T, endpoint string, k store.Key, scenario string, input, output any) {
	t.Helper()
	raw, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python(t), "testdata/client.py", scenario, endpoint)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(k), bytes.NewReader(raw), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("client.py %s: %v\n%s", scenario, err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), output); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
}

// result is one call of client.py: an answer or an error.
type result struct {
	Response map[string]any `json:"response"`
	Retries  int            `json:"retries"`
	Request  string         `json:"request"`
	Error    string         `json:"error"`
	Message  string         `json:"message"`
	Status   int            `json:"status"`
	Type     string         `json:"type"`
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	b := setup(t)
	findings := []any{exampleFinding("a", dev), exampleFinding("b", prod)}
	var got map[string]result
	boto(t, b.url, b.keys["admin"], "story", map[string]any{"findings": findings}, &got)
	want := map[string]map[string]any{
		"identity": {"Account": hubAccount, "Arn": "arn:aws:iam::" + hubAccount + ":user/parry/admin", "UserId": b.keys["admin"].AccessKeyID},
		"hub": {
			"HubArn": "arn:aws:securityhub:eu-central-1:" + hubAccount + ":hub/default", "SubscribedAt": "2026-11-01T00:00:00.000Z",
			"AutoEnableControls": false, "ControlFindingGenerator": "SECURITY_CONTROL",
		},
		"enable":   {},
		"imported": {"SuccessCount": 2.0, "FailedCount": 0.0, "FailedFindings": []any{}},
	}
	for name, w := range want {
		if diff := cmp.Diff(w, got[name].Response); diff != "" || got[name].Request == "" {
			t.Errorf("%s: %+v\n%s", name, got[name], diff)
		}
	}
	if found, _ := got["found"].Response["Findings"].([]any); len(found) != 2 {
		t.Errorf("found: %+v", got["found"])
	}
	if done, _ := got["updated"].Response["ProcessedFindings"].([]any); len(done) != 2 || b.updated() != 1 {
		t.Errorf("updated: %+v", got["updated"])
	}
	if e := got["unserved"]; e.Error != "UnknownOperationException" || e.Status != 501 || !strings.Contains(e.Message, "does not serve") {
		t.Errorf("unserved: %+v", e)
	}
}

func TestBoto3ReadsErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wrong := b.keys["admin"]
	wrong.Secret = "not-the-secret"
	for name, c := range map[string]struct {
		key              store.Key
		identity, hub, m string
	}{
		"wrong secret": {wrong, "SignatureDoesNotMatch", "InvalidSignatureException", "The request signature we calculated does not match"},
		"revoked":      {b.keys["revoked"], "InvalidClientTokenId", "UnrecognizedClientException", "The security token included in the request is invalid."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got map[string]result
			boto(t, b.url, c.key, "whoami", struct{}{}, &got)
			for what, code := range map[string]string{"identity": c.identity, "hub": c.hub} {
				if e := got[what]; e.Error != code || e.Status != 403 || !strings.Contains(e.Message, c.m) {
					t.Errorf("%s: %+v", what, e)
				}
			}
		})
	}
	t.Run("limits", func(t *testing.T) {
		t.Parallel()
		large := exampleFinding("large", dev)
		large["Description"] = strings.Repeat("x", 7<<20)
		for code, findings := range map[string][]any{
			"InvalidInputException":          many(101, dev),
			"RequestEntityTooLargeException": {large},
		} {
			var got map[string]result
			boto(t, b.url, b.keys["dev"], "import", map[string]any{"modes": []string{"standard"}, "findings": findings}, &got)
			if e := got["standard"]; e.Error != code {
				t.Errorf("want %s, got %+v", code, e)
			}
		}
	})
}

// TestRepeatedImport: the network loses the first answer, or doubles the first
// request so that the client sees the refusal of the second. The client signs
// again, in the same second with the same signature as often as not, and must
// end well all the same.
func TestRepeatedImport(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"standard", "legacy"} {
		for name, disturb := range map[string]func(t *testing.T, w http.ResponseWriter, r *http.Request, next http.Handler){"lost": lose, "doubled": double} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				var requests atomic.Int32
				network := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1) == 1 {
						disturb(t, w, r, b.handler)
						return
					}
					b.handler.ServeHTTP(w, r)
				}))
				t.Cleanup(network.Close)
				var got map[string]result
				boto(t, network.URL, b.keys["dev"], "import", map[string]any{"modes": []string{mode}, "findings": []any{exampleFinding("a", dev)}}, &got)
				if r := got[mode]; r.Error != "" || r.Response["SuccessCount"] != 1.0 || r.Retries == 0 {
					t.Errorf("%d requests: %+v", requests.Load(), r)
				}
			})
		}
	}
}

// lose lets the request have its effect and resets the connection instead of
// answering.
func lose(t *testing.T, w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Without it, the end would look orderly.
	}
	_ = conn.Close()
}

// double delivers the request twice and answers with the second answer.
func double(t *testing.T, w http.ResponseWriter, r *http.Request, next http.Handler) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
		return
	}
	first := httptest.NewRecorder()
	for _, to := range []http.ResponseWriter{first, w} {
		copied := r.Clone(r.Context())
		copied.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(to, copied)
	}
	if first.Code != http.StatusOK {
		t.Errorf("the first delivery was answered %d", first.Code)
	}
}

func TestAWSCLI(t *testing.T) {
	t.Parallel()
	b := setup(t)
	cli := filepath.Join(filepath.Dir(python(t)), "aws")
	if _, err := os.Stat(cli); err != nil {
		if cli, err = exec.LookPath("aws"); err != nil {
			t.Fatal("the AWS CLI is not installed beside the Python interpreter: run make venv")
		}
	}
	file := filepath.Join(t.TempDir(), "findings.json")
	if err := os.WriteFile(file, []byte(strings.TrimSuffix(strings.TrimPrefix(batch(t, exampleFinding("a", dev)), `{"Findings":`), "}")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, query, want string }{
		{"sts get-caller-identity", "Account", dev},
		{"securityhub describe-hub", "HubArn", "arn:aws:securityhub:eu-central-1:" + hubAccount + ":hub/default"},
		{"securityhub batch-import-findings --findings file://" + file, "SuccessCount", "1"},
		{"securityhub get-findings", "Findings[].Id", "a"},
		{"securityhub batch-update-findings --finding-identifiers Id=a,ProductArn=arn --workflow Status=NOTIFIED", "ProcessedFindings[].Id", "a"},
	} {
		cmd := exec.CommandContext(t.Context(), cli, append(strings.Fields(c.args), "--endpoint-url", b.url, "--output", "text", "--query", c.query)...)
		cmd.Env = environment(b.keys["dev"])
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != c.want {
			t.Errorf("aws %s: want %q, got %q, %v", c.args, c.want, out, err)
		}
	}
}
