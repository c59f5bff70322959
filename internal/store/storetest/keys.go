package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func keyTests() []conformance {
	return []conformance{
		{"key/is kept, listed and revoked", keyLife},
		{"key/refuses", keyRefuses},
		{"signature/is accepted once within its validity", signatureOnce},
		{"signature/one of many at once is the first", signatureRace},
	}
}

func key(id string) store.Key {
	return store.Key{
		AccessKeyID: id, Secret: "secret-of-" + store.Secret(id), Name: "ci", Principal: "user/ci", Roles: []string{"importer"},
		Accounts: []string{"111111111111"}, Products: []string{"*"}, Trusted: true, CreatedAt: Start(),
	}
}

func keyLife(t *testing.T, s *store.Store) {
	ctx := t.Context()
	ok(t, s.PutKey(ctx, key("PKONE"), event("made")))
	sentinel(t, s.PutKey(ctx, key("PKONE"), event("made again")), store.ErrExists)
	second := key("PKTWO")
	second.CreatedAt = Start().Add(time.Hour)
	ok(t, s.PutKey(ctx, second, store.Effects{}))
	got := must(s.Key(ctx, "PKONE"))(t)
	same(t, key("PKONE"), got)
	if printed := fmt.Sprintf("%v %+v %#v %s", got, got, got, must(json.Marshal(got))(t)); strings.Contains(printed, "secret-of") {
		t.Errorf("the secret prints: %s", printed)
	}
	listed := must(s.ListKeys(ctx))(t)
	if len(listed) != 2 || listed[0].AccessKeyID != "PKONE" || listed[0].Secret != "" || listed[0].Name != "ci" {
		t.Errorf("listed %+v", listed)
	}
	_, err := s.Key(ctx, "PKNONE")
	sentinel(t, err, store.ErrNotFound)

	clock(t, s).Advance(time.Minute)
	ok(t, s.RevokeKey(ctx, "PKONE", event("revoked")))
	clock(t, s).Advance(time.Minute)
	ok(t, s.RevokeKey(ctx, "PKONE", event("revoked again")))
	sentinel(t, s.RevokeKey(ctx, "PKNONE", event("never")), store.ErrNotFound)
	revoked := key("PKONE")
	revoked.RevokedAt = Start().Add(time.Minute)
	same(t, revoked, must(s.Key(ctx, "PKONE"))(t))
	same(t, []string{"made", "revoked"}, claimIDs(t, s, store.Findings))
}

func keyRefuses(t *testing.T, s *store.Store) {
	for name, k := range map[string]store.Key{"no id": key(""), "a long id": key(strings.Repeat("x", 600)), "no secret": {AccessKeyID: "PK"}} {
		if err := s.PutKey(t.Context(), k, store.Effects{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	same(t, []store.Key(nil), must(s.ListKeys(t.Context()))(t), cmpopts.EquateEmpty())
}

func signatureOnce(t *testing.T, s *store.Store) {
	ctx, until := t.Context(), Start().Add(5*time.Minute)
	same(t, false, must(s.SeenSignature(ctx, "a", until))(t))
	same(t, true, must(s.SeenSignature(ctx, "a", until))(t))
	same(t, false, must(s.SeenSignature(ctx, "b", until))(t))
	clock(t, s).Advance(5*time.Minute - time.Microsecond)
	same(t, true, must(s.SeenSignature(ctx, "a", until))(t))
	clock(t, s).Advance(time.Microsecond)
	same(t, false, must(s.SeenSignature(ctx, "a", until.Add(time.Hour)))(t))
	same(t, true, must(s.SeenSignature(ctx, "a", until.Add(time.Hour)))(t))
}

func signatureRace(t *testing.T, s *store.Store) {
	var first atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			seen, err := s.SeenSignature(t.Context(), "a", Start().Add(time.Hour))
			if err != nil {
				t.Errorf("see signature: %v", err)
			}
			if !seen {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	same(t, int32(1), first.Load())
}
