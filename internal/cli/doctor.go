package cli

import (
	"context"
	"fmt"
	"net/http"
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
		Use: "doctor", Short: "Check this machine, AWS credentials, organization, member roles, queues and mail",
		Long: "Checks what Parry needs of this machine and of AWS, and says for each thing what to do: configuration, Python, sandbox, data\n" +
			"directory, disk, database, credentials, clock, organization, member roles, queues, hubs and mail. Exits 3 when something fails;\n" +
			"a warning is for what Parry can do without.\n\n" +
			"Sandbox and control groups are those of this process: run it as the server is run, by the same user and in the same kind of\n" +
			"unit or container. Changes nothing but a control group that was handed on to this process. The member role is taken in up to 25\n" +
			"accounts and nothing is done with it; a queue that is empty is asked for a message; mail servers are spoken to and sent nothing.",
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
	checks = append(checks, checkDataDir(cfg.DataDir), checkLock(cfg), checkDisk(cfg.DataDir), checkDatabase(ctx, cfg))
	credentials, away := s.checkCredentials(ctx, cfg)
	checks = append(checks, credentials, checkClock(away))
	checks = append(checks, s.checkAWS(ctx, cfg, credentials.Status == checkOK)...)
	for _, ch := range cfg.Channels {
		if ch.Kind == "email" {
			checks = append(checks, checkMail(ctx, s.Getenv, ch))
		}
	}
	return checks
}

// checkAWS are the checks that ask AWS more than who we are.
func (s *shared) checkAWS(ctx context.Context, cfg config.Config, entered bool) []check {
	var checks []check
	idle := func(name string) check {
		return check{Name: name, Status: checkWarning, Detail: "not tried without the right AWS credentials", Next: "see AWS credentials"}
	}
	if cfg.Organization.HubAccount != "" {
		switch {
		case !entered && cfg.Organization.Sync.Enabled:
			checks = append(checks, idle("organization"), idle("member roles"))
		case !entered:
			checks = append(checks, s.checkOrganization(ctx, cfg), idle("member roles"))
		default:
			checks = append(checks, s.checkOrganization(ctx, cfg))
			accounts, err := s.memberAccounts(ctx, cfg)
			if err != nil {
				checks = append(checks, check{Name: "member roles", Status: checkFailing, Detail: "the accounts cannot be listed: " + err.Error(), Next: "see organization"})
			} else {
				checks = append(checks, s.checkRoles(ctx, cfg, accounts)...)
			}
		}
	}
	for _, q := range cfg.Sources.Queues {
		if !entered {
			checks = append(checks, idle("queue "+q.Name))
			continue
		}
		checks = append(checks, s.checkQueue(ctx, cfg, q))
	}
	for _, h := range cfg.Sources.Hubs {
		if !entered {
			checks = append(checks, idle("hub "+h.Name))
			continue
		}
		checks = append(checks, s.checkHub(ctx, cfg, h))
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

// credentialLimit is how long asking AWS who we are may take.
const credentialLimit = 10 * time.Second

// checkCredentials asks AWS who we are, and tells how far AWS's clock is from this one's.
// Without an account Parry can still be tried.
func (s *shared) checkCredentials(ctx context.Context, cfg config.Config) (check, skew) {
	var away skew
	c := check{Name: "AWS credentials", Status: checkWarning, Next: "set AWS_PROFILE or the variables of AWS's default chain; without an AWS account see: parry demo"}
	hub := cfg.Organization.HubAccount
	cfg.Organization.MemberRole = ""
	caller, err := app.NewCaller(cfg, hostUser(), s.quiet())
	if err != nil {
		c.Detail = err.Error()
		return c, away
	}
	defer caller.Close()
	ctx, cancel := context.WithTimeout(ctx, credentialLimit)
	defer cancel()
	result, err := caller.Call(ctx, apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Input: map[string]any{}}, false, false)
	now := service.SystemClock{}.Now()
	if err != nil {
		c.Detail = err.Error()
		return c, away
	}
	away = skewOf(result.Output, now)
	account, _ := result.Output["Account"].(string)
	arn, _ := result.Output["Arn"].(string)
	if hub != "" && hub != account {
		return check{
			Name: c.Name, Status: checkFailing, Detail: fmt.Sprintf("%s is of account %s, organization.hub_account is %s", arn, account, hub),
			Next: "set organization.hub_account to the account of Parry's own credentials",
		}, away
	}
	return check{Name: c.Name, Status: checkOK, Detail: arn}, away
}

// skew is how far AWS's clock is ahead of this machine's.
type skew struct {
	known bool
	ahead time.Duration
}

// skewOf reads AWS's Date header of an answer that came at now.
func skewOf(out map[string]any, now time.Time) skew {
	meta, _ := out["ResponseMetadata"].(map[string]any)
	headers, _ := meta["HTTPHeaders"].(map[string]any)
	date, _ := headers["date"].(string)
	at, err := http.ParseTime(date)
	if err != nil {
		return skew{}
	}
	return skew{true, at.Sub(now).Round(time.Second)}
}

// The skews that are worth a word, and that AWS refuses: requests are good for five
// minutes, and the way takes some.
const (
	someSkew = 30 * time.Second
	maxSkew  = 4 * time.Minute
)

// checkClock holds the clock against AWS's, and asks the kernel whether it is kept right.
func checkClock(away skew) check {
	now := service.SystemClock{}.Now()
	kept, known := clockKept()
	return judgeClock(now, away, kept, known)
}

func judgeClock(now time.Time, away skew, kept, known bool) check {
	c := check{Name: "clock", Status: checkOK, Detail: now.Format(time.RFC3339)}
	off := away.ahead.Abs()
	if away.known && off > someSkew {
		c.Detail += fmt.Sprintf(", %s %s AWS", off, map[bool]string{true: "behind", false: "ahead of"}[away.ahead > 0])
	} else if away.known {
		c.Detail += ", in step with AWS"
	}
	const mend = "set the clock, and keep it by NTP: chrony or systemd-timesyncd; in a container its host keeps the clock"
	switch {
	case now.Year() < 2025:
		c.Status, c.Detail, c.Next = checkFailing, c.Detail+" is in the past", mend
	case away.known && off > maxSkew:
		c.Status, c.Next = checkFailing, mend
	case away.known && off > someSkew:
		c.Status, c.Next = checkWarning, mend
	case known && !kept:
		c.Status, c.Detail, c.Next = checkWarning, c.Detail+", not kept by NTP", "start chrony or systemd-timesyncd; in a container its host keeps the clock"
	case known:
		c.Detail += ", kept by NTP"
	}
	return c
}
