package automation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
)

// Limits of a checkpoint: outputs are selected values, not whole replies.
const (
	maxRecord = 256 << 10 // without blobs
	maxBlob   = 1 << 20
	blobFrom  = 64 << 10 // larger outputs go to a blob
	maxState  = 256 << 10
)

func (x *execution) encode(ctx context.Context, c *call, rec record) ([]byte, error) {
	if rec.Failure != nil {
		rec.Failure.Step, rec.Failure.Attempt = c.step.Name, max(c.attempt, 1)
	}
	if rec.Status != Success && rec.Outputs == nil {
		// Documents that continue may test the outputs of a step that failed.
		rec.Outputs = zeroOutputs(c.step)
	}
	outputs, err := json.Marshal(rec.Outputs)
	limit := maxRecord
	if err == nil && len(outputs) > blobFrom && len(outputs) <= maxBlob && x.run.Blobs != nil {
		if rec.Blob, err = x.run.Blobs.PutBlob(ctx, outputs); err != nil {
			return nil, fmt.Errorf("keep the outputs of step %s: %w", c.step.Name, err)
		}
		rec.Outputs = nil
	}
	if x.run.Blobs != nil {
		limit = maxBlob
	}
	raw, err2 := json.Marshal(rec)
	if err == nil && err2 == nil && len(raw) <= limit {
		return raw, nil
	}
	why := fmt.Sprintf("its outputs have %d bytes, the limit is %d", max(len(raw), len(outputs)), limit)
	if err != nil {
		why = "its outputs cannot be written as JSON: " + err.Error()
	}
	rec.Status, rec.Outputs, rec.Blob = Failed, zeroOutputs(c.step), ""
	rec.Failure = verificationFailure("%s", why)
	rec.Failure.Step, rec.Failure.Attempt = c.step.Name, max(c.attempt, 1)
	return json.Marshal(rec)
}

func (x *execution) decode(ctx context.Context, raw []byte) (record, error) {
	var rec record
	if err := decodeNumbers(raw, &rec); err != nil {
		return rec, fault.E(fault.Internal, "read a checkpoint", err)
	}
	normalize(rec.Outputs)
	if rec.Blob != "" {
		outputs, err := x.blob(ctx, rec.Blob)
		if err != nil {
			return rec, err
		}
		rec.Outputs = outputs
	}
	return rec, nil
}

func decodeNumbers(raw []byte, out any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(out)
}

// blob gives the outputs that are kept under name.
func (x *execution) blob(ctx context.Context, name string) (map[string]any, error) {
	if x.run.Blobs == nil {
		return nil, fault.Errorf(fault.Internal, "read the outputs of a step", "they are in blob %s, and there are no blobs", name)
	}
	raw, err := x.run.Blobs.Blob(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read the outputs of a step: %w", err)
	}
	var outputs map[string]any
	if err := decodeNumbers(raw, &outputs); err != nil {
		return nil, fault.E(fault.Internal, "read the outputs of a step", err)
	}
	normalize(outputs)
	return outputs, nil
}

// hydrate brings back the outputs that the state left in blobs.
func (x *execution) hydrate(ctx context.Context) error {
	for step, name := range x.state.Blobs {
		if x.state.Outputs[step] != nil {
			continue
		}
		outputs, err := x.blob(ctx, name)
		if err != nil {
			return err
		}
		x.state.Outputs[step] = outputs
	}
	return nil
}

// compact puts the largest outputs into blobs until the state is small enough.
// Nothing is lost: the next segment brings them back.
func (x *execution) compact(ctx context.Context) error {
	if x.run.Blobs == nil || x.run.Planning || x.state.Cursor == "" {
		return nil
	}
	size := map[string][]byte{}
	total := 0
	for step, outputs := range x.state.Outputs {
		if x.state.Blobs[step] != "" {
			continue
		}
		raw, err := json.Marshal(outputs)
		if err != nil {
			return fault.E(fault.Internal, "keep the outputs of step "+step, err)
		}
		size[step], total = raw, total+len(raw)
	}
	for total > maxState {
		largest := ""
		for step := range size {
			if largest == "" || len(size[step]) > len(size[largest]) || len(size[step]) == len(size[largest]) && step < largest {
				largest = step
			}
		}
		name, err := x.run.Blobs.PutBlob(ctx, size[largest])
		if err != nil {
			return fmt.Errorf("keep the outputs of step %s: %w", largest, err)
		}
		x.state.Blobs[largest] = name
		total -= len(size[largest])
		delete(size, largest)
	}
	return nil
}

