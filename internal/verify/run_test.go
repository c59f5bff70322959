package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
)

// running makes rem-1 a document that somebody started, with these changes.
func (w *world) running(changes ...remediation.Change) {
	r := w.remediations["rem-1"]
	r.Kind, r.Runbook, r.Playbook, r.Control, r.Finding = remediation.KindRun, "Close", "", "", finding.ID{}
	w.remediations["rem-1"] = r
	for i := range changes {
		changes[i].Remediation = "rem-1"
		changes[i].Call.Class, changes[i].Call.Account, changes[i].Call.Region = apimodel.Change, "111122223333", "us-east-1"
	}
	w.changes = changes
}

func putPolicy(text string, before *remediation.Image) remediation.Change {
	return remediation.Change{
		Outcome: remediation.Applied, Before: before,
		Call: remediation.PlannedCall{
			Service: "s3", Operation: "PutBucketPolicy", Resource: "arn:aws:s3:::reports (bucket policy)", Input: map[string]any{"Bucket": "reports", "Policy": text},
		},
	}
}

func dropPolicy() remediation.Change {
	return remediation.Change{
		Outcome: remediation.Applied, Before: &remediation.Image{Exists: true, Data: map[string]any{"Policy": public}},
		Call: remediation.PlannedCall{Service: "s3", Operation: "DeleteBucketPolicy", Resource: "arn:aws:s3:::reports (bucket policy)", Input: map[string]any{"Bucket": "reports"}},
	}
}

const private = `{"Statement":[{"Sid":"Own","Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"s3:GetObject"}]}`

func TestARunIsHeldToWhatItsChangesLeave(t *testing.T) {
	t.Parallel()
	refused := dropPolicy()
	refused.Outcome = remediation.Refused
	sensitive := dropPolicy()
	unknown := remediation.Change{Outcome: remediation.Applied, Call: remediation.PlannedCall{Service: "sqs", Operation: "CreateQueue", Input: map[string]any{"QueueName": "q"}}}
	for name, c := range map[string]struct {
		policy  string
		changes []remediation.Change
		state   remediation.State
		reason  string
	}{
		"nothing was changed":         {"", nil, remediation.Verified, "nothing was changed"},
		"a refused change is none":    {public, []remediation.Change{refused}, remediation.Verified, "nothing was changed"},
		"the policy is gone":          {"", []remediation.Change{dropPolicy()}, remediation.Verified, "arn:aws:s3:::reports (bucket policy)"},
		"somebody put it back":        {public, []remediation.Change{dropPolicy()}, remediation.Unverified, "not as the document left it"},
		"only the last change counts": {private, []remediation.Change{dropPolicy(), putPolicy(private, &remediation.Image{})}, remediation.Verified, ""},
		"the last change is missing":  {"", []remediation.Change{dropPolicy(), putPolicy(private, &remediation.Image{})}, remediation.Unverified, "not as the document left it"},
		"an effect nobody foretells":  {"", []remediation.Change{unknown}, remediation.Unverified, "nobody can foretell what sqs:CreateQueue"},
		"one of two":                  {"", []remediation.Change{sensitive, unknown}, remediation.Unverified, "nobody can foretell"},
	} {
		w := setup(t)
		w.running(c.changes...)
		w.bucket.policy = c.policy
		if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`), 4); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := w.remediations["rem-1"]
		if r.State != c.state || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: %s (%s)", name, r.State, r.Reason)
		}
		if notes := w.annotations(t); len(notes) > 0 {
			t.Errorf("%s: a finding is told %v", name, notes)
		}
	}
}

func TestWhatCannotBeForetoldIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.running(remediation.Change{Outcome: remediation.Applied, Call: remediation.PlannedCall{Service: "sqs", Operation: "CreateQueue", Input: map[string]any{"QueueName": "q"}}})
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`), 1); err != nil || w.remediations["rem-1"].State != remediation.Unverified {
		t.Errorf("%v, %s", err, w.remediations["rem-1"].State)
	}
	w = setup(t)
	w.running(dropPolicy())
	w.bucket.policy = public
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`), 1); err == nil {
		t.Error("AWS's reads may lag: it is not read again")
	}
	w.bucket.err = fmt.Errorf("no answer")
	if err := w.stage.Handle(t.Context(), []byte(`"rem-1"`), 9); err == nil || w.remediations["rem-1"].State != remediation.Verifying {
		t.Errorf("a read that failed is a verdict: %v", err)
	}
}
