package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// findingSearch reads --filter and --text; nil when neither is given.
func (s *shared) findingSearch(filters, text string) (*api.FindingSearch, error) {
	if filters == "" && strings.TrimSpace(text) == "" {
		return nil, nil
	}
	raw, err := s.readFilters(filters)
	return &api.FindingSearch{Filters: raw, Text: text}, err
}

// readFilters reads AwsSecurityFindingFilters and refuses, before anything is
// sent, what the server would refuse.
func (s *shared) readFilters(value string) (json.RawMessage, error) {
	if value == "" {
		return nil, nil
	}
	raw, err := s.readInput(value, filter.MaxBytes)
	if err != nil {
		return nil, err
	}
	if _, err := filter.Parse(raw); err != nil {
		return nil, usage("--filter: %v", err)
	}
	return raw, nil
}

func (s *shared) findingExplainCommand() *cobra.Command {
	var filters string
	c := &cobra.Command{
		Use: "explain ID --filter JSON|@FILE|-", Short: "Show whether a filter matches a finding, clause by clause", Args: cobra.ExactArgs(1),
		Long: "Show whether Security Hub's filters match a finding, clause by clause.\n\n" +
			"All fields must match. On one field the clauses that include are alternatives, and those that exclude must all hold.",
		Example: `  parry finding explain FINDING --filter '{"SeverityLabel":[{"Value":"HIGH","Comparison":"EQUALS"}]}'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if filters == "" {
				return usage("--filter is needed: Security Hub's filters as JSON, @FILE or - for standard input")
			}
			raw, err := s.readFilters(filters)
			if err != nil {
				return err
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			f, err := findFinding(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			answer, err := c.ExplainFinding(cmd.Context(), finding.ID{ProductArn: f.ProductArn, Id: f.ID}, api.FilterQuestion{Filters: raw})
			if err != nil {
				return err
			}
			if err := s.print(s.Out, answer, func() grid { return explainGrid(answer) }); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "the filter %s the finding\n", map[bool]string{true: "matches", false: "does not match"}[answer.Matched])
			return nil
		},
	}
	c.Flags().StringVar(&filters, "filter", "", "Security Hub's filters: JSON, @FILE or - for standard input")
	return c
}

func explainGrid(a api.FilterAnswer) grid {
	g := grid{header: []string{"Field", "Matches", "Clause", "Holds", "Finding has"}}
	word := map[bool]string{true: "yes", false: "no"}
	for _, r := range a.Reasons {
		have := strings.Join(r.Have, ", ")
		if r.More > 0 {
			have += fmt.Sprintf(" and %d more", r.More)
		}
		for i, c := range r.Clauses {
			row := []string{"", "", string(c.Want), word[c.Holds], ""}
			if i == 0 {
				row[0], row[1], row[4] = r.Field, word[r.Matched], orAbsent(have)
			}
			g.rows = append(g.rows, row)
		}
	}
	return g
}
