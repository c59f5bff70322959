package awsapi_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/remediation"
)

const rereadAfter = 5 * time.Second

// lookedAt plans the calls at the clock's time.
func (w *world) lookedAt(calls []stepCall) *remediation.Plan {
	p := w.plan(calls)
	p.LookedAt = w.clock.Now()
	w.aws.sent()
	return p
}

// trusting applies p as what a policy approved.
func (w *world) trusting(p *remediation.Plan) *awsapi.Session {
	a := w.authority(p)
	a.RereadAfter = rereadAfter
	return w.gate.Applying(as, a)
}

func TestARecentImageIsNotReadAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.aws.state(t)
	p := w.lookedAt(fix())
	w.clock.Advance(rereadAfter)
	if err := run(t.Context(), w.trusting(p), fix()); err != nil {
		t.Fatal(err)
	}
	// What others write parts of is read again all the same.
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "GetBucketPolicy", "DeleteBucketPolicy", "GetBucketAcl", "PutBucketAcl"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	// What planning read is the way back.
	undo := undoOf(t, w.recorder)
	w.recorder = newFakeRecorder()
	if err := run(t.Context(), w.apply(w.plan(undo)), undo); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, w.aws.state(t)); diff != "" {
		t.Error(diff)
	}
}

// What several people write parts of has a time of its own, for the runbook's own read of
// it as well. Seen to fail with that time taken for RereadAfter, and with no reading
// trusted.
func TestARecentImageOfWhatIsShared(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration][]string{
		time.Second:                    {"PutPublicAccessBlock", "DeleteBucketPolicy", "PutBucketAcl"},
		time.Second + time.Millisecond: {"PutPublicAccessBlock", "GetBucketPolicy", "DeleteBucketPolicy", "GetBucketAcl", "GetBucketAcl", "PutBucketAcl"},
	} {
		w := newWorld(t)
		before := w.aws.state(t)
		calls := append(fix()[:2:2], stepCall{"Grants", s3("GetBucketAcl", nil)}, fix()[2])
		p := w.lookedAt(calls)
		w.clock.Advance(after)
		a := w.authority(p)
		a.RereadAfter, a.RereadSharedAfter = rereadAfter, time.Second
		if err := run(t.Context(), w.gate.Applying(as, a), calls); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, w.aws.sent()); diff != "" {
			t.Errorf("after %s: %s", after, diff)
		}
		undo := undoOf(t, w.recorder)
		w.recorder = newFakeRecorder()
		if err := run(t.Context(), w.apply(w.plan(undo)), undo); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, w.aws.state(t)); diff != "" {
			t.Errorf("after %s: %s", after, diff)
		}
	}
}

// queue is AWS behind a throttle: the first change waits for its turn, and meanwhile
// somebody adds to the bucket policy.
type queue struct {
	*fakeAWS
	wait func()
}

func (q *queue) Send(ctx context.Context, creds awsapi.Credentials, c apimodel.Call) (apimodel.Reply, error) {
	if isChange(c) {
		if q.wait != nil {
			q.wait()
			q.wait = nil
		}
		if err := awsapi.Permitted(ctx); err != nil {
			return apimodel.Reply{}, err
		}
	}
	return q.fakeAWS.Send(ctx, creds, c)
}

