package api_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/insight"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/respond"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/triage"
)

// operationSeed is one operation of the contract with a request that fits it.
type operationSeed struct{ method, path, query, body string }

type contractDoc struct {
	Paths      map[string]map[string]any `yaml:"paths"`
	Components struct {
		Schemas map[string]map[string]any `yaml:"schemas"`
	} `yaml:"components"`
}

// everyOperation reads the contract that is generated from what is registered, so a new
// operation is fuzzed without a word here.
func everyOperation(f *testing.F) []operationSeed {
	f.Helper()
	raw, err := api.OpenAPI()
	if err != nil {
		f.Fatal(err)
	}
	var doc contractDoc
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		f.Fatal(err)
	}
	var out []operationSeed
	for path, methods := range doc.Paths {
		for method, v := range methods {
			op, ok := v.(map[string]any)
			if !ok || op["operationId"] == nil || path == "/v1/stream" { // its answer does not end
				continue
			}
			out = append(out, operationSeed{strings.ToUpper(method), path, doc.query(op), doc.body(op)})
		}
	}
	if len(out) < 60 {
		f.Fatalf("the contract has %d operations: it was not read", len(out))
	}
	slices.SortFunc(out, func(a, b operationSeed) int { return strings.Compare(a.path+a.method, b.path+b.method) })
	return out
}

func (d contractDoc) body(op map[string]any) string {
	body, _ := op["requestBody"].(map[string]any)
	content, _ := body["content"].(map[string]any)
	kind, _ := content["application/json"].(map[string]any)
	if kind == nil {
		return ""
	}
	raw, err := json.Marshal(d.sample(kind["schema"], 0))
	if err != nil {
		return "{}"
	}
	return string(raw)
}

func (d contractDoc) query(op map[string]any) string {
	q := url.Values{}
	list, _ := op["parameters"].([]any)
	for _, v := range list {
		if p, _ := v.(map[string]any); p["in"] == "query" && p["name"] != "cursor" {
			raw, _ := json.Marshal(d.sample(p["schema"], 0))
			q.Set(p["name"].(string), strings.Trim(string(raw), `"[]`))
		}
	}
	return q.Encode()
}

// sample gives a value that fits a schema of the contract, with all its members.
func (d contractDoc) sample(schema any, depth int) any {
	s, _ := schema.(map[string]any)
	if ref, ok := s["$ref"].(string); ok {
		s = d.Components.Schemas[ref[strings.LastIndex(ref, "/")+1:]]
	}
	if few, ok := s["enum"].([]any); ok && len(few) > 0 {
		return few[0]
	}
	kind := s["type"]
	if several, ok := kind.([]any); ok {
		kind = several[0]
	}
	switch kind {
	case "object":
		out := map[string]any{}
		members, _ := s["properties"].(map[string]any)
		for name, m := range members {
			if depth < 6 && name != "$schema" {
				out[name] = d.sample(m, depth+1)
			}
		}
		return out
	case "array":
		return []any{d.sample(s["items"], depth+1)}
	case "integer", "number":
		return 1
	case "boolean":
		return true
	case "string":
		if s["format"] == "date-time" {
			return "2026-04-01T00:00:00Z"
		}
		return dev
	}
	return map[string]any{}
}

