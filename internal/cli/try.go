package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/app"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
)

// tryFlags are the flags of try.
type tryFlags struct {
	app.TrialConfig

	html, externalID string
	timeout          time.Duration
}

const (
	tryFile     = "parry-try.html"
	tryLimit    = 50
	maxTryLimit = 1000
	maxTryTime  = 2 * time.Hour
)

func (s *shared) tryCommand() *cobra.Command {
	var f tryFlags
	c := &cobra.Command{
		Use: "try", Short: "Look at your own AWS account, read-only: findings, exact plans, the policy each needs",
		Long: "Needs no deployment and no configuration: credentials that may read are enough, such as those of AWS's SecurityAudit policy.\n\n" +
			"Reads the open findings of AWS Security Hub, or checks resources itself where Security Hub is not on or with --sweep, puts them\n" +
			"in order of priority, and plans by live reads what Parry would do about each that a playbook answers: every call with before\n" +
			"and after, how it is undone, and the IAM policy that a role would need for it. The report is printed, and written as one HTML\n" +
			"file that asks for nothing outside itself.\n\n" +
			"Nothing is changed: the gate that all calls pass is in read-only mode and refuses everything else, dry runs included. What was\n" +
			"sent to AWS is listed at the end. Nothing is kept but the report. A parry.yaml, where there is one, gives priority, guards and\n" +
			"the external id. Accounts other than that of the credentials are entered by the role of --role; a Security Hub administrator's\n" +
			"account shows the findings of its members without one.\n\n" +
			"Exit status: 0 nothing is open, 3 findings are open, 4 nothing is known to be open but not everything could be read.",
		Example: "  parry try --profile audit\n" +
			"  parry try --profile audit --region eu-central-1 --region us-east-1 --control S3.8 --sweep\n" +
			"  parry try --profile management --org --role OrganizationAccountAccessRole --html report.html",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return s.try(cmd.Context(), f) },
	}
	c.Flags().StringVar(&f.Profile, "profile", "", "AWS `profile` to look with (default: AWS's default chain)")
	c.Flags().StringSliceVar(&f.Regions, "region", nil, "look in this `region`; may be repeated (default: that of the profile)")
	c.Flags().StringSliceVar(&f.Controls, "control", nil, "look at this `control` alone, such as S3.8; may be repeated")
	c.Flags().StringSliceVar(&f.Accounts, "account", nil, "look at this `account`; may be repeated (default: that of the credentials)")
	c.Flags().BoolVar(&f.Organization, "org", false, "look at every active account of AWS Organizations")
	c.Flags().StringVar(&f.Role, "role", "", "`name` of a role to take in other accounts")
	c.Flags().StringVar(&f.externalID, "external-id", "", "external `id` that the role asks for")
	c.Flags().BoolVar(&f.Sweep, "sweep", false, "check the resources themselves; do not ask Security Hub")
	c.Flags().IntVar(&f.Limit, "limit", tryLimit, "list and plan for at most `n` findings, the first by priority")
	c.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "end the look after this `time`, with a report of what was seen")
	c.Flags().StringVar(&f.html, "html", tryFile, "write the HTML report to this `file`; \"\" writes none")
	return c
}

