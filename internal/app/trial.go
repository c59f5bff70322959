package app

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/parry-security/parry/catalog"
	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/remediation"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/triage"
)

// TrialConfig says what is looked at without a deployment.
type TrialConfig struct {
	// Config gives priority, guards, rates and the external id; a database, sources and
	// policies are not used.
	Config config.Config
	// Profile is one of AWS's shared files; "" = the default chain.
	Profile string
	// Regions to look in; nil = the one of the environment or the profile. Accounts to
	// look at; nil = that of the credentials, and whatever its Security Hub has.
	Regions, Accounts []string
	// Organization looks at all active accounts of AWS Organizations.
	Organization bool
	// Role is taken in accounts other than that of the credentials; "" = they are not
	// entered.
	Role string
	// Controls to look at; nil = all.
	Controls []string
	// Sweep looks at the resources themselves instead of asking Security Hub.
	Sweep bool
	// Limit bounds the findings that are listed and planned for.
	Limit   int
	Version string
	Logger  *slog.Logger // default: discard
	// Progress is told what is done now, by one goroutine at a time.
	Progress func(text string)
}

const (
	// maxTrialFindings bounds what is read of one Security Hub. The most severe are
	// read first, so that it cuts off the least severe.
	maxTrialFindings = 5000
	// maxTrialProblems bounds what is told of reads that failed.
	maxTrialProblems = 200
	// trialPlanners is how many plans are made at once.
	trialPlanners = 4
)

// TrialReport is all that a look showed.
type TrialReport struct {
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Principal string    `json:"principal"`
	Account   string    `json:"account"`
	// Accounts are those that were to be looked at.
	Accounts []string      `json:"accounts"`
	Regions  []string      `json:"regions"`
	Sources  []TrialSource `json:"sources"`
	// Open counts the findings that were found, Findings has the first of them by
	// priority.
	Open     int            `json:"open"`
	Findings []TrialFinding `json:"findings"`
	Plans    []TrialPlan    `json:"plans"`
	// Policies allow what all plans together need.
	Policies []apimodel.Policy `json:"policies"`
	// Problems are reads that failed, Limits say where the look stopped short.
	Problems []TrialProblem `json:"problems"`
	Limits   []string       `json:"limits"`
	// Notes are what else the reader should know.
	Notes []string    `json:"notes"`
	Sent  []TrialSent `json:"sent"`
	// Requests is the sum of Sent. Refused are calls that the gate did not let out,
	// because they were no reads.
	Requests int `json:"requests"`
	Refused  int `json:"refused_by_gate"`
}

// TrialSource is one place where findings came from.
type TrialSource struct {
	Kind    string `json:"kind"` // TrialHub or TrialSweep
	Account string `json:"account,omitempty"`
	Region  string `json:"region,omitempty"`
	Control string `json:"control,omitempty"`
	// Findings that are open; Checked resources of a sweep.
	Findings int `json:"findings"`
	Checked  int `json:"checked,omitempty"`
}

// The kinds of source.
const (
	TrialHub   = "security_hub"
	TrialSweep = "sweep"
)

