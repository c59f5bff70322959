package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func executionTests() []conformance {
	return []conformance{
		{"execution/is kept segment by segment", executionLife},
		{"execution/a paused node cannot write over the one that took over", executionFence},
		{"execution/is created once, and once under a token", executionCreate},
		{"execution/is listed by what it is of", executionList},
		{"execution/what never began is ended by its remediation's end", executionEnd},
		{"execution/a segment is written with its steps, signals and jobs, or not at all", executionSegment},
		{"step/is kept with its latest attempt", stepLife},
		{"step/is paged both ways and filtered", stepPages},
		{"signal/is numbered within its execution and wakes it", signalLife},
		{"signal/two at once lose none", signalRace},
		{"script call/is kept until the step is done", scriptCalls},
	}
}

func execution(segment int, epoch int64) store.ExecutionRecord {
	return store.ExecutionRecord{
		ID: "exe-1", Remediation: "rem-1", Segment: segment, Status: "InProgress", State: []byte(`{"cursor":"Block"}`),
		LeaseOwner: "node-1", LeaseEpoch: epoch, StartedAt: Start(),
	}
}

// executionOf gives the i-th execution of a list; neighbours differ in every column.
func executionOf(i int) store.ExecutionRecord {
	pick := func(from ...string) string { return from[i%len(from)] }
	return store.ExecutionRecord{
		ID: fmt.Sprintf("exe-%02d", i), Remediation: "rem-1", Status: pick("Pending", "InProgress", "Success"), StartedAt: Start().Add(time.Duration(i) * time.Minute),
		CurrentStep: pick("Wait", "Call"), CurrentAction: pick("aws:sleep", "aws:executeAwsApi"),
		Of: store.ExecutionOf{
			Parent: pick("", "exe-00", "exe-00"), Root: "exe-00", Document: pick("Close-Port", "Close_Port", "Open-Port"), Version: pick("1", "2"),
			Account: pick("111111111111", "222222222222"), Region: pick("eu-west-1", "us-east-1"), Target: pick("", "i-1", "i-2"), StartedBy: "alice", CrossAccount: i%4 == 3,
			Prefix: "Up/", Label: "Up", Depth: 1, Role: "arn:aws:iam::111111111111:role/Runner", Mode: "Auto",
			Parameters: map[string]any{"N": int64(1) << 60, "Names": []any{"a"}}, Tags: map[string]string{"k": "v"},
		},
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
	done.Result = store.ExecutionResult{Outputs: map[string][]string{"Call.Id": {"1"}}, OutputOrder: []string{"Call.Id"}, Failure: "none"}
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

func executionCreate(t *testing.T, s *store.Store) {
	ctx := t.Context()
	first := executionOf(0)
	first.Of.Token = "token-1"
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{first}, event("started")))
	same(t, first, must(s.Execution(ctx, "exe-00"))(t))
	same(t, first, must(s.ExecutionByToken(ctx, "token-1"))(t))
	again := executionOf(1)
	again.Of.Token = "token-1"
	sentinel(t, s.CreateExecutions(ctx, []store.ExecutionRecord{again}, event("never-sent")), store.ErrExists)
	sentinel(t, s.CreateExecutions(ctx, []store.ExecutionRecord{first}, event("never-sent")), store.ErrExists)
	same(t, []string{"started"}, claimIDs(t, s, store.Execution))
	_, err := s.ExecutionByToken(ctx, "")
	sentinel(t, err, store.ErrNotFound)
	code(t, s.CreateExecutions(ctx, []store.ExecutionRecord{{}}, store.Effects{}), fault.Invalid)
	// Children are started as often as their parent's step runs.
	for range 2 {
		ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{executionOf(2), executionOf(3)}, store.Effects{}))
	}
	// The first segment writes over a row that was made before, and leaves what it is of.
	epoch := must(s.Heartbeat(ctx, "node-1", ttl))(t)
	begun := first
	begun.Segment, begun.Status, begun.LeaseOwner, begun.LeaseEpoch, begun.Of = 1, "InProgress", "node-1", epoch, store.ExecutionOf{Document: "another"}
	ok(t, s.PutExecution(ctx, begun))
	begun.Of = first.Of
	same(t, begun, must(s.Execution(ctx, "exe-00"))(t))
	same(t, 2, len(must(s.Executions(ctx, []string{"exe-02", "exe-03", "exe-99"}))(t)))
}

