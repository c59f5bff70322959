package runbook_test

import (
	"testing"

	"github.com/parry-security/parry/internal/runbook"
)

// FuzzDuration reads any text as a duration and as a time: a sleep is never negative and
// never longer than Systems Manager lets it be.
func FuzzDuration(f *testing.F) {
	for _, s := range []string{"PT10M", "P1DT2H", "P1W", "PT.5S", "PT1e9S", "P", "PT", "P9999999999999999999D", "2026-01-01T00:00:00Z", "2026-01-01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := runbook.ParseDuration(text); err == nil && (d < 0 || d > runbook.MaxSleep) {
			t.Errorf("%q is %s", text, d)
		}
		if at, err := runbook.ParseTimestamp(text); err == nil && at.IsZero() != (at.Unix() == -62135596800) {
			t.Errorf("%q is %s", text, at)
		}
	})
}
