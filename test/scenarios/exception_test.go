package scenarios_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/test/testenv/envtest"
)

// except asks for an exception as olga and approves it as alice.
func (n *node) except(scope map[string]any) string {
	n.t.Helper()
	e, err := n.as("olga").RequestException(n.t.Context(), api.ExceptionRequest{Title: "accepted", Owner: "team", Reason: "r", Scope: scope, ExpiresAt: time.Now().Add(time.Hour)})
	if err == nil {
		_, err = n.as("alice").ApproveException(n.t.Context(), e.ID, "")
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return e.ID
}

func equals(values ...string) []any {
	var out []any
	for _, v := range values {
		out = append(out, document{"Value": v, "Comparison": "EQUALS"})
	}
	return out
}

// covers waits until the work on an exception is done and it covers so many findings.
func (n *node) covers(id string, want int64) {
	n.t.Helper()
	var e api.Exception
	// A hub is read once a minute.
	poll(n.t, 2*patience, func() string { return fmt.Sprintf("%s covers %d, want %d", id, e.Covered, want) }, func(ctx context.Context) bool {
		var err error
		e, err = n.as("olga").Exception(ctx, id)
		return err == nil && !e.Working && e.Covered == want
	})
}

// TestExceptionsSurviveKills: a server that is killed again and again while it
// suppresses what an exception covers, and while it reopens that, does both whole, and
// once for each finding.
func TestExceptionsSurviveKills(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := w.install(t, edits(t)...).serve(t)
			n.exceptionUnderKills(w.env.Estate.Members["dev"].Account, w.env.Estate.Region)
		})
	}
}

// many stores so many findings titled "killed", kill-0000 and on, and gives their product.
func (n *node) many(account, region string, total int) string {
	t, product := n.t, "arn:aws:securityhub:"+n.w.env.Estate.Region+"::product/aws/securityhub"
	t.Helper()
	for i := range total / 100 {
		var some []document
		for j := range 100 {
			some = append(some, document{
				"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("kill-%04d", 100*i+j), "ProductArn": product, "GeneratorId": "g", "AwsAccountId": account, "Region": region,
				"CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-02T00:00:00Z", "Title": "killed", "Description": "d", "Severity": document{"Label": "HIGH"},
				"Types": []string{"Software and Configuration Checks"}, "Resources": []document{{"Type": "Other", "Id": fmt.Sprint("r", i)}},
			})
		}
		n.importAll(some)
	}
	poll(t, patience, func() string { return "not all are stored" }, func(ctx context.Context) bool {
		got, err := n.findings(ctx, account)
		return err == nil && len(got) == total
	})
	return product
}

