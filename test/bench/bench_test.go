package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/test/awswall"
)

func TestInFlightCountsOverlapsOnce(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return from.Add(time.Duration(ms) * time.Millisecond) }
	calls := []awswall.Entry{
		{Time: at(50), DurationMS: 20}, // inside the next
		{Time: at(40), DurationMS: 40},
		{Time: at(70), DurationMS: 30}, // overlaps it by 10
		{Time: at(-10), DurationMS: 15},
		{Time: at(190), DurationMS: 50}, // goes on behind the end
	}
	if got, want := inFlight(calls, from, at(200)), 75*time.Millisecond; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTheBestRunCountsAndTheVerdictFollowsTheGoal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		row     Row
		figures []float64
		figure  float64
		ratio   float64
		verdict string
	}{
		{atLeast("a", "a", 100, "x/s"), []float64{50, 150, 120}, 150, 1.5, "better"},
		{atLeast("a", "a", 100, "x/s"), []float64{50}, 50, 0.5, "worse"},
		{atMost("a", "a", 10, "ms"), []float64{12, 8, 9}, 8, 0.8, "better"},
		{atMost("a", "a", 10, "ms"), []float64{12}, 12, 1.2, "worse"},
		{atMost("a", "a", 0, "steps"), []float64{0}, 0, 0, "better"},
		{atMost("a", "a", 0, "steps"), []float64{3}, 3, 3, "worse"},
	} {
		for _, f := range c.figures {
			c.row.set(f, "")
		}
		c.row.settle(nil)
		if c.row.Figure != c.figure || c.row.Ratio != c.ratio || c.row.Verdict != c.verdict || c.row.Error != "" {
			t.Errorf("%v: %+v", c.figures, c.row)
		}
	}
	row := atMost("a", "a", 10, "ms")
	row.settle(errors.New("it broke"))
	if row.Error != "it broke" || row.Verdict != "failed" {
		t.Errorf("%+v", row)
	}
}

func TestRowsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range measurements() {
		for _, r := range m.rows {
			if seen[r.Name] || r.What == "" || r.Unit == "" || m.limit == 0 {
				t.Errorf("row %+v", r)
			}
			seen[r.Name] = true
		}
	}
}

func TestFindingsAndRulesAreValid(t *testing.T) {
	t.Parallel()
	m := newMaker(1)
	for range 50 {
		raw := m.finding(10)
		f, err := finding.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if problems := f.Validate(); problems != nil {
			t.Fatal(problems)
		}
		if len(raw) < 3500 || len(raw) > 4800 {
			t.Errorf("a finding has %d bytes", len(raw))
		}
	}
	for _, s := range ruleSets() {
		for i := range min(200, s.n) {
			if _, err := pattern.Parse([]byte(s.rule(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	row := atLeast("a/b", "what it is", 5000, "x/s")
	row.set(12345, "on %s", "SQLite")
	row.settle(nil)
	var table, raw bytes.Buffer
	for out, format := range map[*bytes.Buffer]string{&table: "table", &raw: "json"} {
		p := newPrinter(out, format)
		p.head(Machine{CPU: "a cpu", Cores: 2})
		p.row(row)
		p.end()
	}
	for _, want := range []string{"12,345", ">= 5,000", "2.47", "better", "on SQLite", "a cpu"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in\n%s", want, table.String())
		}
	}
	var got struct {
		Machine Machine
		Rows    []Row
	}
	if err := json.Unmarshal(raw.Bytes(), &got); err != nil || len(got.Rows) != 1 || got.Rows[0].Figure != 12345 || got.Machine.Cores != 2 {
		t.Errorf("%v %+v", err, got)
	}
}
