package rehearse

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/runbook"
)

// maxDifferences is how many differences of one comparison are named.
const maxDifferences = 10

// match names what got lacks of want. A map has at least want's members; null
// stands for a member that must not be there. A list has want's items and no
// others, each in its place. Text that got has where want has a map or a list is
// read as JSON, as policies are. Numbers are compared by value.
func match(want, got any) []string {
	var out []string
	compare(runbook.Normalize(want), runbook.Normalize(got), "", &out)
	if len(out) > maxDifferences {
		out = append(out[:maxDifferences], fmt.Sprintf("and %d more", len(out)-maxDifferences))
	}
	return out
}

func compare(want, got any, path string, out *[]string) {
	if text, ok := got.(string); ok {
		got = fromJSON(want, text)
	}
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			differ(out, path, want, got)
			return
		}
		keys := make([]string, 0, len(w))
		for k := range w {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			compare(w[k], g[k], strings.TrimPrefix(path+"."+k, "."), out)
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			differ(out, path, want, got)
			return
		}
		for i := range w {
			compare(w[i], g[i], fmt.Sprintf("%s[%d]", path, i), out)
		}
	default:
		if !same(want, got) {
			differ(out, path, want, got)
		}
	}
}

// fromJSON reads text as JSON where a map or a list is wanted.
func fromJSON(want any, text string) any {
	switch want.(type) {
	case map[string]any, []any:
		var v any
		if runbook.DecodeJSON([]byte(text), &v) == nil {
			return v
		}
	}
	return text
}

func same(want, got any) bool {
	if want == got {
		return true
	}
	w, wok := number(want)
	g, gok := number(got)
	return wok && gok && w == g
}

func number(v any) (float64, bool) {
	switch t := v.(type) {
	case int64:
		return float64(t), true
	case float64:
		return t, true
	}
	return 0, false
}

func differ(out *[]string, path string, want, got any) {
	if path == "" {
		path = "$"
	}
	*out = append(*out, fmt.Sprintf("%s: want %s, got %s", path, show(want), show(got)))
}

// show writes a value as JSON of bounded length.
func show(v any) string {
	if v == nil {
		return "nothing"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	const most = 300
	if text := string(raw); len(text) > most {
		return text[:most] + "…"
	}
	return string(raw)
}

// matchOutput compares one output: a list of text in an execution, of which a
// single item may stand for itself.
func matchOutput(want any, got []string) []string {
	if len(got) == 1 {
		if text, err := runbook.Text(want); err == nil && text == got[0] {
			return nil // 5 and true are text there
		}
		if _, isList := want.([]any); !isList {
			return match(want, got[0])
		}
		var v any
		if runbook.DecodeJSON([]byte(got[0]), &v) == nil {
			if list, ok := v.([]any); ok {
				return match(want, list)
			}
		}
	}
	if want == nil && len(got) == 0 {
		return nil
	}
	return match(want, got)
}
