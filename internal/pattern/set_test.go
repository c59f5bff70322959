package pattern_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

func text(tb testing.TB, s string) pattern.Text {
	tb.Helper()
	t, err := pattern.Validate([]byte(s))
	if err != nil {
		tb.Fatalf("%s: %v", s, err)
	}
	return t
}

// verdict is a line of the conformance file.
type verdict struct {
	ID, Pattern, Event, Quirk string
	Match, Error              bool
	EventError                bool `json:"event_error"`
}

func allVerdicts(tb testing.TB) []verdict {
	tb.Helper()
	var out []verdict
	lines := bufio.NewScanner(verdicts(tb))
	for lines.Scan() {
		var v verdict
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			tb.Fatal(err)
		}
		if !v.Error && !v.EventError && v.Quirk == "" {
			out = append(out, v)
		}
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return out
}

// TestEveryVerdictBySets asks a set for every verdict of the reference: of the one
// pattern alone, and of all patterns of the file together, loaded at once and added
// one after the other.
func TestEveryVerdictBySets(t *testing.T) {
	t.Parallel()
	all := allVerdicts(t)
	var together, grown pattern.Set
	var load []pattern.Named
	seen := map[string]bool{}
	for _, v := range all {
		if !seen[v.Pattern] {
			seen[v.Pattern] = true
			load = append(load, pattern.Named{Name: v.Pattern, Pattern: parse(t, v.Pattern)})
		}
	}
	if err := together.Replace(load); err != nil {
		t.Fatal(err)
	}
	for _, n := range load {
		if err := grown.Add(n.Name, n.Pattern); err != nil {
			t.Fatal(err)
		}
	}
	if together.Len() != len(load) || grown.Len() != len(load) {
		t.Errorf("sets of %d and %d patterns, want %d", together.Len(), grown.Len(), len(load))
	}
	for _, v := range all {
		e := text(t, v.Event)
		var alone pattern.Set
		if err := alone.Add(v.Pattern, parse(t, v.Pattern)); err != nil {
			t.Fatal(err)
		}
		for name, s := range map[string]*pattern.Set{"alone": &alone, "together": &together, "grown": &grown} {
			names, err := s.Match(e, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(names, v.Pattern); got != v.Match {
				t.Errorf("%s, %s: %s on %s = %v, want %v", v.ID, name, v.Pattern, v.Event, got, v.Match)
			}
		}
	}
}

// agree compares a set with its patterns asked one by one.
func agree(t *testing.T, s *pattern.Set, all []pattern.Named, event string) {
	t.Helper()
	e, err := pattern.ParseEvent([]byte(event))
	if err != nil {
		t.Fatalf("%s: %v", event, err)
	}
	var want, failed []string
	for _, n := range all {
		ok, err := n.Pattern.MatchEvent(e)
		if err != nil {
			failed = append(failed, n.Name)
		}
		if ok {
			want = append(want, n.Name)
		}
	}
	got, err := s.Match(text(t, event), nil)
	if err != nil && len(failed) == 0 {
		t.Fatalf("%s: %v", event, err)
	}
	if diff := cmp.Diff(want, got); diff != "" && len(failed) == 0 {
		t.Errorf("%s (-want +got)\n%s", event, diff)
	}
}

// TestSetAgreesWithPatterns matches all events of the reference with all patterns.
func TestSetAgreesWithPatterns(t *testing.T) {
	t.Parallel()
	var load []pattern.Named
	var events []string
	seen := map[string]bool{}
	for i, v := range allVerdicts(t) {
		if !seen[v.Pattern] {
			seen[v.Pattern] = true
			load = append(load, pattern.Named{Name: strconv.Itoa(i) + " " + v.Pattern, Pattern: parse(t, v.Pattern)})
		}
		if !seen[v.Event] {
			seen[v.Event] = true
			events = append(events, v.Event)
		}
	}
	for seed := range uint64(500) {
		p := newNaive(seed).pattern(2).text()
		load = append(load, pattern.Named{Name: "naive " + strconv.FormatUint(seed, 10), Pattern: parse(t, p)})
		events = append(events, newNaive(seed+1000).event())
	}
	var s pattern.Set
	if err := s.Replace(load); err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		if !testing.Short() || i%8 == 0 {
			agree(t, &s, load, e)
		}
	}
}

// FuzzSet holds a set to the evaluator of naive_test.go and to its own patterns.
func FuzzSet(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed, uint8(20))
	}
	f.Fuzz(setAgainstNaive)
}

