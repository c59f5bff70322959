package automation

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// looping reports whether the cursor came back to the loop under way, s, after
// an iteration.
func (x *execution) looping(s *runbook.Step) bool {
	n := len(x.state.Frames)
	return n > 0 && x.state.Frames[n-1].Loop == s.Name
}

// enterLoop begins aws:loop: what it goes over is fixed now, before the first
// iteration. MaxIterations ends a loop without failing it.
//
// https://docs.aws.amazon.com/systems-manager/latest/userguide/automation-action-loop.html
func (x *execution) enterLoop(ctx context.Context, s *runbook.Step) (result, error) {
	sc := x.scope(time.Time{})
	f := Frame{Loop: s.Name, Seq: x.state.Executed, ID: x.stepID(s), Limit: runbook.MaxIterations, Each: s.Loop.Condition == nil}
	if limit, failure := integer(s.Loop.MaxIterations, runbook.MaxIterations, sc); failure != nil && sc.saw() != "" {
		return result{status: Failed, open: fmt.Sprintf("step %s repeats up to {{ %s }} times, which only applying will tell", x.label(s), sc.saw())}, nil
	} else if failure != nil {
		return x.failed(ctx, s, 1, nil, failure)
	} else if f.Limit = int(limit); f.Limit > runbook.MaxIterations {
		return x.failed(ctx, s, 1, nil, inputFailure(fmt.Errorf("MaxIterations is %d, the limit is %d", f.Limit, runbook.MaxIterations)))
	}
	inputs := map[string]any{"MaxIterations": f.Limit}
	if f.Each {
		values, err := iterators(s.Loop, sc)
		if err == nil && sc.saw() != "" && x.unknown(values) {
			return result{status: Failed, open: fmt.Sprintf("step %s goes over {{ %s }}, which only applying will tell", x.label(s), sc.saw())}, nil
		}
		if err != nil {
			return x.failed(ctx, s, 1, nil, inputFailure(err))
		}
		f.Values, f.Limit, inputs["Iterators"] = values, min(f.Limit, len(values)), values
	}
	started, failure, err := x.loopTime(ctx, s, sc, &f)
	if failure != nil || err != nil {
		return result{status: Failed, failure: failure}, err
	}
	f.StartedAt = started
	if err := x.observe(ctx, &call{step: s, attempt: 1, inputs: inputs}, record{Status: InProgress, StartedAt: started}); err != nil {
		return result{}, err
	}
	x.state.Frames = append(x.state.Frames, f)
	if f.Limit == 0 { // nothing to go over
		return x.endLoop(ctx, s)
	}
	return x.nextIteration(s), nil
}

// loopTime gives when the loop begins. Only a loop with a time limit needs to
// know it for certain, in a checkpoint.
func (x *execution) loopTime(ctx context.Context, s *runbook.Step, sc scope, f *Frame) (time.Time, *Failure, error) {
	limit, failure := integer(s.Timeout, 0, sc)
	if failure != nil {
		r, err := x.failed(ctx, s, 1, nil, failure)
		return time.Time{}, r.failure, err
	}
	if limit == 0 {
		return x.run.Clock.Now().UTC(), nil, nil
	}
	started, err := x.recordedTime(ctx, x.name(s, "loop"))
	f.Deadline = started.Add(time.Duration(limit) * time.Second)
	return started, nil, err
}

// iterators gives the list that a for-each loop goes over, in its declared type.
func iterators(l *runbook.Loop, sc scope) ([]any, error) {
	v, err := runbook.Resolve(l.Iterators, sc)
	if err != nil {
		return nil, err
	}
	list := runbook.TypeStringList
	if l.DataType == "StringMap" {
		list = runbook.TypeMapList
	}
	v, err = runbook.Coerce(v, list)
	if err != nil {
		return nil, fmt.Errorf("Iterators: %w", err)
	}
	values, _ := v.([]any)
	if len(values) > runbook.MaxIterations {
		return nil, fmt.Errorf("Iterators has %d items, the limit is %d", len(values), runbook.MaxIterations)
	}
	out := make([]any, len(values))
	for i, item := range values {
		if out[i], err = runbook.Coerce(item, runbook.Type(l.DataType)); err != nil {
			return nil, fmt.Errorf("item %d of Iterators: %w", i+1, err)
		}
	}
	return out, nil
}

