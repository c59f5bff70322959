package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/apimodel"
)

const (
	unknownPrefix = "<known after apply: "
	unknownAfter  = `"<known after apply>"` // as the JSON text of a diff
	maxReplyDepth = 8
)

// unknowns makes and finds the placeholders that stand for what only AWS will
// tell. Each planning run has its own nonce, so that text which somebody put on
// a resource can never pass for a placeholder and loosen the plan.
type unknowns struct{ nonce string }

func (u unknowns) mark(step, member string) string {
	return unknownPrefix + step + "." + member + " " + u.nonce + ">"
}

// paths lists where v holds placeholders: "Filters[0].Values[1]", sorted.
func (u unknowns) paths(v any) []string {
	var out []string
	u.walk("", v, func(path string) { out = append(out, path) })
	slices.Sort(out)
	return out
}

func (u unknowns) walk(path string, v any, found func(string)) {
	switch v := v.(type) {
	case string:
		if strings.Contains(v, u.nonce) {
			found(path)
		}
	case map[string]any:
		for k, x := range v {
			u.walk(joinPath(path, k), x, found)
		}
	case []any:
		for i, x := range v {
			u.walk(fmt.Sprintf("%s[%d]", path, i), x, found)
		}
	case []string:
		for i, x := range v {
			u.walk(fmt.Sprintf("%s[%d]", path, i), x, found)
		}
	}
}

// clean copies v with its placeholders as people read them.
func (u unknowns) clean(v any) any {
	switch v := v.(type) {
	case string:
		return strings.ReplaceAll(v, " "+u.nonce+">", ">")
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = u.clean(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = u.clean(x)
		}
		return out
	}
	return v
}

// reply answers op in the shape of its model: texts are placeholders, numbers
// are zero, lists hold one element, and what reports failures or further pages
// is left out.
func (u unknowns) reply(op *apimodel.Operation, step string) apimodel.Reply {
	out, _ := u.shape(op.Output, step, "", nil).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	out["ResponseMetadata"] = responseMetadata("")
	return apimodel.Reply{Output: out}
}

func responseMetadata(requestID string) map[string]any {
	return map[string]any{"RequestId": requestID, "HTTPStatusCode": int64(200), "HTTPHeaders": map[string]any{}, "RetryAttempts": int64(0)}
}

func (u unknowns) shape(s *apimodel.Shape, step, path string, above []*apimodel.Shape) any {
	if s == nil || len(above) > maxReplyDepth || slices.Contains(above, s) {
		return nil
	}
	above = append(slices.Clone(above), s)
	switch s.Type {
	case apimodel.Structure:
		out := map[string]any{}
		for _, m := range s.Members {
			if reportsFailure(m.Name) || s.Union && len(out) > 0 {
				continue
			}
			if v := u.shape(m.Shape, step, joinPath(path, m.Name), above); v != nil {
				out[m.Name] = v
			}
		}
		return out
	case apimodel.List:
		if v := u.shape(s.Elem.Shape, step, path+"[0]", above); v != nil {
			return []any{v}
		}
		return []any{}
	case apimodel.Map:
		return map[string]any{}
	case apimodel.String:
		return u.mark(step, path)
	case apimodel.Integer, apimodel.Long:
		return int64(0)
	case apimodel.Float, apimodel.Double:
		return float64(0)
	case apimodel.Boolean:
		return false
	}
	// A time or bytes that nobody knows yet are left out: nothing could mark them.
	return nil
}

// reportsFailure finds members that are empty when all went well, and those
// that ask for a next page.
func reportsFailure(name string) bool {
	for _, part := range []string{"Error", "Fail", "Unprocessed", "Unsuccessful", "NextToken", "NextMarker", "nextToken", "error", "fail", "unprocessed"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return name == "Marker" || name == "IsTruncated"
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// plainValue copies v through JSON, keeping whole numbers whole, so that what a
// plan holds is what its stored text reads back as.
func plainValue(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var out any
	if err := dec.Decode(&out); err != nil {
		return nil, err
	}
	return numbers(out), nil
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case map[string]any:
		for k := range maps.Keys(v) {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}

// forPolicy marks in an input what only applying will tell in the way of
// apimodel's policies, for which it is a wildcard.
func forPolicy(v any) any {
	switch v := v.(type) {
	case string:
		return placeholder.ReplaceAllLiteralString(v, apimodel.Unknown)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = forPolicy(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = forPolicy(x)
		}
		return out
	}
	return v
}
