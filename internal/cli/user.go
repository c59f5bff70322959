package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

// userView is a person as it is shown.
type userView struct {
	Name       string    `json:"name"`
	Role       string    `json:"role"`
	Accounts   []string  `json:"accounts"`
	CreatedAt  time.Time `json:"created_at"`
	DisabledAt time.Time `json:"disabled_at,omitzero"`
	// InvitationEnds is of who has yet to choose a password.
	InvitationEnds time.Time `json:"invitation_ends,omitzero"`
}

func viewUser(p store.Person) userView {
	v := userView{Name: p.Name, Role: p.Role, Accounts: p.Accounts, CreatedAt: p.CreatedAt, DisabledAt: p.DisabledAt}
	if p.Invitation != nil {
		v.InvitationEnds = p.Invitation.ExpiresAt
	}
	return v
}

func (s *shared) userCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "user", Short: "The people who may sign in, on the server's own machine",
		Long: "Works on the installation's own database, as parry key does: no server is needed, and whoever holds the data key is\n" +
			"the administrator. From elsewhere, and to invite people, use parry people.\n" +
			"A user and a key of one name are one person: who asked for a change cannot approve it by the other.",
	}
	c.AddCommand(s.userAddCommand(), s.userListCommand(), s.userPasswordCommand(), s.userRoleCommand(),
		s.userSwitchCommand("disable", "Sign a user out and let them in no more", "is disabled and signed out"),
		s.userSwitchCommand("enable", "Let a disabled user in again", "may sign in again"),
		s.userSessionsCommand(), s.userSignOutCommand())
	return c
}

func (s *shared) userAddCommand() *cobra.Command {
	var role string
	var accounts []string
	var stdin bool
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a user; the password is asked for",
		Example: "  parry user add alice --role approver\n" +
			"  parry user add bob --role responder --account 111122223333 --password-stdin < bob.password",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			// Before a password is asked for, and before the store is opened: a typing error
			// makes no data directory.
			if role == "" {
				return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "the user has no role").WithHint("add --role %s", strings.Join(auth.PersonRoles(), "|")))
			}
			if err := auth.CheckPerson(name, role, accounts); err != nil {
				return exit(ExitUsage, err)
			}
			hash, err := s.newPassword(name, stdin)
			if err != nil {
				return err
			}
			p, err := auth.NewPerson(name, role, accounts, hash, service.SystemClock{}.Now())
			if err != nil {
				return err
			}
			return s.withStore(cmd.Context(), func(db *store.Store) error {
				eff, err := userAudit(db, "user.created", name, map[string]any{"role": role, "accounts": accounts})
				if err != nil {
					return err
				}
				err = db.PutPerson(cmd.Context(), p, eff)
				if fault.Is(err, fault.Conflict) {
					return fault.Errorf(fault.Conflict, "", "there is a user %q already", name).WithHint("set another role: parry user role %s ROLE; or a password: parry user password %s", name, name)
				}
				if err != nil {
					return err
				}
				return s.print(s.Out, viewUser(p), func() grid { return userGrid([]userView{viewUser(p)}) })
			})
		},
	}
	c.Flags().StringVar(&role, "role", "", "viewer, responder, approver or administrator")
	c.Flags().StringSliceVar(&accounts, "account", []string{auth.All}, "account that the user sees and acts on, * for all; may be repeated")
	stdinFlag(c, &stdin)
	return c
}

func stdinFlag(c *cobra.Command, stdin *bool) {
	c.Flags().BoolVar(stdin, "password-stdin", false, "read the password from standard input: one line")
}

// userAudit makes the audit record of what was done to a user.
func userAudit(db *store.Store, action, name string, detail map[string]any) (store.Effects, error) {
	raw, err := json.Marshal(detail)
	if err != nil {
		return store.Effects{}, err
	}
	return store.Effects{Audit: []store.AuditRecord{{At: db.Clock().Now(), Actor: hostUser(), Action: action, Object: name, Detail: raw}}}, nil
}

func userGrid(views []userView) grid {
	g := grid{header: []string{"Name", "Role", "Accounts", "Created", "Disabled", "Invited until"}}
	for _, v := range views {
		g.rows = append(g.rows, []string{v.Name, v.Role, few(v.Accounts), moment(v.CreatedAt), moment(v.DisabledAt), moment(v.InvitationEnds)})
	}
	return g
}

func (s *shared) userListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the users", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.withInstallation(cmd.Context(), func(db *store.Store) error {
				people, err := db.ListPersons(cmd.Context())
				if err != nil {
					return err
				}
				views := make([]userView, 0, len(people))
				for _, p := range people {
					views = append(views, viewUser(p))
				}
				return s.print(s.Out, views, func() grid { return userGrid(views) })
			})
		},
	}
}

// changeUser reads a user, lets change alter it, and stores it with an audit record.
// Whoever was signed in as the user is signed out.
func (s *shared) changeUser(ctx context.Context, name, action string, change func(p *store.Person, db *store.Store) (detail map[string]any, err error)) error {
	return s.withInstallation(ctx, func(db *store.Store) error {
		p, err := s.user(ctx, db, name)
		if err != nil {
			return err
		}
		detail, err := change(&p, db)
		if err != nil {
			return err
		}
		eff, err := userAudit(db, action, name, detail)
		if err != nil {
			return err
		}
		return db.UpdatePerson(ctx, p, true, eff)
	})
}

