package storetest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// generator makes findings that have something at the path of every field of
// the filters, and filters that ask for it. The same seed makes the same.
type generator struct {
	r      *rand.Rand
	fields []filter.Field // by name
}

func newGenerator(seed uint64) *generator {
	all := filter.Fields()
	g := &generator{r: rand.New(rand.NewPCG(seed, 107))}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		g.fields = append(g.fields, all[name])
	}
	return g
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// oddTexts go where ASFF lets any text go: what databases, cuts and patterns
// trip over. The long ones differ behind the width of a column only.
func oddTexts() []string {
	return []string{
		"alpha", "Alpha", "alphabet", "beta gamma", "100% _sure_", "tab\there", "quote'\"\\", "zero\x00byte", "broken\uFFFDbyte",
		"ünïcödé İ ẞ", "日本語のテキスト", "a", "A", "<b>{{x}}</b>", "*", "?",
	}
}

// texts gives the values of a string field.
func texts(field string) []string {
	long := func(runes int, r string) []string {
		return []string{strings.Repeat(r, runes), strings.Repeat(r, runes-1) + "x", strings.Repeat(r, runes-2)}
	}
	switch field {
	case "ProductArn":
		return []string{
			"arn:aws:securityhub:eu-west-1::product/aws/securityhub", "arn:aws:securityhub:us-east-1::product/aws/guardduty",
			"arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default",
		}
	case "RelatedFindingsProductArn", "FindingProviderFieldsRelatedFindingsProductArn":
		return []string{"arn:aws:securityhub:a::product/b/c", "arn:aws:securityhub:a::product/b/d"}
	case "AwsAccountId":
		return []string{"111122223333", "111122224444", "222233334444"}
	case "Region", "ResourceRegion":
		return []string{"eu-west-1", "eu-west-2", "us-east-1"}
	case "SeverityLabel", "FindingProviderFieldsSeverityLabel":
		return []string{"INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"}
	case "WorkflowStatus":
		return []string{"NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED"}
	case "RecordState":
		return []string{"ACTIVE", "ARCHIVED"}
	case "ComplianceStatus":
		return []string{"PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"}
	case "ComplianceSecurityControlId":
		return append([]string{"S3.8", "s3.8", "S3.80", "IAM.6"}, long(300, "c")...)
	case "VerificationState":
		return []string{"UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE"}
	case "WorkflowState":
		return []string{"NEW", "ASSIGNED", "IN_PROGRESS", "DEFERRED", "RESOLVED"}
	case "ResourceAwsIamAccessKeyStatus":
		return []string{"Active", "Inactive"}
	case "ThreatIntelIndicatorType":
		return []string{"DOMAIN", "HASH_SHA1", "HASH_SHA256", "URL"}
	case "ThreatIntelIndicatorCategory":
		return []string{"BACKDOOR", "CARD_STEALER", "DROP_SITE"}
	case "VulnerabilitiesExploitAvailable":
		return []string{"YES", "NO"}
	case "VulnerabilitiesFixAvailable":
		return []string{"YES", "NO", "PARTIAL"}
	case "MalwareType":
		return []string{"ADWARE", "COIN_MINER", "WORM"}
	case "MalwareState":
		return []string{"OBSERVED", "REMOVAL_FAILED", "REMOVED"}
	case "NetworkDirection":
		return []string{"IN", "OUT"}
	case "NetworkProtocol":
		return []string{"TCP", "UDP", "tcp"}
	case "ResourcePartition":
		return []string{"aws", "aws-cn", "aws-us-gov"}
	case "Type", "FindingProviderFieldsTypes":
		return append(oddTexts(), "TTPs/Discovery", "TTPs/Discovery/x", "Effects", "Effects/Data Exposure", "effects", "xEffects", "x\nEffects", "Effects\nx", "x\vEffects")
	case "GeneratorId":
		return append(append(oddTexts(), "security-control/S3.8", "security-control/S3.1"), long(510, "日")...)
	case "ProductName":
		return append(oddTexts(), long(127, "ß")...)
	case "Title":
		return append(oddTexts(), long(255, "😀")...)
	case "Description":
		return append(oddTexts(), long(1020, "ж")...)
	case "ResourceId":
		return append(append(oddTexts(), "arn:aws:s3:::one", "arn:aws:s3:::two", "i-1"), long(1025, "r")...)
	case "ResourceType":
		return append([]string{"AwsS3Bucket", "AwsEc2Instance", "AwsEc2Vpc", "Other"}, long(255, "日")...)
	}
	return oddTexts()
}

// arrays are the members on the way of a path that are lists.
func isArray(path string) bool {
	return slices.Contains([]string{
		"Types", "Malware", "ThreatIntelIndicators", "Resources", "RelatedFindings", "Vulnerabilities", "FindingProviderFields.RelatedFindings",
		"FindingProviderFields.Types", "Compliance.AssociatedStandards", "Compliance.SecurityControlParameters",
		"Compliance.SecurityControlParameters.Value", "Resources.Details.AwsEc2Instance.IpV4Addresses", "Resources.Details.AwsEc2Instance.IpV6Addresses",
	}, path)
}

