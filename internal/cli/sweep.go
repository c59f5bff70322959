package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
)

// sweepReport is all that a sweep found, in the order of accounts and Regions.
type sweepReport struct {
	api.SweepBegin
	Places []api.SweepPlace `json:"places"`
	Sum    api.SweepEnd     `json:"sum"`
}

func (s *shared) sweepCommand() *cobra.Command {
	var req api.SweepRequest
	c := &cobra.Command{
		Use: "sweep CONTROL --org | --account ID...", Short: "Look for resources that fail a control, reported or not", Args: cobra.ExactArgs(1),
		Long: "Runs the check of the playbook that answers CONTROL on every resource of accounts and Regions, read-only, and lists those that fail,\n" +
			"with the findings that report them. Nothing is changed, stored or planned. What cannot be read is listed with its reason and\n" +
			"never counts as clean.\n\n" +
			"Exit status: 0 nothing fails, 3 something fails, 4 nothing is known to fail but not everything could be read.",
		Example: "  parry sweep EC2.13 --org\n  parry sweep S3.2 --account 111122223333 --region eu-central-1 --region us-east-1 -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Control = args[0]
			if req.Organization != (len(req.Accounts) == 0) {
				return usage("give either --org or --account")
			}
			c, err := s.client()
			if err != nil {
				return err
			}
			report := sweepReport{Places: []api.SweepPlace{}}
			total := 0
			report.Sum, err = c.Sweep(cmd.Context(), req, func(line api.SweepLine) {
				switch {
				case line.Begin != nil:
					report.SweepBegin = *line.Begin
					total = line.Begin.Accounts
				case line.Place != nil:
					report.Places = append(report.Places, *line.Place)
					s.progress(total, report.Places)
				}
			})
			if err != nil {
				return err
			}
			slices.SortFunc(report.Places, func(a, b api.SweepPlace) int {
				return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region))
			})
			if err := s.print(s.Out, report, func() grid { return sweepGrid(report) }); err != nil {
				return err
			}
			if s.format == "table" {
				fmt.Fprintln(s.Err, sweepSum(report.Sum))
			}
			return sweepExit(report.Sum)
		},
	}
	c.Flags().BoolVar(&req.Organization, "org", false, "look in every account that the key may see")
	c.Flags().StringSliceVar(&req.Accounts, "account", nil, "look in this `account`; may be repeated")
	c.Flags().StringSliceVar(&req.Regions, "region", nil, "look in this `Region`; may be repeated (default: those of organization.coverage)")
	return c
}

// progress says on a terminal how far a sweep of many places is.
func (s *shared) progress(accounts int, places []api.SweepPlace) {
	const every = 100
	if len(places)%every == 0 {
		fmt.Fprintf(s.Err, "%d places of %d accounts are swept\n", len(places), accounts)
	}
}

func sweepExit(sum api.SweepEnd) error {
	switch {
	case sum.Failing > 0:
		return exit(ExitFailing, nil)
	case sum.Unreachable > 0 || sum.Unread > 0:
		return exit(ExitPartly, nil)
	}
	return nil
}

// sweepSum sums up in a sentence.
func sweepSum(sum api.SweepEnd) string {
	text := fmt.Sprintf("%d of %d resources fail, %d of them without a finding.", sum.Failing, sum.Checked, sum.Unreported)
	if sum.Unread > 0 {
		text += fmt.Sprintf(" %d could not be read.", sum.Unread)
	}
	if sum.Unreachable > 0 {
		text += fmt.Sprintf(" %d of %d places could not be swept, or not to their end: they are not known to be clean.", sum.Unreachable, sum.Places)
	}
	if sum.Off > 0 {
		text += fmt.Sprintf(" %d of %d places are Regions that are turned off in the account: they were not swept.", sum.Off, sum.Places)
	}
	return text
}

// sweepGrid has a row for whatever is not known to be fine.
func sweepGrid(r sweepReport) grid {
	g := grid{header: []string{"Account", "Region", "Result", "Resource", "Reported", "Detail"}}
	for _, p := range r.Places {
		row := func(result, resource, reported, detail string) {
			g.rows = append(g.rows, []string{p.Account, p.Region, result, resource, reported, detail})
		}
		for _, f := range p.Failing {
			var seen []string
			for _, c := range f.Checks {
				seen = append(seen, c.Detail)
			}
			row("failing", shortARN(f.ARN), reportedBy(f), strings.Join(seen, "; "))
		}
		for _, u := range p.Unread {
			row("unread", shortARN(u.ARN), "", joined(u.Problem, u.Hint))
		}
		if p.Problem != "" {
			row("unreachable", "", "", joined(p.Problem, p.Hint))
		}
		if p.More {
			row("more", "", "", "there are more than are listed")
		}
	}
	return g
}

// reportedBy says in which state the finding is that reports a resource.
func reportedBy(r api.SweepResource) string {
	if !r.Reported {
		return "no"
	}
	for _, f := range r.Findings {
		if f.Compliance != "PASSED" {
			return f.Workflow
		}
	}
	return "yes"
}

func joined(problem, hint string) string {
	if hint == "" {
		return problem
	}
	return problem + " (" + hint + ")"
}
