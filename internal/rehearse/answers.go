package rehearse

import (
	"context"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
)

// answered runs a case whose AWS is a table of answers: the document's steps
// are interpreted, and nothing is planned, recorded or sent.
func (x *rehearsal) answered(ctx context.Context) (Result, error) {
	var none Result
	given, err := x.resolve(x.Parameters)
	if err != nil {
		return none, err
	}
	x.giveRole(given)
	parameters, err := x.parsed.ResolveParameters(given, nil)
	if err != nil {
		return none, err
	}
	interpreter, err := automation.New(automation.Config{Clock: still{x.cfg.Clock.Now()}})
	if err != nil {
		return none, err
	}
	table := &answers{by: x.Answers}
	outcome, err := interpreter.Run(ctx, automation.Run{
		Document: x.parsed, Parameters: parameters, Caller: table, ExecutionID: "00000000-0000-0000-0000-000000000000",
		Account: x.Account, Region: x.Region,
	})
	if err != nil {
		return none, err
	}
	result := Result{Status: string(outcome.Status), Outputs: outcome.Outputs, Changes: table.calls}
	if outcome.Failure != nil {
		result.Failure = outcome.Failure.Message
	}
	return result, nil
}

// answers is AWS as a table; what it is asked is kept.
type answers struct {
	by    map[string]Input
	calls []apimodel.Call
}

// Call answers what the table has, or nothing.
func (a *answers) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	a.calls = append(a.calls, c)
	out := map[string]any(a.by[c.Service+":"+c.Operation])
	if out == nil {
		out = map[string]any{}
	}
	return apimodel.Reply{Output: out}, nil
}

// still is a clock for which nothing has to wait.
type still struct{ now time.Time }

// Now gives the same time always.
func (s still) Now() time.Time { return s.now }

// Wait returns at once.
func (still) Wait(context.Context, time.Duration) error { return nil }
