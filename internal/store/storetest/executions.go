package storetest

import (
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func executionTests() []conformance {
	return []conformance{
		{"execution/is kept segment by segment", executionLife},
		{"execution/a paused node cannot write over the one that took over", executionFence},
		{"step/is kept with its latest attempt", stepLife},
	}
}

func execution(segment int, epoch int64) store.ExecutionRecord {
	return store.ExecutionRecord{
		ID: "exe-1", Remediation: "rem-1", Segment: segment, Status: "InProgress", State: []byte(`{"cursor":"Block"}`),
		LeaseOwner: "node-1", LeaseEpoch: epoch, StartedAt: Start(),
	}
}

func executionLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	_, err := s.Execution(ctx, "exe-1")
	sentinel(t, err, store.ErrNotFound)
	epoch := must(s.Heartbeat(ctx, "node-1", ttl))(t)
	ok(t, s.PutExecution(ctx, execution(1, epoch)))
	same(t, execution(1, epoch), must(s.Execution(ctx, "exe-1"))(t))
	done := execution(2, epoch)
	done.Status, done.State, done.EndedAt = "Success", nil, Start().Add(time.Minute)
	ok(t, s.PutExecution(ctx, done))
	same(t, done, must(s.Execution(ctx, "exe-1"))(t))
	code(t, s.PutExecution(ctx, store.ExecutionRecord{}), fault.Invalid)
}

func executionFence(t *testing.T, s *store.Store) {
	ctx := t.Context()
	older := must(s.Heartbeat(ctx, "node-2", 10*ttl))(t)
	epoch := must(s.Heartbeat(ctx, "node-1", ttl))(t)
	ok(t, s.PutExecution(ctx, execution(2, epoch)))
	other := execution(2, epoch)
	other.Remediation = "rem-2"
	for _, zombie := range []store.ExecutionRecord{execution(1, epoch), execution(2, epoch-1), other} {
		sentinel(t, s.PutExecution(ctx, zombie), store.ErrConflict)
	}
	// A node whose lease is older than that of the dead one takes over.
	clock(t, s).Advance(ttl)
	taken := execution(2, older)
	taken.LeaseOwner = "node-2"
	ok(t, s.PutExecution(ctx, taken))
	sentinel(t, s.PutExecution(ctx, execution(3, epoch)), store.ErrConflict)
	same(t, taken, must(s.Execution(ctx, "exe-1"))(t))
}

func stepLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	step := func(seq, attempt int) store.Step {
		return store.Step{
			Execution: "exe-1", Seq: seq, Name: "Block", Action: "aws:executeAwsApi", Attempt: attempt, Status: "Success",
			Inputs: []byte(`{"a":1}`), Outputs: []byte(`{"b":2}`), Failure: "none", StartedAt: Start(), EndedAt: Start().Add(time.Second),
		}
	}
	for _, p := range []store.Step{step(2, 1), step(1, 1), step(1, 2)} {
		ok(t, s.PutStep(ctx, p))
	}
	same(t, []store.Step{step(1, 2), step(2, 1)}, must(s.Steps(ctx, "exe-1"))(t))
	same(t, 0, len(must(s.Steps(ctx, "exe-2"))(t)))
	code(t, s.PutStep(ctx, store.Step{}), fault.Invalid)
}
