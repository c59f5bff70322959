package pattern

import (
	"fmt"
	"testing"
)

// TestJudgeMakesNoGarbage matches events with arrays, escapes and long numbers. The
// judge is its own and not the pool's, which the race detector empties at random.
func TestJudgeMakesNoGarbage(t *testing.T) { //nolint:paralleltest // it counts what is allocated
	var s Set
	for i, text := range []string{
		`{"source":["a.b"],"detail":{"x":[{"prefix":"v"}],"list":{"type":["b"],"id":[{"wildcard":"*7"}]}}}`,
		`{"detail":{"n":[{"numeric":[">",1]}],"quoted":["say \"hi\""]}}`,
		`{"detail":{"address":[{"cidr":"10.0.0.0/8"}],"fold":[{"equals-ignore-case":"ABC"}]}}`,
		`{"detail":{"n":[1.2345678901234567],"none":[{"exists":false}]}}`,
	} {
		p, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Add(fmt.Sprint(i), p); err != nil {
			t.Fatal(err)
		}
	}
	var events []Text
	for i := range 10 {
		e, err := Validate(fmt.Appendf(nil, `{"source":"a.b","detail":{"x":"v%d","list":[{"type":"a","id":"1"},{"type":"b","id":"7"}],"n":1.2345678901234567,`+
			`"quoted":"say \"hi\"","address":"10.1.2.3","fold":"abc"}}`, i))
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	var j judge
	matched := 0
	match := func() {
		for _, e := range events {
			for _, p := range s.now.Load().parts {
				j.judge(e, p.index, p.dead)
				matched += len(j.matched)
			}
		}
	}
	match()
	if matched != 4*len(events) {
		t.Fatalf("%d matches, want %d", matched, 4*len(events))
	}
	if n := testing.AllocsPerRun(20, match); n != 0 {
		t.Errorf("%v allocations for %d events", n, len(events))
	}
}
