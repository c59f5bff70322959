package triage

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/org"
)

// Score is how urgent a finding is, 0 to 100, and why: the points of the reasons
// add up to the value, within its bounds.
type Score struct {
	Value   int      `json:"value"`
	Reasons []Reason `json:"reasons"`
	// DueAt is until when a finding of its severity should be dealt with; zero
	// for one that needs no work or has no deadline.
	DueAt time.Time `json:"due_at,omitzero"`
	// Overdue says that DueAt has passed.
	Overdue bool `json:"overdue,omitempty"`
}

// Reason is one fact that a score counts.
type Reason struct {
	Points int    `json:"points"`
	Text   string `json:"text"`
}

// Priority says what counts how much; docs/priority.md explains it with examples.
// The zero value of a field is its default.
type Priority struct {
	// Exposed, Threat, Exploited, Exploitable and Overdue are points for a resource
	// that is reachable from outside, one that an active threat was seen on, a
	// weakness that is known to be exploited, one that an exploit exists for, and a
	// deadline that has passed. Likely are the points for an EPSS score of 1. All
	// are 0 to 100; -1 leaves a fact out.
	Exposed     int `yaml:"exposed"`     // default 15
	Threat      int `yaml:"threat"`      // default 20
	Exploited   int `yaml:"exploited"`   // default 20
	Exploitable int `yaml:"exploitable"` // default 10
	Likely      int `yaml:"likely"`      // default 15
	Overdue     int `yaml:"overdue"`     // default 10
	// Deadlines are the days from a finding's creation until it should be dealt
	// with, by severity label in lower case; 0 is none. Default: critical 7,
	// high 30, medium 90, low 180.
	Deadlines map[string]int `yaml:"deadlines"`
	// Assets weigh accounts, units and tags; the first that fits counts.
	Assets []Asset `yaml:"assets"`
}

// Asset weighs what a finding is about. Empty members fit everything.
type Asset struct {
	Name     string   `yaml:"name"` // shown as the reason
	Accounts []string `yaml:"accounts"`
	// Units are paths of organizational units, those below them included.
	Units []string `yaml:"units"`
	// Tags are tags of the resource or of its account, all of which it must have.
	Tags map[string]string `yaml:"tags"`
	// Points is -100 to 100.
	Points int `yaml:"points"`
}

const (
	maxAssets   = 200
	maxDeadline = 3650 // days
)

// severities are the keys of deadlines.
var severities = []string{"critical", "high", "medium", "low", "informational"} //nolint:gochecknoglobals // a constant

// WithDefaults checks p and fills what it leaves open.
func (p Priority) WithDefaults() (Priority, error) {
	const op = "check priority"
	for _, w := range []struct {
		key string
		at  *int
		def int
	}{
		{"exposed", &p.Exposed, 15},
		{"threat", &p.Threat, 20},
		{"exploited", &p.Exploited, 20},
		{"exploitable", &p.Exploitable, 10},
		{"likely", &p.Likely, 15},
		{"overdue", &p.Overdue, 10},
	} {
		switch {
		case *w.at < -1 || *w.at > 100:
			return p, fault.Errorf(fault.Invalid, op, "priority.%s is %d, not a number from -1 (left out) to 100", w.key, *w.at)
		case *w.at == 0:
			*w.at = w.def
		case *w.at == -1:
			*w.at = 0
		}
	}
	deadlines := map[string]int{"critical": 7, "high": 30, "medium": 90, "low": 180}
	for label, days := range p.Deadlines {
		if !slices.Contains(severities, label) {
			return p, fault.Errorf(fault.Invalid, op, "priority.deadlines has the severity %q, which is not one of %s", label, strings.Join(severities, ", "))
		}
		if days < 0 || days > maxDeadline {
			return p, fault.Errorf(fault.Invalid, op, "priority.deadlines.%s is %d days, not 0 (none) to %d", label, days, maxDeadline)
		}
		deadlines[label] = days
	}
	p.Deadlines = deadlines
	if len(p.Assets) > maxAssets {
		return p, fault.Errorf(fault.Invalid, op, "priority.assets has %d entries, the limit is %d", len(p.Assets), maxAssets)
	}
	for i, a := range p.Assets {
		switch {
		case a.Name == "":
			return p, fault.Errorf(fault.Invalid, op, "priority.assets[%d] has no name", i).WithHint("the name is what a score gives as its reason")
		case a.Points < -100 || a.Points > 100:
			return p, fault.Errorf(fault.Invalid, op, "priority.assets[%d].points is %d, not a number from -100 to 100", i, a.Points)
		}
	}
	return p, nil
}

// Scorer gives findings their priority.
type Scorer struct {
	priority Priority
	account  func(id string) (org.Account, bool)
}

