package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
)

// callTarget is where and with what a call from the terminal is made.
type callTarget struct{ input, account, region, role string }

func (t *callTarget) flags(c *cobra.Command) {
	c.Flags().StringVar(&t.input, "input", "", "the operation's input: JSON, @file or - for standard input")
	c.Flags().StringVar(&t.account, "account", "", "member account: the member role is assumed there")
	c.Flags().StringVar(&t.region, "region", "", "region (default: AWS_REGION, then us-east-1)")
	c.Flags().StringVar(&t.role, "role", "", "role name to assume in --account (default: organization.member_role)")
}

// open gives the call and the gate that it is made through. The caller closes
// the gate.
func (t *callTarget) open(s *shared, service, operation string) (apimodel.Call, *app.Caller, error) {
	call := apimodel.Call{Service: service, Operation: operation, Account: t.account, Region: t.region, Input: map[string]any{}}
	if t.account != "" && (len(t.account) != 12 || strings.Trim(t.account, "0123456789") != "") {
		return call, nil, usage("--account %q is not a 12-digit account id", t.account)
	}
	if t.input != "" {
		var err error
		if call.Input, err = s.callInput(t.input); err != nil {
			return call, nil, err
		}
	}
	cfg, err := config.Optional(s.config)
	if err != nil {
		return call, nil, err
	}
	if t.role != "" {
		cfg.Organization.MemberRole = t.role
	}
	if t.account == "" {
		cfg.Organization.MemberRole = ""
	}
	caller, err := app.NewCaller(cfg, hostUser(), s.logger())
	return call, caller, err
}

func (s *shared) awsCallCommand() *cobra.Command {
	var target callTarget
	var pages awsapi.PageOptions
	var planOnly, yes, paginate bool
	c := &cobra.Command{
		Use:   "call SERVICE OPERATION",
		Short: "Make one AWS API call: a read is sent, a change is planned until --yes",
		Long: "Makes one call of any AWS service. Names are boto3's, in any case. A read is sent and its answer printed. A change\n" +
			"prints its plan, with before and after, and exits 5; with --yes it is sent. With --paginate all pages of a listing\n" +
			"are read and put together, as the AWS CLI does.\n\n" +
			"Credentials come from the AWS default chain; AWS_ENDPOINT_URL and AWS_MAX_ATTEMPTS are honoured.",
		Example: "  parry aws call s3 get-public-access-block --input '{\"Bucket\":\"example\"}'\n" +
			"  parry aws call s3 DeleteBucketPolicy --input '{\"Bucket\":\"example\"}' --plan\n" +
			"  parry aws call iam list-users --paginate --max-items 500",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case planOnly && yes:
				return usage("give --plan or --yes, not both")
			case paginate && (planOnly || yes):
				return usage("--paginate reads; it goes with neither --plan nor --yes")
			case !paginate && pages != awsapi.PageOptions{}:
				return usage("--max-items, --page-size and --starting-token go with --paginate")
			case pages.MaxItems < 0 || pages.PageSize < 0:
				return usage("--max-items and --page-size must not be negative")
			}
			call, caller, err := target.open(s, args[0], args[1])
			if err != nil {
				return err
			}
			defer caller.Close()
			if paginate {
				output, err := caller.Paginate(cmd.Context(), call, pages)
				if err != nil {
					return err
				}
				return s.printDocument(output)
			}
			return s.callOnce(cmd, caller, call, planOnly, yes)
		},
	}
	target.flags(c)
	c.Flags().BoolVar(&planOnly, "plan", false, "print the plan of a change and send nothing")
	c.Flags().BoolVar(&yes, "yes", false, "send a change")
	c.Flags().BoolVar(&paginate, "paginate", false, "read all pages of a listing")
	c.Flags().IntVar(&pages.MaxItems, "max-items", 0, "with --paginate: stop after so many items and print a NextToken")
	c.Flags().IntVar(&pages.PageSize, "page-size", 0, "with --paginate: items to ask for in one call")
	c.Flags().StringVar(&pages.StartingToken, "starting-token", "", "with --paginate: the NextToken of an earlier listing")
	return c
}

func (s *shared) callOnce(cmd *cobra.Command, caller *app.Caller, call apimodel.Call, planOnly, yes bool) error {
	result, err := caller.Call(cmd.Context(), call, planOnly, yes)
	if err != nil {
		return err
	}
	if result.Planned == nil {
		return s.printDocument(result.Output)
	}
	if err := s.printPlanned(*result.Planned); err != nil {
		return err
	}
	if !planOnly {
		fmt.Fprintln(s.Err, "nothing was sent; to send it add --yes")
	}
	return exit(ExitWaiting, nil)
}

// printDocument prints an answer of AWS, which is no table.
func (s *shared) printDocument(output map[string]any) error {
	if s.format == "table" {
		s.format = "json"
	}
	return s.print(s.Out, output, nil)
}

func (s *shared) awsWaitCommand() *cobra.Command {
	var target callTarget
	var o awsapi.WaitOptions
	c := &cobra.Command{
		Use:   "wait SERVICE WAITER",
		Short: "Wait until a resource is in a state",
		Long: "Asks AWS until a resource is in the state that the waiter is for. Waiters are boto3's, in any spelling. Ends with an\n" +
			"error when the state cannot come any more, or after the waiter's number of questions.",
		Example: "  parry aws wait ec2 instance_running --input '{\"InstanceIds\":[\"i-0123456789abcdef0\"]}'\n" +
			"  parry aws wait s3 bucket-exists --input '{\"Bucket\":\"example\"}' --delay 1s --max-attempts 10",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.Delay < 0 || o.Delay > time.Hour || o.MaxAttempts < 0 {
				return usage("--delay must be between 0 and 1h, --max-attempts not negative")
			}
			call, caller, err := target.open(s, args[0], "")
			if err != nil {
				return err
			}
			defer caller.Close()
			return caller.Wait(cmd.Context(), args[1], call, o)
		},
	}
	target.flags(c)
	c.Flags().DurationVar(&o.Delay, "delay", 0, "between two questions (default: the waiter's own)")
	c.Flags().IntVar(&o.MaxAttempts, "max-attempts", 0, "questions at most (default: the waiter's own)")
	return c
}
