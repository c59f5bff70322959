package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/test/testenv"
)

// TestArchiveIsOfTheseModels packs the data of the pinned botocore anew, as
// `make models` does, and wants the committed archive. The command is built
// without the race detector, which would take minutes.
func TestArchiveIsOfTheseModels(t *testing.T) {
	if testing.Short() {
		t.Skip("packs all models, for ten seconds; run `make test`")
	}
	t.Parallel()
	fresh := filepath.Join(t.TempDir(), "models.bin")
	if out, err := exec.CommandContext(t.Context(), "go", "run", ".", "-botocore", botocore(t), "-out", fresh).CombinedOutput(); err != nil { //nolint:gosec // our own command
		t.Fatalf("%v: %s", err, out)
	}
	got, err := os.ReadFile(fresh) //nolint:gosec // written above
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "models.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Error("models.bin is not what these models give: run `make models` with the pinned botocore")
	}
}

// botocore is the directory of the project's botocore, or the one that the
// tester names.
func botocore(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("PARRY_BOTOCORE_DATA"); dir != "" {
		return dir
	}
	python, err := testenv.FindPython(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python, "-c", "import os, botocore; print(os.path.dirname(botocore.__file__))").Output() //nolint:gosec // the interpreter that the tester names
	if err != nil {
		t.Fatalf("find botocore: %v (run `make venv`)", err)
	}
	return strings.TrimSpace(string(out))
}

const oldModel = `{"metadata": {"apiVersion": "2019-01-01"}, "operations": {}, "shapes": {}}`

const model = `{
  "metadata": {"apiVersion": "2020-01-01", "endpointPrefix": "thing", "protocol": "query", "protocols": ["smithy-rpc-v2-cbor", "json", "query"],
    "serviceId": "Thing", "signatureVersion": "v4", "xmlNamespace": "http://thing/", "auth": ["aws.auth#sigv4"], "awsQueryCompatible": {}},
  "documentation": "<p>gone</p>",
  "operations": {
    "DoIt": {"name": "DoIt", "http": {"method": "POST", "requestUri": "/ "}, "input": {"shape": "In", "documentation": "gone"},
      "staticContextParams": {"Plane": {"value": "data"}, "Yes": {"value": true}}, "operationContextParams": {"Names": {"path": "keys(M)"}}, "output": {"shape": "Out", "resultWrapper": "DoItResult"}, "errors": [{"shape": "Bad"}], "documentation": "gone", "httpChecksumRequired": true}
  },
  "shapes": {
    "In": {"type": "structure", "required": ["Z"], "members": {"Z": {"shape": "Text", "contextParam": {"name": "Zed"}}, "A": {"shape": "In", "locationName": "a", "documentation": "gone"}, "M": {"shape": "Times", "idempotencyToken": true}}},
    "Out": {"type": "structure", "members": {"T": {"shape": "Time"}}},
    "Bad": {"type": "structure", "members": {}, "exception": true, "error": {"code": "Bad.Thing", "httpStatusCode": 409, "senderFault": true}},
    "Text": {"type": "string", "min": 1, "max": 9, "pattern": "a+", "enum": ["x"], "sensitive": true},
    "Times": {"type": "map", "key": {"shape": "Text", "locationName": "K"}, "value": {"shape": "TimeList"}, "flattened": true},
    "TimeList": {"type": "list", "member": {"shape": "Time", "locationName": "t"}, "max": 3},
    "Time": {"type": "timestamp", "timestampFormat": "iso8601"}
  }
}`

