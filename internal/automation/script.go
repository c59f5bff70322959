package automation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// Limits of aws:executeScript.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-executeScript.html
const (
	maxScriptTime  = 600 * time.Second
	planScriptTime = 30 * time.Second
	maxPayload     = 100 << 10
	maxPrinted     = 8 << 10 // of a traceback, in a failure
)

// script is aws:executeScript: Python in the sandbox, whose calls go through the
// Caller and a journal.
func (x *execution) script(ctx context.Context, s *runbook.Step, sc scope, attempt int, timeout time.Duration) (result, error) {
	inputs, err := runbook.ResolveInputs(s.Inputs, sc)
	if err == nil {
		err = needs(x.run.Scripts, "running scripts")
	}
	if err != nil {
		return x.failed(ctx, s, attempt, nil, inputFailure(err))
	}
	job, err := x.job(ctx, s, inputs, attempt)
	if err != nil {
		if interrupted := ended(ctx); interrupted != nil {
			return result{}, interrupted
		}
		if stops(err) { // an attachment that the plan does not hold
			stop := result{status: Failed, inputs: inputs, failure: callFailure(err), abort: err}
			return stop, x.observe(ctx, &call{step: s, attempt: attempt, inputs: inputs}, record{Status: Failed, Failure: stop.failure, EndedAt: x.run.Clock.Now().UTC()})
		}
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.NotFound) {
			return result{}, err
		}
		return x.failed(ctx, s, attempt, inputs, inputFailure(err))
	}
	limit := maxScriptTime
	if x.run.Planning {
		limit = planScriptTime
	}
	if job.Timeout = limit; timeout > 0 {
		job.Timeout = min(timeout, limit)
	}
	c := &call{step: s, attempt: attempt, inputs: inputs, timeout: job.Timeout}
	if x.state.Park != nil {
		c.park = *x.state.Park
	}
	return x.checkpoint(ctx, c, fmt.Sprintf("%d.%d", attempt, c.park.Round), func(ctx context.Context, c *call) (record, error) {
		return x.runScript(ctx, c, job)
	})
}

// job reads the inputs of the step. Attachments come with their checksum tested.
func (x *execution) job(ctx context.Context, s *runbook.Step, inputs map[string]any, attempt int) (Script, error) {
	bad := func(format string, args ...any) (Script, error) {
		return Script{}, fault.Errorf(fault.Invalid, "", format, args...)
	}
	job := Script{
		Execution: x.run.ExecutionID, Label: x.label(s), Attempt: attempt, Account: x.run.Account, Region: x.run.Region,
		Partition: x.run.Partition, Planning: x.run.Planning, Payload: runbook.Normalize(inputs["InputPayload"]),
	}
	language, _ := inputs["Runtime"].(string)
	if !runbook.PythonRuntime(language) {
		return bad("Runtime %.40q is not one of Python's: write python3.11", language)
	}
	job.Handler, _ = inputs["Handler"].(string)
	if !handlerName(job.Handler) {
		return bad("Handler %.100q is not the name of a function, or FILE.FUNCTION", job.Handler)
	}
	if text, ok := inputs["Script"].(string); ok {
		job.Source = text
	}
	attachment, _ := inputs["Attachment"].(string)
	if job.Source == "" && attachment == "" {
		return bad("the step has neither Script nor Attachment")
	}
	if len(x.run.Document.Files) == 0 || attachment == "" {
		if attachment != "" {
			return bad("the document declares no attachment %.100q", attachment)
		}
		return job, nil
	}
	return job, x.attach(ctx, &job, attachment)
}

// attach puts the document's attachments on the script's path.
func (x *execution) attach(ctx context.Context, job *Script, wanted string) error {
	if err := needs(x.run.Attachments, "reading attachments"); err != nil {
		return err
	}
	job.Attachments = map[string][]byte{}
	for _, f := range x.run.Document.Files {
		content, err := x.run.Attachments.Attachment(ctx, x.run.Document, f.Name)
		if err != nil {
			return fmt.Errorf("read attachment %s: %w", f.Name, err)
		}
		job.Attachments[f.Name] = content
	}
	if _, ok := job.Attachments[wanted]; !ok {
		return fault.Errorf(fault.Invalid, "", "the document declares no attachment %.100q", wanted)
	}
	return nil
}

// handlerName reports whether text is NAME or FILE.NAME.
func handlerName(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) > 8 || len(text) > 256 {
		return false
	}
	for _, p := range parts {
		if p == "" || strings.Trim(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
			return false
		}
	}
	return true
}

