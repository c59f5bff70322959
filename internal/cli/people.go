package cli

import (
	"context"
	"fmt"
	"net/mail"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/api"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/client"
	"github.com/parry-security/parry/internal/fault"
)

func (s *shared) peopleCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "people", Short: "Invite people to the console, change what they may do, remove them",
		Long: "Asks the server, for administrators of all accounts; password is for everybody. Whoever is added gets an invitation: a link that works once, for three days,\n" +
			"where they choose a password. No password is on the command line, and no administrator knows one.\n" +
			"For the first administrator, and when nobody can sign in any more, there is parry user, on the server itself.",
	}
	c.AddCommand(s.peopleListCommand(), s.peopleAddCommand(), s.peopleRoleCommand(), s.peopleResetCommand(), s.peoplePasswordCommand(),
		s.peopleSwitchCommand("disable", "Sign a person out and let them in no more", true),
		s.peopleSwitchCommand("enable", "Let a person who was disabled in again", false),
		s.peopleRemoveCommand())
	return c
}

func peopleGrid(people []api.Person) grid {
	g := grid{header: []string{"Name", "Role", "Accounts", "State", "Created"}}
	for _, p := range people {
		g.rows = append(g.rows, []string{p.Name, p.Role, few(p.Accounts), personState(p), moment(p.CreatedAt)})
	}
	return g
}

// personState says whether a person may sign in, and since or until when not.
func personState(p api.Person) string {
	switch p.State {
	case "invited":
		return "invited until " + moment(p.InvitationEnds)
	case "expired":
		return "invitation expired " + moment(p.InvitationEnds)
	case "disabled":
		return "disabled since " + moment(p.DisabledAt)
	}
	return p.State
}

func (s *shared) peopleListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the people who may sign in, and who was invited", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			list, err := c.People(cmd.Context())
			if err != nil {
				return err
			}
			return s.print(s.Out, list.Items, func() grid { return peopleGrid(list.Items) })
		},
	}
}

func (s *shared) peopleAddCommand() *cobra.Command {
	var role, to string
	var accounts []string
	c := &cobra.Command{
		Use: "add NAME", Short: "Invite somebody: a link where they choose their password", Args: cobra.ExactArgs(1),
		Long: "Adds a person, who cannot sign in before they have chosen a password. The link for that is printed, once, to be handed over in a\n" +
			"way that nobody else reads; or the server sends it by mail (--mail), where invitations.channel of its configuration says so.\n\n" +
			"Exit status: 0 invited, 3 invited but the mail could not be sent: the link is printed then.",
		Example: "  parry people add alice --role approver\n" +
			"  parry people add bob --role responder --account 111122223333 --mail bob@example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			if role == "" {
				return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "the person has no role").WithHint("add --role %s", strings.Join(auth.PersonRoles(), "|")))
			}
			if err := auth.CheckPerson(args[0], role, accounts); err != nil {
				return exit(ExitUsage, err)
			}
			return s.invite(to, func(c *client.Client) (api.InvitedPerson, error) {
				return c.InvitePerson(cmd.Context(), args[0], role, accounts, to)
			})
		},
	}
	c.Flags().StringVar(&role, "role", "", "viewer, responder, approver or administrator")
	c.Flags().StringSliceVar(&accounts, "account", []string{auth.All}, "account that the person sees and acts on, * for all; may be repeated")
	mailFlag(c, &to)
	return c
}

func mailFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "mail", "", "send the invitation to this `address` instead of printing it")
}

// invite makes an invitation and shows what is to be handed over.
func (s *shared) invite(to string, ask func(*client.Client) (api.InvitedPerson, error)) error {
	if to != "" {
		if a, err := mail.ParseAddress(to); err != nil || a.Address != to {
			return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "--mail %q is not one mail address", to).WithHint("write it as name@example.com"))
		}
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	v, err := ask(c)
	if err != nil {
		return err
	}
	if v.Code != "" && v.Link == "" {
		endpoint, _, err := s.serverAddress()
		if err != nil {
			return err
		}
		v.Link = strings.TrimSuffix(endpoint, "/") + api.InvitationPage + v.Code
	}
	err = s.print(s.Out, v, func() grid {
		g := grid{header: []string{"Member", "Value"}, pairs: true, rows: [][]string{
			{"Name", v.Name}, {"Role", v.Role}, {"Accounts", few(v.Accounts)}, {"State", personState(v.Person)},
		}}
		for _, row := range [][]string{{"Mailed to", v.MailedTo}, {"Not mailed", v.MailProblem}, {"Link", v.Link}} {
			if row[1] != "" && (row[0] != "Link" || s.format == "csv") {
				g.rows = append(g.rows, row)
			}
		}
		g.note = v.Link // not in a column, which would be broken into lines
		return g
	})
	if err != nil {
		return err
	}
	if v.Link != "" {
		fmt.Fprintf(s.Err, "Hand the link over to %s in a way that nobody else reads. It works once, and is not shown again.\n", printable(v.Name))
	}
	if v.MailProblem != "" {
		return exit(ExitFailing, nil)
	}
	return nil
}

func (s *shared) peopleResetCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "reset NAME", Short: "Take a person's password and invite them to choose another", Args: cobra.ExactArgs(1),
		Long: "The password ends at once, the person is signed out, and an earlier invitation is void. Also for who was invited and has lost the\n" +
			"link, or came too late.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.invite(to, func(c *client.Client) (api.InvitedPerson, error) { return c.ResetPerson(cmd.Context(), args[0], to) })
		},
	}
	mailFlag(c, &to)
	return c
}

// changePerson changes a person and says so.
func (s *shared) changePerson(ctx context.Context, name string, change api.PersonChange, done string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	p, err := c.ChangePerson(ctx, name, change)
	if err != nil {
		return err
	}
	if err := s.print(s.Out, p, func() grid { return peopleGrid([]api.Person{p}) }); err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "%s %s\n", printable(p.Name), done)
	return nil
}

func (s *shared) peopleRoleCommand() *cobra.Command {
	var accounts []string
	c := &cobra.Command{
		Use: "role NAME ROLE", Short: "Set a person's role and accounts, and sign them out",
		Example: "  parry people role alice administrator\n" +
			"  parry people role bob responder --account 111122223333 --account 444455556666",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := api.PersonChange{Role: args[1]}
			if cmd.Flags().Changed("account") {
				change.Accounts = accounts
			}
			known := change.Accounts
			if known == nil {
				known = []string{auth.All} // those that they have are the server's to check
			}
			if err := auth.CheckPerson(args[0], args[1], known); err != nil {
				return exit(ExitUsage, err)
			}
			return s.changePerson(cmd.Context(), args[0], change, "is "+args[1]+" now and is signed out")
		},
	}
	c.Flags().StringSliceVar(&accounts, "account", nil, "account that the person sees and acts on, * for all; may be repeated (default: as before)")
	return c
}

func (s *shared) peopleSwitchCommand(use, short string, disabled bool) *cobra.Command {
	done := "may sign in again"
	if disabled {
		done = "is disabled and signed out"
	}
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.changePerson(cmd.Context(), args[0], api.PersonChange{Disabled: &disabled}, done)
		},
	}
}

func (s *shared) peopleRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Forget a person and sign them out", Args: cobra.ExactArgs(1),
		Long: "What they did stays in the audit log and the history, under their name. Their keys stay too: parry key list, parry key revoke.\n" +
			"Who is only to stay out for a time is disabled instead.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.client()
			if err != nil {
				return err
			}
			if err := c.RemovePerson(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(s.Err, "%s is removed and signed out\n", printable(args[0]))
			return nil
		},
	}
}
