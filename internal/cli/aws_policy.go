package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// maxAttached is how many managed policies AWS attaches to a role by default.
const maxAttached = 10

// policyName is what IAM, CloudFormation and Terraform all take.
var policyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,119}$`)

// policyFlags are the flags of aws policy.
type policyFlags struct {
	as, name string
	at       runbook.Where
	noUndo   bool
}

// runbookPolicyCommand is aws policy where people look for it who have a document.
func (s *shared) runbookPolicyCommand() *cobra.Command {
	c := s.awsPolicyCommand()
	c.Short = "Print the least-privilege IAM policy of documents; the same as parry aws policy"
	c.Example = "  parry runbook policy catalog/runbooks/*/runbook.yaml --account 111122223333 --format terraform"
	return c
}

func (s *shared) awsPolicyCommand() *cobra.Command {
	var f policyFlags
	c := &cobra.Command{
		Use:   "policy FILE...",
		Short: "Print the least-privilege IAM policy for runbooks, plans or operations",
		Long: "Derives the IAM policy that a role needs to make the calls of every FILE, and nothing more. A FILE is one of:\n\n" +
			"  a runbook       a Systems Manager Automation document, YAML or JSON\n" +
			"  a plan          what parry plan show -o json prints\n" +
			"  calls           a YAML or JSON list of {service, operation, account, region, input}\n" +
			"  operations      lines such as s3:PutBucketPolicy\n\n" +
			"- reads standard input. What a file does not tell becomes a wildcard in that part of an ARN only. For a change that\n" +
			"Parry can undo, the read of its before-image, which also verifies it, and its inverse are in the policy.\n\n" +
			"A policy over 6144 characters, the limit of a managed policy, is divided into several. Where a step calls what cannot\n" +
			"be derived, such as a child document, the step is named on standard error and the exit code is 3: the policy is not complete.",
		Example: "  parry aws policy catalog/runbooks/*/runbook.yaml --account 111122223333\n" +
			"  parry plan show REMEDIATION -o json | parry aws policy - --format cloudformation\n" +
			"  echo s3:PutBucketPolicy | parry aws policy - --format terraform --name bucket-policies",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error { return s.printPolicy(cmd.Context(), f, files) },
	}
	c.Flags().StringVar(&f.as, "format", "json", "print the policy as json, cloudformation or terraform")
	c.Flags().StringVar(&f.name, "name", "ParryRemediation", "name of the policy in CloudFormation and Terraform")
	c.Flags().StringVar(&f.at.Account, "account", "", "account of the calls, where the file does not say (default: any)")
	c.Flags().StringVar(&f.at.Region, "region", "", "region of the calls, where the file does not say (default: any)")
	c.Flags().BoolVar(&f.noUndo, "no-undo", false, "leave out what undoing the changes needs")
	return c
}

func (s *shared) printPolicy(ctx context.Context, f policyFlags, files []string) error {
	switch {
	case !slices.Contains([]string{"json", "cloudformation", "terraform"}, f.as):
		return usage("--format %q is not json, cloudformation or terraform", f.as)
	case !policyName.MatchString(f.name):
		return usage("--name %q is not a name: a letter, then letters, digits and hyphens, 120 at most", f.name)
	case f.at.Account != "" && !isAccount(f.at.Account):
		return usage("--account %q is not a 12-digit account id", f.at.Account)
	case f.as != "json" && (s.query != "" || s.format != "table" && s.format != "yaml" && s.format != "json"):
		return usage("-o and --query go with --format json")
	}
	models, err := apimodel.Load()
	if err != nil {
		return err
	}
	var grants []apimodel.Grant
	incomplete := false
	for _, name := range files {
		src, err := readPolicySource(name, s.In, f.at)
		if err != nil {
			return usage("%v", inFile(name, err))
		}
		if doc := src.document; doc != nil {
			src = runbookCalls(doc, f.at, s.scriptFacts(ctx, []*runbook.Document{doc}, []string{name})[0])
		}
		for _, c := range src.calls {
			list, err := models.GrantsAround(c.call, apimodel.Surround{Image: true, Undo: !f.noUndo})
			if fault.Is(err, fault.NotFound) && apimodel.Undated(c.call.Operation) != c.call.Operation {
				c.call.Operation = apimodel.Undated(c.call.Operation) // as CloudTrail names it
				list, err = models.GrantsAround(c.call, apimodel.Surround{Image: true, Undo: !f.noUndo})
			}
			if err != nil {
				return fault.E(fault.Invalid, "", inFile(name, within(c, err))).WithHint("%s", fault.HintOf(err))
			}
			grants = append(grants, list...)
		}
		for _, g := range src.gaps {
			incomplete = true
			fmt.Fprintf(s.Err, "not derived: %s\n", printable(gapText(name, g)))
		}
	}
	if err := s.writePolicies(f, grants); err != nil {
		return err
	}
	if incomplete {
		return exit(ExitFailing, fault.Errorf(fault.Invalid, "", "the policy is not complete: some steps could not be derived").
			WithHint("add what these steps call as operations, in a further FILE"))
	}
	return nil
}

func isAccount(id string) bool {
	return len(id) == 12 && !slices.ContainsFunc([]byte(id), func(b byte) bool { return b < '0' || b > '9' })
}

// inFile puts the file before an error, with its line where that is known.
func inFile(name string, err error) error {
	if name == "-" {
		name = "standard input"
	}
	var at *lineError
	if errors.As(err, &at) {
		return fmt.Errorf("%s:%d: %w", name, at.line, at.err)
	}
	var parse *runbook.ParseError
	if errors.As(err, &parse) && len(parse.Problems) > 0 {
		return fmt.Errorf("%s:%d:%d: %s", name, parse.Problems[0].Line, parse.Problems[0].Column, parse.Problems[0].Message)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func within(c policyCall, err error) error {
	if c.step != "" {
		err = fmt.Errorf("step %s: %w", c.step, err)
	}
	if c.line > 0 {
		return &lineError{c.line, err}
	}
	return err
}

func gapText(name string, g runbook.Gap) string {
	text := name
	if g.Pos.Line > 0 {
		text += fmt.Sprintf(":%d", g.Pos.Line)
	}
	if g.Step != "" {
		text += ": step " + g.Step
	}
	return text + ": " + g.Reason
}

func (s *shared) writePolicies(f policyFlags, grants []apimodel.Grant) error {
	policies, err := apimodel.Split(grants, apimodel.MaxManagedPolicy, apimodel.Document)
	if err != nil {
		return fault.E(fault.Exhausted, "divide the policy", err)
	}
	switch n := len(policies); {
	case n == 0:
		return fault.Errorf(fault.Invalid, "", "the calls need no permission at all")
	case n > maxAttached:
		fmt.Fprintf(s.Err, "the policy is over %d characters and is divided into %d; a role takes %d unless its quota is raised\n", apimodel.MaxManagedPolicy, n, maxAttached)
	case n > 1:
		fmt.Fprintf(s.Err, "the policy is over %d characters, the limit of a managed policy, and is divided into %d: attach all of them\n", apimodel.MaxManagedPolicy, n)
	}
	switch f.as {
	case "cloudformation":
		return policyTemplate(s.Out, f.name, policies)
	case "terraform":
		return policyHCL(s.Out, f.name, policies)
	}
	if s.format == "table" {
		s.format = "json" // a policy is a document
	}
	var value any = policies
	if len(policies) == 1 {
		value = policies[0]
	}
	return s.print(s.Out, value, func() grid {
		g := grid{header: []string{"Sid", "Action", "Resource"}}
		for _, p := range policies {
			for _, st := range p.Statement {
				for _, a := range st.Action {
					for _, r := range st.Resource {
						g.rows = append(g.rows, []string{st.Sid, a, r})
					}
				}
			}
		}
		return g
	})
}
