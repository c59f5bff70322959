package pattern

import "strconv"

// The bounds on what one clause's explanation shows.
const (
	maxFound      = 10
	maxFoundBytes = 200
	maxWanted     = 400
)

// ClauseResult says for one clause of a pattern what it wanted and what the
// event had. Found is the event's text, JSON-quoted: data, never a template.
type ClauseResult struct {
	Place  string   `json:"place"`          // in the pattern: "$.detail.$or[0].severity"; "$" for the last line
	Path   string   `json:"path"`           // in the event: "detail.severity"
	Wanted string   `json:"wanted"`         // the clause's JSON text
	Found  []string `json:"found"`          // at most ten values; empty when the field is missing
	More   int      `json:"more,omitempty"` // values that Found leaves out
	Met    bool     `json:"met"`
	// Detail is a sentence where Met alone says too little.
	Detail string `json:"detail,omitempty"`
}

// Explain says clause by clause, in the order of the pattern's text, whether
// event meets it. The last result, at place "$", is the verdict of Match.
func (p *Pattern) Explain(event []byte) ([]ClauseResult, error) {
	e, err := ParseEvent(event)
	if err != nil {
		return nil, err
	}
	return p.ExplainEvent(e)
}

// ExplainEvent is Explain for a parsed event.
func (p *Pattern) ExplainEvent(e *Event) ([]ClauseResult, error) {
	matched, err := p.MatchEvent(e)
	if err != nil {
		return nil, err
	}
	m := newMatcher(e)
	m.reset(len(p.clauses))
	out := make([]ClauseResult, 0, len(p.clauses)+1)
	met := make([]bool, len(p.clauses))
	for i, c := range p.clauses {
		f, err := m.find(c)
		if err != nil {
			return nil, err
		}
		r := ClauseResult{Place: c.place, Path: c.path, Wanted: short(c.wanted, maxWanted), Found: []string{}}
		leaves := e.field(c.steps)
		for j := range leaves {
			if len(r.Found) == maxFound {
				r.More = len(leaves) - maxFound
				break
			}
			r.Found = append(r.Found, leaves[j].quoted())
		}
		// In an array a field may be absent from one element and present in another.
		inArray := c.absent && len(leaves) > 0 && !f.all.outside()
		r.Met = !f.in.empty() || c.absent && (len(leaves) == 0 || inArray)
		if inArray && f.in.empty() {
			r.Detail = "met only beside array elements that lack the field"
		}
		met[i] = r.Met
		out = append(out, r)
	}
	return append(out, p.verdict(matched, met)), nil
}

// verdict says why the clauses together gave what they gave.
func (p *Pattern) verdict(matched bool, met []bool) ClauseResult {
	r := ClauseResult{Place: "$", Found: []string{}, Met: matched, Wanted: "all clauses"}
	if len(p.conjunctions) > 1 {
		r.Wanted = "all clauses outside $or and those of one branch, in one of " + strconv.Itoa(len(p.conjunctions)) + " combinations"
	}
	if matched {
		r.Detail = "the event matches"
		return r
	}
	r.Detail = "the event does not match"
	for _, conjunction := range p.conjunctions {
		all := true
		for _, c := range conjunction {
			all = all && met[c.index]
		}
		if all {
			r.Detail = "each clause is met, but not by one element of the array that they share"
		}
	}
	return r
}

// quoted gives a leaf as JSON-like text without control characters.
func (l *leaf) quoted() string {
	if l.kind == kindString {
		return strconv.Quote(short(l.text, maxFoundBytes))
	}
	return short(l.text, maxFoundBytes)
}
