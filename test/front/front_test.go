package front_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/test/testenv/envtest"
)

// TestOnSQLite runs everything against a server of one process.
func TestOnSQLite(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds and starts a server; run without -short")
	}
	s := start(t, "")
	t.Run("rules that do not parse", s.rules)
	t.Run("signatures", s.signatures)
	t.Run("replay", s.replay)
	t.Run("Security Hub", s.securityHub)
	t.Run("findings one by one", s.oneByOne)
	t.Run("hostile", s.hostile)
	t.Run("scope", s.scope)
	t.Run("tokens", s.tokens)
	t.Run("REST", s.rest)
	t.Run("Detective", s.detective)
	t.Run("foreign is unknown", s.foreign)
	t.Run("AWS clients", s.clients)
	t.Run("hub", s.hub)
	t.Run("Systems Manager", s.systemsManager)
	t.Run("still works", s.works)
}

// TestOnPostgreSQL runs what touches the store.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	url, err := envtest.Postgres(t).CreateDatabase(t.Context(), "front")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, url)
	t.Run("rules that do not parse", s.rules)
	t.Run("replay", s.replay)
	t.Run("findings one by one", s.oneByOne)
	t.Run("hostile", s.hostile)
	t.Run("scope", s.scope)
	t.Run("tokens", s.tokens)
	t.Run("REST", s.rest)
	t.Run("foreign is unknown", s.foreign)
	t.Run("loopback", s.loopback)
	t.Run("still works", s.works)
}

// state is all that the API shows.
func (s *server) state(t *testing.T) map[string]any {
	t.Helper()
	out := map[string]any{"findings": s.findings(t, "admin", "")}
	for _, list := range []string{"/v1/remediations", "/v1/approvals", "/v1/keys", "/v1/stop-switch"} {
		a := s.do(t, call{key: "admin", method: http.MethodGet, path: list})
		if a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", list, a.status, a.body)
		}
		out[list] = string(a.body)
	}
	return out
}

// nothingStored runs try and checks that it changed nothing and that the server
// goes on.
func (s *server) nothingStored(t *testing.T, try func(t *testing.T)) {
	t.Helper()
	before := s.state(t)
	try(t)
	if diff := cmp.Diff(before, s.state(t)); diff != "" {
		t.Errorf("it changed something: %s", diff)
	}
	if !s.healthy(t.Context()) {
		t.Error("the server is not healthy")
	}
}

// rules: the server started in spite of two rules that do not parse, named
// both, and the good ones work.
func (s *server) rules(t *testing.T) {
	log := s.log.String()
	for _, words := range [][]string{
		{"level=ERROR", `msg="automation rule disabled"`, "place=automation_rules[0]", "unexpected end of JSON input", "hint="},
		{"level=ERROR", `msg="rule disabled"`, "rule=broken", "$.source: a string stands where", "hint="},
	} {
		if !slices.ContainsFunc(strings.Split(log, "\n"), func(line string) bool {
			return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
		}) {
			t.Errorf("no line of the log has %q:\n%s", words, log)
		}
	}
	a := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, example("base-dev", dev), example("base-prod", prod))})
	if got := a.imported(t); got.SuccessCount != 2 {
		t.Fatalf("import: %+v", got)
	}
	var labels []string
	for _, f := range s.findings(t, "admin", "") {
		severity, _ := f["Severity"].(map[string]any)
		labels = append(labels, fmt.Sprint(f["Id"], " ", severity["Label"]))
	}
	if diff := cmp.Diff([]string{"base-dev LOW", "base-prod CRITICAL"}, labels); diff != "" {
		t.Error(diff)
	}
	select {
	case message := <-s.hook.got:
		if !strings.Contains(message, "base-prod") {
			t.Errorf("the webhook got %s", message)
		}
	case <-time.After(20 * time.Second):
		t.Error("the good event pattern sent nothing")
	}
}