// TrialFinding is an open finding with its priority.
type TrialFinding struct {
	ID       string       `json:"id"`
	Source   string       `json:"source"`
	Title    string       `json:"title"`
	Product  string       `json:"product,omitempty"`
	Control  string       `json:"control,omitempty"`
	Severity string       `json:"severity"`
	Account  string       `json:"account"`
	Region   string       `json:"region"`
	Resource string       `json:"resource"`
	Priority triage.Score `json:"priority"`
	// Plan is the number of the plan that fixes it, 0 for none; then Unplanned says why.
	Plan      int    `json:"plan,omitempty"`
	Unplanned string `json:"unplanned,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// TrialPlan is what Parry would do about one resource.
type TrialPlan struct {
	Number int              `json:"number"`
	Title  string           `json:"title"`
	Risk   string           `json:"risk"`
	Impact string           `json:"impact"`
	Hash   remediation.Hash `json:"hash"`
	Plan   remediation.Plan `json:"plan"`
	// Reads are those that confirm the violation and verify the fix.
	Reads []apimodel.Call `json:"-"`
	// Policies are what a role has to be allowed to carry it out, to verify it and to
	// undo it; Gaps say what could not be derived.
	Policies []apimodel.Policy `json:"policies"`
	Gaps     []string          `json:"policy_gaps,omitempty"`
	// Alike are the other plans that make some of the same changes.
	Alike []TrialAlike `json:"alike,omitempty"`
}

// TrialAlike is another plan of the report, with how many changes of this one it makes
// too, and how many it makes in all.
type TrialAlike struct {
	Number  int    `json:"number"`
	Control string `json:"control"`
	Shared  int    `json:"shared"`
	Changes int    `json:"changes"`
}

// NoFix is why a finding has no plan whose control no playbook is written for.
const NoFix = "Parry has no fix for this control"

// TrialProblem is a read that failed.
type TrialProblem struct {
	What    string `json:"what"`
	Account string `json:"account,omitempty"`
	Region  string `json:"region,omitempty"`
	Problem string `json:"problem"`
	Hint    string `json:"hint,omitempty"`
}

// TrialSent counts the requests of one operation that left.
type TrialSent struct {
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Requests  int    `json:"requests"`
	// Class is read, or sensitive_read for what gives credentials.
	Class apimodel.Class `json:"class"`
}

// trial is one look on its way.
type trial struct {
	cfg     TrialConfig
	clock   service.Clock
	models  *apimodel.Catalog
	gate    *awsapi.Gate
	content *Content
	scorer  *triage.Scorer
	sent    sentCounts
	told    func(string)

	own      string // account of the credentials
	accounts []org.Account
	known    map[string]org.Account
	report   TrialReport
	found    foundFindings
	closed   map[string]error           // accounts that cannot be entered
	home     string                     // the Region in which accounts are asked about themselves
	on       map[string]map[string]bool // what accounts say of their Regions, where one may be off
}

// Try looks at accounts with what the credentials may read, and plans for what it finds.
// It keeps nothing, and the gate lets nothing out but reads. An error is for a look that
// did not come about; what could not be read in one that did is in the report.
func Try(ctx context.Context, cfg TrialConfig) (TrialReport, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	t := &trial{cfg: cfg, clock: service.SystemClock{}, told: cfg.Progress, known: map[string]org.Account{}, closed: map[string]error{}, on: map[string]map[string]bool{}}
	if t.told == nil {
		t.told = func(string) {}
	}
	t.report = TrialReport{
		At: t.clock.Now().UTC().Truncate(time.Second), Version: cfg.Version, Accounts: []string{}, Regions: []string{}, Sources: []TrialSource{}, Findings: []TrialFinding{},
		Plans: []TrialPlan{}, Policies: []apimodel.Policy{}, Problems: []TrialProblem{}, Limits: []string{}, Notes: []string{}, Sent: []TrialSent{},
	}
	var err error
	if t.models, err = apimodel.Load(); err != nil {
		return t.report, err
	}
	if t.content, err = LoadContent(catalog.FS); err != nil {
		return t.report, err
	}
	if err := t.checkControls(); err != nil {
		return t.report, err
	}
	client, err := newClient(cfg.Config, awsapi.ClientConfig{Models: t.models, Clock: t.clock, Logger: cfg.Logger, Sent: t.sent.add})
	if err != nil {
		return t.report, err
	}
	defer client.Close()
	if err := t.enter(ctx, client); err != nil {
		return t.report, err
	}
	t.look(ctx)
	t.rank()
	t.plan(ctx)
	t.late(ctx)
	t.report.Sent, t.report.Requests = t.sent.list(t.models)
	t.report.Refused = t.sent.refusals()
	return t.report, nil
}

// enter finds out whose credentials these are, and opens the gate in read-only mode.
func (t *trial) enter(ctx context.Context, client *awsapi.Client) error {
	own := awsapi.NewProfileCredentials(client, t.cfg.Profile)
	region, err := own.Region(ctx)
	if err != nil {
		return err
	}
	cfg := t.cfg.Config
	if t.report.Regions = t.cfg.Regions; len(t.report.Regions) == 0 {
		if region == "" {
			region = cfg.Organization.HomeRegion
		}
		t.report.Regions = []string{region}
	}
	for _, a := range cfg.Organization.Accounts {
		t.known[a.ID] = a
	}
	home := org.AskedIn(t.report.Regions[0])
	t.home = home
	// Whoever looks may look at any account that AWS lets him; plans are held against the
	// configured guards, so that they are those that a server would make.
	cfg.Organization.Partition, cfg.Organization.HomeRegion, cfg.Organization.MemberRole = apimodel.Partition(home), home, t.cfg.Role
	cfg.Organization.Accounts, cfg.Organization.Sync.Enabled, cfg.Channels, cfg.Sources.Queues = []org.Account{{ID: "*"}}, false, nil, nil
	t.cfg.Config = cfg
	t.gate, err = awsapi.New(awsapi.Config{
		Sender: client, Models: t.models, Validate: client.Validate, ReadOnly: true,
		Credentials: own, ExternalID: func(string) string { return cfg.Organization.ExternalID }, ReadPolicies: cfg.Organization.ReadPolicies,
		Region: home, Guards: guards(cfg), Account: t.account, Clock: t.clock, Record: t.sent.record, Logger: t.cfg.Logger,
	})
	if err != nil {
		return err
	}
	if t.scorer, err = triage.NewScorer(cfg.Priority, t.account); err != nil {
		return err
	}
	t.told("asking whose credentials these are")
	reply, err := t.reader("").Call(ctx, "whoami", apimodel.Call{Service: "sts", Operation: "GetCallerIdentity", Region: home})
	if err != nil {
		return fault.E(fault.CodeOf(err), "find out whose credentials these are", err).
			WithHint("name a profile that works: aws sts get-caller-identity --profile NAME; without an AWS account see: parry demo")
	}
	t.own, _ = reply.Output["Account"].(string)
	t.report.Account = t.own
	t.report.Principal, _ = reply.Output["Arn"].(string)
	return t.listAccounts(ctx)
}

// checkControls refuses controls that nobody knows: a typing mistake would look like an
// account where all is well.
func (t *trial) checkControls() error {
	for _, c := range t.cfg.Controls {
		if !knownControl(c) {
			return fault.Errorf(fault.Invalid, "look at controls", "there is no control %.40q", c).WithHint("name one as Security Hub does, such as S3.8; those with a playbook: parry playbook list")
		}
		if _, ok := t.content.PlaybookFor(c); !ok && t.cfg.Sweep {
			return fault.Errorf(fault.Invalid, "look at controls", "Parry cannot check control %s: no playbook is written for it", c).WithHint("see what has one: parry playbook list")
		}
	}
	return nil
}

// account gives what is known of an account.
func (t *trial) account(id string) (org.Account, bool) {
	a, ok := t.known[id]
	if !ok {
		a = org.Account{ID: id}
	}
	return a, true
}

// problem notes a read that failed.
func (t *trial) problem(what, account, region string, err error) {
	p := TrialProblem{What: what, Account: account, Region: region, Problem: err.Error(), Hint: fault.HintOf(err)}
	t.unread(p)
}

func (t *trial) unread(p TrialProblem) {
	switch n := len(t.report.Problems); {
	case slices.Contains(t.report.Problems, p): // told already: a hub may give a finding twice
	case n < maxTrialProblems:
		t.report.Problems = append(t.report.Problems, p)
	case n == maxTrialProblems:
		t.report.Problems = append(t.report.Problems, TrialProblem{What: "more reads", Problem: "further failures are not listed"})
	}
}

// late says that time was up.
func (t *trial) late(ctx context.Context) {
	if ctx.Err() != nil {
		t.report.Limits = append(t.report.Limits, "the look was ended before it was through ("+context.Cause(ctx).Error()+"): what was not read or planned by then is missing")
	}
}
