package triage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/rule"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

func TestNewFindingIsStoredWithItsEvent(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	r := s.store.record(t, "f1")
	r.Doc, r.Original = nil, nil
	want := store.FindingRecord{
		ID: identity("f1"), Rev: 1, Account: dev, Region: "eu-west-1", Control: "S3.8", Generator: "security-control/S3.8", Product: "Security Hub",
		SeverityLabel: "MEDIUM", SeverityNormalized: 40, Workflow: "NEW", RecordState: "ACTIVE", ResourceID: "arn:aws:s3:::b", ResourceType: "AwsS3Bucket",
		Title: "bucket is public", Source: "hub", Trusted: true, Priority: 50, DueAt: time.Date(2024, 3, 31, 0, 0, 0, 0, time.UTC),
		CreatedAt: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2024, 1, 1, 0, 1, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, r, cmp.AllowUnexported(store.FindingRecord{})); diff != "" {
		t.Error(diff)
	}
	doc := s.store.doc(t, "f1")
	if doc.String("ProcessedAt") != "2024-05-01T12:00:00.000Z" || doc.String("FindingProviderFields", "Severity", "Label") != "MEDIUM" {
		t.Errorf("%s", doc.JSON())
	}
	if diff := cmp.Diff([]string{"BATCH_IMPORT_FINDINGS hub created"}, s.store.story("f1")); diff != "" {
		t.Error(diff)
	}
	events := s.store.topic(store.TopicEvent)
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	var e pattern.Envelope
	if err := json.Unmarshal(events[0].Payload, &e); err != nil {
		t.Fatal(err)
	}
	var detail struct{ Findings []finding.Finding }
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		t.Fatal(err)
	}
	e.Detail = nil
	if diff := cmp.Diff(pattern.Envelope{
		Version: "0", ID: e.ID, DetailType: "Security Hub Findings - Imported", Source: "aws.securityhub", Account: dev, Region: "eu-west-1",
		Time: epoch(), Resources: []string{product + "/f1"},
	}, e); diff != "" {
		t.Error(diff)
	}
	if len(e.ID) != 36 || events[0].ID != "finding-"+e.ID {
		t.Errorf("ids %q, %q", e.ID, events[0].ID)
	}
	if len(detail.Findings) != 1 || string(detail.Findings[0].JSON()) != string(doc.JSON()) {
		t.Errorf("detail %s", detail.Findings)
	}
}

func TestUpdateMergesAndOlderIsIgnored(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 5))
	s.give(t, asff("f1", 6, `"Severity":{"Label":"HIGH"}`, `"Note":{"Text":"p","UpdatedBy":"p","UpdatedAt":"2024-01-01T00:00:00Z"}`))
	if r := s.store.record(t, "f1"); r.Rev != 2 || r.SeverityLabel != "HIGH" || s.store.doc(t, "f1").Has("Note") {
		t.Errorf("rev %d, severity %s", r.Rev, r.SeverityLabel)
	}
	want := []string{
		"BATCH_IMPORT_FINDINGS hub created",
		`BATCH_IMPORT_FINDINGS hub FindingProviderFields:{"Severity":{"Label":"MEDIUM","Normalized":40},"Types":[]}->{"Severity":{"Label":"HIGH","Normalized":70},"Types":[]} Sample:--> Severity:MEDIUM->HIGH`,
	}
	got := s.store.story("f1")
	got[1] = strings.ReplaceAll(got[1], " Sample:-->false", " Sample:-->")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// equal and older
	s.give(t, asff("f1", 6, `"Severity":{"Label":"LOW"}`), asff("f1", 4, `"Severity":{"Label":"LOW"}`))
	if r := s.store.record(t, "f1"); r.Rev != 2 || r.SeverityLabel != "HIGH" {
		t.Errorf("rev %d, severity %s", r.Rev, r.SeverityLabel)
	}
	if n := len(s.store.topic(store.TopicEvent)); n != 2 || len(s.store.inbox) != 0 {
		t.Errorf("%d events, %d rows left", n, len(s.store.inbox))
	}
}

