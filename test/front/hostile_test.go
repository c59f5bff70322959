package front_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// hostile: what a source may send to harm the server, or those who read what it
// stored, is refused with its reason or comes back as the text that it is.
func (s *server) hostile(t *testing.T) {
	finding := func(id, members string) string {
		raw, err := json.Marshal(example(id, dev))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(raw), "}") + "," + members + "}"
	}
	importing := func(finding string) call {
		return call{key: "dev-source", path: "/findings/import", body: `{"Findings":[` + finding + `]}`}
	}
	t.Run("refused whole", func(t *testing.T) {
		for name, c := range map[string]struct {
			body   string
			status int
			words  string
		}{
			"10 MB":               {`"Description":"` + strings.Repeat("x", 10<<20) + `"`, 413, "Request must be smaller than"},
			"10,000 levels":       {`"Future":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000), 400, "nested more than 64 levels"},
			"10,000 open":         {`"Future":` + strings.Repeat(`{"a":`, 10000), 400, "nested more than 64 levels"},
			"no end of a string":  {`"Future":"` + strings.Repeat("x", 1<<20), 400, "not valid JSON"},
			"a zero byte as such": {"\"Future\":\"\x00\"", 400, "not valid JSON"},
		} {
			s.nothingStored(t, func(t *testing.T) {
				a := s.do(t, importing(finding("hostile-"+name, c.body)))
				if a.status != c.status || !strings.Contains(a.message, c.words) {
					t.Errorf("%s: %d %.300s, want %d %s", name, a.status, a.body, c.status, c.words)
				}
			})
		}
	})
	t.Run("refused one by one", func(t *testing.T) {
		for name, c := range map[string]struct{ members, code, words string }{
			"50 levels":             {`"Future":` + strings.Repeat("[", 50) + strings.Repeat("]", 50), "InvalidInput", "nested too deeply"},
			"a number of 1e999":     {`"Future":1e999`, "InvalidInput", "out of range"},
			"100,000 digits":        {`"Future":` + strings.Repeat("9", 100000), "InvalidInput", "a number has 100000 characters"},
			"a huge severity":       {`"Severity":{"Normalized":1e300}`, "InvalidInput", "Severity.Normalized should be"},
			"a zero byte in the Id": {`"Id":"a\u0000b"`, "InvalidInput", "data.Id should match pattern"},
			"a second account":      {`"AwsAccountId":"` + prod + `"`, "InvalidAccess", "may not report findings for account " + prod},
			"a second product":      {`"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/guardduty"`, "InvalidAccess", "guardduty"},
			"a thousand resources":  {`"Resources":[` + strings.TrimSuffix(strings.Repeat(`{"Type":"a","Id":"b"},`, 1000), ",") + `]`, "InvalidInput", "should NOT have more than 32 items"},
			"a list for a member":   {`"Severity":[]`, "InvalidInput", "Severity should be object"},
			"members of no type":    {`"Title":{},"Compliance":"x"`, "InvalidInput", "Title should be string"},
			"241 KB":                {`"Future":"` + strings.Repeat("x", 241<<10) + `"`, "InvalidInput", "larger than the limit of 240 KB"},
		} {
			s.nothingStored(t, func(t *testing.T) {
				got := s.do(t, importing(finding("hostile-"+name, c.members))).imported(t)
				if got.FailedCount != 1 || got.FailedFindings[0].ErrorCode != c.code || !strings.Contains(got.FailedFindings[0].ErrorMessage, c.words) {
					t.Errorf("%s: %+v, want %s … %s …", name, got, c.code, c.words)
				}
			})
		}
	})
	t.Run("inert", s.inert)
}

// inert: text that means something elsewhere is text here.
func (s *server) inert(t *testing.T) {
	texts := []string{
		`<script>alert(1)</script><img src=x onerror=alert(1)>`, `{{7*7}} ${7*7} #{7*7} <%= 7*7 %> {{.Account}}`, "${jndi:ldap://x/a} %s%n%x",
		`'; DROP TABLE finding; --`, "../../etc/passwd $(id) `id`", "zero \x00 byte \u202e \x1b[31mred", "\ufeff\uffff \U0001F600",
	}
	var sent []map[string]any
	for i, text := range texts {
		f := example(fmt.Sprintf("inert-%d %s", i, strings.ReplaceAll(text, "\x00", "")), dev)
		f["Title"], f["Description"], f["GeneratorId"] = text, text, text
		f["ProductFields"] = map[string]string{text: text}
		f["Resources"] = []map[string]any{{"Type": text, "Id": text, "Tags": map[string]string{text: text}}}
		sent = append(sent, f)
	}
	if got := s.do(t, call{key: "dev-source", path: "/findings/import", body: batch(t, sent...)}).imported(t); got.SuccessCount != len(sent) {
		t.Fatalf("%+v", got)
	}
	back := s.findings(t, "dev-reader", `{"Id":[{"Value":"inert-","Comparison":"PREFIX"}]}`)
	if len(back) != len(sent) {
		t.Fatalf("%d findings, want %d", len(back), len(sent))
	}
	for i, text := range texts {
		want := []any{text, text, []any{map[string]any{"Type": text, "Id": text, "Tags": map[string]any{text: text}}}}
		if diff := cmp.Diff(want, []any{back[i]["Title"], back[i]["Description"], back[i]["Resources"]}); diff != "" {
			t.Errorf("finding %d came back changed: %s", i, diff)
		}
		search, err := json.Marshal(map[string]any{"text": strings.Fields(text)[0], "filters": map[string]any{
			"ResourceId": []any{map[string]string{"Value": text, "Comparison": "EQUALS"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		a := s.do(t, call{key: "dev-reader", path: "/v1/findings/search", body: string(search)})
		if n := strings.Count(string(a.body), `"product_arn"`); a.status != http.StatusOK || n != 1 {
			t.Errorf("a search for %q: %d with %d findings: %.300s", text, a.status, n, a.body)
		}
	}
}
