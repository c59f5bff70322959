package cli

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/config"
)

const (
	// queueName and busName are what a first installation calls them; the rules are
	// found by their names, which begin with rulePrefix.
	queueName  = "parry-findings"
	busName    = "parry"
	rulePrefix = "parry-"
	// actionID and actionName are the custom action's; Security Hub takes 20 characters.
	actionID   = "ParryRemediate"
	actionName = "Remediate with Parry"
	actionText = "Plans a remediation in Parry"
	// organizationRegion is where AWS Organizations announces, in the commercial partition.
	organizationRegion = "us-east-1"

	maxConnectRegions = 50
	maxAdministrators = 50
)

// detector is a service whose findings come by EventBridge.
type detector struct {
	name string // as flags say it
	// Where says that its events are looked for in every Region, in the account that
	// administers it; else in the hub's Region alone.
	everywhere bool
	parameter  string // of the templates
	source     string // of its events
	types      []string
	product    string // whose findings the queue may then report
	title      string
	// byDefault is off for what repeats another one's findings.
	byDefault bool
}

// detectors are what can be connected, in the order of the templates.
func detectors() []detector {
	return []detector{
		{"security-hub", false, "SecurityHub", "aws.securityhub", []string{"Security Hub Findings - Imported"}, "aws/securityhub", "Security Hub CSPM, findings in ASFF of all accounts and linked Regions", true},
		{"security-hub-v2", false, "SecurityHubV2", "aws.securityhub", []string{"Findings Imported V2"}, "", "Security Hub, findings in OCSF", false},
		{"guardduty", true, "GuardDuty", "aws.guardduty", []string{"GuardDuty Finding"}, "aws/guardduty", "Amazon GuardDuty", true},
		{"inspector", true, "Inspector", "aws.inspector2", []string{"Inspector2 Finding"}, "aws/inspector", "Amazon Inspector", true},
		{"macie", true, "Macie", "aws.macie", []string{"Macie Finding"}, "aws/macie", "Amazon Macie", true},
		{
			"access-analyzer", true, "AccessAnalyzer", "aws.access-analyzer",
			[]string{"Access Analyzer Finding", "Unused Access Finding for IAM entities", "Internal Access Finding"},
			"aws/access-analyzer", "IAM Access Analyzer", true,
		},
	}
}

var (
	iamName = regexp.MustCompile(`^[A-Za-z0-9_+=,.@-]{1,64}$`)
	// unitID is a root or an organizational unit.
	unitID = regexp.MustCompile(`^(r-[0-9a-z]{4,32}|ou-[0-9a-z]{4,32}-[0-9a-z]{8,32})$`)
)

// connectFlags are the flags of org connect.
type connectFlags struct {
	dir, server, region, unit, callAs string

	regions, services, administrators, playbooks, runbooks []string

	force, check, apply, yes, policy bool

	timeout, pause time.Duration
}

// connection is what the files are made of: the configuration, and what the flags add.
type connection struct {
	hub, management, region, role, externalID string // "" = not known
	serverKind, serverName                    string
	unit                                      string
	regions                                   []string          // in which detectors are looked for, the hub's own among them
	administrator                             map[string]string // account, by service that is connected
	topics                                    []string
	sync, writeBack                           bool
	accounts                                  []string // that parry.yaml lists
	queue                                     *config.QueueSource
}

// settings settles what the configuration and the flags say.
func (f connectFlags) settings(cfg config.Config) (connection, error) {
	o := cfg.Organization
	c := connection{
		hub: o.HubAccount, management: o.ManagementAccount, role: o.MemberRole, externalID: o.ExternalID, unit: f.unit,
		region: f.region, sync: o.Sync.Enabled, administrator: map[string]string{},
	}
	for _, h := range cfg.Sources.Hubs {
		if h.Account == "" || h.Account == o.HubAccount {
			c.region = cmp.Or(c.region, h.Region)
			c.regions = append(c.regions, h.Regions()...)
			c.writeBack = c.writeBack || h.WriteBack
		}
	}
	c.region = cmp.Or(c.region, o.HomeRegion)
	if len(f.regions) > 0 {
		c.regions = slices.Clone(f.regions)
	} else {
		c.regions = append(c.regions, o.Coverage.Regions...)
	}
	c.regions = slices.Compact(slices.Sorted(slices.Values(append(c.regions, c.region))))
	for _, ch := range cfg.Channels {
		if ch.Topic != "" {
			c.topics = append(c.topics, ch.Topic)
		}
	}
	for _, a := range o.Accounts {
		c.accounts = append(c.accounts, a.ID)
	}
	for i, q := range cfg.Sources.Queues {
		if strings.HasSuffix(q.URL, "/"+queueName) {
			c.queue = &cfg.Sources.Queues[i]
		}
	}
	if err := f.serverOf(&c); err != nil {
		return c, err
	}
	return c, f.connected(&c)
}

// serverOf reads --server: a service, role/NAME or user/NAME.
func (f connectFlags) serverOf(c *connection) error {
	kind, name, named := strings.Cut(f.server, "/")
	switch {
	case !named && slices.Contains([]string{"ec2", "ecs", "eks"}, kind):
		c.serverKind, c.serverName = kind, "Parry"
	case named && kind == "role" && iamName.MatchString(name):
		c.serverKind, c.serverName = "existing-role", name
	case named && kind == "user" && iamName.MatchString(name):
		c.serverKind, c.serverName = "existing-user", name
	default:
		return usage("--server %.80q is not ec2, ecs, eks, role/NAME or user/NAME", f.server)
	}
	return nil
}

