package automation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var stackOutputs = []string{"StackId", "StackStatus", "StackStatusReason"}

// createStack is aws:createStack: CreateStack, then looks until the stack is
// complete or has failed for good, its rollback included. Without a
// ClientRequestToken it gives one that a restart gives again.
//
// AWS's page: automation-action-createstack.html.
func createStack() task {
	return task{outputs: stackOutputs, begin: beginCreateStack, look: lookCreateStack}
}

func beginCreateStack(ctx context.Context, d *doing) error {
	kept, err := d.first(ctx, func(out map[string]any) map[string]any {
		return map[string]any{"StackId": textAt(out, "StackId")}
	})
	if err != nil {
		return err
	}
	if textAt(kept, "StackId") == "" {
		return finally(nil, "CreateStack answered no stack.")
	}
	d.assume = map[string]any{"StackId": kept["StackId"], "StackStatus": "CREATE_COMPLETE"}
	return nil
}

func lookCreateStack(ctx context.Context, d *doing) (sight, error) {
	s, err := lookAtStack(ctx, d, textAt(d.notes["CreateStack"], "StackId"))
	if err != nil {
		return s, err
	}
	switch status := textAt(s.outputs, "StackStatus"); status {
	case "CREATE_COMPLETE":
		s.done = true
	case "CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_COMPLETE", "DELETE_FAILED":
		return s, finally(s.outputs, "The stack is %s: %.500s", status, textAt(s.outputs, "StackStatusReason"))
	}
	return s, nil
}

// lookAtStack reads a stack, by its id where that is known: by its name a deleted
// stack cannot be found.
func lookAtStack(ctx context.Context, d *doing, stack string) (sight, error) {
	s := sight{outputs: map[string]any{"StackId": stack}, seen: "the stack is not shown yet"}
	out, err := d.ask(ctx, "cloudformation", "DescribeStacks", map[string]any{"StackName": stack})
	if err != nil {
		return s, err
	}
	if found := at(out, "Stacks", 0); found != nil {
		for _, name := range stackOutputs {
			s.outputs[name] = textAt(found, name)
		}
		s.seen = fmt.Sprintf("the stack is %s", s.outputs["StackStatus"])
	}
	return s, nil
}

// deleteStack is aws:deleteStack: DeleteStack, then looks until the stack is
// deleted. A stack that does not exist counts as deleted, as it does for
// DeleteStack.
//
// AWS's page: automation-action-deletestack.html.
func deleteStack() task {
	return task{outputs: stackOutputs, begin: beginDeleteStack, look: lookDeleteStack}
}

func beginDeleteStack(ctx context.Context, d *doing) error {
	read := order{service: "cloudformation", operation: "DescribeStacks", read: true, input: d.calls[0].Input, keep: func(out map[string]any) map[string]any {
		return map[string]any{"StackId": textAt(out, "Stacks", 0, "StackId")}
	}}
	kept, err := d.do(ctx, read)
	if err != nil && !isNoStack(err) {
		return err
	}
	d.assume = map[string]any{"StackId": textAt(kept, "StackId"), "StackStatus": "DELETE_COMPLETE"}
	_, err = d.do(ctx, order{service: "cloudformation", operation: "DeleteStack", input: d.calls[1].Input})
	return err
}

func lookDeleteStack(ctx context.Context, d *doing) (sight, error) {
	stack := textAt(d.notes["DescribeStacks"], "StackId")
	if stack == "" {
		stack = textAt(d.calls[0].Input, "StackName")
	}
	s, err := lookAtStack(ctx, d, stack)
	if isNoStack(err) {
		return sight{done: true, outputs: d.assume}, nil
	}
	if err != nil {
		return s, err
	}
	switch status := textAt(s.outputs, "StackStatus"); status {
	case "DELETE_COMPLETE":
		s.done = true
	case "DELETE_FAILED":
		return s, finally(s.outputs, "The stack is %s: %.500s", status, textAt(s.outputs, "StackStatusReason"))
	}
	return s, nil
}

// isNoStack reports whether CloudFormation says that there is no such stack.
func isNoStack(err error) bool {
	var failed stepFailure
	return errors.As(err, &failed) && slices.Contains(failed.Details["ErrorCode"], "ValidationError") && strings.Contains(failed.Message, "does not exist")
}
