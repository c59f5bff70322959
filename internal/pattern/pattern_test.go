package pattern_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

func parse(t testing.TB, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return p
}

func TestRefusalsNameThePlaceAndTheWayOut(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ pattern, place, why, hint string }{
		"not an object":        {`["a"]`, "line 1, column 1", "must be a JSON object", `{"source"`},
		"broken text":          {"{\n \"a\": [1,]}", "line 2, column 10", "a comma before", "JSON text"},
		"ends early":           {`{"a":[`, "line 1, column 7", "ends too early", "JSON text"},
		"control character":    {"{\"a\":[\"x\ny\"]}", "line 1, column 9", "control character", "JSON text"},
		"empty object":         {`{"detail":{}}`, "$.detail", "empty object", "leave it out"},
		"empty list":           {`{"detail":{"a":[]}}`, "$.detail.a", "empty list", "exists"},
		"scalar":               {`{"a":5}`, "$.a", "a number stands", "write a list"},
		"nested list":          {`{"a":["x",["b"]]}`, "$.a[1]", "list stands inside", "write a list"},
		"no operator":          {`{"a":[{}]}`, "$.a[0]", "names no operator", "write a list"},
		"two operators":        {`{"a":[{"prefix":"a","suffix":"b"}]}`, "$.a[0]", "exactly one operator", "one object for each"},
		"unknown operator":     {`{"a":[{"Prefix":"a"}]}`, "$.a[0].Prefix", `no operator "Prefix"`, "lower case"},
		"prefix of a list":     {`{"a":[{"prefix":["a"]}]}`, "$.a[0].prefix", "takes a string, not a list", "several"},
		"prefix of an object":  {`{"a":[{"prefix":{"x":"a"}}]}`, "$.a[0].prefix", "equals-ignore-case", "equals-ignore-case"},
		"two stars":            {`{"a":[{"wildcard":"a**"}]}`, "$.a[0].wildcard", "two stars", "one star"},
		"many stars":           {`{"a":[{"wildcard":"` + strings.Repeat("*a", 17) + `"}]}`, "$.a[0].wildcard", "17 stars", "star"},
		"bad escape":           {`{"a":[{"wildcard":"a\\b"}]}`, "$.a[0].wildcard", "backslash", "star"},
		"anything-but mixed":   {`{"a":[{"anything-but":["a",1]}]}`, "$.a[0].anything-but", "all of one kind", `["a", "b"]`},
		"anything-but nothing": {`{"a":[{"anything-but":{"wildcard":[]}}]}`, "$.a[0].anything-but.wildcard", "empty list", "at least one"},
		"anything-but exists":  {`{"a":[{"anything-but":{"exists":true}}]}`, "$.a[0].anything-but.exists", "cannot be combined", "anything-but takes"},
		"numeric order":        {`{"a":[{"numeric":["<",5,">",1]}]}`, "$.a[0].numeric", "does not belong", "numeric"},
		"numeric empty range":  {`{"a":[{"numeric":[">=",5,"<=",5]}]}`, "$.a[0].numeric", "less than the upper", "numeric"},
		"numeric string":       {`{"a":[{"numeric":["=","5"]}]}`, "$.a[0].numeric", "without quotes", "numeric"},
		"numeric inexact":      {`{"a":[{"numeric":["=",9007199254740993]}]}`, "$.a[0].numeric", "compared exactly", "15 digits"},
		"cidr of one address":  {`{"a":[{"cidr":"10.0.0.5/32"}]}`, "$.a[0].cidr", "one address", `["10.0.0.5"]`},
		"cidr without bits":    {`{"a":[{"cidr":"10.0.0.5"}]}`, "$.a[0].cidr", "slash", "10.0.0.0/8"},
		"cidr no address":      {`{"a":[{"cidr":"10.0.0.256/8"}]}`, "$.a[0].cidr", "no IP address", "10.0.0.0/8"},
		"exists text":          {`{"a":[{"exists":"true"}]}`, "$.a[0].exists", "not a string", "without quotes"},
		"or of one":            {`{"$or":[{"a":[1]}]}`, "$.$or", "at least two", `"$or"`},
		"or of a scalar":       {`{"d":{"$or":[{"a":[1]},5]}}`, "$.d.$or[1]", "a number stands", `"$or"`},
		"or with an operator":  {`{"$or":[{"a":[1]},{"d":{"prefix":["a"]}}]}`, "$.$or[1].d.prefix", "field name inside $or", "rename"},
		"too many ways":        {`{` + strings.Repeat(`"$or":[{"a":[1]},{"b":[1]},{"c":[1]},{"d":[1]}],`, 5) + `"z":[1]}`, "$.$or", "1000 combinations", "several rules"},
		"too many fields":      {`{` + fields(257) + `}`, "$.f256", "limit of 256", "several rules"},
		"too long":             {`{"a":["` + strings.Repeat("x", pattern.MaxPatternBytes) + `"]}`, "", "limit of 16384", "several rules"},
		"too deep":             {strings.Repeat(`{"a":`, 1001) + "[1]" + strings.Repeat("}", 1001), "line 1", "1000 levels", "JSON text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pattern.Parse([]byte(tc.pattern))
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("error is %v, want an invalid one", err)
			}
			if !strings.Contains(err.Error(), tc.place) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("error %q lacks the place %q or the reason %q", err, tc.place, tc.why)
			}
			if !strings.Contains(fault.HintOf(err), tc.hint) {
				t.Errorf("hint %q lacks %q", fault.HintOf(err), tc.hint)
			}
		})
	}
}