func executionList(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var all []store.ExecutionRecord
	for i := range 24 {
		all = append(all, executionOf(i))
	}
	ok(t, s.CreateExecutions(ctx, all, store.Effects{}))
	every, cross := store.AllAccounts(), true
	for name, c := range map[string]struct {
		filter store.ExecutionFilter
		want   func(store.ExecutionRecord) bool
	}{
		"all":       {store.ExecutionFilter{Accounts: every}, func(store.ExecutionRecord) bool { return true }},
		"scope":     {store.ExecutionFilter{Accounts: []string{"222222222222"}}, func(e store.ExecutionRecord) bool { return e.Of.Account == "222222222222" }},
		"nothing":   {store.ExecutionFilter{Accounts: []string{}}, func(store.ExecutionRecord) bool { return false }},
		"status":    {store.ExecutionFilter{Accounts: every, Statuses: []string{"Pending", "Success"}}, func(e store.ExecutionRecord) bool { return e.Status != "InProgress" }},
		"top":       {store.ExecutionFilter{Accounts: every, Top: true}, func(e store.ExecutionRecord) bool { return e.Of.Parent == "" }},
		"parent":    {store.ExecutionFilter{Accounts: every, Parents: []string{"exe-00"}}, func(e store.ExecutionRecord) bool { return e.Of.Parent == "exe-00" }},
		"prefix":    {store.ExecutionFilter{Accounts: every, Prefixes: []string{"Close_"}}, func(e store.ExecutionRecord) bool { return e.Of.Document == "Close_Port" }},
		"action":    {store.ExecutionFilter{Accounts: every, Actions: []string{"aws:sleep"}}, func(e store.ExecutionRecord) bool { return e.CurrentAction == "aws:sleep" }},
		"target":    {store.ExecutionFilter{Accounts: every, Targets: []string{"i-2"}}, func(e store.ExecutionRecord) bool { return e.Of.Target == "i-2" }},
		"id":        {store.ExecutionFilter{Accounts: every, IDs: []string{"exe-07", "exe-99"}}, func(e store.ExecutionRecord) bool { return e.ID == "exe-07" }},
		"after":     {store.ExecutionFilter{Accounts: every, StartedAfter: all[5].StartedAt}, func(e store.ExecutionRecord) bool { return !e.StartedAt.Before(all[5].StartedAt) }},
		"before":    {store.ExecutionFilter{Accounts: every, StartedBefore: all[5].StartedAt}, func(e store.ExecutionRecord) bool { return !e.StartedAt.After(all[5].StartedAt) }},
		"locations": {store.ExecutionFilter{Accounts: every, CrossAccount: &cross}, func(e store.ExecutionRecord) bool { return e.Of.CrossAccount }},
		"oldest":    {store.ExecutionFilter{Accounts: every, Parents: []string{"exe-00"}, Oldest: true}, func(e store.ExecutionRecord) bool { return e.Of.Parent == "exe-00" }},
		"and scope": {store.ExecutionFilter{Accounts: []string{"111111111111"}, IDs: []string{"exe-07"}}, func(store.ExecutionRecord) bool { return false }},
	} {
		var want []string
		for i := len(all) - 1; i >= 0; i-- {
			if c.want(all[i]) {
				want = append(want, all[i].ID)
			}
		}
		if c.filter.Oldest {
			slices.Reverse(want)
		}
		var got []string
		cursor := ""
		for {
			page, next, err := s.ListExecutions(ctx, c.filter, 5, cursor)
			ok(t, err)
			for _, e := range page {
				got = append(got, e.ID)
			}
			if cursor = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", name, diff)
		}
	}
	_, _, err := s.ListExecutions(ctx, store.ExecutionFilter{}, 5, "")
	code(t, err, fault.Invalid)
	_, _, err = s.ListExecutions(ctx, store.ExecutionFilter{Accounts: every, IDs: make([]string, 51)}, 5, "")
	code(t, err, fault.Invalid)
}

func executionEnd(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{executionOf(0), executionOf(2)}, store.Effects{}))
	at := Start().Add(time.Hour)
	eff := event("over")
	eff.Ends = []store.ExecutionEnd{{ID: "exe-00", Status: "Cancelled", Failure: "rejected", At: at}}
	ok(t, s.Enqueue(ctx, store.Execution, eff))
	got := must(s.Execution(ctx, "exe-00"))(t)
	same(t, []any{"Cancelled", "rejected", at, ""}, []any{got.Status, got.Result.Failure, got.EndedAt, got.CurrentStep})
	ok(t, s.EndExecution(ctx, store.ExecutionEnd{ID: "exe-00", Status: "Failed", At: at.Add(time.Hour)}, store.Effects{}))
	same(t, got, must(s.Execution(ctx, "exe-00"))(t))
	eff = broken()
	eff.Ends = []store.ExecutionEnd{{ID: "exe-02", Status: "Failed", At: at}}
	code(t, s.Enqueue(ctx, store.Execution, eff), fault.Invalid)
	same(t, true, must(s.Execution(ctx, "exe-02"))(t).EndedAt.IsZero())
}

