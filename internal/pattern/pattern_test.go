package pattern_test

import (
	"testing"

	"github.com/parry-security/parry/internal/pattern"
)

func parse(t testing.TB, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return p
}