// outliveLeases makes the leases of a killed server last for another hour: on SQLite the
// next one does not wait for them, since the lock of the data directory is its own.
func (n *node) outliveLeases() {
	n.t.Helper()
	if n.url != "" {
		return // others may live: there a lease is waited for
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(n.dir, "data", "execution.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	done, err := db.ExecContext(n.t.Context(), "UPDATE lease SET until = until + 3600000000")
	if err != nil {
		n.t.Fatal(err)
	}
	if rows, err := done.RowsAffected(); err != nil || rows == 0 {
		n.t.Errorf("there was no lease to outlive: %v", err)
	}
}

func (n *node) exceptionUnderKills(account, region string) {
	const total = 3000 // in commits of 200
	t, product := n.t, n.many(account, region, total)
	kills := func(what, id string, before, after int64) {
		t.Helper()
		between := 0
		for last := before; between < 3; between++ {
			poll(t, patience, func() string { return fmt.Sprintf("%s: nothing more than %d", what, last) }, func(ctx context.Context) bool {
				e, err := n.as("olga").Exception(ctx, id)
				if err == nil && e.Covered != last {
					last = e.Covered
					return true
				}
				return false
			})
			if last == after {
				break
			}
			n.kill()
			n.outliveLeases()
			n.start()
		}
		if between == 0 {
			t.Errorf("%s: no kill came between, so the test proves nothing", what)
		}
		n.covers(id, after)
	}
	id := n.except(document{"AwsAccountId": equals(account), "Title": equals("killed")})
	kills("suppress", id, 0, total)
	if _, err := n.as("alice").ExpireException(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	kills("reopen", id, total, 0)
	for i := 0; i < total; i += 7 {
		entries, err := n.as("olga").FindingHistory(t.Context(), finding.ID{ProductArn: product, Id: fmt.Sprintf("kill-%04d", i)}, client.Paging{})
		if err != nil {
			t.Fatal(err)
		}
		var story []string
		for _, e := range entries.Items {
			for _, u := range e.Updates {
				story = append(story, e.Source+" "+e.Identity+" "+u.OldValue+"->"+u.NewValue)
			}
		}
		if diff := cmp.Diff([]string{"EXCEPTION " + id + " SUPPRESSED->NEW", "EXCEPTION " + id + " NEW->SUPPRESSED"}, story); diff != "" {
			t.Fatalf("kill-%04d: %s", i, diff)
		}
	}
	log, err := os.ReadFile(n.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range []string{"pass=take", "pass=release"} {
		if got := strings.Count(string(log), pass); got > 1 {
			t.Errorf("%s ended %d times", pass, got)
		}
	}
}

// TestAnExceptedFindingIsLeftAlone: what comes by a queue and from AWS Security Hub is
// suppressed as it comes, AWS is told, and no fix of it runs: not one that would start
// by itself, not one that waits, not one that was approved before.
func TestAnExceptedFindingIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := earth(t)
	admin, account, region := w.securityAdmin(t), w.env.Estate.Members["dev"].Account, w.env.Estate.Region
	product := "arn:aws:securityhub:" + region + "::product/aws/securityhub"
	w.hubMay(t, admin, "securityhub", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["securityhub:GetFindings","securityhub:BatchUpdateFindings"],"Resource":"*"}]}`)
	ask := func(method, path string, in any) document {
		t.Helper()
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		a := envtest.Call(t, w.env, admin, "securityhub", method, path, string(raw), "Content-Type", "application/json")
		if a.Err != nil || a.Status != http.StatusOK {
			t.Fatalf("%s: %d %s %v", path, a.Status, a.Body, a.Err)
		}
		return decode[document](t, []byte(a.Body))
	}
	q := w.queue(t, "excepted")
	n := w.install(t, withQueue(q, account), func(cfg document) {
		cfg["sources"].(document)["hubs"] = []document{{"name": "aws", "region": region, "accounts": []string{account}, "products": []string{"aws/securityhub"}, "write_back": true, "every": "1m"}}
	}).serve(t)
	automatic, waiting, approved := w.bucket(t, "dev"), w.bucket(t, "prod"), w.bucket(t, "prod")
	since := w.now()

	// Two plans that wait for people; one of them is approved while changes are stopped.
	n.report(waiting, approved)
	n.await(waiting, remediation.KindFix, remediation.AwaitingApproval)
	r := n.await(approved, remediation.KindFix, remediation.AwaitingApproval)
	ctx := t.Context()
	if _, err := n.as("olga").SetStopSwitch(ctx, true, "test"); err != nil {
		t.Fatal(err)
	}
	detail, err := n.as("olga").Remediation(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.as("alice").Grant(ctx, detail.Approval.ID, r.PlanHash, ""); err != nil {
		t.Fatal(err)
	}
	n.await(approved, remediation.KindFix, remediation.Queued)

	buckets := n.except(document{"ResourceId": equals(automatic.arn(), waiting.arn(), approved.arn())})
	other := n.except(document{"AwsAccountId": equals(account), "GeneratorId": equals("security-control/EC2.2")})
	config := n.except(document{"AwsAccountId": equals(account), "ProductName": equals("Config")})
	n.covers(buckets, 2)
	if _, err := n.as("olga").SetStopSwitch(ctx, false, "test"); err != nil {
		t.Fatal(err)
	}
	stopped := n.await(approved, remediation.KindFix, remediation.Superseded)
	if !strings.Contains(stopped.Reason, "exception "+buckets) || !strings.Contains(stopped.Reason, "0 change(s)") || !strings.Contains(stopped.Hint, "parry exception expire "+buckets) {
		t.Errorf("%s (%s)", stopped.Reason, stopped.Hint)
	}
	n.report(automatic)
	ask(http.MethodPost, "/findings/import", document{"Findings": []document{{
		"SchemaVersion": "2018-10-08", "Id": "excepted-1", "ProductArn": product, "GeneratorId": "security-control/EC2.2", "AwsAccountId": account,
		"CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), "Title": "excepted", "Description": "d", "Severity": document{"Label": "HIGH"},
		"Workflow": document{"Status": "NEW"}, "RecordState": "ACTIVE", "Resources": []document{{"Type": "Other", "Id": "r"}},
	}}})
	q.send(t, evaluation(1, account, region))
	n.covers(buckets, 3)
	n.covers(other, 1)
	n.covers(config, 1)
	told := func() string {
		for _, f := range ask(http.MethodPost, "/findings", document{"MaxResults": 100})["Findings"].([]any) {
			if f, ok := f.(map[string]any); ok && f["Id"] == "excepted-1" {
				return fmt.Sprint(f["Workflow"])
			}
		}
		return "not there"
	}
	poll(t, patience, func() string { return "AWS has " + told() }, func(context.Context) bool { return strings.Contains(told(), "SUPPRESSED") })

	r = n.await(waiting, remediation.KindFix, remediation.Superseded)
	if !strings.Contains(r.Reason, "exception "+buckets) || !strings.Contains(r.Hint, "parry exception expire "+buckets) {
		t.Errorf("%s (%s)", r.Reason, r.Hint)
	}
	if detail, err = n.as("olga").Remediation(ctx, r.ID); err != nil {
		t.Fatal(err)
	}
	if detail.Approval.State != remediation.ApprovalSuperseded {
		t.Errorf("its approval is %s", detail.Approval.State)
	}
	if _, err := n.as("alice").Grant(ctx, detail.Approval.ID, r.PlanHash, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("granted: %v (%s)", err, fault.HintOf(err))
	}
	if _, err := n.as("olga").Remediate(ctx, automatic.finding(), ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("asked for by hand: %v", err)
	}
	for _, b := range []*bucket{automatic, waiting, approved} {
		if made := b.changed(since); len(made) > 0 {
			t.Errorf("%s was changed: %v", b.name, made)
		}
	}
	if list, err := n.remediations(ctx, automatic); err != nil || len(list) != 0 {
		t.Errorf("a fix started by itself: %v, %v", list, err)
	}

	// The end opens the finding again, and with it the way to its fix.
	if _, err := n.as("alice").ExpireException(ctx, buckets, ""); err != nil {
		t.Fatal(err)
	}
	n.await(automatic, remediation.KindFix, remediation.Verified)
	n.awaitAfter(r.ID, waiting, remediation.KindFix, remediation.AwaitingApproval)
}