func (s *server) signatures(t *testing.T) {
	body := batch(t, example("signature", dev))
	for name, c := range map[string]struct {
		call
		hubStatus  int
		hubCode    string
		hubWords   string
		restStatus int
		restHint   string
	}{
		"wrong secret": {call{key: "source", secret: "x"}, 403, "InvalidSignatureException", "The request signature we calculated does not match", 403, "check the secret of the access key"},
		"unknown key":  {call{key: "source", id: "PARRYAAAAAAAAAAAAAAA"}, 403, "UnrecognizedClientException", "The security token included in the request is invalid", 403, "unknown or revoked"},
		"revoked key":  {call{key: "revoked"}, 403, "UnrecognizedClientException", "The security token included in the request is invalid", 403, "parry key list"},
		"too old":      {call{key: "source", at: -10 * time.Minute}, 403, "InvalidSignatureException", "Signature expired: ", 403, "set the clock of this machine"},
		"too early":    {call{key: "source", at: 10 * time.Minute}, 403, "InvalidSignatureException", "Signature not yet current: ", 403, "set the clock of this machine"},
		"no signature": {call{bare: true}, 403, "MissingAuthenticationTokenException", "Missing Authentication Token", 401, "sign the request with AWS Signature Version 4 for the service parry"},
	} {
		t.Run(name, func(t *testing.T) {
			s.nothingStored(t, func(t *testing.T) {
				hub := c.call
				hub.path, hub.body = "/findings/import", body
				s.do(t, hub).is(t, c.hubStatus, c.hubCode, c.hubWords)
				hub.path, hub.body = "/findings", "{}"
				s.do(t, hub).is(t, c.hubStatus, c.hubCode, c.hubWords)
				rest := c.call
				rest.path, rest.method = "/v1/findings", http.MethodGet
				s.do(t, rest).is(t, c.restStatus, "denied", c.restHint)
			})
		})
	}
	t.Run("another service", func(t *testing.T) {
		s.nothingStored(t, func(t *testing.T) {
			s.do(t, call{key: "source", service: "s3", path: "/findings/import", body: body}).is(t, 404, "UnknownOperationException", "service s3", "parry, securityhub, ssm and sts")
			s.do(t, call{key: "admin", service: "parry", path: "/findings/import", body: body}).is(t, 404, "not_found", "there is no such endpoint")
		})
	})
	t.Run("body exchanged", func(t *testing.T) {
		s.nothingStored(t, func(t *testing.T) {
			r := s.sign(t, call{key: "source", path: "/findings/import", body: body})
			r.body = strings.Replace(r.body, "signature", "signatures", 1)
			r.send(t).is(t, 403, "InvalidSignatureException")
		})
	})
}

// replay: what changes something is let through once, a read as often as it comes.
func (s *server) replay(t *testing.T) {
	read := s.sign(t, call{key: "admin", path: "/findings", body: "{}"})
	for range 3 {
		if a := read.send(t); a.status != http.StatusOK {
			t.Errorf("a repeated read: %d %s", a.status, a.body)
		}
	}
	change := s.sign(t, call{key: "source", path: "/findings/import", body: batch(t, example("replay", dev))})
	if got := change.send(t).imported(t); got.SuccessCount != 1 {
		t.Fatalf("%+v", got)
	}
	update := s.sign(t, call{
		key: "operator", method: http.MethodPatch, path: "/findings/batchupdate",
		body: `{"FindingIdentifiers":[{"Id":"replay","ProductArn":"` + product + `"}],"Note":{"Text":"seen","UpdatedBy":"ada"}}`,
	})
	if a := update.send(t); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	s.nothingStored(t, func(t *testing.T) {
		for _, r := range []signed{change, update} {
			a := r.send(t)
			a.is(t, 429, "LimitExceededException", "Nothing was done", "Sign the request again")
			if a.retryAfter == "" {
				t.Error("it does not say when to repeat it")
			}
		}
		again := s.sign(t, call{key: "operator", method: http.MethodPut, path: "/v1/stop-switch", body: `{"on":false,"reason":""}`})
		again.send(t)
		again.send(t).is(t, 409, "conflict", "accepted once")
	})
}

