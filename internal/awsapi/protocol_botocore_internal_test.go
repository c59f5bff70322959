package awsapi

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// sample makes an input that fills every member, three levels deep.
func sample(m apimodel.Member, depth int, seen map[*apimodel.Shape]int) any {
	s := m.Shape
	if s.Document {
		return map[string]any{"free": []any{"form", 1.5, true}}
	}
	switch s.Type {
	case apimodel.Structure:
		out := map[string]any{}
		if depth > 4 || seen[s] > 1 {
			return out
		}
		seen[s]++
		defer func() { seen[s]-- }()
		for _, inner := range s.Members {
			if inner.Shape.EventStream {
				continue
			}
			out[inner.Name] = sample(inner, depth+1, seen)
			if s.Union {
				break
			}
		}
		return out
	case apimodel.List:
		if depth > 4 {
			return []any{}
		}
		item := sample(s.Elem, depth+1, seen)
		return []any{item, item}
	case apimodel.Map:
		if depth > 4 {
			return map[string]any{}
		}
		return map[string]any{"a key": sample(s.Value, depth+1, seen)}
	case apimodel.Integer, apimodel.Long:
		return 7
	case apimodel.Float, apimodel.Double:
		return 1.5
	case apimodel.Boolean:
		return true
	case apimodel.Timestamp:
		return map[string]any{"$time": "2024-05-06T07:08:09+00:00"}
	case apimodel.Blob:
		return map[string]any{"$bytes": "AP9oaQ=="}
	}
	switch {
	case m.JSONValue && m.Location == "header":
		return map[string]any{"a": 1}
	case m.HostLabel:
		return "label"
	}
	return "täxt/ & <more>"
}

type wire struct {
	Method, Path string
	Query        [][]string
	Headers      map[string]string
	Body         any
}

func marks(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if text, ok := v["$bytes"].(string); ok {
			b, _ := base64.StdEncoding.DecodeString(text)
			return b
		}
		if text, ok := v["$time"].(string); ok {
			t, _ := time.Parse(time.RFC3339, text)
			return t
		}
		out := map[string]any{}
		for k := range v {
			out[k] = marks(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = marks(v[i])
		}
		return out
	}
	return v
}

// TestRequestsLikeBotocore writes a request for every operation of some
// services with botocore's serializers and with ours. PARRY_ALL_SERVICES=1 does
// so for all services.
func TestRequestsLikeBotocore(t *testing.T) {
	if testing.Short() {
		t.Skip("runs botocore; run `make test`")
	}
	t.Parallel()
	models, err := apimodel.Load()
	if err != nil {
		t.Fatal(err)
	}
	services := strings.Fields("s3 s3control iam sts sns ec2 rds securityhub lambda guardduty dynamodb organizations ssm events kms cloudfront route53 apigateway lex-runtime cloudwatch sqs sdb glacier iot elb")
	if os.Getenv("PARRY_ALL_SERVICES") != "" {
		services = models.Services()
	}
	if one := os.Getenv("PARRY_SERVICE"); one != "" {
		services = strings.Fields(one)
	}
	var lines bytes.Buffer
	type want struct {
		rt    *runtime
		op    *operationRuntime
		input map[string]any
	}
	var cases []want
	enc := json.NewEncoder(&lines)
	for _, name := range services {
		s, err := models.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		rt, err := newRuntime(s, s.Protocol)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			o, err := rt.operation(op)
			if err != nil {
				continue // an event stream
			}
			input := map[string]any{}
			if op.Input != nil {
				input = sample(apimodel.Member{Shape: op.Input}, 0, map[*apimodel.Shape]int{}).(map[string]any)
			}
			if err := enc.Encode(map[string]any{"service": name, "operation": op.Name, "input": input}); err != nil {
				t.Fatal(err)
			}
			cases = append(cases, want{rt, o, marks(input).(map[string]any)})
		}
	}
	cmd := exec.CommandContext(t.Context(), venvPython(t), filepath.Join("testdata", "botocore_requests.py")) //nolint:gosec // our own program
	cmd.Stdin, cmd.Stderr = &lines, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("botocore: %v (run `make venv`)", err)
	}
	scan := bufio.NewScanner(bytes.NewReader(out))
	scan.Buffer(nil, 64<<20)
	wrong := 0
	for _, c := range cases {
		if !scan.Scan() {
			t.Fatal("botocore stopped early")
		}
		name := c.rt.service.Name + ":" + c.op.op.Name
		theirs := readTheirs(t, c.rt, scan.Bytes())
		m, err := c.rt.write(t.Context(), c.op, c.input)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(theirs, readOurs(c.rt, m)); diff != "" {
			if wrong++; wrong < 30 {
				t.Errorf("%s differs (-botocore +ours):\n%s", name, diff)
			}
		}
	}
	t.Logf("%d operations compared, %d differ", len(cases), wrong)
}

func readTheirs(t *testing.T, rt *runtime, line []byte) wire {
	t.Helper()
	var r struct {
		Method, Path, Error string
		Query               [][]string
		Headers             map[string]string
		Body                []byte
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	path, _ := url.PathUnescape(r.Path)
	return wire{Method: r.Method, Path: path + r.Error, Query: r.Query, Headers: headersOf(r.Headers), Body: bodyOf(rt, r.Body)}
}

func readOurs(rt *runtime, m message) wire {
	headers := map[string]string{}
	for k, v := range m.header {
		headers[strings.ToLower(k)] = strings.Join(v, ",")
	}
	raw := m.rawPath
	if raw == "" {
		raw = m.path
	}
	path, _ := url.PathUnescape(raw)
	query := [][]string{}
	values, _ := url.ParseQuery(m.query)
	for k, vs := range values {
		for _, v := range vs {
			query = append(query, []string{k, v})
		}
	}
	sort.Slice(query, func(i, j int) bool { return fmt.Sprint(query[i]) < fmt.Sprint(query[j]) })
	return wire{Method: m.method, Path: path, Query: query, Headers: headersOf(headers), Body: bodyOf(rt, m.body)}
}

// headersOf leaves out what is set elsewhere by one side or the other.
func headersOf(in map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range in {
		switch k {
		case "content-type", "accept", "smithy-protocol", "x-amzn-query-mode", "content-length":
			continue
		}
		out[k] = v
	}
	return out
}

// bodyOf parses a body, so that only what it says is compared.
func bodyOf(rt *runtime, body []byte) any {
	if len(body) == 0 {
		return nil
	}
	switch rt.style {
	case asDocument:
		var v any
		if json.Unmarshal(body, &v) == nil {
			return v
		}
	case asText:
		if body[0] == '<' {
			return elementsOf(body)
		}
		if values, err := url.ParseQuery(string(body)); err == nil && rt.service.Protocol != "rest-xml" {
			return values
		}
	}
	return string(body)
}

// elementsOf gives an XML document as a sorted list of paths with their texts.
func elementsOf(body []byte) any {
	dec := xml.NewDecoder(bytes.NewReader(body))
	var path, out []string
	for {
		tok, err := dec.RawToken()
		if err != nil {
			sort.Strings(out)
			return out
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			path = append(path, tok.Name.Local)
			for _, a := range tok.Attr {
				out = append(out, strings.Join(path, "/")+"@"+a.Name.Space+":"+a.Name.Local+"="+a.Value)
			}
			out = append(out, strings.Join(path, "/"))
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			out = append(out, strings.Join(path, "/")+"="+string(tok))
		}
	}
}
