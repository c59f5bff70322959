package pattern

import (
	"errors"
	"fmt"

	"github.com/parry-security/parry/internal/fault"
)

// Set is many named patterns, matched together against one event. The zero Set
// is empty. Adding and matching at the same time is for the caller to prevent.
type Set struct {
	names    []string
	patterns []*Pattern
	byName   map[string]int
}

// Add puts p into the set under name, in place of an earlier one of that name.
func (s *Set) Add(name string, p *Pattern) error {
	if p == nil || len(p.conjunctions) == 0 {
		return fault.Errorf(fault.Invalid, "add pattern", "pattern %q is not compiled", short(name, 100))
	}
	if s.byName == nil {
		s.byName = map[string]int{}
	}
	if i, ok := s.byName[name]; ok {
		s.patterns[i] = p
		return nil
	}
	s.byName[name] = len(s.names)
	s.names = append(s.names, name)
	s.patterns = append(s.patterns, p)
	return nil
}

// Len gives the number of patterns.
func (s *Set) Len() int { return len(s.names) }

// Match gives the names of the patterns that e meets, in the order in which they
// were added. Patterns that could not be judged are in the error, each with its
// name; the others are judged all the same.
func (s *Set) Match(e *Event) ([]string, error) {
	var matched []string
	var errs []error
	m := matcher{event: e}
	for i, p := range s.patterns {
		ok, err := m.match(p)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("pattern %q: %w", short(s.names[i], 100), err))
		case ok:
			matched = append(matched, s.names[i])
		}
	}
	return matched, errors.Join(errs...)
}
