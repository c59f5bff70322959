package automation_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
)

// mailbox gives a cancellation once so many calls have been made.
type mailbox struct {
	caller *caller
	after  int
}

func (m mailbox) Signals(_ context.Context, _ string, after int64) ([]automation.Signal, error) {
	if after >= 1 || len(m.caller.calls) < m.after {
		return nil, nil
	}
	return []automation.Signal{{N: 1, Kind: automation.SignalCancel, By: "jo"}}, nil
}

// TestCancellingEndsWhatAStepBegan: the call that ends it goes out under a label
// of its own, once, and the step that onCancel names runs afterwards.
func TestCancellingEndsWhatAStepBegan(t *testing.T) {
	t.Parallel()
	command := map[string][]any{"SendCommand": {map[string]any{"Command": map[string]any{"CommandId": "c-1"}}}, "ListCommands": {commands("InProgress", 0)}}
	machine := map[string][]any{"StartExecution": {map[string]any{"executionArn": "arn:e"}}, "DescribeExecution": {map[string]any{"status": "RUNNING"}}}
	refused := map[string][]any{"CancelCommand": {fault.Errorf(fault.Denied, "apply", "not in the plan")}}
	for op, list := range command {
		refused[op] = list
	}
	for name, tt := range map[string]struct {
		action, inputs, rest string
		answers              map[string][]any
		after                int // calls before the cancellation
		calls                string
		input                map[string]any // of the call that ends it
	}{
		"a command": {
			"runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "", command, 3,
			"A:SendCommand A:ListCommands A:ListCommands A~cancel:CancelCommand",
			map[string]any{"CommandId": "c-1"},
		},
		"a command, then its onCancel": {
			"runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  onCancel: step:B\n", command, 2,
			"A:SendCommand A:ListCommands A~cancel:CancelCommand B:B",
			map[string]any{"CommandId": "c-1"},
		},
		"a command in a later segment": {
			"runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "", command, 12, "", map[string]any{"CommandId": "c-1"},
		},
		"a command that the plan does not let end": {
			"runCommand", "{DocumentName: D, InstanceIds: [i-1]}", "  onCancel: step:B\n", refused, 2,
			"A:SendCommand A:ListCommands A~cancel:CancelCommand B:B",
			map[string]any{"CommandId": "c-1"},
		},
		"a state machine": {
			"executeStateMachine", "{stateMachineArn: m}", "", machine, 2,
			"A:StartExecution A:DescribeExecution A~cancel:StopExecution",
			map[string]any{"executionArn": "arn:e", "cause": "the automation was cancelled"},
		},
		"a stack, which CloudFormation goes on with": {
			"createStack", "{StackName: s}", "  onCancel: step:B\n",
			map[string][]any{"CreateStack": {map[string]any{"StackId": "arn:stack/1"}}, "DescribeStacks": {stacks("CREATE_IN_PROGRESS")}},
			2,
			"A:CreateStack A:DescribeStacks B:B", nil,
		},
		"an image, which EC2 goes on with": {
			"createImage", "{InstanceId: i-1, ImageName: n}", "",
			map[string][]any{"CreateImage": {map[string]any{"ImageId": "ami-1"}}, "DescribeImages": {images("pending")}},
			2,
			"A:CreateImage A:DescribeImages", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setup(t, action("A", tt.action, tt.inputs, tt.rest+"  isEnd: true\n")+step("B", "  isEnd: true\n"))
			for op, list := range tt.answers {
				f.caller.answers[op] = list
			}
			f.run.Inbox = mailbox{f.caller, tt.after}
			o, _ := f.finish(t)
			if o.Status != automation.Cancelled || o.Abort != nil {
				t.Errorf("ended %s: %+v", o.Status, o.Failure)
			}
			if got := strings.Join(f.caller.calls, " "); tt.calls != "" && got != tt.calls {
				t.Errorf("calls %s, want %s", got, tt.calls)
			}
			ends := 0
			for i, c := range f.caller.calls {
				if strings.HasPrefix(c, "A~cancel:") {
					ends++
					if diff := cmp.Diff(tt.input, f.caller.inputs[i]); diff != "" {
						t.Error(diff)
					}
				}
			}
			if want := min(len(tt.input), 1); ends != want {
				t.Errorf("ended %d times, want %d: %v", ends, want, f.caller.calls)
			}
			again := f.segment(t)
			if again.Status != automation.Cancelled || strings.Count(strings.Join(f.caller.calls, " "), "~cancel") != ends {
				t.Errorf("a replay ended %s after %v", again.Status, f.caller.calls)
			}
		})
	}
}

// TestNothingIsBegunAfterACancellation: a step that was not begun is not.
func TestNothingIsBegunAfterACancellation(t *testing.T) {
	t.Parallel()
	f := setup(t, step("First", "")+action("A", "runCommand", "{DocumentName: D, InstanceIds: [i-1]}", ""))
	f.caller.answers["First"] = []any{func(context.Context) (apimodel.Reply, error) { return apimodel.Reply{Output: map[string]any{}}, nil }}
	f.run.Inbox = mailbox{f.caller, 1} // asked for while First is under way
	o, _ := f.finish(t)
	if o.Status != automation.Cancelled || operations(f) != "First" {
		t.Errorf("ended %s after %s", o.Status, operations(f))
	}
}
