package scenarios_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/mail"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib" // looks into PostgreSQL
	_ "modernc.org/sqlite"             // looks into SQLite

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv"
)

// controlTitles are those of the controls that are reported about buckets.
var controlTitles = map[string]string{
	"S3.2": "S3 general purpose buckets should block public read access",
	"S3.8": "S3 general purpose buckets should block public access",
}

// asff writes the finding for b as Security Hub has it, reported at a time.
func asff(b *bucket, compliance string, at time.Time) document {
	region, account, title := b.w.env.Estate.Region, b.account(), controlTitles[b.control]
	standard := "aws-foundational-security-best-practices/v/1.0.0"
	now := at.UTC().Format("2006-01-02T15:04:05.000Z")
	return document{
		"SchemaVersion": "2018-10-08",
		"Id":            fmt.Sprintf("arn:aws:securityhub:%s:%s:subscription/%s/%s/finding/%s", region, account, standard, b.control, b.name),
		"ProductArn":    fmt.Sprintf("arn:aws:securityhub:%s::product/aws/securityhub", region),
		"ProductName":   "Security Hub", "CompanyName": "AWS", "Region": region, "GeneratorId": standard + "/" + b.control, "AwsAccountId": account,
		"Types":     []string{"Software and Configuration Checks/Industry and Regulatory Standards/AWS-Foundational-Security-Best-Practices"},
		"CreatedAt": now, "UpdatedAt": now, "FirstObservedAt": now, "LastObservedAt": now,
		"Severity":    document{"Label": "HIGH", "Normalized": 70, "Original": "HIGH"},
		"Title":       b.control + " " + title,
		"Description": "This control checks if Amazon S3 buckets have bucket level public access blocks applied.",
		"Resources":   []document{{"Type": "AwsS3Bucket", "Id": b.arn(), "Partition": "aws", "Region": region}},
		"Compliance":  document{"Status": compliance, "SecurityControlId": b.control},
		"Workflow":    document{"Status": "NEW"}, "WorkflowState": "NEW", "RecordState": "ACTIVE",
	}
}

func (b *bucket) finding() finding.ID {
	f := asff(b, "FAILED", time.Time{})
	return finding.ID{ProductArn: f["ProductArn"].(string), Id: f["Id"].(string)}
}

// report imports the finding of each bucket, as Security Hub would.
func (n *node) report(buckets ...*bucket) {
	n.t.Helper()
	var findings []document
	for _, b := range buckets {
		findings = append(findings, asff(b, "FAILED", time.Now()))
	}
	n.importAll(findings)
}

func (n *node) importAll(findings []document) {
	n.t.Helper()
	if got := n.importAs("hub", findings); got.SuccessCount != len(findings) {
		n.t.Fatalf("import: %+v", got)
	}
}

// imported is what BatchImportFindings answers.
type imported struct {
	SuccessCount   int
	FailedFindings []struct{ ID, ErrorCode, ErrorMessage string }
}

// importAs imports findings with a key of the installation.
func (n *node) importAs(key string, findings []document) imported {
	n.t.Helper()
	body, err := json.Marshal(document{"Findings": findings})
	if err != nil {
		n.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, n.endpoint+"/findings/import", bytes.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	sum := sha256.Sum256(body)
	k := n.keys[key]
	if err := v4.NewSigner().SignHTTP(n.t.Context(), aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, req, hex.EncodeToString(sum[:]), "securityhub", "us-east-1", time.Now()); err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		n.t.Fatalf("import: %d %s", resp.StatusCode, raw)
	}
	return decode[imported](n.t, raw)
}

// remediations of a bucket, the latest first.
func (n *node) remediations(ctx context.Context, b *bucket) ([]remediation.Remediation, error) {
	page, err := n.as("olga").Remediations(ctx, client.RemediationFilter{Finding: b.finding()}, client.Paging{})
	return page.Items, err
}

// await gives the bucket's latest remediation of a kind once it has one of the
// states. Another final state ends the test.
func (n *node) await(b *bucket, kind remediation.Kind, states ...remediation.State) remediation.Remediation {
	n.t.Helper()
	return n.awaitWithin(patience, b, kind, states...)
}

