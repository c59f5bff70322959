package scenarios_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/remediation"
)

// follower reads the event stream of a node until the test ends.
type follower struct {
	mu   sync.Mutex
	seen []api.ChangeHint
}

// follow opens a stream, and waits until it says that it is ready.
func (n *node) follow(person string) *follower {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.endpoint+"/v1/stream", nil)
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set(client.NonceHeader, rand.Text())
	k, sum := n.keys[person], sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret}, req, hex.EncodeToString(sum[:]), api.Service, "us-east-1", time.Now()); err != nil {
		n.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	f, done := &follower{}, make(chan struct{})
	go func() {
		defer close(done)
		lines := bufio.NewScanner(res.Body)
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			var h api.ChangeHint
			if !ok || json.Unmarshal([]byte(data), &h) != nil {
				continue
			}
			f.mu.Lock()
			f.seen = append(f.seen, h)
			f.mu.Unlock()
		}
	}()
	n.t.Cleanup(func() {
		cancel()
		<-done
		_ = res.Body.Close()
	})
	if res.StatusCode != http.StatusOK {
		n.t.Fatalf("the stream of %s answers %d", n.name, res.StatusCode)
	}
	f.await(n.t, "ready", "")
	return f
}

func (f *follower) has(kind, id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.seen, func(h api.ChangeHint) bool { return h.Type == kind && (id == "" || h.ID == id) })
}

func (f *follower) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%+v", f.seen)
}

func (f *follower) await(t *testing.T, kind, id string) {
	t.Helper()
	poll(t, 20*time.Second, func() string { return fmt.Sprintf("no %s %s came: %s", kind, id, f) }, func(context.Context) bool { return f.has(kind, id) })
}

// TestAStreamTellsWhatOtherNodesDo: people who follow one node see what happens on the
// other, and only what lies within their accounts.
func TestAStreamTellsWhatOtherNodesDo(t *testing.T) {
	t.Parallel()
	w := earth(t)
	shared := w.install(t, w.onPostgres(t))
	out, err := shared.parry(t, "", "key", "create", "dana", "--role", "reader", "--account", w.env.Estate.Members["dev"].Account, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	shared.keys["dana"] = decode[key](t, out)
	one, two := shared.serveAs(t, "one"), shared.serveAs(t, "two")
	far, near, dana := two.follow("olga"), one.follow("olga"), two.follow("dana")

	b := w.bucket(t, "prod")
	one.report(b)
	r := one.await(b, remediation.KindFix, remediation.AwaitingApproval)
	approval := one.detail(r.ID).Approval
	if approval == nil {
		t.Fatal("there is no approval")
	}
	for _, f := range []*follower{far, near} {
		f.await(t, "finding", "")
		f.await(t, "remediation", string(r.ID))
		f.await(t, "approval", approval.ID)
	}
	// Who approves on one node is seen on the other at once.
	two.grant(r.ID)
	one.await(b, remediation.KindFix, remediation.Verified)
	one.stopSwitch(true)
	far.await(t, "stop", "")
	near.await(t, "stop", "")
	two.stopSwitch(false)
	// Of prod a reader of dev is told nothing; of dev she is, so the silence is no accident.
	mine := w.bucket(t, "dev")
	one.report(mine)
	fixed := one.await(mine, remediation.KindFix, remediation.Verified)
	dana.await(t, "remediation", string(fixed.ID))
	if dana.has("remediation", string(r.ID)) || dana.has("approval", approval.ID) {
		t.Errorf("a reader of dev is told of prod: %s", dana)
	}
}
