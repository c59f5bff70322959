package awsapi_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// python finds an interpreter with moto and boto3.
func python(t *testing.T) string {
	t.Helper()
	var tried []string
	for _, name := range []string{os.Getenv("PARRY_PYTHON"), filepath.Join("..", "..", ".venv", "bin", "python"), "python3"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			continue
		}
		tried = append(tried, path)
		if exec.CommandContext(t.Context(), path, "-c", "import moto.server, boto3").Run() == nil { //nolint:gosec // the tester's own interpreter
			return path
		}
	}
	t.Fatalf("no Python with moto and boto3 (tried %v): run `make venv`, or set PARRY_PYTHON", tried)
	return ""
}

// startMoto runs moto server until the test ends and gives its address.
func startMoto(t *testing.T) (py, address string) {
	t.Helper()
	py = python(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port to hand on
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	var log bytes.Buffer
	cmd := exec.Command(py, "-m", "moto.server", "-H", "127.0.0.1", "-p", strconv.Itoa(port)) //nolint:gosec,noctx // ended in Cleanup
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address = fmt.Sprintf("http://127.0.0.1:%d", port)
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		resp, err := http.Get(address + "/moto-api/") //nolint:noctx,gosec // our own server
		if err == nil {
			_ = resp.Body.Close()
			return py, address
		}
		time.Sleep(50 * time.Millisecond) // another process: there is no signal to wait for
	}
	t.Fatalf("moto did not start: %s", log.String())
	return "", ""
}

// reset empties moto and makes its random numbers repeat.
func reset(t *testing.T, address string) {
	t.Helper()
	for _, path := range []string{"/moto-api/reset", "/moto-api/seed?a=7"} {
		resp, err := http.Post(address+path, "", nil) //nolint:noctx,gosec // our own server
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

// step is one call of a script, as testdata and boto3_calls.py have it.
type step struct {
	Service   string         `json:"service"`
	Operation string         `json:"operation"`
	Region    string         `json:"region,omitempty"`
	Input     map[string]any `json:"input,omitempty"`
}

var testKeys = awsapi.Credentials{AccessKeyID: "AKIAPARRYTEST0000000", SecretAccessKey: awsapi.NewSecret("secret")}

func newClient(t *testing.T, endpoint string, change func(*awsapi.ClientConfig)) *awsapi.Client {
	t.Helper()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	cfg := awsapi.ClientConfig{Models: models, Region: "us-east-1", Getenv: func(name string) string {
		if name == "AWS_ENDPOINT_URL" {
			return endpoint
		}
		return ""
	}}
	if change != nil {
		change(&cfg)
	}
	c, err := awsapi.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ours makes the calls with our client.
func ours(t *testing.T, c *awsapi.Client, steps []step) []any {
	t.Helper()
	var answers []any
	for _, s := range steps {
		in, ok := fill(s.Input, answers).(map[string]any)
		if !ok && s.Input != nil {
			t.Fatalf("%s:%s: input is no object", s.Service, s.Operation)
		}
		reply, err := c.Send(t.Context(), testKeys, apimodel.Call{Service: s.Service, Operation: s.Operation, Region: s.Region, Input: in})
		var refused *apimodel.APIError
		var invalid *awsapi.ParamError
		switch {
		case errors.As(err, &refused):
			text := "An" + strings.TrimPrefix(refused.Error(), "an")
			answers = append(answers, map[string]any{"error": map[string]any{
				"Code": refused.Code, "Message": refused.Message, "HTTPStatusCode": int64(refused.HTTPStatus), "Text": text,
			}})
		case errors.As(err, &invalid):
			answers = append(answers, map[string]any{"invalid": invalid.Error()})
		case err != nil:
			t.Fatalf("%s:%s: %v", s.Service, s.Operation, err)
		default:
			answers = append(answers, map[string]any{"output": reply.Output})
		}
	}
	return answers
}

// theirs makes the calls with boto3.
func theirs(t *testing.T, py, address string, steps []step) []any {
	t.Helper()
	in, err := json.Marshal(steps)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), py, filepath.Join("testdata", "boto3_calls.py"), address) //nolint:gosec // our own program
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("boto3: %v\n%s", err, stderr.String())
	}
	var answers []any
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	return answers
}

