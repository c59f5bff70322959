package control

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Status is how a control stands.
type Status string

// The statuses of a control, as Security Hub computes them. Disabled is there
// for its API; Parry learns of a disabled control by its findings' archiving,
// after which there is NoData.
const (
	StatusPassed   Status = "PASSED"
	StatusFailed   Status = "FAILED"
	StatusUnknown  Status = "UNKNOWN"
	StatusNoData   Status = "NO_DATA"
	StatusDisabled Status = "DISABLED"
)

// Tally counts active findings of a control by what they say.
type Tally struct {
	Passed       int64 `json:"passed"`
	Failed       int64 `json:"failed"`
	Warning      int64 `json:"warning"`
	NotAvailable int64 `json:"not_available"`
	// Suppressed findings are in no status.
	Suppressed int64 `json:"suppressed"`
}

// Add counts n more findings in state; a state that is none changes nothing.
func (t *Tally) Add(state string, n int64) {
	switch state {
	case Passed:
		t.Passed += n
	case Failed:
		t.Failed += n
	case Warning:
		t.Warning += n
	case NotAvailable:
		t.NotAvailable += n
	case Suppressed:
		t.Suppressed += n
	}
}

// Checks is how many findings count.
func (t Tally) Checks() int64 { return t.Passed + t.Failed + t.Warning + t.NotAvailable }

// Status gives the control's status: one failed finding anywhere fails it.
func (t Tally) Status() Status {
	switch {
	case t.Failed > 0:
		return StatusFailed
	case t.Warning+t.NotAvailable > 0:
		return StatusUnknown
	case t.Passed > 0:
		return StatusPassed
	}
	return StatusNoData
}

// Count is a counter: how many findings of an account say State of a control.
type Count struct {
	Account string // "" where accounts are counted together
	Control string
	Set     string // Evidence.Set
	State   string
	N       int64
}

// For reports whether c counts for the standard. One that names no standard
// counts for those that the catalogue has the control in; one that does is
// believed, also of a control that has left the standard since.
func (c Count) For(standard string) bool {
	if c.Set != "" {
		return slices.Contains(splitSet(c.Set), standard)
	}
	d, _ := Lookup(c.Control)
	_, in := d.In(standard)
	return in
}

// anyStandard reports whether c counts for some standard.
func (c Count) anyStandard() bool {
	if c.Set != "" {
		return true
	}
	d, _ := Lookup(c.Control)
	return len(d.Standards) > 0
}

// Board adds up counters to the status of each control.
type Board struct {
	standard string
	tallies  map[string]*Tally
}

// NewBoard makes a Board of one standard, or of all with "": a control then
// counts once, however many standards it is in.
func NewBoard(standard string) *Board {
	return &Board{standard: standard, tallies: map[string]*Tally{}}
}

// Add takes a counter in, if it is about the board's standard.
func (b *Board) Add(c Count) {
	if b.standard != "" && !c.For(b.standard) || b.standard == "" && !c.anyStandard() {
		return
	}
	id := Canonical(c.Control)
	t := b.tallies[id]
	if t == nil {
		t = &Tally{}
		b.tallies[id] = t
	}
	t.Add(c.State, c.N)
}

// Tally gives what is known of a control, whatever the case of its id.
func (b *Board) Tally(id string) Tally {
	if t := b.tallies[Canonical(id)]; t != nil {
		return *t
	}
	return Tally{}
}

// Seen gives the controls that there are findings of, suppressed ones included,
// by id.
func (b *Board) Seen() []string {
	out := make([]string, 0, len(b.tallies))
	for id, t := range b.tallies {
		if t.Checks()+t.Suppressed > 0 {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// Score is the security score: what part of the controls that say anything
// pass.
type Score struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// NoData are controls without a finding that counts; they are in no score.
	NoData int `json:"no_data"`
}

// Score adds up the board's controls. Those of the catalogue that belong to the
// standard and have no finding are counted as NoData.
func (b *Board) Score() Score {
	var s Score
	for _, t := range b.tallies {
		switch t.Status() {
		case StatusPassed:
			s.Passed++
		case StatusFailed:
			s.Failed++
		case StatusUnknown:
			s.Unknown++
		case StatusNoData, StatusDisabled:
			// Counted below with those that never had a finding.
		}
	}
	for _, d := range All() {
		_, in := d.In(b.standard)
		if (in || b.standard == "" && len(d.Standards) > 0) && b.Tally(d.ID).Status() == StatusNoData {
			s.NoData++
		}
	}
	return s
}

// Percent gives passed controls in percent of those with data, rounded to the
// nearest whole number; ok is false when none has data.
func (s Score) Percent() (percent int, ok bool) {
	all := s.Passed + s.Failed + s.Unknown
	if all == 0 {
		return 0, false
	}
	return int(math.Round(100 * float64(s.Passed) / float64(all))), true
}

// Status gives the standard's status: failed when one of its controls is.
func (s Score) Status() Status {
	switch {
	case s.Failed > 0:
		return StatusFailed
	case s.Unknown > 0:
		return StatusUnknown
	case s.Passed > 0:
		return StatusPassed
	}
	return StatusNoData
}

// Compare orders control ids by service, then by number: EC2.2 before EC2.10.
func Compare(a, b string) int {
	serviceA, numberA, _ := strings.Cut(strings.ToLower(a), ".")
	serviceB, numberB, _ := strings.Cut(strings.ToLower(b), ".")
	return cmp.Or(strings.Compare(serviceA, serviceB), cmp.Compare(len(numberA), len(numberB)), strings.Compare(numberA, numberB), strings.Compare(a, b))
}
