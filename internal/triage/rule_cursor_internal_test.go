package triage

import (
	"encoding/hex"
	"testing"

	"github.com/parry-security/parry/internal/fault"
)

// FuzzRuleCursor reads any text as the token of a page of rules.
func FuzzRuleCursor(f *testing.F) {
	f.Add("", 0)
	f.Add(hex.EncodeToString([]byte(`{"ID":"a","Version":1,"Order":1e400}`)), 1)
	f.Fuzz(func(t *testing.T, cursor string, version int) {
		c, err := readRuleCursor(RuleQuery{Cursor: cursor, Version: version})
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Fatal(err)
		}
		if c != nil && (c.Version != version || c.ID == "") {
			t.Errorf("%+v", c)
		}
	})
}
