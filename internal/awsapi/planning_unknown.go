package awsapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

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
type unknowns struct {
	nonce string
	whole *regexp.Regexp // a placeholder of this run
	now   time.Time      // stands for times that only applying will tell
}

func newUnknowns(nonce string, now time.Time) unknowns {
	return unknowns{nonce: nonce, now: now, whole: regexp.MustCompile(regexp.QuoteMeta(unknownPrefix) + `[^<> ]* ` + regexp.QuoteMeta(nonce) + `>`)}
}

// markedStep and stepMarked write a label so that it can stand in a placeholder.
var (
	markedStep = strings.NewReplacer("%", "%25", ".", "%2E", "<", "%3C", ">", "%3E", " ", "%20")
	stepMarked = strings.NewReplacer("%25", "%", "%2E", ".", "%3C", "<", "%3E", ">", "%20", " ")
)

func (u unknowns) mark(step, member string) string {
	return unknownPrefix + markedStep.Replace(step) + "." + member + " " + u.nonce + ">"
}

// paths lists where v holds placeholders: "Filters[0].Values[1]", sorted.
func (u unknowns) paths(v any) []string {
	var out []string
	eachTextAt("", v, func(text string) bool { return strings.Contains(text, u.nonce) }, func(path string) { out = append(out, path) })
	slices.Sort(out)
	return out
}

// eachTextAt gives the paths of the texts in v of which is holds.
func eachTextAt(path string, v any, is func(string) bool, found func(string)) {
	switch v := v.(type) {
	case string:
		if is(v) {
			found(path)
		}
	case map[string]any:
		for k, x := range v {
			eachTextAt(joinPath(path, k), x, is, found)
		}
	case []any:
		for i, x := range v {
			eachTextAt(fmt.Sprintf("%s[%d]", path, i), x, is, found)
		}
	case []string:
		for i, x := range v {
			eachTextAt(fmt.Sprintf("%s[%d]", path, i), x, is, found)
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
// are zero, times are that of planning, bytes are none, lists hold one element,
// and what reports failures or further pages is left out.
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
	case apimodel.Timestamp:
		return u.now
	case apimodel.Blob:
		return []byte{}
	}
	// A document that nobody knows yet is left out: nothing could mark it.
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
