package scenarios_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
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
	took map[string]string // sources by event id
	n    int
}

func newShopHook(t *testing.T) *shopHook {
	t.Helper()
	r := &shopHook{took: map[string]string{}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		raw, err := io.ReadAll(io.LimitReader(q.Body, 1<<20))
		var e struct{ ID, Source string }
		if err != nil || json.Unmarshal(raw, &e) != nil || e.ID == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		time.Sleep(30 * time.Millisecond) // so that kills meet deliveries under way
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.n++; r.n%4 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.took[e.ID] = e.Source
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

// missing counts those of ids that the hook does not have.
func (r *shopHook) missing(ids ...[]string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range slices.Concat(ids...) {
		if r.took[id] == "" {
			n++
		}
	}
	return n
}

func (r *shopHook) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.took))
}

// only says which of these ids, or events of other sources than the shop, the hook has.
func (r *shopHook) only(t *testing.T, what string, none ...[]string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, source := range r.took {
		if source != "shop" {
			t.Errorf("%s has event %s of %s, which was refused", what, id, source)
		}
	}
	for _, id := range slices.Concat(none...) {
		if r.took[id] != "" {
			t.Errorf("%s has event %s, which it does not match", what, id)
		}
	}
}

// TestEventsSurviveKills: a server is killed 50 times at random points while events are
// put. Every event whose id was given reaches each target that it matches, and is in the
// archive once; what was refused or matches nothing reaches none. It was seen to fail when
// PutEvents answers before the commit, an event is closed before its delivery is made, the
// events of dead nodes are not taken over, nor their deliveries that were claimed, the hold
// of an archive on its events is left out, and an entry that is refused is stored.
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
			one, two, again := newShopHook(t), newShopHook(t), newShopHook(t)
			edits := append(c.edits(t), func(cfg document) {
				channels, _ := cfg["channels"].([]document)
				cfg["channels"] = append(channels,
					document{"name": "one", "kind": "webhook", "url": one.url, "secret_env": "HOOK_KEY"},
					document{"name": "two", "kind": "webhook", "url": two.url, "secret_env": "HOOK_KEY"},
					document{"name": "again", "kind": "webhook", "url": again.url, "secret_env": "HOOK_KEY"})
			})
			i := w.install(t, edits...)
			i.environ = append(i.environ, "HOOK_KEY=0123456789abcdef0123456789abcdef")
			n := i.serve(t)
			got := n.putUnderKills(one, two, c.kills)
			n.archivedAll(got, again)
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

func (n *node) putUnderKills(one, two *shopHook, kills int) *accepted {
	t := n.t
	t.Helper()
	const shop = `{"source":["shop","aws.shop"]}` // what is of AWS is refused
	for _, step := range []struct {
		operation string
		in        document
	}{
		{"PutRule", document{"Name": "all", "EventPattern": shop}},
		{"PutRule", document{"Name": "large", "EventPattern": `{"source":["shop","aws.shop"],"detail":{"n":[{"numeric":[">=",5]}]}}`}},
		{"PutTargets", document{"Rule": "all", "Targets": []document{{"Id": "one", "Arn": n.arn("parry", "webhook/one")}}}},
		{"PutTargets", document{"Rule": "large", "Targets": []document{{"Id": "two", "Arn": n.arn("parry", "webhook/two")}}}},
		{"PutRule", document{"Name": "again", "EventPattern": `{"replay-name":["again"]}`}},
		{"PutTargets", document{"Rule": "again", "Targets": []document{{"Id": "again", "Arn": n.arn("parry", "webhook/again")}}}},
		{"CreateArchive", document{"ArchiveName": "shop", "EventSourceArn": n.arn("events", "event-bus/default"), "EventPattern": shop}},
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
	missing := func() int { return one.missing(got.both, got.first) + two.missing(got.both) }
	poll(t, 3*patience, func() string { return fmt.Sprintf("%d deliveries are missing", missing()) }, func(context.Context) bool { return missing() == 0 })
	one.only(t, "the first target", got.none)
	two.only(t, "the second target", got.first, got.none)
	letters, err := n.as("olga").DeadLetters(t.Context(), client.DeadLetterFilter{}, client.Paging{})
	if err != nil || len(letters.Items) > 0 {
		t.Errorf("dead letters: %v, %v", letters.Items, err)
	}
	t.Logf("%d kills, %d events accepted", kills, len(got.both)+len(got.first)+len(got.none))
	return &got
}

func (n *node) arn(service, resource string) string {
	return "arn:aws:" + service + ":" + n.w.env.Estate.Region + ":" + n.w.env.Estate.Security.Account + ":" + resource
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

// archivedAll replays the archive and holds what comes against what was accepted.
func (n *node) archivedAll(got *accepted, again *shopHook) {
	n.t.Helper()
	archive, err := n.as("olga").Archive(n.t.Context(), "shop")
	if err != nil {
		n.t.Fatal(err)
	}
	now := time.Now()
	if _, err := n.bus(n.t.Context(), "StartReplay", document{
		"ReplayName": "again", "EventSourceArn": n.arn("events", "archive/shop"), "EventStartTime": now.Add(-time.Hour).Unix(), "EventEndTime": now.Add(time.Minute).Unix(),
		"Destination": document{"Arn": n.arn("events", "event-bus/default"), "FilterArns": []string{n.arn("events", "rule/again")}},
	}); err != nil {
		n.t.Fatal(err)
	}
	missing := func() int { return again.missing(got.both, got.first) }
	poll(n.t, patience, func() string { return fmt.Sprintf("%d events are missing in the archive", missing()) }, func(context.Context) bool { return missing() == 0 })
	// A request that got no answer may have been stored all the same.
	poll(n.t, patience, func() string {
		return fmt.Sprintf("the archive has %d events, %d of them different", *archive.Events, again.count())
	}, func(context.Context) bool {
		return archive.Events != nil && *archive.Events == again.count()
	})
	again.only(n.t, "the archive", got.none)
}
