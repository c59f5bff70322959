package front_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
)

// hostile: what a source may send to harm the server, or those who read what it
// stored, is refused with its reason or comes back as the text that it is.
func (s *server) hostile(t *testing.T) {
	document := func(id, members string) string {
		raw, err := json.Marshal(example(id, dev))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(string(raw), "}") + "," + members + "}"
	}
	importing := func(doc string) call {
		return call{key: "dev-source", path: "/findings/import", body: `{"Findings":[` + doc + `]}`}
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
			"bytes of no text":    {"\"Future\":\"\xff\xfe", 400, "not valid JSON"},
			"a zero byte as such": {"\"Future\":\"\x00\"", 400, "not valid JSON"},
		} {
			s.nothingStored(t, func(t *testing.T) {
				a := s.do(t, importing(document("hostile-"+name, c.body)))
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
			"not UTF-8":             {"\"Future\":\"\xff\xfe\"", "InvalidInput", "not UTF-8"},
			"details of no type":    {`"Resources":[{"Type":"AwsEc2Instance","Id":"i","Details":{"AwsEc2Instance":{"LaunchedAt":{"a":1},"VpcId":[]}}}]`, "InvalidInput", "data.Resources[0].Details.AwsEc2Instance.VpcId should be string"},
			"241 KB":                {`"Future":"` + strings.Repeat("x", 241<<10) + `"`, "InvalidInput", "larger than the limit of 240 KB"},
		} {
			s.nothingStored(t, func(t *testing.T) {
				got := s.do(t, importing(document("hostile-"+name, c.members))).imported(t)
				if got.FailedCount != 1 || got.FailedFindings[0].ErrorCode != c.code || !strings.Contains(got.FailedFindings[0].ErrorMessage, c.words) {
					t.Errorf("%s: %+v, want %s … %s …", name, got, c.code, c.words)
				}
			})
		}
	})
	t.Run("OCSF", func(t *testing.T) {
		for name, c := range map[string]struct{ members, code, words string }{
			"50 levels":         {`"unmapped":` + strings.Repeat("[", 50) + strings.Repeat("]", 50), "InvalidInput", "nested"},
			"a number of 1e999": {`"unmapped":{"a":1e999}`, "InvalidInput", "out of range"},
			"not UTF-8":         {"\"unmapped\":\"\xff\xfe\"", "InvalidInput", "UTF-8"},
			"241 KB":            {`"unmapped":"` + strings.Repeat("x", 241<<10) + `"`, "InvalidInput", "limit"},
			"a second account":  {`"cloud":{"account":{"uid":"` + prod + `"}}`, "InvalidInput", `"cloud" is there twice`},
			"inert text":        {`"unmapped":{"a":"${jndi:ldap://x/a}"}`, "", ""},
		} {
			doc := `{"class_uid":2003,"category_uid":2,"activity_id":1,"severity_id":2,"time":1767225600000,"metadata":{"version":"1.4.0","product":{"name":"Security Hub","vendor_name":"AWS","uid":"` + product + `"}},
				"cloud":{"provider":"AWS","region":"us-east-1","account":{"uid":"` + dev + `"}},"finding_info":{"uid":"hostile-ocsf","title":"<script>","desc":"{{7*7}}","created_time":1767225600000},"resources":[{"uid":"x","type":"Other"}],` + c.members + `}`
			got := s.do(t, importing(doc)).imported(t)
			if c.code == "" {
				if got.SuccessCount != 1 {
					t.Errorf("%s: %+v", name, got)
				}
			} else if got.FailedCount != 1 || got.FailedFindings[0].ErrorCode != c.code || !strings.Contains(got.FailedFindings[0].ErrorMessage, c.words) {
				t.Errorf("%s: %+v, want %s … %s …", name, got, c.code, c.words)
			}
		}
	})
	t.Run("inert", s.inert)
	t.Run("files", s.hostileFile)
}

// hostileFile: the same by `parry finding import`, whose refusals name the line; and
// what was stored cannot steer the terminal that shows it.
func (s *server) hostileFile(t *testing.T) {
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	good := func(id string) string {
		f := example(id, dev)
		f["Title"] = "red \x1b[31m bell \a back \b zero \x00 turned \u202e line\nbreak"
		f["Resources"] = []map[string]any{{"Type": "Other", "Id": "\x1b]0;title\x07 x"}}
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	with := func(members string) string { return strings.TrimSuffix(good("file-bad"), "}") + "," + members + "}" }
	lines := []struct{ text, words string }{
		{good("file-1"), ""},
		{with(`"Future":"` + strings.Repeat("x", 600<<10) + `"`), "longer"},
		{with(`"Future":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000)), "nested"},
		{with("\"Future\":\"\xff\xfe\""), "UTF-8"},
		{with(`"Future":1e999`), "out of range"},
		{with(`"AwsAccountId":"` + prod + `"`), "may not report"},
		{with(`"Title":["\u001b[31m"]`), "Title should be string"},
		{good("file-2"), ""},
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.text + "\n")
	}
	file := filepath.Join(t.TempDir(), "hostile.jsonl")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(key string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), path, append(args, "--endpoint", s.url)...)
		cmd.Env = append(awsEnvironment(s.keys[key]), "PARRY_ACCESS_KEY_ID="+s.keys[key].ID, "PARRY_SECRET_ACCESS_KEY="+s.keys[key].Secret)
		out, _ := cmd.CombinedOutput() // part of the file is refused
		for _, r := range string(out) {
			if r != '\n' && r != '\t' && (r < 0x20 || r == 0x7f || r == '\u202e') {
				t.Errorf("parry %v prints %q:\n%q", args, r, out)
				break
			}
		}
		return string(out)
	}
	out := run("dev-source", "finding", "import", file)
	for i, l := range lines {
		place := fmt.Sprintf("hostile.jsonl:%d", i+1)
		if l.words == "" {
			if strings.Contains(out, place) {
				t.Errorf("line %d is refused:\n%s", i+1, out)
			}
			continue
		}
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.Contains(line, place) && strings.Contains(line, l.words) }) {
			t.Errorf("no line has %s and %q:\n%.3000s", place, l.words, out)
		}
	}
	// What was accepted is listed within two seconds.
	var list string
	for range 20 {
		if list = run("admin", "finding", "list", "--text", "turned"); strings.Contains(list, "turned") {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if !strings.Contains(list, "turned") {
		t.Errorf("the findings are not listed:\n%s", list)
	}
	for _, f := range s.findings(t, "admin", `{"Id":[{"Value":"file-","Comparison":"PREFIX"}]}`) {
		id := finding.ID{ProductArn: fmt.Sprint(f["ProductArn"]), Id: fmt.Sprint(f["Id"])}
		if shown := run("admin", "finding", "show", id.Key()); !strings.Contains(shown, "turned") {
			t.Errorf("not shown:\n%s", shown)
		}
		run("admin", "finding", "history", id.Key())
		run("admin", "finding", "show", id.Key(), "-o", "json")
	}
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
