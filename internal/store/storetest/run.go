package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// conformance is one test of the suite; it gets a store of its own.
type conformance struct {
	name string
	run  func(t *testing.T, s *store.Store)
}

// Run holds a database to the store's contract. open gives a new, migrated store
// whose clock is a *service.FixedClock.
func Run(t *testing.T, open func(t *testing.T) *store.Store) {
	t.Helper()
	var all []conformance
	for _, group := range [][]conformance{
		inboxTests(), findingTests(), controlTests(), queryTests(), filterTests(), rankTests(), keyTests(), peopleTests(), hintTests(), viewTests(), notificationTests(), remediationTests(), approvalTests(), canaryTests(), changeTests(), budgetTests(), callTests(),
		executionTests(), documentTests(), outboxTests(), auditTests(), leaseTests(), throttleTests(), machineTests(), pruneTests(), effectTests(), ruleTests(), ruleRunTests(), exceptionTests(), caseTests(), sourceTests(), groupTests(), dayTests(), hubTests(), organizationTests(), busEventTests(), busObjectTests(),
	} {
		all = append(all, group...)
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open(t))
		})
	}
}

// clock gives the store's clock, to be moved.
func clock(t *testing.T, s *store.Store) *service.FixedClock {
	t.Helper()
	c, ok := s.Clock().(*service.FixedClock)
	if !ok {
		t.Fatalf("the suite needs a *service.FixedClock, got %T", s.Clock())
	}
	return c
}

// must gives v and fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, want, got any, opts ...cmp.Option) {
	t.Helper()
	if diff := cmp.Diff(want, got, append(opts, cmpRecord())...); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
}

// cmpRecord compares findings by what callers see, times by instant.
func cmpRecord() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool {
		f, is := p.Last().(cmp.StructField)
		return is && slices.Contains([]string{"rid", "createdAt", "updatedAt", "sorted"}, f.Name())
	}, cmp.Ignore())
}

// sentinel checks that err is want and carries its fault code.
func sentinel(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v is not %v", err, want)
		return
	}
	if fault.CodeOf(err) != fault.CodeOf(want) {
		t.Errorf("error %v has code %s, want %s", err, fault.CodeOf(err), fault.CodeOf(want))
	}
}

// code checks err's fault code.
func code(t testing.TB, err error, want fault.Code) {
	t.Helper()
	if !fault.Is(err, want) {
		t.Errorf("error %v has code %q, want %q", err, fault.CodeOf(err), want)
	}
}

// event gives effects of one message and one audit record.
func event(id string) store.Effects {
	return store.Effects{
		Outbox: []store.Message{{ID: id, Topic: store.TopicEvent, Payload: json.RawMessage(`{"id":"` + id + `"}`)}},
		Audit:  []store.AuditRecord{{At: Start(), Actor: "tester", Action: "tested", Object: id}},
	}
}

// broken gives effects that fail after the state change was written.
func broken() store.Effects {
	eff := event("never-sent")
	eff.Audit = append(eff.Audit, store.AuditRecord{Actor: "an audit record without an action"})
	return eff
}

// nothingSent checks that neither outbox of f holds anything.
func nothingSent(t *testing.T, s *store.Store, f store.File) {
	t.Helper()
	got := must(s.ClaimMessages(t.Context(), f, []string{store.TopicEvent}, 10, "checker", time.Second))(t)
	audits := must(s.AuditPending(t.Context(), f, 10))(t)
	if len(got)+len(audits) > 0 {
		t.Errorf("sent %v and audited %v, want nothing", got, audits)
	}
}

// ID gives the identity of the i-th test finding.
func ID(i int) finding.ID {
	return finding.ID{ProductArn: "arn:aws:securityhub:eu-west-1::product/aws/securityhub", Id: fmt.Sprintf("finding-%04d", i)}
}

