package awsapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/jmespath/go-jmespath"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
)

// WaitOptions change how a wait asks, in boto3's terms (WaiterConfig).
type WaitOptions struct {
	// Step is the runbook's step that calls, "" outside one.
	Step string
	// Delay is between two questions. Default: the waiter's own.
	Delay time.Duration
	// MaxAttempts is how often it asks. Default: the waiter's own.
	MaxAttempts int
	// Sleep waits between questions. Default waits on a timer or until ctx ends.
	Sleep func(ctx context.Context, d time.Duration) error
}

// WaiterError says why a wait ended without what it waited for, in botocore's
// words.
type WaiterError struct {
	Waiter string // "bucket_exists" as it was asked for
	Reason string
	Err    error // what AWS answered last, where it was an error
}

// Error prints botocore's text.
func (e *WaiterError) Error() string { return fmt.Sprintf("Waiter %s failed: %s", e.Waiter, e.Reason) }

// Unwrap gives AWS's error.
func (e *WaiterError) Unwrap() error { return e.Err }

// Wait asks, with the operation that the waiter names, until the resource is in
// the state that the waiter is for. call.Operation is ignored. In plan mode a
// state that only applying will tell counts as reached. Errors: *WaiterError, an
// unknown waiter (fault.NotFound), and what the caller says that AWS did not.
func (g *Gate) Wait(ctx context.Context, caller Caller, waiter string, call apimodel.Call, o WaitOptions) error {
	s, err := g.cfg.Models.Service(call.Service)
	if err != nil {
		return err
	}
	w, err := s.Waiter(waiter)
	if err != nil {
		return err
	}
	if o.Delay <= 0 {
		o.Delay = time.Duration(w.Delay) * time.Second
	}
	if o.MaxAttempts <= 0 {
		o.MaxAttempts = w.MaxAttempts
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	call = call.Clone()
	call.Operation = w.Operation
	return wait(ctx, caller, w, call, o)
}

func wait(ctx context.Context, caller Caller, w apimodel.Waiter, call apimodel.Call, o WaitOptions) error {
	failed := func(err error, format string, args ...any) error {
		return &WaiterError{Waiter: w.Name, Reason: fmt.Sprintf(format, args...), Err: err}
	}
	var matched *apimodel.Acceptor
	for attempt := 1; ; attempt++ {
		reply, err := caller.Call(ctx, o.Step, call)
		var refused *apimodel.APIError
		if err != nil && !errors.As(err, &refused) {
			return err
		}
		answer := waitAnswer(caller, reply, refused)
		if answer.unknown {
			return nil
		}
		a, err := answer.match(w)
		if err != nil {
			return fault.E(fault.Internal, "wait for "+w.Name, err)
		}
		switch {
		case a == nil && refused != nil:
			return failed(refused, "An error occurred (%s): %s", refused.Code, refused.Message)
		case a != nil:
			matched = a
		}
		switch {
		case a != nil && a.State == "success":
			return nil
		case a != nil && a.State == "failure":
			return failed(asError(refused), "Waiter encountered a terminal failure state: %s", explain(*a))
		case attempt >= o.MaxAttempts && matched == nil:
			return failed(asError(refused), "Max attempts exceeded")
		case attempt >= o.MaxAttempts:
			return failed(asError(refused), "Max attempts exceeded. Previously accepted state: %s", explain(*matched))
		}
		if err := o.Sleep(ctx, o.Delay); err != nil {
			return fault.E(fault.Unavailable, "wait for "+w.Name, err)
		}
	}
}

// asError keeps a nil pointer from becoming an error that is not nil.
func asError(e *apimodel.APIError) error {
	if e == nil {
		return nil
	}
	return e
}

// waited is an answer as acceptors look at it.
type waited struct {
	status  int
	code    string // "" = no error
	output  any    // numbers are float64, as JMESPath compares them
	unknown bool
}

func waitAnswer(caller Caller, reply apimodel.Reply, refused *apimodel.APIError) waited {
	if refused != nil {
		return waited{status: refused.HTTPStatus, code: refused.Code}
	}
	if p, ok := caller.(interface{ IsUnknown(v any) bool }); ok && p.IsUnknown(reply.Output) {
		return waited{unknown: true}
	}
	meta, _ := reply.Output["ResponseMetadata"].(map[string]any)
	status, _ := asInt(meta["HTTPStatusCode"])
	out := waited{status: int(status)}
	// Through JSON: an acceptor looks at text, numbers and truth values only.
	if text, err := json.Marshal(reply.Output); err == nil {
		_ = json.Unmarshal(text, &out.output)
	}
	return out
}

// match gives the first acceptor that fits.
func (a waited) match(w apimodel.Waiter) (*apimodel.Acceptor, error) {
	for i := range w.Acceptors {
		acceptor := &w.Acceptors[i]
		ok, err := a.fits(*acceptor)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", acceptor.Argument, err)
		}
		if ok {
			return acceptor, nil
		}
	}
	return nil, nil //nolint:nilnil // nil is the value: none fits
}

func (a waited) fits(acceptor apimodel.Acceptor) (bool, error) {
	switch acceptor.Matcher {
	case "status":
		want, ok := asInt(acceptor.Expected)
		return ok && int64(a.status) == want, nil
	case "error":
		if want, ok := acceptor.Expected.(bool); ok {
			return want == (a.code != ""), nil
		}
		return a.code != "" && a.code == acceptor.Expected, nil
	}
	if a.code != "" {
		return false, nil
	}
	v, err := jmespath.Search(acceptor.Argument, a.output)
	if err != nil {
		return false, err
	}
	if acceptor.Matcher == "path" {
		return reflect.DeepEqual(v, acceptor.Expected), nil
	}
	items, ok := v.([]any)
	if !ok || len(items) == 0 {
		return false, nil
	}
	all := acceptor.Matcher == "pathAll"
	for _, item := range items {
		if reflect.DeepEqual(item, acceptor.Expected) != all {
			return !all, nil
		}
	}
	return all, nil
}

// explain words an acceptor as botocore does.
func explain(a apimodel.Acceptor) string {
	want := pythonText(a.Expected, false)
	switch a.Matcher {
	case "path":
		return fmt.Sprintf("For expression \"%s\" we matched expected path: \"%s\"", a.Argument, want)
	case "pathAll":
		return fmt.Sprintf("For expression \"%s\" all members matched expected path: \"%s\"", a.Argument, want)
	case "pathAny":
		return fmt.Sprintf("For expression \"%s\" we matched expected path: \"%s\" at least once", a.Argument, want)
	case "status":
		return "Matched expected HTTP status code: " + want
	}
	return "Matched expected service error code: " + want
}
