package awswall

import (
	"testing"
	"time"
)

func TestAPartOfTheCallsIsDisturbed(t *testing.T) {
	t.Parallel()
	s := newFaults()
	for _, f := range []Fault{{Kind: Throttle, Percent: 101}, {Kind: Throttle, Percent: -1}, {Kind: Throttle, PerSecond: -1}, {Kind: Throttle, PerSecond: 1, Burst: 0.5}} {
		if _, err := s.add(f); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
	in, err := s.add(Fault{Kind: Throttle, Percent: 90, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		s.match(&Entry{})
	}
	if n := in.Count(); n < 870 || n > 930 {
		t.Errorf("%d of 1000 calls were disturbed, want about 900", n)
	}
}

func TestARateForEachAccount(t *testing.T) {
	t.Parallel()
	s := newFaults()
	in, err := s.add(Fault{Kind: Throttle, PerSecond: 20})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	passed := map[string]int{}
	for i := range 200 { // 2 s at 100 a second, and another account at 10
		at := now.Add(time.Duration(i) * 10 * time.Millisecond)
		if in.passes("fast", at) {
			passed["fast"]++
		}
		if i%10 == 0 && in.passes("slow", at) {
			passed["slow"]++
		}
	}
	if n := passed["fast"]; n < 58 || n > 60 { // 20 at once and 20 a second
		t.Errorf("%d calls passed in 2 s, want 60", n)
	}
	if passed["slow"] != 20 {
		t.Errorf("%d of 20 calls of the slow account passed", passed["slow"])
	}
}