func (s *server) securityHub(t *testing.T) {
	many := make([]map[string]any, 101)
	for i := range many {
		many[i] = example(fmt.Sprint("many-", i), dev)
	}
	large := example("large", dev)
	large["Description"] = strings.Repeat("x", 7<<20)
	deep := strings.Repeat(`{"a":`, 500) + "1" + strings.Repeat("}", 500)
	id := `"FindingIdentifiers":[{"Id":"base-dev","ProductArn":"` + product + `"}]`
	for name, c := range map[string]struct {
		call
		status int
		code   string
		words  string
	}{
		"body over 6 MB":          {call{key: "source", path: "/findings/import", body: batch(t, large)}, 413, "RequestEntityTooLargeException", "Request must be smaller than"},
		"101 findings":            {call{key: "source", path: "/findings/import", body: batch(t, many...)}, 400, "InvalidInputException", "data.Findings should NOT have more than 100 items, it has 101"},
		"no findings":             {call{key: "source", path: "/findings/import", body: `{"Findings":[]}`}, 400, "InvalidInputException", "data.Findings should NOT have fewer than 1 items"},
		"findings are text":       {call{key: "source", path: "/findings/import", body: `{"Findings":"all"}`}, 400, "InvalidInputException", "data.Findings should be array"},
		"a finding is a number":   {call{key: "source", path: "/findings/import", body: `{"Findings":[1]}`}, 400, "InvalidInputException", "data.Findings[0] should be object"},
		"broken JSON":             {call{key: "source", path: "/findings/import", body: "{\"Findings\": [\n  {\"Id\": }\n]}"}, 400, "InvalidInputException", "line 2, column "},
		"cut off":                 {call{key: "source", path: "/findings/import", body: `{"Findings": [{"Id": "x"`}, 400, "InvalidInputException", "line 1, column "},
		"deep JSON":               {call{key: "source", path: "/findings/import", body: `{"Findings":[` + deep + `]}`}, 400, "InvalidInputException", "nested more than 64 levels"},
		"deep filters":            {call{key: "admin", path: "/findings", body: `{"Filters":` + deep + `}`}, 400, "InvalidInputException", "nested more than 64 levels"},
		"not an object":           {call{key: "source", path: "/findings/import", body: `[]`}, 400, "InvalidInputException", "data should be object"},
		"binary":                  {call{key: "source", path: "/findings/import", body: "\x00\xff\xfe"}, 400, "InvalidInputException", "line 1, column 1"},
		"unknown operation":       {call{key: "admin", path: "/resourcesv2"}, 501, "UnknownOperationException", "Parry does not serve GetResourcesV2"},
		"refused operation":       {call{key: "admin", path: "/members"}, 401, "InvalidAccessException", "CreateMembers is not for Parry to do. The accounts that Parry answers for are those of parry.yaml"},
		"no operation":            {call{key: "admin", path: "/nothing"}, 501, "UnknownOperationException", "Security Hub has no operation POST on this path"},
		"unknown method":          {call{key: "admin", method: http.MethodDelete, path: "/findings"}, 501, "UnknownOperationException", "has no operation DELETE"},
		"reader imports":          {call{key: "reader", path: "/findings/import", body: batch(t, example("x", dev))}, 403, "AccessDeniedException", "reader (roles: reader) may not do finding.import"},
		"reader updates":          {call{key: "reader", method: http.MethodPatch, path: "/findings/batchupdate", body: `{` + id + `,"Workflow":{"Status":"RESOLVED"}}`}, 403, "AccessDeniedException", "may not do finding.update"},
		"unknown workflow":        {call{key: "operator", method: http.MethodPatch, path: "/findings/batchupdate", body: `{` + id + `,"Workflow":{"Status":"DONE"}}`}, 400, "InvalidInputException", "Workflow.Status"},
		"member not updatable":    {call{key: "operator", method: http.MethodPatch, path: "/findings/batchupdate", body: `{` + id + `,"RecordState":"ARCHIVED"}`}, 400, "InvalidInputException", "RecordState"},
		"update of nothing":       {call{key: "operator", method: http.MethodPatch, path: "/findings/batchupdate", body: `{"Workflow":{"Status":"NEW"}}`}, 400, "InvalidInputException", "required property 'FindingIdentifiers'"},
		"unknown filter":          {call{key: "admin", path: "/findings", body: `{"Filters":{"Colour":[{"Value":"red","Comparison":"EQUALS"}]}}`}, 400, "InvalidInputException", "Colour"},
		"illegal mix":             {call{key: "admin", path: "/findings", body: `{"Filters":{"Title":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"NOT_EQUALS"}]}}`}, 400, "InvalidInputException", "Title"},
		"illegal mix of prefixes": {call{key: "admin", path: "/findings", body: `{"Filters":{"Title":[{"Value":"a","Comparison":"PREFIX"},{"Value":"b","Comparison":"PREFIX_NOT_EQUALS"},{"Value":"c","Comparison":"NOT_EQUALS"},{"Value":"d","Comparison":"EQUALS"}]}}`}, 400, "InvalidInputException", "Title"},
		"comparison of rules":     {call{key: "admin", path: "/findings", body: `{"Filters":{"Title":[{"Value":"a","Comparison":"CONTAINS"}]}}`}, 400, "InvalidInputException", "Title[0].Comparison"},
		"unknown sort field":      {call{key: "admin", path: "/findings", body: `{"SortCriteria":[{"Field":"Colour","SortOrder":"asc"}]}`}, 400, "InvalidInputException", "Colour"},
		"page of 101":             {call{key: "admin", path: "/findings", body: `{"MaxResults":101}`}, 400, "InvalidInputException", "data.MaxResults should be <= 100"},
		"token that is none":      {call{key: "admin", path: "/findings", body: `{"NextToken":"x"}`}, 400, "InvalidInputException", "repeat the request without NextToken"},
	} {
		t.Run(name, func(t *testing.T) {
			s.nothingStored(t, func(t *testing.T) { s.do(t, c.call).is(t, c.status, c.code, c.words) })
		})
	}
}

