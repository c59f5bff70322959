package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/playbook"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/verify"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// memory is a store that holds remediations to their transitions and versions.
type memory struct {
	remediations map[remediation.ID]remediation.Remediation
	changes      []remediation.Change
	plans        map[remediation.Hash]remediation.Plan
	effects      []store.Effects
	fail         map[remediation.ID]error // of writing it
}

func (m *memory) Remediation(_ context.Context, id remediation.ID) (remediation.Remediation, error) {
	r, ok := m.remediations[id]
	if !ok {
		return r, fault.E(fault.NotFound, "read remediation", store.ErrNotFound)
	}
	return r, nil
}

func (m *memory) UpdateRemediation(_ context.Context, r remediation.Remediation, eff store.Effects) error {
	if err := m.fail[r.ID]; err != nil {
		return err
	}
	was := m.remediations[r.ID]
	if was.Version != r.Version {
		return fmt.Errorf("update %s: %w", r.ID, store.ErrConflict)
	}
	if err := was.State.Check(r.State); err != nil {
		return err
	}
	r.Version++
	m.remediations[r.ID] = r
	m.effects = append(m.effects, eff)
	return nil
}

func (m *memory) Plan(_ context.Context, hash remediation.Hash) (remediation.Plan, error) {
	p, ok := m.plans[hash]
	if !ok {
		return p, fault.E(fault.NotFound, "read plan", store.ErrNotFound)
	}
	return p, nil
}

func (m *memory) Changes(_ context.Context, id remediation.ID) ([]remediation.Change, error) {
	return slices.DeleteFunc(slices.Clone(m.changes), func(c remediation.Change) bool { return c.Remediation != id }), nil
}

// annotations gives what the findings are told.
func (m *memory) annotations(t *testing.T) []finding.Annotation {
	t.Helper()
	var out []finding.Annotation
	for _, eff := range m.effects {
		for _, msg := range eff.Outbox {
			if msg.Topic != store.TopicAnnotate {
				continue
			}
			var a finding.Annotation
			if err := json.Unmarshal(msg.Payload, &a); err != nil {
				t.Fatal(err)
			}
			out = append(out, a)
		}
	}
	return out
}

// bucket answers reads: by operation, the output or the error.
type bucket struct {
	policy string // "" = none
	on     bool   // Block Public Access
	err    error
	opened int
	asked  []string
}

func (b *bucket) Verifier(remediation.Remediation, ...string) verify.Caller { b.opened++; return b }

func (b *bucket) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	b.asked = append(b.asked, c.Operation)
	if b.err != nil {
		return apimodel.Reply{}, b.err
	}
	switch {
	case c.Operation == "GetBucketPolicy" && b.policy == "":
		return apimodel.Reply{}, &apimodel.APIError{Code: "NoSuchBucketPolicy", HTTPStatus: 404}
	case c.Operation == "GetBucketPolicy":
		return apimodel.Reply{Output: map[string]any{"Policy": b.policy}}, nil
	case c.Operation == "GetPublicAccessBlock":
		return apimodel.Reply{Output: map[string]any{"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": b.on}}}, nil
	}
	return apimodel.Reply{}, fmt.Errorf("verification made the call %s", c.Operation)
}

type shelf map[string]playbook.Playbook

func (s shelf) Playbook(id string) (playbook.Playbook, bool) { p, ok := s[id]; return p, ok }

func book() playbook.Playbook {
	return playbook.Playbook{
		ID: "S3.8", Resource: "AwsS3Bucket", Note: "Closed, and read back.",
		Reads: []playbook.Read{
			{Name: "pab", Service: "s3", Operation: "GetPublicAccessBlock", Input: map[string]any{"Bucket": "resource.name"}},
			{Name: "policy", Service: "s3", Operation: "GetBucketPolicy", Input: map[string]any{"Bucket": "resource.name"}, Absent: []string{"NoSuchBucketPolicy"}},
		},
		Checks: []playbook.Check{
			{Name: "blocked", Read: "pab", Selector: "$.PublicAccessBlockConfiguration.BlockPublicAcls", Equals: "true"},
			{Name: "the policy is not public", Read: "policy", Predicate: "policy_not_public"},
		},
	}
}

const public = `{"Statement":[{"Sid":"World","Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}`

