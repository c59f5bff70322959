package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests ask for zones, wherever they run

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/schedule"
)

func parse(t *testing.T, expression, zone string) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(expression, zone)
	if err != nil {
		t.Fatalf("%s in %s: %v", expression, zone, err)
	}
	return s
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// next gives up to n times after one, as RFC 3339.
func next(s schedule.Schedule, after time.Time, n int) []string {
	var out []string
	for range n {
		t, ok := s.Next(after)
		if !ok {
			return append(out, "none")
		}
		out = append(out, t.Format(time.RFC3339))
		after = t
	}
	return out
}

// TestExamplesOfTheGuides has every expression of the two pages that doc.go names.
func TestExamplesOfTheGuides(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{ // from Saturday 2026-10-31 17:07
		"cron(0 10 * * ? *)":           "2026-11-01T10:00:00Z 2026-11-02T10:00:00Z",
		"cron(15 12 * * ? *)":          "2026-11-01T12:15:00Z 2026-11-02T12:15:00Z",
		"cron(0 18 ? * MON-FRI *)":     "2026-11-02T18:00:00Z 2026-11-03T18:00:00Z",
		"cron(0 8 1 * ? *)":            "2026-11-01T08:00:00Z 2026-12-01T08:00:00Z",
		"cron(0/15 * * * ? *)":         "2026-10-31T17:15:00Z 2026-10-31T17:30:00Z",
		"cron(0/10 * ? * MON-FRI *)":   "2026-11-02T00:00:00Z 2026-11-02T00:10:00Z",
		"cron(0/5 8-17 ? * MON-FRI *)": "2026-11-02T08:00:00Z 2026-11-02T08:05:00Z",
		// Monday from midnight to 2, and then from 20.
		"cron(0/30 20-2 ? * MON-FRI *)": "2026-11-02T00:00:00Z 2026-11-02T00:30:00Z 2026-11-02T01:00:00Z 2026-11-02T01:30:00Z " +
			"2026-11-02T02:00:00Z 2026-11-02T02:30:00Z 2026-11-02T20:00:00Z 2026-11-02T20:30:00Z",
		"cron(0 12 * * ? *)":             "2026-11-01T12:00:00Z",
		"cron(5,35 14 * * ? *)":          "2026-11-01T14:05:00Z 2026-11-01T14:35:00Z 2026-11-02T14:05:00Z",
		"cron(15 10 ? * 6L 2019-2022)":   "none",
		"cron(15 10 ? * 6L 2026-2027)":   "2026-11-27T10:15:00Z 2026-12-25T10:15:00Z 2027-01-29T10:15:00Z",
		"cron(1/10 10 ? * 3#2 *)":        "2026-11-10T10:01:00Z 2026-11-10T10:11:00Z 2026-11-10T10:21:00Z",
		"cron(0 0 3W * ? *)":             "2026-11-03T00:00:00Z 2026-12-03T00:00:00Z 2027-01-04T00:00:00Z 2027-02-03T00:00:00Z",
		"cron(0 0 1-15 JAN,FEB,MAR ? *)": "2027-01-01T00:00:00Z 2027-01-02T00:00:00Z",
		"rate(1 minute)":                 "2026-10-31T17:08:00Z 2026-10-31T17:09:00Z",
		"rate(5 minutes)":                "2026-10-31T17:10:00Z",
		"rate(1 hour)":                   "2026-10-31T18:00:00Z",
		"rate(1 day)":                    "2026-11-01T00:00:00Z",
	} {
		s, err := schedule.ParseRule(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		if diff := cmp.Diff(strings.Fields(want), next(s, at(t, "2026-10-31T17:07:00Z"), len(strings.Fields(want)))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", expression, diff)
		}
	}
}

func TestCron(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{ // from Friday 2027-01-01 00:00
		"cron(0 0 L * ? *)":           "2027-01-31T00:00:00Z 2027-02-28T00:00:00Z 2027-03-31T00:00:00Z",
		"cron(0 0 LW * ? *)":          "2027-01-29T00:00:00Z 2027-02-26T00:00:00Z",
		"cron(0 0 1W MAY ? *)":        "2027-05-03T00:00:00Z 2028-05-01T00:00:00Z", // 2027-05-01 is a Saturday
		"cron(0 0 31W * ? *)":         "2027-01-29T00:00:00Z 2027-03-31T00:00:00Z 2027-05-31T00:00:00Z",
		"cron(0 0 29 2 ? *)":          "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z",
		"cron(0 0 29 2 ? 2096/4)":     "2096-02-29T00:00:00Z 2104-02-29T00:00:00Z", // 2100 has none
		"cron(0 0 31 2 ? *)":          "none",
		"cron(0 0 30 2,4 ? *)":        "2027-04-30T00:00:00Z 2028-04-30T00:00:00Z",
		"cron(0 0 ? * L *)":           "2027-01-02T00:00:00Z 2027-01-09T00:00:00Z",
		"cron(0 0 ? * 1 *)":           "2027-01-03T00:00:00Z",
		"cron(0 0 ? * SAT *)":         "2027-01-02T00:00:00Z",
		"cron(0 0 ? * fri-mon *)":     "2027-01-02T00:00:00Z 2027-01-03T00:00:00Z 2027-01-04T00:00:00Z 2027-01-08T00:00:00Z",
		"cron(0 0 ? * 2,1L *)":        "2027-01-04T00:00:00Z 2027-01-11T00:00:00Z 2027-01-18T00:00:00Z 2027-01-25T00:00:00Z 2027-01-31T00:00:00Z",
		"cron(0 0 ? * FRI#5 *)":       "2027-01-29T00:00:00Z 2027-04-30T00:00:00Z",
		"cron(0 0 1 NOV-FEB ? *)":     "2027-02-01T00:00:00Z 2027-11-01T00:00:00Z 2027-12-01T00:00:00Z",
		"cron(0 22-4/3 1 1 ? *)":      "2027-01-01T01:00:00Z 2027-01-01T04:00:00Z 2027-01-01T22:00:00Z",
		"cron(58-1 0 * * ? *)":        "2027-01-01T00:01:00Z 2027-01-01T00:58:00Z 2027-01-01T00:59:00Z 2027-01-02T00:00:00Z",
		"cron(0 0 30-2 * ? *)":        "2027-01-02T00:00:00Z 2027-01-30T00:00:00Z 2027-01-31T00:00:00Z 2027-02-01T00:00:00Z 2027-02-02T00:00:00Z 2027-03-01T00:00:00Z",
		"cron( 0\t0  */10 * ? 2199 )": "2199-01-01T00:00:00Z 2199-01-11T00:00:00Z",
		"cron(59 23 31 12 ? 2199)":    "2199-12-31T23:59:00Z none",
		"cron(0 0 * * ? 1970-2026)":   "none",
		"cron(0 0 1,L * ? *)":         "2027-01-31T00:00:00Z 2027-02-01T00:00:00Z 2027-02-28T00:00:00Z",
		"cron(30 5 1 JAN ?)":          "2027-01-01T05:30:00Z 2028-01-01T05:30:00Z",
	} {
		s := parse(t, expression, "")
		if diff := cmp.Diff(strings.Fields(want), next(s, at(t, "2027-01-01T00:00:00Z"), len(strings.Fields(want)))); diff != "" {
			t.Errorf("%s (-want +got)\n%s", expression, diff)
		}
		if s.String() != expression || s.Zone() != "UTC" {
			t.Errorf("%s is shown as %s in %s", expression, s, s.Zone())
		}
	}
}

// TestDaylightSaving has the guide's example, and what follows from it.
func TestDaylightSaving(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, zone, after, want string }{
		// Los Angeles: forward on 2026-03-08 at 2:00 (10:00Z), back on 2026-11-01 at 2:00 (09:00Z).
		{"cron(30 2 * * ? *)", "America/Los_Angeles", "2026-03-07T00:00:00Z", "2026-03-07T10:30:00Z 2026-03-09T09:30:00Z"},
		{"cron(30 1 * * ? *)", "America/Los_Angeles", "2026-10-31T12:00:00Z", "2026-11-01T08:30:00Z 2026-11-02T09:30:00Z"},
		// Asked between the two 1:30, and in the hour that is repeated.
		{"cron(30 1 * * ? *)", "America/Los_Angeles", "2026-11-01T08:45:00Z", "2026-11-02T09:30:00Z"},
		{"cron(0/15 * * * ? *)", "America/Los_Angeles", "2026-11-01T08:30:00Z", "2026-11-01T08:45:00Z 2026-11-01T10:00:00Z"},
		{"cron(0/30 * * * ? *)", "America/Los_Angeles", "2026-03-08T09:00:00Z", "2026-03-08T09:30:00Z 2026-03-08T10:00:00Z"},
		{"cron(0 0 * * ? *)", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-08T05:00:00Z 2026-03-09T04:00:00Z"},
		// Three hours earlier on the east coast.
		{"cron(30 2 * * ? *)", "America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T06:30:00Z"},
		// Half an hour: 2:00 to 2:30 on 2026-10-04, back on 2027-04-04.
		{"cron(15 2 * * ? *)", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", "2026-10-04T15:15:00Z"},
		{"cron(45 1 * * ? *)", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", "2027-04-03T14:45:00Z 2027-04-04T15:15:00Z"},
		// Samoa left out the 30th of December 2011; midnight is skipped in Beirut, and twice in Havana.
		{"cron(0 12 30 * ? *)", "Pacific/Apia", "2011-12-01T00:00:00Z", "2012-01-29T22:00:00Z"},
		{"cron(0 0 * * ? *)", "Asia/Beirut", "2026-03-27T23:00:00Z", "2026-03-29T21:00:00Z"},
		{"cron(30 0 1 11 ? 2026)", "America/Havana", "2026-10-01T00:00:00Z", "2026-11-01T04:30:00Z none"},
		// The rule of the zone's future, beyond what its table holds.
		{"cron(30 2 ? 3 1#2 2150)", "America/Los_Angeles", "2026-10-01T00:00:00Z", "none"},
		{"at(2022-11-20T13:00:00)", "America/Los_Angeles", "2022-11-01T00:00:00Z", "2022-11-20T21:00:00Z none"},
		{"at(2026-11-01T01:30:00)", "America/Los_Angeles", "2022-11-01T00:00:00Z", "2026-11-01T08:30:00Z none"},
		// A day of a rate has 24 hours, whatever the clocks do.
		{"rate(1 days)", "America/Los_Angeles", "2026-03-07T00:00:00Z", "2026-03-08T00:00:00Z 2026-03-09T00:00:00Z"},
	} {
		if diff := cmp.Diff(strings.Fields(c.want), next(parse(t, c.expression, c.zone), at(t, c.after), len(strings.Fields(c.want)))); diff != "" {
			t.Errorf("%s in %s after %s (-want +got)\n%s", c.expression, c.zone, c.after, diff)
		}
	}
}

func TestBetween(t *testing.T) {
	t.Parallel()
	start, end := at(t, "2026-05-01T10:00:30Z"), at(t, "2026-05-01T10:10:30Z")
	for _, c := range []struct {
		expression string
		end        time.Time
		after      string
		want       string
	}{
		{"rate(5 minutes)", time.Time{}, "2026-05-01T10:00:30Z", "2026-05-01T10:05:30Z 2026-05-01T10:10:30Z 2026-05-01T10:15:30Z"},
		// Scheduler's start date is itself the first time.
		{"rate(5 minutes)", end, "2026-05-01T09:00:00Z", "2026-05-01T10:00:30Z 2026-05-01T10:05:30Z 2026-05-01T10:10:30Z none"},
		{"rate(5 minutes)", end, "2026-05-01T10:07:00Z", "2026-05-01T10:10:30Z none"},
		{"cron(0/4 * * * ? *)", end, "2026-05-01T09:00:00Z", "2026-05-01T10:04:00Z 2026-05-01T10:08:00Z none"},
		{"cron(0/4 * * * ? *)", start, "2026-05-01T09:00:00Z", "none"},
		// One time alone is not held to a window.
		{"at(2020-01-01T00:00:00)", end, "2019-05-01T09:00:00Z", "2020-01-01T00:00:00Z none"},
	} {
		s := parse(t, c.expression, "UTC").Between(start, c.end)
		if diff := cmp.Diff(strings.Fields(c.want), next(s, at(t, c.after), len(strings.Fields(c.want)))); diff != "" {
			t.Errorf("%s to %s after %s (-want +got)\n%s", c.expression, c.end, c.after, diff)
		}
	}
	// A rule that was made at 10:00:30 runs 5 minutes later for the first time, whenever
	// that is asked.
	rule, err := schedule.ParseRule("rate(5 minutes)")
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []string{"2026-05-01T10:00:30Z", "2026-05-01T10:00:29Z", "2020-01-01T00:00:00Z"} {
		if diff := cmp.Diff([]string{"2026-05-01T10:05:30Z", "2026-05-01T10:10:30Z"}, next(rule.Between(start, time.Time{}), at(t, after), 2)); diff != "" {
			t.Errorf("a rule after %s (-want +got)\n%s", after, diff)
		}
	}
	// A start on the minute is due itself.
	on := at(t, "2026-05-01T10:00:00Z")
	if got, _ := parse(t, "cron(0 10 * * ? *)", "").Between(on, on).Next(at(t, "2026-01-01T00:00:00Z")); !got.Equal(on) {
		t.Errorf("first due at %v", got)
	}
	if got, ok := (schedule.Schedule{}).Next(on); ok {
		t.Errorf("the zero schedule is due at %v", got)
	}
	far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, e := range []string{"rate(36500 days)", "cron(* * * * ? *)"} {
		if got, ok := parse(t, e, "").Next(far); ok {
			t.Errorf("%s is due at %v", e, got)
		}
		if got := next(parse(t, e, ""), time.Time{}, 1); !strings.HasPrefix(got[0], "1970-01-01T00:00:00Z") {
			t.Errorf("%s is first due at %v", e, got)
		}
	}
}

func TestErrorsNameFieldAndFix(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, zone, text, hint string }{
		{"", "", "none of rate(...), cron(...) and at(...)", "rate(5 minutes)"},
		{"cron(0 10 * * ? *", "", "none of", "cron(0 10 * * ? *)"},
		{"CRON(0 10 * * ? *)", "", "none of", ""},
		{strings.Repeat("x", 257), "", "257 characters", ""},
		{"cron(0 10 * *)", "", "4 fields instead of 6", "day of week and year"},
		{"cron(0 10 * * * *)", "", "has to be ?, the other not", "cron(0 10 ? * MON-FRI *)"},
		{"cron(0 10 ? * ? *)", "", "has to be ?", ""},
		{"cron(60 10 * * ? *)", "", `the minutes "60": 60 is not from 0 to 59`, "minutes takes 0 to 59, with , - * /"},
		{"cron(0 24 * * ? *)", "", `the hours "24"`, "0 to 23"},
		{"cron(0 0 0 * ? *)", "", `the day-of-month "0"`, "1 to 31"},
		{"cron(0 0 1 13 ? *)", "", `the month "13"`, "1 to 12 or JAN to DEC"},
		{"cron(0 0 ? * 0 *)", "", `the day-of-week "0"`, "1 to 7 or SUN to SAT"},
		{"cron(0 0 ? * MON-SAX *)", "", `the day-of-week "MON-SAX": "SAX" is no value`, "SUN to SAT"},
		{"cron(0 0 1 1 ? 1969)", "", `the year "1969"`, "1970 to 2199"},
		{"cron(0 0 1 1 ? 2200)", "", `the year "2200"`, ""},
		{"cron(0 0 1 1 ? 2030-2026)", "", "ends before it begins", ""},
		{"cron(0/0 0 * * ? *)", "", `the step "0" is not a number from 1 to 59`, ""},
		{"cron(0/90 0 * * ? *)", "", `the step "90"`, ""},
		{"cron(0/ 0 * * ? *)", "", `the step ""`, ""},
		{"cron(+5 0 * * ? *)", "", `"+5" is no value`, ""},
		{"cron(1,,2 0 * * ? *)", "", `"" is no value`, ""},
		{"cron(1-2-3 0 * * ? *)", "", `"2-3" is no value`, ""},
		{"cron(? 0 * * ? *)", "", "? stands alone, and for the days only", ""},
		{"cron(0 0 ?,1 * ? *)", "", `the day-of-month "?": ? stands alone`, ""},
		{"cron(0 0 ?,1 * MON *)", "", "has to be ?", ""},
		{"cron(0 0 L-3 * ? *)", "", "L stands alone or before W", ""},
		{"cron(0 0 W * ? *)", "", `"" is no value`, ""},
		{"cron(0 0 MON * ? *)", "", `"MON" is no value`, ""},
		{"cron(0 0 ? * 3#1,6#3 *)", "", "with # there is one expression", ""},
		{"cron(0 0 ? * 3#6 *)", "", "a number from 1 to 5", ""},
		{"cron(0 0 ? * 2W *)", "", `"2W" is no value`, ""},
		{"rate(5)", "", "does not have a value and a unit", "rate(5 minutes)"},
		{"rate(0 minutes)", "", `the value "0"`, ""},
		{"rate(-1 minutes)", "", "not a positive whole number", ""},
		{"rate(1.5 hours)", "", "not a positive whole number", ""},
		{"rate(30 seconds)", "", `the unit "seconds"`, "a week is rate(7 days)"},
		{"rate(36501 days)", "", "longer than 100 years", ""},
		{"at(2026-02-30T00:00:00)", "", "is not a date and time", "at(yyyy-mm-ddThh:mm:ss)"},
		{"at(2026-02-20T00:00:00Z)", "", "is not a date and time", ""},
		{"at(2026-02-20T00:00:00.5)", "", "is not a date and time", ""},
		{"at(2200-02-20T00:00:00)", "", "is not a date and time", ""},
		{"at(2026-03-08T02:30:00)", "America/Los_Angeles", "the clocks of America/Los_Angeles skip that time", "before or after"},
		{"rate(1 day)", "Mars/Olympus", `no time zone "Mars/Olympus"`, "Europe/Zurich"},
		{"rate(1 day)", "Local", `no time zone "Local"`, ""},
		{"rate(1 day)", "../../etc/passwd", "no time zone", ""},
		{"rate(1 day)", strings.Repeat("a", 51), "no time zone", ""},
	} {
		_, err := schedule.Parse(c.expression, c.zone)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.HintOf(err), c.hint) {
			t.Errorf("%s in %q: %v (hint %q)", c.expression, c.zone, err, fault.HintOf(err))
		}
	}
}

func TestRulesAreStricter(t *testing.T) {
	t.Parallel()
	for expression, hint := range map[string]string{
		"rate(1 hours)":    "write rate(1 hour)",
		"rate(5 hour)":     "write rate(5 hours)",
		"cron(0 10 * * ?)": "the fields are",
	} {
		parse(t, expression, "")
		if _, err := schedule.ParseRule(expression); !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("%s: %v (hint %q)", expression, err, fault.HintOf(err))
		}
	}
}

