package notify

import "unicode"

// Clean makes text from outside safe for one line: no control characters, line
// or direction marks, one space between words, at most limit characters
// where limit is not 0. Every
// Sender may rely on what Render gives having gone through it.
func Clean(s string, limit int) string {
	var out []rune
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || unprintable(r) {
			space = len(out) > 0
			continue
		}
		if space {
			out, space = append(out, ' '), false
		}
		if out = append(out, r); limit > 0 && len(out) > limit {
			return string(append(out[:limit-1], '…'))
		}
	}
	return string(out)
}

// unprintable reports whether r steers a terminal, a mail reader or the order of
// text rather than being text.
func unprintable(r rune) bool {
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r)
}
