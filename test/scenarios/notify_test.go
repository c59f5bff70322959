package scenarios_test

import (
	"context"
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

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/remediation"
)

const hookKey = "a key of some length"

// receiver takes webhooks, each signed.
type receiver struct {
	*httptest.Server

	mu   sync.Mutex
	got  []webhook.Payload
	raw  []string
	kill func(webhook.Payload) bool // before an answer, until it says that it did
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return // the sender is dead
		}
		var p webhook.Payload
		if err := webhook.Verify([]byte(hookKey), time.Now(), req.Header.Get(webhook.HeaderSignature), body); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(body, &p); err != nil || req.Header.Get(webhook.HeaderID) != p.ID {
			t.Errorf("body %s: %v", body, err)
		}
		r.mu.Lock()
		r.got, r.raw = append(r.got, p), append(r.raw, string(body))
		if r.kill != nil && r.kill(p) {
			r.kill = nil
		}
		r.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() ([]webhook.Payload, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got), slices.Clone(r.raw)
}

// TestAGroupSurvivesAKill: the server is killed when the receiver has read the message of a
// group and before it answers. Afterwards the message comes again, to the byte, and then no
// more; every approval and every fix is told once.
func TestAGroupSurvivesAKill(t *testing.T) {
	t.Parallel()
	w := earth(t)
	for name, edits := range map[string]func(t *testing.T) []func(document){
		"SQLite":     func(*testing.T) []func(document) { return nil },
		"PostgreSQL": func(t *testing.T) []func(document) { return []func(document){w.onPostgres(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := newReceiver(t)
			n := w.install(t, append(edits(t), func(cfg document) {
				cfg["channels"] = []document{{
					"name": "hook", "kind": "webhook", "url": hook.URL, "secret_env": "HOOK_KEY", "group_by": []string{"playbook", "account"}, "group_wait": "5s", "group_interval": "2s",
				}}
				rules, _ := cfg["bus_rules"].([]document)
				cfg["bus_rules"] = []document{rules[0], {"name": "tell-people", "channels": []string{"hook"}, "pattern": document{
					"source": []string{"parry"}, "detail": document{"to": []string{"awaiting_approval", "verified"}},
				}}}
			})...).with("HOOK_KEY=" + hookKey).serve(t)
			buckets := n.killedByAGroup(hook)
			before, _ := hook.all()
			killed := before[len(before)-1]
			n.start()
			poll(t, patience, func() string { return "the message did not come again" }, func(context.Context) bool { got, _ := hook.all(); return len(got) > len(before) })
			var told [][]string // what each message says, that has to come
			for _, b := range buckets {
				r := n.await(b, remediation.KindFix, remediation.AwaitingApproval)
				approval := n.detail(r.ID).Approval
				if approval == nil {
					t.Fatalf("%s has no approval", r.ID)
				}
				told = append(told, []string{"awaiting approval", approval.ID}, []string{"succeeded", string(r.ID)})
				n.grant(r.ID)
			}
			for _, words := range told {
				poll(t, patience, func() string { return fmt.Sprintf("no message says %q", words) }, func(context.Context) bool { return len(hook.telling(words...)) > 0 })
			}
			time.Sleep(3 * time.Second) // longer than group_interval: what would be repeated has come by now
			for _, words := range told {
				if ids := hook.telling(words...); len(ids) != 1 {
					t.Errorf("%q is said by %q", words, ids)
				}
			}
			hook.once(t, killed.ID)
		})
	}
}

// killedByAGroup has the server killed by the first message that tells of several approvals,
// and gives the buckets that were reported until then. A slow machine may make the plans so
// far apart that each is told alone: then there are more.
func (n *node) killedByAGroup(hook *receiver) (buckets []*bucket) {
	n.t.Helper()
	process, done := n.cmd.Process, n.done
	hook.mu.Lock()
	hook.kill = func(p webhook.Payload) bool {
		if p.Event.DetailType != notify.GroupEvent {
			return false
		}
		_ = process.Kill() // it lives: it waits for the answer
		<-done
		return true
	}
	hook.mu.Unlock()
	poll(n.t, 2*patience, func() string { return "no message of a group came" }, func(context.Context) bool {
		select {
		case <-done:
			return true
		default:
		}
		if got, _ := hook.all(); len(got) == len(buckets) {
			more := []*bucket{n.w.bucket(n.t, "prod"), n.w.bucket(n.t, "prod"), n.w.bucket(n.t, "prod")}
			n.report(more...)
			buckets = append(buckets, more...)
		}
		return false
	})
	return buckets
}

// telling gives the ids of the messages that say all words.
func (r *receiver) telling(words ...string) (ids []string) {
	got, _ := r.all()
	for _, p := range got {
		missing := func(word string) bool { return !strings.Contains(p.Subject+p.Text, word) }
		if !slices.ContainsFunc(words, missing) && !slices.Contains(ids, p.ID) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// once requires that no message came again but one, and that one to the byte.
func (r *receiver) once(t *testing.T, repeated string) {
	t.Helper()
	got, raw := r.all()
	bodies := map[string][]string{}
	for i, p := range got {
		bodies[p.ID] = append(bodies[p.ID], raw[i])
	}
	for id, all := range bodies {
		want := 1
		if id == repeated {
			want = 2
		}
		if len(all) != want {
			t.Errorf("%q came %d times, want %d: %s", id, len(all), want, all[0])
		}
		if diff := cmp.Diff(all[0], all[len(all)-1]); diff != "" {
			t.Errorf("the message that came again differs: %s", diff)
		}
	}
}
