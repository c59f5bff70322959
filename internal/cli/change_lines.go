package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/remediation"
)

// maxInline is how long the values of a member may be together, in characters, to stand in
// one line. What people approve is never cut: longer ones take lines of their own.
const maxInline = 160

// valueLine is a line of a value: "-" as it was, "+" as it will be, " " both.
type valueLine struct{ Sign, Text string }

// changeLines lays the values of a member out line by line; none when they fit into one
// line. Lines that both begin or end with stand once.
func changeLines(d remediation.MemberChange) []valueLine {
	if utf8.RuneCountInString(d.Before)+utf8.RuneCountInString(d.After) <= maxInline && !strings.Contains(d.Before+d.After, "\n") {
		return nil
	}
	before, after := valueLines(d.Before), valueLines(d.After)
	first := 0
	for first < min(len(before), len(after)) && before[first] == after[first] {
		first++
	}
	last := 0
	for last < min(len(before), len(after))-first && before[len(before)-1-last] == after[len(after)-1-last] {
		last++
	}
	var out []valueLine
	put := func(sign string, lines []string) {
		for _, l := range lines {
			out = append(out, valueLine{sign, l})
		}
	}
	put(" ", before[:first])
	put("-", before[first:len(before)-last])
	put("+", after[first:len(after)-last])
	put(" ", before[len(before)-last:])
	return out
}

// valueLines gives a value as lines: JSON, and JSON in a text as policies are kept, is
// indented.
func valueLines(v string) []string {
	if v == "" {
		return nil
	}
	text := v
	var inner string
	if json.Unmarshal([]byte(v), &inner) == nil && strings.HasPrefix(strings.TrimSpace(inner), "{") && json.Valid([]byte(inner)) {
		text = inner
	}
	var b bytes.Buffer
	if (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && json.Indent(&b, []byte(text), "", "  ") == nil {
		text = b.String()
	}
	return strings.Split(text, "\n")
}

// wholeValue is a value that a member has or has not.
func wholeValue(v string) string {
	if v == "" {
		return "(absent)"
	}
	return v
}
