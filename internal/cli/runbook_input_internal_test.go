package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParameters(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, []byte(`{"Ids": ["a"], "Count": 3}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		list []string
		all  string
		want map[string]any
		err  string
	}{
		"text":                 {list: []string{"A=b", "Empty=", "Eq=x=y"}, want: map[string]any{"A": "b", "Empty": "", "Eq": "x=y"}},
		"a list and an object": {list: []string{`Ids=["a","b"]`, `Finding={"Id":"f","N":9007199254740993}`}, want: map[string]any{"Ids": []any{"a", "b"}, "Finding": map[string]any{"Id": "f", "N": int64(9007199254740993)}}},
		"commas are text":      {list: []string{"Ids=a,b"}, want: map[string]any{"Ids": "a,b"}},
		"numbers are text":     {list: []string{"N=5", "B=true"}, want: map[string]any{"N": "5", "B": "true"}},
		"no JSON is text":      {list: []string{"Pattern={ $.a = 1 }", "Class=[a-z]+"}, want: map[string]any{"Pattern": "{ $.a = 1 }", "Class": "[a-z]+"}},
		"a file":               {all: "file://" + file, list: []string{"Count=4"}, want: map[string]any{"Ids": []any{"a"}, "Count": "4"}},
		"a value from a file":  {list: []string{"All=file://" + file}, want: map[string]any{"All": map[string]any{"Ids": []any{"a"}, "Count": int64(3)}}},
		"no name":              {list: []string{"=b"}, err: `--param "=b" is not NAME=VALUE`},
		"no value":             {list: []string{"a"}, err: "is not NAME=VALUE"},
		"a list of parameters": {all: "[]", err: "not a JSON object"},
		"no JSON":              {all: "{", err: "--parameters is not JSON"},
		"no file":              {all: "file:///nowhere", err: "no such file"},
		"too many":             {all: `{` + strings.TrimSuffix(strings.Repeat(`"a$":1,`, 1), ",") + `}`, list: many(201), err: "the limit is 200"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parameters(tt.list, tt.all)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error is %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("parameters (-want +got):\n%s", diff)
			}
		})
	}
}

func many(n int) []string {
	var out []string
	for i := range n {
		out = append(out, "P"+strings.Repeat("x", i)+"=1")
	}
	return out
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		list []string
		want []map[string]any
		err  string
	}{
		"short": {
			list: []string{"Key=tag:Stage,Values=dev,test", "Key=ParameterValues,Values=a"},
			want: []map[string]any{{"Key": "tag:Stage", "Values": []any{"dev", "test"}}, {"Key": "ParameterValues", "Values": []any{"a"}}},
		},
		"JSON":       {list: []string{`[{"Key":"ResourceGroup","Values":["g"]}]`}, want: []map[string]any{{"Key": "ResourceGroup", "Values": []any{"g"}}}},
		"no values":  {list: []string{"Key=tag:Stage"}, err: "is not Key=KEY,Values="},
		"no key":     {list: []string{"tag:Stage,Values=a"}, err: "is not Key=KEY,Values="},
		"no objects": {list: []string{"[1]"}, err: "not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := targets(tt.list)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("error is %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWireParameters(t *testing.T) {
	t.Parallel()
	got, err := wireParameters(map[string]any{"Text": "a", "List": []any{"a", "b"}, "Map": map[string]any{"k": int64(1)}, "Maps": []any{map[string]any{"k": "v"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"Text": []any{"a"}, "List": []any{"a", "b"}, "Map": []any{`{"k":1}`}, "Maps": []any{`{"k":"v"}`}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
}

// FuzzParameterValue wants that no value is refused that names no file.
func FuzzParameterValue(f *testing.F) {
	for _, seed := range []string{`["a"]`, `{"a":1}`, "[", "a,b", "{ $.x = * }", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, fileScheme) {
			return
		}
		if _, err := parameterValue(text); err != nil {
			t.Error(err)
		}
	})
}
