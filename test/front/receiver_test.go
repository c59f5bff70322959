package front_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// moody is a receiver that does what it is told to, beside one that is well.
type moody struct {
	url string

	mu        sync.Mutex
	mood      string
	tries     map[string][]time.Time // of the moody one, by event
	took      []string
	well      []string
	elsewhere int // calls that a redirect led to
	stalled   int // calls that are not answered
}

func newMoody(t *testing.T) *moody {
	t.Helper()
	m := &moody{tries: map[string][]time.Time{}}
	srv := httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

func (m *moody) serve(w http.ResponseWriter, q *http.Request) {
	raw, _ := io.ReadAll(q.Body)
	var e struct{ ID string }
	_ = json.Unmarshal(raw, &e) // what is missing fails the test that waits for it
	m.mu.Lock()
	defer m.mu.Unlock()
	switch q.URL.Path {
	case "/well":
		m.well = append(m.well, e.ID)
		return
	case "/elsewhere":
		m.elsewhere++
		return
	}
	m.tries[e.ID] = append(m.tries[e.ID], time.Now())
	switch m.mood {
	case "fails":
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "hush: a stack of the receiver")
	case "stalls":
		m.stalled++
		m.mu.Unlock()
		<-q.Context().Done() // until the caller has had enough
		m.mu.Lock()
		m.stalled--
	case "redirects":
		http.Redirect(w, q, m.url+"/elsewhere", http.StatusTemporaryRedirect)
	case "is busy":
		m.mood = "is well" // for the next one
		w.Header().Set("Retry-After", "3")
		w.WriteHeader(http.StatusTooManyRequests)
	case "talks nonsense":
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_, _ = io.WriteString(c, "\x00\x01 HTTP? no.\r\n\r\n")
			_ = c.Close()
		}
	case "hangs up":
		panic(http.ErrAbortHandler)
	default:
		m.took = append(m.took, e.ID)
	}
}

func (m *moody) is(mood string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mood = mood
}

// until waits until what is holds.
func (m *moody) until(t *testing.T, s *server, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; pause(t.Context(), 10*time.Millisecond) {
		m.mu.Lock()
		ok := holds()
		m.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("%s did not happen; log:\n%s", what, s.log)
		}
	}
}

// TestOneReceiverOfTwo: what becomes of events for a receiver that fails in every way there is
// and recovers. The receiver beside it gets each event meanwhile; what was given up has its
// reason, and is sent again.
func TestOneReceiverOfTwo(t *testing.T) {
	onBoth(t, "receiver", func(t *testing.T, s *server, _ string) {
		t.Helper()
		m := newMoody(t)
		s.twoTargets(t, m)
		for _, c := range []struct {
			mood, code, words string
			tries             int
		}{
			{"fails", "SERVICE_UNAVAILABLE", "answered 500 (tried until MaximumRetryAttempts)", 2},
			{"stalls", "TIMEOUT", "it did not answer in time", 2},
			{"is busy", "", "", 2},
			{"redirects", "NO_PERMISSIONS", "answered 307", 1},
			{"talks nonsense", "SERVICE_UNAVAILABLE", "malformed HTTP", 2},
			{"hangs up", "SERVICE_UNAVAILABLE", "EOF", 2},
		} {
			m.is(c.mood)
			id := strings.ReplaceAll(c.mood, " ", "-")
			s.sell(t, fmt.Sprintf(`{"id":%q}`, id))
			m.until(t, s, "the event for the other receiver while this one "+c.mood, func() bool { return slices.Contains(m.well, id) })
			if c.mood == "stalls" {
				m.until(t, s, "the stall", func() bool { return m.stalled > 0 })
			}
			if c.code == "" {
				m.until(t, s, "the call after the wait", func() bool { return slices.Contains(m.took, id) })
			} else {
				s.givenUp(t, id, c.code, c.words)
			}
			m.mu.Lock()
			tries := m.tries[id]
			m.mu.Unlock()
			if len(tries) != c.tries {
				t.Errorf("a receiver that %s was called %d times", c.mood, len(tries))
			}
			if c.mood == "is busy" && len(tries) == 2 && tries[1].Sub(tries[0]) < 3*time.Second {
				t.Errorf("it was called again after %s, and asked for 3 seconds", tries[1].Sub(tries[0]))
			}
		}
		s.recovered(t, m)
	})
}

