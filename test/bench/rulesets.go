package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// ruleSet is rules that are matched together.
type ruleSet struct {
	name, what string
	goal       float64
	n          int
	rule       func(i int) string
	lots       string // what spec/eventbus.md section 4.3 measured on events of parcels of land, "" for findings
}

// note names what the goal is, where that needs a word.
func (s ruleSet) note() string {
	if s.lots == "" {
		return ""
	}
	return "the goal is " + s.lots + "; "
}

func ruleSets() []ruleSet {
	const quamina, ruler = "quamina's figure", "four times event-ruler's figure"
	return []ruleSet{
		{"1k", "1,000 rules", 300_000, 1000, plainRule, ""},
		{"10k", "10,000 rules", 150_000, 10_000, plainRule, ""},
		{"10k-operators", "10,000 rules, all operators", 120_000, 10_000, operatorRule, ""},
		{"100k", "100,000 rules", 50_000, 100_000, plainRule, ""},
		{"lots/exact", "lots, 5 rules: exact", 1_630_000, 5, lotRule(`"properties":{"MAPBLKLOT":["%s"]}`, "1430022", "2607117", "2607218", "3745012", "VACSTWIL"), quamina},
		{"lots/prefix", "lots, 5 rules: prefix", 1_420_000, 5, lotRule(`"properties":{"STREET":[{"prefix":"%s"}]}`, "AC", "BL", "DR", "FU", "RH"), quamina},
		{"lots/wildcard", "lots, 5 rules: wildcard", 1_460_000, 5, lotRule(`"properties":{"MAPBLKLOT":[{"wildcard":"%s"}]}`, "143*", "2*0*1*7", "*218", "3745*", "VAC*IL"), quamina},
		{"lots/ignore-case", "lots, 5 rules: equals-ignore-case", 1_190_000, 5, lotRule(`"properties":{"STREET":[{"equals-ignore-case":"%s"}]}`, "jefferson", "bEaCh", "HyDe", "CHESTNUT", "augustA"), quamina},
		{"lots/anything-but", "lots, 5 rules: anything-but", 448_000, 5, lotRule(`"properties":{"STREET":[{"anything-but":["%s"]}]}`, "FULTON", "MASON", "TAYLOR", "FRANCISCO", "LOBOS"), quamina},
		{"lots/suffix", "lots, 5 rules: suffix", 1_744_000, 5, lotRule(`"properties":{"STREET":[{"suffix":"%s"}]}`, "ON", "KE", "MM", "ING", "GO"), ruler},
		{"lots/numeric", "lots, 5 rules: numeric", 868_000, 5, lotRule(`"geometry":{"type":["Polygon"],"first":{"x":[{"numeric":["=",%s]}]}}`, "-122.42", "-122.43", "-122.44", "-122.45", "-122.46"), ruler},
		{"lots/arrays", "lots, 5 rules: complex arrays", 300_000, 5, lotRule(`"geometry":{"type":["Polygon"],"coordinates":{"x":[{"numeric":["=",%s]}],"y":[{"numeric":["<",38]}]}}`, "-122.42", "-122.43", "-122.44", "-122.45", "-122.46"), "six times event-ruler's figure"},
	}
}

// ruleAccounts are twice as many as send findings: half of the rules for an account
// never fire.
const ruleAccounts = 1000

// plainRule is what teams write: source and detail type, and three to five of what they
// look at, an account or a control among it.
func plainRule(i int) string { return hubRule(i, nil) }

// operatorRule is plainRule with the other operators in a quarter of the rules.
func operatorRule(i int) string {
	if i%4 != 0 {
		return hubRule(i, nil)
	}
	return hubRule(i, func(r *rand.Rand) string {
		return []string{
			fmt.Sprintf(`"Severity":{"Normalized":[{"numeric":[">=",%d,"<=",100]}]}`, r.IntN(99)),
			fmt.Sprintf(`"Note":{"Address":[{"cidr":"10.%d.0.0/16"},{"exists":false}]}`, r.IntN(256)),
			fmt.Sprintf(`"GeneratorId":[{"suffix":"/S3.%d"}]`, r.IntN(controls)),
			fmt.Sprintf(`"$or":[{"Severity":{"Original":["CRITICAL"]}},{"Compliance":{"SecurityControlId":["S3.%d"]}}]`, r.IntN(controls)),
			fmt.Sprintf(`"Region":[{"anything-but":{"prefix":"eu-%d"}}]`, r.IntN(9)),
		}[r.IntN(5)]
	})
}