// FuzzREST sends any request to every operation, over a real store and real desks: what
// is wrong with it is the caller's fault, and the answer is JSON, JSON lines or nothing.
func FuzzREST(f *testing.F) {
	operations := everyOperation(f)
	for i, op := range operations {
		for _, id := range []string{"rem-dev", dev, "%2f..", devFinding.Key()} {
			f.Add(uint16(i), id, op.query, op.body)
		}
		f.Add(uint16(i), "x", "cursor=AAAA&limit=200", `{"filters":{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]},"scope":{"AwsAccountId":[{"Value":"`+dev+`","Comparison":"EQUALS"}]},"version":1}`)
	}
	v, clock := newVault(), service.NewFixedClock(storetest.Start())
	db := storetest.SQLite(f)
	doc, err := finding.FromMap(map[string]any{
		"SchemaVersion": "2018-10-08", "Id": "dev", "ProductArn": arn, "AwsAccountId": dev, "GeneratorId": "security-control/S3.8", "Title": "t", "Description": "d", "CreatedAt": "2026-01-01T00:00:00Z",
		"UpdatedAt": "2026-01-01T00:00:00Z", "Severity": map[string]any{"Label": "HIGH"}, "Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": "bucket"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	var record store.FindingRecord
	record.Describe(finding.Create(doc))
	if err := db.CommitFindings(f.Context(), []store.FindingWrite{{Record: record}}, nil, store.Effects{}); err != nil {
		f.Fatal(err)
	}
	book := triage.NewRulebook(db, nil, slog.New(slog.DiscardHandler))
	tr, err := triage.New(triage.Config{Store: db, Rules: book, Clock: clock, Poll: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	rules, err := triage.NewRuleDesk(triage.RuleDeskConfig{Triage: tr, Book: book, Rules: db, Runs: db, Pages: db, Account: "999988887777", Clock: clock, Poll: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	exceptions, err := triage.NewExceptionDesk(triage.ExceptionDeskConfig{Triage: tr, Store: db, Pages: db, Account: "999988887777", Clock: clock, Poll: time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	cases, err := respond.New(respond.Config{Store: db, Account: "999988887777", Region: "us-east-1", Partition: "aws", Clock: clock})
	if err != nil {
		f.Fatal(err)
	}
	managed, err := insight.LoadManaged(catalog.FS, "aws")
	if err != nil {
		f.Fatal(err)
	}
	insights, err := insight.NewDesk(insight.Config{Store: db, Drain: nothing, Managed: managed, Account: "999988887777", Clock: clock})
	if err != nil {
		f.Fatal(err)
	}
	h, err := api.New(api.Config{
		Findings: db, Ranker: tr, Remediations: db, Journal: db, Redact: redact, Approvals: db, Approver: v, Requester: v, Work: v, People: nobody{}, Joiner: nobody{}, Passwords: nobody{}, Streams: noStreams(), Views: db, Audit: v, Switch: db, Keys: db, Persons: db, Remover: db, Attacher: v, Rules: rules,
		Exceptions: exceptions, Cases: cases, Insights: insights, Counter: db, Executions: v, Sources: v, Guards: v.guards, Controls: db, Follower: orgVault{v}, Directory: db, Sweeper: v, Channels: channelVault{v}, Bus: noBus(), Followed: true, Covered: true,
		Accounts: func() []org.Account { return []org.Account{{ID: dev, Unit: "work/dev"}, {ID: prod}} }, Clock: clock,
	})
	if err != nil {
		f.Fatal(err)
	}
	// Every right over every account, and every right over one.
	people := []auth.Principal{{Name: "a", Roles: auth.Roles(), Accounts: []string{auth.All}}, {Name: "b", Roles: auth.Roles(), Accounts: []string{dev}}}
	f.Fuzz(func(t *testing.T, which uint16, id, query, body string) {
		op := operations[int(which)%len(operations)]
		before, rest, _ := strings.Cut(op.path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path := op.path
		if rest != "" {
			path = before + id + after
		}
		for _, p := range people {
			r := httptest.NewRequestWithContext(auth.WithPrincipal(t.Context(), p), op.method, "http://parry/", strings.NewReader(body))
			r.URL.Path, r.URL.RawQuery = path, query
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			switch answer := w.Body.Bytes(); {
			case w.Code >= http.StatusInternalServerError:
				t.Errorf("%s %s: %d %s", op.method, path, w.Code, answer)
			case w.Code >= http.StatusBadRequest && !json.Valid(answer):
				t.Errorf("%s %s: %d, no JSON: %q", op.method, path, w.Code, answer)
			case w.Code < http.StatusMultipleChoices && len(answer) > 0 && !jsonLines(answer):
				t.Errorf("%s %s: %d, no JSON: %q", op.method, path, w.Code, answer)
			}
		}
	})
}

func jsonLines(raw []byte) bool {
	for line := range strings.Lines(string(raw)) {
		if !json.Valid([]byte(line)) {
			return false
		}
	}
	return true
}
