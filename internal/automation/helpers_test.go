package automation_test

import (
	"encoding/json"
	"testing"
)

// mustJSON gives v as text, to look for something in it.
func mustJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out := string(raw)
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		out = plain
	}
	return out
}
