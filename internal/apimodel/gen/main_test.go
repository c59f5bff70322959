package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// TestArchiveIsOfTheseModels packs botocore's data anew and wants the committed
// archive. It runs where PARRY_BOTOCORE_DATA names botocore's directory.
func TestArchiveIsOfTheseModels(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PARRY_BOTOCORE_DATA")
	if dir == "" {
		t.Log("PARRY_BOTOCORE_DATA is not set: nothing to compare with")
		return
	}
	got, _, err := pack(dir)
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

const oldModel = `{"metadata": {"apiVersion": "2019-01-01"}, "operations": {}, "shapes": {}}`

const model = `{
  "metadata": {"apiVersion": "2020-01-01", "endpointPrefix": "thing", "protocol": "query", "protocols": ["smithy-rpc-v2-cbor", "json", "query"],
    "serviceId": "Thing", "signatureVersion": "v4", "xmlNamespace": "http://thing/", "auth": ["aws.auth#sigv4"], "awsQueryCompatible": {}},
  "documentation": "<p>gone</p>",
  "operations": {
    "DoIt": {"name": "DoIt", "http": {"method": "POST", "requestUri": "/ "}, "input": {"shape": "In", "documentation": "gone"},
      "output": {"shape": "Out", "resultWrapper": "DoItResult"}, "errors": [{"shape": "Bad"}], "documentation": "gone", "httpChecksumRequired": true}
  },
  "shapes": {
    "In": {"type": "structure", "required": ["Z"], "members": {"Z": {"shape": "Text"}, "A": {"shape": "In", "locationName": "a", "documentation": "gone"}, "M": {"shape": "Times", "idempotencyToken": true}}},
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
	got := map[string]any{
		"source": c.Source(), "id": s.ID, "version": s.APIVersion, "protocol": s.Protocol, "compatible": s.QueryCompatible, "signing": s.SigningName, "ns": s.XMLNamespace.URI,
		"uri": op.URI, "wrapper": op.ResultWrapper, "md5": op.Checksum.MD5, "members": names, "token": token,
		"map":  []any{times.Shape.Flattened, times.Shape.Key.LocationName, times.Shape.Value.Shape.Elem.LocationName, times.Shape.Value.Shape.Max},
		"text": []any{text.Shape.Min, text.Shape.Max, text.Shape.Pattern, text.Shape.Enum, text.Shape.Sensitive}, "circle": itself.Shape == op.Input,
		"error": []any{op.Errors[0].ErrorCode, op.Errors[0].ErrorStatus, op.Errors[0].SenderFault}, "extras": op.Output.Members[0].Shape.Type.String(),
	}
	want := map[string]any{
		"source": "botocore 9.9.9", "id": "The Thing", "version": "2020-01-01", "protocol": "json", "compatible": true, "signing": "thing", "ns": "http://thing/",
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
