package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/runbook"
)

func (s *shared) runbookListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the runbooks of the catalog", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			content, err := app.LoadContent(catalog.FS)
			if err != nil {
				return err
			}
			names := content.RunbookNames()
			docs := make([]*runbook.Document, len(names))
			for i, name := range names {
				_, docs[i], _ = content.Runbook(name)
			}
			reports, err := s.checkDocuments(cmd.Context(), docs, make([]string, len(docs)), runbook.Where{})
			if err != nil {
				return err
			}
			out := make([]runbookView, len(names))
			for i, name := range names {
				out[i] = viewRunbook(name, docs[i], reports[i])
			}
			return s.print(s.Out, out, func() grid {
				g := grid{header: []string{"Runbook", "Steps", "Changes", "Irreversible", "Description"}}
				for _, v := range out {
					g.rows = append(g.rows, []string{v.Name, fmt.Sprint(len(v.Steps)), fmt.Sprint(len(v.Changes)), yesNo(v.irreversible()), v.Summary})
				}
				return g
			})
		},
	}
}

func (s *shared) runbookShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME|FILE", Short: "Show a runbook: its parameters, its steps, and what it changes",
		Long: "Shows a runbook of the catalog by its NAME, or the document in FILE (- is standard input).\n" +
			"A name of the catalog wins; write ./NAME for a file of that name.",
		Example: "  parry runbook show Parry-RemoveS3BucketPublicAccess\n  parry runbook show document.yaml -o json --query changes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, err := app.LoadContent(catalog.FS)
			if err != nil {
				return err
			}
			place := "" // of the file, "" = in the catalog
			_, doc, ok := content.Runbook(args[0])
			if !ok {
				place = args[0]
				raw, err := readRunbook(args[0], s.In)
				if err != nil {
					return usage("%v; parry runbook list shows the names of the catalog", err)
				}
				if doc, err = runbook.Parse(raw); err != nil {
					return err
				}
			}
			reports, err := s.checkDocuments(cmd.Context(), []*runbook.Document{doc}, []string{place}, runbook.Where{})
			if err != nil {
				return err
			}
			view := viewRunbook(args[0], doc, reports[0])
			return s.print(s.Out, view, view.grid)
		},
	}
}

// runbookView is a document as people and programs ask about it.
type runbookView struct {
	Name        string           `json:"name"`
	Summary     string           `json:"summary"`
	Revision    string           `json:"revision"`
	AssumeRole  string           `json:"assume_role,omitempty"`
	Parameters  []parameterView  `json:"parameters"`
	Steps       []stepView       `json:"steps"`
	Outputs     []string         `json:"outputs"`
	Attachments []string         `json:"attachments"`
	Reads       []runbook.Effect `json:"reads"`
	Changes     []runbook.Effect `json:"changes"`
	Gaps        []runbook.Gap    `json:"not_derived"`
	Errors      int              `json:"errors"`
	Warnings    int              `json:"warnings"`
}

type parameterView struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Required    bool   `json:"required"`
	Default     any    `json:"default,omitempty"`
	Allowed     []any  `json:"allowed_values,omitempty"`
	Pattern     string `json:"allowed_pattern,omitempty"`
	Description string `json:"description,omitempty"`
}

type stepView struct {
	Name      string `json:"name"`
	Action    string `json:"action"`
	Within    string `json:"within,omitempty"` // the loop in whose body it stands
	Impact    string `json:"impact"`
	OnFailure string `json:"on_failure"`
	Next      string `json:"next_step,omitempty"`
	End       bool   `json:"is_end,omitempty"`
}

