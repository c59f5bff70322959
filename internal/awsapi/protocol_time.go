package awsapi

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the forms in which AWS services and runbooks write time
// besides seconds since 1970. botocore accepts any of them anywhere, whatever
// the model says, and services rely on it.
var timeLayouts = [...]string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05.999999999",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
	"2006-01-02",
	"20060102T150405Z",
	time.RFC1123,
	time.RFC1123Z,
	"Mon, 2 Jan 2006 15:04:05 MST",
	"Mon, 2 Jan 2006 15:04:05 -0700",
	time.RFC850,
	time.ANSIC,
}

// parseTime reads a time in any of the known forms, as UTC where it names no
// zone.
func parseTime(text string) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return fromEpoch(f)
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// fromEpoch turns seconds since 1970 into a time, to the microsecond, which is
// all that a float64 of today's date holds.
func fromEpoch(seconds float64) (time.Time, bool) {
	if math.IsNaN(seconds) || math.Abs(seconds) > 253402300799 { // the year 9999
		return time.Time{}, false
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC(), true
}
