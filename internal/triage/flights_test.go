package triage_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
	"github.com/parry-security/parry/internal/triage"
)

// slowStore takes its time for a commit, as a disk does, and counts those that run at
// the same time.
type slowStore struct {
	*fake
	running, most chan int
}

func (s slowStore) CommitFindings(ctx context.Context, w []store.FindingWrite, done []int64, eff store.Effects) error {
	n := <-s.running + 1
	s.running <- n
	s.most <- max(<-s.most, n)
	time.Sleep(10 * time.Millisecond)
	s.running <- <-s.running - 1
	return s.fake.CommitFindings(ctx, w, done, eff)
}

// One batch is made ready while another is committed, but not when what it makes
// depends on that one. Seen to fail without flight.before: the finding behind the
// threat is ranked without it.
func TestBatchesUnderWay(t *testing.T) {
	t.Parallel()
	inner := newFake()
	s := slowStore{inner, make(chan int, 1), make(chan int, 1)}
	s.running <- 0
	s.most <- 0
	tr, err := triage.New(triage.Config{Store: s, Clock: service.NewFixedClock(epoch()), Poll: time.Hour, Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := func(doc, name string) string { return strings.ReplaceAll(doc, "arn:aws:s3:::b", "arn:aws:s3:::"+name) }
	inner.put("hub", true, epoch(),
		asff("threat", 1, low, `"Types":["TTPs/Initial Access"]`), asff("weak", 1, low),
		elsewhere(asff("one", 1), "one"), elsewhere(asff("two", 1), "two"), elsewhere(asff("one", 2), "one"), elsewhere(asff("one", 3), "one"),
	)
	if n, err := tr.Drain(t.Context()); n != 6 || err != nil {
		t.Fatalf("%d rows, %v", n, err)
	}
	if got := inner.record(t, "weak").Priority; got != 21 {
		t.Errorf("priority %d beside a threat that was committed at the same time, want 21", got)
	}
	if r := inner.record(t, "one"); r.Rev != 3 || inner.doc(t, "one").String("UpdatedAt") != "2024-01-01T00:03:00Z" {
		t.Errorf("rev %d, updated at %s", r.Rev, inner.doc(t, "one").String("UpdatedAt"))
	}
	if most := <-s.most; most < 2 {
		t.Error("batches that have nothing to do with each other wait for each other")
	}
}
