package file_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/ingest/file"
)

func docs(in string) (out []string, err error) {
	err = file.Each(strings.NewReader(in), func(d file.Document) error {
		text := string(d.Text)
		if d.Problem != "" {
			text = d.Problem
		}
		out = append(out, fmt.Sprintf("%d@%d %s", d.Number, d.Line, text))
		return nil
	})
	return out, err
}

func zip(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return b.String()
}

func TestEach(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want []string
	}{
		"one":              {`{"a":1}`, []string{`1@1 {"a":1}`}},
		"one, written out": {"{\n  \"a\": {\n    \"b\": \"}\"\n  }\n}\n", []string{"1@1 {\n  \"a\": {\n    \"b\": \"}\"\n  }\n}"}},
		"list":             {"[{\"a\":1},\n {\"b\":[2,\"]\"]}]", []string{`1@1 {"a":1}`, `2@2 {"b":[2,"]"]}`}},
		"empty list":       {" [ ] ", nil},
		"lines":            {"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}", []string{`1@1 {"a":1}`, `2@3 {"b":2}`, `3@4 {"c":3}`}},
		"a broken line":    {"{\"a\":1}\n{\"b\": [\n{\"c\":3}\n", []string{`1@1 {"a":1}`, `2@2 {"b": [`, `3@3 {"c":3}`}},
		"a broken text":    {"{\"b\":\"x\n{\"c\":3}\n", []string{`1@1 {"b":"x`, `2@2 {"c":3}`}},
		"a line of text":   {"hello\n{\"c\":3}\n", []string{`1@1 hello`, `2@2 {"c":3}`}},
		"the end missing":  {"{\"c\":3}\n{\"a\":", []string{`1@1 {"c":3}`, `2@2 {"a":`}},
		"AWS CLI":          {"{\n    \"Findings\": [\n {\"a\":1},\n {\"b\":2}\n ],\n \"NextToken\": \"x\"}\n", []string{`1@3 {"a":1}`, `2@4 {"b":2}`}},
		"gzip":             {zip("{\"a\":1}\n{\"b\":2}\n"), []string{`1@1 {"a":1}`, `2@2 {"b":2}`}},
		"byte order mark":  {"\xef\xbb\xbf[{\"a\":1}]", []string{`1@1 {"a":1}`}},
		"escapes":          {`[{"a":"\"}\\"},{"b":1}]`, []string{`1@1 {"a":"\"}\\"}`, `2@1 {"b":1}`}},
		"scalars":          {`[1,"a",true]`, []string{"1@1 1", `2@1 "a"`, "3@1 true"}},
	} {
		got, err := docs(tc.in)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestEachEndsWhereAListBreaksOff(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      "it is empty",
		"  \n":                  "it is empty",
		"[{\"a\":1},\n{\"b\":2": "line 2: unexpected EOF",
		"[{\"a\":1} {\"b\":2}]": "a comma or ] should follow",
		"\x1f\x8bnope":          "begins like gzip",
	} {
		if _, err := docs(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestALongDocumentIsCut(t *testing.T) {
	t.Parallel()
	long := `{"a":"` + strings.Repeat("x", file.MaxDocument) + `"}`
	for _, in := range []string{"[" + long + `,{"b":2}]`, long + "\n" + `{"b":2}`} {
		got, err := docs(in)
		if err != nil || len(got) != 2 || !strings.Contains(got[0], "longer than the limit") || !strings.HasSuffix(got[1], `{"b":2}`) {
			t.Errorf("%d documents, %v", len(got), err)
		}
	}
}

func TestEachStopsWithItsReader(t *testing.T) {
	t.Parallel()
	stop := errors.New("enough")
	n := 0
	err := file.Each(strings.NewReader(`[1,2,3]`), func(file.Document) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
}

func FuzzEach(f *testing.F) {
	for _, s := range []string{`{"a":1}`, "[{},{}]", "{\"Findings\":[{}]}", "{\n\"a\"\n:1}", zip("{}")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		n := 0
		err := file.Each(bytes.NewReader(in), func(d file.Document) error {
			if n++; d.Number != n || d.Line < 1 {
				t.Errorf("document %d has number %d, line %d", n, d.Number, d.Line)
			}
			if d.Problem == "" && !utf8.Valid(d.Text) {
				t.Errorf("document %d is no text: %q", n, d.Text)
			}
			if n > 1<<17 {
				t.Fatal("more documents than bytes")
			}
			return nil
		})
		_ = err
	})
}
