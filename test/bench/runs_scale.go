package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/runbook"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	targetAccounts = 500
	targetAll      = 2 * targetAccounts // in two regions
	waitingAll     = 10_000
	// benchRole is what the document runs as on each target.
	benchRole = "BenchRole"
	// waitingRuns share the executions that wait, each on so many targets.
	waitingRuns = waitingAll / targetAll
)

// targetDocument changes one bucket of the account and region that it runs in, and
// looks whether it did.
const targetDocument = `schemaVersion: "0.3"
mainSteps:
  - name: Block
    action: aws:executeAwsApi
    inputs:
      Service: s3
      Api: PutPublicAccessBlock
      Bucket: "bench-{{ global:ACCOUNT_ID }}-{{ global:REGION }}"
      PublicAccessBlockConfiguration: {BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true}
  - name: Check
    action: aws:assertAwsResourceProperty
    inputs:
      Service: s3
      Api: GetPublicAccessBlock
      Bucket: "bench-{{ global:ACCOUNT_ID }}-{{ global:REGION }}"
      PropertySelector: $.PublicAccessBlockConfiguration.RestrictPublicBuckets
      DesiredValues: ["true"]
`

// runTargets measures one run on a whole organization.
func runTargets() measurement {
	return measurement{
		rows: []Row{
			atMost("runs/targets", "one run on 500 accounts x 2 regions, verified", 60, "s"),
			atMost("runs/targets-memory", "  resident memory, peak", 150, "MB"),
			atMost("runs/targets-calls", "  AWS calls a target, STS apart", 5, "calls"),
		},
		limit: 4 * time.Minute,
		run:   measureTargets,
	}
}

