package apimodel_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// ask makes rules that end in the text that a chain of conditions assigns to X,
// and asks them with A = value.
func ask(t *testing.T, conditions string, value any) (string, error) {
	t.Helper()
	kind := map[bool]string{true: "string", false: "stringArray"}[isText(value)]
	rules, err := apimodel.ParseRuleSet(fmt.Appendf(nil, `{"parameters":{"A":{"type":%q},"Yes":{"type":"boolean","default":true}},"rules":[
		{"type":"endpoint","conditions":[%s],"endpoint":{"url":"{X}"}},{"type":"error","conditions":[],"error":"nothing"}]}`, kind, conditions))
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := apimodel.ParsePartitions([]byte(`{"partitions":[{"id":"aws","regionRegex":"^us-","outputs":{"dnsSuffix":"a.com","supportsFIPS":true}},{"id":"aws-cn","regionRegex":"^cn-","outputs":{"dnsSuffix":"a.cn"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := rules.Resolve(partitions, map[string]any{"A": value})
	return e.URL, err
}

func isText(v any) bool { _, ok := v.([]string); return !ok }

func TestRuleFunctions(t *testing.T) {
	t.Parallel()
	set := func(call string) string { return strings.TrimSuffix(call, "}") + `,"assign":"X"}` }
	if1 := func(condition string) string { return condition + `,{"fn":"coalesce","argv":["yes"],"assign":"X"}` }
	attr := func(call, path string) string {
		return fmt.Sprintf(`{"fn":"getAttr","argv":[%s,%q],"assign":"X"}`, call, path)
	}
	const a = `{"ref":"A"}`
	arn := fmt.Sprintf(`{"fn":"aws.parseArn","argv":[%s]}`, a)
	link := fmt.Sprintf(`{"fn":"parseURL","argv":[%s]}`, a)
	for name, tc := range map[string]struct {
		conditions string
		value      any
		want       string
	}{
		"text":                 {set(`{"fn":"coalesce","argv":["a {A} {{b}} c"]}`), "x", "a x {b} c"},
		"coalesce":             {set(`{"fn":"coalesce","argv":[{"ref":"A"},"other"]}`), nil, "other"},
		"ite":                  {set(`{"fn":"ite","argv":[{"ref":"Yes"},"then","else"]}`), "", "then"},
		"ite not":              {set(`{"fn":"ite","argv":[{"fn":"not","argv":[{"ref":"Yes"}]},"then","else"]}`), "", "else"},
		"split":                {attr(`{"fn":"split","argv":[{"ref":"A"},"-",2]}`, "[1]"), "a-b-c", "b-c"},
		"split all":            {attr(`{"fn":"split","argv":[{"ref":"A"},"-",0]}`, "[2]"), "a-b-c", "c"},
		"split short":          {attr(`{"fn":"split","argv":[{"ref":"A"},"-",0]}`, "[3]"), "a-b-c", "nothing"},
		"substring":            {set(`{"fn":"substring","argv":[{"ref":"A"},1,3,false]}`), "abcdef", "bc"},
		"substring reverse":    {set(`{"fn":"substring","argv":[{"ref":"A"},0,2,true]}`), "abcdef", "ef"},
		"substring short":      {set(`{"fn":"substring","argv":[{"ref":"A"},0,9,true]}`), "abcdef", "nothing"},
		"substring not ascii":  {set(`{"fn":"substring","argv":[{"ref":"A"},0,2,false]}`), "äbc", "nothing"},
		"not set":              {if1(`{"fn":"not","argv":[{"fn":"isSet","argv":[{"ref":"A"}]}]}`), nil, "yes"},
		"equal":                {if1(`{"fn":"stringEquals","argv":[{"ref":"A"},"b"]}`), "b", "yes"},
		"not equal":            {if1(`{"fn":"stringEquals","argv":[{"ref":"A"},"b"]}`), "c", "nothing"},
		"encode":               {set(`{"fn":"uriEncode","argv":[{"ref":"A"}]}`), "a/b ü~", "a%2Fb%20%C3%BC~"},
		"list":                 {attr(a, "[1]"), []string{"p", "q"}, "q"},
		"partition":            {attr(`{"fn":"aws.partition","argv":[{"ref":"A"}]}`, "dnsSuffix"), "cn-x-1", "a.cn"},
		"unknown partition":    {attr(`{"fn":"aws.partition","argv":[{"ref":"A"}]}`, "name"), "eu-x-1", "aws"},
		"arn account":          {attr(arn, "accountId"), "arn:aws:s3:r:111122223333:accesspoint:name/x", "111122223333"},
		"arn resource":         {attr(arn, "resourceId[2]"), "arn:aws:s3:r:111122223333:accesspoint:name/x", "x"},
		"arn short":            {attr(arn, "service"), "arn:aws:s3:r", "nothing"},
		"arn without service":  {attr(arn, "partition"), "arn:aws::r:1:x", "nothing"},
		"url authority":        {attr(link, "authority"), "https://host:99/a//b/", "host:99"},
		"url path":             {attr(link, "path"), "https://host/a/b", "/a/b"},
		"url normalized":       {attr(link, "normalizedPath"), "https://host/a//b", "/a/b/"},
		"url with query":       {attr(link, "scheme"), "https://host?a", "nothing"},
		"url, other scheme":    {attr(link, "scheme"), "ftp://host", "nothing"},
		"url, bad port":        {attr(link, "scheme"), "https://host:abc", "nothing"},
		"url, address":         {if1(`{"fn":"booleanEquals","argv":[{"fn":"getAttr","argv":[` + link + `,"isIp"]},true]}`), "http://127.0.0.1:1", "yes"},
		"url, address 6":       {if1(`{"fn":"booleanEquals","argv":[{"fn":"getAttr","argv":[` + link + `,"isIp"]},true]}`), "http://[::1]:1", "yes"},
		"url, name":            {if1(`{"fn":"booleanEquals","argv":[{"fn":"getAttr","argv":[` + link + `,"isIp"]},true]}`), "http://host", "nothing"},
		"label":                {if1(`{"fn":"isValidHostLabel","argv":[{"ref":"A"},false]}`), "a-1", "yes"},
		"label with dot":       {if1(`{"fn":"isValidHostLabel","argv":[{"ref":"A"},false]}`), "a.b", "nothing"},
		"labels":               {if1(`{"fn":"isValidHostLabel","argv":[{"ref":"A"},true]}`), "a.b", "yes"},
		"label with hyphen":    {if1(`{"fn":"isValidHostLabel","argv":[{"ref":"A"},true]}`), "a.-b", "nothing"},
		"label too long":       {if1(`{"fn":"isValidHostLabel","argv":[{"ref":"A"},true]}`), strings.Repeat("a", 64), "nothing"},
		"bucket":               {if1(`{"fn":"aws.isVirtualHostableS3Bucket","argv":[{"ref":"A"},false]}`), "bucket", "yes"},
		"bucket in capitals":   {if1(`{"fn":"aws.isVirtualHostableS3Bucket","argv":[{"ref":"A"},false]}`), "Bucket", "nothing"},
		"bucket as an address": {if1(`{"fn":"aws.isVirtualHostableS3Bucket","argv":[{"ref":"A"},true]}`), "1.2.3.4", "nothing"},
		"bucket too short":     {if1(`{"fn":"aws.isVirtualHostableS3Bucket","argv":[{"ref":"A"},false]}`), "ab", "nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ask(t, tc.conditions, tc.value)
			if errors.Is(err, apimodel.ErrNoEndpoint) {
				got, err = err.Error(), nil
			}
			if got != tc.want || err != nil {
				t.Errorf("got %q %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestValuesOfAWrongTypeAreNoAnswer(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]string{
		"compare with nothing": `"fn":"stringEquals","argv":[{"ref":"A"},"b"]`, "text of nothing": `"fn":"coalesce","argv":["{A}"]`,
		"flag and text": `"fn":"booleanEquals","argv":[{"ref":"A"},true]`, "part of nothing": `"fn":"substring","argv":[{"ref":"A"},0,1,false]`,
		"pieces of nothing": `"fn":"split","argv":[{"ref":"A"},"-",0]`, "no path": `"fn":"getAttr","argv":[{"ref":"A"},true]`, "no index": `"fn":"getAttr","argv":[{"ref":"A"},"a[b]"]`,
	} {
		if got, err := ask(t, "{"+call+`,"assign":"X"}`, nil); err == nil || errors.Is(err, apimodel.ErrNoEndpoint) {
			t.Errorf("%s: got %q %v", name, got, err)
		}
	}
}

func TestWrongRulesAreRefused(t *testing.T) {
	t.Parallel()
	rule := func(conditions, rest string) string {
		return `{"parameters":{"A":{"type":"string"}},"rules":[{"type":"endpoint","conditions":[` + conditions + `],"endpoint":` + rest + `}]}`
	}
	deep := strings.Repeat(`{"type":"tree","conditions":[],"rules":[`, 200) + `{"type":"error","conditions":[],"error":"x"}` + strings.Repeat(`]}`, 200)
	for name, text := range map[string]string{
		"no JSON":            `{`,
		"unknown parameter":  rule("", `{"url":"{B}"}`),
		"unknown function":   rule(`{"fn":"run","argv":[]}`, `{"url":"x"}`),
		"too few arguments":  rule(`{"fn":"isSet","argv":[]}`, `{"url":"x"}`),
		"too many arguments": rule(`{"fn":"isSet","argv":["a","b"]}`, `{"url":"x"}`),
		"open template":      rule("", `{"url":"https://{A"}`),
		"closed too early":   rule("", `{"url":"https://}A"}`),
		"assigned twice":     rule(`{"fn":"isSet","argv":["a"],"assign":"A"}`, `{"url":"x"}`),
		"no endpoint":        `{"rules":[{"type":"endpoint","conditions":[]}]}`,
		"unknown type":       `{"rules":[{"type":"x","conditions":[]}]}`,
		"parameter type":     `{"parameters":{"A":{"type":"number"}},"rules":[]}`,
		"default's type":     `{"parameters":{"A":{"type":"string","default":true}},"rules":[]}`,
		"too deep":           `{"rules":[` + deep + `]}`,
		"too large":          `{"rules":[` + strings.Repeat(" ", 1<<20) + `]}`,
		"sibling's value":    `{"rules":[{"type":"tree","conditions":[{"fn":"coalesce","argv":["a"],"assign":"V"}],"rules":[{"type":"error","conditions":[],"error":"x"}]},{"type":"error","conditions":[],"error":"{V}"}]}`,
	} {
		if _, err := apimodel.ParseRuleSet([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), "endpoint rules are wrong") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	t.Parallel()
	rules, err := apimodel.ParseRuleSet([]byte(`{"parameters":{"A":{"type":"String","required":true},"B":{"type":"boolean","default":true},"L":{"type":"stringArray","default":["x"]}},
		"rules":[{"type":"endpoint","conditions":[{"fn":"booleanEquals","argv":[{"ref":"B"},true]},{"fn":"getAttr","argv":[{"ref":"L"},"[0]"],"assign":"First"}],
		"endpoint":{"url":"https://{A}","headers":{"X-H":["{First}","second"]},"properties":{"authSchemes":[{"name":"sigv4","signingName":"{A}","signingRegion":"r","disableDoubleEncoding":true}],"list":["{A}"]}}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		params map[string]any
		want   string
	}{
		"missing":    {nil, "endpoint parameter A is required"},
		"wrong type": {map[string]any{"A": true}, "endpoint parameter A must be a string"},
		"list":       {map[string]any{"A": "a", "L": "x"}, "endpoint parameter L must be a stringarray"},
		"no rule":    {map[string]any{"A": "a", "B": false}, "the rules have no endpoint for these parameters"},
	} {
		if _, err := rules.Resolve(nil, tc.params); err == nil || err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", name, err, tc.want)
		}
	}
	e, err := rules.Resolve(nil, map[string]any{"A": "a", "Unknown": "left aside"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{e.URL, e.Headers, e.AuthSchemes(), e.Properties["list"]}
	want := []any{"https://a", map[string]string{"X-H": "x"}, []apimodel.AuthScheme{{Name: "sigv4", SigningName: "a", SigningRegion: "r", DisableDoubleEncoding: true}}, []any{"a"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzRuleSet(f *testing.F) {
	f.Add([]byte(`{"parameters":{"Region":{"type":"string"}},"rules":[{"type":"endpoint","conditions":[{"fn":"aws.partition","argv":[{"ref":"Region"}],"assign":"P"}],"endpoint":{"url":"https://{P#dnsSuffix}"}}]}`), "us-east-1", "bucket")
	f.Add([]byte(`{"parameters":{"Bucket":{"type":"string"}},"rules":[{"type":"endpoint","conditions":[{"fn":"aws.parseArn","argv":[{"ref":"Bucket"}],"assign":"A"},{"fn":"getAttr","argv":[{"ref":"A"},"resourceId[0]"],"assign":"R"},{"fn":"substring","argv":[{"ref":"R"},0,3,true],"assign":"S"}],"endpoint":{"url":"{S}","properties":{"a":[true,1,"{R}"]}}}]}`), "", "arn:aws:s3:::x/y")
	f.Add([]byte(`{"parameters":{"Endpoint":{"type":"string"}},"rules":[{"type":"endpoint","conditions":[{"fn":"parseURL","argv":[{"ref":"Endpoint"}],"assign":"u"}],"endpoint":{"url":"{u#scheme}{u#authority}{u#normalizedPath}"}}]}`), "x", "https://[::1]:5/")
	partitions, err := load(f).Partitions()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, region, bucket string) {
		rules, err := apimodel.ParseRuleSet(text)
		if err != nil {
			return
		}
		params := map[string]any{"Region": region, "Bucket": bucket, "Endpoint": bucket, "UseFIPS": false}
		first, err := rules.Resolve(partitions, params)
		// What is stripped says the same.
		stripped, stripErr := apimodel.StripRuleSet(text)
		if stripErr != nil {
			t.Fatal(stripErr)
		}
		again, parseErr := apimodel.ParseRuleSet(stripped)
		if parseErr != nil {
			t.Fatal(parseErr)
		}
		second, againErr := again.Resolve(partitions, params)
		if diff := cmp.Diff(first, second); diff != "" || fmt.Sprint(err) != fmt.Sprint(againErr) {
			t.Errorf("%v, stripped: %v\n%s", err, againErr, diff)
		}
	})
}