// twoTargets makes a rule with the moody receiver, tried twice, and the one that is well.
func (s *server) twoTargets(t *testing.T, m *moody) {
	t.Helper()
	ask := func(operation, body string) string {
		a := s.do(t, call{key: "admin", service: "events", target: "AWSEvents." + operation, path: "/", body: body})
		if a.status != http.StatusOK || strings.Contains(string(a.body), `"ErrorCode"`) {
			t.Fatalf("%s: %d %s", operation, a.status, a.body)
		}
		var out map[string]any
		if err := json.Unmarshal(a.body, &out); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"ConnectionArn", "ApiDestinationArn"} {
			if arn, ok := out[name].(string); ok {
				return arn
			}
		}
		return ""
	}
	connection := ask("CreateConnection", `{"Name":"shop","AuthorizationType":"API_KEY","AuthParameters":{"ApiKeyAuthParameters":{"ApiKeyName":"X-Key","ApiKeyValue":"k"}}}`)
	arns := map[string]string{}
	for _, name := range []string{"moody", "well"} {
		arns[name] = ask("CreateApiDestination", fmt.Sprintf(`{"Name":%q,"ConnectionArn":%q,"InvocationEndpoint":"%s/%s","HttpMethod":"POST"}`, name, connection, m.url, name))
	}
	ask("PutRule", `{"Name":"sold","EventPattern":"{\"source\":[\"shop\"]}"}`)
	ask("PutTargets", fmt.Sprintf(`{"Rule":"sold","Targets":[{"Id":"moody","Arn":%q,"InputPath":"$.detail","RetryPolicy":{"MaximumRetryAttempts":1}},{"Id":"well","Arn":%q,"InputPath":"$.detail"}]}`, arns["moody"], arns["well"]))
}

// givenUp waits for the dead letter of an event.
func (s *server) givenUp(t *testing.T, id, code, words string) {
	t.Helper()
	for deadline := time.Now().Add(90 * time.Second); ; pause(t.Context(), 200*time.Millisecond) {
		out, _ := s.parry(t, "admin", "dlq", "list", "--rule", "default/sold", "--target", "moody", "-o", "json")
		var all []letter
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		i := slices.IndexFunc(all, func(l letter) bool { return l.Event.Detail.ID == id })
		if i >= 0 {
			if l := all[i]; l.Code != code || !strings.Contains(l.Reason, words) || strings.Contains(l.Reason, "hush") {
				t.Errorf("%s was given up with %s: %s; want %s: %s", id, l.Code, l.Reason, code, words)
			}
			return
		}
		if time.Now().After(deadline) || t.Context().Err() != nil {
			t.Fatalf("%s was not given up: %s; log:\n%s", id, out, s.log)
		}
	}
}

// recovered: what was given up is sent again, once each, and nothing else.
func (s *server) recovered(t *testing.T, m *moody) {
	t.Helper()
	m.is("is well")
	s.says(t, "admin", 0, []string{"dlq", "list", "--rule", "default/sold", "--code", "NO_PERMISSIONS"}, "default/sold", "moody", "answered 307")
	s.says(t, "admin", 0, []string{"dlq", "redrive", "--rule", "default/sold", "--target", "moody"}, "5")
	want := []string{"fails", "hangs-up", "is-busy", "redirects", "stalls", "talks-nonsense"}
	m.until(t, s, "what was given up", func() bool { return len(m.took) >= len(want) })
	s.letters(t, "--rule default/sold", 0, "", "")
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.took)
	if !slices.Equal(m.took, want) || len(m.well) != len(want) || m.elsewhere != 0 {
		t.Errorf("it took %v; the other one %v; a redirect was followed %d times", m.took, m.well, m.elsewhere)
	}
}