func viewRunbook(name string, doc *runbook.Document, report runbook.Report) runbookView {
	v := runbookView{
		Name: name, Summary: summaryOf(doc.Description), Revision: doc.Revision, AssumeRole: doc.AssumeRole,
		Parameters: []parameterView{}, Steps: []stepView{}, Outputs: []string{}, Attachments: []string{},
		Reads: report.Reads, Changes: report.Changes, Gaps: report.Gaps, Errors: len(runbook.Errors(report.Problems)),
	}
	v.Warnings = len(report.Problems) - v.Errors
	for _, p := range doc.Parameters {
		v.Parameters = append(v.Parameters, parameterView{p.Name, string(p.Type), !p.HasDefault, p.Default, p.AllowedValues, p.AllowedPattern, strings.TrimSpace(p.Description)})
	}
	for i, st := range doc.All() {
		v.Steps = append(v.Steps, stepView{st.Name, st.Action, st.Within, string(report.Steps[i].Impact), onFailure(st), st.NextStep, st.IsEnd})
	}
	for _, o := range doc.Outputs {
		v.Outputs = append(v.Outputs, o.Text())
	}
	for _, f := range doc.Files {
		v.Attachments = append(v.Attachments, f.Name)
	}
	return v
}

func onFailure(s *runbook.Step) string {
	if s.OnFailureStep {
		return "step:" + s.OnFailure
	}
	return s.OnFailure
}

// summaryOf gives the first sentence of a description, past its headings.
func summaryOf(description string) string {
	var words []string
	for line := range strings.Lines(description) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#") || line == "" && len(words) == 0:
			continue
		case line != "":
			words = append(words, strings.Fields(line)...)
		}
		if line == "" || strings.HasSuffix(line, ".") {
			break
		}
	}
	text := strings.Join(words, " ")
	if first, _, found := strings.Cut(text, ". "); found {
		text = first + "."
	}
	if runes := []rune(text); len(runes) > maxSummary {
		text = string(runes[:maxSummary]) + "..."
	}
	return text
}

const maxSummary = 160

func (v runbookView) irreversible() bool {
	for _, e := range v.Changes {
		if e.Irreversible {
			return true
		}
	}
	return false
}

func (v runbookView) grid() grid {
	g := grid{header: []string{"Member", "Value"}, pairs: true}
	add := func(name, value string) {
		if value != "" {
			g.rows = append(g.rows, []string{name, value})
		}
	}
	add("Runbook", v.Name)
	add("What it does", v.Summary)
	add("Revision", v.Revision)
	add("Role", v.AssumeRole)
	if v.Errors+v.Warnings > 0 {
		add("Check", fmt.Sprintf("%d errors, %d warnings: parry runbook check", v.Errors, v.Warnings))
	}
	for _, p := range v.Parameters {
		add("Parameter "+p.Name, p.text())
	}
	for i, st := range v.Steps {
		text := fmt.Sprintf("%s (%s) %s", st.Name, st.Action, st.Impact)
		if st.Within != "" {
			text += ", in loop " + st.Within
		}
		add(fmt.Sprintf("Step %d", i+1), text)
	}
	for _, e := range v.Changes {
		text := fmt.Sprintf("%s:%s in %s", e.Service, e.Operation, e.Step)
		if e.Irreversible {
			text += ", irreversible"
		}
		add("Changes", text)
	}
	for _, gap := range v.Gaps {
		add("Not derived", gap.Step+": "+gap.Reason)
	}
	for _, o := range v.Outputs {
		add("Output", o)
	}
	return g
}

func (p parameterView) text() string {
	var b strings.Builder
	b.WriteString(p.Type)
	switch {
	case p.Required:
		b.WriteString(", required")
	case p.Default != "":
		text, err := runbook.Text(p.Default)
		if err != nil {
			text = "?"
		}
		_, _ = fmt.Fprintf(&b, ", default %s", text)
	}
	if len(p.Allowed) > 0 {
		list := make([]string, len(p.Allowed))
		for i, a := range p.Allowed {
			list[i] = fmt.Sprint(a)
		}
		_, _ = io.WriteString(&b, ", one of "+strings.Join(list, ", "))
	}
	return b.String()
}
