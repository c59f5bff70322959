package awsapi_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
)

// engine stands for Parry's own automation: it knows documents whose names begin
// with "My".
type engine struct {
	mu      sync.Mutex
	started map[string]string // document by token
	asked   []awsapi.LocalCall
	err     error
}

func (e *engine) Answers(_ context.Context, c awsapi.LocalCall) (bool, error) {
	name, named := c.Input["DocumentName"].(string)
	return !named || strings.HasPrefix(name, "My"), e.err
}

func (e *engine) Answer(_ context.Context, c awsapi.LocalCall) (apimodel.Reply, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = append(e.asked, c)
	if c.Operation != "StartAutomationExecution" {
		return apimodel.Reply{Output: map[string]any{"AutomationExecution": map[string]any{"AutomationExecutionStatus": "Success"}}}, nil
	}
	token, _ := c.Input["ClientToken"].(string)
	e.started[token], _ = c.Input["DocumentName"].(string)
	return apimodel.Reply{Output: map[string]any{"AutomationExecutionId": "x"}}, nil
}

func localWorld(t *testing.T) (*world, *engine) {
	t.Helper()
	e := &engine{started: map[string]string{}}
	w := newWorld(t, func(c *awsapi.Config) {
		c.Local = map[string]awsapi.Local{"ssm:StartAutomationExecution": e, "ssm:GetAutomationExecution": e}
	})
	return w, e
}

func ssm(op string, in map[string]any) apimodel.Call {
	return apimodel.Call{Service: "ssm", Operation: op, Account: member, Region: region, Input: in}
}

// TestWhatParryAnswersItself is planned, approved and recorded like other
// changes, and never reaches AWS; what it does not know goes there.
func TestWhatParryAnswersItself(t *testing.T) {
	t.Parallel()
	w, e := localWorld(t)
	calls := []stepCall{
		{"Start", ssm("StartAutomationExecution", map[string]any{"DocumentName": "MyFix"})},
		{"Theirs", ssm("StartAutomationExecution", map[string]any{"DocumentName": "AWS-RestartEC2Instance"})},
		{"Look", ssm("GetAutomationExecution", map[string]any{"AutomationExecutionId": "00000000-0000-0000-0000-000000000000"})},
	}
	plan := w.plan(calls)
	if len(e.started) > 0 || len(e.asked) != 1 || e.asked[0].Mode != awsapi.ModePlan || e.asked[0].Class != apimodel.Read {
		t.Errorf("planning started %v, asked %+v", e.started, e.asked)
	}
	if start := plan.Calls[0]; !start.EffectUnknown || !start.Irreversible || start.Class != apimodel.Change {
		t.Errorf("planned %+v", start)
	}
	w.aws.sent()
	for range 2 { // the second session is a restart
		e.asked = nil
		if err := run(t.Context(), w.apply(plan), calls); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"StartAutomationExecution"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	if len(e.started) != 1 || len(e.asked) != 1 || e.asked[0].Operation != "GetAutomationExecution" {
		t.Errorf("started %v, asked again %+v", e.started, e.asked)
	}
	if diff := cmp.Diff([]string{"exec-1/Start/1.1 applied", "exec-1/Theirs/2.1 applied"}, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatParryAnswersItselfIsGuarded(t *testing.T) {
	t.Parallel()
	w, e := localWorld(t)
	call := ssm("StartAutomationExecution", map[string]any{"DocumentName": "MyFix"})
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", call); !fault.Is(err, fault.Denied) {
		t.Errorf("a read-only session: %v", err)
	}
	plan := w.plan([]stepCall{{"Start", call}})
	if _, err := w.apply(plan).Call(t.Context(), "Start", ssm("StartAutomationExecution", map[string]any{"DocumentName": "MyOther"})); !errors.Is(err, awsapi.ErrNotInPlan) {
		t.Errorf("another document: %v", err)
	}
	w.stop = func(context.Context) (bool, string, error) { return true, "drill", nil }
	if _, err := w.apply(plan).Call(t.Context(), "Start", call); !errors.Is(err, awsapi.ErrStopped) {
		t.Errorf("under the stop switch: %v", err)
	}
	w.stop = func(context.Context) (bool, string, error) { return false, "", nil }
	e.err = fault.Errorf(fault.Unavailable, "find document", "database is away")
	w.aws.sent()
	if _, err := w.apply(plan).Call(t.Context(), "Start", call); err == nil || len(w.aws.sent()) > 0 {
		t.Errorf("who answers cannot be told: %v", err)
	}
	if len(e.started) > 0 {
		t.Errorf("started %v", e.started)
	}
}

// A session that asks AWS itself is answered by AWS, also about what Parry stands
// in for: a collector that reconciles with AWS would else compare Parry with Parry.
func TestASessionAtAWSIsNotAnsweredHere(t *testing.T) {
	t.Parallel()
	w, e := localWorld(t)
	look := ssm("GetAutomationExecution", map[string]any{"AutomationExecutionId": "00000000-0000-0000-0000-000000000000"})
	w.aws.sent()
	there := as
	there.AtAWS = true
	_, _ = w.gate.ReadOnly(there).Call(t.Context(), "", look) // the fake need not know it
	if len(e.asked) > 0 || len(w.aws.sent()) != 1 {
		t.Errorf("asked here: %+v", e.asked)
	}
	if _, err := w.gate.ReadOnly(as).Call(t.Context(), "", look); err != nil || len(e.asked) != 1 {
		t.Errorf("asked here %d times, %v", len(e.asked), err)
	}
}

func TestUnknownLocalIsRefused(t *testing.T) {
	t.Parallel()
	models, err := catalog()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	for _, local := range []map[string]awsapi.Local{{"ssm": &engine{}}, {":GetDocument": &engine{}}, {"ssm:GetDocument": nil}} {
		if _, err := awsapi.New(awsapi.Config{Sender: w.aws, Models: models, Credentials: w.creds, Local: local}); !fault.Is(err, fault.Invalid) {
			t.Errorf("got %v", err)
		}
	}
}
