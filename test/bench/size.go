package main

import (
	"context"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/store"
)

// atSize measures indexing, pages and counts in a store of many findings. The names of
// SQLite's rows are without its name.
func atSize(kind string) measurement {
	of, on := "", ""
	if kind != "sqlite" {
		of, on = kind+"/", ", "+title(kind)
	}
	rows := []Row{
		atLeast("indexed/"+kind+"/full", "findings indexed by triage, full store, "+title(kind), 5000, "findings/s"),
		atMost("page/"+of+"p50", "filtered page of 50, p50"+on, 15, "ms"),
		atMost("page/"+of+"p99", "filtered page of 50, p99"+on, 15, "ms"),
		atMost("page/"+of+"api/p99", "the same through GetFindings, p99"+on, 15, "ms"),
		atMost("bytes/"+kind, "bytes per finding on disk, with history, counters and indexes"+on, 3500, "bytes"),
		atMost("words/"+of+"p99", "page of findings whose title or description contains a rare word, p99"+on, 1500, "ms"),
		atMost("counts/"+of+"p99", "dashboard counts, p99"+on, 20, "ms"),
	}
	if kind == "postgres" {
		rows = append(rows, atLeast("narrow/postgres/full", "  rows written without their documents, full store, PostgreSQL", 15_000, "findings/s"))
	}
	return measurement{
		rows:  rows,
		limit: fillLimit + 3*time.Minute,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) error {
			return measureSize(ctx, b, rows, kind, of)
		},
	}
}

func measureSize(ctx context.Context, b *bench, rows map[string]*Row, kind, of string) error {
	p, n, err := b.full(ctx, kind)
	if err != nil {
		return err
	}
	defer func() { p.close() }()
	at := fmt.Sprintf("%s, %s findings of %s accounts", title(kind), number(float64(n)), number(float64(n/seeds)))
	if rows["page/"+of+"p50"] != nil || rows["page/"+of+"p99"] != nil {
		for range 3 {
			took, err := pages(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			rows["page/"+of+"p50"].set(quantile(took, 0.5), "%d pages with documents, 8 kinds of filter, first and second page; %s", len(took), at)
			rows["page/"+of+"p99"].set(quantile(took, 0.99), "%d pages with documents, 8 kinds of filter, first and second page; %s", len(took), at)
		}
	}
	if r := rows["bytes/"+kind]; r != nil {
		size, err := p.size(ctx)
		if err != nil {
			return err
		}
		r.set(float64(size)/float64(n), "one entry of history each, documents of 4 KB; %s", at)
	}
	if r := rows["words/"+of+"p99"]; r != nil {
		for range 3 {
			took, err := words(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			r.set(quantile(took, 0.99), "%d searches, p50 %.0f ms, the texts of all findings are read; %s", len(took), quantile(took, 0.5), at)
		}
	}
	if rows["counts/"+of+"p99"] != nil {
		for range 3 {
			took, err := counts(ctx, p.store, n/seeds)
			if err != nil {
				return err
			}
			rows["counts/"+of+"p99"].set(quantile(took, 0.99), "%d counts, 5 kinds, p50 %.1f ms; %s", len(took), quantile(took, 0.5), at)
		}
	}
	if r := rows["indexed/"+kind+"/full"]; r != nil {
		for seed := range uint64(3) {
			rate, used, err := drain(ctx, p.store, inboxItems(uint64(n)+seed, 8000, 500))
			if err != nil {
				return err
			}
			r.set(rate, "triage.Drain of 8,000 new findings; %s; %s", used, at)
		}
	}
	if r := rows["narrow/postgres/full"]; r != nil {
		rate, err := narrow(ctx, p, n+10) // other findings than the row before had
		if err != nil {
			return err
		}
		r.set(rate, "CommitFindings of 40,000 new rows by 1,000, 4 at once, no document, history or event; %s", at)
	}
	if r := rows["page/"+of+"api/p99"]; r != nil {
		p.close()
		for range 2 {
			asked, err := b.pagesByAPI(ctx, p, n/seeds)
			if err != nil {
				return err
			}
			r.set(quantile(asked.pages, 0.99), "%s; %s", asked, at)
		}
	}
	return nil
}

func equal(column string, values ...string) store.Condition {
	return store.Condition{Column: column, Op: store.OpEqual, Values: values}
}

// pages asks for first and second pages as people filter them.
func pages(ctx context.Context, s *store.Store, accounts int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 40 {
		owner, control, region := account(i*7%max(accounts, 1)), fmt.Sprintf("S3.%d", i*13%controls), regions()[i%4]
		for _, where := range [][]store.Condition{
			nil,
			{equal("account", owner)},
			{equal("severity", "CRITICAL", "HIGH"), equal("workflow", "NEW"), equal("record_state", "ACTIVE")},
			{equal("control", control), equal("region", region)},
			{equal("account", owner), equal("severity", "HIGH"), equal("workflow", "NEW")},
			{equal("workflow", "NEW"), equal("record_state", "ACTIVE"), equal("compliance", "FAILED")},
			{equal("region", region), equal("compliance", "FAILED")},
			{equal("account", owner), equal("control", control)},
		} {
			q := store.FindingQuery{Accounts: store.AllAccounts(), Where: where, Limit: 50}
			for range 2 {
				began := time.Now()
				page, err := s.QueryFindings(ctx, q)
				if err != nil {
					return nil, err
				}
				took = append(took, time.Since(began))
				if q.Cursor = page.Next; q.Cursor == "" {
					break
				}
			}
		}
	}
	return took, nil
}

// words asks for words that no finding has, and that one of the copies has.
func words(ctx context.Context, s *store.Store, copies int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 6 {
		for _, word := range []string{"no finding has this", fmt.Sprintf("COPY-%d-", 1+i*7%max(copies-1, 1))} {
			began := time.Now()
			_, err := s.QueryFindings(ctx, store.FindingQuery{
				Accounts: store.AllAccounts(), Where: []store.Condition{{Column: "text", Op: store.OpContains, Values: []string{word}}}, Limit: 50,
			})
			if err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}

// counts asks for what a dashboard shows.
func counts(ctx context.Context, s *store.Store, accounts int) ([]time.Duration, error) {
	var took []time.Duration
	for i := range 20 {
		owner := account(i * 7 % max(accounts, 1))
		for _, q := range []store.CountQuery{
			{GroupBy: []string{"severity"}},
			{GroupBy: []string{"severity", "workflow"}, Where: []store.Condition{equal("record_state", "ACTIVE")}},
			{GroupBy: []string{"account"}, Where: []store.Condition{equal("record_state", "ACTIVE"), equal("severity", "CRITICAL")}},
			{GroupBy: []string{"control"}},
			{GroupBy: []string{"control", "severity"}, Where: []store.Condition{equal("account", owner)}},
		} {
			q.Accounts = store.AllAccounts()
			began := time.Now()
			if _, err := s.CountFindings(ctx, q); err != nil {
				return nil, err
			}
			took = append(took, time.Since(began))
		}
	}
	return took, nil
}
