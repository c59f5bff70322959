package app

import (
	"context"
	"log/slog"
	"strings"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/internal/service"
)

// NewScripts gives the runner of scripts that cfg describes. It is a service: Start
// brings the interpreter up beforehand, and the first script would otherwise.
func NewScripts(cfg config.Config, clock service.Clock, log *slog.Logger) (*script.Runner, error) {
	return script.New(script.Config{
		Python: cfg.Scripts.Python, AllowUnsandboxed: cfg.Scripts.AllowUnsandboxed, Concurrency: cfg.Scripts.Concurrency,
		Limits: script.Limits{Memory: int64(cfg.Scripts.Memory) << 20}, Clock: clock, Logger: log,
	})
}

// Scripts makes a runner what the interpreter of documents asks for.
func Scripts(r *script.Runner) automation.Scripts { return scripts{r} }

type scripts struct{ runner *script.Runner }

// RunScript runs s shut in.
func (a scripts) RunScript(ctx context.Context, s automation.Script) (automation.ScriptResult, error) {
	got, err := a.runner.Run(ctx, script.Job{
		Execution: s.Execution, Label: s.Label, Attempt: s.Attempt, Handler: s.Handler, Source: s.Source, Attachments: s.Attachments,
		Payload: s.Payload, Account: s.Account, Region: s.Region, Partition: s.Partition, Planning: s.Planning, Timeout: s.Timeout, Call: s.Call,
	})
	if err != nil {
		return automation.ScriptResult{}, err
	}
	result := automation.ScriptResult{Payload: got.Payload, Stdout: got.Stdout, Stderr: got.Stderr}
	if f := got.Failure; f != nil {
		result.Failure = &automation.ScriptFailure{Type: f.Type, Message: f.Message, Traceback: f.Traceback, Limit: f.Limit, Stop: f.Stop}
	}
	return result, nil
}

// scriptFacts looks into the inline scripts of a document without running them. Where
// that cannot be done nothing is known of them: an open plan then allows them nothing.
func (s *Server) scriptFacts(ctx context.Context, doc *runbook.Document) map[string]runbook.ScriptFacts {
	sources := doc.Scripts()
	if len(sources) == 0 {
		return nil
	}
	found, err := script.Analyze(ctx, s.cfg.Scripts.Python, sources)
	if err != nil {
		s.log.WarnContext(ctx, "scripts are not looked into: an open plan allows them nothing", "error", err)
		return nil
	}
	out := make(map[string]runbook.ScriptFacts, len(found))
	for step, f := range found {
		out[step] = AdaptFacts(f)
	}
	return out
}

// AdaptFacts gives the facts of a script as the static check takes them.
func AdaptFacts(f script.Facts) runbook.ScriptFacts {
	out := runbook.ScriptFacts{Imports: f.Imports}
	if f.Error != nil {
		out.Error = &runbook.ScriptError{Line: f.Error.Line, Column: f.Error.Column, Message: strings.TrimSpace(f.Error.Message)}
	}
	for _, c := range f.Calls {
		out.Calls = append(out.Calls, runbook.ScriptCall{Service: c.Service, Operation: c.Operation, Line: c.Line})
	}
	for _, l := range f.Lists {
		out.Lists = append(out.Lists, runbook.ScriptList{Function: l.Function, Line: l.Line, Items: l.Items})
	}
	for _, g := range f.Unresolved {
		out.Unresolved = append(out.Unresolved, runbook.ScriptGap{Line: g.Line, What: g.What})
	}
	return out
}

// onDemand is a runner that comes up with the first script and not before: a process
// of one person mostly runs one document.
type onDemand struct{ *script.Runner }

// Start does nothing.
func (onDemand) Start(context.Context) error { return nil }
