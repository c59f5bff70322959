package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/schedule"
)

// naive is a cron expression made at random: its text, and what it means as one question
// for each field of a time. It shares nothing with the package.
type naive struct {
	text  string
	holds []func(time.Time) bool
}

func (n *naive) due(t time.Time) bool {
	for _, h := range n.holds {
		if !h(t) {
			return false
		}
	}
	return true
}

// number makes a field of numbers from low to high: a list of values, ranges and steps.
func number(r *rand.Rand, low, high int, names []string, wraps bool) (string, func(int) bool) {
	size := high - low + 1
	word := func(v int) string {
		if names != nil && r.IntN(2) == 0 {
			return names[v-low]
		}
		return strconv.Itoa(v)
	}
	var texts []string
	holds := map[int]bool{}
	for range 1 + r.IntN(3) {
		from, to, step := low+r.IntN(size), low+r.IntN(size), 1+r.IntN(min(size, 7))
		if !wraps && to < from {
			from, to = to, from
		}
		var text string
		switch r.IntN(5) {
		case 0:
			text, from, to, step = "*", low, high, 1
		case 1:
			text, to, step = word(from), from, 1
		case 2:
			text, step = word(from)+"-"+word(to), 1
		case 3:
			text, to = fmt.Sprintf("%s/%d", word(from), step), high
		default:
			text = fmt.Sprintf("%s-%s/%d", word(from), word(to), step)
		}
		texts = append(texts, text)
		for v, left := from, 0; ; v, left = v+1, (left+1)%step {
			at := v
			if at > high {
				at -= size
			}
			if left == 0 {
				holds[at] = true
			}
			if at == to {
				break
			}
		}
	}
	return strings.Join(texts, ","), func(v int) bool { return holds[v] }
}

func newNaive(r *rand.Rand) *naive {
	n := &naive{}
	minutes, inMinutes := number(r, 0, 59, nil, true)
	hours, inHours := number(r, 0, 23, nil, true)
	months, inMonths := number(r, 1, 12, strings.Fields("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"), true)
	years, inYears := number(r, 2020, 2030, nil, false)
	if strings.Contains(years, "*") || strings.Contains(years, "/") {
		years, inYears = "*", func(int) bool { return true }
	}
	n.holds = append(n.holds,
		func(t time.Time) bool { return inMinutes(t.Minute()) },
		func(t time.Time) bool { return inHours(t.Hour()) },
		func(t time.Time) bool { return inMonths(int(t.Month())) },
		func(t time.Time) bool { return inYears(t.Year()) })
	day, weekday := "?", "?"
	if r.IntN(2) == 0 {
		day = n.days(r)
	} else {
		weekday = n.weekdays(r)
	}
	n.text = fmt.Sprintf("cron(%s %s %s %s %s %s)", minutes, hours, day, months, weekday, years)
	return n
}

func (n *naive) days(r *rand.Rand) string {
	k := 1 + r.IntN(31)
	tomorrow := func(t time.Time) time.Time { return t.AddDate(0, 0, 1) }
	weekend := func(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }
	text, in := number(r, 1, 31, nil, true)
	hold := func(t time.Time) bool { return in(t.Day()) }
	switch r.IntN(5) {
	case 0:
		text, hold = "L", func(t time.Time) bool { return tomorrow(t).Day() == 1 }
	case 1:
		text, hold = "LW", func(t time.Time) bool {
			for d := tomorrow(t); d.Month() == t.Month(); d = tomorrow(d) {
				if !weekend(d) {
					return false
				}
			}
			return !weekend(t)
		}
	case 2:
		text, hold = strconv.Itoa(k)+"W", func(t time.Time) bool {
			// Of all weekdays of the month this is the one with the least distance, where
			// the kth exists.
			if day := time.Date(t.Year(), t.Month(), k, 0, 0, 0, 0, time.UTC); weekend(t) || day.Month() != t.Month() {
				return false
			}
			for other := 1; other <= 31; other++ {
				d := time.Date(t.Year(), t.Month(), other, 0, 0, 0, 0, time.UTC)
				if d.Month() == t.Month() && !weekend(d) && abs(other-k) < abs(t.Day()-k) {
					return false
				}
			}
			return true
		}
	}
	n.holds = append(n.holds, hold)
	return text
}

func (n *naive) weekdays(r *rand.Rand) string {
	k, nth := r.IntN(7), 1+r.IntN(5)
	names := strings.Fields("SUN MON TUE WED THU FRI SAT")
	text, in := number(r, 1, 7, names, true)
	hold := func(t time.Time) bool { return in(int(t.Weekday()) + 1) }
	switch r.IntN(4) {
	case 0:
		text, hold = names[k]+"L", func(t time.Time) bool {
			return int(t.Weekday()) == k && t.AddDate(0, 0, 7).Month() != t.Month()
		}
	case 1:
		text, hold = fmt.Sprintf("%d#%d", k+1, nth), func(t time.Time) bool {
			return int(t.Weekday()) == k && t.AddDate(0, 0, -7*(nth-1)).Month() == t.Month() && t.AddDate(0, 0, -7*nth).Month() != t.Month()
		}
	}
	n.holds = append(n.holds, hold)
	return text
}

func abs(n int) int { return max(n, -n) }

