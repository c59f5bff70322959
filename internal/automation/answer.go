package automation

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// The journal keeps answers so that a script is given the same values of the
// same types again. A value is a list of its kind and its content; strings,
// Booleans and null stand for themselves.
const (
	kindMap   = "m"
	kindList  = "l"
	kindInt   = "i"
	kindFloat = "f"
	kindBytes = "b"
	kindTime  = "t"
)

// maxValueDepth bounds what is read back, whatever wrote it.
const maxValueDepth = 64

// packValue gives v in the form of the journal.
func packValue(v any, depth int) (any, error) {
	if depth > maxValueDepth {
		return nil, fmt.Errorf("a value is nested more than %d deep", maxValueDepth)
	}
	switch t := v.(type) {
	case nil, string, bool:
		return v, nil
	case int:
		return []any{kindInt, strconv.Itoa(t)}, nil
	case int32:
		return []any{kindInt, strconv.FormatInt(int64(t), 10)}, nil
	case int64:
		return []any{kindInt, strconv.FormatInt(t, 10)}, nil
	case float32:
		return []any{kindFloat, strconv.FormatFloat(float64(t), 'g', -1, 64)}, nil
	case float64:
		return []any{kindFloat, strconv.FormatFloat(t, 'g', -1, 64)}, nil
	case json.Number:
		if _, err := t.Int64(); err == nil {
			return []any{kindInt, t.String()}, nil
		}
		return []any{kindFloat, t.String()}, nil
	case []byte:
		return []any{kindBytes, base64.StdEncoding.EncodeToString(t)}, nil
	case time.Time:
		return []any{kindTime, t.Format(time.RFC3339Nano)}, nil
	case map[string]any:
		if t == nil {
			return nil, nil
		}
		out := make(map[string]any, len(t))
		for k, item := range t {
			packed, err := packValue(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[k] = packed
		}
		return []any{kindMap, out}, nil
	}
	return packList(v, depth)
}

func packList(v any, depth int) (any, error) {
	var items []any
	switch t := v.(type) {
	case []any:
		items = t
	case []string:
		for _, s := range t {
			items = append(items, s)
		}
	case []map[string]any:
		for _, m := range t {
			items = append(items, m)
		}
	default:
		return nil, fmt.Errorf("a %T cannot be kept", v)
	}
	out := make([]any, len(items))
	for i, item := range items {
		packed, err := packValue(item, depth+1)
		if err != nil {
			return nil, err
		}
		out[i] = packed
	}
	return []any{kindList, out}, nil
}

// unpackValue is the way back.
func unpackValue(v any, depth int) (any, error) {
	bad := func() (any, error) { return nil, fmt.Errorf("a kept value is damaged") }
	if depth > maxValueDepth {
		return bad()
	}
	pair, isList := v.([]any)
	if !isList {
		switch v.(type) {
		case nil, string, bool:
			return v, nil
		}
		return bad()
	}
	if len(pair) != 2 {
		return bad()
	}
	kind, _ := pair[0].(string)
	text, isText := pair[1].(string)
	switch {
	case kind == kindMap:
		return unpackMap(pair[1], depth)
	case kind == kindList:
		items, ok := pair[1].([]any)
		if !ok {
			return bad()
		}
		out := make([]any, len(items))
		for i, item := range items {
			var err error
			if out[i], err = unpackValue(item, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case !isText:
		return bad()
	}
	return unpackScalar(kind, text)
}

func unpackMap(v any, depth int) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a kept value is damaged")
	}
	out := make(map[string]any, len(m))
	for k, item := range m {
		var err error
		if out[k], err = unpackValue(item, depth+1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func unpackScalar(kind, text string) (any, error) {
	switch kind {
	case kindInt:
		return strconv.ParseInt(text, 10, 64)
	case kindFloat:
		return strconv.ParseFloat(text, 64)
	case kindBytes:
		return base64.StdEncoding.DecodeString(text)
	case kindTime:
		return time.Parse(time.RFC3339Nano, text)
	}
	return nil, fmt.Errorf("a kept value has the kind %.10q", kind)
}

// answer is what the Caller gave a script for one call: a reply, what AWS
// refused, or an error of another kind.
type answer struct {
	Output  any         `json:"output,omitempty"`
	API     *packedCode `json:"api,omitempty"`
	Code    fault.Code  `json:"code,omitempty"`
	Message string      `json:"message,omitempty"`
	Hint    string      `json:"hint,omitempty"`
	Change  bool        `json:"change,omitempty"`
}

// packedCode is apimodel.APIError with its members in the form of the journal.
type packedCode struct {
	apimodel.APIError
	Packed any `json:"packed"`
}

// packAnswer gives what the journal keeps of one answer.
func packAnswer(reply apimodel.Reply, err error, change bool) ([]byte, error) {
	a := answer{Change: change}
	var wrong error
	var api *apimodel.APIError
	switch {
	case err == nil:
		a.Output, wrong = packValue(reply.Output, 0)
	case asAPIError(err, &api):
		a.API = &packedCode{APIError: *api}
		a.API.Members = nil
		a.API.Packed, wrong = packValue(api.Members, 0)
	default:
		a.Code, a.Message, a.Hint = fault.CodeOf(err), err.Error(), fault.HintOf(err)
	}
	if wrong != nil {
		return nil, fault.E(fault.Internal, "keep the answer to a script", wrong)
	}
	return json.Marshal(a)
}

// unpackAnswer gives the answer again.
func unpackAnswer(raw []byte) (reply apimodel.Reply, answered error, change bool, err error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return reply, nil, false, fault.E(fault.Internal, "read the journal of a script", err)
	}
	switch {
	case a.API != nil:
		members, err := unpackValue(a.API.Packed, 0)
		if err != nil {
			return reply, nil, false, fault.E(fault.Internal, "read the journal of a script", err)
		}
		api := a.API.APIError
		api.Members, _ = members.(map[string]any)
		return reply, &api, a.Change, nil
	case a.Code != "":
		return reply, fault.Errorf(a.Code, "", "%s", a.Message).WithHint("%s", a.Hint), a.Change, nil
	}
	out, err := unpackValue(a.Output, 0)
	if err != nil {
		return reply, nil, false, fault.E(fault.Internal, "read the journal of a script", err)
	}
	reply.Output, _ = out.(map[string]any)
	return reply, nil, a.Change, nil
}

// digest names a call: the same call has the same digest whatever the order of
// its members.
func digest(c apimodel.Call) (string, error) {
	input, err := packValue(c.Input, 0)
	if err != nil {
		return "", fault.E(fault.Invalid, "read the input of "+c.Operation, err)
	}
	raw, err := json.Marshal([]any{strings.ToLower(c.Service), plainName(c.Operation), c.Account, c.Region, c.As, input})
	if err != nil {
		return "", fault.E(fault.Internal, "name a call", err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}

// plainName takes PutObject and put_object as the same.
func plainName(operation string) string {
	return strings.ToLower(strings.ReplaceAll(operation, "_", ""))
}

// kept is one entry of a journal, read.
type kept struct {
	digest string
	answer []byte
	change bool
	used   bool
}

func unused(list []kept) (change bool) {
	return slices.ContainsFunc(list, func(k kept) bool { return k.change && !k.used })
}
