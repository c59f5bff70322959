package pattern_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/pattern"
)

// asff gives n Security Hub events of about 4 KB, the same for the same seed.
func asff(seed uint64, n int) [][]byte {
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([][]byte, n)
	for i := range out {
		account, control := fmt.Sprintf("%012d", 100000000000+r.IntN(500)), fmt.Sprintf("S3.%d", 1+r.IntN(40))
		severity := []string{"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"}[r.IntN(5)]
		text := strings.Repeat(`This control checks \"general purpose\" buckets. `, 30+r.IntN(10))
		out[i] = fmt.Appendf(nil, `{"version":"0","id":"%016x","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub",`+
			`"account":"%s","time":"2026-11-23T10:00:00Z","region":"us-east-1","resources":["arn:aws:securityhub:us-east-1::product/aws/securityhub/x"],`+
			`"detail":{"findings":[{"SchemaVersion":"2018-10-08","Id":"arn:aws:securityhub:us-east-1:%[2]s:security-control/%[3]s/finding/%016[1]x",`+
			`"ProductArn":"arn:aws:securityhub:us-east-1::product/aws/securityhub","AwsAccountId":"%[2]s","Types":["Software and Configuration Checks/AWS Security Best Practices"],`+
			`"Severity":{"Label":"%[4]s","Normalized":%[5]d,"Original":"%[4]s"},"Title":"%[3]s buckets should block public access","Description":"%[6]s",`+
			`"Compliance":{"Status":"FAILED","SecurityControlId":"%[3]s","RelatedRequirements":["NIST 1","NIST 2","PCI 3"]},`+
			`"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::bucket-%[7]d","Region":"us-east-1","Tags":{"env":"prod","team":"a"}},{"Type":"AwsAccount","Id":"AWS::::Account:%[2]s"}],`+
			`"Workflow":{"Status":"NEW"},"RecordState":"ACTIVE","CreatedAt":"2026-11-23T09:00:00Z","UpdatedAt":"2026-11-23T10:00:00Z",`+
			`"ProductFields":{"aws/securityhub/ProductName":"Security Hub","aws/securityhub/annotation":"%[6]s"}}]}}`,
			r.Uint64(), account, control, severity, r.IntN(100), text, r.IntN(1000))
	}
	return out
}

func rules(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(`{"source":["aws.securityhub"],"detail-type":["Security Hub Findings - Imported"],"detail":{"findings":{`+
			`"AwsAccountId":["%012d"],"Severity":{"Label":["HIGH","CRITICAL"]},"Compliance":{"Status":["FAILED"],"SecurityControlId":["S3.%d"]},`+
			`"Resources":{"Type":[{"prefix":"AwsS3"}],"Id":[{"wildcard":"arn:*:s3:::bucket-*"}]},"Workflow":{"Status":["NEW"]}}}}`, 100000000000+i*7%500, 1+i%40)
	}
	return out
}

func set(tb testing.TB, n int) *pattern.Set {
	tb.Helper()
	var s pattern.Set
	var load []pattern.Named
	for i, text := range rules(n) {
		load = append(load, pattern.Named{Name: fmt.Sprint("rule-", i), Pattern: parse(tb, text)})
	}
	if err := s.Replace(load); err != nil {
		tb.Fatal(err)
	}
	return &s
}

// BenchmarkSet matches one valid event against 1,000 rules per operation.
func BenchmarkSet(b *testing.B) {
	s := set(b, 1000)
	var events []pattern.Text
	for _, raw := range asff(1, 500) {
		events = append(events, text(b, string(raw)))
	}
	bytes, matched := 0, 0
	var names []string
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e := events[i%len(events)]
		var err error
		if names, err = s.Match(e, names[:0]); err != nil {
			b.Fatal(err)
		}
		bytes += e.Len()
		matched += len(names)
	}
	b.SetBytes(int64(bytes / b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(matched)/float64(b.N), "matches/event")
	if matched == 0 {
		b.Error("no rule matches")
	}
}

// BenchmarkParseEvent is what explaining needs, and what matching was before.
func BenchmarkParseEvent(b *testing.B) {
	events := asff(1, 500)
	for i := 0; b.Loop(); i++ {
		if _, err := pattern.ParseEvent(events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
	}
}
