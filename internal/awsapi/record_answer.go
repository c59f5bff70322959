package awsapi

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

// maxKeptAnswer bounds an answer that is kept with its change. A longer one is
// left out, and a restart in the moment between that answer and the end of its
// step tells the step that the answer was lost.
const maxKeptAnswer = 256 << 10

// keptAnswer writes an answer so that answerOf reads it back with its types; nil
// where there is nothing to keep.
func keptAnswer(op *apimodel.Operation, reply apimodel.Reply) json.RawMessage {
	if op.Output == nil || len(op.Output.Members) == 0 {
		return nil
	}
	raw, err := json.Marshal(reply.Output)
	if err != nil || len(raw) > maxKeptAnswer {
		return nil
	}
	return raw
}

// answerOf reads the answer that is kept with an applied change.
func answerOf(op *apimodel.Operation, rec remediation.Change) (apimodel.Reply, bool) {
	if rec.Answer == nil {
		return apimodel.Reply{}, false
	}
	plain, err := plainValue(rec.Answer)
	out, ok := plain.(map[string]any)
	if err != nil || !ok {
		return apimodel.Reply{}, false
	}
	meta := out["ResponseMetadata"]
	typed, _ := typedValue(op.Output, out, 0).(map[string]any)
	if typed == nil {
		return apimodel.Reply{}, false
	}
	typed["ResponseMetadata"] = meta
	return apimodel.Reply{Output: typed}, true
}

// typedValue gives a value that went through JSON the types that the model says.
func typedValue(s *apimodel.Shape, v any, depth int) any {
	if s == nil || v == nil || depth > maxInputDepth {
		return v
	}
	switch t := v.(type) {
	case map[string]any:
		for k, x := range t {
			if s.Type == apimodel.Map {
				t[k] = typedValue(s.Value.Shape, x, depth+1)
			} else if m, ok := s.Member(k); ok {
				t[k] = typedValue(m.Shape, x, depth+1)
			}
		}
	case []any:
		if s.Type == apimodel.List {
			for i, x := range t {
				t[i] = typedValue(s.Elem.Shape, x, depth+1)
			}
		}
	case string:
		return typedText(s, t)
	case int64:
		if s.Type == apimodel.Float || s.Type == apimodel.Double {
			return float64(t)
		}
	}
	return v
}

func typedText(s *apimodel.Shape, text string) any {
	switch s.Type {
	case apimodel.Timestamp:
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return at
		}
	case apimodel.Blob:
		if b, err := base64.StdEncoding.DecodeString(text); err == nil {
			return b
		}
	}
	return text
}
