package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/script"
	"github.com/parry-security/parry/internal/service"
)

// The outcomes of a check of parry doctor. Only a failing one makes it exit 3.
const (
	checkOK      = "ok"
	checkWarning = "warning"
	checkFailing = "failing"
)

// check is one line of parry doctor.
type check struct {
	Name   string `json:"check"`
	Status string `json:"status"`
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"` // what to do
}

func (s *shared) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Check this machine, AWS credentials, organization and queues",
		Long: "Checks what Parry needs of this machine, whether the organization can be read, and who may send to the queues of\n" +
			"sources.queues; it says for each thing what to do. Exits 3 when something fails; a warning is for what Parry can do without.\n" +
			"Sandbox and control groups are those of this process: run it as the server is run, by the same user and in the same kind of\n" +
			"unit or container. Changes nothing but a control group that was handed on to this process.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := s.checks(cmd.Context())
			err := s.print(s.Out, map[string]any{"checks": checks}, func() grid {
				g := grid{header: []string{"check", "status", "detail", "next"}}
				for _, c := range checks {
					g.rows = append(g.rows, []string{c.Name, c.Status, c.Detail, c.Next})
				}
				return g
			})
			if err != nil {
				return err
			}
			for _, c := range checks {
				if c.Status == checkFailing {
					return exit(ExitFailing, nil)
				}
			}
			return nil
		},
	}
}

func (s *shared) checks(ctx context.Context) []check {
	cfg, err := config.Optional(s.config)
	if err != nil {
		return []check{failing("configuration", err)}
	}
	checks := []check{{Name: "configuration", Status: checkOK, Detail: "read"}}
	python, found := checkPython(ctx, cfg)
	checks = append(checks, python)
	if found {
		checks = append(checks, s.checkSandbox(ctx, cfg)...)
	} else {
		checks = append(checks, check{Name: "sandbox", Status: checkWarning, Detail: "not tried without Python", Next: "see python"})
	}
	checks = append(checks, checkDataDir(cfg.DataDir), s.checkCredentials(ctx, cfg), checkClock())
	if cfg.Organization.HubAccount != "" {
		checks = append(checks, s.checkOrganization(ctx, cfg))
	}
	for _, q := range cfg.Sources.Queues {
		checks = append(checks, s.checkQueue(ctx, cfg, q))
	}
	return checks
}

func failing(name string, err error) check {
	return check{Name: name, Status: checkFailing, Detail: err.Error(), Next: fault.HintOf(err)}
}

// checkPython looks for the interpreter of scripts.
func checkPython(ctx context.Context, cfg config.Config) (check, bool) {
	report, err := script.Find(ctx, cfg.Scripts.Python)
	if err != nil {
		return failing("python", err), false
	}
	c := check{
		Name: "python", Status: checkOK,
		Detail: fmt.Sprintf("%s: Python %s, boto3 %s, botocore %s", report.Python, report.VersionText(), report.Modules["boto3"], report.Modules["botocore"]),
	}
	var missing []string
	for _, name := range []string{"ssl", "sqlite3", "zlib"} {
		if report.Missing[name] != "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		c.Status, c.Next = checkWarning, "install a Python with its whole standard library; scripts that import these modules fail"
		c.Detail += ", without " + strings.Join(missing, ", ")
	}
	return c, true
}

