package organization

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"
)

// An event of CloudTrail makes the organization be read once it has been quiet for
// Settle, at the latest after maxSettle; and not more often than every leastGap,
// whoever sends events.
const (
	maxSettle = time.Minute
	leastGap  = 20 * time.Second
	maxTagged = 10_000
)

// notices are events that were not followed yet.
type notices struct {
	mu          sync.Mutex
	first, last time.Time // of the events since the last reading; zero = none
	read        time.Time
	accounts    map[string]bool // whose tags were changed
}

var cloudTrail = []byte(`organizations.amazonaws.com`)

// Notice looks at an event of the bus. One of CloudTrail that says that something was
// changed in AWS Organizations makes the organization be read soon; what it says is not
// believed. https://docs.aws.amazon.com/organizations/latest/userguide/orgs_cloudtrail-integration.html
func (f *Follower) Notice(event []byte) {
	if !f.cfg.Organization.Sync.Enabled || !bytes.Contains(event, cloudTrail) {
		return
	}
	var e struct {
		Account string `json:"account"`
		Detail  struct {
			EventSource string `json:"eventSource"`
			ErrorCode   string `json:"errorCode"`
			ReadOnly    bool   `json:"readOnly"`
			Parameters  struct {
				ResourceID string `json:"resourceId"`
			} `json:"requestParameters"`
		} `json:"detail"`
	}
	if json.Unmarshal(event, &e) != nil || e.Detail.EventSource != string(cloudTrail) || e.Detail.ErrorCode != "" || e.Detail.ReadOnly {
		return
	}
	if _, member := f.cfg.Live.Account(e.Account); !member && e.Account != f.cfg.Organization.ManagementAccount {
		return
	}
	f.events.put(f.cfg.Clock.Now(), e.Detail.Parameters.ResourceID)
}

func (n *notices) put(now time.Time, account string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first.IsZero() {
		n.first = now
	}
	n.last = now
	if len(account) == 12 && len(n.accounts) < maxTagged {
		if n.accounts == nil {
			n.accounts = map[string]bool{}
		}
		n.accounts[account] = true
	}
}

// due reports whether what happened is to be followed now.
func (n *notices) due(now time.Time, settle time.Duration) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.first.IsZero(), now.Before(n.read.Add(leastGap)):
		return false
	case now.Before(n.last.Add(settle)) && now.Before(n.first.Add(maxSettle)):
		return false
	}
	return true
}

// take begins a reading: what happens from now on asks for another.
func (n *notices) take(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.first, n.last, n.read = time.Time{}, time.Time{}, now
}

// pending reports whether something happened.
func (n *notices) pending() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.first.IsZero()
}

// tagged takes the accounts whose tags were changed.
func (n *notices) tagged() map[string]bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.accounts
	n.accounts = nil
	return out
}
