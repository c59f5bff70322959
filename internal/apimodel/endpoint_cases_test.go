package apimodel_test

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/apimodel"
)

// caseFile holds AWS's own test cases of aws-sdk-go 1.55.8, packed by gen -cases.
const caseFile = "testdata/endpoint-cases.json.gz"

type endpointCases struct {
	ID    string         `json:"id"`
	Cases []endpointCase `json:"testCases"`
}

type endpointCase struct {
	Params map[string]any `json:"params"`
	Expect outcome        `json:"expect"`
}

// outcome is what rules give: an endpoint or an error.
type outcome struct {
	Error    string       `json:"error,omitempty"`
	Endpoint *endpointURL `json:"endpoint,omitempty"`
}

type endpointURL struct {
	URL        string              `json:"url"`
	Headers    map[string][]string `json:"headers,omitempty"`
	Properties map[string]any      `json:"properties,omitempty"`
}

func readCases(t *testing.T) []endpointCases {
	t.Helper()
	f, err := os.Open(caseFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var services []endpointCases
	if err := json.NewDecoder(z).Decode(&services); err != nil {
		t.Fatal(err)
	}
	return services
}

// resolve gives what our rules say, in the form of the cases.
func resolve(rules *apimodel.RuleSet, partitions *apimodel.Partitions, params map[string]any) outcome {
	e, err := rules.Resolve(partitions, params)
	if err != nil {
		if !errors.Is(err, apimodel.ErrNoEndpoint) {
			return outcome{Error: "not by a rule: " + err.Error()}
		}
		return outcome{Error: err.Error()}
	}
	headers := map[string][]string{}
	for name, v := range e.Headers {
		headers[name] = []string{v}
	}
	return outcome{Endpoint: &endpointURL{URL: e.URL, Headers: headers, Properties: e.Properties}}
}

// diffOutcome is cmp.Diff, which takes seconds for all cases, after a quick look.
func diffOutcome(want, got outcome) string {
	if want.Endpoint == nil && got.Endpoint == nil && want.Error == got.Error {
		return ""
	}
	if w, g := want.Endpoint, got.Endpoint; w != nil && g != nil && w.URL == g.URL && len(w.Headers)+len(w.Properties)+len(g.Headers)+len(g.Properties) == 0 {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// gone are services that the cases have and botocore no longer has.
var gone = []string{
	"AppTest", "CloudWatch Events", "Elastic Inference", "Elastic Transcoder", "Evidently", "IoTFleetHub", "LookoutVision", "OpsWorks",
	"PrivateNetworks", "QLDB", "SMS", "Transcribe Streaming", "nimble",
}

// newDualStack is the largest difference by far: since the cases were written,
// AWS's isolated partitions have got dual stack.
func newDualStack(c endpointCase) bool {
	region, _ := c.Params["Region"].(string)
	return strings.Contains(region, "-iso") && c.Params["UseDualStack"] == true && strings.Contains(c.Expect.Error, "DualStack")
}

// endpointDifferences are the other cases, by service and number, in which the
// rules of today differ from those that the cases were written for. Each group
// was looked at; botocore says the same as we do in all of them
// (TestEndpointCasesAsBotocoreSees). What no longer differs has to go.
var endpointDifferences = []struct {
	reason string
	cases  map[string]string
}{
	{`the service is one for its partition by now: one host, signed for one region; the name to sign with is no longer repeated`, map[string]string{
		"account":                         "0-13 15 17 19 21",
		"artifact":                        "0-11 13 15 17 19",
		"bcm-data-exports":                "0-6",
		"budgets":                         "0-13 15 17 19 21",
		"ce":                              "0-13 15 17 19 21",
		"cloudfront":                      "0-14 16 18 20 22",
		"iam":                             "0-17 19 21-22 24 26-28",
		"networkmanager":                  "0-13 15 17 19 21",
		"organizations":                   "25",
		"route53":                         "0-17 19 21-22 24 26-28",
		"route53-recovery-control-config": "0-12 14 16 18 20",
		"savingsplans":                    "3",
	}},
	{`the dual-stack host has another name by now`, map[string]string{
		"detective":               "24-25 34-35",
		"ecr-public":              "2",
		"efs":                     "44-45 50-51 56-57",
		"kafka":                   "21 23 28 33-34",
		"marketplace-catalog":     "3",
		"marketplace-entitlement": "3 7-8",
		"mediatailor":             "9",
		"timestream-query":        "0 2 8-10",
		"timestream-write":        "0 2 8-10",
	}},
	{`in GovCloud the usual host answers with FIPS by now, or the FIPS host without it`, map[string]string{
		"cloudwatch":     "37",
		"emr-containers": "29",
		"events":         "37",
		"kafkaconnect":   "23-24",
		"sagemaker":      "33 35",
		"stepfunctions":  "38",
		"swf":            "38",
	}},
	{`the host has another name in the iso partitions by now`, map[string]string{
		"application-signals": "8-15",
	}},
	{`dual stack falls back to the usual host in us-east-1 by now`, map[string]string{
		"cognito-identity": "20-21",
		"cognito-idp":      "21-22",
	}},
	{`the FIPS host has another name by now`, map[string]string{
		"ecr":               "19 21 23 25-27 30 32 34 36-38",
		"sagemaker-metrics": "13",
	}},
	{`dual-stack hosts have another name by now, and region "local" is no longer one`, map[string]string{
		"dynamodbstreams": "16 23 25 28 30 35-36",
	}},
	{`directory buckets have dual stack by now`, map[string]string{
		"s3": "293",
	}},
	{`China has no FIPS by now`, map[string]string{
		"s3control": "8",
	}},
}

func listedDifferences(t *testing.T) map[string]bool {
	t.Helper()
	listed := map[string]bool{}
	for _, group := range endpointDifferences {
		for service, numbers := range group.cases {
			for part := range strings.FieldsSeq(numbers) {
				from, to, ok := strings.Cut(part, "-")
				if !ok {
					to = from
				}
				first, err := strconv.Atoi(from)
				last, err2 := strconv.Atoi(to)
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				for i := first; i <= last; i++ {
					listed[fmt.Sprintf("%s %d", service, i)] = true
				}
			}
		}
	}
	return listed
}

// caseCount is how many cases came out how.
type caseCount struct{ Equal, Listed, NewDualStack, Gone int }

func TestEndpointCasesOfAWS(t *testing.T) {
	t.Parallel()
	c := load(t)
	listed := listedDifferences(t)
	var missing []string
	var count caseCount
	for _, cases := range readCases(t) {
		s, err := c.Service(cases.ID)
		if err != nil {
			missing = append(missing, cases.ID)
			count.Gone += len(cases.Cases)
			continue
		}
		compareCases(t, c, s, cases.Cases, listed, &count)
	}
	if len(listed) > 0 {
		t.Errorf("listed and not there: %v", slices.Sorted(maps.Keys(listed)))
	}
	slices.Sort(missing)
	if diff := cmp.Diff(gone, missing); diff != "" {
		t.Errorf("services that are gone: %s", diff)
	}
	if want := (caseCount{Equal: 11005, Listed: 257, NewDualStack: 1207, Gone: 450}); count != want {
		t.Errorf("got %+v, want %+v", count, want)
	}
}

// compareCases compares the cases of one service and takes from listed what
// was found.
func compareCases(t *testing.T, c *apimodel.Catalog, s *apimodel.Service, cases []endpointCase, listed map[string]bool, count *caseCount) {
	t.Helper()
	partitions, err := c.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	rules, err := s.Rules()
	if err != nil {
		t.Fatal(err)
	}
	for i, tc := range cases {
		name := fmt.Sprintf("%s %d", s.Name, i)
		diff := diffOutcome(tc.Expect, resolve(rules, partitions, tc.Params))
		known := true
		switch {
		case newDualStack(tc):
			count.NewDualStack++
		case listed[name]:
			count.Listed++
			delete(listed, name)
		default:
			known = false
		}
		switch {
		case known && diff == "":
			t.Errorf("%s: listed as different, and it is not", name)
		case !known && diff != "":
			t.Errorf("%s %v: (-AWS's case +ours)\n%s", name, tc.Params, diff)
		case !known:
			count.Equal++
		}
	}
}
