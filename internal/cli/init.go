package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

// initFlags are the flags of init.
type initFlags struct {
	initSettings

	dir, organization string
	account           []string
	discover          bool
}

// nextStep is what to do after init.
type nextStep struct {
	Step    string `json:"step"`
	Command string `json:"command"`
}

// initView is what init did.
type initView struct {
	File        string     `json:"file"`
	HubAccount  string     `json:"hub_account"`
	Management  string     `json:"management_account,omitempty"`
	HomeRegion  string     `json:"home_region"`
	MemberRole  string     `json:"member_role"`
	ExternalID  string     `json:"external_id"`
	Followed    bool       `json:"organization"`
	AccountsNum int        `json:"accounts"` // that the file lists
	Next        []nextStep `json:"next"`
}

func (s *shared) initCommand() *cobra.Command {
	defaults := config.Default().Organization
	var f initFlags
	c := &cobra.Command{
		Use: "init", Short: "Write a commented parry.yaml for a new installation",
		Long: "Writes parry.yaml, for this user only, and says what to do next. Every section is there; what a first installation does not\n" +
			"need is commented out with its default. Nothing is automatic: each playbook plans, and people approve. A file that exists\n" +
			"is never written over. AWS is asked only with --discover, by the credentials of AWS's default chain: who they are, and the\n" +
			"accounts of the organization.",
		Example: "  parry init --hub-account 999988887777 --home-region eu-west-1 --account 111122223333=payments=prod/payments\n" +
			"  parry init --discover --organization on",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.init(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.dir, "dir", ".", "`directory` to write into, made when missing")
	c.Flags().StringVar(&f.hub, "hub-account", "", "`account` that Parry's own AWS credentials belong to; required without --discover")
	c.Flags().StringVar(&f.management, "management-account", "", "`account` that manages the organization")
	c.Flags().StringVar(&f.region, "home-region", defaults.HomeRegion, "`region` for calls that name none, and of Security Hub")
	c.Flags().StringVar(&f.role, "member-role", defaults.MemberRole, "`name` of the role that Parry takes in every member account")
	c.Flags().StringVar(&f.externalID, "external-id", "", "external `id` that the role asks for (default: a random one)")
	c.Flags().StringVar(&f.organization, "organization", "off", "on: follow AWS Organizations; off: the listed accounts alone")
	c.Flags().StringArrayVar(&f.account, "account", nil, "member account, as `ID=NAME[=UNIT]`; may be repeated")
	c.Flags().StringVar(&f.database, "postgres", "", "`URL` of a PostgreSQL database, without a password (default: SQLite)")
	c.Flags().BoolVar(&f.discover, "discover", false, "ask AWS for the hub account and the accounts of the organization; reads only")
	return c
}

// init settles what the flags say and writes the file.
func (s *shared) init(ctx context.Context, f initFlags) error {
	path := filepath.Join(f.dir, "parry.yaml")
	if _, err := os.Lstat(path); err == nil { // before anything is asked
		return exists(path)
	}
	i, err := f.settings()
	if err != nil {
		return err
	}
	if f.discover {
		if err := s.discover(ctx, &i); err != nil {
			return err
		}
	}
	if i.hub == "" {
		return exit(ExitUsage, fault.Errorf(fault.Invalid, "", "the hub account is not known: the account that Parry's own AWS credentials belong to").
			WithHint("add --hub-account ID, or --discover where AWS credentials are there"))
	}
	if err := i.check(); err != nil {
		return exit(ExitUsage, err)
	}
	text, err := i.render()
	if err != nil {
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	return s.printInit(i.view(f.dir, path))
}

// settings reads the flags. What needs AWS's answers is checked after them.
func (f initFlags) settings() (initSettings, error) {
	i := f.initSettings
	switch f.organization {
	case "on", "off":
		i.sync = f.organization == "on"
	default:
		return i, usage("--organization %q is not on or off", f.organization)
	}
	for _, text := range f.account {
		parts := strings.SplitN(text, "=", 3)
		if len(parts) < 2 || parts[1] == "" || len(parts) == 3 && parts[2] == "" {
			return i, usage("--account %.80q is not ID=NAME or ID=NAME=UNIT", text)
		}
		a := org.Account{ID: parts[0], Name: parts[1]}
		if len(parts) == 3 {
			a.Unit = parts[2]
		}
		i.accounts = append(i.accounts, a)
	}
	if i.externalID == "" {
		i.externalID = "parry-" + rand.Text()
	}
	// The rest before AWS is asked, as far as it is known.
	early := i
	if f.discover {
		early.sync = false
		if early.hub == "" {
			early.hub = "000000000000"
		}
	} else if early.hub == "" {
		return i, nil // that is said first
	}
	if err := early.check(); err != nil {
		return i, exit(ExitUsage, err)
	}
	return i, nil
}

func exists(path string) error {
	return fault.Errorf(fault.Conflict, "", "%s is there already, and is not written over", path).
		WithHint("edit it and run: parry doctor; or write elsewhere: parry init --dir DIRECTORY")
}

// writeNew writes a file that is not there, for this user only. One that could not be
// written whole is removed.
func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return exists(path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// bareWord is what a shell takes as it is.
var bareWord = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)

func shellWord(s string) string {
	if bareWord.MatchString(s) && s[0] != '-' {
		return s
	}
	if s[0] == '-' {
		s = "./" + s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func (i initSettings) view(dir, path string) initView {
	v := initView{
		File: path, HubAccount: i.hub, Management: i.management, HomeRegion: i.region, MemberRole: i.role,
		ExternalID: i.externalID, Followed: i.sync, AccountsNum: len(i.accounts),
	}
	if filepath.Clean(dir) != "." {
		v.Next = append(v.Next, nextStep{"go where the file is", "cd " + shellWord(filepath.Clean(dir))})
	}
	v.Next = append(v.Next,
		nextStep{fmt.Sprintf("write what gives every member account the role %s, and findings a queue; it prints what to do with it", i.role), "parry org connect"},
		nextStep{"check this machine, the credentials and the organization", "parry doctor"},
		nextStep{"a key for the command line; its secret is shown once", "parry key create NAME --role approver --account '*'"},
		nextStep{"or a person for the console", "parry user add NAME --role administrator"},
		nextStep{"run the server", "parry serve"})
	return v
}

func (s *shared) printInit(v initView) error {
	if s.format != "table" || s.query != "" {
		return s.print(s.Out, v, func() grid {
			g := grid{header: []string{"step", "command"}}
			for _, n := range v.Next {
				g.rows = append(g.rows, []string{n.Step, n.Command})
			}
			return g
		})
	}
	var b strings.Builder
	which := fmt.Sprintf("%d member account(s) listed", v.AccountsNum)
	if v.Followed {
		which = "the organization of " + v.Management + " is followed"
	}
	fmt.Fprintf(&b, "wrote %s: hub account %s, %s, %s\n", v.File, v.HubAccount, v.HomeRegion, which)
	fmt.Fprintf(&b, "The trust policy of %s asks for the external id %s.\n\nNext:\n", v.MemberRole, v.ExternalID)
	for n, step := range v.Next {
		fmt.Fprintf(&b, "%2d. %s\n      %s\n", n+1, step.Step, step.Command)
	}
	_, err := fmt.Fprint(s.Out, printable(b.String()))
	return err
}
