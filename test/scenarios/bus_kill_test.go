package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/client"
)

// shopHook is a webhook that now and then fails, and remembers the events that it took.
type shopHook struct {
	url string

	mu   sync.Mutex
	took map[string]int // by event id
	n    int
}

func newShopHook(t *testing.T) *shopHook {
	t.Helper()
	r := &shopHook{took: map[string]int{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
		var e struct {
			ID string `json:"id"`
		}
		if err != nil || json.Unmarshal(raw, &e) != nil || e.ID == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.n++; r.n%20 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.took[e.ID]++
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *shopHook) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.took[id] > 0
}

// TestEventsSurviveKills: a server is killed 50 times at random points while events are
// put. Every event whose id was given reaches each target that it matches, and the
// archive; what was refused or matches nothing reaches none.
func TestEventsSurviveKills(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, c := range map[string]struct {
		kills int
		edits func(t *testing.T) []func(document)
	}{
		"SQLite":     {50, func(*testing.T) []func(document) { return nil }},
		"PostgreSQL": {10, func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, two := newShopHook(t), newShopHook(t)
			edits := append(c.edits(t), func(cfg document) {
				channels, _ := cfg["channels"].([]document)
				cfg["channels"] = append(channels,
					document{"name": "one", "kind": "webhook", "url": one.url, "secret_env": "HOOK_KEY"},
					document{"name": "two", "kind": "webhook", "url": two.url, "secret_env": "HOOK_KEY"})
			})
			i := w.install(t, edits...)
			i.environ = append(i.environ, "HOOK_KEY=0123456789abcdef0123456789abcdef")
			n := i.serve(t)
			n.putUnderKills(one, two, c.kills)
		})
	}
}

func (n *node) bus(ctx context.Context, operation string, in document) (document, error) {
	return n.asAWS(ctx, "olga", "events", "AWSEvents."+operation, in)
}

// accepted are the ids of events that the server said it has.
type accepted struct {
	mu                sync.Mutex
	both, first, none []string
}

func (n *node) putUnderKills(one, two *shopHook, kills int) {
	t, account := n.t, n.w.env.Estate.Security.Account
	t.Helper()
	arn := func(kind string) string { return "arn:aws:parry:" + n.w.env.Estate.Region + ":" + account + ":" + kind }
	for _, step := range []struct {
		operation string
		in        document
	}{
		{"PutRule", document{"Name": "all", "EventPattern": `{"source":["shop"]}`}},
		{"PutRule", document{"Name": "large", "EventPattern": `{"source":["shop"],"detail":{"n":[{"numeric":[">=",5]}]}}`}},
		{"PutTargets", document{"Rule": "all", "Targets": []document{{"Id": "one", "Arn": arn("webhook/one")}}}},
		{"PutTargets", document{"Rule": "large", "Targets": []document{{"Id": "two", "Arn": arn("webhook/two")}}}},
		{"CreateArchive", document{"ArchiveName": "shop", "EventSourceArn": "arn:aws:events:" + n.w.env.Estate.Region + ":" + account + ":event-bus/default", "EventPattern": `{"source":["shop"]}`}},
	} {
		if _, err := n.bus(t.Context(), step.operation, step.in); err != nil {
			t.Fatal(err)
		}
	}
	var got accepted
	var stop atomic.Bool
	var up sync.RWMutex // held for writing while the server is down
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for !stop.Load() {
				up.RLock()
				n.put(&got)
				up.RUnlock()
			}
		})
	}
	random := rand.New(rand.NewPCG(7, 7))
	for range kills {
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		n.kill() // whoever is in the middle of a request gets no answer
		up.Lock()
		n.start()
		up.Unlock()
	}
	stop.Store(true)
	senders.Wait()
	if len(got.both) < kills || len(got.first) < kills || len(got.none) < kills {
		t.Fatalf("%d, %d and %d events accepted in %d lives: too few to prove anything", len(got.both), len(got.first), len(got.none), kills)
	}
	missing := func() (n int) {
		for _, id := range append(append([]string{}, got.both...), got.first...) {
			if !one.has(id) {
				n++
			}
		}
		for _, id := range got.both {
			if !two.has(id) {
				n++
			}
		}
		return n
	}
	poll(t, 3*patience, func() string { return fmt.Sprintf("%d deliveries are missing", missing()) }, func(context.Context) bool { return missing() == 0 })
	for _, id := range append(got.first, got.none...) {
		if two.has(id) {
			t.Fatalf("event %s reached a target that it does not match", id)
		}
	}
	for _, id := range got.none {
		if one.has(id) {
			t.Fatalf("event %s reached a target that it does not match", id)
		}
	}
	n.archivedAll(&got)
	letters, err := n.as("olga").DeadLetters(t.Context(), client.DeadLetterFilter{}, client.Paging{})
	if err != nil || len(letters.Items) > 0 {
		t.Errorf("dead letters: %v, %v", letters.Items, err)
	}
	t.Logf("%d kills, %d events accepted", kills, len(got.both)+len(got.first)+len(got.none))
}

// put puts events that match both rules, one, and none, and one that is refused.
func (n *node) put(got *accepted) {
	out, err := n.bus(context.Background(), "PutEvents", document{"Entries": []document{
		{"Source": "shop", "DetailType": "Order", "Detail": `{"n":7}`},
		{"Source": "shop", "DetailType": "Order", "Detail": `{"n":1}`},
		{"Source": "bank", "DetailType": "Order", "Detail": `{"n":7}`},
		{"Source": "aws.shop", "DetailType": "Order", "Detail": `{"n":7}`},
	}})
	if err != nil {
		return // nothing was promised
	}
	entries, _ := out["Entries"].([]any)
	ids := make([]string, len(entries))
	for i, e := range entries {
		entry, _ := e.(map[string]any)
		ids[i], _ = entry["EventId"].(string)
	}
	if len(ids) != 4 || ids[0] == "" || ids[1] == "" || ids[2] == "" || ids[3] != "" {
		n.t.Errorf("PutEvents answers %v", out)
		return
	}
	got.mu.Lock()
	defer got.mu.Unlock()
	got.both, got.first, got.none = append(got.both, ids[0]), append(got.first, ids[1]), append(got.none, ids[2])
}

// archivedAll holds the archive against what was accepted.
func (n *node) archivedAll(got *accepted) {
	n.t.Helper()
	archive, err := n.as("olga").Archive(n.t.Context(), "shop")
	if err != nil {
		n.t.Fatal(err)
	}
	// A request that got no answer may have been stored all the same.
	if want := int64(len(got.both) + len(got.first)); archive.Events == nil || *archive.Events < want {
		n.t.Errorf("the archive has %d events, at least %d were accepted", *archive.Events, want)
	}
}
