package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/store"
)

func leaseTests() []conformance {
	return []conformance{
		{"node/a lost lease comes back under a new epoch", nodeEpochs},
		{"node/the dead are named, the released at once", nodeDead},
		{"node/epochs are unique among all nodes", nodeUnique},
		{"lease/one holder at a time", leaseHolder},
		{"lease/one of many wins", leaseRace},
	}
}

const ttl = 15 * time.Second

func valid(t testing.TB, s *store.Store, node string, epoch int64) bool {
	t.Helper()
	return must(s.LeaseValid(t.Context(), node, epoch))(t)
}

func nodeEpochs(t *testing.T, s *store.Store) {
	ctx := t.Context()
	beat := func() int64 { return must(s.Heartbeat(ctx, "node-1", ttl))(t) }
	same(t, false, valid(t, s, "node-1", 0))
	first := beat()
	clock(t, s).Advance(ttl - time.Microsecond)
	same(t, true, valid(t, s, "node-1", first))
	same(t, first, beat())
	clock(t, s).Advance(ttl)
	same(t, false, valid(t, s, "node-1", first))
	second := beat()
	if second <= first {
		t.Errorf("epoch %d after %d is not greater", second, first)
	}
	same(t, false, valid(t, s, "node-1", first))
	same(t, true, valid(t, s, "node-1", second))
	same(t, false, valid(t, s, "node-2", second))
	_, err := s.Heartbeat(ctx, "", ttl)
	code(t, err, fault.Invalid)
}

func nodeDead(t *testing.T, s *store.Store) {
	ctx := t.Context()
	one := must(s.Heartbeat(ctx, "node-1", ttl))(t)
	must(s.Heartbeat(ctx, "node-2", 2*ttl))(t)
	three := must(s.Heartbeat(ctx, "node-3", 3*ttl))(t)
	now := func() time.Time { return clock(t, s).Now() }
	same(t, 0, len(must(s.DeadNodes(ctx, now()))(t)))
	clock(t, s).Advance(ttl)
	same(t, []string{"node-1"}, must(s.DeadNodes(ctx, now()))(t))
	ok(t, s.ReleaseNode(ctx, "node-3", three-1)) // not its epoch
	same(t, true, valid(t, s, "node-3", three))
	ok(t, s.ReleaseNode(ctx, "node-3", three))
	same(t, false, valid(t, s, "node-3", three))
	same(t, []string{"node-1", "node-3"}, must(s.DeadNodes(ctx, now()))(t))
	if again := must(s.Heartbeat(ctx, "node-1", ttl))(t); again <= one {
		t.Errorf("epoch %d after %d is not greater", again, one)
	}
	same(t, []string{"node-3"}, must(s.DeadNodes(ctx, now()))(t))
}

func nodeUnique(t *testing.T, s *store.Store) {
	var mu sync.Mutex
	seen := map[int64]string{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			node := fmt.Sprintf("node-%d", i)
			epoch, err := s.Heartbeat(t.Context(), node, ttl)
			if err != nil {
				t.Errorf("heartbeat: %v", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if other, taken := seen[epoch]; taken {
				t.Errorf("%s and %s share epoch %d", node, other, epoch)
			}
			seen[epoch] = node
		})
	}
	wg.Wait()
}

func leaseHolder(t *testing.T, s *store.Store) {
	ctx := t.Context()
	take := func(node string) bool { return must(s.AcquireLease(ctx, "audit", node, ttl))(t) }
	same(t, true, take("node-1"))
	same(t, false, take("node-2"))
	clock(t, s).Advance(ttl - time.Microsecond)
	same(t, true, take("node-1"))
	clock(t, s).Advance(ttl - time.Microsecond)
	same(t, false, take("node-2"))
	clock(t, s).Advance(time.Microsecond)
	same(t, true, take("node-2"))
	same(t, false, take("node-1"))
	ok(t, s.ReleaseLease(ctx, "audit", "node-1")) // not its holder
	same(t, false, take("node-1"))
	ok(t, s.ReleaseLease(ctx, "audit", "node-2"))
	same(t, true, take("node-1"))
	same(t, true, must(s.AcquireLease(ctx, "another", "node-2", ttl))(t))
	ok(t, s.DropLeases(ctx, "node-1"))
	same(t, false, take("node-2"))
	same(t, true, must(s.AcquireLease(ctx, "another", "node-1", ttl))(t))
	ok(t, s.DropLeases(ctx, "node-3"))
	same(t, true, take("node-2"))
	for _, bad := range [][2]string{{"", "n"}, {"l", ""}} {
		_, err := s.AcquireLease(ctx, bad[0], bad[1], ttl)
		code(t, err, fault.Invalid)
	}
}

func leaseRace(t *testing.T, s *store.Store) {
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			held, err := s.AcquireLease(t.Context(), "audit", fmt.Sprint(i), ttl)
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Errorf("acquire: %v", err)
			}
			if held {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	same(t, int32(1), won.Load())
}
