package awsapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// origin says who makes a call, and whether the record holds it.
type origin struct {
	mode        Mode
	remediation remediation.ID
	execution   string
	step        string
	change      string // id of the recorded change that the call is; it has its own row
	noted       bool   // what was sent stands in the record
}

// from gives r another origin of the same session, for a call that the gate
// makes beside the one that was asked for.
func (r request) from(by *origin) request {
	if by != nil {
		r.by = &origin{mode: by.mode, remediation: by.remediation, execution: by.execution, step: by.step}
	}
	return r
}

// as gives r as the sending of a recorded change.
func (r request) as(change string) request {
	if r.by != nil {
		r.by.noted = true // by its row
		own := *r.by
		own.change = change
		r.by = &own
	}
	return r
}

// note puts a call that was sent into the record.
func (g *Gate) note(r request, start time.Time, reply apimodel.Reply, err error) {
	if r.by == nil || r.by.change != "" {
		return
	}
	r.by.noted = true
	if g.cfg.Record == nil {
		return
	}
	rec := g.record(r, start)
	rec.RequestID, rec.Attempts, rec.HTTPStatus = answered(reply, err)
	rec.Outcome, rec.Code = callOutcome(err)
	if rec.Outcome == remediation.CallNotSent {
		rec.Detail = err.Error()
	}
	g.cfg.Record(rec)
}

// noteRefused puts a call that the gate did not send into the record. In plan
// mode that no change is sent is the rule, so only refusals count.
func (g *Gate) noteRefused(r request, start time.Time, err error) {
	if err == nil || r.by == nil || r.by.noted || g.cfg.Record == nil {
		return
	}
	rec := g.record(r, start)
	rec.Outcome, rec.Detail = remediation.CallNotSent, err.Error()
	switch {
	case fault.Is(err, fault.Denied), fault.Is(err, fault.Conflict), fault.Is(err, fault.Exhausted), errors.Is(err, ErrStopped):
		rec.Outcome = remediation.CallRefused
	case r.by.mode == ModePlan:
		return
	}
	g.cfg.Record(rec)
}

func (g *Gate) record(r request, start time.Time) remediation.CallRecord {
	shown := g.shown(r)
	rec := remediation.CallRecord{
		At: start, Remediation: r.by.remediation, Execution: r.by.execution, Step: r.by.step, Mode: string(r.by.mode),
		Account: r.Account, Region: r.Region, Service: r.Service, Operation: r.Operation, Class: r.class,
		Resource: g.resourceOf(r, shown), Duration: g.cfg.Clock.Now().Sub(start),
	}
	if shown != nil {
		rec.Digest = g.redact.Digest(shown)
	}
	return rec
}

// answered reads from an answer what the record keeps of it.
func answered(reply apimodel.Reply, err error) (requestID string, attempts, status int) {
	var api *apimodel.APIError
	switch {
	case err == nil:
		meta, _ := reply.Output["ResponseMetadata"].(map[string]any)
		code, _ := meta["HTTPStatusCode"].(int64)
		retries, _ := meta["RetryAttempts"].(int64)
		return reply.RequestID(), int(retries) + 1, int(code)
	case errors.As(err, &api):
		return api.RequestID, api.Retries + 1, api.HTTPStatus
	case isCertainlyNotSent(err):
		return "", 0, 0
	}
	return "", 1, 0 // at least
}

// isCertainlyNotSent reports whether err came before anything left the process.
func isCertainlyNotSent(err error) bool {
	var param *ParamError
	return errors.Is(err, errNotSent) || errors.As(err, &param) || fault.Is(err, fault.Invalid) || fault.Is(err, fault.Denied)
}

// callOutcome says what became of a call that was given to the sender.
func callOutcome(err error) (remediation.CallOutcome, string) {
	var api *apimodel.APIError
	switch {
	case err == nil:
		return remediation.CallOK, ""
	case errors.As(err, &api) && api.Uncertain:
		return remediation.CallMaybeSent, api.Code
	case errors.As(err, &api) && api.Throttled:
		return remediation.CallThrottled, api.Code
	case errors.As(err, &api):
		return remediation.CallError, api.Code
	case isCertainlyNotSent(err):
		return remediation.CallNotSent, ""
	}
	return remediation.CallMaybeSent, ""
}

// sendingOf is what the row of a change keeps of one more sending of it.
func sendingOf(was remediation.Sending, reply apimodel.Reply, err error) remediation.Sending {
	_, attempts, status := answered(reply, err)
	outcome, code := callOutcome(err)
	was.Attempts += attempts
	was.HTTPStatus, was.Code, was.Throttled = status, code, outcome == remediation.CallThrottled
	return was
}

// send sends r and nothing else, and puts it into the record. An error that
// carries errNotSent is certain to have changed nothing; none shows a secret
// value of the input.
func (g *Gate) send(ctx context.Context, id Identity, r request) (apimodel.Reply, error) {
	local, c, err := g.localFor(ctx, id, r)
	var creds Credentials
	if err == nil && local == nil {
		creds, err = g.creds.get(ctx, id, r.Account, r.Region, r.by)
	}
	start := g.cfg.Clock.Now()
	var reply apimodel.Reply
	switch {
	case err != nil:
		err = fmt.Errorf("%w: %w", errNotSent, err)
	case local != nil:
		reply, err = g.answerLocal(ctx, local, c, r)
	default:
		reply, err = g.cfg.Sender.Send(ctx, creds, r.Call)
	}
	err = g.scrub(r, err)
	g.note(r, start, reply, err)
	return reply, err
}
