package cli

import (
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/remediation"
)

// TestPlansThatAreAlikeSaySo in the report of parry try, as text and as a page.
func TestPlansThatAreAlikeSaySo(t *testing.T) {
	t.Parallel()
	for want, c := range map[string][3]int{
		"The same changes as plan 2 (S3.2)":                   {3, 3, 3},
		"All its changes are among those of plan 2 (S3.2)":    {3, 3, 4},
		"2 of its 3 changes are all that plan 2 (S3.2) makes": {2, 3, 2},
		"1 of its 3 changes are also made by plan 2 (S3.2)":   {1, 3, 2},
	} {
		if got := alikeText(c[0], c[1], c[2], "plan 2 (S3.2)"); got != want {
			t.Errorf("%v: %q", c, got)
		}
	}
	p := app.TrialPlan{Number: 1, Plan: remediation.Plan{Control: "S3.8", Calls: []remediation.PlannedCall{{
		Class: "change", Service: "s3", Operation: "PutBucketAcl",
		Diff: []remediation.MemberChange{{Path: "Policy", Before: `{"Sid":"` + strings.Repeat("long", 100) + `<b>"}`}},
	}}}, Alike: []app.TrialAlike{{Number: 2, Control: "S3.2", Shared: 1, Changes: 1}}}
	page, err := tryPage(app.TrialReport{Accounts: []string{"111122223333"}, Regions: []string{"us-east-1"}, Plans: []app.TrialPlan{p}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The same changes as plan 2 (S3.2): carry out one of the two", "<details><summary>", strings.Repeat("long", 100) + "&lt;b&gt;"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
