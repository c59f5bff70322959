package pattern

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/parry-security/parry/internal/fault"
)

// Set is many named patterns that are matched together. It is safe for concurrent
// use: matching sees the patterns of one moment and waits for nobody. The zero Set
// is empty.
//
// What an event costs depends on what it has in common with the patterns, not on
// how many there are. Only patterns whose every clause takes nearly any value
// (exists, anything-but, ranges of numbers, a prefix of no characters) are asked
// about every event.
type Set struct {
	now atomic.Pointer[snapshot]

	mu      sync.Mutex // for what follows, and to replace now
	byName  map[string]*rule
	clauses sharing
	order   uint64
	compact sync.Mutex // held by the one who is making a large index
}

// snapshot is the patterns of one moment, in a large index and small ones of what
// was added since it was made.
type snapshot struct {
	parts []part
}

type part struct {
	*index
	dead bitmap // rules that were removed since
}

// The sizes between which Add stays quick: it makes the last index anew with one
// rule more, as long as that is small, and begins another. With too many of them
// it does the work of Compact itself.
const (
	smallIndex = 16
	maxParts   = 8
)

// Named is a pattern with its name in a set.
type Named struct {
	Name    string
	Pattern *Pattern
}

// Add puts p into the set under name, in place of an earlier one of that name.
func (s *Set) Add(name string, p *Pattern) error { return s.Change([]Named{{name, p}}, nil) }

// Change takes patterns out and puts others in, in place of earlier ones of their names,
// in one step: an event is held against those before it or against those after it. Many
// are put at once much faster than one by one.
func (s *Set) Change(add []Named, remove []string) error {
	for _, n := range add {
		if err := check(n.Name, n.Pattern); err != nil {
			return err
		}
	}
	if now := s.now.Load(); now != nil && len(now.parts) > maxParts {
		s.Compact()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var gone []*rule
	for _, name := range remove {
		gone = append(gone, s.forget(name))
	}
	added := make([]*rule, 0, len(add))
	for _, n := range add {
		gone = append(gone, s.forget(n.Name))
		added = append(added, s.rule(n.Name, n.Pattern))
	}
	parts := s.without(gone)
	if added = slices.DeleteFunc(added, func(r *rule) bool { return s.byName[r.name] != r }); len(added) > 0 {
		if n := len(parts); n > 1 && len(parts[n-1].rules) < smallIndex {
			added = append(parts[n-1].living(), added...)
			parts = parts[:n-1]
		}
		parts = append(parts, part{index: newIndex(added)})
	}
	s.publish(parts)
	return nil
}

// Replace makes the set hold these patterns and no other. Of two with one name the
// later counts.
func (s *Set) Replace(patterns []Named) error {
	for _, n := range patterns {
		if err := check(n.Name, n.Pattern); err != nil {
			return err
		}
	}
	s.compact.Lock()
	defer s.compact.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName, s.clauses = nil, nil
	for _, n := range patterns {
		s.forget(n.Name)
		s.rule(n.Name, n.Pattern)
	}
	rules := make([]*rule, 0, len(s.byName))
	for _, r := range s.byName {
		rules = append(rules, r)
	}
	slices.SortFunc(rules, byOrder)
	s.publish([]part{{index: newIndex(rules)}})
	return nil
}

// Remove takes the pattern of that name out, and reports whether there was one.
func (s *Set) Remove(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.forget(name)
	if r == nil {
		return false
	}
	s.publish(s.without([]*rule{r}))
	return true
}

// Compact makes one index of many, after changes; with few it does nothing. All are made
// anew when a quarter of them changed: before that, only those that came since. Meanwhile
// the set can be changed and matched. Whoever changes a set under load calls it beside
// that, so that Add need not.
func (s *Set) Compact() {
	s.compact.Lock()
	defer s.compact.Unlock()
	old := s.now.Load()
	if old == nil || len(old.parts) == 0 {
		return
	}
	const quarter = 4
	kept, changed := 1, old.parts[0].dead.count() // how many parts stay as they are
	for _, p := range old.parts[1:] {
		changed += len(p.rules)
	}
	switch {
	case changed > len(old.parts[0].rules)/quarter:
		kept = 0
	case len(old.parts) < 3:
		return
	}
	var rules []*rule
	for _, p := range old.parts[kept:] {
		rules = append(rules, p.living()...)
	}
	made := part{index: newIndex(rules)}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range made.rules { // removed meanwhile
		if s.byName[r.name] != r {
			made.dead = made.dead.with(i, len(made.rules))
		}
	}
	have := make(map[*rule]bool, len(rules))
	for _, r := range rules {
		have[r] = true
	}
	now := s.now.Load().parts
	parts := append(slices.Clone(now[:kept]), made)
	for _, p := range now[kept:] { // added meanwhile
		var added []*rule
		for _, r := range p.living() {
			if !have[r] {
				added = append(added, r)
			}
		}
		if len(added) > 0 {
			parts = append(parts, part{index: newIndex(added)})
		}
	}
	s.publish(parts)
}

// Len gives the number of patterns.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.byName)
}

