package runbook

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxSleep is the longest that aws:sleep may take.
const MaxSleep = 604_799 * time.Second

// ParseDuration reads an ISO 8601 duration of days, hours, minutes and seconds:
// PT10M, P1DT2H. Weeks count seven days; months and years have no fixed length
// and are refused.
func ParseDuration(text string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, fmt.Errorf("%.40q is not an ISO 8601 duration: %s", text, why)
	}
	rest, ok := strings.CutPrefix(strings.ToUpper(strings.TrimSpace(text)), "P")
	if !ok || rest == "" || rest == "T" {
		return bad("it begins with P and has at least one part")
	}
	var total time.Duration
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour}
	for rest != "" {
		if rest[0] == 'T' {
			units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
			rest = rest[1:]
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end <= 0 {
			return bad("a number and its unit are missing")
		}
		unit, known := units[rest[end]]
		if !known {
			return bad(fmt.Sprintf("unit %q is not known here", rest[end]))
		}
		n, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil {
			return bad("the number is not one")
		}
		// Compared before the conversion, which would overflow.
		if n*float64(unit)+float64(total) > float64(MaxSleep) {
			return bad(fmt.Sprintf("it is longer than %d seconds", MaxSleep/time.Second))
		}
		total += time.Duration(n * float64(unit))
		rest = rest[end+1:]
	}
	return total, nil
}

// ParseTimestamp reads the Timestamp of aws:sleep.
func ParseTimestamp(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15:04:05Z0700", "2006-01-02"} {
		if t, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is not an ISO 8601 timestamp", text)
}
