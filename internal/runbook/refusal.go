package runbook

import (
	"fmt"
	"strings"
)

// Refusals gives what keeps a document from running at all, whatever its
// parameters: actions that schema 0.3 does not have, scripts in languages other
// than Python, and the approvals of Change Manager. Check reports the same; whoever runs a document asks here
// first, because half a runbook is worse than none.
func Refusals(d *Document) []Problem {
	var out []Problem
	for _, s := range d.all {
		out = append(out, refusal(s)...)
	}
	return out
}

func refusal(s *Step) []Problem {
	problem := func(code string, pos Pos, path, message, fix string) []Problem {
		return []Problem{{Code: code, Severity: SeverityError, Line: pos.Line, Column: pos.Column, Path: path, Message: message, Fix: fix}}
	}
	if !Runnable(s.Action) {
		return problem(CodeUnknownAction, s.at("action"), s.path+".action", fmt.Sprintf("%.60q is not an action of Automation documents", s.Action), "mend the spelling, for example aws:executeAwsApi")
	}
	if _, enhanced := s.Inputs["EnhancedApprovals"]; enhanced && s.Action == ActionApprove {
		return problem(CodeUnsupportedInput, s.at("inputs", "EnhancedApprovals"), s.path+".inputs.EnhancedApprovals", "approval by EnhancedApprovals belongs to Change Manager, whose templates Parry does not run", "name Approvers and MinRequiredApprovals instead")
	}
	if s.Action != ActionScript {
		return nil
	}
	runtime, _ := s.Inputs["Runtime"].(string)
	switch {
	case runtime == "" || ParseTemplate(runtime).HasReferences() || PythonRuntime(runtime):
		return nil
	case strings.HasPrefix(strings.ToLower(runtime), "powershell"):
		return problem(CodeUnsupportedRuntime, s.at("inputs", "Runtime"), s.path+".inputs.Runtime", fmt.Sprintf("Parry runs Python scripts, not %.60q", runtime), "rewrite the script in Python, with Runtime: python3.11")
	}
	return problem(CodeUnsupportedRuntime, s.at("inputs", "Runtime"), s.path+".inputs.Runtime", fmt.Sprintf("%.60q is not a runtime of aws:executeScript", runtime), "write Runtime: python3.11")
}

// PythonRuntime reports whether runtime names Python 3, in any of its versions:
// all of them run on the interpreter that Parry is configured with.
func PythonRuntime(runtime string) bool {
	version, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(runtime)), "python3")
	return ok && (version == "" || version[0] == '.' && len(version) > 1 && strings.Trim(version[1:], "0123456789") == "")
}