// hubRule makes the i-th rule, the same each time.
func hubRule(i int, extra func(*rand.Rand) string) string {
	r := rand.New(rand.NewPCG(uint64(i), 17)) //nolint:gosec // no secret
	conditions := []string{
		`"Severity":{"Label":["HIGH","CRITICAL"]}`,
		`"Workflow":{"Status":["NEW","NOTIFIED"]}`,
		`"RecordState":["ACTIVE"]`,
		fmt.Sprintf(`"ProductArn":[{"prefix":"arn:aws:securityhub:%s"}]`, regions()[r.IntN(4)]),
		fmt.Sprintf(`"Title":[{"prefix":"S3.%d"}]`, r.IntN(controls)),
		`"CompanyName":[{"equals-ignore-case":"aws"}]`,
		`"Region":[{"anything-but":["us-west-1","ap-south-1"]}]`,
		`"Note":{"Text":[{"exists":false}]}`,
		[]string{`"Resources":{"Type":["AwsS3Bucket"]}`, `"Resources":{"Type":[{"prefix":"AwsS3"}]}`}[r.IntN(2)],
		fmt.Sprintf(`"Resources":{"Tags":{"team-%d":[{"exists":true}]}}`, r.IntN(8)),
		fmt.Sprintf(`"Resources":{"Id":[{"wildcard":"arn:*:s3:::bucket-%x*"}]}`, r.IntN(256)),
	}
	r.Shuffle(len(conditions), func(a, b int) { conditions[a], conditions[b] = conditions[b], conditions[a] })
	chosen, seen := []string{fmt.Sprintf(`"AwsAccountId":["%s"]`, account(r.IntN(ruleAccounts)))}, map[string]bool{}
	if extra != nil {
		chosen = append(chosen, extra(r))
	} else if r.IntN(100) >= 65 {
		chosen[0] = fmt.Sprintf(`"Compliance":{"Status":["FAILED"],"SecurityControlId":["S3.%d"]}`, r.IntN(controls))
	}
	for _, c := range chosen {
		seen[c[:strings.IndexByte(c, ':')]] = true
	}
	for _, c := range conditions {
		field := c[:strings.IndexByte(c, ':')]
		if len(chosen) < 3+r.IntN(3) && !seen[field] {
			seen[field] = true
			chosen = append(chosen, c)
		}
	}
	return `{"source":["aws.securityhub"],"detail-type":["Security Hub Findings - Imported"],"detail":{"findings":{` + strings.Join(chosen, ",") + `}}}`
}

// scanPaths are what a set of many rules looks at in a finding.
func scanPaths() []string {
	return []string{
		"AwsAccountId", "Severity.Label", "Workflow.Status", "RecordState", "ProductArn", "Title", "CompanyName", "Region", "Note.Text",
		"Resources.Type", "Resources.Id", "Resources.Tags.team-1", "Resources.Tags.team-2", "Compliance.Status", "Compliance.SecurityControlId", "Severity.Normalized", "GeneratorId",
	}
}

// scanRule looks for a value that no event has.
func scanRule(i int) string {
	steps := strings.Split(scanPaths()[i%len(scanPaths())], ".")
	out := fmt.Sprintf(`["never-%d"]`, i)
	for j := len(steps) - 1; j >= 0; j-- {
		out = `{"` + steps[j] + `":` + out + `}`
	}
	return `{"detail":{"findings":` + out + `}}`
}

// hubEvents are findings of Security Hub as EventBridge sends them.
func hubEvents(n, accounts int) [][]byte {
	m := newMaker(1)
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Appendf(nil, `{"version":"0","id":"%016x","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub","account":"%s",`+
			`"time":"2026-11-23T10:00:00Z","region":"us-east-1","resources":["arn:aws:securityhub:us-east-1::product/aws/securityhub/x"],"detail":{"findings":[%s]}}`,
			i, account(0), m.finding(accounts))
	}
	return out
}

