package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// wildcard is a text with stars, as the literals between them. One literal means
// that there is no star.
type wildcard []string

// parseWildcard reads s, in which \* and \\ stand for the characters.
func parseWildcard(s string) (wildcard, error) {
	var out wildcard
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '*':
			if i+1 < len(s) && s[i+1] == '*' {
				return nil, fmt.Errorf("two stars in a row at character %d", i+1)
			}
			out = append(out, b.String())
			b.Reset()
		case '\\':
			if i+1 >= len(s) || s[i+1] != '*' && s[i+1] != '\\' {
				return nil, errors.New(`a backslash is followed by neither * nor \`)
			}
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	out = append(out, b.String())
	if len(out)-1 > MaxStars {
		return nil, fmt.Errorf("%d stars are more than the limit of %d", len(out)-1, MaxStars)
	}
	return out, nil
}

// match takes each literal at its first place after the one before. That finds
// a match whenever there is one, in time linear in s.
func (w wildcard) match(s string) bool {
	first, last := w[0], w[len(w)-1]
	if len(w) == 1 {
		return s == first
	}
	if len(s) < len(first)+len(last) || !strings.HasPrefix(s, first) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, literal := range w[1 : len(w)-1] {
		i := strings.Index(s, literal)
		if i < 0 {
			return false
		}
		s = s[i+len(literal):]
	}
	return true
}
