package pull_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
	"github.com/parry-security/parry/internal/ingest/pull"
	"github.com/parry-security/parry/internal/normalize/eventbridge"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
	"github.com/parry-security/parry/internal/triage"
)

const (
	account = "111111111111"
	product = "arn:aws:securityhub:eu-west-1::product/aws/securityhub"
)

// hub answers GetFindings as Security Hub does, in pages of its own size.
type hub struct {
	findings []map[string]any
	size     int
	calls    int
	failAt   int  // the call that fails, 0 for none
	stale    bool // tokens are refused
}

func (h *hub) Call(_ context.Context, _ string, c apimodel.Call) (apimodel.Reply, error) {
	h.calls++
	if h.calls == h.failAt {
		return apimodel.Reply{}, errors.New("the network is gone")
	}
	if c.Service != "securityhub" || c.Operation != "GetFindings" {
		return apimodel.Reply{}, fmt.Errorf("called %s:%s", c.Service, c.Operation)
	}
	filters, _ := c.Input["Filters"].(map[string]any)
	var matched []any
	for _, f := range h.findings {
		if matches(filters, f) {
			matched = append(matched, f)
		}
	}
	at := 0
	if token, ok := c.Input["NextToken"].(string); ok {
		if h.stale {
			return apimodel.Reply{}, &apimodel.APIError{Code: "InvalidInputException", HTTPStatus: 400}
		}
		_, _ = fmt.Sscan(token, &at)
	}
	out := map[string]any{"Findings": matched[min(at, len(matched)):min(at+h.size, len(matched))]}
	if at+h.size < len(matched) {
		out["NextToken"] = fmt.Sprint(at + h.size)
	}
	return apimodel.Reply{Output: out}, nil
}

// matches knows the filters that the collector uses.
func matches(filters, f map[string]any) bool {
	for field, v := range filters {
		values, _ := v.([]any)
		ok := false
		for _, one := range values {
			o, _ := one.(map[string]any)
			if field == "UpdatedAt" {
				at, _ := f["UpdatedAt"].(string)
				start, _ := o["Start"].(string)
				end, _ := o["End"].(string)
				ok = ok || at >= start && at <= end
				continue
			}
			ok = ok || f[field] == o["Value"]
		}
		if !ok {
			return false
		}
	}
	return true
}

func control(i int, updated string) map[string]any {
	return map[string]any{
		"SchemaVersion": "2018-10-08", "Id": fmt.Sprintf("f-%04d", i), "ProductArn": product, "GeneratorId": "security-control/S3.8", "AwsAccountId": account,
		"CreatedAt": "2026-01-01T00:00:00.000Z", "UpdatedAt": updated, "Title": "t", "Description": "d", "Severity": map[string]any{"Label": "HIGH"},
		"RecordState": "ACTIVE", "Resources": []any{map[string]any{"Type": "AwsS3Bucket", "Id": fmt.Sprintf("arn:aws:s3:::b%d", i)}},
	}
}

type bench struct {
	hub    *hub
	store  *store.Store
	triage *triage.Triage
	clock  *service.FixedClock
	pull   *pull.Collector
}

func setup(t *testing.T, n int) bench {
	t.Helper()
	s := storetest.SQLite(t)
	clock, ok := s.Clock().(*service.FixedClock)
	if !ok {
		t.Fatal("no fixed clock")
	}
	b := bench{hub: &hub{size: 7}, store: s, clock: clock}
	for i := range n {
		b.hub.findings = append(b.hub.findings, control(i, finding.FormatTime(clock.Now().Add(-time.Hour))))
	}
	var err error
	if b.triage, err = triage.New(triage.Config{Store: s, Clock: clock}); err != nil {
		t.Fatal(err)
	}
	b.pull = b.collector(t)
	return b
}

