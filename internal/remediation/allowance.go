package remediation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String words a in one line for people.
func (a Allowance) String() string {
	step := strings.ReplaceAll(a.Step, AnyTarget, "[any target]")
	text := fmt.Sprintf("%s may call %s:%s in %s/%s", step, a.Service, a.Operation, a.Account, a.Region)
	if a.As != "" {
		text += " as " + a.As
	}
	text += a.members()
	if a.Escape {
		text += "; only when a step fails or is cancelled"
	}
	if a.Irreversible {
		text += "; it may have no way back"
	}
	return text
}

// AnyValue stands in Allowance.Input for what may be anything, also within a text.
const AnyValue = "<known after apply: *>"

// maxShownValue bounds how much of the value of a member is shown, in bytes.
const maxShownValue = 80

// members words what the call is made with: what is fixed with its value, what is
// not by its name.
func (a Allowance) members() string {
	if a.Input == nil {
		return ", with any input"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(a.Input)) {
		if a.Input[name] == AnyValue && slices.Contains(a.FromOutputs, name) {
			parts = append(parts, "any "+name)
			continue
		}
		raw, err := json.Marshal(a.Input[name])
		if err != nil {
			raw = []byte("?")
		}
		text := unescaped.Replace(string(raw))
		if len(text) > maxShownValue {
			text = text[:maxShownValue] + "..."
		}
		parts = append(parts, name+" "+text)
	}
	if slices.Contains(a.FromOutputs, "*") {
		parts = append(parts, "any other member")
	}
	if len(parts) == 0 {
		return ""
	}
	return ", with " + strings.Join(parts, ", ")
}

var unescaped = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&")

// AnyTarget stands in Allowance.Step for the target of a child, where planning could
// not tell which targets there will be: "Fan[]/Stop". No target has an empty key.
const AnyTarget = "[]"

// PathOf gives the path of steps that a label names, without the numbers of their
// passes: "Fix[i-0abc]#2/Stop#3" is a pass of "Fix[i-0abc]/Stop". The key of a target
// has neither brackets nor number signs: whoever makes labels writes them as %XX. A
// label with a bracket that does not close names nothing.
func PathOf(label string) string {
	var out strings.Builder
	for label != "" {
		end := strings.IndexAny(label, "[#")
		if end < 0 {
			out.WriteString(label)
			break
		}
		out.WriteString(label[:end])
		if label[end] == '#' {
			label = strings.TrimLeft(label[end+1:], "0123456789")
			continue
		}
		n := strings.IndexByte(label[end:], ']')
		if n < 0 {
			return ""
		}
		out.WriteString(label[end : end+n+1])
		label = label[end+n+1:]
	}
	return out.String()
}

// Covers reports whether a is about the step that path, as PathOf gives it, names.
func (a Allowance) Covers(path string) bool {
	parts := strings.Split(a.Step, AnyTarget)
	for i, part := range parts {
		rest, ok := strings.CutPrefix(path, part)
		if !ok {
			return false
		}
		path = rest
		if i == len(parts)-1 {
			break
		}
		end := strings.IndexByte(path, ']')
		if !strings.HasPrefix(path, "[") || end < 0 {
			return false
		}
		path = path[end+1:]
	}
	return path == "" && a.Step != ""
}
