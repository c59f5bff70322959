package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// pageTimes is how long a client waited for whole answers, one after the other.
type pageTimes struct {
	pages []time.Duration
	kinds map[string][]time.Duration // pages by what they were filtered by
	// floor is a signed call that does nothing, between the pages: what the machine
	// and the protocol take.
	floor []time.Duration
	bytes int           // of all pages
	used  time.Duration // processor time of the server
}

func (t pageTimes) String() string {
	n := max(len(t.pages), 1)
	return fmt.Sprintf("%d signed calls one after the other until the body is there, %d KB each, p50 %.1f ms, %.1f ms of processor in the server, GetCallerIdentity between them p50 %.1f, p99 %.1f ms; %d kinds of filter, first and second page",
		len(t.pages), t.bytes/n/1000, quantile(t.pages, 0.5), t.used.Seconds()*1000/float64(n), quantile(t.floor, 0.5), quantile(t.floor, 0.99), len(t.kinds))
}

// pageRounds is how often each kind of filter is asked for, after one round that warms
// the caches.
const pageRounds = 40

// pagesByAPI asks a server over the store of p for pages, as boto3 does.
func (b *bench) pagesByAPI(ctx context.Context, p *place, accounts int) (pageTimes, error) {
	t := pageTimes{kinds: map[string][]time.Duration{}}
	n, err := b.nodeOver(ctx, p)
	if err != nil {
		return t, err
	}
	defer n.stop()
	before := time.Duration(0)
	for i := -1; i < pageRounds; i++ {
		if i == 0 {
			t = pageTimes{kinds: map[string][]time.Duration{}} // the round before warmed up
			if before, err = cpuTime(n.cmd.Process.Pid); err != nil {
				return t, err
			}
		}
		if err := n.pageRound(ctx, &t, max(i, 0), accounts); err != nil {
			return t, err
		}
	}
	after, err := cpuTime(n.cmd.Process.Pid)
	t.used = after - before
	for kind, took := range t.kinds {
		b.say("  %-60s p50 %5.1f p99 %5.1f ms", kind, quantile(took, 0.5), quantile(took, 0.99))
	}
	slowest := slices.Sorted(slices.Values(t.pages))
	b.say("  slowest %v", slowest[max(0, len(slowest)-10):])
	return t, err
}

// nodeOver starts a server over the store of p.
func (b *bench) nodeOver(ctx context.Context, p *place) (*node, error) {
	home, err := b.temp("api")
	if err != nil {
		return nil, err
	}
	cfg := organization([]string{account(0)}, "people")
	cfg["data_dir"], cfg["bus_rules"] = p.dir, []any{}
	if p.url != "" {
		cfg["database"] = p.url
	}
	n, err := b.node(ctx, home, cfg, nil)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(n.keys(ctx), n.start(ctx)); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// pageRound asks for the pages of each kind of filter once.
func (n *node) pageRound(ctx context.Context, t *pageTimes, i, accounts int) error {
	is := func(values ...string) []map[string]string {
		var out []map[string]string
		for _, v := range values {
			out = append(out, map[string]string{"Value": v, "Comparison": "EQUALS"})
		}
		return out
	}
	type filters map[string]any
	owner, control, region := is(account(i*7%max(accounts, 1))), is(fmt.Sprintf("S3.%d", i*13%controls)), is(regions()[i%4])
	for _, f := range []filters{
		{"RecordState": is("ACTIVE"), "WorkflowStatus": is("NEW", "NOTIFIED")},
		{"AwsAccountId": owner},
		{"SeverityLabel": is("CRITICAL", "HIGH"), "WorkflowStatus": is("NEW"), "RecordState": is("ACTIVE")},
		{"ComplianceSecurityControlId": control, "Region": region},
		{"AwsAccountId": owner, "SeverityLabel": is("HIGH"), "WorkflowStatus": is("NEW")},
		{"Region": region, "ComplianceStatus": is("FAILED")},
	} {
		var names []string
		for name := range f {
			names = append(names, name)
		}
		slices.Sort(names)
		kind := strings.Join(names, ", ")
		in := map[string]any{"Filters": f, "MaxResults": 50, "SortCriteria": []any{map[string]any{"Field": "UpdatedAt", "SortOrder": "desc"}}}
		for range 2 {
			next, size, took, err := n.findings(ctx, in)
			if err != nil {
				return err
			}
			t.pages, t.kinds[kind], t.bytes = append(t.pages, took), append(t.kinds[kind], took), t.bytes+size
			if took, err = n.whoAmI(ctx); err != nil {
				return err
			}
			t.floor = append(t.floor, took)
			if in["NextToken"] = next; next == "" {
				break
			}
		}
	}
	return nil
}

// findings asks for a page of findings and gives the token of the next, the bytes of
// the answer, and how long it took until they were there: reading them is the client's.
func (n *node) findings(ctx context.Context, in map[string]any) (next string, size int, took time.Duration, err error) {
	body, err := json.Marshal(in)
	if err != nil {
		return "", 0, 0, err
	}
	began := time.Now()
	raw, err := n.signed(ctx, "securityhub", "/findings", n.person, http.Header{"Content-Type": {"application/json"}}, body)
	took = time.Since(began)
	if err != nil {
		return "", 0, took, fmt.Errorf("get findings: %w", err)
	}
	page, err := decode[struct {
		Findings  []json.RawMessage
		NextToken string
	}](raw)
	if err == nil && len(page.Findings) == 0 {
		err = fmt.Errorf("get findings: none for %s", body)
	}
	return page.NextToken, len(raw), took, err
}

// whoAmI asks who the caller is, for which nothing but the key is read.
func (n *node) whoAmI(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	_, err := n.signed(ctx, "sts", "/", n.person, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, []byte("Action=GetCallerIdentity&Version=2011-06-15"))
	return time.Since(began), err
}