func (b bench) collector(t *testing.T) *pull.Collector {
	t.Helper()
	c, err := pull.New(pull.Config{
		Source: ingest.Source{Name: "hub", Accounts: []string{account}, Products: []string{"aws/securityhub"}}, Region: "eu-west-1", Products: []string{product},
		Caller: b.hub, Store: b.store, Owner: "node", Clock: b.clock,
		Read: func(raw []byte) (ingest.Document, error) {
			m, err := eventbridge.Read(raw)
			return ingest.Document(m), err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b bench) round(t *testing.T) error {
	t.Helper()
	err := b.pull.Round(t.Context())
	if _, drained := b.triage.Drain(t.Context()); drained != nil {
		t.Fatal(drained)
	}
	return err
}

func (b bench) active(t *testing.T) int {
	t.Helper()
	page, err := b.store.QueryFindings(t.Context(), store.FindingQuery{Accounts: store.AllAccounts(), Limit: 1000, Where: []store.Condition{{Column: "record_state", Op: store.OpEqual, Values: []string{"ACTIVE"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Records)
}

func TestAHubIsReadAndThenItsUpdates(t *testing.T) {
	t.Parallel()
	b := setup(t, 30)
	if err := b.round(t); err != nil || b.active(t) != 30 {
		t.Fatalf("%d active, %v", b.active(t), err)
	}
	b.clock.Advance(10 * time.Minute)
	b.hub.findings = append(b.hub.findings, control(100, finding.FormatTime(b.clock.Now())))
	b.hub.findings[0]["UpdatedAt"], b.hub.findings[0]["RecordState"] = finding.FormatTime(b.clock.Now()), "ARCHIVED"
	b.clock.Advance(time.Minute)
	b.hub.calls = 0
	if err := b.round(t); err != nil || b.active(t) != 30 || b.hub.calls != 1 {
		t.Errorf("%d active after %d calls, %v", b.active(t), b.hub.calls, err)
	}
}

// A round that broke off goes on at its page, in another process too.
func TestARoundThatBrokeOffGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, 30)
	b.hub.failAt = 3
	if err := b.round(t); err == nil {
		t.Fatal("the failure is not told")
	}
	if got := b.active(t); got != 14 {
		t.Errorf("%d after two pages", got)
	}
	b.pull = b.collector(t)
	b.hub.failAt, b.hub.calls = 0, 0
	if err := b.round(t); err != nil || b.active(t) != 30 {
		t.Errorf("%d active, %v", b.active(t), err)
	}
	// Three pages were left, then the reconciliation asks nothing: all is new.
	if b.hub.calls != 3 {
		t.Errorf("%d calls: it did not go on where it was", b.hub.calls)
	}
}

func TestATokenThatEndedStartsTheRoundAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, 10)
	b.hub.failAt = 2
	if err := b.round(t); err == nil {
		t.Fatal("the failure is not told")
	}
	b.hub.failAt, b.hub.stale, b.hub.size = 0, true, 100
	if err := b.round(t); err != nil || b.active(t) != 10 {
		t.Errorf("%d active, %v", b.active(t), err)
	}
}

func TestWhatTheHubNoLongerHasIsArchived(t *testing.T) {
	t.Parallel()
	b := setup(t, 50)
	if err := b.round(t); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(25 * time.Hour)
	b.hub.findings = append(b.hub.findings[:10], b.hub.findings[13:]...)
	if err := b.round(t); err != nil || b.active(t) != 47 || b.pull.Report().Archived != 3 {
		t.Fatalf("%d active, %d archived, %v", b.active(t), b.pull.Report().Archived, err)
	}
	gone, err := b.store.Findings(t.Context(), []finding.ID{{ProductArn: product, Id: "f-0010"}})
	if err != nil || len(gone) != 1 || gone[0].RecordState != "ARCHIVED" || !strings.Contains(string(gone[0].Doc), "no longer has") {
		t.Errorf("%+v %v", gone, err)
	}
	// It comes back: active again.
	b.clock.Advance(time.Minute)
	b.hub.findings = append(b.hub.findings, control(10, finding.FormatTime(b.clock.Now())))
	b.clock.Advance(time.Minute)
	if err := b.round(t); err != nil || b.active(t) != 48 {
		t.Errorf("%d active, %v", b.active(t), err)
	}
}

// A hub that is off, or another's, must not empty the store.
func TestAHubThatMissesManyArchivesFew(t *testing.T) {
	t.Parallel()
	b := setup(t, 400)
	if err := b.round(t); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(25 * time.Hour)
	b.hub.findings = nil
	err := b.round(t)
	if !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	if got := b.active(t); got < 300 {
		t.Errorf("only %d of 400 are active", got)
	}
}

// An answer that lacks a finding because the call failed is no answer.
func TestAFailureArchivesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, 30)
	if err := b.round(t); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(25 * time.Hour)
	b.hub.findings, b.hub.calls, b.hub.failAt = nil, 0, 2 // the first is for updates
	if err := b.round(t); err == nil || b.active(t) != 30 {
		t.Errorf("%d active, %v", b.active(t), err)
	}
}

func TestOneNodeReadsAHub(t *testing.T) {
	t.Parallel()
	b := setup(t, 3)
	if mine, err := b.store.AcquireLease(t.Context(), "hub/hub", "another", time.Minute); !mine || err != nil {
		t.Fatal(mine, err)
	}
	if err := b.round(t); err != nil || b.hub.calls != 0 {
		t.Errorf("%d calls, %v", b.hub.calls, err)
	}
}

// What the hub has of an account or product that the source may not bring is
// kept aside.
func TestAHubSpeaksOnlyForItsAccounts(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.hub.findings[0]["AwsAccountId"] = "222222222222"
	taken := ingest.Source{Name: "hub", Accounts: []string{account}, Products: []string{"aws/securityhub"}}
	raw, err := json.Marshal(b.hub.findings[0])
	if err != nil {
		t.Fatal(err)
	}
	got := taken.Take(func(raw []byte) (ingest.Document, error) {
		m, err := eventbridge.Read(raw)
		return ingest.Document(m), err
	}, raw, "p", b.clock.Now(), false)
	if len(got.Items) != 0 || len(got.Aside) != 1 || got.Aside[0].Code != finding.CodeInvalidAccess {
		t.Errorf("%+v", got)
	}
}