// Match appends to names those of the patterns that t meets, in the order in which
// they were added. The only error is *Unjudged, of patterns that could not be
// judged; the others are judged all the same.
func (s *Set) Match(t Text, names []string) ([]string, error) {
	now := s.now.Load()
	if now == nil || t.raw == "" {
		return names, nil
	}
	j := judges.Get().(*judge) //nolint:forcetypeassert // the pool has nothing else
	defer j.release()
	var failed []string
	for i := range now.parts {
		p := &now.parts[i]
		j.judge(t, p.index, p.dead)
		slices.Sort(j.matched) // rules lie in the order in which they were added
		for _, r := range j.matched {
			names = append(names, p.named[r])
		}
		for _, r := range j.failed {
			failed = append(failed, p.named[r])
		}
	}
	if len(failed) > 0 {
		return names, &Unjudged{Names: failed}
	}
	return names, nil
}

// Unjudged is the error of patterns that an event was too much work for. Its code
// is fault.Exhausted.
type Unjudged struct {
	Names []string // in a set
}

// Error names the first of them.
func (u *Unjudged) Error() string {
	quoted := make([]string, 0, 5)
	for _, n := range u.Names[:min(len(u.Names), cap(quoted))] {
		quoted = append(quoted, strconv.Quote(short(n, 100)))
	}
	more := ""
	if n := len(u.Names) - len(quoted); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return "pattern " + strings.Join(quoted, ", ") + more + ": " + errUnsettled.Error()
}

// Unwrap gives the reason.
func (u *Unjudged) Unwrap() error { return errUnsettled }

var judges = sync.Pool{New: func() any { return new(judge) }}

// largeJudge is from how many values of one event on its memory is not kept.
const largeJudge = 1 << 14

func (j *judge) release() {
	if cap(j.values) > largeJudge || cap(j.reader.elements) > largeJudge || cap(j.unquoted) > MaxEventBytes/8 {
		return
	}
	j.text, j.ix = "", nil
	judges.Put(j)
}

func check(name string, p *Pattern) error {
	if p == nil || len(p.conjunctions) == 0 {
		return fault.Errorf(fault.Invalid, "add pattern", "pattern %q is not compiled", short(name, 100))
	}
	return nil
}

func byOrder(a, b *rule) int { return cmp.Compare(a.order, b.order) }

// rule makes and notes a rule; its name is free.
func (s *Set) rule(name string, p *Pattern) *rule {
	if s.byName == nil {
		s.byName, s.clauses = map[string]*rule{}, sharing{}
	}
	s.order++
	r := &rule{name: name, order: s.order, ways: make([][]*shared, 0, len(p.conjunctions))}
	for _, conjunction := range p.conjunctions {
		way := make([]*shared, 0, len(conjunction))
		for _, c := range conjunction {
			way = append(way, s.clauses.take(c))
		}
		r.ways = append(r.ways, way)
	}
	s.byName[name] = r
	return r
}

// forget takes a rule out of the names and gives it, nil if there is none.
func (s *Set) forget(name string) *rule {
	r := s.byName[name]
	if r == nil {
		return nil
	}
	delete(s.byName, name)
	for _, way := range r.ways {
		for _, c := range way {
			s.clauses.release(c)
		}
	}
	return r
}

// without gives the parts of this moment, in which these rules are dead; some may be nil.
func (s *Set) without(gone []*rule) []part {
	now := s.now.Load()
	if now == nil {
		return nil
	}
	parts := slices.Clone(now.parts)
	for i := range parts {
		p := &parts[i]
		var dead bitmap // is not shared yet
		for _, r := range gone {
			if r == nil {
				continue
			}
			at, ok := slices.BinarySearchFunc(p.rules, r, byOrder)
			switch {
			case !ok:
			case dead == nil:
				dead = p.dead.with(at, len(p.rules))
			default:
				dead[at>>6] |= 1 << (at & 63)
			}
		}
		if dead != nil {
			p.dead = dead
		}
	}
	return parts
}

// publish makes parts what is matched from now on; the caller holds mu.
func (s *Set) publish(parts []part) {
	s.now.Store(&snapshot{parts: parts})
}

// living gives the rules of p that were not removed.
func (p *part) living() []*rule {
	out := make([]*rule, 0, len(p.rules))
	for i, r := range p.rules {
		if !p.dead.has(int32(i)) { //nolint:gosec // bounded by the memory for rules
			out = append(out, r)
		}
	}
	return out
}