func (g *generator) moment() string {
	t := Start().Add(-time.Duration(g.r.IntN(60*24)) * time.Hour).Truncate(time.Hour)
	switch g.r.IntN(8) {
	case 0:
		return t.Format("2006-01-02T15:04:05") + ".000000" + pick(g.r, []string{"001Z", "999Z"})
	case 1:
		return t.In(time.FixedZone("", 5*3600+1800)).Format("2006-01-02T15:04:05-0700")
	case 2:
		return pick(g.r, []string{"1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+18:00", "9999-12-31T23:59:60-18"})
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

func (g *generator) address(field string) string {
	if strings.HasSuffix(field, "V6") || strings.Contains(field, "IpV6") {
		return pick(g.r, []string{"2001:db8::1", "2001:db8:0:1::2", "fe80::1", "::ffff:10.0.0.1"})
	}
	return pick(g.r, []string{"10.0.0.1", "10.0.1.1", "192.168.0.1", "no address"})
}

func (g *generator) number(field string) json.Number {
	switch field {
	case "SeverityNormalized", "Confidence", "Criticality", "FindingProviderFieldsConfidence", "FindingProviderFieldsCriticality":
		return pick(g.r, []json.Number{"0", "1", "39", "40", "40.0", "70", "90", "1e2"})
	case "SeverityProduct":
		return pick(g.r, []json.Number{"0", "7.5", "7.50", "1e300", "-2"})
	}
	return pick(g.r, []json.Number{"0", "22", "443", "65535"})
}

// value makes a value for a field of a finding.
func (g *generator) value(f filter.Field) any {
	switch f.Kind {
	case filter.Date:
		return g.moment()
	case filter.Number:
		return g.number(f.Name)
	case filter.IP:
		return g.address(f.Name)
	case filter.Map:
		m := map[string]any{}
		for range 1 + g.r.IntN(2) {
			m[pick(g.r, []string{"env", "team", "Env"})] = pick(g.r, oddTexts())
		}
		return m
	case filter.Boolean:
		return g.r.IntN(2) == 0
	}
	return pick(g.r, texts(f.Name))
}

// finding makes the n-th finding, valid and as triage would store it.
func (g *generator) finding(t testing.TB, n int) finding.Finding {
	t.Helper()
	doc := map[string]any{
		"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("%s %04d", pick(g.r, oddTexts()[:7]), n), "Title": "t", "Description": "d", "GeneratorId": "g",
		"ProductArn": texts("ProductArn")[0], "AwsAccountId": "111122223333", "CreatedAt": "2026-01-01T00:00:00Z", "UpdatedAt": "2026-01-01T00:00:00Z",
		"Severity": map[string]any{"Label": pick(g.r, texts("SeverityLabel"))}, "Resources": []any{},
	}
	resources := 1 + g.r.IntN(3)
	for range resources {
		doc["Resources"] = append(doc["Resources"].([]any), map[string]any{"Type": pick(g.r, texts("ResourceType")), "Id": pick(g.r, texts("ResourceId"))})
	}
	for _, f := range g.fields {
		if f.Kind == filter.Keyword || f.Name == "Id" || g.r.IntN(3) == 0 {
			continue
		}
		for range 1 + g.r.IntN(2) {
			g.set(doc, f.Paths[0], "", g.value(f))
		}
	}
	complete(doc)
	f, err := finding.FromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Validate(); err != nil {
		t.Fatalf("the generated finding is no ASFF: %v", err)
	}
	return finding.Create(f)
}

// set puts v at path; in a list it goes to one of up to two elements.
func (g *generator) set(at map[string]any, path []string, prefix string, v any) {
	name := path[0]
	prefix = strings.TrimPrefix(prefix+"."+name, ".")
	if len(path) == 1 {
		if isArray(prefix) {
			list, _ := at[name].([]any)
			at[name] = append(list, v)
			return
		}
		at[name] = v
		return
	}
	if !isArray(prefix) {
		next, ok := at[name].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[name] = next
		}
		g.set(next, path[1:], prefix, v)
		return
	}
	list, _ := at[name].([]any)
	if i := g.r.IntN(2); i < len(list) {
		g.set(list[i].(map[string]any), path[1:], prefix, v)
		return
	}
	next := map[string]any{}
	g.set(next, path[1:], prefix, v)
	at[name] = append(list, next)
}

// complete adds what ASFF requires beside what was set.
func complete(doc map[string]any) {
	each := func(at any, need map[string]any) {
		list, _ := at.([]any)
		for _, e := range list {
			m, _ := e.(map[string]any)
			for k, v := range need {
				if m[k] == nil {
					m[k] = v
				}
			}
		}
	}
	related := map[string]any{"ProductArn": "arn:aws:securityhub:a::product/b/c", "Id": "r"}
	each(doc["RelatedFindings"], related)
	each(doc["Malware"], map[string]any{"Name": "m"})
	each(doc["Vulnerabilities"], map[string]any{"Id": "CVE-2026-1"})
	each(doc["Resources"], map[string]any{"Type": "Other", "Id": "i"})
	if fpf, ok := doc["FindingProviderFields"].(map[string]any); ok {
		each(fpf["RelatedFindings"], related)
	}
	if note, ok := doc["Note"].(map[string]any); ok {
		each([]any{note}, map[string]any{"Text": "n", "UpdatedBy": "u", "UpdatedAt": "2026-01-01T00:00:00Z"})
	}
}

// clip gives v, a beginning or a part of it, or v in another case.
func (g *generator) clip(v string) string {
	runes := []rune(v)
	switch n := g.r.IntN(6); {
	case n == 0 && len(runes) > 1:
		v = string(runes[:1+g.r.IntN(len(runes)-1)])
	case n == 1 && len(runes) > 2:
		from := g.r.IntN(len(runes) - 1)
		v = string(runes[from : from+1+g.r.IntN(len(runes)-from-1)])
	case n == 2:
		v = pick(g.r, []string{strings.ToUpper(v), strings.ToLower(v)})
	}
	if strings.TrimSpace(v) == "" {
		return "x"
	}
	return v
}

// mix gives comparisons that may stand together.
func (g *generator) mix(kind filter.Kind) []filter.Comparison {
	if kind == filter.Map {
		return pick(g.r, [][]filter.Comparison{{filter.Equals}, {filter.NotEquals}, {filter.Contains}, {filter.NotContains}})
	}
	return pick(g.r, [][]filter.Comparison{
		{filter.Equals},
		{filter.Equals, filter.Prefix},
		{filter.Prefix, filter.NotEquals, filter.PrefixNotEquals},
		{filter.NotEquals, filter.PrefixNotEquals},
		{filter.Contains},
		{filter.NotContains},
	})
}

// criterion makes a criterion on f that the parser would let through.
func (g *generator) criterion(t testing.TB, f filter.Field) filter.Criterion {
	t.Helper()
	c := filter.Criterion{Field: f}
	mix, n := g.mix(f.Kind), 1+g.r.IntN(3)
	var items []string
	for range n {
		switch f.Kind {
		case filter.String:
			c.Strings = append(c.Strings, filter.StringTest{Value: g.clip(pick(g.r, texts(f.Name))), Comparison: pick(g.r, mix)})
		case filter.Map:
			c.Maps = append(c.Maps, filter.MapTest{Key: pick(g.r, []string{"env", "team"}), Value: g.clip(pick(g.r, oddTexts())), Comparison: pick(g.r, mix)})
		case filter.Keyword:
			c.Keywords = append(c.Keywords, filter.KeywordTest{Value: g.clip(pick(g.r, oddTexts()))})
		case filter.Boolean:
			c.Booleans = append(c.Booleans, filter.BooleanTest{Value: g.r.IntN(2) == 0})
		default:
			items = append(items, g.item(f))
		}
	}
	if items == nil {
		return c
	}
	// Dates and networks have parts that only the parser fills.
	parsed, err := filter.Parse(fmt.Appendf(nil, `{%q:[%s]}`, f.Name, strings.Join(items, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Criteria[0]
}

// item writes one test of a number, date or address.
func (g *generator) item(f filter.Field) string {
	switch f.Kind {
	case filter.Number:
		bounds := []string{"Gte", "Lte", "Eq", "Gt", "Lt"}
		g.r.Shuffle(len(bounds), func(i, j int) { bounds[i], bounds[j] = bounds[j], bounds[i] })
		var out []string
		for _, b := range bounds[:1+g.r.IntN(2)] {
			v := string(g.number(f.Name))
			if g.r.IntN(4) == 0 {
				v = pick(g.r, []string{"40.5", "-1", "1e300", "69.999"})
			}
			out = append(out, fmt.Sprintf("%q:%s", b, v))
		}
		return "{" + strings.Join(out, ",") + "}"
	case filter.IP:
		if strings.Contains(f.Name, "IpV6") {
			return `{"Cidr":"` + pick(g.r, []string{"2001:db8::/32", "2001:db8::1", "fe80::/10", "::/0"}) + `"}`
		}
		return `{"Cidr":"` + pick(g.r, []string{"10.0.0.0/24", "10.0.0.1", "0.0.0.0/0", "192.168.0.0/16"}) + `"}`
	}
	switch g.r.IntN(5) {
	case 0:
		return `{"DateRange":{"Value":` + strconv.Itoa(1+g.r.IntN(60)) + `,"Unit":"DAYS"}}`
	case 1:
		return `{"DateRange":{"Value":` + strconv.Itoa(1+g.r.IntN(60)) + `,"Unit":"DAYS","Comparison":"OLDER_THAN"}}`
	case 2:
		return `{"Start":"` + g.moment() + `"}`
	case 3:
		return `{"End":"` + g.moment() + `"}`
	}
	return `{"Start":"` + g.moment() + `","End":"` + g.moment() + `"}`
}
