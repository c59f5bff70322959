package remediation

import (
	"fmt"
	"strings"
)

// String words a in one line for people.
func (a Allowance) String() string {
	text := fmt.Sprintf("%s may call %s:%s in %s/%s", a.Step, a.Service, a.Operation, a.Account, a.Region)
	if a.As != "" {
		text += " as " + a.As
	}
	switch {
	case a.Input == nil:
		text += ", with any input"
	case len(a.FromOutputs) > 0:
		text += ", with any " + strings.Join(a.FromOutputs, ", ")
	}
	if a.Irreversible {
		text += "; it may have no way back"
	}
	return text
}

// StepOf gives the path of steps that a label names, without the number of a
// pass and without the target of a child: "Fix[i-0abc]#2/Stop#3" is a pass of
// "Fix/Stop". A target may hold any text; a label is read so that it names at
// most the steps that its parts outside of brackets do.
func StepOf(label string) string {
	var out strings.Builder
	for label != "" {
		end := strings.IndexAny(label, "[#/")
		if end < 0 {
			out.WriteString(label)
			break
		}
		out.WriteString(label[:end])
		rest := label[end:]
		switch rest[0] {
		case '[':
			rest = afterTarget(rest)
		case '#':
			rest = strings.TrimLeft(rest[1:], "0123456789")
		default:
			out.WriteByte('/')
			rest = rest[1:]
		}
		label = rest
	}
	return out.String()
}

// afterTarget skips "[key]". A key ends at the first bracket behind which a label
// can go on; a label without one has no step behind it.
func afterTarget(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == ']' && (i+1 == len(s) || s[i+1] == '/' || s[i+1] == '#') {
			return s[i+1:]
		}
	}
	return ""
}