// oneByOne: a batch is answered finding by finding, and only the good ones are
// stored.
func (s *server) oneByOne(t *testing.T) {
	with := func(id string, change func(map[string]any)) map[string]any {
		f := example(id, dev)
		change(f)
		return f
	}
	bad := []struct {
		finding map[string]any
		code    string
		words   string
	}{
		{with("big", func(f map[string]any) { f["ProductFields"] = map[string]string{"a": strings.Repeat("x", 250<<10)} }), "InvalidInput", "larger than the limit of 240 KB"},
		{with("foreign-account", func(f map[string]any) { f["AwsAccountId"] = "123412341234" }), "InvalidAccess", "may not report findings for account 123412341234"},
		{with("foreign-product", func(f map[string]any) { f["ProductArn"] = "arn:aws:securityhub:us-east-1::product/aws/guardduty" }), "InvalidAccess", "may not report findings of the product"},
		{with("severity-text", func(f map[string]any) { f["Severity"] = "HIGH" }), "InvalidInput", "Severity"},
		{with("severity-label", func(f map[string]any) { f["Severity"] = map[string]any{"Label": "SEVERE"} }), "InvalidInput", "Severity.Label"},
		{with("title-number", func(f map[string]any) { f["Title"] = 7 }), "InvalidInput", "Title"},
		{with("no-resources", func(f map[string]any) { delete(f, "Resources") }), "InvalidInput", "Resources"},
		{with("time", func(f map[string]any) { f["UpdatedAt"] = "yesterday" }), "InvalidInput", "UpdatedAt"},
		{with("account-number", func(f map[string]any) { f["AwsAccountId"] = 111122223333 }), "InvalidInput", "AwsAccountId"},
	}
	var findings []map[string]any
	for _, b := range bad {
		findings = append(findings, b.finding)
	}
	s.nothingStored(t, func(t *testing.T) {
		got := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, findings...)}).imported(t)
		if got.SuccessCount != 0 || got.FailedCount != len(bad) || len(got.FailedFindings) != len(bad) {
			t.Fatalf("%+v", got)
		}
		for i, b := range bad {
			f := got.FailedFindings[i]
			if f.Id != b.finding["Id"] || f.ErrorCode != b.code || !strings.Contains(f.ErrorMessage, b.words) {
				t.Errorf("%v: got %+v, want %s with %q", b.finding["Id"], f, b.code, b.words)
			}
		}
	})
	mixed := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, example("good", dev), bad[1].finding)}).imported(t)
	if mixed.SuccessCount != 1 || mixed.FailedCount != 1 || len(s.findings(t, "admin", `{"Id":[{"Value":"good","Comparison":"EQUALS"}]}`)) != 1 {
		t.Errorf("one good, one bad: %+v", mixed)
	}
}

