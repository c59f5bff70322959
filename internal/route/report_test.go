package route_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/casefile"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/store"
)

func caseStage(t *testing.T, s *fakeStore, rules ...route.Rule) *route.Stage {
	t.Helper()
	again := casefile.Template{Name: "again", Replays: true}.Filled()
	st, err := route.New(route.Config{Store: s, Table: route.Compile(rules, route.Known{}), Cases: map[string]casefile.Template{"new": casefile.Default(), "again": again}})
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func opens(template string) route.Rule {
	return route.Rule{ID: "open", Enabled: true, Pattern: s38.Pattern, Targets: []route.Target{{Kind: route.Case, Name: template}}}
}

func (f *fakeStore) reports(t *testing.T) []casefile.Report {
	t.Helper()
	var out []casefile.Report
	for _, m := range f.sent {
		var r casefile.Report
		if err := json.Unmarshal(m.Payload, &r); m.Topic != store.TopicCase || err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		if m.ID != "case-"+r.Key() {
			t.Errorf("message id %q does not follow from the report", m.ID)
		}
		out = append(out, r)
	}
	return out
}

// Each finding that the rule selects is a report of its own; its neighbours are not.
func TestFindingsAreReportedOneByOne(t *testing.T) {
	t.Parallel()
	s := &fakeStore{}
	st := caseStage(t, s, opens("new"))
	text := event(t, nil, report{id: "f1"}, report{id: "f2", control: "EC2.1"}, report{id: "f3"})
	for range 2 { // and once, however often the event comes
		if err := st.Handle(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range s.reports(t) {
		got = append(got, r.Findings[0].Id+" "+r.Account+" "+r.Template+" "+r.Rule+" "+r.Title)
	}
	if diff := cmp.Diff([]string{"f1 111122223333 new open bucket is public", "f3 111122223333 new open bucket is public"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhichEventsOpenCases(t *testing.T) {
	t.Parallel()
	every := json.RawMessage(`{"source":[{"prefix":""}]}`)
	for name, c := range map[string]struct {
		template string
		change   func(e *bus.Event)
		want     int
	}{
		"a finding":                {"new", nil, 1},
		"about Parry's work":       {"new", func(e *bus.Event) { e.Source, e.Parry = pattern.SourceParry, &pattern.Cause{By: "x", Hops: 1} }, 1},
		"about a case":             {"again", func(e *bus.Event) { e.Source, e.DetailType = pattern.SourceSecurityIR, pattern.CaseCreated }, 0},
		"a finding in OCSF":        {"new", func(e *bus.Event) { e.DetailType = pattern.FindingsImportedV2 }, 0},
		"replayed":                 {"new", func(e *bus.Event) { e.ReplayName = "r" }, 0},
		"replayed, and chosen":     {"again", func(e *bus.Event) { e.ReplayName = "r" }, 1},
		"passed too many rules":    {"new", func(e *bus.Event) { e.Parry = &pattern.Cause{By: "x", Hops: 9} }, 0},
		"of somebody's own source": {"new", func(e *bus.Event) { e.Source = "shop" }, 1},
	} {
		s := &fakeStore{}
		r := opens(c.template)
		r.Pattern = every
		if err := caseStage(t, s, r).Handle(t.Context(), event(t, c.change, report{})); err != nil {
			t.Fatal(err)
		}
		if got := s.reports(t); len(got) != c.want {
			t.Errorf("%s: %d reports, want %d", name, len(got), c.want)
		}
	}
}

// What somebody put names no finding, and is of no account but its own.
func TestWhoPutsEventsSpeaksForNoOtherAccount(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"shop", "Aws", "parry2"} {
		s := &fakeStore{}
		r := opens("new")
		r.Pattern = json.RawMessage(`{"source":[{"prefix":""}]}`)
		text := event(t, func(e *bus.Event) { e.Source, e.Account = source, "222233334444" }, report{})
		if err := caseStage(t, s, r).Handle(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		got := s.reports(t)
		if len(got) != 1 || got[0].Account != "222233334444" || len(got[0].Findings) > 0 || got[0].Severity != "" {
			t.Errorf("%s: %+v", source, got)
		}
	}
}

func TestACaseNeedsATemplate(t *testing.T) {
	t.Parallel()
	none := route.Known{Case: func(name string) bool { return name == "new" }}
	if got := route.Compile([]route.Rule{opens("other")}, none).Refusals(); len(got) != 1 || !fault.Is(got[0].Err, fault.NotFound) {
		t.Errorf("%v", got)
	}
	if got := route.Compile([]route.Rule{opens("new")}, none).Refusals(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	s := &fakeStore{}
	if err := caseStage(t, s, opens("gone")).Handle(t.Context(), event(t, nil, report{})); !fault.IsTerminal(err) {
		t.Errorf("%v", err)
	}
}
