package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/awswall"
	"github.com/parry-security/parry/test/testenv"
)

// patience is how long a step waits for what it expects. What is measured is
// the time that it really takes.
const patience = 60 * time.Second

// importFindings has the estate's findings written by a boto3 program and
// imported by the AWS CLI, signed with the source's key: one per bucket, also
// for the good twins, for a finding is only a claim.
func (s *story) importFindings(ctx context.Context) (string, error) {
	file := filepath.Join(s.Dir, "findings.json")
	raw, err := s.env.Run(ctx, "findings.py", s.env.EstateFile())
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return "", err
	}
	list, err := decode[[]struct {
		findingRef
		AwsAccountId string //nolint:revive // AWS spells it so.
		Resources    []struct{ Id string }
	}](raw)
	if err != nil {
		return "", err
	}
	s.findings = map[string]findingRef{}
	for _, f := range list {
		for name, m := range s.env.Estate.Members {
			switch f.Resources[0].Id {
			case "arn:aws:s3:::" + m.PublicBucket:
				s.findings[name] = f.findingRef
			case "arn:aws:s3:::" + m.PrivateBucket:
				s.findings[name+" twin"] = f.findingRef
			}
		}
	}
	s.began = s.clock.Now()
	out, err := s.aws(ctx, "security-hub", "securityhub", "batch-import-findings", "--findings", "file://"+file)
	if err != nil {
		return "", err
	}
	result, err := decode[struct{ SuccessCount, FailedCount int }](out)
	if err != nil {
		return "", err
	}
	if result.SuccessCount != len(list) || result.FailedCount != 0 {
		return "", fmt.Errorf("of %d findings %d were accepted: %s", len(list), result.SuccessCount, out)
	}
	return fmt.Sprintf("%d findings for S3.8, one per bucket, by aws securityhub batch-import-findings", len(list)), nil
}

// asff is what the story reads of a finding.
type asff struct {
	Id, ProductArn, AwsAccountId string //nolint:revive // AWS spells it so.
	Severity                     struct{ Label string }
	Workflow                     struct{ Status string }
	Note                         struct{ Text string }
}

// finding reads one finding through the AWS CLI.
func (s *story) finding(ctx context.Context, name string) (asff, error) {
	ref := s.findings[name]
	filters, err := json.Marshal(document{
		"Id":         []document{{"Value": ref.ID, "Comparison": "EQUALS"}},
		"ProductArn": []document{{"Value": ref.ProductArn, "Comparison": "EQUALS"}},
	})
	if err != nil {
		return asff{}, err
	}
	out, err := s.aws(ctx, "security-hub", "securityhub", "get-findings", "--filters", string(filters))
	if err != nil {
		return asff{}, err
	}
	got, err := decode[struct{ Findings []asff }](out)
	if err != nil {
		return asff{}, err
	}
	if len(got.Findings) != 1 {
		return asff{}, fmt.Errorf("get-findings gave %d findings for %s", len(got.Findings), name)
	}
	return got.Findings[0], nil
}

func (s *story) checkRaised(ctx context.Context) (string, error) {
	dev, err := s.finding(ctx, "dev")
	if err != nil {
		return "", err
	}
	prod, err := s.finding(ctx, "prod")
	if err != nil {
		return "", err
	}
	if dev.Severity.Label != "HIGH" || prod.Severity.Label != "CRITICAL" {
		return "", fmt.Errorf("dev is %s and prod %s, expected HIGH and CRITICAL", dev.Severity.Label, prod.Severity.Label)
	}
	return "dev stays HIGH, prod is CRITICAL", nil
}

// remediations lists those of one finding, the newest first.
func (s *story) remediations(ctx context.Context, name string) ([]remediation.Remediation, error) {
	out, err := s.parry(ctx, "olga", "remediation", "list", "--finding", s.findings[name].ID, "-o", "json")
	if err != nil {
		return nil, err
	}
	return decode[[]remediation.Remediation](out)
}