func fields(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"f%d":[1]`, i)
	}
	return b.String()
}

func TestLimitsAreInclusive(t *testing.T) {
	t.Parallel()
	parse(t, `{`+fields(256)+`}`)
	parse(t, `{"a":[{"wildcard":"`+strings.Repeat("*a", 16)+`"}]}`)
	parse(t, `{`+strings.Repeat(`"$or":[{"a":[1]},{"b":[1]},{"c":[1]},{"d":[1]},{"e":[1]},{"f":[1]},{"g":[1]},{"h":[1]},{"i":[1]},{"j":[1]}],`, 3)+`"z":[1]}`)
}

// TestWhatTheReferenceGetsWrong are the documented differences from event-ruler
// and what its verdicts leave open.
func TestWhatTheReferenceGetsWrong(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		pattern, event string
		want           bool
	}{
		{`{"x":[{"cidr":"0.0.0.0/0"}]}`, `{"x":5}`, false},
		{`{"x":[{"cidr":"0.0.0.0/0"}]}`, `{"x":"::1"}`, false},
		{`{"x":[{"cidr":"::/0"}]}`, `{"x":"10.0.0.5"}`, false},
		{`{"x":[{"cidr":"10.0.0.0/8"}]}`, `{"x":"::ffff:0a00:0005"}`, true},
		{`{"x":[{"suffix":"\""}]}`, `{"x":""}`, false},
		{`{"x":[{"prefix":"a\""}]}`, `{"x":"a"}`, false},
		{`{"x":[{"equals-ignore-case":"😀a"}]}`, `{"x":"😀A"}`, true},
		{`{"x":["2001:db8::00001"]}`, `{"x":"2001:DB8:0:0:0:0:0:1"}`, true},
		{`{"x":["1.2.3.4"]}`, `{"x":"1.2.3.4.5"}`, false},
		{`{"x":["1.2.3.256"]}`, `{"x":"1.2.3.256"}`, true},
		{`{"d":{"a":[{"exists":false}],"b":[2]}}`, `{"d":[{"a":1},{"b":2}]}`, false},
		{`{"a":{"b":["x"]}}`, `{"a.b":"x"}`, true},
		{`{"x":[0]}`, `{"x":-0.0e99999999999999999999}`, true},
		{`{"x":[{"numeric":["<",1]}]}`, `{"x":1e-400}`, false},
		{`{"$or":[{"x":["b"]},{"y":["c"]}],"x":["a"]}`, `{"x":"a","y":"d"}`, true},
	} {
		got, err := parse(t, tc.pattern).Match([]byte(tc.event))
		if err != nil || got != tc.want {
			t.Errorf("%s on %s = %v, %v; want %v", tc.pattern, tc.event, got, err, tc.want)
		}
	}
}

func TestEventsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"x":["a"]}`)
	for name, event := range map[string]string{
		"empty": "", "list": "[]", "truncated": `{"x":"a"`, "trailing": `{"x":"a"} {"x":"b"}`, "trailing zero": "{\"x\":\"a\"}\x00",
		"leading zero": `{"x":01}`, "no point digits": `{"x":1.}`, "no exponent": `{"x":1e}`, "bare minus": `{"x":-}`,
		"word": `{"x":truely}`, "single quotes": `{'x':1}`, "escape": `{"x":"\x"}`, "short unicode": `{"x":"\u12"}`,
		"comma": `{"x":1,}`, "no colon": `{"x" 1}`, "not UTF-8": "{\"x\":\"\xff\"}",
		"too deep": `{"x":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}",
		"too long": `{"x":"` + strings.Repeat("a", pattern.MaxEventBytes) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := p.Match([]byte(event)); !fault.Is(err, fault.Invalid) {
				t.Errorf("error is %v, want an invalid one", err)
			}
		})
	}
}

func TestWarningsNameTrailingText(t *testing.T) {
	t.Parallel()
	if w := parse(t, `{"x":[1]} `).Warnings(); w != nil {
		t.Errorf("a clean pattern warns: %v", w)
	}
	if w := parse(t, `{"x":[1]} {"y":[2]}`).Warnings(); len(w) != 1 {
		t.Errorf("warnings %v, want one about the text behind", w)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"source":["aws"],"detail":{"$or":[{"a":[1]},{"b":[{"prefix":"x"}]}],"c":[{"exists":false}]}}`)
	got, err := p.Explain([]byte(`{"source":"aws","detail":{"a":2,"b":["y\n","z"],"c":null}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []pattern.ClauseResult{
		{Place: "$.source", Path: "source", Wanted: `["aws"]`, Found: []string{`"aws"`}, Met: true},
		{Place: "$.detail.$or[0].a", Path: "detail.a", Wanted: `[1]`, Found: []string{"2"}},
		{Place: "$.detail.$or[1].b", Path: "detail.b", Wanted: `[{"prefix":"x"}]`, Found: []string{`"y\n"`, `"z"`}},
		{Place: "$.detail.c", Path: "detail.c", Wanted: `[{"exists":false}]`, Found: []string{"null"}},
		{
			Place: "$", Found: []string{}, Detail: "the event does not match",
			Wanted: "all clauses outside $or and those of one branch, in one of 2 combinations",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	p = parse(t, `{"d":{"a":[1],"b":[2]}}`)
	got, err = p.Explain([]byte(`{"d":[{"a":1},{"b":2}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if last := got[len(got)-1]; last.Met || !strings.Contains(last.Detail, "one element of the array") {
		t.Errorf("the verdict %+v does not name the array", last)
	}
}
