package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"time"
)

// watchHeap writes a profile of the heap whenever what was live after a collection
// is a tenth more than at the last profile, so that the file shows the heap at its
// largest. Beside it, in .txt, is how the process's memory was divided then.
func watchHeap(ctx context.Context, name string) {
	const live = "/gc/heap/live:bytes"
	samples := []metrics.Sample{
		{Name: live}, {Name: "/gc/heap/goal:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"}, {Name: "/memory/classes/metadata/mspan/inuse:bytes"}, {Name: "/memory/classes/profiling/buckets:bytes"},
		{Name: "/memory/classes/other:bytes"}, {Name: "/memory/classes/os-stacks:bytes"}, {Name: "/sched/goroutines:goroutines"}, {Name: "/gc/cycles/total:gc-cycles"},
	}
	var largest uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
		metrics.Read(samples)
		if samples[0].Value.Uint64() <= largest+largest/10 {
			continue
		}
		largest = samples[0].Value.Uint64()
		runtime.GC() // a profile shows what was live at the last collection but one
		f, err := os.Create(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: profile of the heap:", err)
			return
		}
		_ = pprof.Lookup("heap").WriteTo(f, 0) // a profile that is cut off says so itself
		_ = f.Close()
		var text []byte
		for _, s := range samples {
			text = fmt.Appendf(text, "%-45s %12d\n", s.Name, s.Value.Uint64())
		}
		_ = os.WriteFile(name+".txt", text, 0o600) // it only explains the profile
	}
}
