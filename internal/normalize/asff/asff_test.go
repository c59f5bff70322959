package asff_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/normalize/asff"
)

func load(t *testing.T, file string) json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var event struct {
		Detail struct {
			Findings []json.RawMessage `json:"findings"`
		} `json:"detail"`
	}
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	if len(event.Detail.Findings) > 0 {
		return event.Detail.Findings[0]
	}
	return raw
}

// Every sample is taken, and nothing that its provider said is changed.
func TestSamplesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../finding/testdata/asff/*.json")
	if err != nil || len(files) != 71 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, file := range files {
		raw := load(t, file)
		f, refused := asff.Normalizer{}.Normalize(raw)
		if refused != nil {
			t.Errorf("%s: %v", file, refused)
			continue
		}
		given, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range finding.Diff(given, f) {
			if u.UpdatedField == "ProductFields" || u.OldValue == "" {
				continue // completed, not changed
			}
			t.Errorf("%s: changed %+v", file, u)
		}
	}
}

const private = `{"SchemaVersion":"2018-10-08","Id":"Id1","ProductArn":"arn:aws:securityhub:us-west-1:123456789012:product/123456789012/default",
	"GeneratorId":"g","AwsAccountId":"123456789012","CreatedAt":"2020-05-27T17:05:54.832Z","UpdatedAt":"2020-06-02T16:05:54.832Z",
	"Title":"t","Description":"d","Severity":{"Label":"LOW"},"Resources":[{"Type":"Other","Id":"x"}]}`

func TestNormalizeFillsWhatTheServiceFills(t *testing.T) {
	t.Parallel()
	for arn, want := range map[string]string{
		"arn:aws:securityhub:us-west-1:123456789012:product/123456789012/default": "us-west-1 Personal Default",
		"arn:aws:securityhub:eu-west-1::product/aws/securityhub":                  "eu-west-1 AWS Security Hub",
		"arn:aws:securityhub:eu-west-1::product/aws/guardduty":                    "eu-west-1 AWS GuardDuty",
		"arn:aws:securityhub:eu-west-1::product/prowler/prowler":                  "eu-west-1 prowler prowler",
	} {
		in := strings.Replace(private, "arn:aws:securityhub:us-west-1:123456789012:product/123456789012/default", arn, 1)
		f, refused := asff.Normalizer{}.Normalize(json.RawMessage(in))
		if refused != nil {
			t.Fatal(refused)
		}
		if got := f.String("Region") + " " + f.String("CompanyName") + " " + f.String("ProductName"); got != want {
			t.Errorf("%s: got %s, want %s", arn, got, want)
		}
		if got := f.String("ProductFields", "aws/securityhub/FindingId"); got != arn+"/Id1" {
			t.Error(got)
		}
	}
}

func TestNormalizeKeepsWhatTheProviderSays(t *testing.T) {
	t.Parallel()
	in := strings.Replace(private, `"Title"`, `"Region":"eu-north-1","ProductName":"Mine","CompanyName":"Us","ProductFields":{"aws/securityhub/ProductName":"z"},"Title"`, 1)
	f, refused := asff.Normalizer{}.Normalize(json.RawMessage(in))
	if refused != nil {
		t.Fatal(refused)
	}
	got := []string{f.String("Region"), f.String("ProductName"), f.String("CompanyName"), f.String("ProductFields", "aws/securityhub/ProductName")}
	if diff := cmp.Diff([]string{"eu-north-1", "Mine", "Us", "z"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNormalizeRefusesInAWSsForm(t *testing.T) {
	t.Parallel()
	const not = "Finding does not adhere to Amazon Finding Format. "
	for name, tc := range map[string]struct {
		in   string
		want finding.ImportError
	}{
		"no object": {`[]`, finding.ImportError{ErrorCode: "InvalidInput", ErrorMessage: not + "data should be object."}},
		"broken":    {`{"Id":`, finding.ImportError{ErrorCode: "InvalidInput", ErrorMessage: not + "data should be JSON: line 1: unexpected EOF."}},
		"deep":      {`{"Id":` + strings.Repeat("[", 50), finding.ImportError{ErrorCode: "InvalidInput", ErrorMessage: not + "data should be JSON: nested too deeply."}},
		"title": {
			strings.Replace(private, `"Title":"t"`, `"Title":""`, 1),
			finding.ImportError{Id: "Id1", ErrorCode: "InvalidInput", ErrorMessage: not + "data.Title should NOT be shorter than 1 characters."},
		},
		"large": {
			strings.Replace(private, `"Title"`, `"X":"`+strings.Repeat("x", finding.MaxBytes)+`","Title"`, 1),
			finding.ImportError{Id: "Id1", ErrorCode: "InvalidInput", ErrorMessage: "Finding is larger than the limit of 240 KB. Drop Resources[].Details, or split the finding by resource."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, refused := asff.Normalizer{}.Normalize(json.RawMessage(tc.in))
			if diff := cmp.Diff(&tc.want, refused); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What AWS sends is kept whatever is wrong with its details; a customer's batch
// is told of them.
func TestMendLeavesOutWhatIsNoASFF(t *testing.T) {
	t.Parallel()
	in := strings.Replace(private, `"Resources":[{"Type":"Other","Id":"x"}]`, `"Malware":[{"Name":"m"},{"Name":""}],"Detection":{"Sequence":{"Uid":"u","Actors":[{"Session":{"CreatedTime":"1716916944000","Uid":"s"}}]}},
		"Resources":[{"Type":"AwsEc2Instance","Id":"x","Tags":{},"Details":{"AwsEc2Instance":{"LaunchedAt":"2018-05-08 16:46:19","VpcId":"v","Newer":[1]}}}]`, 1)
	if _, refused := (asff.Normalizer{}).Normalize(json.RawMessage(in)); refused == nil {
		t.Error("not refused where its sender could put it right")
	}
	f, refused := asff.Normalizer{Mend: true}.Normalize(json.RawMessage(in))
	if refused != nil {
		t.Fatal(refused)
	}
	var got struct{ Malware, Detection, Resources json.RawMessage }
	if err := json.Unmarshal(f.JSON(), &got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`[{"Name":"m"}]`, `{"Sequence":{"Actors":[{"Session":{"Uid":"s"}}],"Uid":"u"}}`,
		`[{"Details":{"AwsEc2Instance":{"Newer":[1],"VpcId":"v"}},"Id":"x","Type":"AwsEc2Instance"}]`,
	}
	if diff := cmp.Diff(want, []string{string(got.Malware), string(got.Detection), string(got.Resources)}); diff != "" {
		t.Error(diff)
	}
	const left = "data.Detection.Sequence.Actors[0].Session.CreatedTime should be integer, data.Malware[1].Name should NOT be shorter than 1 characters, "
	if note := f.String("ProductFields", asff.LeftOut); !strings.HasPrefix(note, left) {
		t.Error(note)
	}
}

// What identifies a finding is never mended.
func TestMendRefusesWhatMatters(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		strings.Replace(private, `"Title":"t"`, `"Title":""`, 1),
		strings.Replace(private, `"Id":"x"`, `"Id":5`, 1),
		strings.Replace(private, `[{"Type":"Other","Id":"x"}]`, `[5]`, 1),
		strings.Replace(private, `[{"Type":"Other","Id":"x"}]`, `{}`, 1),
	} {
		if _, refused := (asff.Normalizer{Mend: true}).Normalize(json.RawMessage(in)); refused == nil {
			t.Errorf("accepted: %s", in)
		}
	}
}
