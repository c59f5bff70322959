package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	busEntries = 10 // of a PutEvents
	busSenders = 32 // a request waits for two commits: fewer do not use both cores
	busTarget  = "arn:aws:parry:us-east-1:222222222222:webhook/sink"
	// busConcurrency is how many deliveries are under way: sixteen wait for a receiver that
	// has a part of the same cores.
	busConcurrency = 32
	busOffered     = 5000 // events a second at which latency is measured
	busSeconds     = 20
)

// busEvents measures the event bus from PutEvents to a target that was called: signed
// batches of 10 events of 4 KB, one rule with a webhook on the same cores.
func busEvents(kind string) measurement {
	name := "bus/" + kind
	goal := 5000.0
	return measurement{
		rows: []Row{
			atLeast(name, "events from PutEvents to a webhook that was called, "+title(kind), goal, "events/s"),
			atMost(name+"/p99", "  p99 from PutEvents sent to the webhook called, at 5,000 events/s", 50, "ms"),
		},
		limit: 2 * time.Minute,
		run: func(ctx context.Context, b *bench, rows map[string]*Row) (err error) {
			sink, err := newSink()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, sink.listener.Close()) }()
			dir, err := b.temp("bus")
			if err != nil {
				return err
			}
			cfg := organization([]string{account(0)}, "people")
			cfg["bus_rules"] = []any{}
			cfg["event_limits"] = []any{map[string]any{"target": busTarget, "concurrency": busConcurrency}}
			cfg["channels"] = []any{map[string]any{"name": "sink", "kind": "webhook", "url": sink.url, "secret_env": "SINK_KEY"}}
			if kind == "postgres" {
				if cfg["database"], err = b.postgres(ctx); err != nil {
					return err
				}
			}
			n, err := b.node(ctx, dir, cfg, []string{"SINK_KEY=0123456789abcdef0123456789abcdef"})
			if err != nil {
				return err
			}
			defer n.stop()
			if err := errors.Join(n.keys(ctx), n.start(ctx), n.busRule(ctx)); err != nil {
				return err
			}
			bodies, err := busBodies(200)
			if err != nil {
				return err
			}
			before, err := cpuTime(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			events := sink.got.Load()
			rate, err := sink.load(ctx, n, bodies, 0)
			if err != nil {
				return err
			}
			after, err := cpuTime(n.cmd.Process.Pid)
			if err != nil {
				return err
			}
			each := float64((after - before).Microseconds()) / float64(sink.got.Load()-events)
			rows[name].set(rate, "%.0f us of the server's processor each, %d senders and the webhook on the same cores; %s", each, busSenders, flushed(kind))
			offered := float64(busOffered)
			if rate < busOffered { // a queue that only grows says nothing
				offered = rate * 0.8
			}
			if _, err := sink.load(ctx, n, bodies, offered); err != nil {
				return err
			}
			rows[name+"/p99"].set(sink.quantile(0.99), "at %.0f events/s, p50 %.1f ms, slowest %.0f ms", offered, sink.quantile(0.5), sink.quantile(1))
			return nil
		},
	}
}

// busRule makes the rule with its target.
func (n *node) busRule(ctx context.Context) error {
	for operation, in := range map[string]any{
		"PutRule": map[string]any{"Name": "sink", "EventPattern": `{"source":["bench"]}`},
	} {
		if err := n.events(ctx, operation, in); err != nil {
			return err
		}
	}
	return n.events(ctx, "PutTargets", map[string]any{"Rule": "sink", "Targets": []any{
		map[string]any{"Id": "sink", "Arn": busTarget},
	}})
}

func (n *node) events(ctx context.Context, operation string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return n.putEvents(ctx, operation, body)
}

func (n *node) putEvents(ctx context.Context, operation string, body []byte) error {
	raw, err := n.signed(ctx, "events", "/", n.person, http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"AWSEvents." + operation}}, body)
	if err != nil {
		return fmt.Errorf("%s: %w", operation, err)
	}
	answer, err := decode[struct{ FailedEntryCount int }](raw)
	if err == nil && answer.FailedEntryCount > 0 {
		err = fmt.Errorf("%s: %.300s", operation, raw)
	}
	return err
}

// busBody is a request with the places where the time of sending is put.
type busBody struct {
	raw []byte
	at  []int
}