// TestRulesTakeMore: what EventBridge leaves to Scheduler, its rules do not have.
func TestRulesTakeMore(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		"at(2026-12-24T14:30:00)":               "2026-12-24T14:30:00Z",
		"at(2026-12-24T14:30:00) Europe/Zurich": "2026-12-24T13:30:00Z",
		"cron(0 9 ? * MON-FRI *) Europe/Zurich": "2026-11-02T08:00:00Z",
		"cron(0 9 ? * MON-FRI *) UTC":           "2026-11-02T09:00:00Z",
		"cron(30 1 1 11 ? *) America/New_York":  "2026-11-01T05:30:00Z", // the first of two
		"cron(0 9 ? * MON-FRI *)":               "2026-11-02T09:00:00Z",
		"rate(1 day) Europe/Zurich":             "2026-11-02T00:00:00Z",
	} {
		s, err := schedule.ParseRule(expression)
		if err != nil || s.String() != expression {
			t.Errorf("%s: %q, %v", expression, s, err)
			continue
		}
		if got, ok := s.Next(at(t, "2026-11-01T00:00:00Z")); !ok || got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v, want %s", expression, got, ok, want)
		}
	}
	for expression, words := range map[string]string{
		"at(2026-12-24T14:30:00) Zurich":         "no time zone",
		"at(2026-12-24T14:30:00) Local":          "no time zone",
		"at(2026-12-24T14:30:00)Europe/Zurich":   "is none of",
		"at(2026-12-24T14:30:00) ../x":           "no time zone",
		"at(2026-03-29T02:30:00) Europe/Zurich":  "skip that time",
		"at(tomorrow)":                           "not a date and time",
		"cron(0 9 ? * MON-FRI *) Europe/Zurich)": "no time zone",
	} {
		if _, err := schedule.ParseRule(expression); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", expression, err)
		}
	}
}
