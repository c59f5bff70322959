package triage_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/triage"
)

var scored = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// scoredDoc is a finding of severity HIGH, made a day ago, with more members.
func scoredDoc(t *testing.T, more map[string]any) finding.Finding {
	t.Helper()
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": "f-1", "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub", "GeneratorId": "g",
		"AwsAccountId": "111122223333", "Title": "t", "Description": "d", "Types": []any{"Software and Configuration Checks"},
		"CreatedAt": finding.FormatTime(scored.Add(-24 * time.Hour)), "UpdatedAt": finding.FormatTime(scored.Add(-24 * time.Hour)),
		"Severity":  map[string]any{"Label": "HIGH"},
		"Resources": []any{map[string]any{"Type": "AwsEc2Instance", "Id": "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"}},
	}
	maps.Copy(doc, more)
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	f, err := finding.Reopen(raw)
	if err != nil {
		t.Fatal(err)
	}
	return finding.Create(f)
}

func resource(typ string, details map[string]any, tags map[string]any) []any {
	return []any{map[string]any{"Type": typ, "Id": "r", "Tags": tags, "Details": map[string]any{typ: details}}}
}

func scorer(t *testing.T, p triage.Priority) *triage.Scorer {
	t.Helper()
	s, err := triage.NewScorer(p, func(id string) (org.Account, bool) {
		return org.Account{ID: id, Unit: "prod/payments", Tags: map[string]string{"tier": "one"}}, id == "111122223333"
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func shownScore(s triage.Score) string {
	parts := make([]string, len(s.Reasons))
	for i, r := range s.Reasons {
		parts[i] = fmt.Sprintf("%+d %s", r.Points, r.Text)
	}
	return fmt.Sprintf("%d: %s", s.Value, strings.Join(parts, "; "))
}

func TestScore(t *testing.T) {
	t.Parallel()
	old := map[string]any{"CreatedAt": finding.FormatTime(scored.AddDate(0, 0, -40))}
	assets := triage.Priority{Assets: []triage.Asset{
		{Name: "crown jewels", Tags: map[string]string{"data": "pii"}, Points: 20},
		{Name: "payments", Units: []string{"prod/payments"}, Accounts: []string{"111122223333"}, Tags: map[string]string{"tier": "one"}, Points: 7},
		{Name: "production", Units: []string{"prod"}, Points: 5},
	}}
	for name, c := range map[string]struct {
		p      triage.Priority
		doc    map[string]any
		threat bool
		want   string
	}{
		"severity alone": {want: "70: +70 severity HIGH"},
		"criticality":    {doc: map[string]any{"Criticality": 100}, want: "80: +70 severity HIGH; +10 criticality 100"},
		"archived":       {doc: map[string]any{"RecordState": "ARCHIVED"}, threat: true, want: "0: +0 archived by its provider"},
		"suppressed":     {doc: map[string]any{"Workflow": map[string]any{"Status": "SUPPRESSED"}}, want: "0: +0 workflow status SUPPRESSED"},
		"passes":         {doc: map[string]any{"Compliance": map[string]any{"Status": "PASSED"}, "Workflow": map[string]any{"Status": "NEW"}}, want: "0: +0 the check passes"},
		"overdue":        {doc: old, want: "80: +70 severity HIGH; +10 overdue since 2026-11-19"},
		"no deadline":    {p: triage.Priority{Deadlines: map[string]int{"high": 0}}, doc: old, want: "70: +70 severity HIGH"},
		"a threat there": {threat: true, want: "90: +70 severity HIGH; +20 an active threat was seen on the resource"},
		"the threat":     {doc: map[string]any{"Types": []any{"TTPs/Initial Access"}}, threat: true, want: "70: +70 severity HIGH"},
		"public database": {
			doc:  map[string]any{"Resources": resource("AwsRdsDbInstance", map[string]any{"PubliclyAccessible": true}, nil)},
			want: "85: +70 severity HIGH; +15 the database is publicly accessible",
		},
		"private database": {doc: map[string]any{"Resources": resource("AwsRdsDbInstance", map[string]any{"PubliclyAccessible": false}, nil)}, want: "70: +70 severity HIGH"},
		"public address": {
			doc:  map[string]any{"Resources": resource("AwsEc2Instance", map[string]any{"IpV4Addresses": []any{"10.0.0.1", "198.51.100.7"}}, nil)},
			want: "85: +70 severity HIGH; +15 the resource has the public address 198.51.100.7",
		},
		"private address": {doc: map[string]any{"Resources": resource("AwsEc2Instance", map[string]any{"IpV4Addresses": []any{"10.0.0.1", "no address"}}, nil)}, want: "70: +70 severity HIGH"},
		"open group": {
			doc: map[string]any{"Resources": resource("AwsEc2SecurityGroup", map[string]any{
				"IpPermissions": []any{map[string]any{"IpRanges": []any{map[string]any{"CidrIp": "10.0.0.0/8"}, map[string]any{"CidrIp": "0.0.0.0/0"}}}},
			}, nil)},
			want: "85: +70 severity HIGH; +15 the security group is open to all",
		},
		"known exploited": {
			doc:  map[string]any{"Vulnerabilities": []any{map[string]any{"Id": "CVE-1", "EpssScore": 0.9, "ExploitAvailable": "YES", "LastKnownExploitAt": "2026-01-01T00:00:00Z"}}},
			want: "90: +70 severity HIGH; +20 the weakness is known to be exploited",
		},
		"exploit": {doc: map[string]any{"Vulnerabilities": []any{map[string]any{"ExploitAvailable": "YES"}}}, want: "80: +70 severity HIGH; +10 an exploit is available"},
		"EPSS":    {doc: map[string]any{"Vulnerabilities": []any{map[string]any{"EpssScore": 0.1}, map[string]any{"EpssScore": 0.97}}}, want: "84: +70 severity HIGH; +14 EPSS 0.97"},
		"EPSS past all bounds": {
			doc:  map[string]any{"Vulnerabilities": []any{map[string]any{"EpssScore": json.Number("1e300")}}},
			want: "85: +70 severity HIGH; +15 EPSS 1.00",
		},
		"by tag of the resource": {p: assets, doc: map[string]any{"Resources": resource("AwsS3Bucket", nil, map[string]any{"data": "pii"})}, want: "90: +70 severity HIGH; +20 asset: crown jewels"},
		"by unit and account":    {p: assets, want: "77: +70 severity HIGH; +7 asset: payments"},
		"another account":        {p: assets, doc: map[string]any{"AwsAccountId": "444455556666"}, want: "70: +70 severity HIGH"},
		"left out":               {p: triage.Priority{Overdue: -1}, doc: old, want: "70: +70 severity HIGH"},
		"no more than 100": {
			p: triage.Priority{Threat: 100}, threat: true, doc: old,
			want: "100: +70 severity HIGH; +100 an active threat was seen on the resource; +10 overdue since 2026-11-19",
		},
		"no less than 0": {p: triage.Priority{Assets: []triage.Asset{{Name: "sandbox", Points: -100}}}, want: "0: +70 severity HIGH; -100 asset: sandbox"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, shownScore(scorer(t, c.p).Score(scoredDoc(t, c.doc), c.threat, scored))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestIsThreat tells what happened from what could.
func TestIsThreat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		more map[string]any
		want bool
	}{
		"a check":              {nil, false},
		"tactics":              {map[string]any{"Types": []any{"Software and Configuration Checks", "TTPs/Discovery/Recon:EC2-Portscan"}}, true},
		"unusual behaviors":    {map[string]any{"Types": []any{"Unusual Behaviors/User"}}, true},
		"closed by somebody":   {map[string]any{"Types": []any{"TTPs/Discovery"}, "Workflow": map[string]any{"Status": "RESOLVED"}}, false},
		"of a like-named type": {map[string]any{"Types": []any{"TTPsuspect/x"}}, false},
		"a control's effects": {map[string]any{
			"Types": []any{"Effects/Data Exposure/AWS-Foundational-Security-Best-Practices"}, "Compliance": map[string]any{"Status": "FAILED"},
		}, false},
	} {
		if got := triage.IsThreat(scoredDoc(t, c.more)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestDeadline holds when a finding is due and from when it is overdue.
func TestDeadline(t *testing.T) {
	t.Parallel()
	f := scoredDoc(t, nil)
	due := scored.Add(-24*time.Hour).AddDate(0, 0, 30)
	for at, overdue := range map[time.Time]bool{scored: false, due.Add(-time.Second): false, due: true} {
		got := scorer(t, triage.Priority{}).Score(f, false, at)
		if !got.DueAt.Equal(due) || got.Overdue != overdue {
			t.Errorf("at %s: due %s, overdue %v", at, got.DueAt, got.Overdue)
		}
	}
	if got := scorer(t, triage.Priority{}).Score(scoredDoc(t, map[string]any{"RecordState": "ARCHIVED"}), false, due); !got.DueAt.IsZero() || got.Overdue {
		t.Errorf("an archived finding is due: %+v", got)
	}
}

func TestPriorityIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		p    triage.Priority
		want string
	}{
		"points":   {triage.Priority{Threat: 101}, "priority.threat is 101"},
		"negative": {triage.Priority{Exposed: -2}, "priority.exposed is -2"},
		"severity": {triage.Priority{Deadlines: map[string]int{"HIGH": 1}}, `the severity "HIGH"`},
		"days":     {triage.Priority{Deadlines: map[string]int{"high": -1}}, "priority.deadlines.high is -1"},
		"nameless": {triage.Priority{Assets: []triage.Asset{{Points: 1}}}, "priority.assets[0] has no name"},
		"asset":    {triage.Priority{Assets: []triage.Asset{{Name: "a", Points: 101}}}, "priority.assets[0].points is 101"},
		"many":     {triage.Priority{Assets: make([]triage.Asset, 201)}, "201 entries"},
	} {
		if _, err := triage.NewScorer(c.p, nil); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheExamplesOfThePageAreRight scores the examples of docs/priority.md.
func TestTheExamplesOfThePageAreRight(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "priority.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```\n+```text\n(.*?)\n```").FindAllSubmatch(page, -1)
	if len(examples) < 3 {
		t.Fatalf("the page has %d examples", len(examples))
	}
	for _, e := range examples {
		var more map[string]any
		if err := json.Unmarshal(e[1], &more); err != nil {
			t.Fatalf("%s: %v", e[1], err)
		}
		threat, _ := more["threat"].(bool)
		delete(more, "threat")
		if diff := cmp.Diff(string(e[2]), shownScore(scorer(t, triage.Priority{}).Score(scoredDoc(t, more), threat, scored))); diff != "" {
			t.Errorf("%s%s", e[1], diff)
		}
	}
}