// A reading that became too old while the change waited for its turn is none: it is read
// again, once, and what was added in between supersedes the plan. Seen to fail where the
// age is not asked when the change leaves.
func TestAnImageGrowsOldInTheQueue(t *testing.T) {
	t.Parallel()
	for _, added := range []bool{false, true} {
		q := &queue{}
		w := newWorld(t, func(c *awsapi.Config) { c.Sender = q })
		q.fakeAWS = w.aws
		calls := []stepCall{{"Policy", s3("DeleteBucketPolicy", nil)}}
		p := w.lookedAt(calls)
		q.wait = func() {
			w.clock.Advance(time.Second + time.Millisecond)
			if added {
				w.aws.set("open", "policy", `{"Statement":[{"Sid":"AddedByHand","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::open/*"}]}`)
			}
		}
		a := w.authority(p)
		a.RereadAfter, a.RereadSharedAfter = rereadAfter, time.Second
		err := run(t.Context(), w.gate.Applying(as, a), calls)
		sent, outcomes := []string{"GetBucketPolicy", "DeleteBucketPolicy"}, []string{"exec-1/Policy/1.1 refused", "exec-1/Policy/1.2 applied"}
		if added {
			sent, outcomes = sent[:1], outcomes[:1]
		}
		if errors.Is(err, awsapi.ErrSuperseded) != added || err != nil != added {
			t.Errorf("added is %v: %v", added, err)
		}
		if diff := cmp.Diff(sent, w.aws.sent()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(outcomes, w.recorder.outcomes()); diff != "" {
			t.Error(diff)
		}
	}
}

// Where a reading is not trusted, drift is found as ever: nothing is sent.
func TestOnlyARecentImageIsTrusted(t *testing.T) {
	t.Parallel()
	block := []stepCall{{"Block", s3("DeletePublicAccessBlock", nil)}}
	tests := map[string]struct {
		calls []stepCall
		edit  func(w *world, p *remediation.Plan, a *awsapi.Authority)
	}{
		"too old": {block, func(w *world, _ *remediation.Plan, _ *awsapi.Authority) {
			w.clock.Advance(rereadAfter + time.Millisecond)
		}},
		"from the future":  {block, func(w *world, p *remediation.Plan, _ *awsapi.Authority) { p.LookedAt = w.clock.Now().Add(time.Second) }},
		"people approved":  {block, func(_ *world, _ *remediation.Plan, a *awsapi.Authority) { a.RereadAfter = 0 }},
		"nobody says when": {block, func(_ *world, p *remediation.Plan, _ *awsapi.Authority) { p.LookedAt = time.Time{} }},
		"open":             {block, func(_ *world, p *remediation.Plan, _ *awsapi.Authority) { p.Open = true }},
		"more may be called": {block, func(_ *world, p *remediation.Plan, _ *awsapi.Authority) {
			p.Beyond = []remediation.Allowance{{Step: "Mend", Service: "s3", Operation: "DeletePublicAccessBlock", Account: member, Region: region, Class: apimodel.Change, Input: map[string]any{"Bucket": "open"}}}
		}},
		"changed by the plan": {[]stepCall{{"Before", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})}, block[0]}, nil},
		"a policy": {[]stepCall{{"Policy", s3("DeleteBucketPolicy", nil)}}, func(w *world, _ *remediation.Plan, _ *awsapi.Authority) {
			w.aws.set("open", "policy", `{"Statement":[{"Sid":"AddedByHand","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::open/*"}]}`)
		}},
		"after what is opaque": {[]stepCall{{"Make", s3("CreateMultipartUpload", map[string]any{"Key": "index.html"})}, block[0]}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.lookedAt(tt.calls)
			a := w.authority(p)
			a.RereadAfter = rereadAfter
			if tt.edit != nil {
				tt.edit(w, p, &a)
			}
			a.Plan = p
			a.Hash = w.authority(p).Hash
			s := w.gate.Applying(as, a)
			for i, c := range tt.calls {
				last := i == len(tt.calls)-1
				if last {
					w.aws.set("open", "pab", map[string]any{"BlockPublicAcls": true, "IgnorePublicAcls": false, "BlockPublicPolicy": true, "RestrictPublicBuckets": true})
				}
				_, err := s.Call(t.Context(), c.step, c.call)
				if !last && err != nil {
					t.Fatal(err)
				}
				if last && !errors.Is(err, awsapi.ErrSuperseded) {
					t.Fatalf("got %v", err)
				}
			}
		})
	}
}

func TestAnotherAttemptReadsAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	calls := []stepCall{{"Block", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})}}
	p := w.lookedAt(calls)
	refused := &apimodel.APIError{Service: "s3", Operation: "PutPublicAccessBlock", Code: "OperationAborted", HTTPStatus: 409}
	w.aws.there = func(c apimodel.Call) error {
		if c.Operation == "PutPublicAccessBlock" {
			return refused
		}
		return nil
	}
	if err := run(t.Context(), w.trusting(p), calls); !errors.Is(err, refused) {
		t.Fatalf("got %v", err)
	}
	w.aws.there = nil
	if err := run(t.Context(), w.trusting(p), calls); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "GetPublicAccessBlock", "PutPublicAccessBlock"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}

// A runbook's own read of what it changes next is answered by what planning saw, and
// after the change by AWS.
func TestARunbooksReadOfARecentImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.aws.set("open", "pab", blocked(false))
	read := stepCall{"Read", s3("GetPublicAccessBlock", nil)}
	calls := []stepCall{read, {"Block", s3("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)})}, {"Look", read.call}}
	p := w.lookedAt(calls)
	s := w.trusting(p)
	got, err := s.Call(t.Context(), read.step, read.call)
	if err != nil {
		t.Fatal(err)
	}
	if sent := w.aws.sent(); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
	want, err := w.apply(p).Call(t.Context(), read.step, read.call)
	if err != nil {
		t.Fatal(err)
	}
	delete(got.Output, "ResponseMetadata")
	delete(want.Output, "ResponseMetadata")
	if diff := cmp.Diff(want.Output, got.Output); diff != "" {
		t.Errorf("AWS's answer and that of memory (-AWS +memory):\n%s", diff)
	}
	w.aws.sent()
	if err := run(t.Context(), s, calls[1:]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"PutPublicAccessBlock", "GetPublicAccessBlock"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	// So it is for whoever takes over after a crash: the change was begun.
	if _, err := w.trusting(p).Call(t.Context(), read.step, read.call); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GetPublicAccessBlock"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
	// What the plan does not change is always asked of AWS.
	if _, err := w.trusting(p).Call(t.Context(), "Other", s3("GetBucketPolicy", nil)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"GetBucketPolicy"}, w.aws.sent()); diff != "" {
		t.Error(diff)
	}
}