func measureTargets(ctx context.Context, b *bench, rows map[string]*Row) error {
	accounts := make([]string, targetAccounts)
	for i := range accounts {
		accounts[i] = account(i)
	}
	n, s, cloud, stop, err := b.documentNode(ctx, "sqlite", accounts)
	if err != nil {
		return err
	}
	defer stop()
	if err := n.createDocument(ctx, "Bench-Target", targetDocument); err != nil {
		return err
	}
	began := time.Now()
	if _, err := n.startDocument(ctx, "Bench-Target", map[string]any{
		"TargetLocations": locations(accounts), "MaxConcurrency": "100", "MaxErrors": "0",
	}); err != nil {
		return err
	}
	at := map[remediation.State]time.Duration{}
	// Each wait is for the state or a later one.
	later := []remediation.State{remediation.Planned, remediation.Queued, remediation.Running, remediation.Verifying, remediation.Verified}
	for i, state := range later {
		if err := n.untilAll(ctx, s, 1, later[i:]...); err != nil {
			return fmt.Errorf("%w: %w", n.reasons(ctx), err)
		}
		at[state] = time.Since(began)
		b.say("%s after %.1f s", state, at[state].Seconds())
	}
	_, peak, err := memory(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	used, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	rows["runs/targets"].set(at[remediation.Verified].Seconds(),
		"planned after %.1f s, executed after %.1f s, verified after %.1f s; MaxConcurrency 100; %.0f s of processor in the server; SQLite; AWS in the measuring process",
		at[remediation.Planned].Seconds(), at[remediation.Verifying].Seconds(), at[remediation.Verified].Seconds(), used.Seconds())
	rows["runs/targets-memory"].set(peak, "of parry serve")
	calls := cloud.log()
	changes := 0
	for _, c := range calls {
		if c.change() {
			changes++
		}
	}
	if changes != targetAll {
		return fmt.Errorf("%d changes were made on %d targets", changes, targetAll)
	}
	rows["runs/targets-calls"].set(float64(len(calls))/targetAll, "%d changes, %d reads", changes, len(calls)-changes)
	return nil
}

// reasons says where the newest remediation stands and why.
func (n *node) reasons(ctx context.Context) error {
	page, err := n.admin.Remediations(ctx, client.RemediationFilter{}, client.Paging{Limit: 1})
	if err != nil {
		return err
	}
	for _, r := range page.Items {
		err = fmt.Errorf("%s is %s: %s", r.ID, r.State, r.Reason)
	}
	return err
}

// locations name accounts in two regions, as many in each as the API lets.
func locations(accounts []string) []any {
	const most = 50
	var out []any
	for part := range slices.Chunk(accounts, most) {
		out = append(out, map[string]any{"Accounts": part, "Regions": []string{"us-east-1", "eu-west-1"}, "ExecutionRoleName": benchRole})
	}
	return out
}

const waitingDocument = `schemaVersion: "0.3"
mainSteps:
  - name: Ask
    action: aws:approve
    inputs: {Approvers: [bench], Message: "May the resources of {{ global:ACCOUNT_ID }} be changed?"}
  - name: Read
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: GetBucketAcl, Bucket: "bench-{{ global:ACCOUNT_ID }}-{{ global:REGION }}"}
`

// runsWaiting measures what a server keeps of executions that wait for people.
func runsWaiting() measurement {
	return measurement{
		rows: []Row{
			atMost("waiting/memory", "10,000 executions waiting for approval, more memory", 5, "MB"),
			atMost("waiting/cpu", "  processor", 2, "% of a core"),
		},
		limit: 15 * time.Minute,
		run:   measureWaiting,
	}
}

func measureWaiting(ctx context.Context, b *bench, rows map[string]*Row) error {
	accounts := make([]string, targetAccounts)
	for i := range accounts {
		accounts[i] = account(i)
	}
	n, s, _, stop, err := b.documentNode(ctx, "sqlite", accounts)
	if err != nil {
		return err
	}
	defer stop()
	// Both measurements are of a server that was just started: what planning and
	// starting needed for a while is not what waiting needs.
	empty, _, err := n.rest(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := startWaiting(ctx, s); err != nil {
		return err
	}
	db, schema, done, err := executionDB(s)
	if err != nil {
		return err
	}
	defer done()
	if err := n.awaitCount(ctx, db, "SELECT COUNT(*) FROM "+schema+"execution WHERE parked = 1 AND ended_at = 0 AND current_action = 'aws:approve'", waitingAll); err != nil {
		return err
	}
	// What the steps' events are delivered with is not what waiting needs.
	if err := n.awaitCount(ctx, db, "SELECT CASE WHEN EXISTS (SELECT 1 FROM "+schema+"outbox WHERE state = 0) THEN 0 ELSE 1 END", 1); err != nil {
		return err
	}
	filled := time.Since(began)
	now, peak, err := memory(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	b.say("%d wait after %.0f s; memory %.0f MB, peak %.0f MB", waitingAll, filled.Seconds(), now, peak)
	n.stop()
	if err := n.start(ctx); err != nil {
		return err
	}
	full, used, err := n.rest(ctx)
	if err != nil {
		return err
	}
	rows["waiting/memory"].set(max(full-empty, 0), "%.1f MB with them, %.1f MB without, each 15 s after a start; started in %.0f s, peak then %.0f MB; SQLite", full, empty, filled.Seconds(), peak)
	rows["waiting/cpu"].set(used, "over 10 s")
	return nil
}

// rest gives the resident memory, and the processor in % of a core, of a server that
// has nothing to do.
func (n *node) rest(ctx context.Context) (mb, percent float64, err error) {
	const settle, span = 5 * time.Second, 10 * time.Second
	if err := wait(ctx, settle); err != nil {
		return 0, 0, err
	}
	before, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	if err := wait(ctx, span); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	mb, _, err = memory(n.cmd.Process.Pid)
	return mb, 100 * (after - before).Seconds() / span.Seconds(), err
}

// noDocuments are a desk's documents where each request brings its own.
type noDocuments struct{ *store.Store }

// Resolve implements plan.Documents.
func (noDocuments) Resolve(context.Context, string, string) (remediation.Runbook, error) {
	return remediation.Runbook{}, fmt.Errorf("the request brings its document")
}

// startWaiting asks for runs whose children all wait at once. They are asked for at
// the desk itself, as waves are nothing that the API of AWS has.
func startWaiting(ctx context.Context, s *store.Store) error {
	desk := plan.NewDesk(s, nil, service.RandomIDs{}, service.SystemClock{}).StartsDocuments(noDocuments{s})
	text := strings.TrimSpace(waitingDocument)
	for i := range waitingRuns {
		_, _, err := desk.RequestRun(ctx, remediation.Run{
			Document: remediation.Runbook{Name: "Bench-Waiting", Content: text, Revision: runbook.Revision([]byte(text))},
			Account:  account(i), Region: "us-east-1", MaxConcurrency: fmt.Sprint(targetAll), MaxErrors: "0", Waves: &remediation.Waves{Canary: targetAll, Growth: 1},
			TargetLocations: []map[string]any{{"Accounts": []any{"all"}, "Regions": []any{"us-east-1", "eu-west-1"}}},
		}, "admin")
		if err != nil {
			return err
		}
	}
	return nil
}
