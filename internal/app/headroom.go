package app

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// headroomEvery is how often the load is looked at.
	headroomEvery = time.Second
	// busyAllocs are the bytes a second that are allocated when collections come too
	// quickly: the live heap of a server is some 10 to 20 MB.
	busyAllocs = 32 << 20
	// roomyHeap is the heap at which a busy server collects garbage, unless twice what is
	// live is more: as much as it holds when it works on a thousand findings anyway.
	roomyHeap = 64 << 20
	// steadyHeap is GOGC as Go has it.
	steadyHeap = 100
)

// headroom collects garbage less often while much is allocated and little is live, as
// under many small requests, where a tenth of the processor goes into looking at the same
// live heap again and again. An idle server keeps Go's own measure, and an operator who
// sets GOGC or GOMEMLIMIT decides alone.
func headroom(ctx context.Context) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	defer debug.SetGCPercent(steadyHeap)
	tick := time.NewTicker(headroomEvery)
	defer tick.Stop()
	now, before := steadyHeap, heapNow()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		heap := heapNow()
		want := gcPercent(heap.allocated-before.allocated, heap.live)
		before = heap
		if math.Abs(float64(want-now)) > float64(now)/4 { // each change stops the program for a moment
			debug.SetGCPercent(want)
			now = want
		}
	}
}

// gcPercent is how much garbage there may be for what is live, as GOGC says it.
func gcPercent(allocated, live uint64) int {
	if allocated < busyAllocs || live >= roomyHeap/2 {
		return steadyHeap
	}
	return int((roomyHeap - live) * 100 / max(live, roomyHeap/10))
}

// heap is what runtime/metrics says, in bytes.
type heap struct{ allocated, live uint64 }

func heapNow() heap {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64()}
}