// NewScorer checks p; account tells what is known of an account.
func NewScorer(p Priority, account func(id string) (org.Account, bool)) (*Scorer, error) {
	p, err := p.WithDefaults()
	if err != nil {
		return nil, err
	}
	if account == nil {
		account = func(string) (org.Account, bool) { return org.Account{}, false }
	}
	return &Scorer{p, account}, nil
}

// Score gives f's priority at now. Threat says that an active threat was seen on one
// of its resources. What needs no work has the score 0: it is archived, suppressed or
// resolved, its check passes, or its account is suspended, closed or gone.
func (s *Scorer) Score(f finding.Finding, threat bool, now time.Time) Score {
	if why := idle(f); why != "" {
		return Score{Reasons: []Reason{{0, why}}}
	}
	if a, ok := s.account(f.Account()); ok {
		if why := a.State.Idle(); why != "" {
			return Score{Reasons: []Reason{{0, "the account cannot be worked in: " + why}}}
		}
	}
	out := Score{}
	add := func(points int, format string, args ...any) {
		if points != 0 {
			out.Reasons = append(out.Reasons, Reason{points, fmt.Sprintf(format, args...)})
		}
	}
	out.Reasons = append(out.Reasons, Reason{f.SeverityNormalized(), "severity " + string(f.SeverityLabel())})
	if c, ok := f.Int("Criticality"); ok {
		add((c-50)/5, "criticality %d", c)
	}
	if a, ok := s.asset(f); ok {
		add(a.Points, "asset: %s", a.Name)
	}
	if why := exposure(f); why != "" {
		add(s.priority.Exposed, "%s", why)
	}
	if threat && !IsThreat(f) {
		add(s.priority.Threat, "an active threat was seen on the resource")
	}
	if x := s.exploit(f); x.Points != 0 {
		out.Reasons = append(out.Reasons, x)
	}
	s.deadline(f, now, &out)
	for _, r := range out.Reasons {
		out.Value += r.Points
	}
	out.Value = min(100, max(0, out.Value))
	return out
}

// idle says why f needs no work, "" when it does.
func idle(f finding.Finding) string {
	switch {
	case f.Record() == finding.Archived:
		return "archived by its provider"
	case f.Workflow() == finding.Suppressed || f.Workflow() == finding.Resolved:
		return "workflow status " + string(f.Workflow())
	case f.Compliance() == finding.Passed:
		return "the check passes"
	}
	return ""
}

// asset gives the first asset that f is about.
func (s *Scorer) asset(f finding.Finding) (Asset, bool) {
	if len(s.priority.Assets) == 0 {
		return Asset{}, false
	}
	account, ok := s.account(f.Account())
	if !ok {
		account = org.Account{}
	}
	for _, a := range s.priority.Assets {
		if fits(a, f, account) {
			return a, true
		}
	}
	return Asset{}, false
}

func fits(a Asset, f finding.Finding, account org.Account) bool {
	if len(a.Accounts) > 0 && !slices.Contains(a.Accounts, f.Account()) {
		return false
	}
	if len(a.Units) > 0 && !slices.ContainsFunc(org.UnitPath(account.Unit), func(u string) bool { return slices.Contains(a.Units, u) }) {
		return false
	}
	for k, v := range a.Tags {
		if account.Tags[k] == v {
			continue
		}
		tagged := false
		f.Pairs([]string{"Resources", "Tags"}, func(key, value string) bool {
			tagged = tagged || key == k && value == v
			return !tagged
		})
		if !tagged {
			return false
		}
	}
	return true
}

// exploit gives the strongest thing that f says of exploits of its weakness.
func (s *Scorer) exploit(f finding.Finding) Reason {
	x := exploitOf(f)
	best := Reason{}
	for _, r := range []Reason{
		{when(x.known, s.priority.Exploited), "the weakness is known to be exploited"},
		{when(x.available, s.priority.Exploitable), "an exploit is available"},
		{int(x.epss * float64(s.priority.Likely)), fmt.Sprintf("EPSS %.2f", x.epss)},
	} {
		if r.Points > best.Points {
			best = r
		}
	}
	return best
}

func when(holds bool, points int) int {
	if holds {
		return points
	}
	return 0
}

// deadline sets until when f should be dealt with, and counts that it has passed.
func (s *Scorer) deadline(f finding.Finding, now time.Time, out *Score) {
	days := s.priority.Deadlines[strings.ToLower(string(f.SeverityLabel()))]
	began := f.CreatedAt()
	if days == 0 || began.IsZero() {
		return
	}
	out.DueAt = began.AddDate(0, 0, days)
	if now.Before(out.DueAt) {
		return
	}
	out.Overdue = true
	if s.priority.Overdue != 0 {
		out.Reasons = append(out.Reasons, Reason{s.priority.Overdue, "overdue since " + out.DueAt.UTC().Format(time.DateOnly)})
	}
}
