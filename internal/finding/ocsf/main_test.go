package ocsf_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
)

// prowler gives the findings of testdata as they are, but for the account, whose
// number was taken out of them: Parry keeps findings of AWS accounts only.
func prowler(t testing.TB) []json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile("testdata/prowler.ocsf.json")
	if err != nil {
		t.Fatal(err)
	}
	var out []json.RawMessage
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "<account_uid>", "111122223333")), &out); err != nil {
		t.Fatal(err)
	}
	if len(out) < 5 {
		t.Fatalf("%d samples", len(out))
	}
	return out
}

// asff gives the ASFF samples of package finding, as Parry stores them.
func asff(t testing.TB) map[string]finding.Finding {
	t.Helper()
	files, err := filepath.Glob("../testdata/asff/*.json")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	out := map[string]finding.Finding{}
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
			t.Fatal(err)
		}
		if len(event.Detail.Findings) > 0 {
			raw = event.Detail.Findings[0]
		}
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(file)] = f
	}
	return out
}

func parse(t testing.TB, raw string) map[string]any {
	t.Helper()
	o, err := ocsf.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func from(t testing.TB, o map[string]any) finding.Finding {
	t.Helper()
	f, err := ocsf.From(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// one is a small finding of each class; members are set over it.
func one(class string, members string) string {
	return `{"class_uid":` + class + `,"activity_id":1,"severity_id":4,"severity":"High","status_id":1,"time":1739539623000,` +
		`"metadata":{"version":"1.5.0","uid":"theirs","product":{"name":"Scanner","uid":"scan","vendor_name":"Acme Corp"}},` +
		`"cloud":{"provider":"AWS","region":"eu-west-1","account":{"uid":"111122223333"}},` +
		`"finding_info":{"uid":"f1","title":"A title","desc":"Words"}` + members + `}`
}