const extras = `{"merge": {"metadata": {"serviceId": "The Thing"}, "shapes": {"In": {"members": {"Extra": {"shape": "Text", "documentation": "gone"}}}, "Time": {"type": "string"}}}}`

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	data := []byte(text)
	if strings.HasSuffix(file, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(data)
		_ = z.Close()
		data = b.Bytes()
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestPackKeepsWhatTheProtocolsNeed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "__init__.py"), "__version__ = '9.9.9'\n")
	data := filepath.Join(dir, "data")
	write(t, filepath.Join(data, "thing", "2019-01-01", "service-2.json.gz"), oldModel)
	write(t, filepath.Join(data, "thing", "2020-01-01", "service-2.json.gz"), model)
	write(t, filepath.Join(data, "partitions.json"), `{"partitions": [{"id": "aws", "regionRegex": "^a", "outputs": {}, "regions": {"b": {"description": "gone"}}}]}`)
	write(t, filepath.Join(data, "endpoints.json"), `{"partitions": [{"partition": "aws", "services": {"thing": {"partitionEndpoint": "all", "isRegionalized": false, "endpoints": {"all": {"credentialScope": {"region": "b"}}}}}}]}`)
	write(t, filepath.Join(data, "thing", "2020-01-01", "paginators-1.json"), `{"pagination": {"DoIt": {"input_token": "A", "output_token": ["T"], "result_key": ["a", "b"], "limit_key": "Z"}}}`)
	write(t, filepath.Join(data, "thing", "2020-01-01", "paginators-1.sdk-extras.json"), `{"merge": {"pagination": {"DoIt": {"non_aggregate_keys": ["c"]}}}}`)
	write(t, filepath.Join(data, "thing", "2020-01-01", "waiters-2.json"), `{"waiters": {"Done": {"description": "gone", "operation": "DoIt", "delay": 3, "maxAttempts": 9, "acceptors": [{"state": "success", "matcher": "status", "expected": 200}]}}}`)
	write(t, filepath.Join(data, "thing", "2020-01-01", "endpoint-rule-set-1.json.gz"), `{"parameters": {"Region": {"type": "String", "documentation": "gone"}}, "rules": [{"type": "endpoint", "documentation": "gone", "conditions": [], "endpoint": {"url": "https://thing.{Region}"}}]}`)
	write(t, filepath.Join(data, "thing", "2020-01-01", "service-2.sdk-extras.json"), extras)
	write(t, filepath.Join(data, "nothing", "README"), "no model here")

	archive, _, err := pack(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := pack(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archive, again) {
		t.Error("the same data gave different bytes")
	}
	if bytes.Contains(archive, []byte("gone")) {
		t.Error("documentation was kept")
	}
	c, err := apimodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Service("thing")
	if err != nil {
		t.Fatal(err)
	}
	op, ok := s.Operation("do_it")
	if !ok {
		t.Fatal("no operation DoIt")
	}
	var names []string
	for _, m := range op.Input.Members {
		names = append(names, m.Name)
	}
	token, _ := op.TokenMember()
	times, _ := op.Input.Member("M")
	text, _ := op.Input.Member("Z")
	itself, _ := op.Input.Member("A")
	pages, pagesErr := s.Paginator("do_it")
	done, doneErr := s.Waiter("done")
	rules, rulesErr := s.Rules()
	partitions, partitionsErr := c.Partitions()
	if err := errors.Join(pagesErr, doneErr, rulesErr, partitionsErr); err != nil {
		t.Fatal(err)
	}
	endpoint, err := rules.Resolve(partitions, map[string]any{"Region": "b"})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{
		"pages": pages, "done": done, "endpoint": endpoint.URL, "partition": partitions.Of("b"), "scopes": s.Scopes, "context": op.Context, "zed": text.ContextParam,
		"source": c.Source(), "id": s.ID, "version": s.APIVersion, "protocol": s.Protocol, "compatible": s.QueryCompatible, "signing": s.SigningName, "ns": s.XMLNamespace.URI,
		"uri": op.URI, "wrapper": op.ResultWrapper, "md5": op.Checksum.MD5, "members": names, "token": token,
		"map":  []any{times.Shape.Flattened, times.Shape.Key.LocationName, times.Shape.Value.Shape.Elem.LocationName, times.Shape.Value.Shape.Max},
		"text": []any{text.Shape.Min, text.Shape.Max, text.Shape.Pattern, text.Shape.Enum, text.Shape.Sensitive}, "circle": itself.Shape == op.Input,
		"error": []any{op.Errors[0].ErrorCode, op.Errors[0].ErrorStatus, op.Errors[0].SenderFault}, "extras": op.Output.Members[0].Shape.Type.String(),
	}
	want := map[string]any{
		"pages":    apimodel.Paginator{InputTokens: []string{"A"}, OutputTokens: []string{"T"}, LimitKey: "Z", ResultKeys: []string{"a", "b"}, NonAggregateKeys: []string{"c"}},
		"done":     apimodel.Waiter{Name: "Done", Operation: "DoIt", Delay: 3, MaxAttempts: 9, Acceptors: []apimodel.Acceptor{{State: "success", Matcher: "status", Expected: 200.0}}},
		"endpoint": "https://thing.b", "partition": "aws", "scopes": []apimodel.Scope{{Partition: "aws", Region: "b"}}, "zed": "Zed",
		"context": []apimodel.ContextParam{{Name: "Plane", Value: "data"}, {Name: "Yes", Value: "true", Bool: true}, {Name: "Names", Path: "keys(M)"}},
		"source":  "botocore 9.9.9", "id": "The Thing", "version": "2020-01-01", "protocol": "json", "compatible": true, "signing": "thing", "ns": "http://thing/",
		"uri": "/", "wrapper": "DoItResult", "md5": true, "members": []string{"Z", "A", "M", "Extra"}, "token": "M",
		"map": []any{true, "K", "t", "3"}, "text": []any{"1", "9", "a+", []string{"x"}, true}, "circle": true,
		"error": []any{"Bad.Thing", 409, true}, "extras": "string",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRunRefusesAHalfCopiedDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "__init__.py"), "__version__ = '9.9.9'\n")
	write(t, filepath.Join(dir, "data", "thing", "2020-01-01", "service-2.json.gz"), model)
	write(t, filepath.Join(dir, "data", "partitions.json"), `{}`)
	out := filepath.Join(dir, "out.bin")
	if err := run(dir, out); err == nil || !strings.Contains(err.Error(), "only 1 services") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an archive was written")
	}
	if err := run("", out); err == nil {
		t.Error("no directory was accepted")
	}
}
