package route_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/target"
)

// counter is an exchange whose targets write down what they are sent.
type counter struct {
	*route.Exchange
	clock  *service.FixedClock
	posted []*bus.Posted
	sent   []string // rule/target input
}

func (c *counter) Post(_ context.Context, events []*bus.Posted) error {
	c.posted = append(c.posted, events...)
	return nil
}

func newCounter(t testing.TB) *counter {
	t.Helper()
	return newCounterWith(t, func(*route.ExchangeConfig) {})
}

func newCounterWith(t testing.TB, edit func(*route.ExchangeConfig)) *counter {
	t.Helper()
	c := &counter{clock: service.NewFixedClock(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))}
	n := 0
	cfg := route.ExchangeConfig{
		Poster: c, Clock: c.clock, IDs: func() string { n++; return fmt.Sprintf("id-%d", n) },
		Open: func(_ route.BusRule, t target.Target) (route.Outlet, error) {
			if strings.Contains(t.ARN, ":missing") {
				return route.Outlet{}, fault.Errorf(fault.NotFound, "open", "there is no such target")
			}
			return route.Outlet{Address: t.ARN, Changes: strings.Contains(t.ARN, ":playbook/"), Send: func(_ context.Context, p route.Parcel) error {
				c.sent = append(c.sent, p.Ref.Rule+"/"+p.Ref.Target+" "+string(p.Input))
				return nil
			}}, nil
		},
	}
	edit(&cfg)
	x, err := route.NewExchange(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.Exchange = x
	return c
}

func busRule(on, name, text string, targets ...string) route.BusRule {
	r := route.BusRule{Bus: on, Name: name, ARN: "arn:aws:events:us-east-1:111122223333:rule/" + name, Rev: "1", Pattern: text}
	for i, arn := range targets {
		r.Targets = append(r.Targets, target.Target{ID: fmt.Sprintf("t%d", i), ARN: arn})
	}
	return r
}

const (
	logARN      = "arn:aws:parry:us-east-1:111122223333:log/a"
	playbookARN = "arn:aws:parry:us-east-1:111122223333:playbook/S3.8"
	missingARN  = "arn:aws:parry:us-east-1:111122223333:missing"
	ofShop      = `{"source":["shop"]}`
)

func entry(source, detail string) route.Entry {
	text, _ := pattern.ValidateString(detail) // what is wrong is a detail that is missing
	return route.Entry{Source: source, DetailType: "Order", Account: "111122223333", Region: "us-east-1", Detail: text}
}

func (c *counter) put(t *testing.T, on string, entries ...route.Entry) []string {
	t.Helper()
	ids, err := c.Put(t.Context(), on, entries)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// refs gives where what was posted goes, and forgets it.
func (c *counter) refs() []string {
	var out []string
	for _, p := range c.posted {
		for _, r := range p.Targets {
			out = append(out, r.Rule+"/"+r.Target)
		}
		for _, a := range p.Archives {
			out = append(out, "archive "+a)
		}
	}
	c.posted = nil
	slices.Sort(out)
	return out
}

func TestAnEventGoesWhereItsRulesSay(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	refusals := c.Use([]string{"default", "orders"}, []route.BusRule{
		busRule("default", "all", ofShop, logARN, playbookARN), busRule("default", "large", `{"detail":{"n":[{"numeric":[">",10]}]}}`, logARN),
		busRule("orders", "all", ofShop, logARN), busRule("default", "none", `{"source":["other"]}`, logARN),
	}, []route.BusArchive{{Bus: "default", Name: "shop", Rev: "1", Pattern: ofShop}, {Bus: "default", Name: "every", Rev: "1"}, {Bus: "orders", Name: "orders", Rev: "1"}})
	if len(refusals) > 0 {
		t.Fatal(refusals)
	}
	for _, step := range []struct {
		on, source, detail string
		want               []string
	}{
		{"default", "shop", `{"n":1}`, []string{"archive every", "archive shop", "default/all/t0", "default/all/t1"}},
		{"default", "shop", `{"n":11}`, []string{"archive every", "archive shop", "default/all/t0", "default/all/t1", "default/large/t0"}},
		{"default", "bank", `{}`, []string{"archive every"}},
		{"orders", "shop", `{"n":11}`, []string{"archive orders", "orders/all/t0"}},
	} {
		c.put(t, step.on, entry(step.source, step.detail))
		if diff := cmp.Diff(step.want, c.refs()); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", step.source, step.on, diff)
		}
	}
	if _, err := c.Put(t.Context(), "gone", []route.Entry{entry("shop", `{}`)}); !fault.Is(err, fault.NotFound) {
		t.Errorf("put on a bus that is not there: %v", err)
	}
}

