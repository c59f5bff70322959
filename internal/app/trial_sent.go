package app

import (
	"cmp"
	"slices"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/remediation"
)

// sentCounts counts what leaves the process, and what the gate keeps from leaving.
type sentCounts struct {
	mu      sync.Mutex
	sent    map[[2]string]int // by service and operation
	refused int
}

func (c *sentCounts) add(s awsapi.Sent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent == nil {
		c.sent = map[[2]string]int{}
	}
	c.sent[[2]string{s.Service, s.Operation}]++
}

// record counts refusals; what was sent is counted where it leaves.
func (c *sentCounts) record(r remediation.CallRecord) {
	if r.Outcome != remediation.CallRefused {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
}

func (c *sentCounts) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// list gives the counts by name, and their sum.
func (c *sentCounts) list(models *apimodel.Catalog) (out []TrialSent, total int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out = make([]TrialSent, 0, len(c.sent))
	for name, n := range c.sent {
		out = append(out, TrialSent{name[0], name[1], n, models.Classify(name[0], name[1])})
		total += n
	}
	slices.SortFunc(out, func(a, b TrialSent) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Operation, b.Operation))
	})
	return out, total
}
