package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// connectView is what org connect did.
type connectView struct {
	Dir        string     `json:"dir"`
	Files      []fileView `json:"files"`
	HubAccount string     `json:"hub_account,omitempty"`
	Region     string     `json:"region"`
	Regions    []string   `json:"regions"`
	Playbooks  []string   `json:"playbooks"`
	Policies   int        `json:"member_policies"`
	Incomplete []string   `json:"not_derived,omitempty"`
	Next       []nextStep `json:"next"`
}

type fileView struct {
	File  string `json:"file"`
	About string `json:"about"`
}

func (s *shared) orgConnectCommand() *cobra.Command {
	var f connectFlags
	c := &cobra.Command{
		Use: "connect", Short: "Write the CloudFormation and Terraform that connect an organization, apply it, or check what is connected",
		Long: "Writes into a directory what AWS needs so that findings reach Parry and Parry reaches the accounts: the hub's queue and rules,\n" +
			"rules that forward from other Regions and accounts, and the member role, which holds exactly what the enabled playbooks need.\n" +
			"Then it prints the commands that deploy it, in order. It makes nothing in AWS and asks AWS nothing.\n\n" +
			"With --check it writes nothing and asks AWS, by reads alone, what of it is there: with the credentials of AWS's default chain,\n" +
			"which should be the hub account's. It exits 3 where something is missing.\n\n" +
			"With --apply it makes what belongs to the account of those credentials, through Parry's gate: a change set for each stack, shown\n" +
			"as a table and carried out when you say yes, the custom action, and the StackSet of the member role. What is there already stays;\n" +
			"stopped halfway, the same command goes on. In a pipeline --yes says yes to all of it. It exits 5 where something was declined.\n" +
			"--policy prints the IAM policy that whoever applies it needs, and asks AWS nothing.\n\n" +
			"The configuration says which accounts, Regions, playbooks and topics are meant; without one the templates have parameters instead.",
		Example: "  parry org connect --regions eu-west-1,us-east-1\n" +
			"  parry org connect --service security-hub,guardduty --administrator guardduty=222233334444 --dir deploy-parry\n" +
			"  parry org connect --apply --unit r-ab12\n" +
			"  parry org connect --check",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Optional(s.config)
			if err != nil {
				return err
			}
			c, err := f.settings(cfg)
			if err != nil {
				return err
			}
			switch {
			case f.policy && (f.apply || f.check):
				return usage("--policy goes with neither --apply nor --check")
			case f.policy:
				return s.printApplyPolicy(c)
			case f.apply:
				return s.applyConnection(cmd.Context(), cfg, f, c)
			case f.yes || f.callAs != "":
				return usage("--yes and --call-as go with --apply")
			case f.check:
				return s.checkConnection(cmd.Context(), cfg, c)
			}
			return s.connect(cmd.Context(), cfg, f, c)
		},
	}
	c.Flags().StringVar(&f.dir, "dir", "deploy-parry", "`directory` to write into, made when missing")
	c.Flags().BoolVar(&f.force, "force", false, "write over files that are there")
	c.Flags().BoolVar(&f.check, "check", false, "write nothing, ask AWS what is connected")
	c.Flags().BoolVar(&f.apply, "apply", false, "make what belongs to the account of the AWS credentials, after a question")
	c.Flags().BoolVar(&f.yes, "yes", false, "with --apply: make it without a question")
	c.Flags().StringVar(&f.callAs, "call-as", "", "with --apply: make the StackSet with these credentials, as `self` or delegated-admin (default: in the management account alone)")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Hour, "with --apply: how long to wait for each stack, 12h at most")
	c.Flags().DurationVar(&f.pause, "interval", 5*time.Second, "with --apply: how long between two looks at a stack")
	c.Flags().BoolVar(&f.policy, "policy", false, "print the IAM policy that --apply needs")
	c.Flags().StringVar(&f.region, "region", "", "aggregation `region` of Security Hub, where the queue is (default: that of the first hub, else the home region)")
	c.Flags().StringSliceVar(&f.regions, "regions", nil, "`regions` in which detectors are on (default: organization.coverage.regions and those of the hubs)")
	c.Flags().StringSliceVar(&f.services, "service", nil, "`services` to connect: security-hub, security-hub-v2, guardduty, inspector, macie, access-analyzer (default: all but security-hub-v2)")
	c.Flags().StringSliceVar(&f.administrators, "administrator", nil, "account that administers a service, as `SERVICE=ACCOUNT` (default: the hub account)")
	c.Flags().StringVar(&f.server, "server", "ec2", "what Parry's server runs as: ec2, ecs or eks makes a role Parry; role/NAME or user/NAME is there already")
	c.Flags().StringSliceVar(&f.playbooks, "playbook", nil, "`playbooks` that the member role is for, or all (default: those of bus_rules, else all)")
	c.Flags().StringArrayVar(&f.runbooks, "runbook", nil, "`file` of a further runbook that the member role is for; may be repeated")
	c.Flags().StringVar(&f.unit, "unit", "", "`id` of the root or unit whose accounts get the member role, for the commands")
	return c
}

