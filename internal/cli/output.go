package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
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
	// note is a line below the table; CSV does not have it.
	note string
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
		return printJSON(w, value)
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

// lineJSON gives v as JSON on one line, for a cell of a table, which keeps no indentation.
func lineJSON(v any) string {
	var raw, line bytes.Buffer
	if err := printJSON(&raw, v); err != nil || json.Compact(&line, raw.Bytes()) != nil {
		return ""
	}
	return line.String()
}

// printJSON writes value with every control character escaped: encoding/json
// leaves those above 0x7e as they are, and some steer terminals.
func printJSON(w io.Writer, value any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range buf.String() {
		if r != '\n' && steers(r) {
			fmt.Fprintf(&out, "\\u%04x", r)
			continue
		}
		out.WriteRune(r)
	}
	_, err := io.WriteString(w, out.String())
	return err
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
	if g.note != "" {
		note := g.note
		g.note = ""
		if err := g.table(w, o); err != nil {
			return err
		}
		_, err := fmt.Fprintln(w, printable(note))
		return err
	}
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
	t.AppendHeader(cells(g.header))
	for _, row := range g.rows {
		t.AppendRow(cells(row))
	}
	t.SetColumnConfigs(g.columns(o.width))
	for line := range strings.SplitSeq(t.Render(), "\n") {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
			return err
		}
	}
	return nil
}

func cells(row []string) table.Row {
	out := make(table.Row, len(row))
	for i, cell := range row {
		out[i] = oneLine(cell)
	}
	return out
}

// oneLine makes a cell of any text: a line break in a finding's title must not
// look like the next finding.
func oneLine(cell string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(printable(cell))
}

const (
	gap         = 2  // between two columns
	leastColumn = 10 // a column is made no narrower
	leastText   = 20 // nor one of sentences, while others can give way
)

// columns wraps columns so that a row fits into width; 0 is any width. Nothing is cut
// off: ids and commands are there to be copied. For that they should stay in one line,
// so the widest columns of sentences give way first.
func (g grid) columns(width int) []table.ColumnConfig {
	widths, sentences := make([]int, len(g.header)), make([]int, len(g.header))
	total := 0
	for i := range g.header {
		for _, row := range append([][]string{g.header}, g.rows...) {
			if i < len(row) {
				cell := oneLine(row[i])
				widths[i] = max(widths[i], text.LongestLineLen(cell))
				sentences[i] = max(sentences[i], strings.Count(cell, " "))
			}
		}
		total += widths[i] + gap
	}
	for width > 0 && total-gap > width {
		widest := -1
		for i, n := range widths {
			if sentences[i] >= 2 && n > leastText && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			widest = slices.Index(widths, slices.Max(widths))
		}
		if widths[widest] <= leastColumn {
			break
		}
		widths[widest]--
		total--
	}
	configs := make([]table.ColumnConfig, len(widths))
	for i, n := range widths {
		configs[i] = table.ColumnConfig{Number: i + 1, WidthMax: n, WidthMaxEnforcer: text.WrapSoft}
	}
	return configs
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
