package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/durable"
	"github.com/parry-security/parry/internal/remediation"
)

const takeoverFixes = 60

// takeover measures what becomes of a dead node's work.
func takeover() measurement {
	lease := durable.DefaultLeaseTTL.Seconds()
	return measurement{
		rows: []Row{
			atMost("takeover/time", "takeover of a dead node's executions", lease+5, "s"),
			atMost("takeover/all", "  until every finding of both nodes is verified", lease+5, "s"),
			atMost("takeover/repeated", "  completed steps repeated", 0, "steps"),
		},
		limit: 3 * time.Minute,
		run:   measureTakeover,
	}
}

func postgresDB(url string) (*sql.DB, error) { return sql.Open("pgx", url) }

func measureTakeover(ctx context.Context, b *bench, rows map[string]*Row) error {
	dir, err := b.temp("takeover")
	if err != nil {
		return err
	}
	url, err := b.postgres(ctx)
	if err != nil {
		return err
	}
	cloud, err := startFakeAWS(ctx, 300*time.Millisecond)
	if err != nil {
		return err
	}
	defer cloud.stop()
	accounts := make([]string, takeoverFixes)
	for i := range accounts {
		accounts[i] = account(i)
	}
	var nodes [2]*node
	for i := range nodes {
		cfg := organization(accounts, "automatic")
		cfg["database"], cfg["node"], cfg["data_dir"] = url, fmt.Sprint("node-", i), dir+"/data"
		if nodes[i], err = b.node(ctx, dir, cfg, cloud.environ(fmt.Sprint("NODE", i))); err != nil {
			return err
		}
		if i == 0 {
			err = nodes[i].keys(ctx)
		}
		if err = errors.Join(err, nodes[i].start(ctx)); err != nil {
			return err
		}
		defer nodes[i].stop()
	}
	s, err := b.look(ctx, dir+"/data", url)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // it only reads
	if err := sendOrganization(ctx, nodes[0], accounts, 1); err != nil {
		return err
	}
	if err := untilBusy(ctx, cloud, "NODE0", 6); err != nil {
		return err
	}
	nodes[0].kill()
	died := time.Now()
	if err := nodes[1].untilAll(ctx, s, takeoverFixes, remediation.Verified); err != nil {
		return err
	}
	all := time.Since(died)
	last, orphans, repeated, flying := judge(cloud.log(), died)
	if orphans == 0 {
		return errors.New("the dead node had no execution under way")
	}
	rows["takeover/time"].set(last.Seconds(), "two parry serve on PostgreSQL, SIGKILL with %d executions under way; to the survivor's first call for the last of them; lease %s", orphans, durable.DefaultLeaseTTL)
	rows["takeover/all"].set(all.Seconds(), "%d findings; AWS takes 300 ms a call", takeoverFixes)
	rows["takeover/repeated"].set(float64(repeated), "changes sent again though answered before the kill; %d were under way at the kill and sent again", flying)
	return nil
}

// untilBusy waits until a node has changed something for so many buckets.
func untilBusy(ctx context.Context, cloud *fakeAWS, node string, n int) error {
	for {
		busy := map[string]bool{}
		for _, c := range cloud.log() {
			if c.Node == node && c.change() {
				busy[c.Bucket] = true
			}
		}
		if len(busy) >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s changed only %d buckets: %w", node, len(busy), context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// judge reads from the calls when the survivor went on with each execution of
// the dead node, and what was done twice.
func judge(calls []fakeCall, died time.Time) (last time.Duration, orphans, repeated, flying int) {
	type step struct{ bucket, operation string }
	applied := map[string]int{}       // changes of the dead node by bucket
	resumed := map[string]time.Time{} // first call of the survivor's execution
	first := map[step]fakeCall{}
	for _, c := range calls { // in the order in which they ended
		apply := strings.HasPrefix(c.Session, "parry-apply")
		if !apply {
			continue
		}
		if c.Node == "NODE0" {
			applied[c.Bucket]++
		} else if at, ok := resumed[c.Bucket]; !ok || c.Began.Before(at) {
			resumed[c.Bucket] = c.Began
		}
		if !c.change() {
			continue
		}
		was, again := first[step{c.Bucket, c.Operation}]
		switch {
		case !again:
			first[step{c.Bucket, c.Operation}] = c
		case was.Ended.Before(died):
			repeated++
		default:
			flying++
		}
	}
	for bucket := range applied {
		at, ok := resumed[bucket]
		if !ok {
			continue // the dead node had ended it
		}
		orphans++
		last = max(last, at.Sub(died))
	}
	return last, orphans, repeated, flying
}
