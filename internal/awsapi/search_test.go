package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// nodes is an EC2 with one instance and a Systems Manager that runs commands on it.
type nodes struct {
	mu       sync.Mutex
	state    string
	launched time.Time
	commands []any
	sent     []string
	// lose fails the next change: "before" or "after" it is made.
	lose string
	// deaf makes every read fail that looks for commands.
	deaf error
}

func (n *nodes) Send(_ context.Context, _ awsapi.Credentials, c apimodel.Call) (apimodel.Reply, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, c.Operation)
	lose := ""
	if isChange(c) {
		lose, n.lose = n.lose, ""
	}
	if lose == "before" {
		return apimodel.Reply{}, errLost
	}
	out, err := n.answer(c)
	if err == nil && lose == "after" {
		err = errLost
	}
	return apimodel.Reply{Output: out}, err
}

func (n *nodes) answer(c apimodel.Call) (map[string]any, error) {
	switch c.Operation {
	case "DescribeInstances":
		i := map[string]any{"InstanceId": "i-1", "State": map[string]any{"Name": n.state}, "LaunchTime": n.launched}
		return map[string]any{"Reservations": []any{map[string]any{"Instances": []any{i}}}}, nil
	case "StopInstances":
		if c.Input["DryRun"] == true {
			return nil, &apimodel.APIError{Service: "ec2", Operation: c.Operation, Code: "DryRunOperation", HTTPStatus: 412}
		}
		n.state = "stopping"
	case "SendCommand":
		command := map[string]any{"CommandId": fmt.Sprintf("c-%d", len(n.commands)+1), "Comment": c.Input["Comment"]}
		n.commands = append(n.commands, command)
		return map[string]any{"Command": command}, nil
	case "ListCommands":
		if c.Input["NextToken"] != nil {
			from := len(n.commands) / 2
			return map[string]any{"Commands": n.commands[from:]}, n.deaf
		}
		if len(n.commands) > 2 {
			return map[string]any{"Commands": n.commands[:len(n.commands)/2], "NextToken": "2"}, n.deaf
		}
		return map[string]any{"Commands": n.commands}, n.deaf
	default:
		return nil, fmt.Errorf("nobody answers %s", c.Operation)
	}
	return map[string]any{}, nil
}

func (n *nodes) changes() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(n.sent), func(op string) bool { return op != "StopInstances" && op != "SendCommand" })
}

func withNodes(t *testing.T) (*world, *nodes) {
	t.Helper()
	n := &nodes{state: "running", launched: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return newWorld(t, func(c *awsapi.Config) { c.Sender = n }), n
}

var stopIt = stepCall{"Stop", apimodel.Call{Service: "ec2", Operation: "StopInstances", Account: member, Region: region, Input: map[string]any{"InstanceIds": []any{"i-1"}}}}

func sendIt(more map[string]any) stepCall {
	in := map[string]any{"DocumentName": "AWS-RunShellScript", "InstanceIds": []any{"i-1"}}
	for k, v := range more {
		in[k] = v
	}
	return stepCall{"Run", ssm("SendCommand", in)}
}

// interrupt applies c in a session that dies with the change under way, as after a
// kill: the intent is recorded and no outcome.
func interrupt(t *testing.T, w *world, n *nodes, plan *remediation.Plan, c stepCall, lose string) {
	t.Helper()
	n.lose = lose
	if _, err := w.apply(plan).Call(t.Context(), c.step, c.call); err == nil {
		t.Fatal("the answer was not lost")
	}
	for id, rec := range w.recorder.changes {
		rec.Outcome = remediation.Intended
		w.recorder.changes[id] = rec
	}
	n.sent = nil
}

// TestAStopInDoubtIsHeldAgainstTheInstance: it is sent again where the instance is on
// its way, or as it was; not where somebody has started it, or ends it.
func TestAStopInDoubtIsHeldAgainstTheInstance(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state string
		later time.Duration // by which the instance was started since
		again bool
	}{
		"it was not made":     {"running", 0, true},
		"it was made":         {"stopping", 0, true},
		"it has stopped":      {"stopped", 0, true},
		"it is started again": {"pending", time.Hour, false},
		"it runs again":       {"running", time.Hour, false},
		"it is terminated":    {"shutting-down", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, n := withNodes(t)
			plan := w.plan([]stepCall{stopIt})
			rec := remediation.Change{
				ID: "exec-1/Stop/1.1", Remediation: "rem-1", Execution: "exec-1", Call: plan.Calls[0], Before: plan.Calls[0].Before, Outcome: remediation.Intended,
			}
			if err := w.recorder.RecordIntent(t.Context(), rec); err != nil {
				t.Fatal(err)
			}
			n.state, n.launched, n.sent = c.state, n.launched.Add(c.later), nil
			_, err := w.apply(plan).Call(t.Context(), stopIt.step, stopIt.call)
			if c.again != (err == nil) || c.again != (len(n.changes()) == 1) || !c.again && !errors.Is(err, awsapi.ErrUncertain) {
				t.Errorf("sent %v, %v", n.changes(), err)
			}
		})
	}
}

