package control

import (
	"slices"
	"strings"
)

// The compliance states of a control finding, as ASFF has them, and Suppressed
// for a finding whose workflow takes it out of every status and score.
const (
	Passed       = "PASSED"
	Failed       = "FAILED"
	Warning      = "WARNING"
	NotAvailable = "NOT_AVAILABLE"
	Suppressed   = "SUPPRESSED"
)

// IsCompliance reports whether state is one of ASFF's.
func IsCompliance(state string) bool {
	return slices.Contains([]string{Passed, Failed, Warning, NotAvailable}, state)
}

// Evidence is what one active finding says about controls. The zero value is
// that of a finding which says nothing about any.
type Evidence struct {
	State    string   // a compliance state or Suppressed
	Controls []string // as the catalogue spells them
	// Standards are the keys of those that the finding is evidence for; none stands
	// for all that the catalogue has the control in.
	Standards []string
}

// IsZero reports whether e says nothing.
func (e Evidence) IsZero() bool { return e.State == "" || len(e.Controls) == 0 }

// maxStandards bounds what is kept of one finding. A set is part of a counter's key.
const maxStandards = 32

// String gives e for a column: "FAILED|CloudWatch.1,IAM.20|cis-1.2", "" for nothing.
func (e Evidence) String() string {
	if e.IsZero() {
		return ""
	}
	return e.State + "|" + strings.Join(e.Controls, ",") + "|" + e.Set()
}

// Set gives the standards as one text: their keys in order, "" for none named.
func (e Evidence) Set() string {
	return strings.Join(e.Standards[:min(len(e.Standards), maxStandards)], ",")
}

// ParseEvidence reads what String wrote. Anything else is no evidence.
func ParseEvidence(s string) Evidence {
	state, rest, ok := strings.Cut(s, "|")
	controls, set, more := strings.Cut(rest, "|")
	if !ok || !more || controls == "" {
		return Evidence{}
	}
	return Evidence{State: state, Controls: strings.Split(controls, ","), Standards: splitSet(set)}
}

func splitSet(set string) []string {
	if set == "" {
		return nil
	}
	return strings.Split(set, ",")
}
