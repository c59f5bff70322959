package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/postgres"
	"github.com/parry-security/parry/internal/store/seal"
	"github.com/parry-security/parry/internal/store/sqlite"
)

const (
	planAccounts = 1000
	planEach     = 10
	// planLimit bounds the measurement; what was reached by then has to do.
	planLimit = 150 * time.Second
)

// planning measures plans for a whole organization on a real server.
func planning() measurement {
	return measurement{
		rows: []Row{
			atMost("plan/time", "1,000 accounts x 10 findings planned", 60, "s"),
			atMost("plan/queued", "  until all of them await approval", 60, "s"),
			atMost("plan/memory", "  resident memory, peak", 150, "MB"),
		},
		limit: planLimit + time.Minute,
		run:   measurePlanning,
	}
}

func measurePlanning(ctx context.Context, b *bench, rows map[string]*Row) error {
	dir, err := b.temp("plan")
	if err != nil {
		return err
	}
	cloud, err := startFakeAWS(ctx, 0)
	if err != nil {
		return err
	}
	defer cloud.stop()
	accounts := make([]string, planAccounts)
	for i := range accounts {
		accounts[i] = account(i)
	}
	n, err := b.node(ctx, dir, organization(accounts, "people"), cloud.environ("NODE"))
	if err != nil {
		return err
	}
	defer n.stop()
	if err := errors.Join(n.keys(ctx), n.start(ctx)); err != nil {
		return err
	}
	s, err := b.look(ctx, dir+"/data", "")
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // it only reads
	began := time.Now()
	if err := sendOrganization(ctx, n, accounts, planEach); err != nil {
		return err
	}
	const all = planAccounts * planEach
	deadline := began.Add(planLimit)
	took, how, err := n.reach(ctx, s, began, deadline, all, remediation.Planned, remediation.AwaitingApproval)
	if err != nil {
		return err
	}
	_, peak, err := memory(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	used, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	rows["plan/time"].set(took, "findings accepted by HTTP, each planned (4 reads, 3 changes) and stored; %s; %.0f s of processor by then; SQLite; AWS in the measuring process", how, used.Seconds())
	rows["plan/memory"].set(peak, "of parry serve")
	if rows["plan/queued"] == nil {
		return nil
	}
	if took, how, err = n.reach(ctx, s, began, deadline, all, remediation.AwaitingApproval); err == nil {
		rows["plan/queued"].set(took, "from the first finding sent; %s", how)
	}
	return err
}

// reach gives the seconds from began until so many remediations have one of
// the states. When the deadline comes first, it says so and gives what it would
// take at the rate so far.
func (n *node) reach(ctx context.Context, s *store.Store, began, deadline time.Time, want int, states ...remediation.State) (float64, string, error) {
	limited, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err := n.untilAll(limited, s, want, states...)
	took := time.Since(began).Seconds()
	if err == nil {
		return took, fmt.Sprintf("%.0f/s", float64(want)/took), nil
	}
	if limited.Err() == nil || ctx.Err() != nil {
		return 0, "", err
	}
	have, err := countStates(ctx, s)
	if err != nil {
		return 0, "", err
	}
	reached := 0
	for _, state := range states {
		reached += have[state]
	}
	if reached == 0 {
		return 0, "", fmt.Errorf("none in %.0f s: %v", took, have)
	}
	return took * float64(want) / float64(reached), fmt.Sprintf("stopped after %.0f s with %d of %d, the rest at that rate", took, reached, want), nil
}

// look opens a node's database from outside, to read what its API would take
// the node's time to say.
func (b *bench) look(ctx context.Context, data, url string) (*store.Store, error) {
	keys, err := seal.Open(data + "/data.key")
	if err != nil {
		return nil, err
	}
	if url != "" {
		return postgres.Open(ctx, postgres.Config{URL: url, Sealer: keys, Clock: service.SystemClock{}})
	}
	return sqlite.Open(ctx, sqlite.Config{Dir: data, Sealer: keys, Clock: service.SystemClock{}})
}

// sendOrganization sends a finding for each of some buckets of every account.
func sendOrganization(ctx context.Context, n *node, accounts []string, each int) error {
	var findings []json.RawMessage
	for i := range each {
		for _, owner := range accounts {
			findings = append(findings, json.RawMessage(bucketFinding("S3.2", owner, fmt.Sprintf("bench-%d-%s", i, owner))))
		}
	}
	for at := 0; at < len(findings); at += 100 {
		part := findings[at:min(at+100, len(findings))]
		body, err := batch(part)
		if err != nil {
			return err
		}
		if err := n.send(ctx, body, len(part)); err != nil {
			return err
		}
	}
	return nil
}

// untilAll waits until so many remediations have one of the states, and none
// another final one.
func (n *node) untilAll(ctx context.Context, s *store.Store, want int, states ...remediation.State) error {
	for {
		have, err := countStates(ctx, s)
		if err != nil {
			return err
		}
		reached := 0
		for _, state := range states {
			reached += have[state]
		}
		if reached >= want {
			return nil
		}
		for other, count := range have {
			if !slices.Contains(states, other) && other.Final() {
				return fmt.Errorf("%d remediations are %s; %s", count, other, n.log())
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("of %d remediations: %v: %w", want, have, context.Cause(ctx))
		case <-n.done:
			return fmt.Errorf("parry serve ended: %s", n.log())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// countStates counts the remediations by state.
func countStates(ctx context.Context, s *store.Store) (map[remediation.State]int, error) {
	db, table := s.ExecutionDB(), "remediation"
	if db == nil {
		var err error
		if db, err = postgresDB(s.ExecutionURL()); err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }() // it only reads
		table = "parry_execution.remediation"
	}
	rows, err := db.QueryContext(ctx, "SELECT state, COUNT(*) FROM "+table+" GROUP BY state")
	if err != nil {
		return nil, err
	}
	out := map[remediation.State]int{}
	for rows.Next() {
		var state string
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, err
		}
		out[remediation.State(strings.TrimSpace(state))] = n
	}
	return out, rows.Close()
}