type world struct {
	*memory
	bucket *bucket
	shelf  shelf
	stage  *verify.Stage
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{
		memory: &memory{fail: map[remediation.ID]error{}, remediations: map[remediation.ID]remediation.Remediation{"rem-1": {
			ID: "rem-1", Kind: remediation.KindFix, Finding: finding.ID{ProductArn: "p", Id: "f"}, Playbook: "S3.8", Control: "S3.8",
			Account: "111122223333", Region: "us-east-1", Resource: "arn:aws:s3:::reports", State: remediation.Verifying, Version: 5,
		}}},
		bucket: &bucket{on: true}, shelf: shelf{"S3.8": book()},
	}
	var err error
	w.stage, err = verify.New(verify.Config{Store: w.memory, Playbooks: w.shelf, Gate: w.bucket, Clock: service.NewFixedClock(noon)})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// undoing makes rem-1 the remediation that rem-2, in state verifying, undoes.
func (w *world) undoing() {
	first := w.remediations["rem-1"]
	second := first
	first.State, first.UndoneBy, first.UndoneFrom = remediation.Undoing, "rem-2", remediation.Verified
	second.ID, second.Kind, second.UndoOf = "rem-2", remediation.KindUndo, "rem-1"
	w.remediations["rem-1"], w.remediations["rem-2"] = first, second
	call := remediation.PlannedCall{Service: "s3", Operation: "DeleteBucketPolicy", Resource: "arn:aws:s3:::reports (bucket policy)", Input: map[string]any{"Bucket": "reports"}}
	again := call
	again.Operation, again.Input = "PutBucketPolicy", map[string]any{"Bucket": "reports", "Policy": "{}"}
	w.changes = []remediation.Change{
		{Remediation: "rem-1", Call: call, Before: &remediation.Image{Exists: true, Data: map[string]any{"Policy": public}}, Outcome: remediation.Applied},
		{Remediation: "rem-1", Call: again, Before: &remediation.Image{}, Outcome: remediation.Applied}, // a second change of one resource
		{Remediation: "rem-1", Call: remediation.PlannedCall{Service: "s3", Operation: "DeleteObject"}, Outcome: remediation.Applied},
	}
}

func (w *world) handle(t *testing.T, id remediation.ID, attempt int) error {
	t.Helper()
	payload, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	return w.stage.Handle(t.Context(), payload, attempt)
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := verify.New(verify.Config{}); !fault.Is(err, fault.Internal) {
		t.Errorf("err = %v", err)
	}
}

func TestAFixThatIsThere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for range 2 { // the second delivery is a repetition
		if err := w.handle(t, "rem-1", 1); err != nil {
			t.Fatal(err)
		}
	}
	r := w.remediations["rem-1"]
	if r.State != remediation.Verified || r.Reason != "read back from AWS: all 2 checks pass" || r.Version != 6 {
		t.Errorf("%s: %s, version %d", r.State, r.Reason, r.Version)
	}
	want := []finding.Annotation{{Finding: r.Finding, Workflow: "RESOLVED", By: "parry/remediation/rem-1", Note: "Closed, and read back."}}
	if diff := cmp.Diff(want, w.annotations(t)); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if w.bucket.opened != 1 || len(w.effects) != 1 || len(w.effects[0].Audit) != 1 {
		t.Errorf("%d sessions, %d writes", w.bucket.opened, len(w.effects))
	}
}

func TestANoteIsWrittenWithoutThePlaybooksOwn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	p := book()
	p.Note, p.Checks = "", p.Checks[:1]
	w.shelf["S3.8"] = p
	if err := w.handle(t, "rem-1", 1); err != nil {
		t.Fatal(err)
	}
	if a := w.annotations(t); len(a) != 1 || a[0].Note != "Remediated and verified." {
		t.Errorf("annotations = %+v", a)
	}
	if r := w.remediations["rem-1"]; r.Reason != "read back from AWS: the check passes: blocked" {
		t.Errorf("reason = %s", r.Reason)
	}
}

func TestAFixThatAppearsLate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.bucket.on = false
	var waits []time.Duration
	for attempt := 1; attempt < verify.DefaultTries; attempt++ {
		err := w.handle(t, "rem-1", attempt)
		wait, again := fault.IsTransient(err)
		if !again || !strings.Contains(err.Error(), "not there yet: blocked: ") {
			t.Fatalf("attempt %d: %v", attempt, err)
		}
		waits = append(waits, wait)
	}
	if diff := cmp.Diff([]time.Duration{time.Second / 2, time.Second, 2 * time.Second}, waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
	if len(w.effects) != 0 {
		t.Error("a verdict was stored")
	}
	w.bucket.on = true
	if err := w.handle(t, "rem-1", verify.DefaultTries); err != nil {
		t.Fatal(err)
	}
	if s := w.remediations["rem-1"].State; s != remediation.Verified {
		t.Errorf("it is %s", s)
	}
}

func TestAFixThatIsNotThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit    func(*world)
		attempt int
		reason  string
	}{
		"after the tries": {func(w *world) { w.bucket.policy = public }, verify.DefaultTries, "the policy is not public: public in the policy: World"},
		"playbook gone":   {func(w *world) { clear(w.shelf) }, 1, `there is no playbook "S3.8"`},
		"no ARN": {func(w *world) {
			r := w.remediations["rem-1"]
			r.Resource = "reports"
			w.remediations["rem-1"] = r
		}, 1, "is not an ARN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			c.edit(w)
			if err := w.handle(t, "rem-1", c.attempt); err != nil {
				t.Fatal(err)
			}
			r := w.remediations["rem-1"]
			if r.State != remediation.Unverified || !strings.Contains(r.Reason, c.reason) || !strings.Contains(r.Hint, "parry remediation show rem-1") {
				t.Errorf("%s: %s (hint: %s)", r.State, r.Reason, r.Hint)
			}
			if a := w.annotations(t); len(a) != 0 {
				t.Errorf("the finding is told %+v", a)
			}
		})
	}
}

func TestAReadThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"throttled": &apimodel.APIError{Code: "Throttling", Throttled: true},
		"denied":    &apimodel.APIError{Code: "AccessDenied", HTTPStatus: 403},
		"lost":      fault.Errorf(fault.Unavailable, "call", "reset"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, id := range []remediation.ID{"rem-1", "rem-2"} {
				w := setup(t)
				w.undoing()
				w.stand("rem-1", remediation.Verifying)
				w.bucket.err = cause
				err := w.handle(t, id, verify.DefaultTries+1)
				if wait, again := fault.IsTransient(err); !again || wait != time.Second || !errors.Is(err, cause) {
					t.Errorf("%s: %v", id, err)
				}
				if len(w.effects) != 0 {
					t.Errorf("%s: a verdict was stored", id)
				}
			}
		})
	}
}

func (w *world) stand(id remediation.ID, s remediation.State) {
	r := w.remediations[id]
	r.State = s
	w.remediations[id] = r
}

func TestAnUndoIsHeldAgainstTheImagesFromBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy string
		first  remediation.State
		undo   remediation.State
		reason string
		note   string
	}{
		"restored": {
			// The same policy in other words.
			`{"Statement":{"Action":["s3:GetObject"],"Effect":"Allow","Principal":"*","Sid":"World"}}`,
			remediation.Undone, remediation.Verified, "the check passes: arn:aws:s3:::reports (bucket policy)", "The remediation rem-1 was undone; the resource is as it was before.",
		},
		"not restored": {
			"", remediation.Unverified, remediation.Unverified, "differs from before the fix", "An undo of remediation rem-1 ran, and the resource is not as it was before. Look at it.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.undoing()
			w.bucket.policy = c.policy
			for range 2 {
				if err := w.handle(t, "rem-2", verify.DefaultTries); err != nil {
					t.Fatal(err)
				}
			}
			first, second := w.remediations["rem-1"], w.remediations["rem-2"]
			if first.State != c.first || second.State != c.undo || !strings.Contains(second.Reason, c.reason) || !strings.HasPrefix(first.Reason, "by rem-2: ") {
				t.Errorf("the first is %s (%s), the undo %s (%s)", first.State, first.Reason, second.State, second.Reason)
			}
			want := []finding.Annotation{{Finding: first.Finding, Workflow: "NEW", By: "parry/remediation/rem-2", Note: c.note}}
			if diff := cmp.Diff(want, w.annotations(t)); diff != "" {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			if len(w.effects) != 2 {
				t.Errorf("%d writes", len(w.effects))
			}
		})
	}
}

func TestAnUndoWithNothingToLookAtIsUnverified(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.undoing()
	w.changes = nil
	if err := w.handle(t, "rem-2", verify.DefaultTries); err != nil {
		t.Fatal(err)
	}
	if r := w.remediations["rem-2"]; r.State != remediation.Unverified || !strings.Contains(r.Reason, "there was nothing to check") {
		t.Errorf("%s: %s", r.State, r.Reason)
	}
}

// TestACrashBetweenTheTwoVerdicts: the first remediation has its verdict, the
// undo gets its own with the repeated delivery.
func TestACrashBetweenTheTwoVerdicts(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.undoing()
	w.bucket.policy = public
	w.fail["rem-2"] = store.ErrConflict
	if _, again := fault.IsTransient(w.handle(t, "rem-2", 1)); !again {
		t.Fatal("a write that lost against another is not tried again")
	}
	delete(w.fail, "rem-2")
	if err := w.handle(t, "rem-2", 2); err != nil {
		t.Fatal(err)
	}
	states := map[remediation.ID]remediation.State{}
	for id := range maps.Keys(w.remediations) {
		states[id] = w.remediations[id].State
	}
	if diff := cmp.Diff(map[remediation.ID]remediation.State{"rem-1": remediation.Undone, "rem-2": remediation.Verified}, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// TestAnotherUndosRemediationIsLeftAlone: this undo ended up without it.
func TestAnotherUndosRemediationIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.undoing()
	w.bucket.policy = public
	first := w.remediations["rem-1"]
	first.UndoneBy = "rem-3"
	w.remediations["rem-1"] = first
	if err := w.handle(t, "rem-2", 1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, w.remediations["rem-1"]); diff != "" {
		t.Errorf("the first (-want +got):\n%s", diff)
	}
}

func TestJobsThatLeadNowhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	if err := w.stage.Handle(t.Context(), []byte("{"), 1); !fault.IsTerminal(err) {
		t.Errorf("broken JSON: %v", err)
	}
	if err := w.handle(t, "rem-9", 1); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown id: %v", err)
	}
	w.fail["rem-1"] = fault.Errorf(fault.Exhausted, "write", "disk full")
	if err := w.handle(t, "rem-1", 1); !fault.Is(err, fault.Exhausted) {
		t.Errorf("full disk: %v", err)
	}
}