// TestACommandIsFoundAgain: SendCommand takes no token, so that what became of it after
// a kill is told by the comment that Parry put on it.
func TestACommandIsFoundAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		input     map[string]any
		lose      string
		meanwhile func(n *nodes)
		want      string // the command that the step goes on with
		transient bool
	}{
		"it was made": {nil, "after", func(*nodes) {}, "c-1", false},
		"it was made, among others": {nil, "after", func(n *nodes) {
			n.commands = append(n.commands, map[string]any{"CommandId": "x"}, map[string]any{"CommandId": "y"})
		}, "c-1", false},
		"it was made, on the second page":  {nil, "after", func(n *nodes) { n.commands = append([]any{map[string]any{}, map[string]any{}}, n.commands...) }, "c-1", false},
		"it was not made, or is not there": {nil, "before", func(*nodes) {}, "", false},
		"its comment stands on two":        {nil, "after", func(n *nodes) { n.commands = append(n.commands, n.commands[0]) }, "", false},
		"its comment is the document's":    {map[string]any{"Comment": "patch"}, "after", func(*nodes) {}, "", false},
		"commands cannot be listed now": {nil, "after", func(n *nodes) {
			n.deaf = &apimodel.APIError{Service: "ssm", Operation: "ListCommands", HTTPStatus: 503}
		}, "", true},
		"commands may not be listed at all": {nil, "after", func(n *nodes) {
			n.deaf = &apimodel.APIError{Service: "ssm", Operation: "ListCommands", HTTPStatus: 403}
		}, "", false},
		"the comment is another execution's": {map[string]any{"Comment": "parry:00000000-0000-0000-0000-000000000000"}, "after", func(*nodes) {}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, n := withNodes(t)
			call := sendIt(c.input)
			plan := w.plan([]stepCall{call})
			n.deaf = errors.New("not while the process dies") // so that the first session finds nothing
			interrupt(t, w, n, plan, call, c.lose)
			n.deaf = nil
			c.meanwhile(n)
			reply, err := w.apply(plan).Call(t.Context(), call.step, call.call)
			if len(n.changes()) > 0 {
				t.Errorf("sent again: %v", n.changes())
			}
			if c.want == "" {
				if _, again := fault.IsTransient(err); again != c.transient || !c.transient && !errors.Is(err, awsapi.ErrUncertain) {
					t.Errorf("%v, %v", reply.Output, err)
				}
				return
			}
			command, _ := reply.Output["Command"].(map[string]any)
			if err != nil || command["CommandId"] != c.want || !strings.HasPrefix(fmt.Sprint(command["Comment"]), "parry:") {
				t.Errorf("%v, %v", reply.Output, err)
			}
			if diff := cmp.Diff([]string{"exec-1/Run/1.1 applied"}, w.recorder.outcomes()); diff != "" {
				t.Error(diff)
			}
			// Once more, as after a kill between the outcome and the end of the step.
			if reply, err = w.apply(plan).Call(t.Context(), call.step, call.call); err != nil || reply.Output["Command"].(map[string]any)["CommandId"] != c.want {
				t.Errorf("%v, %v", reply.Output, err)
			}
		})
	}
}

// TestALostAnswerToACommandIsFound in the same process.
func TestALostAnswerToACommandIsFound(t *testing.T) {
	t.Parallel()
	w, n := withNodes(t)
	call := sendIt(nil)
	plan := w.plan([]stepCall{call})
	n.lose = "after"
	reply, err := w.apply(plan).Call(t.Context(), call.step, call.call)
	if err != nil || reply.Output["Command"].(map[string]any)["CommandId"] != "c-1" || len(n.changes()) != 1 {
		t.Errorf("%v, %v after %v", reply.Output, err, n.changes())
	}
	if plan.Calls[0].Input["Comment"] != nil {
		t.Error("the plan was changed")
	}
}

// forgetful loses the answers to SendCommand: the command is made.
type forgetful struct{ lost atomic.Int32 }

func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Header.Get("X-Amz-Target") == "AmazonSSM.SendCommand" {
		f.lost.Add(1)
		_ = resp.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return resp, err
}

// TestMotoFindsACommandAgain: the whole wire, with moto's own ListCommands.
func TestMotoFindsACommandAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	_, address := startMoto(t)
	wire := &forgetful{}
	client := newClient(t, address, func(c *awsapi.ClientConfig) { c.HTTP = &http.Client{Transport: wire} })
	w := newWorld(t, func(c *awsapi.Config) {
		c.Sender, c.Credentials, c.Guards, c.Clock = client, awsapi.NewStaticCredentials(client, testKeys), awsapi.Guards{Accounts: []string{member}}, nil
	})
	call := sendIt(map[string]any{"Parameters": map[string]any{"commands": []any{"true"}}})
	reply, err := w.apply(w.plan([]stepCall{call})).Call(t.Context(), call.step, call.call)
	if err != nil || wire.lost.Load() != 1 {
		t.Fatalf("%v; it was sent %d times", err, wire.lost.Load())
	}
	command, _ := reply.Output["Command"].(map[string]any)
	if id, _ := command["CommandId"].(string); len(id) != 36 || command["DocumentName"] != "AWS-RunShellScript" {
		t.Errorf("found %v", command)
	}
}
