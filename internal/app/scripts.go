package app

import (
	"context"
	"log/slog"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/config"
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
