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
	var samples []metrics.Sample
	for _, name := range []string{
		live, "/gc/heap/goal:bytes", "/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/released:bytes", "/memory/classes/heap/stacks:bytes", "/memory/classes/metadata/other:bytes", "/memory/classes/metadata/mspan/inuse:bytes",
		"/memory/classes/profiling/buckets:bytes", "/memory/classes/other:bytes", "/memory/classes/os-stacks:bytes", "/sched/goroutines:goroutines", "/gc/cycles/total:gc-cycles",
	} {
		samples = append(samples, metrics.Sample{Name: name})
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
