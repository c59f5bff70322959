package control

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed controls.tsv
var data string

// Definition is a security control.
type Definition struct {
	ID       string
	Title    string
	Severity string // LOW, MEDIUM, HIGH or CRITICAL
	// Schedule says when Security Hub checks it: "Periodic", "Change triggered" or
	// "Change triggered and periodic".
	Schedule string
	// Customizable says that the check takes parameters of the customer.
	Customizable bool
	// Parameters are those; nil for a customizable control whose parameters the
	// catalogue does not know.
	Parameters []Parameter
	// Standards are those it belongs to, in their order.
	Standards []Membership
}

// Membership is a control's place in a standard.
type Membership struct {
	Standard string // key
	// Requirements are the numbers that the standard has for it, as far as the
	// catalogue knows them: "2.1.4", "AC-4(21)".
	Requirements []string
}

// In gives the control's place in a standard.
func (d Definition) In(standard string) (Membership, bool) {
	i := slices.IndexFunc(d.Standards, func(m Membership) bool { return m.Standard == standard })
	if i < 0 {
		return Membership{}, false
	}
	return d.Standards[i], true
}

// RemediationURL is where AWS's user guide says how to fix it, by AWS's pattern.
func (d Definition) RemediationURL() string {
	return "https://docs.aws.amazon.com/console/securityhub/" + d.ID + "/remediation"
}

// Service is the part of the id before the dot.
func (d Definition) Service() string {
	service, _, _ := strings.Cut(d.ID, ".")
	return service
}

// Related gives the requirements of all standards as Security Hub writes them in
// findings: "CIS AWS Foundations Benchmark v3.0.0/2.1.4".
func (d Definition) Related() []string {
	var out []string
	for _, m := range d.Standards {
		out = append(out, d.RelatedIn(m.Standard)...)
	}
	return out
}

// RelatedIn gives the requirements of one standard as Related does.
func (d Definition) RelatedIn(standard string) []string {
	m, _ := d.In(standard)
	s, _ := StandardByKey(standard)
	var out []string
	for _, r := range m.Requirements {
		switch {
		case standard == "nist-800-53":
			out = append(out, "NIST.800-53.r5 "+r)
		case standard == "nist-800-171":
			out = append(out, "NIST.800-171.r2 "+r)
		default:
			out = append(out, s.Name+"/"+r)
		}
	}
	return out
}

// catalog is the embedded data, read once and never written.
type catalog struct {
	all   []Definition
	index map[string]int // by id in lower case
}

var loaded = sync.OnceValue(func() catalog {
	all, err := parse(data)
	if err != nil {
		panic("control: " + err.Error()) // the file is part of the program, and tested
	}
	c := catalog{all: all, index: make(map[string]int, len(all))}
	for i, d := range all {
		c.index[strings.ToLower(d.ID)] = i
	}
	return c
})

// parse reads the generated file: a control a line, its members between tabs.
func parse(text string) ([]Definition, error) {
	var out []Definition
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("controls.tsv:%d has %d members, not 6", n, len(f))
		}
		d := Definition{ID: f[0], Severity: f[1], Schedule: f[2], Customizable: f[3] != "-", Title: f[5]}
		if f[3] != "-" && f[3] != "parameters" {
			for one := range strings.FieldsSeq(f[3]) {
				p, err := parseParameter(one)
				if err != nil {
					return nil, fmt.Errorf("controls.tsv:%d: %w", n, err)
				}
				d.Parameters = append(d.Parameters, p)
			}
		}
		for place := range strings.FieldsSeq(f[4]) {
			key, numbers, given := strings.Cut(place, "=")
			if _, ok := StandardByKey(key); !ok {
				return nil, fmt.Errorf("controls.tsv:%d names the standard %q, which is none", n, key)
			}
			m := Membership{Standard: key}
			if given {
				m.Requirements = strings.Split(numbers, ";")
			}
			d.Standards = append(d.Standards, m)
		}
		out = append(out, d)
	}
	return out, nil
}

// All gives the controls in use, by service and number. The caller must not
// change them.
func All() []Definition { return loaded().all }

// Lookup finds a control whatever the case of its id.
func Lookup(id string) (Definition, bool) {
	c := loaded()
	i, ok := c.index[strings.ToLower(id)]
	if !ok {
		return Definition{}, false
	}
	return c.all[i], true
}

// Canonical gives id as the catalogue spells it: Security Hub's own data has
// "iam.9" for IAM.9. An id that is not in the catalogue stays as it is.
func Canonical(id string) string {
	if d, ok := Lookup(id); ok {
		return d.ID
	}
	return id
}

// Same compares control ids as Security Hub's own data requires.
func Same(a, b string) bool { return strings.EqualFold(a, b) }
