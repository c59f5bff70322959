package ocsf

import (
	"encoding/json"
	"math"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

// putTime writes a time in both of OCSF's forms: milliseconds since 1970, and the
// text of the datetime profile, which is ASFF's text unchanged.
func putTime(o object, path, stamp string) {
	t, err := finding.ParseTime(stamp)
	if err != nil {
		return
	}
	put(o, path, json.Number(milliseconds(t)))
	put(o, path+"_dt", stamp)
}

func milliseconds(t time.Time) string { return number(int(t.UnixMilli())).String() }

// stamp reads a time of either form as ASFF writes it, "" where there is none.
// The text counts first; one without a zone is UTC only where no number tells.
func stamp(o object, path string) string {
	dt := text(o, path+"_dt")
	if _, err := finding.ParseTime(dt); err == nil {
		return dt
	}
	if n, ok := at(o, path).(json.Number); ok && len(n) <= 24 {
		if t, ok := instant(n); ok {
			return finding.FormatTime(t)
		}
	}
	if _, err := finding.ParseTime(dt + "Z"); err == nil {
		return dt + "Z"
	}
	return ""
}

// seconds is the number below which a time is taken for seconds, as some tools
// write it: in milliseconds it would be of 1973 or earlier.
const seconds = 1e11

func instant(n json.Number) (time.Time, bool) {
	x, err := n.Float64()
	if err != nil || math.IsNaN(x) || x <= 0 || x >= 253402300799e3 {
		return time.Time{}, false
	}
	if x < seconds {
		x *= 1000
	}
	return time.UnixMilli(int64(x)).UTC(), true
}
