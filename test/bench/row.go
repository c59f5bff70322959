package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Row is one measured figure and its goal.
type Row struct {
	Name   string  `json:"name"`
	What   string  `json:"what"`
	Figure float64 `json:"figure"`
	Unit   string  `json:"unit"`
	Goal   float64 `json:"goal"`
	// AtLeast says that more is better.
	AtLeast bool    `json:"at_least"`
	Ratio   float64 `json:"ratio"` // figure / goal
	Verdict string  `json:"verdict"`
	// Conditions say on what it was measured.
	Conditions string  `json:"conditions"`
	Load       float64 `json:"load"`
	Error      string  `json:"error,omitempty"`

	measured bool
}

// atLeast and atMost make a row that is still to be measured.
func atLeast(name, what string, goal float64, unit string) Row {
	return Row{Name: name, What: what, Goal: goal, Unit: unit, AtLeast: true}
}

func atMost(name, what string, goal float64, unit string) Row {
	return Row{Name: name, What: what, Goal: goal, Unit: unit}
}

// set takes a figure; of several the best counts. A nil row was not asked for.
func (r *Row) set(figure float64, conditions string, args ...any) {
	if r == nil {
		return
	}
	if r.measured && (r.AtLeast && figure <= r.Figure || !r.AtLeast && figure >= r.Figure) {
		return
	}
	r.measured, r.Figure, r.Load = true, figure, load()
	r.Conditions = fmt.Sprintf(conditions, args...)
}

// settle ends the measuring: err is why rows without a figure have none.
func (r *Row) settle(err error) {
	if !r.measured {
		if err == nil {
			err = errors.New("nothing was measured")
		}
		r.Error, r.Verdict, r.Load = err.Error(), "failed", load()
		return
	}
	// A goal of zero is a count that must not occur: the ratio is the count itself.
	if r.Goal != 0 {
		r.Ratio = r.Figure / r.Goal
	} else {
		r.Ratio = r.Figure
	}
	if r.Verdict = "worse"; r.AtLeast && r.Figure >= r.Goal || !r.AtLeast && r.Figure <= r.Goal {
		r.Verdict = "better"
	}
}

// printer writes the rows as they come.
type printer struct {
	out    io.Writer
	json   bool
	rows   []Row
	header Machine
}

func newPrinter(out io.Writer, format string) *printer {
	return &printer{out: out, json: format == "json"}
}

const layout = "%-52s %12s %-11s %12s %7s %-6s  %5s  %s\n"

func (p *printer) head(m Machine) {
	p.header = m
	if p.json {
		return
	}
	fmt.Fprintf(p.out, "%s, %d cores, GOMAXPROCS %d, %s, load %.2f\n\n", m.CPU, m.Cores, m.Procs, m.Go, m.Load)
	fmt.Fprintf(p.out, layout, "what", "figure", "unit", "goal", "ratio", "", "load", "conditions")
	fmt.Fprintln(p.out, strings.Repeat("-", 150))
}

func (p *printer) row(r Row) {
	p.rows = append(p.rows, r)
	if p.json {
		return
	}
	if r.Error != "" {
		fmt.Fprintf(p.out, layout, r.What, "-", r.Unit, "", "", "FAILED", fixed(r.Load, 1), oneLine(r.Error))
		return
	}
	sign := "<= "
	if r.AtLeast {
		sign = ">= "
	}
	fmt.Fprintf(p.out, layout, r.What, number(r.Figure), r.Unit, sign+number(r.Goal), fixed(r.Ratio, 2), r.Verdict, fixed(r.Load, 1), r.Conditions)
}

func (p *printer) end() {
	if !p.json {
		return
	}
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	// Rows and machine hold numbers and texts only.
	_ = enc.Encode(map[string]any{"machine": p.header, "rows": p.rows})
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 300)]
}

func fixed(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) }

// number shows three digits that count, and thousands apart.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) < 10:
		return strings.TrimSuffix(fixed(v, 2), ".00")
	case math.Abs(v) < 100:
		return strings.TrimSuffix(fixed(v, 1), ".0")
	}
	s := fixed(v, 0)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
