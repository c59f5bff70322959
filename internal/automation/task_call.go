package automation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// note is the checkpoint of one call of begin.
type note struct {
	Kept    map[string]any `json:"kept,omitempty"`
	Failure *Failure       `json:"failure,omitempty"`
	Park    *Park          `json:"park,omitempty"`
	// Asked says that the step was asked to end before the call was made.
	Asked bool      `json:"asked,omitempty"`
	At    time.Time `json:"at"`
}

// order is one call of a task.
type order struct {
	name               string // of the checkpoint; "" = the operation
	service, operation string
	input              map[string]any
	// keep takes from the answer what later calls need: small, in JSON types.
	keep  func(out map[string]any) map[string]any
	read  bool          // it changes nothing
	limit time.Duration // of the call; 0 = the interpreter's
	// then, where set, is done with the answer within the same checkpoint, and gives
	// what is kept: for answers that no checkpoint may hold.
	then func(ctx context.Context, out map[string]any) (map[string]any, *Failure, error)
}

// first makes the first call that the inputs ask for, once.
func (d *doing) first(ctx context.Context, keep func(out map[string]any) map[string]any) (map[string]any, error) {
	c := d.calls[0]
	return d.do(ctx, order{service: c.Service, operation: c.Operation, input: c.Input, keep: keep})
}

// do makes a call of begin, once, whatever happens afterwards.
func (d *doing) do(ctx context.Context, o order) (map[string]any, error) {
	if o.name == "" {
		o.name = o.operation
	}
	d.changed = d.changed || !o.read
	if kept, ok := d.notes[o.name]; ok {
		d.see(kept)
		return kept, nil
	}
	raw, err := d.x.run.Steps.Step(ctx, d.x.name(d.c.step, d.suffix()+"/"+o.name), func(ctx context.Context) ([]byte, error) {
		n, err := d.once(ctx, o)
		if err != nil {
			return nil, err
		}
		return json.Marshal(n)
	})
	if err != nil {
		return nil, d.interrupted(ctx, err)
	}
	return d.read(ctx, o, raw)
}

// once makes the call and gives what its checkpoint keeps.
func (d *doing) once(ctx context.Context, o order) (note, error) {
	n := note{At: d.x.run.Clock.Now().UTC()}
	d.c.mail = mail{last: d.x.state.Signal}
	if err := d.x.read(ctx, d.c); err != nil {
		return n, err
	}
	if _, asked := d.x.asked(d.c); asked || d.x.overdue(n.At) {
		n.Asked = true // what follows from it is the next checkpoint's affair
		return n, nil
	}
	if err := d.x.observe(ctx, d.c, record{Status: InProgress, StartedAt: n.At}); err != nil {
		return n, err
	}
	reply, failure, err := d.x.once(ctx, d.call(o))
	if wait, ok := held(err); ok && ctx.Err() == nil {
		d.c.park.Notes = d.notes
		rec := d.x.holdRecord(d.c, n.At, wait, err)
		n.Park, n.Failure = rec.Park, rec.Failure
		return n, nil
	}
	if err != nil {
		return n, err
	}
	d.see(reply.Output)
	var kept map[string]any
	switch {
	case failure != nil:
	case o.then != nil:
		if kept, failure, err = o.then(ctx, reply.Output); err != nil {
			return n, err
		}
	case o.keep != nil:
		kept = o.keep(reply.Output)
	}
	n.Kept, _ = runbook.Normalize(kept).(map[string]any)
	n.Failure = failure
	return n, nil
}

// read takes up what the checkpoint of a call has kept, after the first run and
// after a replay alike.
func (d *doing) read(ctx context.Context, o order, raw []byte) (map[string]any, error) {
	var n note
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&n); err != nil {
		return nil, fault.E(fault.Internal, "read the checkpoint of "+o.operation, err)
	}
	if d.started.IsZero() {
		d.started = n.At
	}
	switch {
	case n.Asked:
		return nil, errAsked
	case n.Park != nil:
		rec := record{Status: Waiting, Park: n.Park, Failure: n.Failure, StartedAt: n.Park.StartedAt, EndedAt: n.At}
		if err := d.x.observe(ctx, d.c, rec); err != nil {
			return nil, err
		}
		return nil, stepResult{result{status: Waiting, park: n.Park}}
	case n.Failure != nil:
		return nil, stepFailure{n.Failure, nil}
	}
	kept, _ := runbook.Normalize(n.Kept).(map[string]any)
	if kept == nil {
		kept = map[string]any{}
	}
	d.notes[o.name] = kept
	d.see(kept)
	return kept, nil
}

