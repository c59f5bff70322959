package pattern

import (
	"slices"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// folded is a text compared without regard to case, character by character: each
// is met by itself, its lower and its upper case form, which may have several
// characters. The relation goes from the pattern to the event and is not Unicode
// folding: "K" does not meet the Kelvin sign, and "ß" meets "SS" but "SS" does
// not meet "ß".
type folded [][]string

func fold(s string) folded {
	lower, upper := cases.Lower(language.Und), cases.Upper(language.Und)
	out := make(folded, 0, len(s))
	for _, r := range s {
		c := string(r)
		forms := []string{c, lower.String(c), upper.String(c)}
		slices.Sort(forms)
		out = append(out, slices.Compact(forms))
	}
	return out
}

// prefixOf gives the length of the beginning of s that f meets, -1 if none. No
// form of a character begins another, so the first that fits is the only one.
func (f folded) prefixOf(s string) int {
	rest := s
	for _, forms := range f {
		i := slices.IndexFunc(forms, func(form string) bool { return strings.HasPrefix(rest, form) })
		if i < 0 {
			return -1
		}
		rest = rest[len(forms[i]):]
	}
	return len(s) - len(rest)
}

func (f folded) suffixOf(s string) bool {
	for _, forms := range slices.Backward(f) {
		i := slices.IndexFunc(forms, func(form string) bool { return strings.HasSuffix(s, form) })
		if i < 0 {
			return false
		}
		s = s[:len(s)-len(forms[i])]
	}
	return true
}

func (f folded) equals(s string) bool { return f.prefixOf(s) == len(s) }