// scope: a key sees and changes its accounts only, and what is outside looks as
// if it were not there.
func (s *server) scope(t *testing.T) {
	inProd := `{"AwsAccountId":[{"Value":"` + prod + `","Comparison":"EQUALS"}]}`
	if got := s.findings(t, "dev-reader", inProd); len(got) != 0 {
		t.Errorf("a key for dev sees %v", got)
	}
	if got := s.findings(t, "reader", inProd); len(got) != 1 {
		t.Errorf("a key for all sees %d findings of prod", len(got))
	}
	for _, f := range s.findings(t, "dev-reader", "") {
		if f["AwsAccountId"] != dev {
			t.Errorf("a key for dev sees %v", f["Id"])
		}
	}
	update := func(key, id string) answer {
		return s.do(t, call{
			key: key, method: http.MethodPatch, path: "/findings/batchupdate",
			body: `{"FindingIdentifiers":[{"Id":"` + id + `","ProductArn":"` + product + `"}],"Workflow":{"Status":"SUPPRESSED"}}`,
		})
	}
	s.nothingStored(t, func(t *testing.T) {
		foreign, missing := update("dev-operator", "base-prod"), update("dev-operator", "no-such-finding")
		for _, a := range []answer{foreign, missing} {
			if a.status != http.StatusOK || !strings.Contains(string(a.body), `"FindingNotFound"`) || !strings.Contains(string(a.body), `"ProcessedFindings":[]`) {
				t.Errorf("%d %s", a.status, a.body)
			}
		}
		if got, want := strings.ReplaceAll(string(foreign.body), "base-prod", "ID"), strings.ReplaceAll(string(missing.body), "no-such-finding", "ID"); got != want {
			t.Errorf("a foreign finding is told from one that is not there:\n%s\n%s", got, want)
		}
		got := s.do(t, call{key: "dev-source", path: "/findings/import", body: batch(t, example("base-prod", prod))}).imported(t)
		if got.SuccessCount != 0 || got.FailedFindings[0].ErrorCode != "InvalidAccess" {
			t.Errorf("%+v", got)
		}
	})
}

// tokens: the token of a page belongs to its question and to its caller.
func (s *server) tokens(t *testing.T) {
	var findings []map[string]any
	for i := range 3 {
		findings = append(findings, example(fmt.Sprint("page-", i), dev))
	}
	if got := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, findings...)}).imported(t); got.SuccessCount != 3 {
		t.Fatalf("%+v", got)
	}
	ask := func(key, filters, token string) answer {
		return s.do(t, call{key: key, path: "/findings", body: `{"Filters":` + filters + `,"MaxResults":2,"NextToken":"` + token + `"}`})
	}
	const mine, other = `{"Id":[{"Value":"page-","Comparison":"PREFIX"}]}`, `{"Id":[{"Value":"base-","Comparison":"PREFIX"}]}`
	var page struct {
		Findings  []map[string]any
		NextToken string
	}
	first := s.do(t, call{key: "reader", path: "/findings", body: `{"Filters":` + mine + `,"MaxResults":2}`})
	if err := json.Unmarshal(first.body, &page); err != nil || len(page.Findings) != 2 || page.NextToken == "" {
		t.Fatalf("%s (%v)", first.body, err)
	}
	token := page.NextToken
	s.nothingStored(t, func(t *testing.T) {
		ask("reader", other, token).is(t, 400, "InvalidInputException", "the token does not belong to these filters", "repeat the request without NextToken")
		ask("dev-reader", mine, token).is(t, 400, "InvalidInputException", "the token does not belong to these filters")
		ask("reader", mine, token+"A").is(t, 400, "InvalidInputException", "NextToken")
	})
	second := ask("reader", mine, token)
	page.NextToken = ""
	if err := json.Unmarshal(second.body, &page); err != nil || second.status != http.StatusOK || len(page.Findings) != 1 || page.NextToken != "" {
		t.Errorf("%d %s (%v)", second.status, second.body, err)
	}
}

// works: after all that, a finding goes in and comes out.
func (s *server) works(t *testing.T) {
	if got := s.do(t, call{key: "source", path: "/findings/import", body: batch(t, example("last", prod))}).imported(t); got.SuccessCount != 1 {
		t.Errorf("%+v", got)
	}
	found := s.findings(t, "admin", `{"Id":[{"Value":"last","Comparison":"EQUALS"}]}`)
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	a := s.do(t, call{key: "admin", method: http.MethodGet, path: "/v1/audit/verify"})
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `"ok":true`) {
		t.Errorf("audit: %d %s", a.status, a.body)
	}
}
