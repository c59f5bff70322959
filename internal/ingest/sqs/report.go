package sqs

import (
	"sync"
	"time"

	"github.com/parry-security/parry/internal/ingest"
)

// report counts what the collector did since it started.
type report struct {
	mu sync.Mutex
	r  ingest.Report
}

func (p *report) polled(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.r.LastRead, p.r.Problem = now, ""
}

func (p *report) took(messages int, t ingest.Taken, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.r.LastRead, p.r.LastReceived, p.r.Problem = now, now, ""
	p.r.Messages += int64(messages)
	p.r.Accepted += int64(len(t.Items))
	p.r.Rejected += int64(len(t.Aside))
	p.r.Events += int64(len(t.Events))
}

func (p *report) fail(err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.r.Problem, p.r.ProblemAt = err.Error(), now
}

// Report gives what the collector did.
func (c *Collector) Report() ingest.Report {
	c.report.mu.Lock()
	defer c.report.mu.Unlock()
	r := c.report.r
	r.Name, r.Kind, r.Trusted = c.cfg.Source.Name, "queue", c.cfg.Source.Trusted
	r.Accounts, r.Products, r.From = c.cfg.Source.Accounts, c.cfg.Source.Products, c.cfg.URL
	return r
}