func executionSegment(t *testing.T, s *store.Store) {
	ctx := t.Context()
	epoch := must(s.Heartbeat(ctx, "node-1", ttl))(t)
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{executionOf(0)}, store.Effects{}))
	e := execution(1, epoch)
	e.Parked = true
	w := store.SegmentWrite{
		Steps:       []store.Step{{Execution: "exe-1", Seq: 1, Name: "A", Status: "InProgress"}, {Execution: "exe-1", Seq: 1, Name: "A", Status: "Success"}},
		DropScripts: true, Effects: event("parked"),
	}
	w.Effects.Signals = []store.Signal{{Execution: "exe-00", Kind: "ChildEnded", Child: "exe-1"}}
	ok(t, s.AppendScriptCall(ctx, "exe-1", "A/1", store.ScriptCall{N: 1, Answer: []byte("x")}))
	late := w
	late.Effects = broken()
	code(t, s.PutSegment(ctx, e, late), fault.Invalid)
	same(t, 0, len(must(s.Steps(ctx, "exe-1"))(t)))
	ok(t, s.PutSegment(ctx, e, w))
	same(t, true, must(s.Execution(ctx, "exe-1"))(t).Parked)
	same(t, "Success", must(s.Steps(ctx, "exe-1"))(t)[0].Status)
	same(t, 0, len(must(s.ScriptCalls(ctx, "exe-1", "A/1"))(t)))
	same(t, "exe-1", must(s.Signals(ctx, "exe-00", 0))(t)[0].Child)
	// What it is at is not written over one that is parked or has ended.
	ok(t, s.PutProgress(ctx, nil, []store.Progress{{Execution: "exe-1", Step: "B", Action: "aws:sleep", Status: "Waiting", Segment: 1}}, store.Effects{}))
	same(t, "", must(s.Execution(ctx, "exe-1"))(t).CurrentStep)
	e.Parked, e.Segment = false, 2
	ok(t, s.PutExecution(ctx, e))
	ok(t, s.PutProgress(ctx, nil, []store.Progress{
		{Execution: "exe-1", Step: "B", Action: "aws:sleep", Status: "InProgress", Segment: 2}, {Execution: "exe-1", Step: "late", Segment: 1},
	}, store.Effects{}))
	same(t, "B", must(s.Execution(ctx, "exe-1"))(t).CurrentStep)
}

func stepLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	step := func(seq, attempt int) store.Step {
		return store.Step{
			Execution: "exe-1", Seq: seq, ID: fmt.Sprint("step-", seq), Name: "Block", Action: "aws:executeAwsApi", Attempt: attempt, Status: "Success",
			Inputs: []byte(`{"a":1}`), Outputs: []byte(`{"b":2}`), Failure: "none", Detail: []byte(`{"is_end":true}`), StartedAt: Start(), EndedAt: Start().Add(time.Second),
		}
	}
	for _, p := range []store.Step{step(2, 1), step(1, 1), step(1, 2)} {
		ok(t, s.PutStep(ctx, p))
	}
	same(t, []store.Step{step(1, 2), step(2, 1)}, must(s.Steps(ctx, "exe-1"))(t))
	same(t, 0, len(must(s.Steps(ctx, "exe-2"))(t)))
	code(t, s.PutStep(ctx, store.Step{}), fault.Invalid)
}

