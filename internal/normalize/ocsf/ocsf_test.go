package ocsf_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/normalize"
)

const document = `{"class_uid":2004,"activity_id":1,"severity_id":4,"status_id":1,"time":1739539623000,"metadata":{"version":"1.4.0","product":{"uid":"prowler","name":"Prowler","vendor_name":"Prowler"}},` +
	`"cloud":{"region":"eu-west-1","account":{"uid":"111122223333"}},"finding_info":{"uid":"f1","title":"T","desc":"D"}}`

func TestNormalize(t *testing.T) {
	t.Parallel()
	f, refused := normalize.Finding{}.Normalize(json.RawMessage(document))
	if refused != nil {
		t.Fatal(refused)
	}
	if f.String("CompanyName") != "Prowler" || f.String("ProductFields", "aws/securityhub/FindingId") == "" || !f.Has(finding.OCSF, "finding_info") {
		t.Errorf("%s", f.JSON())
	}
}

// Each refusal says what is wrong, and names OCSF or ASFF.
func TestNormalizeRefuses(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		strings.Replace(document, "111122223333", "a subscription", 1): "AwsAccountId",
		strings.Replace(document, "2004", "3002", 1):                   "Finding does not adhere to OCSF. read OCSF: class_uid should be",
		strings.Replace(document, `"time":1739539623000,`, "", 1):      "time is missing. Next: give time",
		`{"SchemaVersion":"2018-10-08","class_uid":2004}`:              "Amazon Finding Format",
	} {
		if _, refused := (normalize.Finding{}).Normalize(json.RawMessage(raw)); refused == nil || !strings.Contains(refused.ErrorMessage, want) {
			t.Errorf("%s: got %v, want %q", raw, refused, want)
		}
	}
}

// A sender of ASFF cannot put a document beside its finding that says otherwise.
func TestASFFBringsNoDocument(t *testing.T) {
	t.Parallel()
	f, refused := normalize.Finding{}.Normalize(json.RawMessage(`{"SchemaVersion":"2018-10-08","Id":"f1","ProductArn":"arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default",
		"GeneratorId":"g","AwsAccountId":"111122223333","CreatedAt":"2024-01-01T00:00:00Z","UpdatedAt":"2024-01-02T00:00:00Z","Title":"t","Description":"d","Severity":{"Label":"HIGH"},
		"Resources":[{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::b"}],"Ocsf":` + document + `}`))
	if refused != nil {
		t.Fatal(refused)
	}
	if f.Has(finding.OCSF) {
		t.Error("kept")
	}
}