func TestAnEventHasEventBridgesForm(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", ofShop, logARN)}, nil)
	e := entry("shop", `{"a": "<b>", "n": 1.50}`)
	e.DetailType, e.Resources, e.Time = `a "quoted" type`, []string{"arn:aws:s3:::x", "y"}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	ids := c.put(t, "default", e)
	want := `{"version":"0","id":"id-1","detail-type":"a \"quoted\" type","source":"shop","account":"111122223333","time":"2026-01-02T03:04:05Z","region":"us-east-1",` +
		`"resources":["arn:aws:s3:::x","y"],"detail":{"a": "<b>", "n": 1.50}}`
	if got := string(c.posted[0].Text); got != want || ids[0] != "id-1" {
		t.Errorf("id %s, event\n%s, want\n%s", ids[0], got, want)
	}
	e.Source = "\xff"
	if _, err := c.Put(t.Context(), "default", []route.Entry{e}); !fault.Is(err, fault.Invalid) {
		t.Errorf("bytes that are no text: %v", err)
	}
	if _, err := c.Put(t.Context(), "default", []route.Entry{entry("shop", `{}`), entry("shop", `{"a":}`)}); !fault.Is(err, fault.Invalid) || len(c.posted) != 1 {
		t.Errorf("a detail that is no JSON: %v, posted %d", err, len(c.posted))
	}
}

// TestARuleChangesInOneStep: an event that meets the pattern of one state of a rule never
// goes to the target of another.
func TestARuleChangesInOneStep(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	var others []route.BusRule // make a change take its time
	for i := range 50 {
		others = append(others, busRule("default", fmt.Sprint("other-", i), `{"source":["other"]}`, logARN))
	}
	stop, changing := make(chan struct{}), sync.WaitGroup{}
	changing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r := busRule("default", "a", ofShop, logARN)
			if i%2 == 0 {
				r = busRule("default", "a", `{"source":["bank"]}`, playbookARN)
			}
			r.Rev = fmt.Sprint(i)
			for n := range others {
				others[n].Rev = r.Rev
			}
			c.Use([]string{"default"}, append([]route.BusRule{r}, others...), nil)
		}
	})
	logged := 0
	for range 2000 {
		if _, err := c.Put(t.Context(), "default", []route.Entry{entry("shop", `{}`)}); err != nil && !fault.Is(err, fault.NotFound) {
			t.Error(err)
		}
		for _, p := range c.posted {
			logged++
			if p.Targets[0].Address != logARN {
				t.Errorf("an event of the shop goes to %s", p.Targets[0].Address)
			}
		}
		c.posted = nil
	}
	close(stop)
	changing.Wait()
	if logged == 0 {
		t.Error("nothing was sent")
	}
}

