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
	kill func() // before the next answer, once
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
		kill := r.kill
		r.kill = nil
		r.mu.Unlock()
		if kill != nil {
			kill()
		}
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
// group and before it answers. Afterwards the message comes again, to the byte, with every
// approval in it, and then no more.
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
			process, done := n.cmd.Process, n.done
			hook.mu.Lock()
			hook.kill = func() {
				_ = process.Kill() // it lives: it waits for the answer
				<-done
			}
			hook.mu.Unlock()
			buckets := []*bucket{w.bucket(t, "prod"), w.bucket(t, "prod"), w.bucket(t, "prod")}
			n.report(buckets...)
			poll(t, patience, func() string { return "no message came" }, func(context.Context) bool { got, _ := hook.all(); return len(got) == 1 })
			<-done
			n.start()
			poll(t, patience, func() string { return "the message did not come again" }, func(context.Context) bool { got, _ := hook.all(); return len(got) > 1 })
			got, raw := hook.all()
			if got[0].Event.DetailType != notify.GroupEvent || !strings.Contains(got[0].Subject, "3 remediations awaiting approval: S3.2 in ") {
				t.Fatalf("%s\n%s", got[0].Subject, got[0].Text)
			}
			if diff := cmp.Diff(raw[0], raw[1]); diff != "" {
				t.Errorf("the message that came again differs: %s", diff)
			}
			for _, b := range buckets {
				r := n.await(b, remediation.KindFix, remediation.AwaitingApproval)
				if approval := n.detail(r.ID).Approval; approval == nil || !strings.Contains(got[0].Text, approval.ID) {
					t.Errorf("approval %+v of %s is not in\n%s", approval, b.name, got[0].Text)
				}
				n.grant(r.ID)
				n.await(b, remediation.KindFix, remediation.Verified)
			}
			told := func() int {
				got, _ := hook.all()
				sum, seen := 0, map[string]bool{}
				for _, p := range got[2:] {
					if seen[p.ID] || p.ID == got[0].ID {
						t.Errorf("%s came more than once: %s", p.ID, p.Subject)
					}
					seen[p.ID] = true
					var d struct{ Count int }
					if err := json.Unmarshal(p.Event.Detail, &d); err != nil {
						t.Fatal(err)
					}
					sum += max(d.Count, 1)
				}
				return sum
			}
			poll(t, patience, func() string { return fmt.Sprintf("%d of 3 fixes are told", told()) }, func(context.Context) bool { return told() >= 3 })
			time.Sleep(3 * time.Second) // longer than group_interval: what would be repeated has come by now
			if sum := told(); sum != 3 {
				t.Errorf("%d fixes are told, there were 3", sum)
			}
		})
	}
}
