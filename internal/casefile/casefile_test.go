package casefile_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
)

func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func valid() casefile.Case {
	return casefile.Case{
		ID: "1234567890", Title: "t", Description: "d\nand more", Engagement: casefile.Incident, Status: casefile.Submitted, Severity: finding.High,
		Accounts: []string{"111122223333"}, Regions: []string{"us-gov-west-1"},
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	if err := valid().Validate(); err != nil {
		t.Fatal(err)
	}
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("%012d", i))
		}
		return out
	}
	for name, change := range map[string]func(c *casefile.Case){
		"no id":              func(c *casefile.Case) { c.ID = "12345" },
		"no title":           func(c *casefile.Case) { c.Title = " " },
		"long title":         func(c *casefile.Case) { c.Title = strings.Repeat("é", casefile.MaxTitle+1) },
		"long description":   func(c *casefile.Case) { c.Description = strings.Repeat("x", casefile.MaxDescription+1) },
		"escape sequence":    func(c *casefile.Case) { c.Title = "a\x1b[2J" },
		"broken text":        func(c *casefile.Case) { c.Title = "\xff" },
		"engagement":         func(c *casefile.Case) { c.Engagement = "Other" },
		"status":             func(c *casefile.Case) { c.Status = "Open" },
		"severity":           func(c *casefile.Case) { c.Severity = "WORST" },
		"closed, no code":    func(c *casefile.Case) { c.Status = casefile.Closed },
		"open with a code":   func(c *casefile.Case) { c.Closure = casefile.Duplicate },
		"closed, wrong code": func(c *casefile.Case) { c.Status, c.Closure = casefile.Closed, "Done" },
		"account":            func(c *casefile.Case) { c.Accounts = []string{"*"} },
		"too many accounts":  func(c *casefile.Case) { c.Accounts = many(casefile.MaxAccounts + 1) },
		"Region":             func(c *casefile.Case) { c.Regions = []string{"../etc"} },
		"too many Regions":   func(c *casefile.Case) { c.Regions = make([]string, casefile.MaxRegions+1) },
		"too many resources": func(c *casefile.Case) { c.Resources = many(casefile.MaxResources + 1) },
		"long resource":      func(c *casefile.Case) { c.Resources = []string{strings.Repeat("x", 513)} },
	} {
		c := valid()
		change(&c)
		if err := c.Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range 1000 {
		id := casefile.Number(fmt.Sprint(i))
		if !casefile.ValidID(id) || seen[id] {
			t.Fatalf("%s", id)
		}
		seen[id] = true
	}
}