func TestWhatIsInForceFollowsTheRules(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	see := func(what string, rules []route.BusRule, archives []route.BusArchive, want ...string) {
		t.Helper()
		c.Use([]string{"default"}, rules, archives)
		c.put(t, "default", entry("shop", `{}`))
		if diff := cmp.Diff(want, c.refs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	a, b := busRule("default", "a", ofShop, logARN), busRule("default", "b", ofShop, logARN)
	see("one", []route.BusRule{a}, nil, "default/a/t0")
	see("two", []route.BusRule{a, b}, nil, "default/a/t0", "default/b/t0")
	other := a
	other.Rev, other.Pattern = "2", `{"source":["bank"]}`
	see("a pattern that changed", []route.BusRule{other, b}, nil, "default/b/t0")
	more := b
	more.Rev, more.Targets = "2", append(slices.Clone(b.Targets), target.Target{ID: "t1", ARN: logARN})
	see("a target more", []route.BusRule{other, more}, nil, "default/b/t0", "default/b/t1")
	see("one removed", []route.BusRule{other}, nil)
	see("and made again", []route.BusRule{other, b}, []route.BusArchive{{Bus: "default", Name: "x", Rev: "1"}}, "archive x", "default/b/t0")
	see("the archive's pattern", []route.BusRule{b}, []route.BusArchive{{Bus: "default", Name: "x", Rev: "2", Pattern: `{"source":["bank"]}`}}, "default/b/t0")
	see("nothing", nil, nil)
	if _, ok := c.Target(bus.Ref{Rule: "default/b", Target: "t0"}); ok {
		t.Error("a removed rule still delivers")
	}
}

func TestWhatIsWrongIsRefusedAlone(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	refusals := c.Use([]string{"default"}, []route.BusRule{
		busRule("default", "broken", `{"source":"shop"}`, logARN), busRule("default", "half", ofShop, missingARN, logARN), busRule("default", "whole", ofShop, logARN),
	}, []route.BusArchive{{Bus: "default", Name: "broken", Rev: "1", Pattern: `[]`}})
	if len(refusals) != 3 {
		t.Errorf("refusals: %v", refusals)
	}
	c.put(t, "default", entry("shop", `{}`))
	if diff := cmp.Diff([]string{"default/half/t1", "default/whole/t0"}, c.refs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnEventInCirclesIsStopped(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", `{"source":[{"prefix":""}]}`, logARN, playbookARN)}, nil)
	c.put(t, "default", entry("shop", `{}`))
	event := c.posted[0].Text
	c.posted = nil
	for hop := 1; hop <= 6; hop++ {
		if err := c.Forward(t.Context(), "default", "default/all", event); err != nil {
			t.Fatal(err)
		}
		want := []string{"default/all/t0"} // never the playbook
		if hop > route.DefaultMaxHops {
			want = nil
		} else {
			event = c.posted[0].Text
			var e bus.Event
			if err := json.Unmarshal(event, &e); err != nil || e.Parry.Hops != hop || e.Parry.By != "rule/default/all" || e.ID != "id-1" {
				t.Fatalf("hop %d: %s", hop, event)
			}
		}
		if diff := cmp.Diff(want, c.refs()); diff != "" {
			t.Errorf("hop %d (-want +got):\n%s", hop, diff)
		}
	}
	for name, err := range map[string]error{
		"no event": c.Forward(t.Context(), "default", "r", []byte(`{"a":1}`)), "no bus": c.Forward(t.Context(), "gone", "r", event),
	} {
		if !fault.IsTerminal(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARuleThatAnswersItselfRests(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", `{"source":["parry"]}`, logARN)}, nil)
	own, err := json.Marshal(bus.Event{Version: "0", ID: "x", Source: "parry", DetailType: "d", Time: c.clock.Now(), Detail: json.RawMessage(`{}`), Parry: &pattern.Cause{By: "parry", Hops: 1}})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(n int) int {
		for range n {
			if err := c.Publish(t.Context(), own); err != nil {
				t.Fatal(err)
			}
		}
		return len(c.refs())
	}
	if n := publish(1000); n != 600 {
		t.Errorf("%d of 1,000 events in a minute were taken", n)
	}
	if d := c.Drops("default", "all"); d.Events != 400 || !d.At.Equal(c.clock.Now()) || !strings.Contains(d.Reason, "a loop") {
		t.Errorf("dropped: %+v", d)
	}
	if d := c.Drops("default", "none"); d != (route.Drops{}) || c.Drops("none", "all") != d {
		t.Errorf("a rule that is not there dropped %+v", d)
	}
	c.clock.Advance(time.Minute)
	if n := publish(10); n != 10 {
		t.Errorf("%d of 10 events of the next minute were taken", n)
	}
}

// TestStatesOfRemediationsChangeNothing: they are Parry's own work, which leads to no other,
// however many there are; only what tells of them gets them.
func TestStatesOfRemediationsChangeNothing(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "all", `{"source":["parry"]}`, logARN, playbookARN)}, nil)
	state := fmt.Appendf(nil, `{"version":"0","id":"x","source":"parry","detail-type":%q,"time":"2026-11-30T11:00:00Z","detail":{}}`, pattern.RemediationChanged)
	for range 1000 {
		if err := c.Publish(t.Context(), state); err != nil {
			t.Fatal(err)
		}
	}
	refs := c.refs()
	if n := len(refs); n != 1000 || slices.Contains(refs, "default/all/t1") {
		t.Errorf("%d deliveries, such as to %s", n, refs[n-1])
	}
}

func TestOwnEventsPassTheBus(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	finding := `{"version":"0","id":"f-1","source":"aws.securityhub","detail-type":"Security Hub Findings - Imported","time":"2026-11-30T11:00:00Z","detail":{"findings":[]}}`
	replayed := strings.Replace(finding, `"id":"f-1"`, `"id":"f-2","parry":{"by":"parry/x","hops":0}`, 1)
	if err := c.Publish(t.Context(), []byte(finding)); err != nil || len(c.posted) > 0 {
		t.Fatalf("without rules: %v, %d posted", err, len(c.posted))
	}
	c.Use([]string{"default"}, []route.BusRule{busRule("default", "hub", `{"source":["aws.securityhub"]}`, playbookARN, logARN)}, []route.BusArchive{{Bus: "default", Name: "x", Rev: "1"}})
	if err := c.Publish(t.Context(), []byte("["+finding+","+replayed+"]")); err != nil {
		t.Fatal(err)
	}
	if at := c.posted[0].At; !at.Equal(time.Date(2026, 11, 30, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("the event's time is %s", at)
	}
	if diff := cmp.Diff([]string{"archive x", "archive x", "default/hub/t0", "default/hub/t1", "default/hub/t1"}, c.refs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTransformersFillInAsAWSDoesWhereAsked: as AWS does it, what an event says can become
// members of what a target is sent; never of what leads to a change.
func TestTransformersFillInAsAWSDoesWhereAsked(t *testing.T) {
	t.Parallel()
	const hostile = `{"who":"x\", \"admin\": \"yes"}`
	for aws, want := range map[bool][]string{
		false: {`default/all/t0 {"who": "x\", \"admin\": \"yes", "gone": null}`, `default/all/t1 {"who": "x\", \"admin\": \"yes", "gone": null}`},
		true:  {`default/all/t0 {"who": "x", "admin": "yes", "gone": }`, `default/all/t1 {"who": "x\", \"admin\": \"yes", "gone": null}`},
	} {
		c := newCounterWith(t, func(cfg *route.ExchangeConfig) { cfg.AWSTransformers = aws })
		r := busRule("default", "all", ofShop, logARN, playbookARN)
		for i := range r.Targets {
			r.Targets[i].InputTransformer = &target.InputTransformer{InputPathsMap: map[string]string{"w": "$.detail.who", "g": "$.detail.gone"}, InputTemplate: `{"who": "<w>", "gone": <g>}`}
		}
		c.Use([]string{"default"}, []route.BusRule{r}, nil)
		c.put(t, "default", entry("shop", hostile))
		for _, ref := range c.posted[0].Targets {
			to, _ := c.Target(ref)
			if err := to.Send(t.Context(), bus.Letter{Ref: ref, Text: c.posted[0].Text, Bus: "default"}); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(want, c.sent); diff != "" {
			t.Errorf("as AWS: %v (-want +got):\n%s", aws, diff)
		}
	}
}

func TestATargetGetsItsInput(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	r := busRule("default", "all", ofShop, logARN, logARN)
	r.Targets[0].InputPath = "$.detail"
	r.Targets[1].InputTransformer = &target.InputTransformer{InputPathsMap: map[string]string{"n": "$.detail.n"}, InputTemplate: `{"number":<n>,"rule":"<aws.events.rule-name>"}`}
	c.Use([]string{"default"}, []route.BusRule{r}, nil)
	c.put(t, "default", entry("shop", `{"n":1}`))
	for _, ref := range c.posted[0].Targets {
		to, ok := c.Target(ref)
		if !ok {
			t.Fatal(ref)
		}
		if err := to.Send(t.Context(), bus.Letter{Ref: ref, Text: c.posted[0].Text, Bus: "default"}); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{`default/all/t0 {"n":1}`, `default/all/t1 {"number":1,"rule":"all"}`}, c.sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if id := (route.Parcel{Letter: bus.Letter{Text: c.posted[0].Text}}).ID(); id != "id-1" {
		t.Errorf("id %q", id)
	}
}

// TestPace: what an address takes now counts for the next delivery, without a new rule.
func TestPace(t *testing.T) {
	t.Parallel()
	pace, limit := 0.0, 0.0
	x, err := route.NewExchange(route.ExchangeConfig{
		Poster: newCounter(t), Clock: service.NewFixedClock(time.Unix(0, 0)),
		Open: func(route.BusRule, target.Target) (route.Outlet, error) {
			return route.Outlet{Limits: bus.Limits{Rate: limit, Concurrency: 3}, Pace: func() float64 { return pace }}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ limit, pace, want float64 }{{0, 0, 0}, {0, 5, 5}, {2, 5, 2}, {9, 5, 5}, {9, 0, 9}} {
		limit, pace = c.limit, 1000
		r := busRule("default", "r", ofShop, logARN)
		r.Rev = fmt.Sprint(i)
		if refusals := x.Use([]string{"default"}, []route.BusRule{r}, nil); len(refusals) > 0 {
			t.Fatal(refusals)
		}
		pace = c.pace
		if got, ok := x.Target(bus.Ref{Rule: "default/r", Target: "t0"}); !ok || got.Rate != c.want || got.Concurrency != 3 {
			t.Errorf("%+v: %v a second", c, got.Rate)
		}
	}
}
