package pattern

import "strings"

// shared is a clause as the patterns of a set share it.
type shared struct {
	clause
	key     string
	anchors []anchor // none when it cannot be looked up
	uses    int      // conjunctions of the whole set
}

// sharing keeps one clause of each kind.
type sharing map[string]*shared

// take gives the shared clause that is equal to c.
func (s sharing) take(c *clause) *shared {
	key := c.path + "\x00" + c.wanted
	if have, ok := s[key]; ok {
		have.uses++
		return have
	}
	// Compiled anew from text of its own: c points into the text of its pattern.
	out := &shared{key: key, uses: 1}
	// The last NUL: names may have one, JSON text cannot.
	at := strings.LastIndexByte(key, 0)
	path, wanted := key[:at], key[at+1:]
	p := scanner{s: wanted}
	n, err := p.tree(1)
	if err != nil {
		panic("pattern: a compiled clause does not parse: " + err.Error()) // unreachable: c was parsed from this text
	}
	alternatives, err := compileLeaf(n, path)
	if err != nil {
		panic("pattern: a compiled clause does not compile: " + err.Error()) // unreachable, as above
	}
	out.clause = *newClause(path, wanted, alternatives)
	if anchors, ok := out.clause.anchors(); ok {
		out.anchors = anchors
	}
	s[key] = out
	return out
}

// release gives back what take gave.
func (s sharing) release(c *shared) {
	if c.uses--; c.uses == 0 {
		delete(s, c.key)
	}
}

// rule is one named pattern of a set.
type rule struct {
	name  string
	order uint64      // later ones are greater
	ways  [][]*shared // conjunctions, in the order of paths
}