// fill puts members of earlier answers, bytes and times into an input.
func fill(v any, answers []any) any {
	switch v := v.(type) {
	case string:
		if !strings.HasPrefix(v, "$") {
			return v
		}
		parts := strings.Split(v[1:], ".")
		n, err := strconv.Atoi(parts[0])
		if err != nil || n >= len(answers) {
			return v
		}
		found := answers[n].(map[string]any)["output"]
		for _, part := range parts[1:] {
			switch f := found.(type) {
			case map[string]any:
				found = f[part]
			case []any:
				i, _ := strconv.Atoi(part)
				found = f[i]
			}
		}
		return found
	case map[string]any:
		if text, ok := v["$bytes"].(string); ok {
			b, _ := base64.StdEncoding.DecodeString(text)
			return b
		}
		if text, ok := v["$time"].(string); ok {
			when, _ := time.Parse(time.RFC3339, text)
			return when
		}
		out := map[string]any{}
		for k := range v {
			out[k] = fill(v[k], answers)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fill(v[i], answers)
		}
		return out
	}
	return v
}

// volatile are the members that differ from run to run and say nothing about
// how an answer was read.
var volatile = map[string]bool{
	"RequestId": true, "HTTPHeaders": true, "HostId": true, "ClientToken": true, "SessionToken": true, "CiphertextBlob": true,
	"creationTime": true, "id": true, "rootResourceId": true, "FileSystemId": true, "FileSystemArn": true, "MessageId": true,
	"ReceiptHandle": true, "SnapshotId": true, "VersionId": true, "UniqueID": true, "CreationDate": true,
}

// normal makes an answer of either side the same form: numbers as float64,
// times as their kind when they are of today, volatile members as present.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["$time"].(string); ok && len(v) == 1 {
			when, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				return text
			}
			return normal(when)
		}
		out := map[string]any{}
		for k := range v {
			switch {
			case volatile[k]:
				out[k] = "present"
				continue
			case k == "Text" && strings.HasSuffix(fmt.Sprint(v[k]), "operation: None"):
				out[k] = strings.TrimSuffix(fmt.Sprint(v[k]), "None") // no message
				continue
			case k == "Message" && v[k] == nil:
				out[k] = ""
				continue
			}
			out[k] = normal(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = normal(v[i])
		}
		return out
	case time.Time:
		if time.Since(v).Abs() < 48*time.Hour {
			return "today"
		}
		return v.UTC().Format(time.RFC3339)
	case []byte:
		return map[string]any{"$bytes": base64.StdEncoding.EncodeToString(v)}
	case int64:
		return float64(v)
	case string:
		if when, err := time.Parse(time.RFC3339Nano, v); err == nil && time.Since(when).Abs() < 48*time.Hour {
			return "today"
		}
	}
	return v
}

// TestLikeBoto3 makes the same calls with our client and with boto3 against
// moto and wants the same answers: outputs, errors and validation texts.
func TestLikeBoto3(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto; run `make test`")
	}
	t.Parallel()
	py, address := startMoto(t)
	files, err := filepath.Glob(filepath.Join("testdata", "boto3", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var steps []step
			dec := json.NewDecoder(bytes.NewReader(text))
			if err := dec.Decode(&steps); err != nil {
				t.Fatal(err)
			}
			c := newClient(t, address, nil)
			reset(t, address)
			want := theirs(t, py, address, steps)
			reset(t, address)
			got := ours(t, c, steps)
			for i := range steps {
				if diff := cmp.Diff(normal(want[i]), normal(got[i])); diff != "" {
					t.Errorf("step %d, %s:%s differs (-boto3 +ours):\n%s", i, steps[i].Service, steps[i].Operation, diff)
				}
			}
		})
	}
}
