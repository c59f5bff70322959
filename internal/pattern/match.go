package pattern

// Match reports whether event, which is parsed first, meets the pattern.
func (p *Pattern) Match(event []byte) (bool, error) {
	e, err := ParseEvent(event)
	if err != nil {
		return false, err
	}
	return p.MatchEvent(e)
}

// MatchEvent reports whether e meets the pattern. The error is that the event
// would need more work than MaxSteps.
func (p *Pattern) MatchEvent(e *Event) (bool, error) {
	m := newMatcher(e)
	return m.match(p)
}

func newMatcher(e *Event) matcher { return matcher{event: e, chooser: chooser{elements: e.elements}} }

// match judges p; a matcher may judge one pattern after the other.
func (m *matcher) match(p *Pattern) (bool, error) {
	m.reset(len(p.clauses))
	for _, c := range p.conjunctions {
		ok, err := m.conjunction(c)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// matcher matches one pattern against one event.
type matcher struct {
	chooser
	event  *Event
	found  []found // by clause, evaluated at most once
	settle []settled
}

// reset forgets what was found and keeps the memory for n clauses.
func (m *matcher) reset(n int) {
	m.steps = 0
	if n > cap(m.found) {
		m.found = make([]found, n)
		return
	}
	m.found = m.found[:n]
	for i := range m.found {
		m.found[i].reset()
	}
}

// found is where in the event a clause is met.
type found struct {
	done bool
	in   elementSet // elements that hold a leaf which the clause accepts
	all  elementSet // elements that hold any leaf; kept for a clause that accepts absence
}

// reset forgets what was found and keeps the memory.
func (f *found) reset() {
	*f = found{in: elementSet{list: f.in.list[:0]}, all: elementSet{list: f.all.list[:0]}}
}

// plain reports whether no array has a part in the clause, and if so whether it
// is met.
func (f *found) plain() (plain, met bool) {
	if !f.in.outside() || !f.all.outside() {
		return false, false
	}
	return true, !f.in.empty() || f.all.empty()
}

func (m *matcher) find(c *clause) (*found, error) {
	f := &m.found[c.index]
	if f.done {
		return f, nil
	}
	leaves := m.event.field(c.steps)
	for i := range leaves {
		l := &leaves[i]
		if c.absent {
			f.all.add(l.in)
		}
		if f.in.endsWith(l.in) {
			continue // another leaf of this element met the clause already
		}
		if err := m.spend(1 + len(c.alternatives)*(1+len(l.text)>>6)); err != nil {
			return nil, err
		}
		if c.accepts(l) {
			f.in.add(l.in)
		}
	}
	f.in.seal()
	f.all.seal()
	f.done = true
	return f, nil
}

func (c *test) accepts(l *leaf) bool {
	if l.kind == kindString && c.exact.has(l.text) {
		return true
	}
	for i := range c.alternatives {
		if c.alternatives[i].accepts(l) {
			return true
		}
	}
	return false
}

// conjunction settles the clauses, first without regard to arrays, which is
// enough for most.
func (m *matcher) conjunction(clauses []*clause) (bool, error) {
	arrays := false
	for _, c := range clauses {
		f, err := m.find(c)
		if err != nil {
			return false, err
		}
		if f.in.empty() && !c.absent {
			return false, nil
		}
		plain, met := f.plain()
		if plain && !met {
			return false, nil
		}
		arrays = arrays || !plain
	}
	if err := m.spend(len(clauses)); err != nil || !arrays {
		return err == nil, err
	}
	m.settle = m.settle[:0]
	for _, c := range clauses {
		m.settle = append(m.settle, settled{found: &m.found[c.index], absent: c.absent})
	}
	return m.choose(m.settle)
}