// Record gives the i-th test finding; neighbours differ in every column.
func Record(i int) store.FindingRecord {
	pick := func(from ...string) string { return from[i%len(from)] }
	severity := i % 5
	doc := fmt.Sprintf(`{"Id":"finding-%04d","Title":"Bucket %d is public","Severity":{"Label":%q},"n":%d}`, i, i, severityLabel(severity), i)
	return store.FindingRecord{
		ID: ID(i), Account: fmt.Sprintf("11111111111%d", i%3), Region: pick("eu-west-1", "us-east-1"), Control: pick("S3.8", "S3.1", "IAM.6", "EC2.19"),
		Generator: "security-control/" + pick("S3.8", "S3.1"), Product: "Security Hub",
		SeverityLabel: severityLabel(severity), SeverityNormalized: []int{0, 1, 40, 70, 90}[severity],
		Workflow: pick("NEW", "NOTIFIED", "RESOLVED"), RecordState: pick("ACTIVE", "ACTIVE", "ARCHIVED"), Compliance: pick("FAILED", "PASSED"),
		ResourceID: fmt.Sprintf("arn:aws:s3:::bucket-%d", i), ResourceType: "AwsS3Bucket", Title: fmt.Sprintf("Bucket %d is public", i),
		Source: "queue-1", Trusted: i%2 == 0, Touched: []string{"Severity", "Note"}[:i%3],
		CreatedAt: Start().Add(-time.Hour), UpdatedAt: Start().Add(time.Duration(i) * time.Second),
		Doc: json.RawMessage(doc), Original: json.RawMessage(`{"original":` + doc + `}`),
	}
}

func severityLabel(n int) string {
	return []string{"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"}[n]
}

// Write gives the creation of the i-th test finding.
func Write(i int) store.FindingWrite {
	return store.FindingWrite{Record: Record(i), History: []store.HistoryEntry{{At: Start(), Created: true, Source: "BATCH_IMPORT_FINDINGS", Identity: "queue-1"}}}
}

// fill commits test findings 0 to n-1.
func fill(t testing.TB, s *store.Store, n int) {
	t.Helper()
	var w []store.FindingWrite
	for i := range n {
		w = append(w, Write(i))
	}
	ok(t, s.CommitFindings(t.Context(), w, nil, store.Effects{}))
}

// Plan gives a plan of remediation id.
func Plan(id remediation.ID) remediation.Plan {
	return remediation.Plan{
		Remediation: id, Kind: remediation.KindFix, Finding: ID(1), Control: "S3.8", Account: "111111111111", Region: "eu-west-1",
		Parameters: map[string]any{"BucketName": "bucket-1"},
		Calls: []remediation.PlannedCall{{
			Seq: 1, Step: "Block", Service: "s3", Operation: "PutPublicAccessBlock", Class: "change",
			Input:  map[string]any{"Bucket": "bucket-1", "Days": int64(3)},
			Before: &remediation.Image{Exists: true, Data: map[string]any{"Block": false}},
		}},
		CreatedAt: Start(), ExpiresAt: Start().Add(time.Hour),
	}
}

// Remediation gives a planned remediation and its plan.
func Remediation(t testing.TB, id remediation.ID) (remediation.Remediation, remediation.Plan) {
	t.Helper()
	p := Plan(id)
	hash := must(p.Hash())(t)
	return remediation.Remediation{
		ID: id, Kind: remediation.KindFix, Finding: ID(1), Control: "S3.8", Playbook: "s3-8", Runbook: "Parry-S3",
		Account: "111111111111", Region: "eu-west-1", Resource: "arn:aws:s3:::bucket-1", State: remediation.Planned,
		PlanHash: hash, RequestedBy: "rule-1", CreatedAt: Start(), UpdatedAt: Start(),
	}, p
}

// create stores a planned remediation and gives it as stored.
func create(t testing.TB, s *store.Store, id remediation.ID) remediation.Remediation {
	t.Helper()
	r, p := Remediation(t, id)
	ok(t, s.CreateRemediation(t.Context(), r, &p, store.Effects{}))
	return must(s.Remediation(t.Context(), id))(t)
}