// checkSandbox starts the interpreter as the server would, and says at which level,
// and whether scripts have control groups.
func (s *shared) checkSandbox(ctx context.Context, cfg config.Config) []check {
	runner, err := app.NewScripts(cfg, service.SystemClock{}, s.quiet())
	if err != nil {
		return []check{failing("sandbox", err)}
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
		defer cancel()
		_ = runner.Stop(end) // this process ends with it
	}()
	status := runner.Status()
	c := check{Name: "sandbox", Status: checkOK, Detail: status.Sentence}
	if status.Level != "" {
		c.Detail = string(status.Level) + ": " + c.Detail
	}
	if len(status.Reasons) > 0 {
		c.Detail += "; " + strings.Join(status.Reasons, "; ")
	}
	switch status.Level {
	case script.Namespaces:
	case script.Landlock:
		c.Status = checkWarning
		c.Next = "allow user namespaces: sysctl user.max_user_namespaces, on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0 or a profile for parry, in containers a seccomp profile with unshare and mount"
	case script.None:
		c.Status, c.Next = checkFailing, "run Parry on Linux 5.13 or newer with Landlock or user namespaces, then remove scripts.allow_unsandboxed"
	default:
		c.Status, c.Next = checkFailing, "run Parry on Linux 5.13 or newer with Landlock or user namespaces; runbooks without scripts work without"
		return []check{c}
	}
	return []check{c, checkGroups(status.Groups)}
}

// checkGroups says whether scripts have control groups where doctor itself runs: the
// server has them where it is started in the same way.
func checkGroups(g script.Groups) check {
	c := check{Name: "control groups", Status: checkOK, Detail: g.Sentence, Next: g.Next}
	if !g.InForce {
		c.Status = checkWarning
	}
	return c
}

// checkDataDir makes and removes a file where the data is, or where it would be.
func checkDataDir(dir string) check {
	c := check{Name: "data directory", Status: checkOK, Detail: dir + " can be written"}
	at := dir
	info, err := os.Stat(at)
	if errors.Is(err, os.ErrNotExist) {
		at = filepath.Dir(filepath.Clean(dir))
		c.Detail = dir + " does not exist yet and can be made"
		info, err = os.Stat(at)
	}
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", at)
	}
	if err == nil {
		err = tryWrite(at)
	}
	if err != nil {
		return check{Name: c.Name, Status: checkFailing, Detail: err.Error(), Next: "set data_dir or PARRY_DATA_DIR to a directory that this user may write"}
	}
	if at == dir && info.Mode().Perm()&0o077 != 0 {
		c.Status, c.Detail, c.Next = checkWarning, fmt.Sprintf("%s may be opened by others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir
	}
	return c
}

func tryWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".parry-doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// credentialLimit is how long asking AWS who we are may take.
const credentialLimit = 10 * time.Second

// checkCredentials asks AWS who we are. Without an account Parry can still be tried.
func (s *shared) checkCredentials(ctx context.Context, cfg config.Config) check {
	c := check{Name: "AWS credentials", Status: checkWarning, Next: "set AWS_PROFILE or the variables of AWS's default chain; without an AWS account see: parry demo"}
	hub := cfg.Organization.HubAccount
	cfg.Organization.MemberRole = ""
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	defer caller.Close()
	ctx, cancel := context.WithTimeout(ctx, credentialLimit)
	defer cancel()
	result, err := caller.Call(ctx, apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Input: map[string]any{}}, false, false)
	if err != nil {
		c.Detail = err.Error()
		return c
	}
	account, _ := result.Output["Account"].(string)
	arn, _ := result.Output["Arn"].(string)
	if hub != "" && hub != account {
		return check{
			Name: c.Name, Status: checkFailing, Detail: fmt.Sprintf("%s is of account %s, organization.hub_account is %s", arn, account, hub),
			Next: "set organization.hub_account to the account of Parry's own credentials",
		}
	}
	return check{Name: c.Name, Status: checkOK, Detail: arn}
}

// checkClock asks the kernel whether the clock is kept right: signatures of AWS
// requests are good for five minutes.
func checkClock() check {
	c := check{Name: "clock", Status: checkOK}
	now := service.SystemClock{}.Now()
	kept, known := clockKept()
	c.Detail = now.Format(time.RFC3339)
	switch {
	case now.Year() < 2025:
		c.Status, c.Detail, c.Next = checkFailing, c.Detail+" is in the past", "set the clock, and keep it by NTP"
	case known && !kept:
		c.Status, c.Detail, c.Next = checkWarning, c.Detail+", not kept by NTP", "start chrony or systemd-timesyncd; in a container its host keeps the clock"
	case known:
		c.Detail += ", kept by NTP"
	}
	return c
}
