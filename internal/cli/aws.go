package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/remediation"
)

const maxCallInput = 6 << 20

func (s *shared) awsCommand() *cobra.Command {
	c := &cobra.Command{Use: "aws", Short: "Call AWS through Parry's gate, without a server"}
	c.AddCommand(s.awsCallCommand(), s.awsPolicyCommand())
	return c
}

func (s *shared) awsCallCommand() *cobra.Command {
	var input, account, region, role string
	var planOnly, yes bool
	c := &cobra.Command{
		Use:   "call SERVICE OPERATION",
		Short: "Make one AWS API call: a read is sent, a change is planned until --yes",
		Long: "Makes one call of any AWS service. Names are boto3's, in any case. A read is sent and its answer printed. A change\n" +
			"prints its plan, with before and after, and exits 5; with --yes it is sent.\n\n" +
			"Credentials come from the AWS default chain; AWS_ENDPOINT_URL and AWS_MAX_ATTEMPTS are honoured.",
		Example: "  parry aws call s3 get-public-access-block --input '{\"Bucket\":\"example\"}'\n" +
			"  parry aws call s3 DeleteBucketPolicy --input '{\"Bucket\":\"example\"}' --plan",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if planOnly && yes {
				return usage("give --plan or --yes, not both")
			}
			if account != "" && (len(account) != 12 || strings.Trim(account, "0123456789") != "") {
				return usage("--account %q is not a 12-digit account id", account)
			}
			call := apimodel.Call{Service: args[0], Operation: args[1], Account: account, Region: region, Input: map[string]any{}}
			if input != "" {
				var err error
				if call.Input, err = s.callInput(input); err != nil {
					return err
				}
			}
			cfg, err := config.Optional(s.config)
			if err != nil {
				return err
			}
			if role != "" {
				cfg.Organization.MemberRole = role
			}
			if account == "" {
				cfg.Organization.MemberRole = ""
			}
			caller, err := app.NewCaller(cfg, hostUser(), s.logger())
			if err != nil {
				return err
			}
			defer caller.Close()
			result, err := caller.Call(cmd.Context(), call, planOnly, yes)
			if err != nil {
				return err
			}
			if result.Planned == nil {
				if s.format == "table" {
					s.format = "json" // an answer is a document
				}
				return s.print(s.Out, result.Output, nil)
			}
			if err := s.printPlanned(*result.Planned); err != nil {
				return err
			}
			if !planOnly {
				fmt.Fprintln(s.Err, "nothing was sent; to send it add --yes")
			}
			return exit(ExitWaiting, nil)
		},
	}
	c.Flags().StringVar(&input, "input", "", "the operation's input: JSON, @file or - for standard input")
	c.Flags().StringVar(&account, "account", "", "member account: the member role is assumed there")
	c.Flags().StringVar(&region, "region", "", "region (default: AWS_REGION, then us-east-1)")
	c.Flags().StringVar(&role, "role", "", "role name to assume in --account (default: organization.member_role)")
	c.Flags().BoolVar(&planOnly, "plan", false, "print the plan of a change and send nothing")
	c.Flags().BoolVar(&yes, "yes", false, "send a change")
	return c
}

// callInput reads the one JSON object that an operation takes.
func (s *shared) callInput(value string) (map[string]any, error) {
	raw, err := s.readInput(value, maxCallInput)
	if err != nil {
		return nil, usage("--input: %v", err)
	}
	var in map[string]any
	err = json.Unmarshal(raw, &in)
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrongType) || err == nil && in == nil:
		return nil, usage("--input is not a JSON object, such as {\"Bucket\": \"example\"}")
	case errors.As(err, &syntax):
		return nil, usage("--input is not JSON: %v (at byte %d)", err, syntax.Offset)
	case err != nil:
		return nil, usage("--input is not JSON: %v", err)
	}
	return in, nil
}

// printPlanned shows the plan of one call.
func (s *shared) printPlanned(c remediation.PlannedCall) error {
	if s.format == "table" && s.query == "" {
		t := &sheet{w: s.Out, color: s.color}
		t.calls([]remediation.PlannedCall{c})
		return t.err
	}
	return s.print(s.Out, c, func() grid { return callGrid([]remediation.PlannedCall{c}) })
}

// callGrid shows planned calls as people read them: one row per call, and under
// a change one row per member that it touches.
func callGrid(calls []remediation.PlannedCall) grid {
	g := grid{header: []string{"#", "Step", "Call", "Resource or member", "Before", "After"}}
	for _, c := range calls {
		g.rows = append(g.rows, []string{
			fmt.Sprint(c.Seq), c.Step, c.Service + ":" + c.Operation, resourceOf(c), classOf(c), undoOf(c),
		})
		for _, d := range c.Diff {
			g.rows = append(g.rows, []string{"", "", "", "  " + d.Path, orAbsent(d.Before), orAbsent(d.After)})
		}
	}
	return g
}

func resourceOf(c remediation.PlannedCall) string {
	if c.Resource != "" {
		return c.Resource
	}
	return c.Account + " " + c.Region
}

func classOf(c remediation.PlannedCall) string {
	if c.Class == apimodel.Read {
		return "read"
	}
	return "CHANGE"
}

func undoOf(c remediation.PlannedCall) string {
	switch {
	case c.Class == apimodel.Read:
		return ""
	case c.Irreversible:
		return "cannot be undone"
	default:
		return "undo: " + c.Inverse
	}
}

func orAbsent(v string) string {
	if v == "" {
		return "(absent)"
	}
	if len(v) > 160 {
		return v[:157] + "..."
	}
	return v
}
