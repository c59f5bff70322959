package insight_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/insight"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

var update = flag.Bool("update", false, "rewrite the goldens")

const (
	hub, dev = "999988887777", "111122223333"
	product  = "arn:aws:securityhub:us-west-1::product/aws/securityhub"
)

// countingIDs gives ids in order.
type countingIDs struct{ n int }

func (c *countingIDs) NewID(prefix string) string {
	c.n++
	return fmt.Sprintf("%s-%020d", prefix, c.n)
}

func setup(t *testing.T, unseen ...string) (*insight.Desk, *store.Store) {
	t.Helper()
	db := storetest.SQLite(t)
	desk, err := insight.NewDesk(insight.Config{
		Store: db, Drain: func(context.Context) (int, error) { return 0, nil }, Managed: managed(t), Account: hub, Region: "us-west-1", IDs: &countingIDs{}, Clock: db.Clock(),
		Unseen: func(context.Context) ([]string, error) { return unseen, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return desk, db
}

// put stores a finding of dev.
func put(t *testing.T, db *store.Store, id string, members map[string]any) finding.ID {
	t.Helper()
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": id, "ProductArn": product, "AwsAccountId": dev, "GeneratorId": "g", "Title": "<b>bucket</b> is public", "Description": "d",
		"CreatedAt": "2026-02-28T00:00:00Z", "UpdatedAt": "2026-02-28T00:00:00Z", "Severity": map[string]any{"Label": "HIGH"},
		"Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::" + id}},
	}
	for k, v := range members {
		doc[k] = v
	}
	f, err := finding.FromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	f = finding.Create(f)
	var r store.FindingRecord
	r.Describe(f)
	if err := db.CommitFindings(t.Context(), []store.FindingWrite{{Record: r}}, nil, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	return f.ID()
}

func messages(t *testing.T, db *store.Store) []store.Delivery {
	t.Helper()
	got, err := db.ClaimMessages(t.Context(), store.Findings, []string{store.TopicAction}, 100, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// golden holds raw, as indented JSON, against a file.
func golden(t *testing.T, name string, raw []byte) {
	t.Helper()
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	text.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Error(diff)
	}
}

// keys gives the members of a JSON object in the order in which they are written.
func keys(t *testing.T, raw []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		t.Fatal(err)
	}
	var out []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := name.(string)
		out = append(out, text)
		var skip json.RawMessage
		if err := d.Decode(&skip); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestEventsAreAWS: envelope and detail have the members of AWS's documented examples, in
// their order, and nothing else; one finding is in each event.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-cwe-event-formats.html
func TestEventsAreAWS(t *testing.T) {
	t.Parallel()
	desk, db := setup(t)
	ctx := t.Context()
	a, err := desk.CreateAction(ctx, insight.NewAction{ID: "Remediation", Name: "Send to remediation", Description: "Action to send the finding for remediation tracking"}, "", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if a.ARN != "arn:aws:securityhub:us-west-1:"+hub+":action/custom/Remediation" {
		t.Error(a.ARN)
	}
	ids := []finding.ID{put(t, db, "one", nil), put(t, db, "two", nil)}
	events, err := desk.Invoke(ctx, a, ids, []string{dev}, "olga")
	if err != nil {
		t.Fatal(err)
	}
	i, err := desk.InsightNamed(ctx, "1")
	if err != nil {
		t.Fatal(err)
	}
	one, err := desk.InvokeResults(ctx, a, i, nil, []string{dev}, "olga")
	if err != nil {
		t.Fatal(err)
	}
	events = append(events, one)
	documents, _ := db.Findings(ctx, ids)
	for n, m := range messages(t, db) {
		var asked struct {
			By    string
			Event json.RawMessage
		}
		if err := json.Unmarshal(m.Payload, &asked); err != nil {
			t.Fatal(err)
		}
		var e struct {
			ID     string          `json:"id"`
			Detail json.RawMessage `json:"detail"`
		}
		if err := json.Unmarshal(asked.Event, &e); err != nil {
			t.Fatal(err)
		}
		if asked.By != "olga" || e.ID != events[n] || m.ID != "action-"+e.ID {
			t.Errorf("%s: by %s, event %s", m.ID, asked.By, e.ID)
		}
		if diff := cmp.Diff([]string{"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}, keys(t, asked.Event)); diff != "" {
			t.Error(diff)
		}
		want, name := []string{"actionName", "actionDescription", "findings"}, "custom_action.json"
		if n == 2 {
			want, name = []string{"actionName", "actionDescription", "insightArn", "insightName", "resultType", "number of results", "insightResults"}, "insight_results.json"
		}
		if diff := cmp.Diff(want, keys(t, e.Detail)); diff != "" {
			t.Error(diff)
		}
		if n == 1 {
			var d struct{ Findings []json.RawMessage }
			if err := json.Unmarshal(e.Detail, &d); err != nil || len(d.Findings) != 1 {
				t.Fatalf("%v: %d findings", err, len(d.Findings))
			}
			got, err := finding.Parse(d.Findings[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range documents {
				if stored, _ := finding.Parse(r.Doc); r.ID == ids[1] && !bytes.Equal(stored.JSON(), got.JSON()) {
					t.Errorf("the event's finding is %s, stored is %s", got.JSON(), r.Doc)
				}
			}
			continue
		}
		golden(t, name, asked.Event)
	}
	entries, err := db.AuditPending(ctx, store.Findings, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		actions = append(actions, e.Actor+" "+e.Action)
	}
	if diff := cmp.Diff([]string{"ada action.created", "olga action.invoked", "olga action.invoked"}, actions); diff != "" {
		t.Error(diff)
	}
}

// TestAnInsightLeavesOutAccountsThatAreGone: with counters, with documents, and in what is
// sent to an action.
func TestAnInsightLeavesOutAccountsThatAreGone(t *testing.T) {
	t.Parallel()
	const gone = "999900001111"
	desk, db := setup(t, gone)
	put(t, db, "there", nil)
	put(t, db, "gone", map[string]any{"AwsAccountId": gone})
	for _, by := range []string{"AwsAccountId", "Title"} {
		name := "by " + by
		i, err := desk.CreateInsight(t.Context(), insight.Change{Name: &name, GroupBy: &by, Filters: json.RawMessage(`{"RecordState": [{"Value": "ACTIVE", "Comparison": "EQUALS"}]}`)}, "", "olga")
		if err != nil {
			t.Fatal(err)
		}
		found, err := desk.Results(t.Context(), i, store.AllAccounts())
		if err != nil || len(found) != 1 || found[0].N != 1 || found[0].Value == gone {
			t.Errorf("%s: %+v %v", by, found, err)
		}
	}
}

// TestRelativeDatesSlide: what an insight counts today it may not count next week.
func TestRelativeDatesSlide(t *testing.T) {
	t.Parallel()
	desk, db := setup(t)
	put(t, db, "one", map[string]any{"Compliance": map[string]any{"Status": "FAILED"}, "UpdatedAt": "2026-03-01T00:00:00Z"})
	count := func() int {
		t.Helper()
		i, err := desk.InsightNamed(t.Context(), "36") // updated in the last day
		if err != nil {
			t.Fatal(err)
		}
		found, err := desk.Results(t.Context(), i, store.AllAccounts())
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := count(); n != 1 {
		t.Errorf("%d results", n)
	}
	clock, ok := db.Clock().(*service.FixedClock)
	if !ok {
		t.Fatal("no fixed clock")
	}
	clock.Advance(48 * time.Hour)
	if n := count(); n != 0 {
		t.Errorf("%d results two days later", n)
	}
}

// TestManagedInsightsAnswer: each of them finds what it is about, and nothing else.
func TestManagedInsightsAnswer(t *testing.T) {
	t.Parallel()
	desk, db := setup(t)
	resource := func(kind, details string, members map[string]any) map[string]any {
		r := map[string]any{"Type": kind, "Id": "the-resource"}
		if details != "" {
			r["Details"] = map[string]any{details: members}
		}
		return r
	}
	full := func(r map[string]any, types ...any) map[string]any {
		return map[string]any{"Types": types, "Resources": []any{r}}
	}
	ec2 := resource("AwsEc2Instance", "AwsEc2Instance", map[string]any{"ImageId": "ami-1"})
	bucket := resource("AwsS3Bucket", "", nil)
	key := resource("AwsIamAccessKey", "AwsIamAccessKey", map[string]any{"PrincipalName": "mallory", "UserName": "mallory"})
	user := resource("AwsIamUser", "AwsIamUser", map[string]any{"UserName": "mallory"})
	app := map[string]any{"Type": "Other", "Id": "the-resource", "ApplicationArn": "arn:app"}
	practice := "Software and Configuration Checks/Industry and Regulatory Standards/AWS Security Best Practices"
	put(t, db, "archived", map[string]any{"RecordState": "ARCHIVED", "Types": []any{"TTPs/x"}, "Resources": []any{ec2}})
	for n, members := range map[string]map[string]any{
		"1": full(bucket), "10": full(bucket, "Effects/Data Exposure/x"), "3": full(ec2), "14": full(ec2, "TTPs/Discovery"), "9": full(key), "6": full(bucket, practice),
		"7": full(bucket, "Effects/Data Exfiltration/x"), "8": full(bucket, "Effects/Resource Consumption"), "11": full(bucket, practice), "12": full(bucket, "Sensitive Data Identifications/PII"),
		"13": full(bucket, "Sensitive Data Identifications/Passwords/x"), "16": full(ec2, "Software and Configuration Checks/Vulnerabilities/CVE"), "17": full(ec2, "Unusual Behaviors/VM"),
		"18": full(ec2, "Software and Configuration Checks/AWS Security Best Practices/Network Reachability"), "19": full(ec2, practice), "22": full(ec2, "TTPs/Discovery/Recon:EC2-Portscan"),
		"23": full(bucket, "Unusual Behaviors/VM/Backdoor:EC2"), "24": full(bucket, "TTPs/Command and Control/CryptoCurrency:EC2"), "25": full(bucket, "TTPs/Initial Access/UnauthorizedAccess:EC2"),
		"26": {"ThreatIntelIndicators": []any{map[string]any{"Type": "IPV4_ADDRESS", "Value": "198.51.100.1"}}}, "27": full(bucket), "28": full(bucket), "29": full(bucket), "30": full(bucket), "31": full(ec2),
		"32": full(ec2), "33": full(key), "35": full(bucket), "37": full(user), "38": {"ProductName": "Health"}, "39": {"ProductName": "Config"}, "40": full(app),
		"34": {"GeneratorId": "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/2.9", "Compliance": map[string]any{"Status": "FAILED"}, "UpdatedAt": "2026-03-01T00:00:00Z"},
		"36": {"Compliance": map[string]any{"Status": "FAILED"}, "UpdatedAt": "2026-03-01T00:00:00Z"},
	} {
		members["ProductFields"] = map[string]any{"for": n}
		if members["ProductName"] == nil {
			members["ProductName"] = "Some product"
		}
		put(t, db, "for-"+n, members)
	}
	for _, i := range desk.Managed() {
		found, err := desk.Results(t.Context(), i, store.AllAccounts())
		if err != nil {
			t.Errorf("%s: %v", i.Key(), err)
			continue
		}
		if i.Overdue() || i.GroupBy == "ComplianceSecurityControlId" {
			continue // nothing is overdue here, or has a control
		}
		if len(found) == 0 {
			t.Errorf("%s %q finds nothing", i.Key(), i.Name)
		}
		if slices.ContainsFunc(found, func(r insight.Result) bool { return strings.Contains(r.Value, "archived") }) {
			t.Errorf("%s counts what is archived", i.Key())
		}
	}
}

func TestLimitsAndConflicts(t *testing.T) {
	t.Parallel()
	desk, _ := setup(t)
	ctx := t.Context()
	name, by := "x", "ResourceId"
	change := insight.Change{Name: &name, GroupBy: &by, Filters: json.RawMessage(`{}`)}
	for n := range insight.MaxInsights + 1 {
		_, err := desk.CreateInsight(ctx, change, "", "ada")
		if want := n == insight.MaxInsights; fault.Is(err, fault.Exhausted) != want || err != nil != want {
			t.Fatalf("insight %d: %v", n, err)
		}
	}
	for n := range insight.MaxActions + 1 {
		_, err := desk.CreateAction(ctx, insight.NewAction{ID: fmt.Sprintf("a%d", n), Name: "x", Description: "d"}, "", "ada")
		if want := n == insight.MaxActions; fault.Is(err, fault.Exhausted) != want || err != nil != want {
			t.Fatalf("action %d: %v", n, err)
		}
	}
	if _, err := desk.CreateAction(ctx, insight.NewAction{ID: "a1", Name: "x", Description: "d"}, "eu-west-1", "ada"); err != nil {
		t.Error(err) // another Region
	}
	if _, err := desk.ActionNamed(ctx, "a1", ""); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("an id of two Regions: %v", err)
	}
	if a, err := desk.ActionNamed(ctx, "a1", "eu-west-1"); err != nil || a.Region() != "eu-west-1" {
		t.Errorf("%+v %v", a, err)
	}
	for _, id := range []string{"", "a1/x", "a", "%"} {
		if _, err := desk.ActionNamed(ctx, id, ""); !fault.Is(err, fault.NotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// FuzzInsight: whatever is taken is read back as it was, and counts without an error
// other than a refusal.
func FuzzInsight(f *testing.F) {
	f.Add("Critical role findings", `{"ResourceType":[{"Comparison":"EQUALS","Value":"AwsIamRole"}]}`, "ResourceId")
	f.Add("x", `{"CreatedAt":[{"DateRange":{"Value":7,"Unit":"DAYS"}}],"Type":[{"Value":"TTPs","Comparison":"PREFIX"}]}`, "Type")
	f.Add("", `[]`, "rid")
	f.Add("\x00", `{"Title":[{"Value":"\u0000","Comparison":"NOT_EQUALS"}]}`, "control")

	db := storetest.SQLite(f)
	desk, err := insight.NewDesk(insight.Config{Store: db, Drain: func(context.Context) (int, error) { return 0, nil }, Account: hub, Clock: db.Clock()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, filters, by string) {
		made, err := desk.CreateInsight(t.Context(), insight.Change{Name: &name, Filters: json.RawMessage(filters), GroupBy: &by}, "", "fuzz")
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatal(err)
			}
			return
		}
		read, err := desk.Insight(t.Context(), made.ARN)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := json.Marshal(made.Filters)
		got, _ := json.Marshal(read.Filters)
		if read.Name != made.Name || read.GroupBy != made.GroupBy || !bytes.Equal(want, got) {
			t.Errorf("%+v is read as %+v", made, read)
		}
		if _, err := desk.Results(t.Context(), read, store.AllAccounts()); err != nil && !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
		if err := desk.DeleteInsight(t.Context(), made.ARN, "fuzz"); err != nil {
			t.Error(err)
		}
	})
}
