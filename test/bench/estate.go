package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/remediation"
)

const (
	estateAccounts = 100
	estateEach     = 10
	// estateChanges is what one fix changes.
	estateChanges = 3
)

// estate measures fixes that policy approves, over many accounts, on a real server.
func estate() measurement {
	return measurement{
		rows: []Row{
			atMost("estate/time", "1,000 findings over 100 accounts to verified", 60, "s"),
			atMost("estate/calls", "  AWS calls a fix of three changes, on average, STS apart", 9, "calls"),
			atMost("estate/over", "  changes over a budget, or made twice", 0, "changes"),
			atMost("estate/memory", "  resident memory, peak", 150, "MB"),
		},
		limit: 3 * time.Minute,
		run:   measureEstate,
	}
}

func measureEstate(ctx context.Context, b *bench, rows map[string]*Row) error {
	dir, err := b.temp("estate")
	if err != nil {
		return err
	}
	cloud, err := startFakeAWS(ctx, 0)
	if err != nil {
		return err
	}
	defer cloud.stop()
	accounts := make([]string, estateAccounts)
	for i := range accounts {
		accounts[i] = account(i)
	}
	const all = estateAccounts * estateEach
	cfg := organization(accounts, "automatic")
	// Exactly what the fixes need: one change more, and something would wait or fail.
	cfg["guards"] = map[string]any{"budgets": map[string]any{
		"per_execution": estateChanges, "per_account_hour": estateEach * estateChanges, "per_hour": all * estateChanges,
	}}
	n, err := b.node(ctx, dir, cfg, cloud.environ("NODE"))
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
	if err := sendOrganization(ctx, n, accounts, estateEach); err != nil {
		return err
	}
	if err := n.untilAll(ctx, s, all, remediation.Verified); err != nil {
		return err
	}
	took := time.Since(began)
	_, peak, err := memory(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	used, err := cpuTime(n.cmd.Process.Pid)
	if err != nil {
		return err
	}
	calls, over := spentOf(cloud.log())
	rows["estate/time"].set(took.Seconds(), "from the first finding sent; three changes each, approved by policy; %.0f/s; %.0f s of processor; SQLite; AWS in the measuring process", all/took.Seconds(), used.Seconds())
	rows["estate/calls"].set(float64(calls)/all, "S3.2: 3 confirm, the account's own block once in a while, 3 verify; what planning read over a second ago is read again before it is written, the list by the runbook too")
	rows["estate/over"].set(float64(over), "budgets are set to exactly what the fixes need: %d an execution, %d an account, %d in all", estateChanges, estateEach*estateChanges, all*estateChanges)
	rows["estate/memory"].set(peak, "of parry serve")
	return nil
}

// spentOf counts the calls, and the changes that no budget had room for or that were
// made twice.
func spentOf(calls []fakeCall) (total, over int) {
	made := map[string]int{}    // by bucket and operation
	account := map[string]int{} // by account
	for _, c := range calls {
		total++
		if !c.change() {
			continue
		}
		owner := c.Bucket[strings.LastIndex(c.Bucket, "-")+1:]
		key := fmt.Sprint(c.Bucket, " ", c.Operation)
		made[key]++
		account[owner]++
		if made[key] > 1 || account[owner] > estateEach*estateChanges {
			over++
		}
	}
	return total, over
}