func stepPages(t *testing.T, s *store.Store) {
	ctx := t.Context()
	var all []store.Step
	for i := range 25 {
		all = append(all, store.Step{
			Execution: "exe-1", Seq: i + 1, ID: fmt.Sprint("id-", i+1), Name: []string{"A", "B"}[i%2], Action: "aws:sleep",
			Status: []string{"Success", "Failed", "Waiting"}[i%3], StartedAt: Start().Add(time.Duration(i) * time.Second),
		})
	}
	ok(t, s.PutProgress(ctx, all, nil, store.Effects{}))
	ok(t, s.PutStep(ctx, store.Step{Execution: "exe-2", Seq: 1}))
	read := func(f store.StepFilter) []int {
		var got []int
		cursor := ""
		for {
			page, next, err := s.StepPage(ctx, "exe-1", f, 4, cursor)
			ok(t, err)
			for _, p := range page {
				got = append(got, p.Seq)
			}
			if cursor = next; next == "" {
				return got
			}
		}
	}
	same(t, 25, len(read(store.StepFilter{})))
	same(t, []int{25, 24, 23}, read(store.StepFilter{Reverse: true})[:3])
	same(t, []int{2, 8, 14, 20}, read(store.StepFilter{Names: []string{"B"}, Statuses: []string{"Failed"}}))
	same(t, []int{7}, read(store.StepFilter{IDs: []string{"id-7"}}))
	same(t, []int{3, 4}, read(store.StepFilter{StartedAfter: all[2].StartedAt, StartedBefore: all[3].StartedAt}))
	same(t, []store.Step{all[23], all[24]}, must(s.LatestSteps(ctx, "exe-1", 2))(t))
}

func signalLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{executionOf(0)}, store.Effects{}))
	put := func(g store.Signal) error {
		return s.Enqueue(ctx, store.Execution, store.Effects{Signals: []store.Signal{g}})
	}
	approve := store.Signal{Execution: "exe-00", Kind: "Approve", Step: "Ask", By: "bob", Comment: "fine", At: Start()}
	ok(t, put(approve))
	ok(t, put(store.Signal{Execution: "exe-00", Kind: "Cancel", At: Start()}))
	approve.N = 1
	got := must(s.Signals(ctx, "exe-00", 0))(t)
	same(t, approve, got[0])
	same(t, int64(2), got[1].N)
	same(t, "Cancel", must(s.Signals(ctx, "exe-00", 1))(t)[0].Kind)
	same(t, 0, len(must(s.Signals(ctx, "exe-00", 2))(t)))
	woken := must(s.ClaimMessages(ctx, store.Execution, []string{store.TopicWake}, 9, "node-1", ttl))(t)
	same(t, 2, len(woken))
	same(t, `"exe-00"`, string(woken[0].Payload))
	// One that has ended takes no signal; what may come late is dropped.
	ok(t, s.EndExecution(ctx, store.ExecutionEnd{ID: "exe-00", Status: "Success", At: Start()}, store.Effects{}))
	for _, id := range []string{"exe-00", "exe-99"} {
		code(t, put(store.Signal{Execution: id, Kind: "Cancel"}), fault.Conflict)
		ok(t, put(store.Signal{Execution: id, Kind: "ChildEnded", Late: true}))
	}
	same(t, 2, len(must(s.Signals(ctx, "exe-00", 0))(t)))
}

func signalRace(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.CreateExecutions(ctx, []store.ExecutionRecord{executionOf(0)}, store.Effects{}))
	const each = 20
	done := make(chan error)
	for range 2 {
		go func() {
			for range each {
				if err := s.Enqueue(ctx, store.Execution, store.Effects{Signals: []store.Signal{{Execution: "exe-00", Kind: "ChildEnded"}}}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	ok(t, <-done)
	ok(t, <-done)
	got := must(s.Signals(ctx, "exe-00", 0))(t)
	same(t, 2*each, len(got))
	for i, g := range got {
		same(t, int64(i+1), g.N)
	}
}

func scriptCalls(t *testing.T, s *store.Store) {
	ctx := t.Context()
	for n := range 12 {
		ok(t, s.AppendScriptCall(ctx, "exe-1", "Run/1", store.ScriptCall{N: n + 1, Answer: fmt.Append(nil, "answer ", n+1)}))
	}
	ok(t, s.AppendScriptCall(ctx, "exe-1", "Run/2", store.ScriptCall{N: 1, Answer: []byte("second attempt")}))
	sentinel(t, s.AppendScriptCall(ctx, "exe-1", "Run/1", store.ScriptCall{N: 3, Answer: []byte("another")}), store.ErrConflict)
	got := must(s.ScriptCalls(ctx, "exe-1", "Run/1"))(t)
	same(t, 12, len(got))
	same(t, store.ScriptCall{N: 3, Answer: []byte("answer 3")}, got[2])
	same(t, 0, len(must(s.ScriptCalls(ctx, "exe-2", "Run/1"))(t)))
	code(t, s.AppendScriptCall(ctx, "exe-1", "", store.ScriptCall{N: 1}), fault.Invalid)
}
