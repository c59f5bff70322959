package app

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/awsfront/securityhub"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/finding/ocsf"
	"github.com/parry-security/parry/internal/normalize"
	"github.com/parry-security/parry/internal/store"
)

// prowlerFindings gives Prowler's OCSF with an account in place of its
// placeholder, each with a uid of its own.
func prowlerFindings(t *testing.T) (raw []json.RawMessage, normalized []json.RawMessage) {
	t.Helper()
	text, err := os.ReadFile("../finding/ocsf/testdata/prowler.ocsf.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(text), "<account_uid>", "111122223333")), &raw); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] = json.RawMessage(strings.Replace(string(raw[i]), "<finding_uid>", "prowler-"+string(rune('a'+i)), 1))
		f, refused := normalize.Finding{}.Normalize(raw[i])
		if refused != nil {
			t.Fatal(refused)
		}
		normalized = append(normalized, f.JSON())
	}
	return raw, normalized
}

// In, stored, out: equal as JSON; and ASFF and events show ASFF alone.
func TestOCSFThroughTheStore(t *testing.T) {
	t.Parallel()
	raw, normalized := prowlerFindings(t)
	f := newFinder(t, normalized)
	page, err := f.QueryFindings(t.Context(), securityhub.Query{Accounts: store.AllAccounts(), Limit: 100})
	if err != nil || len(page.Findings) != len(raw) {
		t.Fatalf("%d findings, %v", len(page.Findings), err)
	}
	for _, doc := range page.Findings {
		if strings.Contains(string(doc), "finding_info") {
			t.Errorf("ASFF holds the document: %s", doc)
		}
	}
	for _, r := range raw {
		var head struct {
			Info struct {
				UID string `json:"uid"`
			} `json:"finding_info"`
		}
		if err := json.Unmarshal(r, &head); err != nil {
			t.Fatal(err)
		}
		found, err := f.store.(*store.Store).Findings(t.Context(), []finding.ID{{ProductArn: "arn:aws:securityhub:region::product/prowler/prowler", Id: head.Info.UID}})
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %d, %v", head.Info.UID, len(found), err)
		}
		stored, err := finding.Reopen(found[0].Doc)
		if err != nil {
			t.Fatal(err)
		}
		var want, got any
		if err := json.Unmarshal(r, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(ocsf.JSON(ocsf.Export(stored)), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	messages, err := f.store.(*store.Store).ClaimMessages(t.Context(), store.Findings, []string{store.TopicEvent}, 10, "test", time.Minute)
	if err != nil || len(messages) == 0 {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	for _, m := range messages {
		if strings.Contains(string(m.Payload), "finding_info") {
			t.Errorf("the event holds the document: %s", m.Payload)
		}
	}
}