// awaitAfter is await for a remediation that is not the earlier one.
func (n *node) awaitAfter(earlier remediation.ID, b *bucket, kind remediation.Kind, states ...remediation.State) remediation.Remediation {
	n.t.Helper()
	poll(n.t, patience, func() string { return b.name + " has no other remediation than " + string(earlier) }, func(ctx context.Context) bool {
		list, err := n.remediations(ctx, b)
		return err == nil && len(list) > 0 && list[0].ID != earlier
	})
	return n.await(b, kind, states...)
}

func (n *node) awaitWithin(limit time.Duration, b *bucket, kind remediation.Kind, states ...remediation.State) remediation.Remediation {
	n.t.Helper()
	var last remediation.Remediation
	poll(n.t, limit, func() string { return fmt.Sprintf("%s is %q, not %v: %s", b.name, last.State, states, last.Reason) }, func(ctx context.Context) bool {
		list, err := n.remediations(ctx, b)
		if err != nil {
			return false
		}
		i := slices.IndexFunc(list, func(r remediation.Remediation) bool { return r.Kind == kind })
		if i < 0 {
			return false
		}
		last = list[i]
		if slices.Contains(states, last.State) {
			return true
		}
		if last.State.Final() {
			n.t.Fatalf("%s is %s, not %v: %s (%s)", b.name, last.State, states, last.Reason, last.Hint)
		}
		return false
	})
	return last
}

// awaitWorkflow waits until the bucket's finding has the workflow status.
func (n *node) awaitWorkflow(b *bucket, status string) {
	n.t.Helper()
	last := ""
	poll(n.t, patience, func() string { return "the finding of " + b.name + " is " + last + ", not " + status }, func(ctx context.Context) bool {
		f, err := n.as("olga").Finding(ctx, b.finding())
		if err == nil {
			last = f.Workflow
		}
		return last == status
	})
}

func (n *node) detail(id remediation.ID) api.RemediationDetail {
	n.t.Helper()
	d, err := n.as("olga").Remediation(n.t.Context(), id)
	if err != nil {
		n.t.Fatal(err)
	}
	return d
}

// grant approves the pending plan of a remediation, as alice.
func (n *node) grant(id remediation.ID) {
	n.t.Helper()
	a := n.detail(id).Approval
	if a == nil {
		n.t.Fatalf("%s has no approval", id)
	}
	if _, err := n.as("alice").Grant(n.t.Context(), a.ID, a.Plan, "reviewed"); err != nil {
		n.t.Fatal(err)
	}
}

// undo asks for the undo of the bucket's fix, as olga, and gives its id.
func (n *node) undo(b *bucket) remediation.ID {
	n.t.Helper()
	id, err := n.as("olga").Undo(n.t.Context(), n.await(b, remediation.KindFix, remediation.Verified, remediation.Unverified, remediation.Failed).ID)
	if err != nil {
		n.t.Fatal(err)
	}
	return id
}

// theFix are the changes that close a bucket, theUndo those that open it again.
var (
	theFix  = []string{"PutBucketPolicy", "PutBucketAcl", "PutPublicAccessBlock"}
	theUndo = []string{"DeletePublicAccessBlock", "PutBucketAcl", "PutBucketPolicy"}
)

// fixed requires all that an undisturbed run leaves behind, and nothing more:
// one remediation, verified, its finding resolved, every change made once, every
// record closed. The judge looks at the bucket itself.
func (n *node) fixed(b *bucket) {
	n.t.Helper()
	r := n.await(b, remediation.KindFix, remediation.Verified)
	n.awaitWorkflow(b, "RESOLVED")
	if diff := cmp.Diff(theFix, b.changed(0)); diff != "" {
		n.t.Errorf("changes of %s (-want +got):\n%s", b.name, diff)
	}
	n.whole(r.ID, theFix)
	if list, err := n.remediations(n.t.Context(), b); err != nil || len(list) != 1 {
		n.t.Errorf("%s has %d remediations (%v)", b.name, len(list), err)
	}
}

