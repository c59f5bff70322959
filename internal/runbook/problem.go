package runbook

import (
	"fmt"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// Severity says whether a problem stops a document from running.
type Severity string

// The severities of a problem.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// The codes of problems; docs/runbook-check.md explains each.
const (
	CodeSyntax             = "syntax"
	CodeSchema             = "schema"
	CodeUnknownKey         = "unknown_key"
	CodeUnknownAction      = "unknown_action"
	CodeUnsupportedRuntime = "unsupported_runtime"
	CodeUnsupportedInput   = "unsupported_input"
	CodeOldRuntime         = "old_runtime"
	CodeParameter          = "parameter"
	CodePattern            = "pattern"
	CodeUnknownStep        = "unknown_step"
	CodeStepScope          = "step_scope"
	CodeOnCancel           = "on_cancel"
	CodeUnreachable        = "unreachable_step"
	CodeNoExit             = "no_exit"
	CodeReference          = "reference"
	CodeUnknownReference   = "unknown_reference"
	CodeNotAlwaysSet       = "not_always_set"
	CodeTypeFit            = "type_fit"
	CodeInput              = "input"
	CodeAPI                = "api"
	CodeUnknownMember      = "unknown_member"
	CodeMissingMember      = "missing_member"
	CodeMemberType         = "member_type"
	CodeEnum               = "enum"
	CodeSelector           = "selector"
	CodeSelectorShape      = "selector_shape"
	CodeOutputType         = "output_type"
	CodeAttachment         = "attachment"
	CodeScriptSyntax       = "script_syntax"
	CodeScriptImport       = "script_import"
	CodeScriptCall         = "script_call"
	CodeScriptReturn       = "script_return"
)

// Codes lists the codes of problems.
func Codes() []string {
	return []string{
		CodeSyntax, CodeSchema, CodeUnknownKey, CodeUnknownAction, CodeUnsupportedRuntime, CodeUnsupportedInput, CodeOldRuntime, CodeParameter, CodePattern,
		CodeUnknownStep, CodeStepScope, CodeOnCancel, CodeUnreachable, CodeNoExit, CodeReference, CodeUnknownReference, CodeNotAlwaysSet,
		CodeTypeFit, CodeInput, CodeAPI, CodeUnknownMember, CodeMissingMember, CodeMemberType, CodeEnum, CodeSelector, CodeSelectorShape,
		CodeOutputType, CodeAttachment, CodeScriptSyntax, CodeScriptImport, CodeScriptCall, CodeScriptReturn,
	}
}

// Problem is one thing wrong with a document, where it stands and what to do.
type Problem struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Path     string   `json:"path,omitempty"` // mainSteps[2].inputs.Service
	Message  string   `json:"message"`
	Fix      string   `json:"fix"`
}

// String prints "12:5 mainSteps[0].action: the message".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:%d ", p.Line, p.Column)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

// ParseError is why a document was refused. It has at least one problem.
type ParseError struct {
	Problems []Problem
}

// Error prints the first problem and how many follow.
func (e *ParseError) Error() string {
	if len(e.Problems) == 0 {
		return "the document was refused"
	}
	text := e.Problems[0].String()
	if n := len(e.Problems) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// parseError wraps problems as an invalid fault whose hint is the first fix.
func parseError(problems []Problem) error {
	return fault.E(fault.Invalid, "parse runbook", &ParseError{Problems: problems}).WithHint("%s", problems[0].Fix)
}

func syntaxProblem(pos Pos, message, fix string) *Problem {
	return &Problem{Code: CodeSyntax, Severity: SeverityError, Line: pos.Line, Column: pos.Column, Message: message, Fix: fix}
}

// Errors gives the problems that stop a document from running.
func Errors(problems []Problem) []Problem {
	var out []Problem
	for _, p := range problems {
		if p.Severity == SeverityError {
			out = append(out, p)
		}
	}
	return out
}
