package respond_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/respond"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/store/storetest"
)

const (
	hub = "999988887777"
	dev = "111122223333"
	ops = "222233334444"
)

type bench struct {
	*respond.Desk
	db    *store.Store
	clock *service.FixedClock
}

func setup(t *testing.T, edit func(*respond.Config)) bench {
	t.Helper()
	db := storetest.SQLite(t)
	clock, ok := db.Clock().(*service.FixedClock)
	if !ok {
		t.Fatal("the clock stands not still")
	}
	short := casefile.Template{Name: "short", Window: time.Hour}.Filled()
	cfg := respond.Config{
		Store: db, Templates: map[string]casefile.Template{"new": casefile.Default(), "short": short}, Account: hub, Region: "us-east-1", Partition: "aws", Clock: clock,
	}
	if edit != nil {
		edit(&cfg)
	}
	d, err := respond.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return bench{d, db, clock}
}

func report(event string, edit func(*casefile.Report)) []byte {
	r := casefile.Report{
		Template: "new", Rule: "r", Event: event, At: storetest.Start(), Source: "aws.securityhub", DetailType: pattern.FindingsImported, Title: "odd calls", Text: "by somebody",
		Severity: finding.High, Type: "TTPs", Account: dev, Regions: []string{"us-east-1"}, Resources: []string{"i-1"}, Findings: []finding.ID{{ProductArn: "p", Id: event}},
	}
	if edit != nil {
		edit(&r)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return raw
}

func (b bench) handle(t *testing.T, payload []byte) {
	t.Helper()
	if err := b.Handle(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
}

func everybody() respond.Who { return respond.Who{Name: "ana", Accounts: store.AllAccounts()} }

func (b bench) all(t *testing.T) []casefile.Case {
	t.Helper()
	all, _, err := b.Cases(t.Context(), store.CaseFilter{}, everybody(), 100, "")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (b bench) timeline(t *testing.T, id string) (out []string) {
	t.Helper()
	entries, _, err := b.Timeline(t.Context(), id, everybody(), 100, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%d %s %s by %s", e.Seq, e.Kind, e.Text, e.By))
	}
	return out
}

// The first event opens a case, the next on the same resource is appended, and each of
// them once however often it comes.
func TestEventsOfOneIncidentAreOneCase(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for range 2 {
		b.handle(t, report("e1", nil))
		b.handle(t, report("e2", func(r *casefile.Report) { r.Title, r.Severity = "more", finding.Critical }))
	}
	b.handle(t, report("e3", func(r *casefile.Report) { r.Resources = []string{"i-2"} }))
	b.handle(t, report("e4", func(r *casefile.Report) { r.Account = ops }))
	all := b.all(t)
	if len(all) != 3 {
		t.Fatalf("%d cases", len(all))
	}
	c := all[2]
	for _, one := range all {
		if one.Events == 2 {
			c = one
		}
	}
	if c.Severity != finding.Critical || c.Status != casefile.Submitted || len(c.Findings) != 2 || c.CreatedBy != "rule/r" || c.Description != "by somebody" {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff([]string{"1 opened odd calls by rule/r", "2 event more by rule/r"}, b.timeline(t, c.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatComesAfterTheEndOpensAnother(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t, nil), t.Context()
	b.handle(t, report("e1", nil))
	first := b.all(t)[0]
	if _, err := b.Close(ctx, first.ID, casefile.FalsePositive, "a test", everybody()); err != nil {
		t.Fatal(err)
	}
	b.handle(t, report("e1", nil)) // delivered again: it is told
	if n := len(b.all(t)); n != 1 {
		t.Fatalf("%d cases after a repeated delivery", n)
	}
	b.handle(t, report("e2", nil))
	all := b.all(t)
	if len(all) != 2 || all[0].Follows != "" && all[1].Follows != "" {
		t.Errorf("%+v", all)
	}
}

func TestTheWindowOfATemplate(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	short := func(r *casefile.Report) { r.Template = "short" }
	b.handle(t, report("e1", short))
	b.clock.Advance(time.Hour)
	b.handle(t, report("e2", short))
	b.clock.Advance(time.Hour)
	b.handle(t, report("e3", short))
	if all := b.all(t); len(all) != 1 || all[0].Events != 3 {
		t.Fatalf("%+v", all)
	}
	b.clock.Advance(time.Hour + time.Second)
	b.handle(t, report("e4", short))
	all := b.all(t) // the latest first
	if len(all) != 2 || all[0].Follows != all[1].ID || all[0].Events != 1 {
		t.Errorf("%+v", all)
	}
}

// A case that is full is followed by another: no event is lost, and none is told twice.
func TestAFullCaseIsFollowed(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t, nil), t.Context()
	b.handle(t, report("e1", nil))
	c := b.all(t)[0]
	c.Events = casefile.MaxEvents
	c.Entries++
	if err := b.db.UpdateCase(ctx, c, store.CaseWrite{Entry: casefile.Entry{Kind: casefile.Noted}}, store.Effects{}); err != nil {
		t.Fatal(err)
	}
	b.clock.Advance(time.Second)
	for range 2 {
		b.handle(t, report("e2", nil))
		b.handle(t, report("e3", nil))
	}
	all := b.all(t)
	if len(all) != 2 || all[0].Follows != c.ID || all[0].Events != 2 {
		t.Errorf("%+v", all)
	}
}

// Nodes that are told the same at the same time write it once, into one case.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if err := b.Handle(context.Background(), report(fmt.Sprint("e", i/2), nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if all := b.all(t); len(all) != 1 || all[0].Events != 6 || len(b.timeline(t, all[0].ID)) != 6 {
		t.Errorf("%+v", all)
	}
}

func TestEventsAndAuditOfACase(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t, nil), t.Context()
	b.handle(t, report("e1", func(r *casefile.Report) { r.Hops = 2 }))
	id := b.all(t)[0].ID
	for _, err := range []error{
		second(b.Note(ctx, id, "a secret of the response", everybody())), second(b.Move(ctx, id, casefile.Containment, "", everybody())),
		second(b.Close(ctx, id, casefile.Completed, "done", everybody())),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	messages, err := b.db.ClaimMessages(ctx, store.Execution, []string{store.TopicEvent}, 10, "t", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		var e pattern.Envelope
		var d struct{ CaseID, CreatedBy, UpdatedBy, CaseStatus, ClosureCode, Change string }
		if err := errors.Join(json.Unmarshal(m.Payload, &e), json.Unmarshal(e.Detail, &d)); err != nil {
			t.Fatal(err)
		}
		if e.Source != "aws.security-ir" || e.Account != hub || e.Resources[0] != "arn:aws:security-ir:us-east-1:"+hub+":case/"+id || d.CaseID != id || strings.Contains(string(m.Payload), "secret") || e.Parry == nil {
			t.Errorf("%s", m.Payload)
		}
		got = append(got, fmt.Sprintf("%s %s%s %s %s hops %d", e.DetailType, d.CreatedBy, d.UpdatedBy, d.Change, d.ClosureCode, e.Parry.Hops))
	}
	if diff := cmp.Diff([]string{
		"Case Created security-ir.amazonaws.com opened  hops 3", "Case Updated " + hub + " note  hops 0", "Case Updated " + hub + " status  hops 0",
		"Case Closed  closed Investigation Completed hops 0",
	}, got); diff != "" {
		t.Error(diff)
	}
	var audit []string
	records, err := b.db.AuditPending(ctx, store.Execution, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		audit = append(audit, r.Action+" by "+r.Actor)
		if r.Object != id || strings.Contains(string(r.Detail), "secret") {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff([]string{"case.opened by rule/r", "case.noted by ana", "case.moved by ana", "case.closed by ana"}, audit); diff != "" {
		t.Error(diff)
	}
}

func second(_ casefile.Case, err error) error { return err }

// Who has not all accounts of a case neither sees nor changes it, also when an account
// came to it since they last looked.
func TestACaseIsForThoseWhoHaveAllItsAccounts(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t, func(c *respond.Config) {
		c.Templates["new"] = casefile.Template{Name: "new", GroupBy: []casefile.Attribute{casefile.ByType}}.Filled()
	}), t.Context()
	b.handle(t, report("e1", nil))
	id := b.all(t)[0].ID
	asks := func(who respond.Who) map[string]error {
		_, _, timeline := b.Timeline(ctx, id, who, 10, "")
		return map[string]error{
			"show": second(b.Case(ctx, id, who)), "timeline": timeline, "note": second(b.Note(ctx, id, "x", who)),
			"move": second(b.Move(ctx, id, casefile.Detection, "", who)), "close": second(b.Close(ctx, id, "", "", who)),
		}
	}
	mine := respond.Who{Name: "dan", Accounts: []string{dev}}
	if err := second(b.Note(ctx, id, "x", mine)); err != nil {
		t.Fatal(err)
	}
	b.handle(t, report("e2", func(r *casefile.Report) { r.Account = ops }))
	if n := len(b.all(t)); n != 1 {
		t.Fatalf("%d cases", n)
	}
	for name, who := range map[string]respond.Who{"one of two": mine, "another": {Name: "x", Accounts: []string{"333344445555"}}, "none": {Name: "x"}, "a case id": {Name: "x", Accounts: []string{id}}} {
		for verb, err := range asks(who) {
			if !fault.Is(err, fault.NotFound) {
				t.Errorf("%s %s: %v", name, verb, err)
			}
		}
		if found, _, err := b.Cases(ctx, store.CaseFilter{}, respond.Who{Accounts: append([]string{}, who.Accounts...)}, 10, ""); err != nil || len(found) > 0 {
			t.Errorf("%s lists %v, %v", name, found, err)
		}
	}
	if err := second(b.Case(ctx, id, respond.Who{Accounts: []string{ops, dev}})); err != nil {
		t.Error(err)
	}
}

func TestPeopleOpenCases(t *testing.T) {
	t.Parallel()
	b, ctx := setup(t, func(c *respond.Config) { c.MaxOpen = 2 }), t.Context()
	n := respond.NewCase{Title: "t", Description: "d", Accounts: []string{dev}}
	who := respond.Who{Name: "dan", Accounts: []string{dev}}
	c, err := b.Open(ctx, n, who)
	if err != nil || c.Severity != finding.Medium || c.Engagement != casefile.Incident || !casefile.ValidID(c.ID) {
		t.Fatalf("%+v %v", c, err)
	}
	for name, one := range map[string]struct {
		edit func(*respond.NewCase)
		code fault.Code
	}{
		"foreign account": {func(n *respond.NewCase) { n.Accounts = []string{dev, ops} }, fault.Denied},
		"no account":      {func(n *respond.NewCase) { n.Accounts = nil }, fault.Denied},
		"no title":        {func(n *respond.NewCase) { n.Title = "" }, fault.Invalid},
		"in the future":   {func(n *respond.NewCase) { n.ReportedAt = b.clock.Now().Add(time.Hour) }, fault.Invalid},
		"severity":        {func(n *respond.NewCase) { n.Severity = "x" }, fault.Invalid},
	} {
		ask := n
		one.edit(&ask)
		if _, err := b.Open(ctx, ask, who); !fault.Is(err, one.code) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ask := n
	ask.Accounts = nil
	if _, err := b.Open(ctx, ask, everybody()); err != nil {
		t.Errorf("somebody who has all accounts: %v", err)
	}
	if _, err := b.Open(ctx, n, who); !fault.Is(err, fault.Exhausted) || fault.HintOf(err) == "" {
		t.Errorf("too many: %v", err)
	}
	if err := b.Handle(ctx, report("e1", nil)); !fault.Is(err, fault.Exhausted) || fault.IsTerminal(err) {
		t.Errorf("too many by a rule: %v", err)
	}
}

func TestWhatPeopleCannotDo(t *testing.T) {
	t.Parallel()
	b, ctx, ana := setup(t, nil), t.Context(), everybody()
	b.handle(t, report("e1", nil))
	id := b.all(t)[0].ID
	long := strings.Repeat("x", casefile.MaxNote+1)
	for name, one := range map[string]struct {
		err  error
		code fault.Code
	}{
		"empty note":      {second(b.Note(ctx, id, " \n", ana)), fault.Invalid},
		"long note":       {second(b.Note(ctx, id, long, ana)), fault.Invalid},
		"escape":          {second(b.Note(ctx, id, "\x1b]0;x\a", ana)), fault.Invalid},
		"no status":       {second(b.Move(ctx, id, "Eradicated", "", ana)), fault.Invalid},
		"back":            {second(b.Move(ctx, id, casefile.Submitted, "", ana)), fault.Conflict},
		"close by status": {second(b.Move(ctx, id, casefile.Closed, "", ana)), fault.Invalid},
		"long reason":     {second(b.Move(ctx, id, casefile.Detection, long, ana)), fault.Invalid},
		"no code":         {second(b.Close(ctx, id, "", "", ana)), fault.Invalid},
		"unknown case":    {second(b.Note(ctx, "1000000000", "x", ana)), fault.NotFound},
		"no case id":      {second(b.Note(ctx, "../x", "x", ana)), fault.NotFound},
	} {
		if !fault.Is(one.err, one.code) || fault.HintOf(one.err) == "" && one.code != fault.Invalid {
			t.Errorf("%s: %v (hint %q)", name, one.err, fault.HintOf(one.err))
		}
	}
	if _, err := b.Close(ctx, id, casefile.Duplicate, "", ana); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"note": second(b.Note(ctx, id, "x", ana)), "move": second(b.Move(ctx, id, casefile.Detection, "", ana)), "close": second(b.Close(ctx, id, casefile.Completed, "", ana)),
	} {
		if !fault.Is(err, fault.Conflict) || fault.HintOf(err) == "" {
			t.Errorf("%s when closed: %v", name, err)
		}
	}
	if got := b.timeline(t, id); len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestReportsThatAreNone(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for name, payload := range map[string][]byte{
		"no JSON": []byte("x"), "no event": []byte(`{"template":"new"}`), "no template": report("e", func(r *casefile.Report) { r.Template = "gone" }),
		"invalid": report("e", func(r *casefile.Report) { r.Resources = []string{strings.Repeat("x", 999)} }),
	} {
		if err := b.Handle(t.Context(), payload); !fault.IsTerminal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(b.all(t)); n != 0 {
		t.Errorf("%d cases", n)
	}
	if _, err := respond.New(respond.Config{}); !fault.Is(err, fault.Internal) {
		t.Errorf("%v", err)
	}
}