// sent gives the body as it is sent at a time.
func (b busBody) sent(at time.Time) []byte {
	out, digits := slices.Clone(b.raw), strconv.AppendInt(nil, at.UnixNano(), 10)
	for _, i := range b.at {
		copy(out[i:], digits)
	}
	return out
}

// busAt stands in a body where the time of sending is put: 19 digits.
const busAt = "1000000000000000000"

// busBodies gives bodies of PutEvents, whose details begin with busAt.
func busBodies(n int) ([]busBody, error) {
	m := newMaker(11)
	out := make([]busBody, n)
	for i := range out {
		var entries []any
		for range busEntries {
			detail := append([]byte(`{"at":`+busAt+`,`), m.finding(500)[1:]...)
			entries = append(entries, map[string]any{"Source": "bench", "DetailType": "Finding", "Detail": string(detail)})
		}
		var err error
		if out[i].raw, err = json.Marshal(map[string]any{"Entries": entries}); err != nil {
			return nil, err
		}
		for from := 0; ; {
			k := bytes.Index(out[i].raw[from:], []byte(busAt))
			if k < 0 {
				break
			}
			out[i].at = append(out[i].at, from+k)
			from += k + len(busAt)
		}
	}
	return out, nil
}

// sink is a webhook that notes how long events took. It reads HTTP/1.1 as Parry sends it
// and no more, so that the receiver takes little of the cores that it shares.
type sink struct {
	url      string
	listener net.Listener
	got      atomic.Int64

	mu   sync.Mutex
	took []float64 // ms
}

func newSink() (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed with the sink
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + l.Addr().String(), listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
	return s, nil
}

// serve answers the requests of a connection.
func (s *sink) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	in := bufio.NewReaderSize(c, 64<<10)
	var raw []byte
	for {
		length := -1
		for {
			line, err := in.ReadSlice('\n')
			if err != nil {
				return // it was closed between requests, or the sender is gone
			}
			if len(bytes.TrimSpace(line)) == 0 {
				break
			}
			if name, v, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(v))); err != nil {
					return
				}
			}
		}
		if length < 0 {
			return // Parry says the length of all it posts
		}
		raw = slices.Grow(raw[:0], length)[:length]
		if _, err := io.ReadFull(in, raw); err != nil {
			return
		}
		s.take(raw)
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (s *sink) take(raw []byte) {
	if _, rest, ok := bytes.Cut(raw, []byte(`"at":`)); ok && len(rest) > len(busAt) {
		if at, err := strconv.ParseInt(string(rest[:len(busAt)]), 10, 64); err == nil {
			s.mu.Lock()
			s.took = append(s.took, float64(time.Now().UnixNano()-at)/1e6)
			s.mu.Unlock()
		}
	}
	s.got.Add(1)
}

// quantile gives how long a part of the events took at most, in ms.
func (s *sink) quantile(q float64) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return 0
	}
	slices.Sort(s.took)
	return s.took[min(int(q*float64(len(s.took))), len(s.took)-1)]
}

// load puts events for some seconds, at a rate or as fast as they are taken, waits until
// all were delivered, and gives how many that were a second.
func (s *sink) load(ctx context.Context, n *node, bodies []busBody, rate float64) (float64, error) {
	s.mu.Lock()
	s.took = nil
	s.mu.Unlock()
	before := s.got.Load()
	began := time.Now()
	var next atomic.Int64
	errs := make([]error, busSenders)
	var wg sync.WaitGroup
	for i := range busSenders {
		wg.Go(func() {
			for errs[i] == nil {
				k := next.Add(1) - 1
				at := time.Now()
				if rate > 0 { // the time at which it should go counts, so that a queue is seen
					at = began.Add(time.Duration(float64(k) * busEntries / rate * float64(time.Second)))
					time.Sleep(time.Until(at))
				}
				if at.Sub(began) > busSeconds*time.Second {
					return
				}
				errs[i] = n.putEvents(ctx, "PutEvents", bodies[int(k)%len(bodies)].sent(at))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	put := (next.Load() - busSenders) * busEntries
	for s.got.Load()-before < put {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("%d of %d events were delivered: %w", s.got.Load()-before, put, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
	return float64(put) / time.Since(began).Seconds(), nil
}