// await polls until the newest remediation of a finding, of the kind, has one
// of the states; a final state that is none of them ends the wait.
func (s *story) await(ctx context.Context, name string, kind remediation.Kind, states ...remediation.State) (remediation.Remediation, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("%s did not become %v within %s", name, states, patience))
	defer cancel()
	var last remediation.Remediation
	for {
		list, err := s.remediations(ctx, name)
		if err != nil && ctx.Err() == nil {
			return last, err
		}
		for _, r := range list {
			if r.Kind != kind {
				continue
			}
			last = r
			for _, want := range states {
				if r.State == want {
					return r, nil
				}
			}
			if r.State.Final() {
				return r, fmt.Errorf("remediation %s of %s is %s: %s", r.ID, name, r.State, r.Reason)
			}
		}
		select {
		case <-ctx.Done():
			return last, fmt.Errorf("%w; it is %q: %s; %s", context.Cause(ctx), last.State, last.Reason, tail(filepath.Join(s.Dir, "serve.log")))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *story) checkDev(ctx context.Context) (string, error) {
	r, err := s.await(ctx, "dev", remediation.KindFix, remediation.Verified)
	if err != nil {
		return "", err
	}
	took := r.UpdatedAt.Sub(s.began)
	s.summary.Figures["dev_verified_ms"] = took.Milliseconds()
	f, err := s.awaitWorkflow(ctx, "dev", "RESOLVED")
	if err != nil {
		return "", err
	}
	if f.Note.Text == "" {
		return "", errors.New("the finding is resolved without a note")
	}
	for _, twin := range []string{"dev twin", "prod twin"} {
		t, err := s.await(ctx, twin, remediation.KindFix, remediation.Cancelled)
		if err != nil {
			return "", err
		}
		if !strings.Contains(t.Reason, "no violation") {
			return "", fmt.Errorf("%s was cancelled because %s", twin, t.Reason)
		}
	}
	return fmt.Sprintf("%s verified, finding RESOLVED with a note; the twins' findings were not confirmed by a live read", r.ID), nil
}

// awaitWorkflow polls until a finding has the workflow status.
func (s *story) awaitWorkflow(ctx context.Context, name, status string) (asff, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("the finding of %s did not become %s", name, status))
	defer cancel()
	for {
		f, err := s.finding(ctx, name)
		if err != nil && ctx.Err() == nil {
			return f, err
		}
		if f.Workflow.Status == status {
			return f, nil
		}
		select {
		case <-ctx.Done():
			return f, fmt.Errorf("%w; it is %s", context.Cause(ctx), f.Workflow.Status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *story) checkPlan(ctx context.Context) (string, error) {
	r, err := s.await(ctx, "prod", remediation.KindFix, remediation.AwaitingApproval)
	if err != nil {
		return "", err
	}
	s.prodRem = string(r.ID)
	if n := s.changes(s.env.Estate.Members["prod"].PublicBucket); len(n) > 0 {
		return "", fmt.Errorf("prod was changed before the approval: %s", n[0].Operation)
	}
	shown, err := s.parry(ctx, "alice", "plan", "show", s.prodRem)
	if err != nil {
		return "", err
	}
	s.Progress.Text(string(shown))
	for _, want := range []string{"PutPublicAccessBlock", "PutBucketAcl", "PutBucketPolicy"} {
		if !strings.Contains(string(shown), want) {
			return "", fmt.Errorf("parry plan show does not name %s", want)
		}
	}
	return s.prodRem + " awaits approval; the wall's log holds no change to prod", nil
}

// changes are the changing calls to a bucket that reached moto, by members of
// Parry: the estate's own calls came before the server.
func (s *story) changes(bucket string) []awswall.Entry {
	var out []awswall.Entry
	for _, e := range s.env.Wall.Log() {
		if e.Bucket == bucket && e.Class == "change" && strings.HasPrefix(e.Session, "parry-") {
			out = append(out, e)
		}
	}
	return out
}

func (s *story) approveProd(ctx context.Context) (string, error) {
	approval, err := s.grant(ctx, s.prodRem)
	if err != nil {
		return "", err
	}
	granted := s.clock.Now()
	r, err := s.await(ctx, "prod", remediation.KindFix, remediation.Verified)
	if err != nil {
		return "", err
	}
	s.summary.Figures["prod_approved_to_verified_ms"] = r.UpdatedAt.Sub(granted).Milliseconds()
	f, err := s.awaitWorkflow(ctx, "prod", "RESOLVED")
	if err != nil {
		return "", err
	}
	made := s.changes(s.env.Estate.Members["prod"].PublicBucket)
	s.summary.Figures["prod_changes"] = int64(len(made))
	for _, e := range made {
		if e.SourceIdentity != "alice" {
			return "", fmt.Errorf("%s was made for %q, not for the approver", e.Operation, e.SourceIdentity)
		}
	}
	return fmt.Sprintf("%s granted by alice; %d changes, each once, in her name; finding RESOLVED: %s", approval, len(made), f.Note.Text), nil
}

// grant approves the pending approval of a remediation as alice, who names the
// hash of the plan that she was shown.
func (s *story) grant(ctx context.Context, id string) (string, error) {
	out, err := s.parry(ctx, "alice", "approval", "list", "-o", "json")
	if err != nil {
		return "", err
	}
	list, err := decode[[]remediation.Approval](out)
	if err != nil {
		return "", err
	}
	for _, a := range list {
		if string(a.Remediation) == id {
			_, err := s.parry(ctx, "alice", "approval", "grant", a.ID, "--plan", string(a.Plan), "--reason", "reviewed in the demo", "-o", "json")
			return a.ID, err
		}
	}
	return "", fmt.Errorf("no approval is pending for %s", id)
}

func (s *story) judgeFixed(ctx context.Context) (string, error) {
	if _, err := s.env.Run(ctx, "judge.py", "expect", s.env.EstateFile(), "--dev", "fixed", "--prod", "fixed"); err != nil {
		return "", err
	}
	return "dev and prod are closed; the statements and grants that were not public are still there", nil
}

func (s *story) checkMessages(ctx context.Context) (string, error) {
	want := []string{"queued", "awaiting approval", "succeeded"}
	for _, word := range want {
		wait, cancel := context.WithTimeout(ctx, patience)
		_, err := s.env.SMTP.Await(wait, func(m testenv.Mail) bool { return strings.Contains(strings.ToLower(m.Text()), word) })
		cancel()
		if err != nil {
			return "", fmt.Errorf("no mail says %q: %w", word, err)
		}
	}
	missing, err := s.awaitTopic(ctx, want)
	if err != nil {
		return "", err
	}
	if len(missing) > 0 {
		return "", fmt.Errorf("no SNS message says %v", missing)
	}
	return fmt.Sprintf("%d mails and the topic say %s", len(s.env.SMTP.Mails()), strings.Join(want, ", ")), nil
}

// awaitTopic reads the topic's subscriber until every word was seen.
func (s *story) awaitTopic(ctx context.Context, words []string) ([]string, error) {
	deadline := s.clock.Now().Add(patience)
	seen := ""
	for {
		out, err := s.env.Run(ctx, "sns_read.py", s.env.EstateFile())
		if err != nil {
			return nil, err
		}
		seen += strings.ToLower(string(out))
		var missing []string
		for _, w := range words {
			if !strings.Contains(seen, w) {
				missing = append(missing, w)
			}
		}
		if len(missing) == 0 || s.clock.Now().After(deadline) {
			return missing, nil
		}
	}
}

func (s *story) undoProd(ctx context.Context) (string, error) {
	out, err := s.parry(ctx, "olga", "remediation", "undo", s.prodRem, "-o", "json")
	if err != nil {
		var ended *commandError
		if !errors.As(err, &ended) || ended.code != 5 {
			return "", err
		}
	}
	asked, err := decode[struct{ ID string }](out)
	if err != nil {
		return "", err
	}
	if _, err := s.await(ctx, "prod", remediation.KindUndo, remediation.AwaitingApproval); err != nil {
		return "", err
	}
	if _, err := s.grant(ctx, asked.ID); err != nil {
		return "", err
	}
	if _, err := s.await(ctx, "prod", remediation.KindUndo, remediation.Verified); err != nil {
		return "", err
	}
	if _, err := s.await(ctx, "prod", remediation.KindFix, remediation.Undone); err != nil {
		return "", err
	}
	if _, err := s.awaitWorkflow(ctx, "prod", "NEW"); err != nil {
		return "", err
	}
	return fmt.Sprintf("asked by olga, approved by alice; %s undone, finding NEW again", s.prodRem), nil
}

func (s *story) judgeUndone(ctx context.Context) (string, error) {
	if _, err := s.env.Run(ctx, "judge.py", "expect", s.env.EstateFile(), "--dev", "fixed", "--prod", "original"); err != nil {
		return "", err
	}
	if _, err := s.env.Run(ctx, "judge.py", "log", s.env.EstateFile(), s.env.WallLog(), "--after", fmt.Sprint(s.estateSeq), "--no-repeats"); err != nil {
		return "", err
	}
	for _, m := range s.env.Estate.Members {
		if n := s.changes(m.PrivateBucket); len(n) > 0 {
			return "", fmt.Errorf("a good twin was changed: %s on %s", n[0].Operation, m.PrivateBucket)
		}
	}
	return "prod is exactly as it was made; no changing call ever named a good twin", nil
}

func (s *story) checkAudit(ctx context.Context) (string, error) {
	out, err := s.parry(ctx, "admin", "audit", "verify", "-o", "json")
	if err != nil {
		return "", err
	}
	report, err := decode[struct {
		OK      bool  `json:"ok"`
		Entries int64 `json:"entries"`
	}](out)
	if err != nil {
		return "", err
	}
	if !report.OK || report.Entries == 0 {
		return "", fmt.Errorf("parry audit verify says %s", out)
	}
	s.summary.Figures["audit_entries"] = report.Entries
	return fmt.Sprintf("%d entries, the chain is whole", report.Entries), nil
}

// stay leaves the server up and says how to talk to it.
func (s *story) stay(ctx context.Context) {
	alice, olga := s.keys["alice"], s.keys["olga"]
	s.Progress.Text(fmt.Sprintf(`Parry stays up at %s until you press Ctrl-C. In another terminal:

  export PARRY_ENDPOINT=%s
  export PARRY_ACCESS_KEY_ID=%s PARRY_SECRET_ACCESS_KEY=%s   # olga, operator
  %s remediation list
  %s finding list
  %s finding remediate '%s'

As alice, who approves: PARRY_ACCESS_KEY_ID=%s PARRY_SECRET_ACCESS_KEY=%s
  %s approval list

AWS as Parry sees it: export AWS_ENDPOINT_URL=%s
`, s.endpoint, s.endpoint, olga.ID, olga.Secret, s.Program, s.Program, s.Program, s.findings["prod"].ID, alice.ID, alice.Secret, s.Program, s.env.WallURL))
	<-ctx.Done()
}