func TestSeveralVersionsInOneBatch(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1), asff("f2", 1), asff("f1", 3, `"Severity":{"Label":"LOW"}`), asff("f1", 2), asff("f1", 4, `"Severity":{"Label":"CRITICAL"}`))
	r := s.store.record(t, "f1")
	if r.Rev != 1 || r.SeverityLabel != "CRITICAL" {
		t.Errorf("rev %d, severity %s", r.Rev, r.SeverityLabel)
	}
	if n := len(s.store.topic(store.TopicEvent)); n != 4 {
		t.Errorf("%d events, want one for each accepted version", n)
	}
	if n := len(s.store.story("f1")); n != 3 {
		t.Errorf("%d history entries", n)
	}
	if s.store.commits != 1 {
		t.Errorf("%d commits", s.store.commits)
	}
}

func TestRulesAreTracedInHistoryWithoutNoise(t *testing.T) {
	t.Parallel()
	r := ruleOf(t, "raise", 1, `{"Title":[{"Value":"bucket","Comparison":"PREFIX"}]}`, `{"Severity":{"Label":"CRITICAL"},"Note":{"Text":"n","UpdatedBy":"r"}}`)
	s := start(t, r)
	s.give(t, asff("f1", 1))
	s.clock.Advance(time.Hour)
	s.give(t, asff("f1", 2))
	s.give(t, asff("f1", 3, `"Title2":"x"`))
	if got := s.store.record(t, "f1").SeverityLabel; got != "CRITICAL" {
		t.Error(got)
	}
	want := []string{
		"BATCH_IMPORT_FINDINGS hub created",
		`AUTOMATION_RULE raise Note:-->{"Text":"n","UpdatedAt":"2024-05-01T12:00:00.000Z","UpdatedBy":"r"} Severity:MEDIUM->CRITICAL`,
		"BATCH_IMPORT_FINDINGS hub Title2:-->x",
	}
	if diff := cmp.Diff(want, s.store.story("f1")); diff != "" {
		t.Error(diff)
	}
	if n := len(s.store.topic(store.TopicEvent)); n != 3 {
		t.Errorf("%d events", n)
	}
}

// AWS's worked example: the customer sets NOTIFIED, the provider sends an
// update, and a rule for NEW fires since it sees the provider's finding.
func TestRuleFiresOverTheCustomersStatus(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	s.update(t, `{"Workflow":{"Status":"NOTIFIED"}}`, "f1")
	tr, err := triage.New(triage.Config{Store: s.store, Clock: s.clock, Rules: triage.FixedRules(
		ruleOf(t, "suppress", 1, `{"WorkflowStatus":[{"Value":"NEW","Comparison":"EQUALS"}]}`, `{"Workflow":{"Status":"SUPPRESSED"}}`),
	)})
	if err != nil {
		t.Fatal(err)
	}
	s.Triage = tr
	s.give(t, asff("f1", 2))
	if got := s.store.record(t, "f1").Workflow; got != "SUPPRESSED" {
		t.Error(got)
	}
}

// The workflow moves on its own before the rules, so that a rule's status
// survives a reopening; but a check that passes is resolved whatever a rule says.
func TestDecisionWorkflowMovesBeforeRules(t *testing.T) {
	t.Parallel()
	s := start(t, ruleOf(t, "notify", 1, `{"Title":[{"Value":"bucket","Comparison":"PREFIX"}]}`, `{"Workflow":{"Status":"NOTIFIED"}}`))
	s.give(t, asff("f1", 1, `"Compliance":{"Status":"PASSED"}`))
	if got := s.store.record(t, "f1").Workflow; got != "RESOLVED" {
		t.Errorf("passed: %s", got)
	}
	s.give(t, asff("f1", 2, `"Compliance":{"Status":"FAILED"}`))
	if got := s.store.record(t, "f1").Workflow; got != "NOTIFIED" {
		t.Errorf("reopened: %s", got)
	}
}

