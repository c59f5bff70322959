package automation

import (
	"context"
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/runbook"
)

// runCommand is aws:runCommand: SendCommand, then looks until the command has
// ended everywhere; it fails unless it succeeded on every node. Output and
// ResponseCode are given for a command to one node, ResponseCode only where the
// document has one step.
//
// AWS's page: automation-action-runcommand.html.
func runCommand() task {
	return task{
		outputs: []string{"CommandId", "Status", "ResponseCode", "Output"},
		begin:   beginRunCommand, look: lookRunCommand,
		cancel: func(d *doing) (string, string, map[string]any) {
			return "ssm", "CancelCommand", map[string]any{"CommandId": textAt(d.notes["SendCommand"], "CommandId")}
		},
	}
}

func beginRunCommand(ctx context.Context, d *doing) error {
	kept, err := d.first(ctx, func(out map[string]any) map[string]any {
		return map[string]any{"CommandId": textAt(out, "Command", "CommandId")}
	})
	if err != nil {
		return err
	}
	if textAt(kept, "CommandId") == "" {
		return finally(nil, "SendCommand answered no command.")
	}
	d.assume = map[string]any{"CommandId": kept["CommandId"], "Status": "Success"}
	return nil
}

func lookRunCommand(ctx context.Context, d *doing) (sight, error) {
	id := textAt(d.notes["SendCommand"], "CommandId")
	s := sight{outputs: map[string]any{"CommandId": id}, seen: "the command is not shown yet"}
	out, err := d.ask(ctx, "ssm", "ListCommands", map[string]any{"CommandId": id})
	if err != nil {
		return s, err
	}
	command := at(out, "Commands", 0)
	if command == nil {
		return s, nil
	}
	status := textAt(command, "Status")
	s.outputs["Status"] = status
	s.seen = fmt.Sprintf("command %.40s is %s", id, status)
	switch status {
	case "Pending", "InProgress", "Cancelling", "Delayed":
		return s, nil
	}
	if err := readOutput(ctx, d, id, s.outputs); err != nil {
		return s, err
	}
	failed, _ := runbook.Coerce(at(command, "ErrorCount"), runbook.TypeInteger)
	late, _ := runbook.Coerce(at(command, "DeliveryTimedOutCount"), runbook.TypeInteger)
	details := textAt(command, "StatusDetails")
	if none := details == "NoInstancesInTag"; status == "Success" && !positive(failed) && !positive(late) && !none {
		s.done = true
		return s, nil
	}
	text, _ := s.outputs["Output"].(string)
	return s, finally(s.outputs, "Command %.40s ended with %s (%.100s), %v of %v targets failed. Output: %.500s",
		id, status, details, at(command, "ErrorCount"), at(command, "TargetCount"), text)
}

func positive(v any) bool {
	n, _ := v.(int64)
	return n > 0
}

// readOutput gives what the command wrote, where it went to one node.
func readOutput(ctx context.Context, d *doing, id string, outputs map[string]any) error {
	out, err := d.ask(ctx, "ssm", "ListCommandInvocations", map[string]any{"CommandId": id, "Details": true})
	if err != nil {
		return err
	}
	invocations := listAt(out, "CommandInvocations")
	if len(invocations) != 1 || d.calls[0].Input["Targets"] != nil {
		return nil
	}
	plugins := listAt(invocations[0], "CommandPlugins")
	var texts []string
	for _, p := range plugins {
		if text := textAt(p, "Output"); text != "" {
			texts = append(texts, text)
		}
	}
	outputs["Output"] = strings.Join(texts, "\n")
	if len(plugins) == 1 {
		outputs["ResponseCode"] = at(plugins[0], "ResponseCode") // in planning 0, which success means
	}
	return nil
}