// interrupted sorts an error of a checkpoint: the end of the run, a security
// stop, or something else that ends the run.
func (d *doing) interrupted(ctx context.Context, err error) error {
	if end := ended(ctx); end != nil {
		return end
	}
	if !stops(err) {
		return err
	}
	rec := record{Status: Failed, Failure: callFailure(err), StartedAt: d.started, EndedAt: d.x.run.Clock.Now().UTC()}
	if observed := d.x.observe(ctx, d.c, rec); observed != nil {
		return observed
	}
	return stepResult{result{status: Failed, inputs: d.c.inputs, failure: rec.Failure, abort: err}}
}

// planCancel puts the call that a cancelled execution makes into the plan, under a
// label of its own: executions that are not cancelled do not make it. One that
// cannot be planned will not be made.
func (d *doing) planCancel(ctx context.Context) {
	if len(d.notes) > 0 {
		_, _ = d.sendCancel(ctx)
	}
}

// undo ends what the step began, when the step is asked to end. What AWS refuses,
// or the plan does not hold, keeps nobody from cancelling.
func (d *doing) undo(ctx context.Context, c *call) error {
	_, err := d.sendCancel(ctx)
	if interrupted := ended(ctx); interrupted != nil {
		return interrupted
	}
	if err != nil {
		d.x.cfg.Logger.Warn("what a cancelled step began goes on", "execution", d.x.run.ExecutionID, "step", c.step.Name, "error", err)
	}
	return nil
}

func (d *doing) sendCancel(ctx context.Context) (apimodel.Reply, error) {
	service, operation, input := d.cancel(d)
	ctx, stop := context.WithTimeout(ctx, d.x.cfg.CallTimeout)
	defer stop()
	return d.x.run.Caller.Call(ctx, d.x.labelWith(d.c.step, runbook.CancelLabel), d.call(order{service: service, operation: operation, input: input}).api)
}

func (d *doing) call(o order) *call {
	c := *d.c
	c.timeout = o.limit
	c.api = apimodel.Call{
		Service: o.service, Operation: o.operation, Account: d.x.run.Account, Region: d.x.run.Region, As: d.x.run.Role, Input: o.input,
	}
	return &c
}

// ask makes a read while looking. A failure comes as a stepFailure.
func (d *doing) ask(ctx context.Context, service, operation string, input map[string]any) (map[string]any, error) {
	reply, failure, err := d.x.send(ctx, d.call(order{service: service, operation: operation, input: input}), d.x.cfg.CallTimeout)
	switch {
	case err != nil:
		return nil, err
	case failure != nil:
		return nil, stepFailure{failure, nil}
	}
	d.see(reply.Output)
	return reply.Output, nil
}

// see remembers that an answer is one of planning's.
func (d *doing) see(out map[string]any) {
	d.unknown = d.unknown || d.isUnknown(out)
}

func (d *doing) isUnknown(v any) bool { return d.x.unknown(v) }

// token is a text that is the same whenever this pass of the step is made, and
// no other's: 32 characters of hexadecimal after the prefix.
func (d *doing) token(prefix string) string {
	sum := sha256.Sum256([]byte(d.x.run.ExecutionID + "\n" + d.x.label(d.c.step)))
	return prefix + hex.EncodeToString(sum[:16])
}

// keepNotes takes up the notes that an earlier segment has parked.
func (x *execution) keepNotes(notes map[string]map[string]any) {
	if notes == nil {
		return
	}
	own := make(map[string]map[string]any, len(notes))
	for name, kept := range notes {
		own[name], _ = runbook.Normalize(kept).(map[string]any)
	}
	x.notes = map[int]map[string]map[string]any{x.state.Executed: own}
}

// notesOf gives the notes of the step under way. Those of earlier steps are let go.
func (x *execution) notesOf() map[string]map[string]any {
	if n, ok := x.notes[x.state.Executed]; ok {
		return n
	}
	n := map[string]map[string]any{}
	x.notes = map[int]map[string]map[string]any{x.state.Executed: n}
	return n
}