func TestWorkflowFollowsTheProvider(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i, step := range []struct{ more, want string }{
		{`"Compliance":{"Status":"FAILED"}`, "NEW"},
		{`"Compliance":{"Status":"PASSED"}`, "RESOLVED"},
		{`"Compliance":{"Status":"FAILED"}`, "NEW"},
		{`"Compliance":{"Status":"FAILED"},"RecordState":"ARCHIVED"`, "NEW"},
	} {
		s.give(t, asff("f1", i+1, step.more))
		if got := s.store.record(t, "f1").Workflow; got != step.want {
			t.Errorf("%d: got %s, want %s", i, got, step.want)
		}
	}
	s.update(t, `{"Workflow":{"Status":"RESOLVED"}}`, "f1")
	s.give(t, asff("f1", 9, `"Compliance":{"Status":"FAILED"}`))
	if r := s.store.record(t, "f1"); r.Workflow != "NEW" || r.RecordState != "ACTIVE" {
		t.Errorf("active again: %s %s", r.Workflow, r.RecordState)
	}
}

func TestDecisionStaleUpdateIsDoneWithoutAnError(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 5))
	s.store.put("hub", true, s.clock.Now(), asff("f1", 5))
	if n := s.drain(t); n != 1 {
		t.Errorf("took %d", n)
	}
	if len(s.store.inbox) != 0 || len(s.store.topic(triage.TopicInbox)) != 0 || len(s.store.story("f1")) != 1 {
		t.Error("an equal version must leave no trace")
	}
}

func TestFindingKeepsItsAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	s.store.put("intruder", true, s.clock.Now(), strings.ReplaceAll(asff("f1", 9, `"Severity":{"Label":"LOW"}`), dev, prod), asff("f2", 1))
	s.drain(t)
	if r := s.store.record(t, "f1"); r.Account != dev || r.SeverityLabel != "MEDIUM" || r.Source != "hub" {
		t.Errorf("%+v", r)
	}
	s.store.record(t, "f2")
	aside := s.store.topic(triage.TopicInbox)
	if len(aside) != 1 || !strings.Contains(string(aside[0].Payload), "belongs to account 111111111111") {
		t.Errorf("%s", aside)
	}
}

func TestTrustFollowsTheSource(t *testing.T) {
	t.Parallel()
	s := start(t)
	forged := `"UserDefinedFields":{"auto":"yes"},"Confidence":99`
	s.store.put("unknown", false, s.clock.Now(), strings.Replace(asff("f1", 1, forged), "2024-01-01T00:01", "9999-01-01T00:01", 1))
	s.drain(t)
	if s.store.record(t, "f1").Trusted {
		t.Fatal("an untrusted source made a trusted finding")
	}
	s.update(t, `{"VerificationState":"TRUE_POSITIVE"}`, "f1")
	// The forged date does not keep the trusted source out, and nothing that the
	// untrusted one said survives.
	s.give(t, asff("f1", 2))
	r, doc := s.store.record(t, "f1"), s.store.doc(t, "f1")
	if !r.Trusted || r.Source != "hub" {
		t.Errorf("trusted %v, source %s", r.Trusted, r.Source)
	}
	if doc.Has("UserDefinedFields") || doc.Has("Confidence") || doc.String("VerificationState") != "TRUE_POSITIVE" {
		t.Errorf("%s", doc.JSON())
	}
	s.store.put("unknown", false, s.clock.Now(), asff("f1", 3))
	s.drain(t)
	if s.store.record(t, "f1").Trusted {
		t.Error("an untrusted version left the finding trusted")
	}
}

// The same bytes again change nothing, unless a trusted source says what only an
// untrusted one had said, be it in the same batch. Seen to fail with subject.repeats
// without its look at trust.
func TestRepeatedFinding(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.put("unknown", false, s.clock.Now(), asff("f1", 2))
	s.drain(t)
	s.store.put("unknown", false, s.clock.Now(), asff("f1", 2))
	s.drain(t)
	if r := s.store.record(t, "f1"); r.Rev != 1 || r.Trusted {
		t.Errorf("rev %d, trusted %v after the same bytes", r.Rev, r.Trusted)
	}
	s.give(t, asff("f1", 2))
	if r := s.store.record(t, "f1"); r.Rev != 2 || !r.Trusted || r.Source != "hub" {
		t.Errorf("rev %d, trusted %v, source %s after a trusted source said the same", r.Rev, r.Trusted, r.Source)
	}
	s.store.put("unknown", false, s.clock.Now(), asff("f1", 3))
	s.store.put("hub", true, s.clock.Now(), asff("f1", 2))
	s.drain(t)
	if r := s.store.record(t, "f1"); !r.Trusted || s.store.doc(t, "f1").String("UpdatedAt") != "2024-01-01T00:02:00Z" {
		t.Errorf("trusted %v, updated at %s: the trusted source does not win", r.Trusted, s.store.doc(t, "f1").String("UpdatedAt"))
	}
}

func TestPoisonIsSetAsideAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	s := start(t)
	// One row is broken on its face, another only when it is stored.
	s.store.before = func(w []store.FindingWrite, _ []int64) error {
		for _, one := range w {
			if one.Record.ID.Id == "unstorable" {
				return invalid()
			}
		}
		return nil
	}
	s.store.put("hub", true, s.clock.Now(), asff("f1", 1), `{"broken`, asff("unstorable", 1), asff("f2", 1), `{}`, asff("f1", 2))
	if n := s.drain(t); n != 6 {
		t.Errorf("took %d rows", n)
	}
	s.store.record(t, "f2")
	if r := s.store.record(t, "f1"); r.UpdatedAt.Minute() != 2 {
		t.Error("the row behind the poison was lost")
	}
	var got []string
	for _, m := range s.store.topic(triage.TopicInbox) {
		var r triage.Refused
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %v %d+%d %s: %s", m.ID, r.Source, r.Trusted, len(r.Finding), len(r.Text), r.Code, r.Reason))
	}
	want := []string{
		"inbox-2 hub true 0+8 invalid: parse finding: line 1: unexpected EOF",
		fmt.Sprintf("inbox-3 hub true %d+0 invalid: check finding: the row cannot be stored", len(compact(t, asff("unstorable", 1)))),
		"inbox-5 hub true 2+0 invalid: read inbox: the row holds no finding",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func compact(t *testing.T, s string) []byte {
	t.Helper()
	raw, err := json.Marshal(json.RawMessage(s))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRefusedRowCanBeSentAgain(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.before = func(w []store.FindingWrite, _ []int64) error {
		if len(w) > 0 {
			return invalid()
		}
		return nil
	}
	s.store.put("hub", true, s.clock.Now(), asff("f1", 1), `{"broken`)
	s.drain(t)
	aside := s.store.topic(triage.TopicInbox)
	err := s.HandleInbox(t.Context(), aside[0].Payload)
	if !fault.IsTerminal(err) || !errors.Is(err, errInvalid) {
		t.Errorf("still unstorable: %v", err)
	}
	if err := s.HandleInbox(t.Context(), aside[1].Payload); !fault.IsTerminal(err) || err.Error() != "triage finding: parse finding: line 1: unexpected EOF" {
		t.Errorf("still broken: %v", err)
	}
	s.store.before = nil
	if err := s.HandleInbox(t.Context(), aside[0].Payload); err != nil {
		t.Fatal(err)
	}
	if !s.store.record(t, "f1").Trusted {
		t.Error("trust was lost")
	}
	if err := s.HandleInbox(t.Context(), json.RawMessage(`5`)); !fault.IsTerminal(err) {
		t.Error(err)
	}
}

func TestRowsStayWhenTheStoreIsAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.before = func([]store.FindingWrite, []int64) error {
		return fault.Errorf(fault.Unavailable, "commit", "no connection")
	}
	s.store.put("hub", true, s.clock.Now(), asff("f1", 1))
	if _, err := s.Drain(t.Context()); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if len(s.store.inbox) != 1 {
		t.Error("the row is gone")
	}
}

type brokenRules struct{}

func (brokenRules) Rules(context.Context) (*rule.Set, error) {
	return nil, fault.Errorf(fault.Unavailable, "read rules", "gone")
}

func TestNothingIsTriagedWithoutRules(t *testing.T) {
	t.Parallel()
	f := newFake()
	tr, err := triage.New(triage.Config{Store: f, Rules: brokenRules{}})
	if err != nil {
		t.Fatal(err)
	}
	f.put("hub", true, epoch(), asff("f1", 1))
	if _, err := tr.Drain(t.Context()); !fault.Is(err, fault.Unavailable) || len(f.inbox) != 1 {
		t.Errorf("%v, %d rows", err, len(f.inbox))
	}
}

func TestConflictIsTriedAgainOnWhatIsThere(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.give(t, asff("f1", 1))
	var once atomic.Bool
	s.store.before = func([]store.FindingWrite, []int64) error {
		if once.CompareAndSwap(false, true) {
			s.store.mu.Lock()
			defer s.store.mu.Unlock()
			r := s.store.records[identity("f1")]
			r.Rev++
			s.store.records[identity("f1")] = r
		}
		return nil
	}
	s.give(t, asff("f1", 2))
	if r := s.store.record(t, "f1"); r.Rev != 3 || r.UpdatedAt.Minute() != 2 {
		t.Errorf("rev %d", r.Rev)
	}
	s.store.before = func([]store.FindingWrite, []int64) error { return store.ErrConflict }
	s.store.put("hub", true, s.clock.Now(), asff("f1", 3))
	if _, err := s.Drain(t.Context()); !errors.Is(err, store.ErrConflict) || len(s.store.inbox) != 1 {
		t.Errorf("%v", err)
	}
}

// Two processes drain one inbox: every row becomes part of a finding once.
func TestTwoDrainersShareAnInbox(t *testing.T) {
	t.Parallel()
	f := newFake()
	var docs []string
	for i := range 40 {
		docs = append(docs, asff(fmt.Sprint("f", i%8), i/8))
	}
	f.put("hub", true, epoch(), docs...)
	var wg sync.WaitGroup
	for range 2 {
		tr, err := triage.New(triage.Config{Store: f, Batch: 3})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wg.Go(func() {
				for {
					if _, err := tr.Drain(context.Background()); err == nil {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	if len(f.inbox) != 0 || len(f.records) != 8 {
		t.Errorf("%d rows, %d findings", len(f.inbox), len(f.records))
	}
	if n := len(f.topic(store.TopicEvent)); n != 40 {
		t.Errorf("%d events", n)
	}
}

// A row with a smaller number can come after a greater one was read: databases
// give numbers before commits. Reading ahead must not step over it.
func TestRowsNumberedEarlierAreNotSteppedOver(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.put("hub", true, epoch(), asff("early", 1), asff("f1", 1), asff("f2", 1), asff("f3", 1))
	early := f.inbox[0]
	f.inbox = f.inbox[1:]
	late := sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.inbox = append([]store.InboxRow{early}, f.inbox...)
	})
	f.before = func([]store.FindingWrite, []int64) error { late(); return nil }
	tr, err := triage.New(triage.Config{Store: f, Batch: 1, Clock: service.NewFixedClock(epoch())})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := tr.Drain(t.Context()); n != 4 || err != nil {
		t.Errorf("took %d, %v", n, err)
	}
	if len(f.inbox) != 0 || len(f.records) != 4 {
		t.Errorf("%d rows left, %d findings", len(f.inbox), len(f.records))
	}
}

func TestDrainLeavesWhatCameLater(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.store.put("hub", true, s.clock.Now().Add(time.Second), asff("f1", 1))
	if n := s.drain(t); n != 0 {
		t.Errorf("took %d", n)
	}
	s.clock.Advance(time.Second)
	if n := s.drain(t); n != 1 {
		t.Errorf("took %d", n)
	}
}

func TestServiceIsWoken(t *testing.T) {
	t.Parallel()
	s := start(t)
	done := make(chan struct{}, 10)
	s.store.before = func([]store.FindingWrite, []int64) error {
		done <- struct{}{}
		return nil
	}
	for range 2 {
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s.store.put("hub", true, s.clock.Now(), asff("f1", 1))
	s.Wake()
	s.Wake()
	<-done
	for range 2 {
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	s.store.record(t, "f1")
}

func TestAccountNameIsFilledBeforeRules(t *testing.T) {
	t.Parallel()
	f := newFake()
	tr, err := triage.New(triage.Config{
		Store: f, AccountName: func(string) string { return "development" },
		Rules: triage.FixedRules(ruleOf(t, "dev", 1, `{"AwsAccountName":[{"Value":"development","Comparison":"EQUALS"}]}`, `{"Severity":{"Label":"LOW"}}`)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.put("hub", true, epoch(), asff("f1", 1))
	if _, err := tr.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.record(t, "f1").SeverityLabel; got != "LOW" {
		t.Error(got)
	}
}