func lotRule(fields string, values ...string) func(i int) string {
	return func(i int) string { return "{" + fmt.Sprintf(fields, values[i]) + "}" }
}

// lotEvents are parcels of land in the shape of the data with which matchers of events
// are commonly measured: names, then a polygon. About 900 bytes each.
func lotEvents(n int) [][]byte {
	r := rand.New(rand.NewPCG(3, 3))
	streets := []string{"ACTON", "BLAKE", "DRUMM", "FULTON", "RHINE", "JEFFERSON", "BEACH", "HYDE", "CHESTNUT", "AUGUSTA", "MASON", "TAYLOR", "FRANCISCO", "LOBOS", "CRANLEIGH", "UNKNOWN"}
	out := make([][]byte, n)
	for i := range out {
		block, lot := fmt.Sprintf("%04d", r.IntN(9000)), fmt.Sprintf("%03d", r.IntN(300))
		id := block + lot
		if i%5000 == 0 {
			id = []string{"1430022", "2607117", "2607218", "3745012", "VACSTWIL"}[i/5000%5]
		}
		var points []string
		for range 15 {
			points = append(points, fmt.Sprintf(`{"x":-122.%02d,"y":37.%014d,"z":0.0}`, r.IntN(100), r.Int64N(1e14)))
		}
		from := r.IntN(3000)
		out[i] = fmt.Appendf(nil, `{"type":"Feature","properties":{"MAPBLKLOT":"%s","BLKLOT":"%s","BLOCK_NUM":"%s","LOT_NUM":"%s","FROM_ST":"%d","TO_ST":"%d","STREET":"%s",`+
			`"ST_TYPE":"ST","ODD_EVEN":"E"},"geometry":{"type":"Polygon","first":{"x":-122.%02d,"y":37.8},"coordinates":[%s]}}`,
			id, id, block, lot, from, from+2, streets[r.IntN(len(streets))], r.IntN(100), strings.Join(points, ","))
	}
	return out
}

type worstCase struct{ pattern, event string }

// worstCases are what is quadratic or worse in simple matchers.
func worstCases() map[string]worstCase {
	rows := func(n int, row string) string { return strings.TrimSuffix(strings.Repeat(row+",", n), ",") }
	return map[string]worstCase{
		"16 stars on a megabyte":              {`{"x":[{"wildcard":"` + strings.Repeat("*a", 16) + `b"}]}`, `{"x":"` + strings.Repeat("a", 1_000_000) + `"}`},
		"3,000 elements that do not fit":      {`{"d":{"a":[1],"b":[2]}}`, `{"d":[` + rows(1500, `{"a":1},{"b":2}`) + `]}`},
		"four arrays of 3,000":                {`{"d":{"a":[1]},"e":{"a":[1]},"f":{"a":[1]},"g":{"a":[2]}}`, `{"d":[` + rows(3000, `{"a":1}`) + `],"e":[` + rows(3000, `{"a":1}`) + `],"f":[` + rows(3000, `{"a":1}`) + `],"g":[{"a":2}]}`},
		"three arrays of one name, crossed":   {`{"a":{"p":[1],"q":[1],"r":[1],"s":[2]}}`, `{"a":[` + rows(3000, `{"p":1,"r":1}`) + `],"a":[` + rows(3000, `{"q":1,"s":1}`) + `],"a":[{"s":2,"p":3},{"q":2}]}`},
		"900 arrays in one another":           {`{"d":{"a":[1],"b":[{"exists":false}],"c":[2]}}`, `{"d":` + strings.Repeat("[", 900) + rows(3000, `{"a":1,"b":1,"c":2}`) + strings.Repeat("]", 900) + `}`},
		"800 alternatives for 100,000 values": {`{"x":[` + rows(800, `{"suffix":"aaaaab"}`) + `]}`, `{"x":[` + rows(100_000, `"aaaaaa"`) + `]}`},
	}
}
