package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/control"
)

var (
	heading = regexp.MustCompile(`(?m)^## \[([A-Za-z0-9]+\.[0-9]+)\]`)
	// related is a paragraph: some copies of the pages wrap it.
	related = regexp.MustCompile(`(?ms)^\*\*Related requirements: ?\*\*(.*?)(?:\n\s*\n|\z)`)
	table   = regexp.MustCompile(`(?m)^\*\*Parameters: ?\*\*\s*\n+((?:\|.*\n?)+)`)

	// requirement finds one in a list: not each has a comma before it, and one
	// lacks its last bracket.
	requirement = regexp.MustCompile(`NIST\.800-53\.r5 ([A-Z]{2}-[0-9]+(?:\([0-9]+\))?)(?:[^0-9(]|$)|NIST\.800-171\.r2 ([0-9.]*[0-9])|((?:CIS AWS|PCI DSS)[^/,]*)/([0-9.]*[0-9](?:\.[a-z]\b)?)`)
)

// readControls reads the page of a service: under each control's heading the
// requirements that it is related to, and the table of its parameters.
func (c catalog) readControls(text string) error {
	text = strings.ReplaceAll(text, `\`, "") // the pages' older Markdown escapes every dot
	at := heading.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		d := c[text[m[2]:m[3]]]
		if d == nil { // a retired control
			continue
		}
		section := text[m[0]:end]
		if line := related.FindStringSubmatch(section); line != nil {
			relate(d, line[1])
		}
		if rows := table.FindStringSubmatch(section); rows != nil && d.Customizable {
			list, err := readParameters(rows[1])
			if err != nil {
				return fmt.Errorf("control %s: %w", d.ID, err)
			}
			d.Parameters = list
		}
	}
	return nil
}

// relate takes a list of related requirements; its numbers take the place of what
// was known. The reference says what a control belongs to: a page that is older
// than it adds no standard. The benchmarks' numbers are those of their own page as
// far as that has them.
func relate(d *control.Definition, list string) {
	numbers := map[string][]string{}
	for _, m := range requirement.FindAllStringSubmatch(spaces.ReplaceAllString(list, " "), -1) {
		key, n := "nist-800-53", m[1]
		switch {
		case m[2] != "":
			key, n = "nist-800-171", m[2]
		case m[4] != "":
			key, n = standardOf(m[3]), m[4]
		}
		if key != "" && !slices.Contains(numbers[key], n) {
			numbers[key] = append(numbers[key], n)
		}
	}
	for i, m := range d.Standards {
		if list, ok := numbers[m.Standard]; ok && (!strings.HasPrefix(m.Standard, "cis-") || len(m.Requirements) == 0) {
			d.Standards[i].Requirements = list
		}
	}
}

var (
	items  = regexp.MustCompile(`maximum of ([0-9]+) items?`)
	bounds = regexp.MustCompile(`^(-?[0-9.]+) (?:to|-|–) (-?[0-9.]+)$`)
	value  = regexp.MustCompile(`^[A-Za-z0-9_.:*/-]+$`)
)

// readParameters reads a table: name, description, type, allowed values, default.
func readParameters(rows string) ([]control.Parameter, error) {
	column := map[string]int{}
	var out []control.Parameter
	for line := range strings.Lines(rows) {
		f := cells(line)
		if len(column) == 0 {
			for i, name := range f {
				switch {
				case name == "Parameter":
					column["name"] = i
				case name == "Type":
					column["type"] = i
				case strings.HasSuffix(name, "custom values"):
					column["allowed"] = i
				case strings.HasSuffix(name, "default value"):
					column["default"] = i
				}
			}
			if len(column) != 4 {
				return nil, fmt.Errorf("the table of parameters has the columns %q", f)
			}
			continue
		}
		if len(f) <= max(column["name"], column["type"], column["allowed"], column["default"]) {
			return nil, fmt.Errorf("a row of the table of parameters has the cells %q", f)
		}
		if strings.HasPrefix(f[0], "---") || f[column["allowed"]] == "Not customizable" {
			continue
		}
		p, err := readParameter(f[column["name"]], f[column["type"]], f[column["allowed"]], f[column["default"]])
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func readParameter(name, kind, allowed, standard string) (control.Parameter, error) {
	plain := func(s string) string { return strings.TrimSpace(strings.ReplaceAll(s, "`", "")) }
	p := control.Parameter{Name: plain(name)}
	p.Type, _, _ = strings.Cut(plain(kind), " ")
	if m := items.FindStringSubmatch(kind); m != nil {
		p.Items, _ = strconv.Atoi(m[1])
	}
	allowed, standard = plain(allowed), plain(standard)
	switch {
	case p.Type == control.Integer || p.Type == control.IntegerList || p.Type == control.Double:
		if m := bounds.FindStringSubmatch(allowed); m != nil {
			low, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return p, err
			}
			high, err := strconv.ParseFloat(m[2], 64)
			if err != nil {
				return p, err
			}
			p.Min, p.Max = &low, &high
		}
	case strings.HasPrefix(p.Type, control.Enum):
		p.Allowed = values(allowed)
	}
	if !strings.HasPrefix(standard, "No default") && standard != "None" {
		standard = strings.Trim(standard, "[]")
		p.Default = values(strings.ToLower(standard))
		if p.Type != control.Boolean {
			p.Default = values(standard)
		}
	}
	if p.Type == control.Enum && len(p.Default) > 1 {
		p.Type = control.EnumList // one page has several defaults for an Enum
	}
	return p, p.Check()
}

// values takes a list of plain values apart; nil for a sentence.
func values(s string) []string {
	var out []string
	for one := range strings.SplitSeq(s, ",") {
		if one = strings.TrimSpace(one); !value.MatchString(one) {
			return nil
		}
		out = append(out, one)
	}
	return out
}