func TestTemplateValidate(t *testing.T) {
	t.Parallel()
	if err := casefile.Default().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(t *casefile.Template){
		"name":       func(t *casefile.Template) { t.Name = "a/b" },
		"title":      func(t *casefile.Template) { t.Title = "a\nb" },
		"long title": func(t *casefile.Template) { t.Title = strings.Repeat("x", 101) },
		"severity":   func(t *casefile.Template) { t.Severity = "high" },
		"engagement": func(t *casefile.Template) { t.Engagement = "x" },
		"window":     func(t *casefile.Template) { t.Window = -1 },
		"attribute":  func(t *casefile.Template) { t.GroupBy = []casefile.Attribute{"title"} },
		"twice":      func(t *casefile.Template) { t.GroupBy = []casefile.Attribute{"type", "type"} },
	} {
		one := casefile.Default()
		change(&one)
		if err := one.Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func envelope() pattern.Envelope {
	return pattern.Envelope{
		ID: "e-1", DetailType: "Sold", Source: "shop", Account: "111122223333", Region: "eu-west-1", Time: noon(),
		Resources: []string{"arn:aws:s3:::a", "", "arn:aws:s3:::a"},
		Detail:    []byte(`{"findings":[{"AwsAccountId":"999988887777"}],"account":"999988887777"}`),
	}
}

// Of an event that somebody put only what the envelope says is read: a detail that names
// another account does not bring the case to its people.
func TestAnEventSpeaksForItsOwnAccount(t *testing.T) {
	t.Parallel()
	got := casefile.FromEvent(envelope())
	want := casefile.Report{
		Event: "e-1", At: noon(), Source: "shop", DetailType: "Sold", Title: "Sold", Type: "Sold", Account: "111122223333", Regions: []string{"eu-west-1"}, Resources: []string{"arn:aws:s3:::a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	e := envelope()
	e.Account, e.Region, e.DetailType = "*", "x", "\x1b[31mred\u202e"
	if got := casefile.FromEvent(e); got.Account != "" || got.Regions != nil || got.Title != "[31mred" {
		t.Errorf("%+v", got)
	}
}

func TestARemediationIsReported(t *testing.T) {
	t.Parallel()
	e := envelope()
	e.Source, e.DetailType = pattern.SourceParry, pattern.RemediationChanged
	e.Detail = []byte(`{"remediation":{"id":"rem-1","account":"222233334444","region":"us-east-1","resource":"arn:r","reason":"no such bucket","finding":{"product_arn":"p","id":"f"}},"to":"failed"}`)
	got := casefile.FromEvent(e)
	if got.Title != "Remediation rem-1 is failed" || got.Text != "no such bucket" || got.Account != "222233334444" || len(got.Remediations) != 1 || got.Resources[0] != "arn:r" {
		t.Errorf("%+v", got)
	}
}

func findingOf(t *testing.T, title, account, resource string, more string) finding.Finding {
	t.Helper()
	f, err := finding.Reopen([]byte(`{"ProductArn":"arn:aws:securityhub:us-east-1::product/aws/guardduty","Id":"f-` + resource + `","AwsAccountId":"` + account + `","Region":"us-east-1",
		"Title":"` + title + `","Description":"what","Severity":{"Label":"HIGH"},"Types":["TTPs/Discovery/Recon"],"Resources":[{"Type":"AwsEc2Instance","Id":"` + resource + `","Region":"us-east-1"}` + more + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const keyOf = `,{"Type":"AwsIamAccessKey","Id":"AWS::IAM::AccessKey:AKIA","Details":{"AwsIamAccessKey":{"PrincipalId":"AROA1:session","PrincipalName":"ops"}}}`

func TestGroups(t *testing.T) {
	t.Parallel()
	report := func(account, resource, more string) casefile.Report {
		return casefile.FromFinding(envelope(), findingOf(t, "x", account, resource, more))
	}
	base := report("111122223333", "i-1", keyOf)
	for _, c := range []struct {
		by    []casefile.Attribute
		other casefile.Report
		same  bool
	}{
		{nil, report("111122223333", "i-1", ""), true},
		{nil, report("111122223333", "i-2", keyOf), false},
		{nil, report("222233334444", "i-1", keyOf), false},
		{[]casefile.Attribute{casefile.ByActor}, report("222233334444", "i-2", keyOf), true},
		{[]casefile.Attribute{casefile.ByActor}, report("111122223333", "i-1", ""), false},
		{[]casefile.Attribute{casefile.ByAccount}, report("111122223333", "i-9", ""), true},
		{[]casefile.Attribute{casefile.ByType}, report("222233334444", "i-9", ""), true},
		{[]casefile.Attribute{casefile.ByType}, report("not an account", "i-9", ""), false},
		{[]casefile.Attribute{casefile.ByType}, casefile.FromEvent(envelope()), false},
	} {
		tpl := casefile.Template{Name: "t", GroupBy: c.by}.Filled()
		if same := tpl.Group(base) == tpl.Group(c.other); same != c.same {
			t.Errorf("by %v: same %v, want %v\n%+v\n%+v", tpl.GroupBy, same, c.same, base, c.other)
		}
	}
	if a, b := (casefile.Template{Name: "a"}).Group(base), (casefile.Template{Name: "b"}).Group(base); a == b {
		t.Error("two templates share their cases")
	}
}

func TestTheActorIsThePrincipalElseTheAddress(t *testing.T) {
	t.Parallel()
	if got := casefile.FromFinding(envelope(), findingOf(t, "x", "111122223333", "i-1", keyOf)).Actor; got != "AROA1:session" {
		t.Errorf("actor %q", got)
	}
	f := findingOf(t, "x", "111122223333", "i-1", "").WithProductFields(map[string]string{
		"aws/guardduty/service/action/portProbeAction/portProbeDetails.1_/remoteIpDetails/ipAddressV4": "198.51.100.9",
		"aws/guardduty/service/action/portProbeAction/portProbeDetails.0_/remoteIpDetails/ipAddressV4": "198.51.100.1",
	})
	if got := casefile.FromFinding(envelope(), f).Actor; got != "198.51.100.1" {
		t.Errorf("actor %q", got)
	}
}

func TestACaseGrowsAndIsFull(t *testing.T) {
	t.Parallel()
	tpl := casefile.Template{Name: "t", Title: "Incident"}.Filled()
	first := casefile.FromFinding(envelope(), findingOf(t, strings.Repeat("long ", 100), "111122223333", "i-1", ""))
	first.Template, first.Rule = "t", "r"
	c := tpl.Open("1234567890", first, noon())
	if err := c.Validate(); err != nil || !strings.HasPrefix(c.Title, "Incident: long") || len([]rune(c.Title)) != casefile.MaxTitle || c.Severity != finding.High || c.Entries != 1 {
		t.Fatalf("%v %+v", err, c)
	}
	more := first
	more.Severity, more.Resources = finding.Critical, []string{"i-2"}
	if !c.Takes(more) {
		t.Fatal("it does not take its own")
	}
	c = tpl.Take(c, more, noon().Add(time.Minute))
	if c.Severity != finding.Critical || len(c.Resources) != 2 || len(c.Accounts) != 1 || c.Events != 2 {
		t.Errorf("%+v", c)
	}
	more.Severity = finding.Low
	if c = tpl.Take(c, more, noon()); c.Severity != finding.Critical {
		t.Errorf("severity fell to %s", c.Severity)
	}
	for name, change := range map[string]func(c *casefile.Case, r *casefile.Report){
		"closed":             func(c *casefile.Case, _ *casefile.Report) { c.Status = casefile.Closed },
		"full of events":     func(c *casefile.Case, _ *casefile.Report) { c.Events = casefile.MaxEvents },
		"full of entries":    func(c *casefile.Case, _ *casefile.Report) { c.Entries = casefile.MaxEntries },
		"of unknown account": func(_ *casefile.Case, r *casefile.Report) { r.Account = "" },
		"of all accounts":    func(c *casefile.Case, _ *casefile.Report) { c.Accounts = nil },
		"full of accounts": func(c *casefile.Case, r *casefile.Report) {
			c.Accounts, r.Account = make([]string, casefile.MaxAccounts), "555566667777"
		},
	} {
		one, r := c, more
		change(&one, &r)
		if one.Takes(r) {
			t.Errorf("%s: it takes another", name)
		}
	}
	fixed := casefile.Template{Name: "t", Severity: finding.Low}.Filled()
	if c := fixed.Take(fixed.Open("1234567890", first, noon()), more, noon()); c.Severity != finding.Low {
		t.Errorf("severity %s", c.Severity)
	}
}

// Whatever a finding says, the case that it opens is valid and holds nothing that steers
// a terminal.
func FuzzReport(f *testing.F) {
	f.Add(`{"Title":"a","AwsAccountId":"111122223333","Resources":[{"Id":"i-1","Type":"AwsIamAccessKey","Details":{"AwsIamAccessKey":{"PrincipalName":"x"}}}]}`, "t", "111122223333")
	f.Add(`{"Title":"\u001b[2J","Types":[""],"Resources":[{}],"Severity":{"Label":"x"}}`, "", "*")
	f.Add(`{"ProductFields":{"/remoteIpDetails/ipAddressV4":"\u202e"}}`, "\xff", "")
	f.Fuzz(func(t *testing.T, doc, detailType, account string) {
		e := envelope()
		e.DetailType, e.Account, e.Resources = detailType, account, []string{doc}
		reports := []casefile.Report{casefile.FromEvent(e)}
		if one, err := finding.Reopen([]byte(doc)); err == nil {
			reports = append(reports, casefile.FromFinding(e, one))
		}
		for _, r := range reports {
			tpl := casefile.Default()
			c := tpl.Open("1234567890", r, noon())
			if err := c.Validate(); err != nil {
				t.Fatalf("%v: %+v", err, c)
			}
			if c.Takes(r) {
				if err := tpl.Take(c, r, noon()).Validate(); err != nil {
					t.Fatal(err)
				}
			}
			if len(tpl.Group(r)) != 64 || len(r.Key()) != 64 {
				t.Fatal("a name is no digest")
			}
		}
	})
}