// whole requires that nothing of a finished remediation is half recorded.
func (n *node) whole(id remediation.ID, changes []string) {
	n.t.Helper()
	d := n.detail(id)
	var applied []string
	for _, c := range d.Changes {
		if c.Outcome == remediation.Refused && !c.OutcomeAt.IsZero() {
			continue // AWS was too busy; the next record is of the next attempt
		}
		if c.Outcome != remediation.Applied || c.OutcomeAt.IsZero() {
			n.t.Errorf("change %s is %s", c.ID, c.Outcome)
		}
		applied = append(applied, c.Operation)
	}
	if diff := cmp.Diff(changes, applied); diff != "" {
		n.t.Errorf("recorded changes of %s (-want +got):\n%s", id, diff)
	}
	for i, s := range d.Steps {
		if s.Seq != i+1 || s.Status != "Success" || s.EndedAt.IsZero() || s.Attempt != 1 {
			n.t.Errorf("step %+v of %s", s, id)
		}
	}
}

// settled stops the node and requires that its database holds nothing under
// way, then that the audit log's chain is whole.
func (n *node) settled() {
	n.t.Helper()
	report, err := n.as("olga").VerifyAudit(n.t.Context())
	if err != nil || !report.OK || report.Entries == 0 {
		n.t.Errorf("audit verify: %+v %v", report, err)
	}
	poll(n.t, patience, func() string { return "messages are still waiting: " + strings.Join(n.open(), "; ") }, func(context.Context) bool { return len(n.open()) == 0 })
	n.stop()
}

// open lists what the database says is not done.
func (n *node) open() []string {
	n.t.Helper()
	var out []string
	for _, q := range []struct{ file, what, query string }{
		{"findings", "inbox rows", "SELECT count(*) FROM inbox"},
		{"findings", "messages waiting or dead", "SELECT count(*) FROM outbox WHERE state <> 1"},
		{"execution", "messages waiting or dead", "SELECT count(*) FROM outbox WHERE state <> 1"},
		{"execution", "changes without an outcome", "SELECT count(*) FROM change_record WHERE outcome IN ('intended', 'uncertain')"},
		{"execution", "executions that did not end", "SELECT count(*) FROM execution WHERE ended_at = 0"},
		{"execution", "steps that did not end", "SELECT count(*) FROM step WHERE ended_at = 0"},
	} {
		if count := n.query(q.file, q.query); count > 0 {
			out = append(out, fmt.Sprintf("%d %s (%s)", count, q.what, q.file))
		}
	}
	return out
}

func (n *node) query(file, query string) int {
	n.t.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(n.dir, "data", file+".db")+"?mode=ro&_pragma=busy_timeout(5000)"
	if n.url != "" {
		driver, dsn = "pgx", n.url
		query = strings.Replace(query, "FROM ", "FROM parry_"+file+".", 1)
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var count int
	if err := db.QueryRowContext(n.t.Context(), query).Scan(&count); err != nil {
		n.t.Fatalf("%s: %v", query, err)
	}
	return count
}

// mail gives the first mail about id that says word.
func (n *node) mail(id remediation.ID, word string) testenv.Mail {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	m, err := n.w.env.SMTP.Await(ctx, func(m testenv.Mail) bool {
		return strings.Contains(m.Text(), string(id)) && strings.Contains(m.Subject, word)
	})
	if err != nil {
		n.t.Fatalf("no mail about %s says %q: %v", id, word, err)
	}
	return m
}

// plain is a mail's text as its reader sees it, without line breaks.
func plain(m testenv.Mail) string { return partOf(m, 0) }

// page is a mail's HTML.
func page(m testenv.Mail) string { return partOf(m, 1) }

func partOf(m testenv.Mail, n int) string {
	msg, err := mail.ReadMessage(strings.NewReader(m.Text()))
	if err != nil {
		return err.Error()
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		return err.Error()
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	part, err := parts.NextPart()
	for ; err == nil && n > 0; n-- {
		part, err = parts.NextPart()
	}
	if err != nil {
		return err.Error()
	}
	raw, err := io.ReadAll(part)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}