// runScript is one run of the script, from its beginning.
func (x *execution) runScript(ctx context.Context, c *call, job Script) (record, error) {
	inside, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	j := &journaling{x: x, c: c, label: job.Label, stop: stop, key: fmt.Sprintf("%s/%s", x.run.ExecutionID, x.name(c.step, fmt.Sprint(c.attempt)))}
	if err := j.load(ctx); err != nil {
		return record{}, err
	}
	job.Call = j.call(ctx, inside)
	job.Timeout = x.bounded(job.Timeout)
	done := x.watch(inside, c, stop)
	out, err := x.run.Scripts.RunScript(inside, job)
	cause := context.Cause(inside)
	stop(nil)
	done()
	if interrupted := ended(ctx); interrupted != nil {
		return record{}, interrupted
	}
	if err := x.read(ctx, c); err != nil {
		return record{}, err
	}
	if end := j.finish(); end != nil {
		var failed *scriptError
		if errors.As(end, &failed) {
			return record{Status: Failed, Failure: failed.Failure}, nil
		}
		return record{}, end
	}
	if _, asked := x.asked(c); (asked || x.overdue(x.run.Clock.Now())) && errors.Is(cause, errAsked) {
		return record{}, errAsked
	}
	if err == nil && out.Failure != nil && out.Failure.Stop != nil {
		return record{}, out.Failure.Stop
	}
	if err != nil {
		return record{}, fmt.Errorf("run the script of step %s: %w", c.step.Name, err)
	}
	rec := x.scriptRecord(c, j, out)
	if log := printed(out); log != "" {
		if rec.Outputs == nil {
			rec.Outputs = zeroOutputs(c.step)
		}
		rec.Outputs["ExecutionLog"] = log
	}
	return rec, nil
}

// printed is what the script wrote, for people: the end of each stream.
func printed(out ScriptResult) string {
	log := cutEnd(out.Stdout, maxPrinted)
	if out.Stderr != "" {
		if log != "" && !strings.HasSuffix(log, "\n") {
			log += "\n"
		}
		log += cutEnd(out.Stderr, maxPrinted)
	}
	return log
}

// watch looks for signals beside the script and ends it when one asks for that.
// The function that it gives waits until it looks no more.
func (x *execution) watch(ctx context.Context, c *call, stop context.CancelCauseFunc) (done func()) {
	if x.run.Inbox == nil || x.run.Planning {
		return func() {}
	}
	beside := &call{step: c.step, mail: mail{last: c.mail.last}}
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(x.cfg.Watch)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if err := x.read(ctx, beside); err != nil {
				continue // looked for again in a moment, and by the checkpoint itself
			}
			if _, asked := x.asked(beside); asked || x.overdue(x.run.Clock.Now()) {
				stop(errAsked)
				return
			}
		}
	})
	return group.Wait
}

// scriptRecord gives the outputs of a script that ended, or its failure.
func (x *execution) scriptRecord(c *call, j *journaling, out ScriptResult) record {
	if x.run.Planning && j.changes > 0 {
		x.run.planned.changed = true
	}
	if f := out.Failure; f != nil {
		if x.run.Planning && (j.unknown || x.run.planned.changed || f.Limit == "time" || x.unknown(c.inputs)) {
			// What planning answered in AWS's place may be why.
			return record{Status: Failed, Open: fmt.Sprintf("the script of step %s fails on what planning answers: %s: %.500s", x.label(c.step), f.Type, f.Message)}
		}
		return record{Status: scriptStatus(f), Failure: scriptFailure(f, c.timeout)}
	}
	payload := runbook.Normalize(out.Payload)
	if text, err := runbook.Text(payload); err != nil || len(text) > maxPayload {
		return record{Status: Failed, Failure: verificationFailure("The script returned %d bytes, the limit is %d.", len(text), maxPayload)}
	}
	if list, ok := payload.([]any); ok && len(list) > runbook.MaxPayloadItems {
		// A step that goes on with part of a list would fix part of what it found.
		return record{Status: Failed, Failure: verificationFailure("The script returned a list of %d items, the limit is %d: return a map that holds the list.", len(list), runbook.MaxPayloadItems)}
	}
	outputs, failure := x.selected(c.step, map[string]any{"Payload": payload})
	if failure != nil {
		return record{Status: Failed, Failure: failure}
	}
	if _, declared := outputs["Payload"]; !declared {
		outputs["Payload"] = payload
	}
	return record{Status: Success, Outputs: outputs}
}

func scriptStatus(f *ScriptFailure) Status {
	if f.Limit == "time" {
		return TimedOut
	}
	return Failed
}

// scriptFailure words the end of a script as Systems Manager does.
func scriptFailure(f *ScriptFailure, limit time.Duration) *Failure {
	if f.Limit == "time" {
		return timeoutFailure("The script had %s.", limit)
	}
	if f.Limit != "" {
		return sandboxFailure("The script ran into the limit of %s: %s", f.Limit, f.Message)
	}
	text := f.Type + ": " + f.Message
	if f.Traceback != "" {
		text = cutEnd(f.Traceback, maxPrinted) + "\n" + text
	}
	return &Failure{
		Stage: "Execution", Type: FailureAction, Message: "Step fails when it is Poll action status for completion. " + text,
		Details: map[string][]string{"ErrorType": {f.Type}, "ErrorMessage": {cutEnd(f.Message, maxPrinted)}},
	}
}

// cutEnd keeps the end of text, where a traceback says what happened.
func cutEnd(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return "..." + strings.ToValidUTF8(text[len(text)-limit:], "")
}

func sandboxFailure(format string, args ...any) *Failure {
	return &Failure{Stage: "Execution", Type: FailureSandbox, Message: fmt.Sprintf(format, args...)}
}

// changes reports whether c may change something. What no model knows may.
func (x *execution) changes(c apimodel.Call) bool {
	if x.cfg.Class == nil {
		return true
	}
	return x.cfg.Class(c) != apimodel.Read
}
