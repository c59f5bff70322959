package automation

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	lambdaLimit = 300 * time.Second
	// maxLambdaPayload is what Systems Manager keeps of an answer.
	maxLambdaPayload = 200_000
)

// invokeLambdaFunction is aws:invokeLambdaFunction: one Invoke, at most 300
// seconds and 200 KB of answer. A function that reports an error fails the step.
// Its answer may have been lost on the way: then nobody can tell whether the
// function ran, and the execution is stopped.
//
// AWS's page: automation-action-lamb.html.
func invokeLambdaFunction() task {
	return task{
		limit: lambdaLimit, most: lambdaLimit,
		outputs: []string{"StatusCode", "FunctionError", "LogResult", "Payload"},
		begin:   beginInvokeLambda,
	}
}

func beginInvokeLambda(ctx context.Context, d *doing) error {
	c := d.calls[0]
	kept, err := d.do(ctx, order{service: c.Service, operation: c.Operation, input: c.Input, limit: d.c.timeout, keep: d.keepInvoked})
	if err != nil {
		return err
	}
	d.assume = kept
	if d.x.run.Planning {
		// What a success answers, as AWS documents it.
		kept["StatusCode"] = int64(200)
		if code, ok := map[string]int64{"Event": 202, "DryRun": 204}[textAt(c.Input, "InvocationType")]; ok {
			kept["StatusCode"] = code
		}
	}
	switch text := textAt(kept, "Payload"); {
	case kept["TooLong"] != nil:
		return finally(kept, "The function answered %v bytes, the limit is %d.", kept["TooLong"], maxLambdaPayload)
	case textAt(kept, "FunctionError") != "":
		return finally(kept, "The function reports an error (%.40s): %.1000s", textAt(kept, "FunctionError"), text)
	}
	return nil
}

func (d *doing) keepInvoked(out map[string]any) map[string]any {
	kept := map[string]any{"StatusCode": out["StatusCode"]}
	for _, name := range []string{"FunctionError", "LogResult"} {
		if v, ok := out[name].(string); ok {
			kept[name] = v
		}
	}
	raw, _ := out["Payload"].([]byte)
	switch mark := d.mark(out); {
	case mark != "":
		// Planning knows of texts that they are not known yet, not of bytes.
		kept["Payload"] = strings.Replace(mark, ".LogResult", ".Payload", 1)
	case len(raw) > maxLambdaPayload:
		kept["TooLong"] = len(raw)
	default:
		kept["Payload"] = strings.ToValidUTF8(string(raw), string(utf8.RuneError))
	}
	return kept
}

// mark gives a text of a planning's answer that stands for what only applying
// will tell.
func (d *doing) mark(out map[string]any) string {
	if text, ok := out["LogResult"].(string); ok && d.isUnknown(text) {
		return text
	}
	return ""
}
