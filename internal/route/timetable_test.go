package route_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/route"
	"github.com/parry-security/parry/internal/target"
)

// marks keeps the state of a timetable, and who may keep it.
type marks struct {
	raw    []byte
	holder string
}

func (m *marks) AcquireLease(_ context.Context, _, node string, _ time.Duration) (bool, error) {
	if m.holder == "" {
		m.holder = node
	}
	return m.holder == node, nil
}

func (m *marks) SourceState(_ context.Context, _ string, v any) error {
	if m.raw == nil {
		return nil
	}
	return json.Unmarshal(m.raw, v)
}

func (m *marks) PutSourceState(_ context.Context, _ string, v any) (err error) {
	m.raw, err = json.Marshal(v)
	return err
}

// timetable is one over an exchange in which its rules are in force.
func (c *counter) timetable(m *marks, node string, rules ...route.StoredRule) *route.Timetable {
	var forced []route.BusRule
	for _, r := range rules {
		forced = append(forced, route.BusRule{Bus: r.Bus, Name: r.Name, ARN: r.ARN, Rev: "1", Targets: r.Targets})
	}
	c.Use([]string{"default"}, forced, nil)
	t := &route.Timetable{Store: m, Exchange: c.Exchange, Node: node, Clock: c.clock, Logger: slog.New(slog.DiscardHandler)}
	t.Use(rules)
	return t
}

func (c *counter) scheduled(name, expression string) route.StoredRule {
	return route.StoredRule{
		Bus: "default", Name: name, CreatedAt: c.clock.Now(), State: route.StateEnabled, Schedule: expression,
		ARN: "arn:aws:events:eu-west-1:111122223333:rule/" + name, Targets: []target.Target{{ID: "t0", ARN: logARN}},
	}
}

// minutes fires every second for so long and gives what was fired, as rule and time.
func (c *counter) minutes(t *testing.T, n int, tables ...*route.Timetable) []string {
	t.Helper()
	for range n * 60 {
		c.clock.Advance(time.Second)
		for _, table := range tables {
			if err := table.Fire(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var out []string
	for _, p := range c.posted {
		out = append(out, p.Targets[0].Rule+" "+p.At.Format("15:04:05"))
	}
	c.posted = nil
	slices.Sort(out)
	return out
}

func TestSchedulesAreKept(t *testing.T) {
	t.Parallel()
	c := newCounter(t) // noon
	m := &marks{}
	rules := []route.StoredRule{c.scheduled("rate", "rate(2 minutes)"), c.scheduled("cron", "cron(3 12 * * ? *)"), c.scheduled("broken", "rate(0 minutes)")}
	one, two := c.timetable(m, "one", rules...), c.timetable(m, "two", rules...)
	got := c.minutes(t, 5, one, two)
	if diff := cmp.Diff([]string{"default/cron 12:03:00", "default/rate 12:02:00", "default/rate 12:04:00"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.holder = "two" // the first died
	if diff := cmp.Diff([]string{"default/rate 12:06:00", "default/rate 12:08:00"}, c.minutes(t, 4, two)); diff != "" {
		t.Errorf("taken over (-want +got):\n%s", diff)
	}
	c.clock.Advance(time.Hour)
	if diff := cmp.Diff([]string{"default/rate 13:10:00"}, c.minutes(t, 2, two)); diff != "" {
		t.Errorf("nothing ran for an hour (-want +got):\n%s", diff)
	}
	two.Use(nil)
	if got := c.minutes(t, 3, two); len(got) > 0 {
		t.Errorf("without rules: %v", got)
	}
}

func TestAScheduledEventHasEventBridgesForm(t *testing.T) {
	t.Parallel()
	c := newCounter(t)
	table := c.timetable(&marks{}, "one", c.scheduled("rate", "rate(1 minute)"))
	for range 61 {
		c.clock.Advance(time.Second)
		if err := table.Fire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"version":"0","id":"id-1","detail-type":"Scheduled Event","source":"aws.events","account":"111122223333","time":"2026-11-30T12:01:00Z","region":"eu-west-1",` +
		`"resources":["arn:aws:events:eu-west-1:111122223333:rule/rate"],"detail":{}}`
	if len(c.posted) != 1 || string(c.posted[0].Text) != want {
		t.Errorf("posted %d: %s", len(c.posted), c.posted[0].Text)
	}
}

// TestWhatIsDueOnceIsKeptLate: nobody waits for the next time of an at, which does not come.
func TestWhatIsDueOnceIsKeptLate(t *testing.T) {
	t.Parallel()
	c := newCounter(t) // noon
	m := &marks{}
	once, zoned := c.scheduled("once", "at(2026-11-30T12:02:30)"), c.scheduled("zoned", "at(2026-11-30T13:40:00) Europe/Zurich")
	changed := c.scheduled("changed", "at(2026-11-30T12:30:00)")
	changed.UpdatedAt = c.clock.Now().Add(45 * time.Minute) // it was off when it was due
	table := c.timetable(m, "one", once, zoned, changed)
	if diff := cmp.Diff([]string{"default/once 12:02:30"}, c.minutes(t, 5, table)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.clock.Advance(time.Hour) // nothing ran
	if diff := cmp.Diff([]string{"default/zoned 12:40:00"}, c.minutes(t, 5, c.timetable(m, "one", once, zoned, changed))); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
}
