package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/jmespath/go-jmespath"
	"go.yaml.in/yaml/v3"
)

// output is how a command prints its result.
type output struct {
	format string // table, json, yaml, csv
	query  string // JMESPath, applied before printing
	width  int    // of the terminal; 0 = not a terminal
	color  bool
}

// grid is a result as a table: what -o table and -o csv print.
type grid struct {
	header []string
	rows   [][]string
	// pairs says that the two columns are the members of one thing.
	pairs bool
}

// print writes value, or its grid. A query is applied to the value and its
// result printed as JSON unless YAML was asked for.
func (o output) print(w io.Writer, value any, asGrid func() grid) error {
	format := o.format
	if o.query != "" {
		var err error
		if value, err = o.search(value); err != nil {
			return err
		}
		if format == "table" || format == "csv" {
			if s, ok := value.(string); ok {
				_, err := fmt.Fprintln(w, printable(s))
				return err
			}
			format = "json"
		}
	}
	switch format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(value)
	case "yaml":
		plain, err := generic(value)
		if err != nil {
			return err
		}
		return yaml.NewEncoder(w).Encode(plain)
	case "csv":
		return asGrid().csv(w)
	default:
		return asGrid().table(w, o)
	}
}

func (o output) search(value any) (any, error) {
	plain, err := generic(value)
	if err != nil {
		return nil, err
	}
	found, err := jmespath.Search(o.query, plain)
	if err != nil {
		return nil, usage("--query %q: %v", o.query, err)
	}
	return found, nil
}

// generic turns a value into maps and slices by way of its JSON.
func generic(value any) (any, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	err = json.Unmarshal(raw, &plain)
	return plain, err
}

func (g grid) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(g.header); err != nil {
		return err
	}
	for _, row := range g.rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = formulaSafe(printable(cell))
		}
		if err := out.Write(safe); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// formulaSafe keeps a spreadsheet from reading a cell as a formula.
func formulaSafe(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func (g grid) table(w io.Writer, o output) error {
	if len(g.rows) == 0 {
		_, err := fmt.Fprintln(w, "Nothing to show.")
		return err
	}
	if g.pairs {
		return g.describe(w, o)
	}
	t := table.NewWriter()
	style := table.StyleLight
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatUpper
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	header := table.Row{}
	for _, h := range g.header {
		header = append(header, h)
	}
	t.AppendHeader(header)
	for _, row := range g.rows {
		cells := table.Row{}
		for _, cell := range row {
			cells = append(cells, printable(cell))
		}
		t.AppendRow(cells)
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

// describe prints a grid of two columns as one thing with its members: names on
// the left, values wrapped on the right.
func (g grid) describe(w io.Writer, o output) error {
	left := 0
	for _, row := range g.rows {
		left = max(left, len(row[0]))
	}
	width := 120
	if o.width > 0 {
		width = o.width
	}
	room := max(width-left-2, 40)
	for _, row := range g.rows {
		for i, line := range strings.Split(text.WrapSoft(printable(row[1]), room), "\n") {
			name := row[0]
			if i > 0 {
				name = ""
			}
			if _, err := fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-*s  %s", left, name, strings.TrimSpace(line)), " ")); err != nil {
				return err
			}
		}
	}
	return nil
}
