package awsapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
)

// createKey plans a key and gives its id, which only applying will tell.
func createKey(t *testing.T, p *awsapi.Planner) (id string, whole map[string]any) {
	t.Helper()
	reply, err := p.Call(t.Context(), "Make", apimodel.Call{Service: "kms", Operation: "CreateKey", Account: member, Region: region, Input: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	whole, _ = reply.Output["KeyMetadata"].(map[string]any)
	id, _ = whole["KeyId"].(string)
	return id, whole
}

// TestWhatAScriptCutsFromAnUnknownValue cannot be planned; what it puts around
// one can.
func TestWhatAScriptCutsFromAnUnknownValue(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(id string) string
		open bool
	}{
		"whole":              {func(id string) string { return id }, false},
		"in an ARN":          {func(id string) string { return "arn:aws:kms:" + region + ":" + member + ":key/" + id }, false},
		"cut off":            {func(id string) string { return id[:len(id)-3] }, true},
		"its end":            {func(id string) string { return id[len(id)-12:] }, true},
		"split":              {func(id string) string { return strings.Split(id, ".")[2] }, true},
		"in capitals":        {strings.ToUpper, true},
		"one whole, one not": {func(id string) string { return id + id[:20] }, true},
		"another's text":     {func(string) string { return "<known after apply: Make.KeyId>" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.gate.Planning(as, awsapi.PlanOptions{})
			id, _ := createKey(t, p)
			_, err := p.Call(t.Context(), "Use", apimodel.Call{Service: "kms", Operation: "UntagResource", Account: member, Region: region, Input: map[string]any{"KeyId": c.make(id), "TagKeys": []any{"a"}}})
			if c.open != isPlanUnknown(err) || c.open != (p.Open() != "") || !c.open && err != nil {
				t.Errorf("%v, open %q", err, p.Open())
			}
			if c.open && (!strings.Contains(p.Open(), "KeyId is made of a part of") || strings.Contains(p.Open(), " u-")) {
				t.Errorf("open %q", p.Open())
			}
		})
	}
}

// TestStandInsHaveEveryMember that a script may look at.
func TestStandInsHaveEveryMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	_, key := createKey(t, p)
	if at, ok := key["CreationDate"].(time.Time); !ok || !at.Equal(w.clock.Now()) {
		t.Errorf("CreationDate is %v", key["CreationDate"])
	}
	if on, ok := key["Enabled"].(bool); !ok || on {
		t.Errorf("Enabled is %v", key["Enabled"])
	}
	if !p.IsUnknown(key["Arn"]) || !p.IsUnknown(key) || p.IsUnknown(key["CreationDate"]) {
		t.Error("what is unknown cannot be told")
	}
}

// TestPollingWhatApplyingBringsAbout ends, and leaves the plan open; before any
// change is planned a script may wait for what AWS does by itself.
func TestPollingWhatApplyingBringsAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	poll := func(n int) (err error) {
		for range n {
			if _, err = p.Call(t.Context(), "Script", s3("GetBucketLocation", nil)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := poll(20); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Call(t.Context(), "Script", fix()[1].call); err != nil {
		t.Fatal(err)
	}
	if err := poll(5); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Call(t.Context(), "Script", s3("GetBucketAcl", nil)); err != nil {
		t.Fatal(err)
	}
	if err := poll(20); !isPlanUnknown(err) || !strings.Contains(p.Open(), "6th time") {
		t.Errorf("%v, open %q", err, p.Open())
	}
}

// TestWhatThePlanMakesUnderAName is there for later calls of the plan.
func TestWhatThePlanMakesUnderAName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.gate.Planning(as, awsapi.PlanOptions{})
	logs := func(op string, in map[string]any) apimodel.Call {
		c := s3(op, in)
		c.Input["Bucket"] = "logs"
		return c
	}
	if _, err := p.Call(t.Context(), "Look", logs("GetBucketAcl", nil)); !isCode(err, "NoSuchBucket") {
		t.Fatalf("before: %v", err)
	}
	calls := []apimodel.Call{
		logs("CreateBucket", nil), logs("GetBucketLocation", nil), logs("GetBucketAcl", nil),
		logs("PutPublicAccessBlock", map[string]any{"PublicAccessBlockConfiguration": blocked(true)}),
	}
	for _, c := range calls {
		if _, err := p.Call(t.Context(), "Script", c); err != nil {
			t.Fatalf("%s: %v", c.Operation, err)
		}
	}
	last := p.Calls()[len(p.Calls())-1]
	if last.Operation != "PutPublicAccessBlock" || last.Before != nil || !last.EffectUnknown || p.Open() != "" {
		t.Errorf("planned %+v, open %q", last, p.Open())
	}
	// Another bucket that is not there is not.
	other := s3("GetBucketAcl", map[string]any{"Bucket": "logs-2"})
	if _, err := p.Call(t.Context(), "Script", other); !isCode(err, "NoSuchBucket") {
		t.Errorf("another: %v", err)
	}
	// When it is applied it is there.
	w.aws.answers = map[string]map[string]any{"CreateBucket": {}}
	s := w.apply(w.planOf(p.Calls()))
	for _, c := range calls {
		if _, err := s.Call(t.Context(), "Script", c); err != nil {
			t.Fatalf("apply %s: %v", c.Operation, err)
		}
		if c.Operation == "CreateBucket" {
			w.aws.mu.Lock()
			w.aws.buckets["logs"] = map[string]any{"acl": map[string]any{}}
			w.aws.mu.Unlock()
		}
	}
}
