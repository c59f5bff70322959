package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/store"
)

const (
	// stepRuns documents run at once, each of stepsEach steps that have a checkpoint.
	stepRuns  = 200
	stepsEach = 10
)

// pausedDocument waits for somebody, and then reads a bucket again and again: what
// is measured begins when all wait.
func pausedDocument() string {
	var text strings.Builder
	text.WriteString(`schemaVersion: "0.3"
parameters: {Bucket: {type: String}}
mainSteps:
  - {name: Begin, action: "aws:pause", inputs: {}}
`)
	for i := range stepsEach {
		fmt.Fprintf(&text, `  - name: Read%02d
    action: aws:executeAwsApi
    inputs: {Service: s3, Api: GetBucketAcl, Bucket: "{{ Bucket }}"}
    outputs: [{Name: Owner, Selector: $.Owner.ID, Type: String}]
`, i)
	}
	return text.String()
}

// runSteps measures the steps of documents on a real server: interpreter, gate,
// checkpoint, history.
func runSteps(kind string) measurement {
	name, goal := "runs/steps-"+kind, 1200.0
	if kind == "postgres" {
		goal = 1000
	}
	return measurement{
		rows:  []Row{atLeast(name, "steps of documents, "+title(kind), goal, "steps/s")},
		limit: 3 * time.Minute,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			n, s, _, stop, err := b.documentNode(ctx, kind, []string{account(0)})
			if err != nil {
				return err
			}
			defer stop()
			if err := n.createDocument(ctx, "Bench-Steps", pausedDocument()); err != nil {
				return err
			}
			for round := range 3 {
				rate, used, err := n.resumeAll(ctx, s, round)
				if err != nil {
					return err
				}
				rows[name].set(rate, "%d runs of %d AWS calls each, resumed at once; from the first step's begin to the last one's end; %.0f us of processor each in the server; AWS in the measuring process; %s",
					stepRuns, stepsEach, used, flushed(kind))
			}
			return nil
		},
	}
}

// documentNode starts a server that may run documents and change as much as they
// ask for, and looks at its store from outside.
func (b *bench) documentNode(ctx context.Context, kind string, accounts []string) (*node, *store.Store, *fakeAWS, func(), error) {
	dir, err := b.temp("runs")
	if err != nil {
		return nil, nil, nil, nil, err
	}
	url := ""
	if kind == "postgres" {
		if url, err = b.postgres(ctx); err != nil {
			return nil, nil, nil, nil, err
		}
	}
	cloud, err := startFakeAWS(ctx, 0)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	cfg := organization(accounts, "people")
	cfg["policies"] = []any{map[string]any{"id": "documents", "documents": []string{"Bench-*"}, "mode": "automatic"}}
	cfg["documents"] = []any{map[string]any{"names": []string{"Bench-*"}, "key_roles": []string{"admin"}, "roles": []string{"arn:aws:iam::*:role/" + benchRole}}}
	cfg["guards"] = map[string]any{"budgets": map[string]any{"per_execution": 10_000, "per_account_hour": 10_000, "per_hour": 100_000}}
	cfg["aws"] = map[string]any{"rate": 10_000, "burst": 10_000}
	if url != "" {
		cfg["database"] = url
	}
	n, err := b.node(ctx, dir, cfg, cloud.environ("NODE"))
	if err == nil {
		err = n.keys(ctx)
	}
	if err == nil {
		err = n.start(ctx)
	}
	if err != nil {
		cloud.stop()
		return nil, nil, nil, nil, err
	}
	s, err := b.look(ctx, dir+"/data", url)
	stop := func() {
		if s != nil {
			_ = s.Close() // its directory is thrown away
		}
		n.stop()
		cloud.stop()
	}
	if err != nil {
		stop()
	}
	return n, s, cloud, stop, err
}

