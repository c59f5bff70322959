package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
)

// patience is how long a step waits for what it expects. What is measured is the time that
// it really takes.
const patience = 90 * time.Second

// poll asks until what is missing is "", an error comes, or patience ends.
func (s *story) poll(ctx context.Context, missing func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("it did not come within %s", patience))
	defer cancel()
	last := ""
	for {
		what, err := missing(ctx)
		if err == nil && what == "" {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		if what != "" {
			last = what
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s; the server says: %s", context.Cause(ctx), last, tail(filepath.Join(s.Dir, "serve.log")))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// latest gives the newest remediation of each finding, of one kind, by the key of its
// resource.
func (s *story) latest(ctx context.Context, kind remediation.Kind) (map[string]remediation.Remediation, error) {
	all, err := s.remediations(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]remediation.Remediation{}
	for _, r := range all { // the newest first
		k := s.keyOf[r.Finding.Id]
		if _, later := out[k]; !later && r.Kind == kind {
			out[k] = r
		}
	}
	return out, nil
}

func (s *story) remediations(ctx context.Context) ([]remediation.Remediation, error) {
	out, err := s.parry(ctx, "olga", "remediation", "list", "--limit", "1000", "-o", "json")
	if err != nil {
		return nil, err
	}
	return decode[[]remediation.Remediation](out)
}

// await polls until the newest remediations of these resources, of the kind, all have
// the state; another final state ends the wait.
func (s *story) await(ctx context.Context, kind remediation.Kind, want remediation.State, keys ...string) (map[string]remediation.Remediation, error) {
	out := map[string]remediation.Remediation{}
	err := s.poll(ctx, func(ctx context.Context) (string, error) {
		latest, err := s.latest(ctx, kind)
		if err != nil {
			return "", err
		}
		for _, k := range keys {
			r := latest[k]
			out[k] = r
			switch {
			case r.State == want:
			case r.State.Final() && r.ID != "" && !(want == remediation.Undone && r.State.Can(remediation.Undoing)):
				return "", fmt.Errorf("remediation %s of %s is %s and not %s: %s", r.ID, k, r.State, want, r.Reason)
			default:
				return fmt.Sprintf("%s is %q and not %s yet: %s", k, r.State, want, r.Reason), nil
			}
		}
		return "", nil
	})
	return out, err
}

// awaitWorkflow polls until a finding has the workflow status.
func (s *story) awaitWorkflow(ctx context.Context, k, status string) error {
	return s.poll(ctx, func(ctx context.Context) (string, error) {
		list, err := s.listed(ctx)
		if err != nil || list[k].Workflow == status {
			return "", err
		}
		return fmt.Sprintf("the finding of %s is %s and not %s", k, list[k].Workflow, status), nil
	})
}

// resolved waits until a finding is RESOLVED with a note, as the AWS CLI reads it.
func (s *story) resolved(ctx context.Context, k string) error {
	if err := s.awaitWorkflow(ctx, k, "RESOLVED"); err != nil {
		return err
	}
	filters, err := json.Marshal(document{"Id": []document{{"Value": s.findings[k].ID, "Comparison": "EQUALS"}}})
	if err != nil {
		return err
	}
	out, err := s.aws(ctx, "olga", "securityhub", "get-findings", "--filters", string(filters))
	if err != nil {
		return err
	}
	got, err := decode[struct {
		Findings []struct {
			Workflow struct{ Status string }
			Note     struct{ Text string }
		}
	}](out)
	if err != nil {
		return err
	}
	if len(got.Findings) != 1 || got.Findings[0].Workflow.Status != "RESOLVED" || got.Findings[0].Note.Text == "" {
		return fmt.Errorf("aws securityhub get-findings says of %s: %s", k, out)
	}
	return nil
}

// controlOf reads the control from the key of a resource.
func controlOf(k string) string { return strings.Split(k, "/")[2] }

// sameResource reports whether a call of the wall's log is about the resource with an ARN.
// A call about a whole account or Region names none.
func sameResource(e awswall.Entry, arn string) bool {
	name := arn[strings.LastIndexAny(arn, "/:")+1:]
	if e.Bucket == "" && e.About == "" {
		return strings.HasPrefix(arn, "AWS::::Account:")
	}
	return e.Bucket == name || e.About == name
}