// connect writes the files and says what to do with them.
func (s *shared) connect(ctx context.Context, cfg config.Config, f connectFlags, c connection) error {
	m, err := s.membership(ctx, cfg, f)
	if err != nil {
		return err
	}
	files, err := c.files(m)
	if err != nil {
		return err
	}
	if err := writeFiles(f.dir, files, f.force); err != nil {
		return err
	}
	v := connectView{
		Dir: f.dir, HubAccount: c.hub, Region: c.region, Regions: c.regions, Playbooks: m.playbooks, Policies: len(m.policies), Incomplete: m.incomplete,
		Next: c.steps(f.dir),
	}
	for _, file := range files {
		v.Files = append(v.Files, fileView{filepath.Join(f.dir, file.name), file.about})
	}
	for _, gap := range m.incomplete {
		fmt.Fprintf(s.Err, "not derived: %s\n", printable(gap))
	}
	if err := s.printConnect(v); err != nil {
		return err
	}
	if len(m.incomplete) > 0 {
		return exit(ExitFailing, fault.Errorf(fault.Invalid, "", "the member role is not complete: some steps could not be derived").
			WithHint("derive what they call with parry aws policy, and attach it to the role too"))
	}
	return nil
}

// writeFiles writes all or, where one is there already, none.
func writeFiles(dir string, files []madeFile, force bool) error {
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		_, err := os.Lstat(path)
		switch {
		case err == nil && !force:
			return fault.Errorf(fault.Conflict, "", "%s is there already, and is not written over", path).
				WithHint("write elsewhere: --dir DIRECTORY; or write over what is there: --force")
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		if err := replaceFile(path, f.content); err != nil {
			return err
		}
	}
	return nil
}

// replaceFile writes a file whole or not at all; a link is replaced, not followed.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".parry-connect-")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (s *shared) printConnect(v connectView) error {
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
	fmt.Fprintf(&b, "wrote into %s:\n", v.Dir)
	for _, f := range v.Files {
		fmt.Fprintf(&b, "  %-22s %s\n", strings.TrimPrefix(f.File, filepath.Clean(v.Dir)+string(filepath.Separator)), f.About)
	}
	fmt.Fprintf(&b, "\nThe hub is %s in %s. Detectors are taken in %s.\n", cmp.Or(v.HubAccount, "an account that the commands name "+hubPlaceholder), v.Region, strings.Join(v.Regions, ", "))
	fmt.Fprintf(&b, "The member role is for the playbooks %s.\n\nNext:\n", short(strings.Join(v.Playbooks, ", "), 200))
	for n, step := range v.Next {
		fmt.Fprintf(&b, "%2d. %s\n%s\n", n+1, step.Step, indented(step.Command, "      "))
	}
	_, err := fmt.Fprint(s.Out, printable(b.String()))
	return err
}

func counts(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func indented(text, by string) string { return by + strings.ReplaceAll(text, "\n", "\n"+by) }
