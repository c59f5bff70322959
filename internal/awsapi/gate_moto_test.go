package awsapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/remediation"
)

// lossyHTTP loses answers: the request arrives, its answer does not.
type lossyHTTP struct {
	next  http.RoundTripper
	lose  atomic.Int32 // answers to changes still to lose
	block atomic.Bool  // nothing arrives at all
	puts  atomic.Int32 // changes that arrived
}

func (l *lossyHTTP) RoundTrip(r *http.Request) (*http.Response, error) {
	change := r.Method == http.MethodPut || r.Method == http.MethodDelete
	if change && l.block.Load() {
		return nil, errors.New("no route to host")
	}
	resp, err := l.next.RoundTrip(r)
	if err == nil && change {
		l.puts.Add(1)
		if l.lose.Add(-1) >= 0 {
			_ = resp.Body.Close()
			return nil, io.ErrUnexpectedEOF
		}
	}
	return resp, err
}

// motoWorld is a gate whose client, credentials and wire are the real ones.
func motoWorld(t *testing.T) (*world, *lossyHTTP) {
	t.Helper()
	_, address := startMoto(t)
	wire := &lossyHTTP{next: http.DefaultTransport}
	client := newClient(t, address, func(c *awsapi.ClientConfig) { c.HTTP = &http.Client{Transport: wire} })
	w := newWorld(t, func(c *awsapi.Config) {
		c.Sender = client
		c.Credentials = awsapi.NewStaticCredentials(client, testKeys)
		c.Guards = awsapi.Guards{Accounts: []string{member}}
		c.Clock = nil // moto's credentials end by the wall clock
	})
	creds, _, err := awsapi.NewStaticCredentials(client, testKeys).AssumeRole(t.Context(), awsapi.RoleRequest{
		RoleARN: "arn:aws:iam::" + member + ":role/" + role, SessionName: "set-up", Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []apimodel.Call{
		motoS3("CreateBucket", nil),
		motoS3("PutBucketAcl", map[string]any{"ACL": "public-read"}),
		motoS3("PutBucketPolicy", map[string]any{"Policy": publicPolicy}),
	} {
		if _, err := client.Send(t.Context(), creds, c); err != nil {
			t.Fatalf("%s: %v", c.Operation, err)
		}
	}
	wire.puts.Store(0)
	return w, wire
}

func motoS3(op string, in map[string]any) apimodel.Call {
	c := s3(op, in)
	c.Region = "us-east-1"
	return c
}

func motoFix() []stepCall {
	calls := fix()
	for i := range calls {
		calls[i].call.Region = "us-east-1"
	}
	return calls
}

// imagesOf reads what the fix changes, as JSON.
func imagesOf(t *testing.T, w *world) string {
	t.Helper()
	var out []apimodel.Image
	s := w.gate.ReadOnly(awsapi.Identity{Role: role, SessionName: "judge"})
	for _, c := range motoFix() {
		spec, ok := apimodel.ImageOf(c.call)
		if !ok {
			t.Fatalf("%s has no row", c.call.Operation)
		}
		img, err := spec.ImageFrom(s.Call(t.Context(), "", spec.ReadCall()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, img)
	}
	raw, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// orderedUndo makes the way back from what was recorded.
func orderedUndo(t *testing.T, r *fakeRecorder) []stepCall {
	t.Helper()
	var done []apimodel.Done
	for _, id := range r.order {
		c := r.changes[id]
		call := apimodel.Call{Service: c.Call.Service, Operation: c.Call.Operation, Account: c.Call.Account, Region: c.Call.Region, Input: c.Call.Input}
		done = append(done, apimodel.Done{Call: call, Before: apimodel.Image(*c.Before)})
	}
	calls, without := apimodel.Undo(done)
	if len(without) > 0 {
		t.Fatalf("no way back from %v", without)
	}
	var out []stepCall
	for _, c := range calls {
		out = append(out, stepCall{"Undo" + c.Operation, c.Call})
	}
	return out
}

func TestMotoPlanApplyUndo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	w, wire := motoWorld(t)
	before := imagesOf(t, w)
	plan := w.plan(motoFix())
	if got := imagesOf(t, w); got != before || wire.puts.Load() != 0 {
		t.Fatalf("planning changed something: %d changes, %s", wire.puts.Load(), cmp.Diff(before, got))
	}
	if plan.Irreversible() || plan.Changes() != 3 {
		t.Errorf("planned %+v", plan.Calls)
	}
	if err := run(t.Context(), w.apply(plan), motoFix()); err != nil {
		t.Fatal(err)
	}
	fixed := imagesOf(t, w)
	if strings.Contains(fixed, "AllUsers") || strings.Contains(fixed, "PublicRead") || !strings.Contains(fixed, `"RestrictPublicBuckets": true`) {
		t.Errorf("after the fix: %s", fixed)
	}
	undo := orderedUndo(t, w.recorder)
	if undo[0].call.Operation != "DeletePublicAccessBlock" {
		t.Errorf("undo begins with %s, which Block Public Access would refuse", undo[0].call.Operation)
	}
	w.recorder = newFakeRecorder()
	if err := run(t.Context(), w.apply(w.plan(undo)), undo); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, imagesOf(t, w)); diff != "" {
		t.Errorf("after undo:\n%s", diff)
	}
	if got := wire.puts.Load(); got != 6 {
		t.Errorf("%d changes arrived, want 6", got)
	}
}

func TestMotoLostAnswersAndDeadWire(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	w, wire := motoWorld(t)
	plan := w.plan(motoFix())
	s := w.apply(plan)
	wire.block.Store(true)
	err := run(t.Context(), s, motoFix()[:1])
	if _, again := fault.IsTransient(err); err == nil || !again {
		t.Errorf("dead wire: %v", err)
	}
	wire.block.Store(false)
	wire.lose.Store(1)
	if err := run(t.Context(), s, motoFix()[:2]); err != nil {
		t.Fatal(err)
	}
	// The second process knows nothing but the records, and takes the lease over.
	if err := run(t.Context(), w.apply(plan), motoFix()); err != nil {
		t.Fatal(err)
	}
	if got := wire.puts.Load(); got != 3 {
		t.Errorf("%d changes arrived, want 3", got)
	}
	want := []string{"exec-1/Block/1.1 refused", "exec-1/Block/1.2 applied", "exec-1/Policy/2.1 applied", "exec-1/Acl/3.1 applied"}
	if diff := cmp.Diff(want, w.recorder.outcomes()); diff != "" {
		t.Error(diff)
	}
}

func TestMotoSupersededAndCancelled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts moto")
	}
	t.Parallel()
	w, wire := motoWorld(t)
	plan := w.plan(motoFix())
	first := w.planOf([]remediation.PlannedCall{plan.Calls[1]})
	if err := run(t.Context(), w.apply(first), motoFix()[1:2]); err != nil { // somebody removes the policy
		t.Fatal(err)
	}
	wire.puts.Store(0)
	w.recorder = newFakeRecorder()
	if err := run(t.Context(), w.apply(plan), motoFix()[1:2]); !errors.Is(err, awsapi.ErrSuperseded) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, w.apply(plan), motoFix()[2:]); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := wire.puts.Load(); got != 0 {
		t.Errorf("%d changes arrived", got)
	}
	wrong := motoS3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": "on"})
	var param *awsapi.ParamError
	if _, err := w.gate.Planning(as, awsapi.PlanOptions{}).Call(t.Context(), "x", wrong); !errors.As(err, &param) {
		t.Errorf("got %v", err)
	}
}
