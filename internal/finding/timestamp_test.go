package finding_test

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/finding"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2021-07-14T17:06:07.284Z":           "2021-07-14T17:06:07.284Z",
		"2021-07-14T17:06:07Z":               "2021-07-14T17:06:07Z",
		"2024-01-25T16:12:37.059064639Z":     "2024-01-25T16:12:37.059064639Z",
		"2024-01-25T16:12:37.1+02":           "2024-01-25T14:12:37.1Z",
		"2024-01-25T16:12:37-0330":           "2024-01-25T19:42:37Z",
		"2024-01-25T16:12:37+05:30":          "2024-01-25T10:42:37Z",
		"2024-01-25T16:12:37+18:00":          "2024-01-24T22:12:37Z",
		"2016-12-31T23:59:60Z":               "2017-01-01T00:00:00Z",
		"2024-02-29T00:00:00Z":               "2024-02-29T00:00:00Z",
		"2021-07-14T17:06:07.000000000+0000": "2021-07-14T17:06:07Z",
		"2021-07-14t17:06:07z":               "2021-07-14T17:06:07Z",
	} {
		got, err := finding.ParseTime(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if s := got.Format(time.RFC3339Nano); s != want {
			t.Errorf("%s: got %s, want %s", in, s, want)
		}
	}
	for _, in := range []string{
		"", "2021-07-14", "2021-07-14 17:06:07Z", "2021-07-14T17:06:07", "2021-7-14T17:06:07Z",
		"2021-07-14T17:06:07.Z", "2021-07-14T17:06:07.1234567890Z", "2021-07-14T24:00:00Z", "2021-07-14T12:59:60Z",
		"2021-02-29T00:00:00Z", "2021-13-01T00:00:00Z", "2021-00-01T00:00:00Z", "2021-01-00T00:00:00Z",
		"2021-07-14T17:06:07+18:01", "2021-07-14T17:06:07+19", "2021-07-14T17:06:07+1", "2021-07-14T17:06:07+02:", "2021-07-14T17:06:07Zx",
		"2021-07-14T17:06:07+01:60", "٢٠٢١-07-14T17:06:07Z",
	} {
		if got, err := finding.ParseTime(in); err == nil {
			t.Errorf("%q was accepted as %s", in, got)
		}
	}
}

func TestFormatTime(t *testing.T) {
	t.Parallel()
	in := time.Date(2024, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("x", 3600))
	if got := finding.FormatTime(in); got != "2024-01-02T02:04:05.678Z" {
		t.Error(got)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2021-07-14T17:06:07.284Z")
	f.Add("2016-12-31T23:59:60+18:00")
	f.Fuzz(func(t *testing.T, in string) {
		got, err := finding.ParseTime(in)
		if err != nil {
			return
		}
		if want, err := time.Parse(time.RFC3339Nano, in); err == nil && !got.Equal(want) {
			t.Fatalf("%s: got %s, package time says %s", in, got, want)
		}
	})
}
