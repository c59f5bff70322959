package schedule

import (
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// The published limits.
const (
	// MaxExpression is the length of an expression.
	MaxExpression = 256
	// MaxZone is the length of a time zone's name.
	MaxZone = 50
	// MaxRate is the longest time between two times of a rate.
	MaxRate = 36500 * 24 * time.Hour

	minYear = 1970
	maxYear = 2199
)

const op = "read schedule"

// Schedule is a schedule expression in its time zone. The zero Schedule is never due.
type Schedule struct {
	expression string
	zone       *time.Location
	rule       bool          // of ParseRule
	every      time.Duration // of a rate
	once       time.Time     // of an at
	cron       *cron
	start, end time.Time
}

// Parse reads an expression of EventBridge Scheduler in the time zone with that name in
// the IANA database. An empty name is UTC.
func Parse(expression, zone string) (Schedule, error) {
	loc, err := load(zone)
	if err != nil {
		return Schedule{}, err
	}
	return parse(expression, loc, false)
}

// ParseRule reads an expression of a rule of an event bus. Beyond EventBridge's, which are
// rate and cron in UTC, it takes at() as Scheduler does, and behind any expression a space
// and the name of its time zone.
func ParseRule(expression string) (Schedule, error) {
	text, zone, zoned := strings.Cut(expression, ") ")
	loc := time.UTC
	if zoned {
		var err error
		if loc, err = load(strings.TrimSpace(zone)); err != nil {
			return Schedule{}, err
		}
		text += ")"
	}
	s, err := parse(text, loc, true)
	if err != nil {
		return Schedule{}, err
	}
	s.expression = expression
	return s, nil
}

func parse(expression string, zone *time.Location, rule bool) (Schedule, error) {
	s := Schedule{expression: expression, zone: zone, rule: rule}
	if len(expression) > MaxExpression {
		return Schedule{}, fault.Errorf(fault.Invalid, op, "the expression has %d characters, more than %d", len(expression), MaxExpression)
	}
	kind, rest, _ := strings.Cut(expression, "(")
	body, closed := strings.CutSuffix(rest, ")")
	var err error
	switch {
	case closed && kind == "rate":
		s.every, err = parseRate(body, rule)
	case closed && kind == "cron":
		s.cron, err = parseCron(body, rule)
	case closed && kind == "at":
		s.once, err = parseAt(body, zone)
	default:
		err = fault.Errorf(fault.Invalid, op, "%q is none of rate(...), cron(...) and at(...)", expression).
			WithHint("write for example rate(5 minutes) or cron(0 10 * * ? *)")
	}
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// Once gives the time of an at(), zero for what comes again.
func (s Schedule) Once() time.Time { return s.once }

// String gives the expression as it was written.
func (s Schedule) String() string { return s.expression }

// Zone gives the name of the time zone, "UTC" where none was given.
func (s Schedule) Zone() string {
	if s.zone == nil {
		return time.UTC.String()
	}
	return s.zone.String()
}

// Between gives the schedule from start to end; a zero end is none. A rate counts from
// start. Scheduler's start is the first time of a rate, and any schedule may be due at it;
// a rule's is when it was made, and it is due for the first time after that, whenever
// Next is asked. at() ignores both, as Scheduler does.
func (s Schedule) Between(start, end time.Time) Schedule {
	s.start, s.end = start, end
	return s
}

// Next gives the first time after a time at which the schedule is due, in UTC, and
// false where there is none. A rate without a start counts from 1970.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	if !s.once.IsZero() {
		return s.once, s.once.After(after)
	}
	if !s.start.IsZero() && after.Before(s.start) {
		if after = s.start; !s.rule {
			after = after.Add(-time.Nanosecond) // the start itself may be due
		}
	}
	var t time.Time
	ok := false
	switch {
	case after.Year() > maxYear:
	case s.every > 0:
		t, ok = s.nextRate(after), true
	case s.cron != nil:
		t, ok = s.nextCron(after)
	}
	if !ok || t.Year() > maxYear || (!s.end.IsZero() && t.After(s.end)) {
		return time.Time{}, false
	}
	return t, true
}

func (s Schedule) nextRate(after time.Time) time.Time {
	anchor := s.start
	if anchor.IsZero() {
		anchor = time.Unix(0, 0)
	}
	if after.Before(anchor) {
		return anchor.UTC()
	}
	return after.Add(s.every - after.Sub(anchor)%s.every).UTC()
}

func (s Schedule) nextCron(after time.Time) (time.Time, bool) {
	// What the clocks showed for the first time before a time is not more than what they
	// show at it, unless they were set back since, and then it came before too.
	for clock := range s.cron.from(clockOf(after, s.zone)) {
		if t, ok := first(clock, s.zone); ok && t.After(after) {
			return t, true
		}
	}
	return time.Time{}, false
}

func parseRate(body string, rule bool) (time.Duration, error) {
	words := strings.Fields(body)
	if len(words) != 2 {
		return 0, fault.Errorf(fault.Invalid, op, "rate(%s) does not have a value and a unit", body).
			WithHint("write for example rate(5 minutes)")
	}
	n, err := number(words[0])
	if err != nil || n == 0 {
		return 0, fault.Errorf(fault.Invalid, op, "the value %q of the rate is not a positive whole number", words[0]).
			WithHint("write for example rate(5 minutes)")
	}
	singular := strings.TrimSuffix(words[1], "s")
	unit := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[singular]
	if unit == 0 {
		return 0, fault.Errorf(fault.Invalid, op, "the unit %q of the rate is not minute, minutes, hour, hours, day or days", words[1]).
			WithHint("for seconds there is no rate; a week is rate(7 days)")
	}
	if rule && (n == 1) != (words[1] == singular) {
		right := map[bool]string{true: singular, false: singular + "s"}[n == 1]
		return 0, fault.Errorf(fault.Invalid, op, "the unit of rate(%s) is singular for 1 and plural for more", body).
			WithHint("write rate(%d %s)", n, right)
	}
	if time.Duration(n) > MaxRate/unit {
		return 0, fault.Errorf(fault.Invalid, op, "rate(%s) is longer than 100 years", body)
	}
	return time.Duration(n) * unit, nil
}

// atLayout is how an at is written.
const atLayout = "2006-01-02T15:04:05"

func parseAt(body string, zone *time.Location) (time.Time, error) {
	clock, err := time.Parse(atLayout, body)
	if err != nil || len(body) != len(atLayout) || clock.Year() < minYear || clock.Year() > maxYear {
		return time.Time{}, fault.Errorf(fault.Invalid, op, "at(%s) is not a date and time of the years %d to %d", body, minYear, maxYear).
			WithHint("write at(yyyy-mm-ddThh:mm:ss) without a zone, such as at(2026-12-24T14:30:00)")
	}
	t, ok := first(clock, zone)
	if !ok {
		return time.Time{}, fault.Errorf(fault.Invalid, op, "at(%s): the clocks of %s skip that time", body, zone).
			WithHint("take a time before or after the change to daylight saving time")
	}
	return t, nil
}

// number reads digits only: strconv takes signs too.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}
