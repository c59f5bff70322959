package remediation_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/remediation"
)

func samplePlan() remediation.Plan {
	return remediation.Plan{
		Remediation: "rem-1", Kind: remediation.KindFix, Account: "111122223333", Region: "us-east-1",
		Parameters: map[string]any{"BucketName": "b", "Count": int64(9007199254740993), "Ratio": 0.25},
		Runbook:    remediation.Runbook{Name: "R", Revision: "abc", Content: "schemaVersion: '0.3'"},
		Calls: []remediation.PlannedCall{{
			Seq: 1, Step: "Put", Service: "s3", Operation: "PutBucketPolicy", Class: apimodel.Change,
			Input: map[string]any{"Bucket": "b", "Policy": "{}"}, Before: &remediation.Image{Exists: true, Data: map[string]any{"Policy": "x"}},
		}},
		CreatedAt: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC),
	}
}

func TestHashSurvivesStorage(t *testing.T) {
	t.Parallel()
	plan := samplePlan()
	want, err := plan.Hash()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var back remediation.Plan
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	back.CreatedAt = back.CreatedAt.In(time.FixedZone("elsewhere", 3600))
	got, err := back.Hash()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hash after storage (-want +got):\n%s", diff)
	}
}

func TestHashCoversEverything(t *testing.T) {
	t.Parallel()
	base, err := samplePlan().Hash()
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*remediation.Plan){
		"parameter":       func(p *remediation.Plan) { p.Parameters["BucketName"] = "c" },
		"runbook content": func(p *remediation.Plan) { p.Runbook.Content += " " },
		"input":           func(p *remediation.Plan) { p.Calls[0].Input["Policy"] = "[]" },
		"before-image":    func(p *remediation.Plan) { p.Calls[0].Before.Exists = false },
		"role":            func(p *remediation.Plan) { p.Role = "Admin" },
		"guards":          func(p *remediation.Plan) { p.GuardsRevision = "other" },
		"account":         func(p *remediation.Plan) { p.Account = "444455556666" },
		"open":            func(p *remediation.Plan) { p.Open = true },
		"expiry":          func(p *remediation.Plan) { p.ExpiresAt = p.ExpiresAt.Add(time.Second) },
	} {
		plan := samplePlan()
		edit(&plan)
		got, err := plan.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if got == base {
			t.Errorf("%s: the hash does not cover it", name)
		}
	}
}
