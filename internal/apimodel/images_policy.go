package apimodel

import (
	"encoding/json"
	"regexp"
	"slices"
)

// rootARN is how AWS reprints a bare account id in a principal.
var rootARN = regexp.MustCompile(`^arn:[a-z-]+:iam::(\d{12}):root$`)

// canonicalPolicy reads an IAM policy document and brings it to one form, since
// AWS reorders and reprints what it was given: single values become lists,
// lists without order are sorted, condition values become text. Text that is
// not a JSON object is kept as text, and an object without statements as it is.
func canonicalPolicy(text string) any {
	var doc map[string]any
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc == nil {
		return text
	}
	if _, ok := doc["Statement"]; !ok {
		return doc
	}
	if _, ok := doc["Version"]; !ok {
		doc["Version"] = "2008-10-17" // what AWS takes a missing version for
	}
	statements := listOf(doc["Statement"])
	for _, s := range statements {
		if m, ok := s.(map[string]any); ok {
			canonicalStatement(m)
		}
	}
	doc["Statement"] = statements
	return doc
}

func canonicalStatement(s map[string]any) {
	for _, name := range []string{"Action", "NotAction", "Resource", "NotResource"} {
		if v, ok := s[name]; ok {
			s[name] = textSet(v)
		}
	}
	for _, name := range []string{"Principal", "NotPrincipal"} {
		m, ok := s[name].(map[string]any)
		if !ok {
			continue
		}
		for kind, who := range m {
			m[kind] = textSet(who)
		}
	}
	cond, _ := s["Condition"].(map[string]any)
	for _, keys := range cond {
		m, ok := keys.(map[string]any)
		if !ok {
			continue
		}
		for key, values := range m {
			m[key] = textSet(values)
		}
	}
}

func listOf(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// textSet gives the printed values of v, sorted and each once.
func textSet(v any) []any {
	var out []string
	for _, x := range listOf(v) {
		text, ok := x.(string)
		if !ok {
			text = compact(x)
		}
		if m := rootARN.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		out = append(out, text)
	}
	slices.Sort(out)
	list := []any{}
	for _, text := range slices.Compact(out) {
		list = append(list, text)
	}
	return list
}
