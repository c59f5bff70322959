package schedule

import (
	"iter"
	"math/bits"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// cron is a cron expression as sets. Bits count from the field's own numbers; a year's
// from minYear.
type cron struct {
	minutes, hours, months uint64
	years                  [4]uint64
	// Either days or weekdays decides.
	byWeekday bool
	days      days
	weekdays  weekdays
}

// days are those of a month: by number, the weekdays nearest to a number, the last
// day, the last weekday.
type days struct {
	numbers, nearest  uint64
	last, lastWeekday bool
}

// weekdays count from SUN = 1: every one, the last of a month, the nth of a month.
type weekdays struct {
	every, last uint64
	day, nth    int
}

func parseCron(body string, rule bool) (*cron, error) {
	words := strings.Fields(body)
	if len(words) == 5 && !rule {
		words = append(words, "*")
	}
	if len(words) != 6 {
		return nil, fault.Errorf(fault.Invalid, op, "cron(%s) has %d fields instead of 6", body, len(words)).
			WithHint("the fields are minutes, hours, day of month, month, day of week and year, such as cron(0 10 * * ? *)")
	}
	c := &cron{}
	if (words[2] == "?") == (words[4] == "?") {
		return nil, fault.Errorf(fault.Invalid, op, "cron(%s): one of day-of-month and day-of-week has to be ?, the other not", body).
			WithHint("write cron(0 10 * * ? *) for every day, cron(0 10 ? * MON-FRI *) for days of the week")
	}
	c.byWeekday = words[2] == "?"
	for _, err := range []error{
		minuteField().set(words[0], &c.minutes),
		hourField().set(words[1], &c.hours),
		monthField().set(words[3], &c.months),
		yearField().each(words[5], func(y int) { c.years[(y-minYear)/64] |= 1 << ((y - minYear) % 64) }),
	} {
		if err != nil {
			return nil, err
		}
	}
	if c.byWeekday {
		return c, c.weekdays.parse(words[4])
	}
	return c, c.days.parse(words[2])
}

// from gives what the clocks show when the expression is due, in order, from the minute
// of a clock on.
func (c *cron) from(clock time.Time) iter.Seq[time.Time] {
	if clock.Year() < minYear {
		clock = time.Date(minYear, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	clock = clock.Truncate(time.Minute)
	return func(yield func(time.Time) bool) {
		for day := range c.dates(clock) {
			for hours := c.hours; hours != 0; hours &= hours - 1 {
				for minutes := c.minutes; minutes != 0; minutes &= minutes - 1 {
					t := day.Add(time.Duration(bits.TrailingZeros64(hours))*time.Hour + time.Duration(bits.TrailingZeros64(minutes))*time.Minute)
					if !t.Before(clock) && !yield(t) {
						return
					}
				}
			}
		}
	}
}

// dates gives the days on which the expression is due, from that of a clock on.
func (c *cron) dates(clock time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		year, month, from := clock.Date()
		for ; year <= maxYear; year, month = year+1, 1 {
			if y := year - minYear; c.years[y/64]>>(y%64)&1 == 0 {
				from = 1
				continue
			}
			for ; month <= 12; month, from = month+1, 1 {
				if c.months>>month&1 == 0 {
					continue
				}
				for set := c.in(year, month) >> from << from; set != 0; set &= set - 1 {
					if !yield(time.Date(year, month, bits.TrailingZeros64(set), 0, 0, 0, 0, time.UTC)) {
						return
					}
				}
			}
		}
	}
}

// in gives the days of a month on which the expression is due.
func (c *cron) in(year int, month time.Month) uint64 {
	begin := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	m := calendar{first: int(begin.Weekday()), length: begin.AddDate(0, 1, -1).Day()}
	if c.byWeekday {
		return c.weekdays.in(m)
	}
	return c.days.in(m)
}

// calendar is a month: the weekday of its first day, Sunday being 0, and its length.
type calendar struct{ first, length int }

func (m calendar) weekday(day int) int { return (m.first + day - 1) % 7 }

// nearest gives the weekday nearest to a day, in the same month.
func (m calendar) nearest(day int) int {
	switch m.weekday(day) {
	case 6: // Saturday
		if day == 1 {
			return 3
		}
		return day - 1
	case 0:
		if day == m.length {
			return day - 2
		}
		return day + 1
	default:
		return day
	}
}

func (d days) in(m calendar) uint64 {
	out := d.numbers
	for set := d.nearest & (1<<(m.length+1) - 1); set != 0; set &= set - 1 {
		out |= 1 << m.nearest(bits.TrailingZeros64(set))
	}
	if d.last {
		out |= 1 << m.length
	}
	if d.lastWeekday {
		out |= 1 << m.nearest(m.length)
	}
	return out & (1<<(m.length+1) - 1)
}

func (w weekdays) in(m calendar) uint64 {
	var out uint64
	for day := 1; day <= m.length; day++ {
		number := m.weekday(day) + 1
		if w.every>>number&1 == 1 || (day+7 > m.length && w.last>>number&1 == 1) || (number == w.day && (day+6)/7 == w.nth) {
			out |= 1 << day
		}
	}
	return out
}
