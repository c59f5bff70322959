package pattern_test

import (
	"bufio"
	"encoding/json"
	"testing"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

// seeds gives every stride-th pattern and event of the conformance file.
func seeds(tb testing.TB, stride int, add func(p, e string)) {
	tb.Helper()
	lines := bufio.NewScanner(verdicts(tb))
	for n := 0; lines.Scan(); n++ {
		if n%stride != 0 {
			continue
		}
		var c struct{ Pattern, Event string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			tb.Fatal(err)
		}
		add(c.Pattern, c.Event)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	seeds(f, 20, func(p, _ string) { f.Add(p) })
	f.Fuzz(func(t *testing.T, text string) {
		p, err := pattern.Parse([]byte(text))
		if err != nil {
			if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" && len(text) < pattern.MaxPatternBytes && json.Valid([]byte(text)) {
				t.Errorf("refusal %q without code or hint", err)
			}
			return
		}
		again, err := pattern.Parse([]byte(p.String()))
		if err != nil || again.String() != p.String() {
			t.Errorf("the text of a pattern does not parse to itself: %v", err)
		}
	})
}

func FuzzMatch(f *testing.F) {
	seeds(f, 20, func(p, e string) { f.Add(p, e) })
	f.Fuzz(func(t *testing.T, text, event string) {
		_, err := pattern.ParseEvent([]byte(event))
		var object map[string]json.RawMessage
		valid := len(event) <= pattern.MaxEventBytes && json.Unmarshal([]byte(event), &object) == nil && object != nil
		if err == nil && !valid {
			t.Errorf("event %q is accepted, encoding/json says no", event)
		}
		p, err2 := pattern.Parse([]byte(text))
		if err != nil || err2 != nil {
			return
		}
		got, err := p.Match([]byte(event))
		if err != nil {
			if !fault.Is(err, fault.Exhausted) {
				t.Errorf("match: %v", err)
			}
			return
		}
		results, err := p.Explain([]byte(event))
		if err != nil || results[len(results)-1].Met != got {
			t.Errorf("explain says %v, %v; match says %v", results, err, got)
		}
	})
}

// FuzzMatchAgainstNaive makes a small pattern and event from the seed and
// compares with the evaluator of naive_test.go.
func FuzzMatchAgainstNaive(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(againstNaive)
}

func TestMatchAgreesWithNaive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(5000) {
		againstNaive(t, seed)
	}
}

func againstNaive(t *testing.T, seed uint64) {
	t.Helper()
	n := newNaive(seed)
	pat, event := n.pattern(2), n.event()
	text := pat.text()
	p, err := pattern.Parse([]byte(text))
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	got, err := p.Match([]byte(event))
	if err != nil {
		t.Fatalf("match %s: %v", event, err)
	}
	if want := naiveMatch(t, pat, event); got != want {
		t.Errorf("%s on %s = %v, the naive evaluator says %v", text, event, got, want)
	}
}