func TestSetAgreesWithNaive(t *testing.T) {
	t.Parallel()
	n := uint64(1000)
	if testing.Short() {
		n = 200
	}
	for seed := range n {
		setAgainstNaive(t, seed*100, 20)
	}
}

func setAgainstNaive(t *testing.T, seed uint64, n uint8) {
	t.Helper()
	var s pattern.Set
	event := newNaive(seed).event()
	want := []string{}
	for i := range uint64(n) {
		p := newNaive(seed + i).pattern(2)
		name := fmt.Sprint(i)
		if err := s.Add(name, parse(t, p.text())); err != nil {
			t.Fatal(err)
		}
		if naiveMatch(t, p, event) {
			want = append(want, name)
		}
	}
	got, err := s.Match(text(t, event), []string{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seed %d, %s (-want +got)\n%s", seed, event, diff)
	}
}

func TestSetChanges(t *testing.T) {
	t.Parallel()
	var s pattern.Set
	matches := func(want ...string) {
		t.Helper()
		got, err := s.Match(text(t, `{"a":"x","b":5}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
	add := func(name, p string) {
		t.Helper()
		if err := s.Add(name, parse(t, p)); err != nil {
			t.Fatal(err)
		}
	}
	matches()
	add("missing", `{"c":[{"exists":false}]}`)
	matches("missing")
	if got, err := s.Match(pattern.Text{}, nil); err != nil || len(got) > 0 {
		t.Errorf("no event matches %v, %v", got, err)
	}
	s.Remove("missing")
	matches()
	if s.Remove("one") {
		t.Error("something was removed from an empty set")
	}
	add("one", `{"a":["x"]}`)
	add("two", `{"b":[5]}`)
	add("none", `{"b":[6]}`)
	matches("one", "two")
	add("one", `{"a":["y"]}`)
	matches("two")
	add("one", `{"a":[{"prefix":"x"}]}`)
	matches("two", "one")
	for i := range 200 { // over many parts
		add("more "+strconv.Itoa(i), `{"a":["x"],"b":[`+strconv.Itoa(i)+`]}`)
	}
	matches("two", "one", "more 5")
	s.Compact()
	matches("two", "one", "more 5")
	for i := range 200 {
		if !s.Remove("more " + strconv.Itoa(i)) {
			t.Errorf("more %d was not there", i)
		}
	}
	if !s.Remove("two") || s.Remove("two") {
		t.Error("two is removed once")
	}
	matches("one")
	s.Compact()
	matches("one")
	if n := s.Len(); n != 2 {
		t.Errorf("%d patterns, want 2", n)
	}
	if err := s.Replace([]pattern.Named{{Name: "a", Pattern: parse(t, `{"a":["x"]}`)}, {Name: "a", Pattern: parse(t, `{"b":[5]}`)}}); err != nil {
		t.Fatal(err)
	}
	matches("a")
	for name, bad := range map[string]error{"nil": s.Add("x", nil), "zero": s.Replace([]pattern.Named{{Name: "x", Pattern: &pattern.Pattern{}}})} {
		if !fault.Is(bad, fault.Invalid) {
			t.Errorf("%s: %v", name, bad)
		}
	}
	matches("a")
}

// TestSetAfterChanges holds a set that is changed in many ways against its patterns.
func TestSetAfterChanges(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 5))
	var s pattern.Set
	have := map[string]*pattern.Pattern{}
	for range 300 {
		var add []pattern.Named
		var remove []string
		for range random.IntN(30) {
			name := strconv.Itoa(random.IntN(200))
			add = append(add, pattern.Named{Name: name, Pattern: parse(t, newNaive(random.Uint64()).pattern(2).text())})
		}
		for range random.IntN(20) {
			remove = append(remove, strconv.Itoa(random.IntN(200)))
		}
		if err := s.Change(add, remove); err != nil {
			t.Fatal(err)
		}
		for _, name := range remove {
			delete(have, name)
		}
		for _, n := range add {
			have[n.Name] = n.Pattern
		}
		if random.IntN(2) == 0 {
			s.Compact()
		}
		event := text(t, newNaive(random.Uint64()).event())
		got, err := s.Match(event, []string{})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{}
		for name, p := range have {
			if ok, err := p.Match([]byte(event.String())); err != nil {
				t.Fatal(err)
			} else if ok {
				want = append(want, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" || s.Len() != len(have) {
			t.Fatalf("%d of %d patterns (-want +got)\n%s", s.Len(), len(have), diff)
		}
	}
}

// TestSetChangesInOneStep: of two states of a rule, every event meets exactly one.
func TestSetChangesInOneStep(t *testing.T) {
	t.Parallel()
	var s pattern.Set
	p := parse(t, `{"a":["x"]}`)
	if err := s.Add("0", p); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var matching sync.WaitGroup
	matching.Go(func() {
		e := text(t, `{"a":"x"}`)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got, err := s.Match(e, nil); err != nil || len(got) != 1 {
				t.Errorf("%v, %v", got, err)
				return
			}
		}
	})
	for i := range 2000 {
		if err := s.Change([]pattern.Named{{Name: strconv.Itoa(i + 1), Pattern: p}}, []string{strconv.Itoa(i)}); err != nil {
			t.Error(err)
		}
		if i%7 == 0 {
			s.Compact()
		}
	}
	close(stop)
	matching.Wait()
}

// TestSetTakesAnyName: names with zeros and dots, and a rule whose ways and values
// multiply to millions.
func TestSetTakesAnyName(t *testing.T) {
	t.Parallel()
	var values, branches []string
	for i := range 1500 {
		values = append(values, `"v`+strconv.Itoa(i)+`"`)
	}
	for i := range 900 {
		branches = append(branches, `{"b":[`+strconv.Itoa(i)+`]}`)
	}
	var s pattern.Set
	for name, p := range map[string]string{
		"zero": `{"a\u0000b":["x"]}`, "zeros": `{"\u0000":{"\u0000":["\u0000"]}}`,
		"many": `{"a":[` + strings.Join(values[:800], ",") + `],"$or":[` + strings.Join(branches[:600], ",") + `]}`,
	} {
		if err := s.Add(name, parse(t, p)); err != nil {
			t.Fatal(err)
		}
	}
	for event, want := range map[string]string{
		`{"a\u0000b":"x"}`: "zero", `{"\u0000":{"\u0000":"\u0000"}}`: "zeros", `{"a":"v799","b":599}`: "many", `{"a":"v800","b":599}`: "",
	} {
		got, err := s.Match(text(t, event), nil)
		if err != nil || strings.Join(got, ",") != want {
			t.Errorf("%s: %v, %v, want %q", event, got, err, want)
		}
	}
}

// TestSetChangesWhileMatched is for the race detector, and sees that a pattern that
// is never touched is never missed.
func TestSetChangesWhileMatched(t *testing.T) {
	t.Parallel()
	var s pattern.Set
	if err := s.Add("always", parse(t, `{"a":["x"]}`)); err != nil {
		t.Fatal(err)
	}
	e := text(t, `{"a":"x","b":5}`)
	var matching, compacting sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		matching.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got, err := s.Match(e, nil)
				if err != nil || !slices.Contains(got, "always") {
					t.Errorf("%v, %v", got, err)
					return
				}
			}
		})
	}
	for i := range 300 {
		name := "rule " + strconv.Itoa(i%40)
		if err := s.Add(name, parse(t, `{"b":[`+strconv.Itoa(i)+`]}`)); err != nil {
			t.Error(err)
		}
		if i%7 == 0 {
			s.Remove(name)
		}
		if i%50 == 0 {
			compacting.Go(s.Compact)
		}
	}
	close(stop)
	matching.Wait()
	compacting.Wait()
}

// TestSetIsNotHeldUp matches hostile events and patterns beside a good one.
func TestSetIsNotHeldUp(t *testing.T) {
	t.Parallel()
	var s pattern.Set
	for name, p := range map[string]string{
		"good":    `{"source":["x"]}`,
		"stars":   `{"x":[{"wildcard":"` + strings.Repeat("*a", 16) + `b"}]}`,
		"crossed": `{"a":{"p":[1],"q":[1],"r":[1],"s":[2]}}`,
	} {
		if err := s.Add(name, parse(t, p)); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(n int, row string) string { return strings.Repeat(row+",", n-1) + row }
	event := `{"source":"x","x":"` + strings.Repeat("a", 500_000) + `","a":[` + rows(3000, `{"p":1,"r":1}`) + `],"a":[` + rows(3000, `{"q":1,"s":1}`) + `],"a":[{"s":2,"p":3},{"q":2}]}`
	got, err := s.Match(text(t, event), nil)
	if diff := cmp.Diff([]string{"good"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !fault.Is(err, fault.Exhausted) || !strings.Contains(err.Error(), `"crossed"`) || strings.Contains(err.Error(), `"stars"`) || errors.Is(err, nil) {
		t.Errorf("error %v", err)
	}
}