func (x *execution) observe(ctx context.Context, c *call, rec record) error {
	return x.observeAs(ctx, c, rec, x.state.Executed, x.stepID(c.step))
}

// observeAs tells the history of the pass seq of a step.
func (x *execution) observeAs(ctx context.Context, c *call, rec record, seq int, id string) error {
	if x.run.Observer == nil || c.silent {
		return nil
	}
	s := c.step
	r := StepRecord{
		ID: id, Label: x.label(s), Execution: x.run.ExecutionID, Seq: seq, Name: s.Name, Action: s.Action, Attempt: max(c.attempt, 1),
		Status: rec.Status, Inputs: c.inputs, Outputs: rec.Outputs, Failure: rec.Failure, StartedAt: rec.StartedAt, EndedAt: rec.EndedAt,
		NextStep: s.NextStep, IsEnd: s.IsEnd, IsCritical: s.Critical(), OnFailure: s.OnFailure,
	}
	if rec.Park != nil {
		r.Status = Waiting
	}
	if s.OnFailureStep {
		r.OnFailure = "step:" + s.OnFailure
	}
	if s.Action == runbook.ActionScript && rec.Outputs["Payload"] != nil {
		r.Outputs = copied(rec.Outputs)
		r.Outputs["OutputPayload"] = map[string]any{"Payload": rec.Outputs["Payload"]}
	}
	sc := x.scope(rec.StartedAt)
	if n, failure := integer(s.MaxAttempts, 1, sc); failure == nil {
		r.MaxAttempts = int(n)
	}
	if n, failure := integer(s.Timeout, 0, sc); failure == nil {
		r.TimeoutSeconds = int(n)
	}
	r.ValidNextSteps = x.validNext(s)
	r.Parent = x.parentOf(s)
	return x.run.Observer.Observe(ctx, r)
}

// parentOf gives the iteration in which s stands.
func (x *execution) parentOf(s *runbook.Step) *ParentStep {
	for i := len(x.state.Frames) - 1; i >= 0; i-- {
		f := x.state.Frames[i]
		if f.Loop != s.Within {
			continue
		}
		p := &ParentStep{ID: f.ID, Name: f.Loop, Action: runbook.ActionLoop, Iteration: f.Iteration}
		if f.Each && f.Iteration > 0 {
			if text, err := runbook.Text(f.Values[f.Iteration-1]); err == nil {
				p.IteratorValue = text
			}
		}
		return p
	}
	return nil
}

// validNext lists the steps that may follow s when it succeeds.
func (x *execution) validNext(s *runbook.Step) []string {
	var out []string
	if s.Action == runbook.ActionBranch {
		if b, err := runbook.ParseBranch(s.Inputs); err == nil {
			for _, c := range b.Choices {
				out = append(out, c.NextStep)
			}
			if b.Default != "" {
				return append(out, b.Default)
			}
		}
	}
	if s.IsEnd {
		return out
	}
	if s.NextStep != "" {
		return append(out, s.NextStep)
	}
	if next, ok := x.run.Document.After(s.Name); ok {
		out = append(out, next.Name)
	}
	return out
}

// stepID names the pass of s that is under way.
func (x *execution) stepID(s *runbook.Step) string {
	return stableID(x.run.ExecutionID, strconv.Itoa(x.state.Executed), s.Name)
}

// stableID makes a UUID (version 8, of our own making) from parts: the same
// parts give the same id, on every node and in every replay.
func stableID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length keeps "a","bc" and "ab","c" apart.
		_, _ = fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return service.UUID([sha256.Size]byte(h.Sum(nil)))
}