// connected settles which services are connected, and in which accounts and Regions.
func (f connectFlags) connected(c *connection) error {
	partition := apimodel.Partition(c.region)
	if len(c.regions) > maxConnectRegions {
		return usage("%d Regions are more than %d", len(c.regions), maxConnectRegions)
	}
	for _, r := range c.regions {
		if !apimodel.HasRegion(partition, r) {
			return usage("%.80q is not a Region of the partition %s, such as %s", r, partition, c.region)
		}
	}
	if f.unit != "" && !unitID.MatchString(f.unit) {
		return usage("--unit %.80q is not the id of a root or of an organizational unit, such as r-ab12 or ou-ab12-cdefghij", f.unit)
	}
	known := map[string]detector{}
	var names []string
	for _, d := range detectors() {
		known[d.name] = d
		names = append(names, d.name)
		if d.byDefault && len(f.services) == 0 || slices.Contains(f.services, d.name) {
			c.administrator[d.name] = c.hub
		}
	}
	for _, s := range f.services {
		if _, ok := known[s]; !ok {
			return usage("--service %.80q is not %s", s, strings.Join(names, ", "))
		}
	}
	if len(f.administrators) > maxAdministrators {
		return usage("--administrator is given more than %d times", maxAdministrators)
	}
	for _, text := range f.administrators {
		name, account, _ := strings.Cut(text, "=")
		switch _, on := c.administrator[name]; {
		case !isAccount(account):
			return usage("--administrator %.80q is not SERVICE=ACCOUNT", text)
		case !known[name].everywhere:
			return usage("--administrator %.80q: the service is not guardduty, inspector, macie or access-analyzer; Security Hub is read in the hub account", text)
		case !on:
			return usage("--administrator %.80q: the service is not among those of --service", text)
		}
		c.administrator[name] = account
	}
	return nil
}

// on reports whether a service is connected at all.
func (c connection) on(service string) bool { _, ok := c.administrator[service]; return ok }

// here gives the detectors that have a rule in an account and Region.
func (c connection) here(account, region string) []detector {
	var out []detector
	for _, d := range detectors() {
		if admin, ok := c.administrator[d.name]; ok && admin == account && (d.everywhere || account == c.hub && region == c.region) {
			out = append(out, d)
		}
	}
	return out
}

// forwarders are the accounts with rules that forward to the hub, each with its Regions
// and services; the management account with its own.
func (c connection) forwarders() []forwarder {
	var out []forwarder
	for _, account := range slices.Compact(slices.Sorted(maps.Values(c.administrator))) {
		f := forwarder{account: account, services: c.here(account, "")}
		for _, r := range c.regions {
			if account != c.hub || r != c.region {
				f.regions = append(f.regions, r)
			}
		}
		if len(f.services) > 0 && len(f.regions) > 0 {
			out = append(out, f)
		}
	}
	if c.sync && c.management != "" {
		out = append(out, forwarder{account: c.management, regions: []string{c.organizationRegion()}, organization: true})
	}
	return out
}

// organizationRegion is where CloudTrail announces what Organizations does.
func (c connection) organizationRegion() string {
	switch apimodel.Partition(c.region) {
	case "aws-cn":
		return "cn-northwest-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return organizationRegion
}

// forwarder is an account that forwards.
type forwarder struct {
	account      string
	regions      []string
	services     []detector
	organization bool
}

// stackName is what the forwarder's stack is called.
func (f forwarder) stackName() string {
	if f.organization {
		return "parry-organization"
	}
	return "parry-forward"
}

// foreign are the accounts besides the hub that forward.
func (c connection) foreign() []string {
	var out []string
	for _, f := range c.forwarders() {
		if f.account != c.hub && !slices.Contains(out, f.account) {
			out = append(out, f.account)
		}
	}
	return out
}

// arn names something in the hub account; the account is a placeholder while it is not
// known.
func (c connection) arn(service, region, resource string) string {
	return "arn:" + apimodel.Partition(c.region) + ":" + service + ":" + region + ":" + cmp.Or(c.hub, hubPlaceholder) + ":" + resource
}

// hubPlaceholder stands for the hub account in what people fill in.
const hubPlaceholder = "HUB-ACCOUNT"

func (c connection) busARN() string   { return c.arn("events", c.region, "event-bus/"+busName) }
func (c connection) queueARN() string { return c.arn("sqs", c.region, queueName) }
func (c connection) actionARN() string {
	return c.arn("securityhub", c.region, "action/custom/"+actionID)
}

// queueURL is that of the standard endpoint, which AWS gives a queue that is made.
func (c connection) queueURL() string {
	domain := "amazonaws.com"
	if apimodel.Partition(c.region) == "aws-cn" {
		domain = "amazonaws.com.cn"
	}
	return "https://sqs." + c.region + "." + domain + "/" + cmp.Or(c.hub, hubPlaceholder) + "/" + queueName
}

// principalARN is Parry's server.
func (c connection) principalARN() string {
	kind := "role/"
	if c.serverKind == "existing-user" {
		kind = "user/"
	}
	return c.arn("iam", "", kind+c.serverName)
}
