package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/parry-security/parry/internal/pattern"
)

// patterns measures parsing and matching of events on one core.
func patterns() measurement {
	rows := []Row{}
	for _, s := range ruleSets() {
		rows = append(rows,
			atLeast("pattern/"+s.name, "pattern matching, "+s.what, s.goal, "events/s"),
			atMost("pattern/"+s.name+"/allocs", "  allocations per event", 0, "allocs"))
	}
	return measurement{rows: rows, limit: 60 * time.Second, run: measurePatterns}
}

type ruleSet struct {
	name, what string
	goal       float64
	n          int
	rule       func(i int) string
}

func ruleSets() []ruleSet {
	return []ruleSet{
		{"1k", "1,000 rules", 300_000, 1000, plainRule},
		{"10k", "10,000 rules", 150_000, 10_000, plainRule},
		{"10k-operators", "10,000 rules, all operators", 120_000, 10_000, operatorRule},
	}
}

// plainRule is what a team writes: its account, its controls, what is open.
func plainRule(i int) string {
	return fmt.Sprintf(`{"source":["aws.securityhub"],"detail-type":["Security Hub Findings - Imported"],"detail":{"findings":{`+
		`"AwsAccountId":["%s"],"Severity":{"Label":["HIGH","CRITICAL"]},"Compliance":{"Status":["FAILED"],"SecurityControlId":["S3.%d"]},`+
		`"Workflow":{"Status":["NEW"]}}}}`, account(i%500), i%controls)
}

// operatorRule uses each operator of the language in turn.
func operatorRule(i int) string {
	conditions := []string{
		`"Resources":{"Id":[{"prefix":"arn:aws:s3:::bucket-%x"}]}`,
		`"GeneratorId":[{"suffix":"/S3.%d"}]`,
		`"Severity":{"Normalized":[{"numeric":[">",%d,"<=",100]}]}`,
		`"Region":[{"anything-but":["us-east-%d"]}]`,
		`"Resources":{"Id":[{"wildcard":"arn:*:s3:::*-%d"}]}`,
		`"Title":[{"equals-ignore-case":"s3.%d s3 general purpose buckets should block public access"}]`,
		`"Note":[{"exists":false}],"Compliance":{"SecurityControlId":["S3.%d"]}`,
		`"Region":[{"anything-but":{"prefix":"eu-%d"}}]`,
		`"$or":[{"Severity":{"Label":["CRITICAL"]}},{"Compliance":{"SecurityControlId":["S3.%d"]}}]`,
		`"ProductFields":{"ControlId":[{"prefix":{"equals-ignore-case":"s3.%d"}}]}`,
	}
	return fmt.Sprintf(`{"source":["aws.securityhub"],"detail":{"findings":{"AwsAccountId":["%s"],`+conditions[i%len(conditions)]+`}}}`,
		account(i%500), i/10%controls)
}

func measurePatterns(ctx context.Context, b *bench, rows map[string]*Row) error {
	m := newMaker(1)
	events := make([][]byte, 500)
	size := 0
	for i := range events {
		doc := m.finding(500)
		events[i] = fmt.Appendf(nil, `{"version":"0","id":"%016x","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"%s",`+
			`"time":"2026-11-23T10:00:00Z","region":"us-east-1","resources":["arn:aws:securityhub:us-east-1::product/aws/securityhub/x"],"detail":{"findings":[%s]}}`, i, account(0), doc)
		size += len(events[i])
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, s := range ruleSets() {
		rate, allocs := rows["pattern/"+s.name], rows["pattern/"+s.name+"/allocs"]
		if rate == nil && allocs == nil {
			continue
		}
		var set pattern.Set
		for i := range s.n {
			p, err := pattern.Parse([]byte(s.rule(i)))
			if err != nil {
				return fmt.Errorf("rule %s: %w", s.rule(i), err)
			}
			if err := set.Add(fmt.Sprint("rule-", i), p); err != nil {
				return err
			}
		}
		for range 4 {
			used := processor()
			perSecond, each, matches, err := matchFor(ctx, &set, events, time.Second)
			if err != nil {
				return err
			}
			rate.set(perSecond, "one core, parsed and matched, events of %d bytes, %.2f matches each; %s", size/len(events), matches, used(perSecond))
			allocs.set(each, "Go heap allocations, parsing included")
		}
	}
	return nil
}

// matchFor matches events over and over for a while.
func matchFor(ctx context.Context, set *pattern.Set, events [][]byte, d time.Duration) (perSecond, allocs, matches float64, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began, n, found := time.Now(), 0, 0
	for ctx.Err() == nil && time.Since(began) < d {
		for range 10 {
			e, err := pattern.ParseEvent(events[n%len(events)])
			if err != nil {
				return 0, 0, 0, err
			}
			names, err := set.Match(e)
			if err != nil {
				return 0, 0, 0, err
			}
			found += len(names)
			n++
		}
	}
	took := time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	return float64(n) / took, float64(after.Mallocs-before.Mallocs) / float64(n), float64(found) / float64(n), ctx.Err()
}
