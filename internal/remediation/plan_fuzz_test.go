package remediation_test

import (
	"encoding/json"
	"testing"

	"github.com/parry-security/parry/internal/remediation"
)

// FuzzPlanHash reads any text as a stored plan: written and read again it has the hash
// that it had, since an approval is bound to it.
func FuzzPlanHash(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"parameters":{"n":9007199254740993,"f":1.5,"big":1e400,"deep":[{"a":[null]}]}}`,
		`{"calls":[{"service":"s3","operation":"PutBucketPolicy","input":{"n":1,"m":-0.0},"before":{"exists":true,"data":{"x":12345678901234567890}}}],"created_at":"2026-01-01T00:00:00+02:00"}`,
		`{"run":{"parameters":{"a":["b"]},"targets":[{"Key":"k","Values":[1]}]},"beyond":[{"input":{"a":1}}]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p remediation.Plan
		if json.Unmarshal(raw, &p) != nil {
			return
		}
		before, err := p.Hash()
		if err != nil {
			return // a number or a time that JSON does not have
		}
		kept, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var again remediation.Plan
		if err := json.Unmarshal(kept, &again); err != nil {
			t.Fatalf("stored as %s, it is read as %v", kept, err)
		}
		if after, err := again.Hash(); err != nil || after != before {
			t.Errorf("the hash was %s and is %s, %v: %s", before, after, err, kept)
		}
	})
}