func (s *shared) user(ctx context.Context, db *store.Store, name string) (store.Person, error) {
	p, err := db.Person(ctx, name)
	if fault.Is(err, fault.NotFound) {
		return p, fault.Errorf(fault.NotFound, "", "there is no user %q", name).WithHint("run: parry user list")
	}
	return p, err
}

func (s *shared) userPasswordCommand() *cobra.Command {
	var stdin bool
	c := &cobra.Command{
		Use: "password NAME", Short: "Set a user's password and sign the user out", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// The user is looked for before a password is asked for.
			if err := s.withInstallation(cmd.Context(), func(db *store.Store) error {
				_, err := s.user(cmd.Context(), db, args[0])
				return err
			}); err != nil {
				return err
			}
			hash, err := s.newPassword(args[0], stdin)
			if err != nil {
				return err
			}
			err = s.changeUser(cmd.Context(), args[0], "user.password_set", func(p *store.Person, _ *store.Store) (map[string]any, error) {
				auth.GivePassword(p, hash)
				return map[string]any{}, nil
			})
			if err == nil {
				fmt.Fprintf(s.Err, "%s has a new password and is signed out\n", printable(args[0]))
			}
			return err
		},
	}
	stdinFlag(c, &stdin)
	return c
}

func (s *shared) userRoleCommand() *cobra.Command {
	var accounts []string
	c := &cobra.Command{
		Use: "role NAME ROLE", Short: "Set a user's role and sign the user out",
		Example: "  parry user role alice administrator\n" +
			"  parry user role bob responder --account 111122223333 --account 444455556666",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.changeUser(cmd.Context(), args[0], "user.role_set", func(p *store.Person, _ *store.Store) (map[string]any, error) {
				before := map[string]any{"role": p.Role, "accounts": p.Accounts}
				p.Role = args[1]
				if cmd.Flags().Changed("account") {
					p.Accounts = slices.Clone(accounts)
				}
				if err := auth.CheckPerson(p.Name, p.Role, p.Accounts); err != nil {
					return nil, exit(ExitUsage, err)
				}
				return map[string]any{"role": p.Role, "accounts": p.Accounts, "before": before}, nil
			})
			if err == nil {
				fmt.Fprintf(s.Err, "%s is %s now and is signed out\n", printable(args[0]), args[1])
			}
			return err
		},
	}
	c.Flags().StringSliceVar(&accounts, "account", nil, "account that the user sees and acts on, * for all; may be repeated (default: as before)")
	return c
}

func (s *shared) userSwitchCommand(use, short, done string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := s.changeUser(cmd.Context(), args[0], "user."+use+"d", func(p *store.Person, db *store.Store) (map[string]any, error) {
				switch {
				case use == "enable":
					p.DisabledAt = time.Time{}
				default:
					auth.Disable(p, db.Clock().Now())
				}
				return map[string]any{}, nil
			})
			if err == nil {
				fmt.Fprintf(s.Err, "%s %s\n", printable(args[0]), done)
			}
			return err
		},
	}
}

// sessionView is a session as it is shown.
type sessionView struct {
	ID        string    `json:"id"`
	SignedIn  time.Time `json:"signed_in"`
	LastUse   time.Time `json:"last_use"`
	ExpiresAt time.Time `json:"expires_at"`
	Address   string    `json:"address"`
	Agent     string    `json:"agent"`
}

func (s *shared) userSessionsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sessions NAME", Short: "List where a user is signed in", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInstallation(cmd.Context(), func(db *store.Store) error {
				if _, err := s.user(cmd.Context(), db, args[0]); err != nil {
					return err
				}
				sessions, err := db.ListSessions(cmd.Context(), args[0], db.Clock().Now().Add(-auth.Idle))
				if err != nil {
					return err
				}
				views := make([]sessionView, 0, len(sessions))
				for _, o := range sessions {
					views = append(views, sessionView{o.ID, o.CreatedAt, o.SeenAt, o.ExpiresAt, o.Address, o.Agent})
				}
				return s.print(s.Out, views, func() grid {
					g := grid{header: []string{"Id", "Signed in", "Last use", "Ends", "Address", "Browser"}}
					for _, v := range views {
						g.rows = append(g.rows, []string{v.ID, moment(v.SignedIn), moment(v.LastUse), moment(v.ExpiresAt), v.Address, v.Agent})
					}
					return g
				})
			})
		},
	}
}

func (s *shared) userSignOutCommand() *cobra.Command {
	return &cobra.Command{
		Use: "sign-out NAME [SESSION]", Short: "End one session of a user, or all", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.withInstallation(cmd.Context(), func(db *store.Store) error {
				if _, err := s.user(cmd.Context(), db, args[0]); err != nil {
					return err
				}
				if len(args) == 1 {
					eff, err := userAudit(db, "user.signed_out", args[0], map[string]any{})
					if err != nil {
						return err
					}
					if err := db.EndSessions(cmd.Context(), args[0], eff); err != nil {
						return err
					}
				} else {
					eff, err := userAudit(db, "user.signed_out", args[0], map[string]any{"session": args[1]})
					if err != nil {
						return err
					}
					err = db.EndSessionOf(cmd.Context(), args[0], args[1], eff)
					if fault.Is(err, fault.NotFound) {
						return fault.Errorf(fault.NotFound, "", "%s has no session %q", args[0], args[1]).WithHint("run: parry user sessions %s", args[0])
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintf(s.Err, "%s is signed out\n", printable(args[0]))
				return nil
			})
		},
	}
}
