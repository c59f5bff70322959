package protocol

// TooDeep gives the position at which JSON is nested more than limit levels, or
// -1: asked before a decoder, which calls itself at every level, sees the text.
func TooDeep(raw []byte, limit int) int {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return i
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return -1
}
