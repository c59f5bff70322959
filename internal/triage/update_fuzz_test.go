package triage_test

import (
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/triage"
)

// FuzzParseUpdate reads any text as BatchUpdateFindings' request: what is accepted is
// within the limits, and what is not is the caller's fault.
func FuzzParseUpdate(f *testing.F) {
	f.Add([]byte(`{"FindingIdentifiers":[{"Id":"a","ProductArn":"b"}],"Note":{"Text":"x","UpdatedBy":"y"},"Workflow":{"Status":"NOTIFIED"},"Severity":{"Label":"LOW","Normalized":1.0,"Product":1e2}}`))
	f.Add([]byte(`{"FindingIdentifiers":[{"Id":"a","ProductArn":"b"}],"Types":["a/b/c"],"UserDefinedFields":{"a":""},"RelatedFindings":[{"Id":"a","ProductArn":"arn:aws:securityhub:::product/a/b"}],"Confidence":null}`))
	f.Add([]byte(`{"FindingIdentifiers":null,"RecordState":"ARCHIVED"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		req, err := triage.ParseUpdate(raw)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("code %s: %v", fault.CodeOf(err), err)
			}
			return
		}
		if len(req.Identifiers) == 0 || len(req.Identifiers) > triage.MaxIdentifiers {
			t.Errorf("%d findings", len(req.Identifiers))
		}
		if err := req.Patch.Check("data"); err != nil {
			t.Errorf("its own patch is refused: %v", err)
		}
	})
}
