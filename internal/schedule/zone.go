package schedule

import (
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// load gives a time zone by its name. Names that stand for whatever the machine is set
// to are refused: every node has to come to the same times.
func load(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	bad := len(name) > MaxZone || name == "Local" || name == "localtime" || name == "posixrules" ||
		strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/")
	loc, err := time.LoadLocation(name)
	if bad || err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "there is no time zone %q", name).
			WithHint("use a name of the IANA database, such as Europe/Zurich or America/New_York, or UTC")
	}
	return loc, nil
}

// A clock is what a zone's clocks show, kept as if it were a time in UTC.

// clockOf gives what the clocks of a zone show at a time.
func clockOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// widest is more than any zone was ever away from UTC.
const widest = 26 * time.Hour

// first gives the first time at which the clocks of a zone show clock, and false where
// they never do. time.Date does not say which of two times it gives, nor that there is
// none.
func first(clock time.Time, zone *time.Location) (time.Time, bool) {
	if zone == time.UTC {
		return clock, true
	}
	for at := clock.Add(-widest).In(zone); ; {
		begin, end := at.ZoneBounds()
		_, offset := at.Zone()
		t := clock.Add(-time.Duration(offset) * time.Second)
		if (begin.IsZero() || !t.Before(begin)) && (end.IsZero() || t.Before(end)) {
			return t.UTC(), true
		}
		if end.IsZero() || end.After(clock.Add(widest)) {
			return time.Time{}, false
		}
		at = end
	}
}
