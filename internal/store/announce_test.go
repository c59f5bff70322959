package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/store"
)

// TestBundle holds what comes out against what went in: all events in their order,
// few messages, no message too large for the outbox, other messages as they were.
func TestBundle(t *testing.T) {
	t.Parallel()
	events := func(n, size int) []store.Message {
		var out []store.Message
		for i := range n {
			id := fmt.Sprintf("e-%d", i)
			out = append(out, store.Message{ID: id, Topic: store.TopicEvent, Payload: json.RawMessage(`{"id":"` + id + `","x":"` + strings.Repeat("x", size) + `"}`)})
		}
		return out
	}
	other := store.Message{ID: "plan-1", Topic: store.TopicPlan, Payload: json.RawMessage(`{}`)}
	later := store.Message{ID: "later", Topic: store.TopicEvent, Payload: json.RawMessage(`{"id":"later"}`), NotBefore: time.Unix(1, 0)}
	for name, c := range map[string]struct {
		in   []store.Message
		want int
	}{
		"none": {nil, 0}, "one": {events(1, 10), 1}, "two": {events(2, 10), 1}, "many": {events(401, 10), 3},
		"large": {events(5, 300<<10), 2}, "others": {append(events(3, 10), other, later), 3}, "one and another": {append(events(1, 10), other), 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := store.Bundle(c.in)
			if len(got) != c.want {
				t.Errorf("%d messages, want %d", len(got), c.want)
			}
			if diff := cmp.Diff(got, store.Bundle(c.in)); diff != "" {
				t.Errorf("the same events give other messages: %s", diff)
			}
			var flat []json.RawMessage
			for _, m := range got {
				var list []json.RawMessage
				if m.Payload[0] != '[' {
					list = []json.RawMessage{m.Payload}
				} else if err := json.Unmarshal(m.Payload, &list); err != nil {
					t.Fatal(err)
				}
				if len(m.Payload) > 1<<20 {
					t.Errorf("a message of %d bytes", len(m.Payload))
				}
				flat = append(flat, list...)
			}
			seen := map[string]int{}
			for _, raw := range flat {
				seen[string(raw)]++
			}
			for _, m := range c.in {
				if seen[string(m.Payload)] != 1 {
					t.Errorf("%s is there %d times", m.ID, seen[string(m.Payload)])
				}
			}
			if len(flat) != len(c.in) {
				t.Errorf("%d events, want %d", len(flat), len(c.in))
			}
		})
	}
	if a, b := store.Bundle(events(2, 1)), store.Bundle(events(3, 1)); a[0].ID == b[0].ID {
		t.Error("other events are the same message")
	}
}
