package rule

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
)

// Problem is a rule that could not be read and is therefore disabled.
type Problem struct {
	Index int    `json:"index"` // position in the input, from 0
	Name  string `json:"name"`  // as far as it could be read: untrusted text
	Err   error  `json:"-"`
}

func (p Problem) Error() string {
	if p.Name == "" {
		return fmt.Sprintf("rule %d is disabled: %v", p.Index, p.Err)
	}
	return fmt.Sprintf("rule %d (%q) is disabled: %v", p.Index, p.Name, p.Err)
}

// Unwrap gives the cause to errors.Is and errors.As.
func (p Problem) Unwrap() error { return p.Err }

// ParseAll reads a list of rules, or an object whose member Rules is one. It
// keeps the good rules in the order of application and reports the others;
// the caller must show every problem, since a rule that silently does nothing
// looks like a rule that does not match. A rule whose identifier an earlier
// one has is a problem too.
func ParseAll(raw []byte) ([]Rule, []Problem) {
	items, err := split(raw)
	if err != nil {
		return nil, []Problem{{Err: err}}
	}
	var rules []Rule
	var problems []Problem
	seen := map[string]bool{}
	for i, item := range items {
		r, err := Parse(item)
		if err == nil && seen[r.ID()] {
			err = refuse("RuleName", "an earlier rule has this name")
		}
		if err != nil {
			problems = append(problems, Problem{Index: i, Name: nameOf(item), Err: err})
			continue
		}
		seen[r.ID()] = true
		rules = append(rules, r)
	}
	return Sort(rules), problems
}

func split(raw []byte) ([]json.RawMessage, error) {
	if len(raw) > MaxBytes {
		return nil, fault.Errorf(fault.Invalid, "parse rules", "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	}
	raw = bytes.TrimSpace(raw)
	var items []json.RawMessage
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, fault.E(fault.Invalid, "parse rules", err)
		}
		return items, nil
	}
	var d struct {
		Rules []json.RawMessage `json:"Rules"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fault.E(fault.Invalid, "parse rules", err)
	}
	if d.Rules == nil {
		return nil, fault.Errorf(fault.Invalid, "parse rules", "no list of rules, and no member Rules")
	}
	return d.Rules, nil
}

// nameOf reads the name of a rule that could not be read whole.
func nameOf(raw json.RawMessage) string {
	var d struct {
		RuleName string `json:"RuleName"`
	}
	if json.Unmarshal(raw, &d) != nil || len(d.RuleName) > maxName {
		return ""
	}
	return d.RuleName
}
