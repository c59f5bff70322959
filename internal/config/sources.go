package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
	"github.com/parry-security/parry/internal/ingest"
)

// Sources are where findings are read from; those that are sent to Parry come
// by keys. See docs/sources.md.
type Sources struct {
	Queues []QueueSource `yaml:"queues"`
	Hubs   []HubSource   `yaml:"hubs"`
	// Detective are the regions in which Amazon Detective is on: findings of
	// GuardDuty there are shown with links to it. Default: none.
	Detective []string `yaml:"detective"`
}

// QueueSource is a queue of Amazon SQS that EventBridge rules send to.
type QueueSource struct {
	// Name travels with every finding of the source.
	Name string `yaml:"name"`
	// Accounts are account ids that it may report for, "*" is all; Products are
	// product ARNs, or company/product in every region. None: it may report nothing.
	Accounts []string `yaml:"accounts"`
	Products []string `yaml:"products"`
	// Trusted findings may lead to automatic remediation.
	Trusted bool   `yaml:"trusted"`
	URL     string `yaml:"url"`
	// Region of the queue; default that in its URL.
	Region string `yaml:"region"`
	// Events puts events that are no findings, such as CloudTrail's, on the bus.
	Events bool `yaml:"events"`
	// Rules are the ARNs of the EventBridge rules that may send to it: what parry doctor
	// holds the queue's policy against.
	Rules []string `yaml:"rules"`
	// Receivers are how many batches of ten messages are worked on at once.
	// Default 2, at most 20.
	Receivers int `yaml:"receivers"`
}

// HubSource is AWS Security Hub in one region, read by GetFindings.
type HubSource struct {
	// Name travels with every finding of the source.
	Name string `yaml:"name"`
	// Accounts are account ids that it may report for, "*" is all; Products are
	// product ARNs, or company/product in every region. None: it may report nothing.
	Accounts []string `yaml:"accounts"`
	Products []string `yaml:"products"`
	// Trusted findings may lead to automatic remediation.
	Trusted bool   `yaml:"trusted"`
	Region  string `yaml:"region"`
	// Account is the one whose Security Hub is read, as the member role. Default:
	// that of Parry's own credentials.
	Account string `yaml:"account"`
	// LinkedRegions are those whose findings the hub aggregates.
	LinkedRegions []string `yaml:"linked_regions"`
	// Every is how often updates are read. Default 10m, at least 1m.
	Every time.Duration `yaml:"every"`
	// Reconcile is how often each finding that is stored as active is asked for,
	// to archive what the hub no longer has. Default 24h; negative: never.
	Reconcile time.Duration `yaml:"reconcile"`
	// WriteBack writes workflow status and notes that are set here to the hub.
	WriteBack bool `yaml:"write_back"`
}

const (
	maxSources = 100
	maxSpeaks  = 10_000
)

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

var accountID = regexp.MustCompile(`^[0-9]{12}$`)

func (c *Config) validateSources() error {
	s := &c.Sources
	if len(s.Queues)+len(s.Hubs) > maxSources {
		return fault.Errorf(fault.Invalid, validate, "sources has %d entries, the limit is %d", len(s.Queues)+len(s.Hubs), maxSources)
	}
	for i, region := range s.Detective {
		if !regionName.MatchString(region) || i >= maxSources {
			return fault.Errorf(fault.Invalid, validate, "sources.detective[%d]: %q is no region", i, region).WithHint("name the regions in which Amazon Detective is on, such as eu-west-1")
		}
	}
	names := map[string]bool{}
	for i := range s.Queues {
		if err := s.Queues[i].validate(names); err != nil {
			return fault.Errorf(fault.Invalid, validate, "sources.queues[%d]: %w", i, err).WithHint("%s", hintOr(err, described))
		}
	}
	for i := range s.Hubs {
		if err := s.Hubs[i].validate(names); err != nil {
			return fault.Errorf(fault.Invalid, validate, "sources.hubs[%d]: %w", i, err).WithHint("%s", hintOr(err, described))
		}
	}
	return nil
}

func hintOr(err error, otherwise string) string {
	if h := fault.HintOf(err); h != "" {
		return h
	}
	return otherwise
}

// speaker is what every source has.
type speaker struct {
	name               string
	accounts, products []string
}

