package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/insight"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

// unasked stands for what a test does not ask.
type unasked struct {
	api.Insights
	api.Counter
}

// insightBench is a server whose insights and counters are real, on SQLite, with three
// findings in dev and one in prod.
func insightBench(t *testing.T) (bench, *store.Store) {
	t.Helper()
	return insightBenchOf(t, nil)
}

// insightBenchOf is insightBench with another configuration.
func insightBenchOf(t *testing.T, edit func(*api.Config, *store.Store)) (bench, *store.Store) {
	t.Helper()
	v := newVault()
	db := storetest.SQLite(t)
	var writes []store.FindingWrite
	for i, f := range []struct{ account, severity, workflow string }{{dev, "HIGH", "NEW"}, {dev, "HIGH", "NOTIFIED"}, {dev, "LOW", "SUPPRESSED"}, {prod, "HIGH", "NEW"}} {
		doc, err := finding.FromMap(map[string]any{
			"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("f%d", i), "ProductArn": arn, "AwsAccountId": f.account, "GeneratorId": "g", "Title": "t", "Description": "d",
			"CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z", "Severity": map[string]any{"Label": f.severity}, "Workflow": map[string]any{"Status": f.workflow},
			"Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": fmt.Sprintf("bucket-%s", f.account)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		var r store.FindingRecord
		r.Describe(finding.Create(doc))
		writes = append(writes, store.FindingWrite{Record: r})
	}
	if err := db.CommitFindings(t.Context(), writes, nil, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	managed, err := insight.LoadManaged(catalog.FS, "aws")
	if err != nil {
		t.Fatal(err)
	}
	desk, err := insight.NewDesk(insight.Config{Store: db, Drain: nothing, Managed: managed, Account: "999988887777", Clock: service.SystemClock{}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := api.Config{
		Findings: v, Ranker: v, Remediations: v, Journal: v, Redact: redact, Approvals: v, Approver: v, Requester: v, Work: v, Audit: v, Switch: v, Keys: v, Persons: noPersons{}, Remover: noPersons{}, People: nobody{}, Joiner: nobody{}, Passwords: nobody{}, Streams: noStreams(), Views: noViews{}, Attacher: v, Rules: ruleVault{v}, Insights: desk, Counter: db, Exceptions: exceptionVault{v}, Cases: noCases{}, Executions: v, Sources: v, Guards: v.guards, Controls: v, Follower: orgVault{v}, Directory: orgVault{v}, Sweeper: v, Channels: channelVault{v}, Bus: noBus(),
		Accounts: func() []org.Account { return []org.Account{{ID: dev, Unit: "work/dev"}, {ID: prod}} },
	}
	if edit != nil {
		edit(&cfg, db)
	}
	handler, err := api.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := auth.NewKeyring(v)
	if err != nil {
		t.Fatal(err)
	}
	people, _ := cfg.People.(awsfront.People) // of a bench with sessions
	front, err := awsfront.New(awsfront.Config{Keys: ring, Signatures: v, Services: map[string]awsfront.Service{api.Service: handler}, Health: handler, People: people})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(front)
	t.Cleanup(server.Close)
	return bench{vault: v, url: server.URL}, db
}

func text(s string) *string { return &s }

func TestInsightsOverREST(t *testing.T) {
	t.Parallel()
	b, _ := insightBench(t)
	ctx := t.Context()
	admin, reader := b.as(t, "admin", "*"), b.as(t, "reader", dev)
	request := api.InsightRequest{Name: text("Buckets"), GroupBy: text("ResourceId"), Filters: json.RawMessage(`{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}`)}
	made, err := admin.CreateInsight(ctx, request)
	if err != nil || made.CreatedBy != "admin" || !strings.HasPrefix(made.ARN, "arn:aws:securityhub:us-east-1:999988887777:insight/999988887777/custom/") {
		t.Fatalf("%+v %v", made, err)
	}
	results := func(c *client.Client, key string) string {
		t.Helper()
		a, err := c.InsightResults(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(a.Results)
	}
	for who, want := range map[string]string{"admin": "[{bucket-" + dev + " 2} {bucket-" + prod + " 1}]", "reader": "[{bucket-" + dev + " 2}]"} {
		if got := results(map[string]*client.Client{"admin": admin, "reader": reader}[who], made.Key); got != want {
			t.Errorf("%s: %s", who, got)
		}
	}
	if got := results(b.as(t, "reader", "111111111111"), made.Key); got != "[]" {
		t.Errorf("a stranger: %s", got)
	}
	changed, err := admin.UpdateInsight(ctx, made.Key, api.InsightRequest{GroupBy: text("AwsAccountId")})
	if err != nil || changed.Name != "Buckets" || changed.GroupBy != "AwsAccountId" {
		t.Errorf("%+v %v", changed, err)
	}
	for kind, want := range map[string]int{"custom": 1, "managed": 42, "all": 43} {
		page, err := reader.Insights(ctx, kind, client.Paging{})
		if err != nil || len(page.Items) != want {
			t.Errorf("%s: %d %v", kind, len(page.Items), err)
		}
	}
	if got := results(admin, "27"); got != "[{"+dev+" 2} {"+prod+" 1}]" {
		t.Error(got)
	}
	if err := admin.DeleteInsight(ctx, made.Key); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		err  error
		code fault.Code
		says string
	}{
		"unknown":        {second(admin.Insight(ctx, made.Key)), fault.NotFound, "there is no such insight"},
		"managed":        {second(admin.UpdateInsight(ctx, "27", request)), fault.Invalid, "is a managed insight"},
		"delete managed": {admin.DeleteInsight(ctx, "overdue"), fault.Invalid, "is a managed insight"},
		"no group":       {second(admin.CreateInsight(ctx, api.InsightRequest{Name: text("x"), Filters: request.Filters})), fault.Invalid, "name, group_by and filters"},
		"wrong group":    {second(admin.CreateInsight(ctx, api.InsightRequest{Name: text("x"), GroupBy: text("CreatedAt"), Filters: request.Filters})), fault.Invalid, "cannot be grouped by"},
		"column":         {second(admin.CreateInsight(ctx, api.InsightRequest{Name: text("x"), GroupBy: text("control"), Filters: request.Filters})), fault.Invalid, "cannot be grouped by"},
		"blank":          {second(admin.CreateInsight(ctx, api.InsightRequest{Name: text(" "), GroupBy: text("Title"), Filters: request.Filters})), fault.Invalid, "not blank"},
		"filter":         {second(admin.CreateInsight(ctx, api.InsightRequest{Name: text("x"), GroupBy: text("Title"), Filters: json.RawMessage(`{"Nope":[]}`)})), fault.Invalid, "Nope"},
		"reader":         {second(reader.CreateInsight(ctx, request)), fault.Denied, "insight.write"},
		"limited":        {second(b.as(t, "admin", dev).CreateInsight(ctx, request)), fault.Denied, "concerns the whole installation"},
		"limited delete": {b.as(t, "operator", dev).DeleteInsight(ctx, "27"), fault.Denied, "concerns the whole installation"},
		"source":         {second(b.as(t, "source", dev).CreateInsight(ctx, request)), fault.Denied, "insight.write"},
	} {
		if !fault.Is(c.err, c.code) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestActionsOverREST(t *testing.T) {
	t.Parallel()
	b, db := insightBench(t)
	ctx := t.Context()
	admin, operator, limited := b.as(t, "admin", "*"), b.as(t, "operator", "*"), b.as(t, "operator", dev)
	made, err := admin.CreateAction(ctx, api.NewAction{ID: "Remediate", Name: "Send to remediation", Description: "d"})
	if err != nil || made.ARN != "arn:aws:securityhub:us-east-1:999988887777:action/custom/Remediate" {
		t.Fatalf("%+v %v", made, err)
	}
	key := func(ids ...string) api.Invocation {
		var what api.Invocation
		for _, id := range ids {
			what.Findings = append(what.Findings, finding.ID{ProductArn: arn, Id: id}.Key())
		}
		return what
	}
	sent := func() (events []store.Invoked) {
		t.Helper()
		for {
			got, err := db.ClaimMessages(ctx, store.Findings, []string{store.TopicAction}, 100, "test", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range got {
				var one store.Invoked
				if err := json.Unmarshal(d.Payload, &one); err != nil {
					t.Fatal(err)
				}
				events = append(events, one)
			}
			if len(got) == 0 {
				return events
			}
		}
	}
	many := make([]string, 21)
	for name, c := range map[string]struct {
		err  error
		code fault.Code
		says string
	}{
		"reader":                {second(b.as(t, "reader", "*").Invoke(ctx, "Remediate", "", key("f0"))), fault.Denied, "finding.act"},
		"approver":              {second(b.as(t, "approver", "*").Invoke(ctx, "Remediate", "", key("f0"))), fault.Denied, "finding.act"},
		"source":                {second(b.as(t, "source", "*").Invoke(ctx, "Remediate", "", key("f0"))), fault.Denied, "finding.act"},
		"foreign finding":       {second(limited.Invoke(ctx, "Remediate", "", key("f0", "f3"))), fault.NotFound, `there is no finding "f3" within your accounts`},
		"unknown finding":       {second(limited.Invoke(ctx, "Remediate", "", key("f0", "f9"))), fault.NotFound, `there is no finding "f9" within your accounts`},
		"twice":                 {second(operator.Invoke(ctx, "Remediate", "", key("f0", "f0"))), fault.NotFound, "or it is named twice"},
		"no finding":            {second(operator.Invoke(ctx, "Remediate", "", key())), fault.Invalid, "name findings, or an insight"},
		"both":                  {second(operator.Invoke(ctx, "Remediate", "", api.Invocation{Findings: key("f0").Findings, Insight: "27"})), fault.Invalid, "not both"},
		"many":                  {second(operator.Invoke(ctx, "Remediate", "", key(many...))), fault.Invalid, ""},
		"no key":                {second(operator.Invoke(ctx, "Remediate", "", api.Invocation{Findings: []string{"?"}})), fault.NotFound, "there is no finding"},
		"unknown action":        {second(operator.Invoke(ctx, "Nope", "", key("f0"))), fault.NotFound, "there is no such action"},
		"another Region":        {second(operator.Invoke(ctx, "Remediate", "eu-west-1", key("f0"))), fault.NotFound, "there is no such action"},
		"unknown value":         {second(operator.Invoke(ctx, "Remediate", "", api.Invocation{Insight: "27", Values: []string{"x"}})), fault.NotFound, `no result "x"`},
		"foreign value":         {second(limited.Invoke(ctx, "Remediate", "", api.Invocation{Insight: "27", Values: []string{prod}})), fault.NotFound, "no result"},
		"nothing found":         {second(operator.Invoke(ctx, "Remediate", "", api.Invocation{Insight: "26"})), fault.Conflict, "no results"},
		"operator creates":      {second(operator.CreateAction(ctx, api.NewAction{ID: "x", Name: "x", Description: "x"})), fault.Denied, "action.write"},
		"limited admin":         {second(b.as(t, "admin", dev).CreateAction(ctx, api.NewAction{ID: "x", Name: "x", Description: "x"})), fault.Denied, "concerns the whole installation"},
		"taken":                 {second(admin.CreateAction(ctx, api.NewAction{ID: "Remediate", Name: "x", Description: "x"})), fault.Conflict, "already"},
		"id":                    {second(admin.CreateAction(ctx, api.NewAction{ID: "a/b", Name: "x", Description: "x"})), fault.Invalid, "letters and digits"},
		"long id":               {second(admin.CreateAction(ctx, api.NewAction{ID: strings.Repeat("a", 21), Name: "x", Description: "x"})), fault.Invalid, "limit of 20"},
		"long name":             {second(admin.CreateAction(ctx, api.NewAction{ID: "a", Name: strings.Repeat("ä", 21), Description: "x"})), fault.Invalid, "limit of 20"},
		"blank":                 {second(admin.CreateAction(ctx, api.NewAction{ID: "a", Name: "x", Description: " "})), fault.Invalid, "not blank"},
		"region with a path":    {second(admin.CreateAction(ctx, api.NewAction{ID: "a", Name: "x", Description: "x", Region: "../x"})), fault.Invalid, "region"},
		"operator deletes":      {operator.DeleteAction(ctx, "Remediate", ""), fault.Denied, "action.write"},
		"change of what is not": {second(admin.UpdateAction(ctx, "Nope", "", api.ActionChange{Name: text("x")})), fault.NotFound, "no such action"},
	} {
		if !fault.Is(c.err, c.code) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if got := sent(); len(got) != 0 {
		t.Fatalf("refused requests sent %v", got)
	}
	done, err := limited.Invoke(ctx, "Remediate", "us-east-1", key("f0", "f1"))
	if err != nil || len(done.Events) != 2 || done.Action != made.ARN {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := limited.Invoke(ctx, "Remediate", "", api.Invocation{Insight: "27"}); err != nil {
		t.Fatal(err)
	}
	got := sent()
	if len(got) != 3 {
		t.Fatalf("%d events", len(got))
	}
	for _, one := range got {
		if one.By != "operator" || !slices.Equal(one.Event.Resources, []string{made.ARN}) {
			t.Errorf("%+v", one)
		}
		if strings.Contains(string(one.Event.Detail), prod) {
			t.Errorf("an event holds what is outside the accounts: %s", one.Event.Detail)
		}
	}
}

func TestCountsAndTrendsOverREST(t *testing.T) {
	t.Parallel()
	b, _ := insightBench(t)
	ctx := t.Context()
	admin, limited := b.as(t, "admin", "*"), b.as(t, "reader", dev)
	for name, c := range map[string]struct {
		by    *client.Client
		group []string
		limit int
		where client.FindingFilter
		want  string
	}{
		"total":        {admin, nil, 0, client.FindingFilter{}, `{"total":4,"groups":[],"others":0}`},
		"in scope":     {limited, nil, 0, client.FindingFilter{}, `{"total":3,"groups":[],"others":0}`},
		"two":          {limited, []string{"severity", "workflow"}, 2, client.FindingFilter{}, `{"total":3,"groups":[{"group":{"severity":"HIGH","workflow":"NEW"},"count":1},{"group":{"severity":"HIGH","workflow":"NOTIFIED"},"count":1}],"others":1}`},
		"by unit":      {admin, []string{"unit"}, 0, client.FindingFilter{}, `{"total":4,"groups":[{"group":{"unit":"work/dev"},"count":3},{"group":{"unit":"(no unit)"},"count":1}],"others":0}`},
		"not counters": {admin, []string{"resource_type"}, 0, client.FindingFilter{Severity: "LOW"}, `{"total":1,"groups":[{"group":{"resource_type":"AwsS3Bucket"},"count":1}],"others":0}`},
		"foreign":      {limited, []string{"account"}, 0, client.FindingFilter{Account: prod}, `{"total":0,"groups":[],"others":0}`},
		"overdue":      {admin, nil, 0, client.FindingFilter{Overdue: true}, `{"total":0,"groups":[],"others":0}`},
	} {
		got, err := c.by.CountFindings(ctx, c.where, c.group, c.limit)
		raw, _ := json.Marshal(got)
		if err != nil || string(raw) != c.want {
			t.Errorf("%s: %s %v", name, raw, err)
		}
	}
	for name, group := range map[string][]string{"unknown": {"title"}, "twice": {"severity", "severity"}, "unit and account": {"unit", "account"}} {
		if _, err := admin.CountFindings(ctx, client.FindingFilter{}, group, 0); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		by   *client.Client
		q    client.TrendQuery
		want map[string][4]int64
	}{
		"all":         {admin, client.TrendQuery{}, map[string][4]int64{"": {3, 3, 0, 1}}},
		"scope":       {limited, client.TrendQuery{}, map[string][4]int64{"": {2, 2, 0, 1}}},
		"by account":  {admin, client.TrendQuery{Group: "account"}, map[string][4]int64{dev: {2, 2, 0, 1}, prod: {1, 1, 0, 0}}},
		"limited by":  {limited, client.TrendQuery{Group: "account"}, map[string][4]int64{dev: {2, 2, 0, 1}}},
		"by severity": {limited, client.TrendQuery{Group: "severity", Days: 5}, map[string][4]int64{"HIGH": {2, 2, 0, 0}, "LOW": {0, 0, 0, 1}}},
		"by unit":     {admin, client.TrendQuery{Group: "unit"}, map[string][4]int64{"work/dev": {2, 2, 0, 1}, "(no unit)": {1, 1, 0, 0}}},
		"others":      {admin, client.TrendQuery{Group: "account", Limit: 1}, map[string][4]int64{dev: {2, 2, 0, 1}, "(others)": {1, 1, 0, 0}}},
		"foreign":     {limited, client.TrendQuery{Account: prod}, map[string][4]int64{"": {}}},
	} {
		got, err := c.by.FindingTrends(ctx, c.q)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		have := map[string][4]int64{}
		for _, s := range got.Series {
			if len(s.Points) != 1 {
				t.Errorf("%s: %d days", name, len(s.Points))
			}
			p := s.Points[0]
			have[s.Group] = [4]int64{p.Active, p.New, p.Resolved, p.Suppressed}
		}
		if diff := cmp.Diff(c.want, have); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if _, err := b.as(t, "nobody").FindingTrends(ctx, client.TrendQuery{}); !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
}

func nothing(context.Context) (int, error) { return 0, nil }
