package app

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// FuzzOCSFToken: a token opens with its own question alone, and gives what was sealed.
func FuzzOCSFToken(f *testing.F) {
	f.Add("12345678", int64(1767225600000000), "cursor", "")
	f.Add("12345678", int64(-1), "\x00", "MTIzNDU2Nzj___________8x")
	f.Fuzz(func(t *testing.T, binding string, micros int64, cursor, other string) {
		if _, _, err := openOCSFToken(other, "otherone"); err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if len(binding) != 8 || cursor == "" {
			return
		}
		at := time.UnixMicro(micros).UTC()
		token := sealOCSFToken(binding, at, cursor)
		if got, when, err := openOCSFToken(token, binding); err != nil || got != cursor || !when.Equal(at) {
			t.Errorf("%q at %s: %q at %s, %v", cursor, at, got, when, err)
		}
		if _, _, err := openOCSFToken(token, "otherone"); binding != "otherone" && err == nil {
			t.Error("it opens with another question")
		}
	})
}