// nextIteration puts the cursor on the first step of the body.
func (x *execution) nextIteration(s *runbook.Step) result {
	f := &x.state.Frames[len(x.state.Frames)-1]
	f.Iteration++
	outputs := map[string]any{"CurrentIteration": int64(f.Iteration), "CurrentIteratorValue": ""}
	if f.Each {
		outputs["CurrentIteratorValue"] = f.Values[f.Iteration-1]
	}
	x.state.Outputs[s.Name] = outputs
	x.state.Cursor = s.Loop.First().Name
	return result{status: InProgress}
}

// iterate decides, after an iteration, whether another one follows.
func (x *execution) iterate(ctx context.Context, s *runbook.Step) (result, error) {
	f := x.state.Frames[len(x.state.Frames)-1]
	if x.state.Complete {
		return x.endLoop(ctx, s)
	}
	if f.Iteration < f.Limit && !f.Deadline.IsZero() && !x.run.Planning {
		now, err := x.recordedTime(ctx, fmt.Sprintf("%d/%s/iteration.%d", f.Seq, s.Name, f.Iteration))
		if err != nil {
			return result{}, err
		}
		if !now.Before(f.Deadline) {
			return x.failLoop(ctx, s, timeoutFailure("The loop was in iteration %d.", f.Iteration))
		}
	}
	again := f.Iteration < f.Limit
	if again && !f.Each {
		sc := x.scope(time.Time{})
		holds, err := s.Loop.Condition.Holds(sc)
		if saw := sc.saw(); saw != "" {
			return result{status: Failed, open: fmt.Sprintf("step %s repeats by {{ %s }}, which only applying will tell", x.label(s), saw)}, nil
		}
		if err != nil {
			return x.failLoop(ctx, s, inputFailure(fmt.Errorf("LoopCondition: %w", err)))
		}
		again = holds
	}
	if again {
		return x.nextIteration(s), nil
	}
	return x.endLoop(ctx, s)
}

// endLoop ends the innermost loop, s, after its last iteration.
func (x *execution) endLoop(ctx context.Context, s *runbook.Step) (result, error) {
	outputs := x.state.Outputs[s.Name]
	if outputs == nil {
		outputs = map[string]any{"CurrentIteration": int64(0), "CurrentIteratorValue": ""}
		x.state.Outputs[s.Name] = outputs
	}
	return result{status: Success, outputs: outputs}, x.leaveLoop(ctx, Success)
}

// failLoop is a failure of the loop itself; its own onFailure decides.
func (x *execution) failLoop(ctx context.Context, s *runbook.Step, f *Failure) (result, error) {
	f.Step, f.Attempt = s.Name, 1
	status := f.Status()
	outputs := x.state.Outputs[s.Name]
	x.popFrame()
	now := x.run.Clock.Now().UTC()
	err := x.observe(ctx, &call{step: s, attempt: 1}, record{Status: status, Outputs: outputs, Failure: f, StartedAt: now, EndedAt: now})
	return result{status: status, outputs: outputs, failure: f}, err
}

// leaveLoop takes the innermost loop off and puts its end in the history.
func (x *execution) leaveLoop(ctx context.Context, status Status) error {
	f := x.state.Frames[len(x.state.Frames)-1]
	s, ok := x.run.Document.Step(f.Loop)
	if !ok {
		return fault.Errorf(fault.Internal, "leave loop", "there is no step %q", f.Loop)
	}
	x.popFrame()
	rec := record{Status: status, Outputs: x.state.Outputs[s.Name], StartedAt: f.StartedAt, EndedAt: x.run.Clock.Now().UTC()}
	if status == Failed && x.state.Failure != nil {
		rec.Failure = x.state.Failure
	}
	return x.observeAs(ctx, &call{step: s, attempt: 1}, rec, f.Seq, f.ID)
}

func (x *execution) popFrame() {
	n := len(x.state.Frames)
	x.state.Frames = x.state.Frames[: n-1 : n-1]
}

// recordedTime gives the time as a checkpoint.
func (x *execution) recordedTime(ctx context.Context, name string) (time.Time, error) {
	raw, err := x.run.Steps.Step(ctx, name, func(context.Context) ([]byte, error) {
		return json.Marshal(x.run.Clock.Now().UTC())
	})
	if err != nil {
		return time.Time{}, err
	}
	var t time.Time
	if err := json.Unmarshal(raw, &t); err != nil {
		return t, fault.E(fault.Internal, "read the time "+name, err)
	}
	return t, nil
}
