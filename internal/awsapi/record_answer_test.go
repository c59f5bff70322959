package awsapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
)

// TestAnswerOutlivesTheProcess: a change that was applied is answered after a
// restart as it was before, in all its types.
func TestAnswerOutlivesTheProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call   apimodel.Call
		answer map[string]any
		kept   bool
	}{
		"time and flag": {
			apimodel.Call{Service: "kms", Operation: "CreateKey", Input: map[string]any{}},
			map[string]any{"KeyMetadata": map[string]any{"KeyId": "k", "Enabled": true, "CreationDate": time.Date(2026, 11, 23, 1, 2, 3, 4000, time.UTC)}},
			true,
		},
		"bytes and number": {
			apimodel.Call{Service: "lambda", Operation: "Invoke", Input: map[string]any{"FunctionName": "f"}},
			map[string]any{"StatusCode": int64(200), "Payload": []byte("{\"x\":\"\xff\"}")},
			true,
		},
		"map of lists": {
			apimodel.Call{Service: "ssm", Operation: "SendCommand", Input: map[string]any{"DocumentName": "d"}},
			map[string]any{"Command": map[string]any{"CommandId": "c", "Parameters": map[string]any{"commands": []any{"2026-11-23T00:00:00Z"}}, "TargetCount": int64(9007199254740993)}},
			true,
		},
		"too long": {
			apimodel.Call{Service: "ssm", Operation: "SendCommand", Input: map[string]any{"DocumentName": "d"}},
			map[string]any{"Command": map[string]any{"Comment": strings.Repeat("x", 300<<10)}},
			false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.call.Account, c.call.Region = member, region
			w.aws.answers = map[string]map[string]any{c.call.Operation: c.answer}
			plan := w.plan([]stepCall{{"Make", c.call}})
			first, err := w.apply(plan).Call(t.Context(), "Make", c.call)
			if err != nil {
				t.Fatal(err)
			}
			w.aws.sent()
			again, err := w.apply(plan).Call(t.Context(), "Make", c.call)
			if err != nil || len(w.aws.sent()) > 0 {
				t.Fatalf("after a restart: %v", err)
			}
			delete(first.Output, "ResponseMetadata")
			delete(again.Output, "ResponseMetadata")
			if !c.kept {
				first.Output = map[string]any{}
			}
			if diff := cmp.Diff(first.Output, again.Output); diff != "" {
				t.Error(diff)
			}
		})
	}
}
