package finding

import (
	"errors"
	"slices"
	"time"
)

var errTimestamp = errors.New(`should match format "date-time"`)

// datePattern is how Security Hub words it of a finding.
const datePattern = `(\d\d\d\d)-[0-1](\d)-[0-3](\d)[Tt](?:[0-2](\d):[0-5](\d):[0-5](\d)|23:59:60)(?:\.(\d)+)?(?:[Zz]|[+-](\d\d)(?::?(\d\d))?)$`

// ParseTime reads a timestamp as Security Hub does: a date, T, a time with up
// to nine fractional digits, then Z or an offset of at most 18 hours written
// +HH, +HHMM or +HH:MM. A leap second is accepted as 23:59:60 only.
//
// The text of a timestamp is kept for output; order is decided on instants,
// never on text.
func ParseTime(s string) (time.Time, error) {
	p := scanner{s: s}
	year, month, day := p.digits(4), p.dash(2), p.dash(2)
	p.expect('T', 't')
	hour := p.digits(2)
	p.expect(':')
	minute := p.digits(2)
	p.expect(':')
	second := p.digits(2)
	nanos := p.fraction()
	offset := p.offset()
	if p.bad || p.i != len(s) || !plausible(year, month, day, hour, minute, second) {
		return time.Time{}, errTimestamp
	}
	// time.Date carries second 60 into the next minute, which is the instant meant.
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	return t.Add(-time.Duration(offset) * time.Minute), nil
}

func plausible(year, month, day, hour, minute, second int) bool {
	if month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 60 {
		return false
	}
	if second == 60 && (hour != 23 || minute != 59) {
		return false
	}
	// Day 0 of the next month is the last day of this one.
	return day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// FormatTime writes t as Security Hub does: UTC, milliseconds, Z.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// scanner reads a timestamp from left to right; bad is sticky.
type scanner struct {
	s   string
	i   int
	bad bool
}

func (p *scanner) digits(n int) int {
	v := 0
	for range n {
		if p.i >= len(p.s) || p.s[p.i] < '0' || p.s[p.i] > '9' {
			p.bad = true
			return 0
		}
		v = v*10 + int(p.s[p.i]-'0')
		p.i++
	}
	return v
}

func (p *scanner) expect(c ...byte) {
	if p.i >= len(p.s) || !slices.Contains(c, p.s[p.i]) {
		p.bad = true
		return
	}
	p.i++
}

func (p *scanner) dash(n int) int {
	p.expect('-')
	return p.digits(n)
}

func (p *scanner) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *scanner) fraction() int {
	if p.peek() != '.' {
		return 0
	}
	p.i++
	v, n := 0, 0
	for ; p.peek() >= '0' && p.peek() <= '9'; n++ {
		if n < 9 {
			v = v*10 + int(p.peek()-'0')
		}
		p.i++
	}
	if n == 0 || n > 9 {
		p.bad = true
		return 0
	}
	for ; n < 9; n++ {
		v *= 10
	}
	return v
}

// offset gives minutes east of UTC.
func (p *scanner) offset() int {
	sign := 1
	switch p.peek() {
	case 'Z', 'z':
		p.i++
		return 0
	case '-':
		sign = -1
	case '+':
	default:
		p.bad = true
		return 0
	}
	p.i++
	minutes := p.digits(2) * 60
	if p.i < len(p.s) {
		if p.peek() == ':' {
			p.i++
		}
		m := p.digits(2)
		if m > 59 {
			p.bad = true
		}
		minutes += m
	}
	if minutes > 18*60 {
		p.bad = true
	}
	return sign * minutes
}
