package triage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

func request(t testing.TB, patch string, ids ...string) triage.UpdateRequest {
	t.Helper()
	p, err := finding.ParsePatch([]byte(patch), "data")
	if err != nil {
		t.Fatal(err)
	}
	req := triage.UpdateRequest{Patch: p}
	for _, id := range ids {
		req.Identifiers = append(req.Identifiers, identity(id))
	}
	return req
}

// update changes findings as the person "ann", who may change all accounts.
func (s setup) update(t testing.TB, patch string, ids ...string) triage.UpdateResult {
	t.Helper()
	got, err := s.Update(context.Background(), request(t, patch, ids...), "ann", []string{"*"})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestUpdateChangesWhatTheCustomerMay(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	s.clock.Advance(time.Hour)
	got := s.update(t, `{"Severity":{"Label":"LOW"},"Workflow":{"Status":"NOTIFIED"},"Note":{"Text":"seen","UpdatedBy":"ann"}}`, "f1")
	if diff := cmp.Diff(triage.UpdateResult{Processed: []finding.ID{identity("f1")}, Unprocessed: []triage.Unprocessed{}}, got); diff != "" {
		t.Error(diff)
	}
	r, doc := s.store.record(t, "f1"), s.store.doc(t, "f1")
	if r.Rev != 2 || r.SeverityLabel != "LOW" || r.SeverityNormalized != 1 || r.Workflow != "NOTIFIED" || r.Source != "hub" || !r.Trusted {
		t.Errorf("%+v", r)
	}
	if doc.String("UpdatedAt") != "2024-01-01T00:01:00Z" || doc.String("ProcessedAt") != "2024-05-01T13:00:00.000Z" || doc.String("Note", "UpdatedAt") != "2024-05-01T13:00:00.000Z" {
		t.Errorf("%s", doc.JSON())
	}
	if diff := cmp.Diff([]string{"Note", "Severity", "Workflow"}, r.Touched); diff != "" {
		t.Error(diff)
	}
	want := []string{
		"BATCH_IMPORT_FINDINGS hub created",
		`BATCH_UPDATE_FINDINGS ann Note:-->{"Text":"seen","UpdatedAt":"2024-05-01T13:00:00.000Z","UpdatedBy":"ann"} Severity:MEDIUM->LOW Workflow:NEW->NOTIFIED`,
	}
	if diff := cmp.Diff(want, s.store.story("f1")); diff != "" {
		t.Error(diff)
	}
	if n := len(s.store.topic(store.TopicEvent)); n != 2 {
		t.Errorf("%d events", n)
	}
	if len(s.store.audit) != 1 || s.store.audit[0].Actor != "ann" || s.store.audit[0].Action != "finding.updated" || s.store.audit[0].Object != product+"/f1" {
		t.Errorf("%+v", s.store.audit)
	}
	// The provider does not get its severity back, the finding's own field does.
	s.give(t, asff("f1", 2, `"Severity":{"Label":"CRITICAL"}`))
	if r, doc := s.store.record(t, "f1"), s.store.doc(t, "f1"); r.SeverityLabel != "LOW" || doc.String("FindingProviderFields", "Severity", "Label") != "CRITICAL" {
		t.Errorf("severity %s", r.SeverityLabel)
	}
}

func TestUpdateAnswersEveryIdentifier(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("mine", 1), strings.ReplaceAll(asff("theirs", 1), dev, prod))
	got, err := s.Update(t.Context(), request(t, `{"Confidence":5}`, "mine", "missing", "theirs", "mine", "missing"), "bob", []string{dev})
	if err != nil {
		t.Fatal(err)
	}
	const none, twice = "There is no finding with this Id and ProductArn.", "The finding identifier is in the request more than once."
	want := triage.UpdateResult{Processed: []finding.ID{identity("mine")}, Unprocessed: []triage.Unprocessed{
		{FindingIdentifier: identity("missing"), ErrorCode: "FindingNotFound", ErrorMessage: none},
		{FindingIdentifier: identity("theirs"), ErrorCode: "FindingNotFound", ErrorMessage: none},
		{FindingIdentifier: identity("mine"), ErrorCode: "DuplicatedFindingIdentifier", ErrorMessage: twice},
		{FindingIdentifier: identity("missing"), ErrorCode: "DuplicatedFindingIdentifier", ErrorMessage: twice},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.store.doc(t, "theirs").Has("Confidence") {
		t.Error("another account's finding was changed")
	}
	for _, none := range [][]string{nil, {}, {"1111"}, {""}} {
		if got, err := s.Update(t.Context(), request(t, `{"Confidence":6}`, "mine"), "bob", none); err != nil || len(got.Processed) != 0 {
			t.Errorf("scope %q: %+v %v", none, got, err)
		}
	}
}

func TestUpdateSeesTheInbox(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.put("hub", true, s.clock.Now(), asff("f1", 1))
	if got := s.update(t, `{"Confidence":1}`, "f1"); len(got.Processed) != 1 {
		t.Errorf("%+v", got)
	}
}

func TestUpdateRefusesAFindingThatGrowsTooLarge(t *testing.T) {
	t.Parallel()
	s := start(t)
	big := asff("f1", 1, `"Extra":"`+strings.Repeat("x", finding.MaxBytes-2000)+`"`)
	s.give(t, big)
	note := fmt.Sprintf(`{"UserDefinedFields":{"a":%q,"b":%q}}`, strings.Repeat("y", 1024), strings.Repeat("y", 1024))
	got := s.update(t, note, "f1")
	if len(got.Unprocessed) != 1 || got.Unprocessed[0].ErrorCode != "FindingSizeExceeded" {
		t.Errorf("%+v", got)
	}
}

func TestUpdateThatAlwaysConflicts(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	s.store.before = func([]store.FindingWrite, []int64) error { return store.ErrConflict }
	got := s.update(t, `{"Confidence":1}`, "f1", "gone")
	if len(got.Processed) != 0 || len(got.Unprocessed) != 2 || got.Unprocessed[1].ErrorCode != "ConcurrentUpdateError" {
		t.Errorf("%+v", got)
	}
}

func TestParseUpdate(t *testing.T) {
	t.Parallel()
	id := `{"Id":"f1","ProductArn":"` + product + `"}`
	req, err := triage.ParseUpdate([]byte(`{"FindingIdentifiers":[` + id + `],"Workflow":{"Status":"RESOLVED"}}`))
	if err != nil || len(req.Identifiers) != 1 || req.Identifiers[0] != identity("f1") || req.Patch.Workflow.Status != "RESOLVED" {
		t.Errorf("%+v %v", req, err)
	}
	for in, want := range map[string]string{
		`[]`: "read BatchUpdateFindings: json: cannot unmarshal array into Go value of type map[string]json.RawMessage",
		`{}`: "read BatchUpdateFindings: FindingIdentifiers should be a list of {Id, ProductArn}",
		`{"FindingIdentifiers":[],"Confidence":1}`:                                         "update findings: FindingIdentifiers must name at least 1 finding",
		`{"FindingIdentifiers":[{"Id":"x"}],"Confidence":1}`:                               "update findings: FindingIdentifiers[0] needs Id and ProductArn",
		`{"FindingIdentifiers":[` + id + `]}`:                                              "update findings: the request changes nothing",
		`{"FindingIdentifiers":[` + id + `],"RecordState":"ARCHIVED"}`:                     "read BatchUpdateFindings: data should NOT have additional property 'RecordState'",
		`{"FindingIdentifiers":[` + id + `],"Confidence":101}`:                             "read BatchUpdateFindings: data.Confidence should be <= 100",
		`{"FindingIdentifiers":[` + strings.Repeat(id+",", 100) + id + `],"Confidence":1}`: "update findings: FindingIdentifiers names 101 findings, more than the limit of 100",
	} {
		_, err := triage.ParseUpdate([]byte(in))
		if err == nil || err.Error() != want || !fault.Is(err, fault.Invalid) {
			t.Errorf("%.100s: %v", in, err)
		}
	}
}

func TestAnnotateResolvesWithANote(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1, `"Compliance":{"Status":"FAILED"}`))
	a := finding.Annotation{Finding: identity("f1"), Workflow: "RESOLVED", Note: "Fixed by parry.", By: "parry/remediation/rem-1"}
	raw, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // delivered at least once
		if err := s.HandleAnnotate(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(time.Hour)
	}
	r, doc := s.store.record(t, "f1"), s.store.doc(t, "f1")
	if r.Workflow != "RESOLVED" || doc.String("Note", "Text") != "Fixed by parry." || r.Rev != 2 {
		t.Errorf("%s rev %d", doc.JSON(), r.Rev)
	}
	want := []string{
		"BATCH_IMPORT_FINDINGS hub created",
		`REMEDIATION parry/remediation/rem-1 Note:-->{"Text":"Fixed by parry.","UpdatedAt":"2024-05-01T12:00:00.000Z","UpdatedBy":"parry/remediation/rem-1"} Workflow:NEW->RESOLVED`,
	}
	if diff := cmp.Diff(want, s.store.story("f1")); diff != "" {
		t.Error(diff)
	}
	if n := len(s.store.topic(store.TopicEvent)); n != 2 {
		t.Errorf("%d events", n)
	}
	// A scanner that has not looked again does not reopen it; an undo does.
	s.give(t, asff("f1", 2, `"Compliance":{"Status":"FAILED"}`))
	if got := s.store.record(t, "f1").Workflow; got != "RESOLVED" {
		t.Error(got)
	}
	a.Workflow, a.Note = "NEW", "Undone."
	if err := s.Annotate(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if got := s.store.record(t, "f1").Workflow; got != "NEW" {
		t.Error(got)
	}
}

func TestAnnotateRefuses(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	for name, a := range map[string]finding.Annotation{
		"missing": {Finding: identity("gone"), Workflow: "NEW", By: "x"},
		"nothing": {Finding: identity("f1"), By: "x"},
		"status":  {Finding: identity("f1"), Workflow: "DONE", By: "x"},
		"no one":  {Finding: identity("f1"), Note: "n"},
	} {
		if err := s.Annotate(t.Context(), a); err == nil || !fault.IsTerminal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.HandleAnnotate(t.Context(), json.RawMessage(`[]`)); !fault.IsTerminal(err) {
		t.Error(err)
	}
	if err := s.Annotate(t.Context(), finding.Annotation{Finding: identity("f1"), Note: strings.Repeat("é", 600), By: "x"}); err != nil {
		t.Error(err)
	}
	if n := len([]rune(s.store.doc(t, "f1").String("Note", "Text"))); n != 512 {
		t.Errorf("note of %d characters", n)
	}
}
