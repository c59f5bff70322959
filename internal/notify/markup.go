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

// Lines gives a table for chat clients, which have none: a line with the names of the
// columns, then one of at most limit bytes for each row. No cell of a row is lost; long
// ones are cut to the same length.
func Lines(t Table, limit int) []string {
	if len(t.Rows) == 0 {
		return nil
	}
	const bullet, between = "• ", " · "
	out := []string{"*" + Markup(strings.Join(t.Columns, between), limit-2) + "*"}
	for _, row := range t.Rows {
		room := limit - len(bullet) - len(between)*(len(row)-1)
		// The longest that all cells may have together.
		most := room
		for ; most > len("`…`"); most-- {
			sum := 0
			for _, cell := range row {
				sum += len(Code(cell, most))
			}
			if sum <= room {
				break
			}
		}
		var cells []string
		for _, cell := range row {
			if code := Code(cell, most); code != "" {
				cells = append(cells, code)
			}
		}
		out = append(out, bullet+strings.Join(cells, between))
	}
	return out
}
