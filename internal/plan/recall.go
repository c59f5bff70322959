package plan

import (
	"sync"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
)

// recall keeps what deferred reads answered a moment ago, so that fixes of many resources
// do not ask the same of their account each. Nothing but what fails is confirmed by it
// (playbook.Looking.Recall), and it is gone with the process.
type recall struct {
	mu   sync.Mutex
	seen map[string]recalled
}

type recalled struct {
	reply map[string]any
	at    time.Time
}

// maxRecalled bounds it: one answer an account is what a sweep needs.
const maxRecalled = 4096

func (m *recall) put(c apimodel.Call, reply map[string]any, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) >= maxRecalled {
		m.seen = map[string]recalled{}
	}
	m.seen[apimodel.ReadKey(c)] = recalled{reply, at}
}

// get gives an answer that is not older than most at the time now.
func (m *recall) get(c apimodel.Call, now time.Time, most time.Duration) (map[string]any, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.seen[apimodel.ReadKey(c)]
	age := now.Sub(r.at)
	return r.reply, ok && most > 0 && age >= 0 && age <= most
}