// againstNaive asks at every minute from begin whether it is due, and holds Next to it.
func againstNaive(t *testing.T, n *naive, zone string, begin time.Time, minutes int) {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	s, err := schedule.Parse(n.text, zone)
	if err != nil {
		t.Fatal(err)
	}
	begin = begin.Truncate(time.Minute)
	shown := map[time.Time]bool{} // by the clocks, of the day before and since
	show := func(at time.Time) (clock time.Time, again bool) {
		at = at.In(loc)
		clock = time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
		again = shown[clock]
		shown[clock] = true
		return clock, again
	}
	for i := -26 * 60; i <= 0; i++ {
		show(begin.Add(time.Duration(i) * time.Minute))
	}
	after := begin
	for i := 1; i <= minutes; i++ {
		at := begin.Add(time.Duration(i) * time.Minute)
		if clock, again := show(at); again || !n.due(clock) {
			continue
		}
		if got, ok := s.Next(after); !ok || !got.Equal(at) {
			t.Fatalf("%s in %s after %v: %v, %v; minute by minute it is %v", n.text, zone, after, got, ok, at)
		}
		after = at
	}
	if got, ok := s.Next(after); ok && !got.After(begin.Add(time.Duration(minutes)*time.Minute)) {
		t.Fatalf("%s in %s after %v: %v, which is not due", n.text, zone, after, got)
	}
}

func zones() []string {
	return []string{"UTC", "America/Los_Angeles", "Europe/Zurich", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata", "Africa/Casablanca"}
}

// changes are times shortly before the clocks change somewhere in zones.
func changes() []time.Time {
	out := []time.Time{}
	for _, day := range []string{"2026-03-05", "2026-03-27", "2026-10-02", "2026-10-23", "2026-10-30", "2027-02-26", "2027-04-02"} {
		t, err := time.Parse(time.DateOnly, day)
		if err != nil {
			panic(err)
		}
		out = append(out, t)
	}
	return out
}

func TestAgreesWithEveryMinute(t *testing.T) {
	t.Parallel()
	expressions := 300
	if testing.Short() {
		expressions = 40
	}
	for seed := range uint64(expressions) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := newNaive(r)
		begin := changes()[r.IntN(len(changes()))].Add(time.Duration(r.IntN(3*24*60)) * time.Minute)
		againstNaive(t, n, zones()[r.IntN(len(zones()))], begin, 6*24*60)
	}
}

// TestAgreesByTheDay looks at years, so that months and days of every shape come by.
func TestAgreesByTheDay(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		n := newNaive(rand.New(rand.NewPCG(seed, 2)))
		fields := strings.Fields(n.text)
		fields[0], fields[1] = "cron(0", "0"
		s, err := schedule.ParseRule(strings.Join(fields, " "))
		if err != nil {
			t.Fatal(err)
		}
		day := &naive{holds: n.holds[2:]} // without minutes and hours
		after := time.Date(2023, 12, 31, 0, 0, 0, 0, time.UTC)
		for at := after.AddDate(0, 0, 1); at.Year() < 2033; at = at.AddDate(0, 0, 1) {
			if !day.due(at) {
				continue
			}
			if got, ok := s.Next(after); !ok || !got.Equal(at) {
				t.Fatalf("%s after %v: %v, %v; day by day it is %v", s, after, got, ok, at)
			}
			after = at
		}
	}
}

func FuzzAgainstEveryMinute(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(seed, uint8(seed), int64(1_790_000_000+seed*86_400*11))
	}
	f.Fuzz(func(t *testing.T, seed uint64, zone uint8, begin int64) {
		n := newNaive(rand.New(rand.NewPCG(seed, 3)))
		from := time.Unix(begin%(1<<32), 0).UTC()
		if from.Year() < 1975 {
			return
		}
		againstNaive(t, n, zones()[int(zone)%len(zones())], from, 2*24*60)
	})
}

// FuzzParse: whatever is read says when it is due at once, in order, and reads again.
func FuzzParse(f *testing.F) {
	for _, e := range []string{"rate(5 minutes)", "cron(0/30 20-2 ? * MON-FRI *)", "cron(0 0 31 2 ? *)", "cron(0 0 LW,3W * ? 2030/5)", "cron(1 2 ? 3 3#2 *)", "at(2026-11-01T01:30:00)", "cron(* * ? * 6L *)", "cron(0 0 ?,1 * ? *)"} {
		f.Add(e, "America/Los_Angeles", int64(1_800_000_000))
		f.Add(e, "", int64(-1))
	}
	f.Fuzz(func(t *testing.T, expression, zone string, after int64) {
		s, err := schedule.Parse(expression, zone)
		rule, ruleErr := schedule.ParseRule(expression)
		if err != nil {
			if zone == "" && ruleErr == nil && !strings.Contains(expression, ") ") {
				t.Errorf("a rule takes %q, Scheduler does not: %v", expression, err)
			}
			return
		}
		if again, err := schedule.Parse(s.String(), s.Zone()); err != nil || again.String() != expression {
			t.Errorf("%q does not read again: %v", expression, err)
		}
		from := time.Unix(after%(1<<33), 0)
		for _, s := range []schedule.Schedule{s, rule} {
			at := from
			for range 2 {
				next, ok := s.Next(at)
				if !ok {
					break
				}
				if !next.After(at) || next.Year() > 2199 {
					t.Fatalf("%q in %s: %v after %v", expression, s.Zone(), next, at)
				}
				at = next
			}
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for name, c := range map[string][2]string{
		"soon":  {"cron(0/15 * * * ? *)", "Europe/Zurich"},
		"never": {"cron(0 0 31 2 ? *)", "Europe/Zurich"},
	} {
		b.Run(name, func(b *testing.B) {
			s, err := schedule.Parse(c[0], c[1])
			if err != nil {
				b.Fatal(err)
			}
			after := time.Date(2026, 10, 25, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				s.Next(after)
			}
		})
	}
}