var (
	tryRegion = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d{1,2}$`)
	tryRole   = regexp.MustCompile(`^[\w+=,.@/-]{1,576}$`)
)

// check refuses flags before AWS is asked anything.
func (f tryFlags) check() error {
	switch {
	case f.Organization && len(f.Accounts) > 0:
		return usage("give either --org or --account")
	case f.Limit < 1 || f.Limit > maxTryLimit:
		return usage("--limit %d is not between 1 and %d", f.Limit, maxTryLimit)
	case f.timeout < time.Second || f.timeout > maxTryTime:
		return usage("--timeout %s is not between 1s and %s", f.timeout, maxTryTime)
	case f.Role != "" && !tryRole.MatchString(f.Role):
		return usage("--role %.80q is not the name of a role; give the name, not the ARN", f.Role)
	case len(f.externalID) > 1224:
		return usage("--external-id has more than 1224 characters")
	}
	for _, a := range f.Accounts {
		if !isAccount(a) {
			return usage("--account %.40q is not a 12-digit account id", a)
		}
	}
	for _, r := range f.Regions {
		if !tryRegion.MatchString(r) {
			return usage("--region %.40q is not a region, such as eu-central-1", r)
		}
	}
	return nil
}

func (s *shared) try(ctx context.Context, f tryFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	cfg, err := config.Optional(s.config)
	if err != nil {
		return err
	}
	cfg.Organization.ExternalID = cmp.Or(f.externalID, cfg.Organization.ExternalID)
	file, err := createReport(f.html) // before a long look whose report could not be kept
	if err != nil {
		return err
	}
	defer file.drop()
	bar := newLookBar(s.Err)
	f.Config, f.Version, f.Logger, f.Progress = cfg, s.Version, s.quiet(), bar.say
	report, err := tryWithin(ctx, f)
	bar.end()
	if err != nil {
		return err
	}
	if err := derivePolicies(&report); err != nil {
		return err
	}
	page, err := tryPage(report)
	if err != nil {
		return err
	}
	if err := file.write(page); err != nil {
		return err
	}
	if s.format == "table" && s.query == "" {
		err = s.tryText(report, file.name)
	} else {
		err = s.print(s.Out, report, func() grid { return tryGrid(report) })
	}
	if err != nil {
		return err
	}
	switch {
	case report.Open > 0:
		return exit(ExitFailing, nil)
	case len(report.Problems)+len(report.Limits) > 0:
		return exit(ExitPartly, nil)
	}
	return nil
}

// tryWithin looks until the time limit or an interrupt; what was seen by then is
// reported.
func tryWithin(ctx context.Context, f tryFlags) (app.TrialReport, error) {
	limited, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("the time limit of %s was reached: --timeout", f.timeout))
	defer cancel()
	return app.Try(limited, f.TrialConfig)
}

// reportFile is the HTML file, made beside the one that it replaces.
type reportFile struct {
	name string // "" = none
	f    *os.File
}

func createReport(name string) (*reportFile, error) {
	if name == "" {
		return &reportFile{}, nil
	}
	const op = "write the report"
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Invalid, op, "%s is no file", name).WithHint("name a file: --html FILE, or --html '' for none")
	}
	// Of this user alone: a report says what is wrong with an account.
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fault.E(fault.Unavailable, op, err).WithHint("name a file that can be written: --html FILE, or --html '' for none")
	}
	return &reportFile{name, f}, nil
}

func (r *reportFile) write(page []byte) error {
	if r.f == nil {
		return nil
	}
	_, err := r.f.Write(page)
	if err = errors.Join(err, r.f.Close()); err == nil {
		err = os.Rename(r.f.Name(), r.name)
	}
	if err != nil {
		return fault.E(fault.Unavailable, "write the report", err)
	}
	r.f = nil
	return nil
}

// drop removes what was begun and not written.
func (r *reportFile) drop() {
	if r.f != nil {
		_ = r.f.Close()
		_ = os.Remove(r.f.Name())
	}
}

// derivePolicies fills in what a role would have to be allowed, by the code of parry aws
// policy.
func derivePolicies(r *app.TrialReport) error {
	models, err := apimodel.Load()
	if err != nil {
		return err
	}
	var all []apimodel.Grant
	for i := range r.Plans {
		p := &r.Plans[i]
		grants, gaps, err := planGrants(models, *p)
		if err == nil {
			p.Policies, err = apimodel.Split(grants, apimodel.MaxManagedPolicy, apimodel.Document)
		}
		if err != nil {
			gaps = append(gaps, err.Error())
		}
		p.Gaps = gaps
		all = append(all, grants...)
	}
	policies, err := apimodel.Split(all, apimodel.MaxManagedPolicy, apimodel.Document)
	if err != nil {
		return fault.E(fault.Exhausted, "divide the policy", err)
	}
	r.Policies = append(r.Policies, policies...)
	return nil
}

func planGrants(models *apimodel.Catalog, p app.TrialPlan) (grants []apimodel.Grant, gaps []string, err error) {
	src, err := callsOfPlan(p.Plan)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range src.gaps {
		gaps = append(gaps, g.Reason)
	}
	for _, c := range p.Reads {
		src.calls = append(src.calls, policyCall{call: c})
	}
	for _, c := range src.calls {
		list, err := models.GrantsAround(c.call, apimodel.Surround{Image: true, Undo: true})
		if err != nil {
			return grants, gaps, within(c, err)
		}
		grants = append(grants, list...)
	}
	return grants, gaps, nil
}

// tryGrid has a row for each finding.
func tryGrid(r app.TrialReport) grid {
	g := grid{header: []string{"Priority", "Severity", "Control", "Account", "Region", "Resource", "Plan", "Why"}}
	for _, f := range r.Findings {
		var why []string
		for _, x := range f.Priority.Reasons {
			why = append(why, fmt.Sprintf("%s %+d", x.Text, x.Points))
		}
		g.rows = append(g.rows, []string{
			fmt.Sprint(f.Priority.Value), f.Severity, cmp.Or(f.Control, f.Product), f.Account, f.Region, shortARN(f.Resource), planOf(f), strings.Join(why, ", "),
		})
	}
	return g
}

func planOf(f app.TrialFinding) string {
	if f.Plan == 0 {
		return "-"
	}
	return fmt.Sprint(f.Plan)
}

// tryNext is what to do after a look.
func tryNext(r app.TrialReport) []nextStep {
	next := []nextStep{
		{"write a configuration for this account", fmt.Sprintf("parry init --hub-account %s --home-region %s", r.Account, r.Regions[0])},
		{"see what this machine and AWS lack", "parry doctor"},
	}
	if slices.ContainsFunc(r.Findings, func(f app.TrialFinding) bool {
		return f.Account != r.Account && f.Plan == 0 && f.Hint != "" && f.Unplanned != app.NoFix
	}) {
		next = slices.Insert(next, 0, nextStep{"plan in the other accounts too", "parry try --org --role NAME"})
	}
	return next
}
