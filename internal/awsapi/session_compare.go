package awsapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/remediation"
)

// differs compares a call with a planned one and names the first difference by
// its path, never by its value, which may be secret. "" means equal.
func differs(pc remediation.PlannedCall, r request) string {
	switch {
	case pc.Service != r.Service:
		return "service"
	case pc.Operation != r.Operation:
		return "operation"
	case pc.Account != r.Account:
		return "account"
	case pc.Region != r.Region:
		return "region"
	case pc.As != r.As:
		return "role"
	case pc.Class != r.class:
		return "class"
	}
	planned, err := plainValue(pc.Input)
	if err != nil {
		return "input"
	}
	actual, err := plainValue(r.Input)
	if err != nil {
		return "input"
	}
	if planned == nil {
		planned = map[string]any{}
	}
	return firstDifference("", planned, actual, pc.FromOutputs)
}

// firstDifference walks two JSON values. At a path that the plan leaves to an
// earlier output, the value must be there and fit what the plan knows of it.
func firstDifference(path string, planned, actual any, open []string) string {
	if slices.Contains(open, path) {
		if fitsUnknown(planned, actual) {
			return ""
		}
		return path
	}
	switch p := planned.(type) {
	case map[string]any:
		a, ok := actual.(map[string]any)
		if !ok {
			return orInput(path)
		}
		names := slices.Sorted(maps.Keys(p))
		for k := range a {
			if _, ok := p[k]; !ok {
				names = append(names, k)
			}
		}
		for _, k := range names {
			pv, inPlan := p[k]
			av, inCall := a[k]
			if inPlan != inCall {
				return joinPath(path, k)
			}
			if where := firstDifference(joinPath(path, k), pv, av, open); where != "" {
				return where
			}
		}
		return ""
	case []any:
		a, ok := actual.([]any)
		if !ok || len(a) != len(p) {
			return orInput(path)
		}
		for i := range p {
			if where := firstDifference(fmt.Sprintf("%s[%d]", path, i), p[i], a[i], open); where != "" {
				return where
			}
		}
		return ""
	}
	if jsonText(planned) != jsonText(actual) {
		return orInput(path)
	}
	return ""
}

func orInput(path string) string {
	if path == "" {
		return "input"
	}
	return path
}

func jsonText(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(raw)
}

var placeholder = regexp.MustCompile(regexp.QuoteMeta(unknownPrefix) + `[^<>]*>`)

// fitsUnknown holds an applied value against a planned one with placeholders:
// the text around them is fixed, and what stands for one inside a longer text
// (an id in a policy) may not break out of it.
func fitsUnknown(planned, actual any) bool {
	text, ok := planned.(string)
	if !ok || !placeholder.MatchString(text) {
		return false
	}
	got, ok := actual.(string)
	if !ok || got == "" {
		return false
	}
	if placeholder.FindString(text) == text {
		return true
	}
	pieces := placeholder.Split(text, -1)
	for i := range pieces {
		pieces[i] = regexp.QuoteMeta(pieces[i])
	}
	fits, err := regexp.Compile(`(?s)\A` + strings.Join(pieces, `[^"'\\<>\s]+`) + `\z`)
	return err == nil && fits.MatchString(got)
}