func (s speaker) validate(names map[string]bool) error {
	switch {
	case !sourceName.MatchString(s.name):
		return fault.Errorf(fault.Invalid, "", "name %.80q is not 1 to 64 letters, digits, dots, dashes and underscores", s.name)
	case names[s.name]:
		return fault.Errorf(fault.Invalid, "", "name %q is taken", s.name).WithHint("give every source a name of its own")
	case len(s.accounts) == 0 || len(s.products) == 0:
		return fault.Errorf(fault.Invalid, "", "source %q names no accounts or no products, so it could report nothing", s.name).
			WithHint(`name them, such as accounts: ["111122223333"] and products: [aws/guardduty]; "*" is all`)
	case len(s.accounts) > maxSpeaks || len(s.products) > maxSpeaks:
		return fault.Errorf(fault.Invalid, "", "source %q names more than %d accounts or products", s.name, maxSpeaks)
	}
	names[s.name] = true
	for _, a := range s.accounts {
		if a != ingest.Any && !accountID.MatchString(a) {
			return fault.Errorf(fault.Invalid, "", "%.80q is not an account id of 12 digits", a).WithHint("write account ids in quotes, YAML takes them for numbers")
		}
	}
	for _, p := range s.products {
		if _, ok := finding.ParseProductARN(p); !ok && p != ingest.Any && strings.Count(p, "/") != 1 {
			return fault.Errorf(fault.Invalid, "", "%.80q is neither a product ARN nor company/product", p)
		}
	}
	return nil
}

func (q *QueueSource) validate(names map[string]bool) error {
	if err := (speaker{q.Name, q.Accounts, q.Products}).validate(names); err != nil {
		return err
	}
	if q.Region == "" {
		q.Region = queueRegion(q.URL)
	}
	switch arn := q.ARN(); {
	case arn == "":
		return fault.Errorf(fault.Invalid, "", "url %.200q is not the URL of a queue in a known region", q.URL).
			WithHint("copy it from the queue, such as https://sqs.eu-west-1.amazonaws.com/111122223333/findings, and set region where the URL has none")
	case q.Receivers < 0 || q.Receivers > 20:
		return fault.Errorf(fault.Invalid, "", "receivers is %d, not between 1 and 20", q.Receivers)
	}
	for _, r := range q.Rules {
		if parts := strings.SplitN(r, ":", 6); len(parts) != 6 || parts[0] != "arn" || parts[2] != "events" || !strings.HasPrefix(parts[5], "rule/") {
			return fault.Errorf(fault.Invalid, "", "rules has %.200q, which is no ARN of an EventBridge rule", r)
		}
	}
	return nil
}

// queueRegion reads the region out of a queue's URL.
func queueRegion(queue string) string {
	u, err := url.Parse(queue)
	if err != nil {
		return ""
	}
	parts := strings.Split(u.Hostname(), ".")
	if len(parts) > 2 && parts[0] == "sqs" {
		return parts[1]
	}
	return ""
}

// ARN gives the queue's ARN, "" when its URL names none.
func (q QueueSource) ARN() string {
	u, err := url.Parse(q.URL)
	if err != nil || q.Region == "" || u.Scheme == "" {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) != 2 || !accountID.MatchString(parts[0]) || parts[1] == "" {
		return ""
	}
	return "arn:" + apimodel.Partition(q.Region) + ":sqs:" + q.Region + ":" + parts[0] + ":" + parts[1]
}

var regionName = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}$`)

func (h *HubSource) validate(names map[string]bool) error {
	if err := (speaker{h.Name, h.Accounts, h.Products}).validate(names); err != nil {
		return err
	}
	if h.Every == 0 {
		h.Every = 10 * time.Minute
	}
	if h.Reconcile == 0 {
		h.Reconcile = 24 * time.Hour
	}
	for _, r := range h.Regions() {
		if !regionName.MatchString(r) {
			return fault.Errorf(fault.Invalid, "", "%.80q is not a region", r).WithHint("set region, such as eu-west-1")
		}
	}
	switch {
	case h.Account != "" && !accountID.MatchString(h.Account):
		return fault.Errorf(fault.Invalid, "", "account %.80q is not an account id of 12 digits", h.Account)
	case h.Every < time.Minute:
		return fault.Errorf(fault.Invalid, "", "every is %s, less than a minute", h.Every)
	case h.Reconcile > 0 && h.Reconcile < time.Hour:
		return fault.Errorf(fault.Invalid, "", "reconcile is %s, less than an hour", h.Reconcile)
	case h.WriteBack && slices.Contains(h.Products, ingest.Any):
		return fault.Errorf(fault.Invalid, "", "write_back needs products by name, not %q: what Parry may write is a closed list", ingest.Any).
			WithHint("name them, such as products: [aws/securityhub, aws/guardduty]")
	}
	return nil
}

// Regions are those whose findings the hub has.
func (h HubSource) Regions() []string { return append([]string{h.Region}, h.LinkedRegions...) }

// ProductARNs are the products by their whole names, nil when they are all.
func (h HubSource) ProductARNs() []string {
	var out []string
	for _, p := range h.Products {
		switch _, arn := finding.ParseProductARN(p); {
		case p == ingest.Any:
			return nil
		case arn:
			out = append(out, p)
		default:
			for _, r := range h.Regions() {
				out = append(out, "arn:"+apimodel.Partition(r)+":securityhub:"+r+"::product/"+p)
			}
		}
	}
	return out
}