// createDocument stores an Automation document, as the AWS CLI does.
func (n *node) createDocument(ctx context.Context, name, text string) error {
	_, err := n.systemsManager(ctx, "CreateDocument", map[string]any{"Name": name, "Content": text, "DocumentType": "Automation", "DocumentFormat": "YAML"})
	return err
}

// startDocument starts a document and gives its execution.
func (n *node) startDocument(ctx context.Context, name string, more map[string]any) (string, error) {
	in := map[string]any{"DocumentName": name, "Tags": []any{map[string]any{"Key": "parry:account", "Value": account(0)}}}
	for k, v := range more {
		in[k] = v
	}
	raw, err := n.systemsManager(ctx, "StartAutomationExecution", in)
	if err != nil {
		return "", err
	}
	out, err := decode[struct{ AutomationExecutionId string }](raw) //nolint:revive // AWS's name
	return out.AutomationExecutionId, err
}

// resumeAll starts the runs, waits until all wait, resumes them in one transaction
// and gives the steps per second of what follows, and the processor time of each in
// microseconds.
func (n *node) resumeAll(ctx context.Context, s *store.Store, round int) (rate, used float64, err error) {
	ids := make([]string, stepRuns)
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < len(ids) && errs[w] == nil; i += len(errs) {
				ids[i], errs[w] = n.startDocument(ctx, "Bench-Steps", map[string]any{
					"Parameters": map[string]any{"Bucket": []string{fmt.Sprintf("bench-%d-%d", round, i)}},
				})
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	db, schema, done, err := executionDB(s)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	if err := n.awaitCount(ctx, db, "SELECT COUNT(*) FROM "+schema+"execution WHERE parked = 1 AND ended_at = 0", stepRuns); err != nil {
		return 0, 0, err
	}
	before, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	var eff store.Effects
	for _, id := range ids {
		eff.Signals = append(eff.Signals, store.Signal{Execution: id, Kind: "Resume", By: "bench", At: time.Now()})
	}
	if err := s.Enqueue(ctx, store.Execution, eff); err != nil {
		return 0, 0, err
	}
	ended := (round + 1) * stepRuns
	if err := n.awaitCount(ctx, db, "SELECT COUNT(*) FROM "+schema+"execution WHERE ended_at > 0 AND status = 'Success'", ended); err != nil {
		return 0, 0, err
	}
	after, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	var first, last, count int64
	// Of an earlier round are those of the executions that ended before.
	err = db.QueryRowContext(ctx, "SELECT MIN(started_at), MAX(ended_at), COUNT(*) FROM (SELECT started_at, ended_at FROM "+schema+
		"step WHERE action = 'aws:executeAwsApi' ORDER BY started_at DESC LIMIT "+fmt.Sprint(stepRuns*stepsEach)+") AS latest").Scan(&first, &last, &count)
	if err != nil {
		return 0, 0, err
	}
	if count != stepRuns*stepsEach || last <= first {
		return 0, 0, fmt.Errorf("there are %d steps, want %d", count, stepRuns*stepsEach)
	}
	return float64(count) / (time.Duration(last-first) * time.Microsecond).Seconds(), float64((after - before).Microseconds()) / float64(count), nil
}

// executionDB gives the database of the executions of s, and what stands before the
// names of its tables.
func executionDB(s *store.Store) (db *sql.DB, schema string, done func(), err error) {
	if db = s.ExecutionDB(); db != nil {
		return db, "", func() {}, nil
	}
	db, err = postgresDB(s.ExecutionURL())
	return db, "parry_execution.", func() { _ = db.Close() }, err // it only reads
}

// awaitCount asks until the query gives want.
func (n *node) awaitCount(ctx context.Context, db *sql.DB, query string, want int) error {
	have := 0
	for {
		if err := db.QueryRowContext(ctx, query).Scan(&have); err != nil {
			return err
		}
		if have >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d (%s): %w; %s", have, want, query, context.Cause(ctx), n.log())
		case <-n.done:
			return fmt.Errorf("parry serve ended: %s", n.log())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
