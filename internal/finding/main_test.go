package finding_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/parry-security/parry/internal/finding"
)

// samples gives the findings of testdata by file name.
func samples(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	files, err := filepath.Glob("testdata/asff/*.json")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]json.RawMessage{}
	for _, file := range files {
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
			t.Fatalf("%s: %v", file, err)
		}
		if len(event.Detail.Findings) > 0 {
			raw = event.Detail.Findings[0]
		}
		out[filepath.Base(file)] = raw
	}
	return out
}

// minimal is the smallest valid finding, with members set over it; nil removes.
func minimal(t testing.TB, members map[string]any) finding.Finding {
	t.Helper()
	doc := map[string]any{
		"SchemaVersion": "2018-10-08",
		"Id":            "f1",
		"ProductArn":    "arn:aws:securityhub:eu-west-1:111122223333:product/111122223333/default",
		"GeneratorId":   "g",
		"AwsAccountId":  "111122223333",
		"CreatedAt":     "2024-01-01T00:00:00Z",
		"UpdatedAt":     "2024-01-02T00:00:00Z",
		"Title":         "t",
		"Description":   "d",
		"Severity":      map[string]any{"Label": "HIGH"},
		"Resources":     []any{map[string]any{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::b"}},
	}
	for k, v := range members {
		if v == nil {
			delete(doc, k)
		} else {
			doc[k] = v
		}
	}
	f, err := finding.FromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func obj(kv ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		out[kv[i].(string)] = kv[i+1]
	}
	return out
}

// pick gives member name of f as JSON text.
func pick(t testing.TB, f finding.Finding, name string) string {
	t.Helper()
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(f.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	return string(doc[name])
}
