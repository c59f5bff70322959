package notify

import "strings"

// Markup gives text from outside for a line of Slack's mrkdwn, and of the markdown of
// chat clients that is like it: &, < and > are escaped, so that there is no link, mention
// or channel in it, and "](" makes no link either. It has at most limit bytes, ending with
// "…" when it was cut, never within an escape.
func Markup(s string, limit int) string {
	var b strings.Builder
	s = strings.ReplaceAll(Clean(s, 0), "](", "] (")
	for _, r := range s {
		part := string(r)
		switch r {
		case '&':
			part = "&amp;"
		case '<':
			part = "&lt;"
		case '>':
			part = "&gt;"
		}
		if b.Len()+len(part) > limit-len("…") {
			return b.String() + "…"
		}
		b.WriteString(part)
	}
	return b.String()
}

// Code is Markup within backquotes, where no other mark of markdown counts either. It
// is empty when s is.
func Code(s string, limit int) string {
	s = Clean(strings.ReplaceAll(s, "`", "'"), 0)
	if s == "" {
		return ""
	}
	return "`" + Markup(s, limit-2) + "`"
}
