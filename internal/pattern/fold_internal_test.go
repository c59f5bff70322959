package pattern

import (
	"strings"
	"testing"
	"unicode"
)

// TestFormsOfACharacterAreApart holds what folded relies on: no form of a
// character begins or ends another.
func TestFormsOfACharacterAreApart(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r) || unicode.IsSymbol(r) {
			all.WriteRune(r)
		}
	}
	for _, forms := range fold(all.String()) {
		for _, a := range forms {
			for _, b := range forms {
				if a != b && (strings.HasPrefix(b, a) || strings.HasSuffix(b, a)) {
					t.Errorf("form %q is part of %q", a, b)
				}
			}
		}
	}
}
