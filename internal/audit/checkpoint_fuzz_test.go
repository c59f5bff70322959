package audit_test

import (
	"testing"

	"github.com/parry-security/parry/internal/audit"
	"github.com/parry-security/parry/internal/fault"
)

// FuzzParseCheckpoint reads any text as a checkpoint: what is read prints as it reads.
func FuzzParseCheckpoint(f *testing.F) {
	for _, s := range []string{"42:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "0:", "-1:x", " 7:AA ", ":", "9223372036854775808:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := audit.ParseCheckpoint(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
				t.Fatalf("code %s: %v (%s)", fault.CodeOf(err), err, fault.HintOf(err))
			}
			return
		}
		if again, err := audit.ParseCheckpoint(c.String()); err != nil || again != c {
			t.Errorf("%v became %v, %v", c, again, err)
		}
	})
}
