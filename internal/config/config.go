// Package config reads parry.yaml, checks it whole and names the place of what
// is wrong. A setting comes from a flag, else from the environment (PARRY_*),
// else from the file, else from its default.
package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/notify"
	"github.com/parry-security/parry/internal/notify/webhook"
	"github.com/parry-security/parry/internal/org"
	"github.com/parry-security/parry/internal/plan"
	"github.com/parry-security/parry/internal/triage"
)

// MaxSize is the largest configuration file that is read, in bytes.
const MaxSize = 4 << 20

// Config is the whole of parry.yaml.
type Config struct {
	// DataDir holds the SQLite files and the data key. Default ".parry".
	DataDir string `yaml:"data_dir"`
	// Listen is the address of the API. Default 127.0.0.1:8470. Anything but
	// loopback needs TLS.
	Listen string `yaml:"listen"`
	// TLS names certificate and key files (PEM).
	TLS TLS `yaml:"tls"`
	// Proxies are addresses or networks of reverse proxies whose X-Forwarded-For and
	// X-Forwarded-Proto are believed. None: those headers say nothing.
	Proxies []string `yaml:"proxies"`
	// Invitations say how people come by the link where they choose a password.
	Invitations Invitations `yaml:"invitations"`
	// Database is a PostgreSQL URL; empty means SQLite in DataDir.
	Database string `yaml:"database"`
	// Node names this process among several; default the host name.
	Node string `yaml:"node"`

	Organization org.Organization `yaml:"organization"`
	// AutomationRules are Security Hub automation rules (V1), as its API takes them.
	AutomationRules []Document `yaml:"automation_rules"`
	// Priority says what makes a finding urgent.
	Priority triage.Priority `yaml:"priority"`
	// BusRules are event patterns with targets.
	BusRules []BusRule `yaml:"bus_rules"`
	// Cases are the templates by which rules open cases.
	Cases []CaseTemplate `yaml:"cases"`
	// EventTargets are ARNs in AWS that rules of the bus may send events to.
	EventTargets []string `yaml:"event_targets"`
	// EventTransformers says how input transformers of rules fill in: parry, or as AWS does.
	EventTransformers string `yaml:"event_transformers"`
	// EventLimits bound what targets of the bus are sent at a time.
	EventLimits []EventLimit `yaml:"event_limits"`
	// Policies say how plans are approved; the first that matches decides.
	Policies []approve.Policy `yaml:"policies"`
	// Documents say who may start which automation documents, and as which roles they run.
	Documents []plan.DocumentRule `yaml:"documents"`
	Channels  []Channel           `yaml:"channels"`
	Guards    Guards              `yaml:"guards"`
	AWS       AWS                 `yaml:"aws"`
	Scripts   Scripts             `yaml:"scripts"`
	// Sources are queues and hubs that findings are read from.
	Sources Sources `yaml:"sources"`
	// Webhooks say where steps of aws:invokeWebhook may post to. None: nowhere.
	Webhooks Webhooks `yaml:"webhooks"`
	// Retention says how long findings are kept.
	Retention Retention `yaml:"retention"`
	// Findings says how findings are announced.
	Findings Findings `yaml:"findings"`
	// Exceptions bound accepted risks.
	Exceptions Exceptions `yaml:"exceptions"`
}

// Exceptions bound accepted risks in time.
type Exceptions struct {
	// MaxDays is how far ahead an exception may end. Default 365.
	MaxDays int `yaml:"max_days"`
	// WarnDays are the days before its end on which an event tells of it. Default 14, 3.
	WarnDays []int `yaml:"warn_days"`
}

// maxWarnings bounds the warnings of one exception.
const maxWarnings = 10

func (e Exceptions) validate() error {
	if e.MaxDays < 1 || e.MaxDays > maxRetention {
		return fault.Errorf(fault.Invalid, validate, "exceptions.max_days is %d, outside 1 to %d", e.MaxDays, maxRetention)
	}
	if len(e.WarnDays) > maxWarnings {
		return fault.Errorf(fault.Invalid, validate, "exceptions.warn_days has %d entries, the limit is %d", len(e.WarnDays), maxWarnings)
	}
	for _, d := range e.WarnDays {
		if d < 1 || d > maxRetention {
			return fault.Errorf(fault.Invalid, validate, "exceptions.warn_days has %d, outside 1 to %d", d, maxRetention)
		}
	}
	return nil
}

// Findings says how findings are announced on the bus.
type Findings struct {
	// EventsV2 adds Security Hub's event in OCSF, "Findings Imported V2", to the one
	// in ASFF. Default false.
	EventsV2 bool `yaml:"events_v2"`
}

// Retention is for how many days a finding is kept after it was last updated;
// 0 keeps it. Security Hub keeps active findings for 90 days and archived ones
// for 30; the defaults here are longer, 400 and 180. TrendDays is for how many days
// trends are kept, 730 by default.
type Retention struct {
	ActiveDays   int `yaml:"active_days"`
	ArchivedDays int `yaml:"archived_days"`
	TrendDays    int `yaml:"trend_days"`
}

func (r Retention) validate() error {
	for name, days := range map[string]int{"active_days": r.ActiveDays, "archived_days": r.ArchivedDays, "trend_days": r.TrendDays} {
		if days < 0 || days > maxRetention {
			return fault.Errorf(fault.Invalid, validate, "retention.%s is %d, outside 0 to %d", name, days, maxRetention)
		}
	}
	return nil
}

// maxRetention is a hundred years.
const maxRetention = 36500

// Webhooks bound what leaves for addresses outside AWS.
type Webhooks struct {
	Hosts        []string `yaml:"hosts"`
	AllowPrivate bool     `yaml:"allow_private"`
}

// TLS names the server's certificate.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
}

// Document is a JSON document written in YAML or as JSON text.
type Document []byte

// UnmarshalYAML turns the node into JSON.
func (d *Document) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!str" {
		*d = Document(node.Value)
		return nil
	}
	datesAsText(node)
	var v any
	if err := node.Decode(&v); err != nil {
		return err
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*d = raw
	return nil
}

// datesAsText keeps an unquoted date as it is written: JSON has no dates, and a
// pattern compares text.
func datesAsText(node *yaml.Node) {
	if node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, n := range node.Content {
		datesAsText(n)
	}
}

// BusRule routes events to playbooks, channels and cases.
type BusRule struct {
	Name    string   `yaml:"name"`
	Pattern Document `yaml:"pattern"`
	// Playbooks, Channels and Cases (by their templates) are the targets.
	Playbooks []string `yaml:"playbooks"`
	Channels  []string `yaml:"channels"`
	Cases     []string `yaml:"cases"`
	Disabled  bool     `yaml:"disabled"`
}

// Channel is where notifications go. Kind is email, sns, webhook or slack.
type Channel struct {
	Name string `yaml:"name"`
	Kind string `yaml:"kind"`
	// email
	SMTP     string   `yaml:"smtp"` // host:port
	TLS      string   `yaml:"tls"`  // required (default), implicit, opportunistic, none
	Username string   `yaml:"username"`
	Password string   `yaml:"password_env"` // name of the environment variable that holds it
	From     string   `yaml:"from"`
	To       []string `yaml:"to"`
	// sns
	Topic  string `yaml:"topic"`  // ARN
	Format string `yaml:"format"` // plain (default) or chatbot
	// webhook
	URL    string `yaml:"url"`
	Secret string `yaml:"secret_env"` // name of the environment variable that holds the signing key
	// slack
	SlackURL string   `yaml:"url_env"` // name of the environment variable that holds the webhook's URL, which is a secret
	Hosts    []string `yaml:"hosts"`   // default: hooks.slack.com, with a token slack.com
	// With a bot token there are threads.
	Token        string `yaml:"token_env"`     // name of the environment variable that holds it
	SlackChannel string `yaml:"slack_channel"` // id of the channel in Slack
	// Notifications that share these labels become one message; none: each is one.
	GroupBy       []string      `yaml:"group_by"`
	GroupWait     time.Duration `yaml:"group_wait"`      // default: the first is sent at once
	GroupInterval time.Duration `yaml:"group_interval"`  // default: 1m
	MaxPerMessage int           `yaml:"max_per_message"` // default: 50
}

// Grouping is how the channel's notifications are grouped.
func (c Channel) Grouping() notify.Grouping {
	return notify.Grouping{By: c.GroupBy, Wait: c.GroupWait, Interval: c.GroupInterval, Max: c.MaxPerMessage}
}

// Guards refuse calls whatever a plan says; see docs/configuration.md.
type Guards struct {
	BreakGlass []string `yaml:"break_glass"` // principal ARNs that are never touched
	Resources  []string `yaml:"resources"`   // ARNs that are never touched
	// Allow, when there are any, lists all changes that are allowed; Deny lists
	// changes that are refused, and wins.
	Allow []awsapi.Rule `yaml:"allow"`
	Deny  []awsapi.Rule `yaml:"deny"`
	// Budgets bound how many changes are sent; a limit that is not set has its default.
	Budgets Budgets `yaml:"budgets"`
}

// Budgets are numbers of changes; see awsapi.Budgets.
type Budgets struct {
	PerExecution   int `yaml:"per_execution"`
	PerAccountHour int `yaml:"per_account_hour"`
	PerHour        int `yaml:"per_hour"`
}

// Default gives the configuration that holds where nothing is said.
func Default() Config {
	node, err := os.Hostname()
	if err != nil || node == "" {
		node = "node"
	}
	return Config{
		DataDir: ".parry", Listen: "127.0.0.1:8470", Node: node,
		Organization: org.Organization{Partition: "aws", MemberRole: "ParryMemberRole", HomeRegion: "us-east-1", SessionTags: true},
		Retention:    Retention{ActiveDays: 400, ArchivedDays: 180, TrendDays: 730},
		Exceptions:   Exceptions{MaxDays: 365, WarnDays: []int{14, 3}},
	}
}

// Load reads path ("" = parry.yaml if it is there), then the environment.
func Load(path string) (Config, error) {
	cfg := Default()
	explicit := path != ""
	if !explicit {
		path = "parry.yaml"
	}
	raw, err := readLimited(path)
	switch {
	case err == nil:
		if cfg, err = Parse(raw); err != nil {
			return cfg, fmt.Errorf("%s: %w", path, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return cfg, err
	case explicit:
		return cfg, fault.E(fault.NotFound, "read configuration", err).WithHint("name the file with --config, or run: parry demo")
	}
	cfg.environment(os.Getenv)
	if err := cfg.Validate(); err != nil {
		if raw != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		if fault.HintOf(err) == "" {
			err = fault.E(fault.Invalid, "", err).WithHint(described)
		}
		return cfg, err
	}
	return cfg, nil
}

const described = "every key is described in docs/configuration.md"

// Optional is Load for commands that need no organization: without a file the
// defaults hold.
func Optional(path string) (Config, error) {
	cfg, err := Load(path)
	if err == nil || path != "" {
		return cfg, err
	}
	if _, missing := os.Stat("parry.yaml"); errors.Is(missing, fs.ErrNotExist) {
		return cfg, nil
	}
	return cfg, err
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxSize {
		return nil, fault.Errorf(fault.Invalid, "read configuration", "%s has %d bytes, the limit is %d", path, info.Size(), MaxSize)
	}
	return os.ReadFile(filepath.Clean(path))
}

// Parse reads a configuration over the defaults. Unknown keys are refused.
func Parse(raw []byte) (Config, error) {
	const op = "read configuration"
	cfg := Default()
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	err := dec.Decode(&cfg)
	if errors.Is(err, io.EOF) { // comments only
		return Default(), nil
	}
	if err != nil {
		return cfg, fault.Errorf(fault.Invalid, op, "%s", plain(err)).WithHint(described)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return cfg, fault.Errorf(fault.Invalid, op, "the file holds more than one YAML document").WithHint("keep the first, and remove what follows the line ---")
	}
	return cfg, nil
}

// plain words the YAML library's errors for somebody who writes YAML and not Go.
func plain(err error) string {
	messages := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		messages = slices.Clone(typed.Errors)
	}
	for i, m := range messages {
		m = regexp.MustCompile(`field (\S+) not found in type \S+`).ReplaceAllString(m, `there is no key "$1" here`)
		m = regexp.MustCompile("cannot unmarshal !!(\\S+) (?:`([^`]*)` )?into (.+)").ReplaceAllStringFunc(m, wrongType)
		messages[i] = m
	}
	return strings.Join(messages, "; ")
}

// wrongType words "cannot unmarshal !!seq into string".
func wrongType(m string) string {
	_, want, _ := strings.Cut(m, " into ")
	switch {
	case strings.HasPrefix(want, "[]"):
		want = "a list"
	case want == "time.Duration":
		want = "a duration, such as 24h"
	case want == "string" || want == "approve.Mode":
		want = "text"
	case want == "int":
		want = "a number"
	case want == "bool":
		want = "true or false"
	default:
		want = "a map of keys and values"
	}
	if _, rest, ok := strings.Cut(m, "`"); ok {
		value, _, _ := strings.Cut(rest, "`")
		return fmt.Sprintf("%q is not %s", value, want)
	}
	return "this is not " + want
}

// environment lets PARRY_* win over the file.
func (c *Config) environment(get func(string) string) {
	for name, at := range map[string]*string{
		"PARRY_DATA_DIR": &c.DataDir, "PARRY_LISTEN": &c.Listen, "PARRY_DATABASE": &c.Database, "PARRY_NODE": &c.Node,
		"PARRY_PYTHON": &c.Scripts.Python,
	} {
		if v := get(name); v != "" {
			*at = v
		}
	}
}

// Validate checks what can be checked without the network. Rules that do not
// parse are not an error here: they are disabled loudly when they are compiled.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.validateServer, c.validateOrganization, c.validatePolicies, c.validateDocuments, c.validateChannels, c.validateCases, c.validateEventTargets, c.validateEventLimits, c.validateInvitations, c.validateGuards, c.validateAWS, c.validateScripts, c.validateWebhooks, c.validatePriority, c.validateSources, c.Retention.validate, c.Exceptions.validate} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

const validate = "check configuration"

func (c *Config) validateServer() error {
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fault.Errorf(fault.Invalid, validate, "listen %q is not host:port", c.Listen).WithHint("set listen, for example to 127.0.0.1:8470")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fault.Errorf(fault.Invalid, validate, "listen %q: the port is not between 0 and 65535", c.Listen).WithHint("set listen, for example to 127.0.0.1:8470")
	}
	switch {
	case (c.TLS.Certificate == "") != (c.TLS.Key == ""):
		return fault.Errorf(fault.Invalid, validate, "tls has only one of certificate and key").WithHint("set tls.certificate and tls.key, both PEM files")
	case !loopback(host) && c.TLS.Certificate == "":
		return fault.Errorf(fault.Invalid, validate, "listen %s is not a loopback address and no TLS certificate is set", c.Listen).
			WithHint("set tls.certificate and tls.key, or listen on 127.0.0.1")
	case c.Database != "" && !strings.HasPrefix(c.Database, "postgres://") && !strings.HasPrefix(c.Database, "postgresql://"):
		// The value is not shown: it may hold a password.
		return fault.Errorf(fault.Invalid, validate, "database is not a postgres:// URL").WithHint("leave database empty for SQLite in data_dir")
	}
	_, err = c.TrustedProxies()
	return err
}

// maxProxies bounds the list of proxies.
const maxProxies = 100

// TrustedProxies gives the networks of Proxies.
func (c *Config) TrustedProxies() ([]netip.Prefix, error) {
	if len(c.Proxies) > maxProxies {
		return nil, fault.Errorf(fault.Invalid, validate, "proxies has %d entries, the limit is %d", len(c.Proxies), maxProxies)
	}
	var out []netip.Prefix
	for i, text := range c.Proxies {
		net, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			net, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil || net.Bits() == 0 {
			return nil, fault.Errorf(fault.Invalid, validate, "proxies[%d] %q is not an address and not a network", i, text).
				WithHint("name the reverse proxy itself, for example 127.0.0.1 or 10.0.3.0/28")
		}
		out = append(out, net.Masked())
	}
	return out, nil
}

func (c *Config) validateOrganization() error {
	if c.Organization.HubAccount == "" {
		return fault.Errorf(fault.Invalid, validate, "organization.hub_account is not set: the account that Parry's own credentials belong to").
			WithHint("write a parry.yaml: parry init; without an AWS account see: parry demo")
	}
	return c.Organization.Validate()
}

func (c *Config) validatePolicies() error {
	ids := map[string]bool{}
	for i := range c.Policies {
		p := &c.Policies[i]
		if err := p.Validate(); err != nil {
			return fmt.Errorf("policies[%d]: %w", i, err)
		}
		if ids[p.ID] {
			return fault.Errorf(fault.Invalid, validate, "policies[%d].id %q is taken", i, p.ID).WithHint("give every policy an id of its own")
		}
		ids[p.ID] = true
	}
	return nil
}

// maxDocumentRules bounds the rules that every start of a document is held against.
const maxDocumentRules = 500

func (c *Config) validateDocuments() error {
	if len(c.Documents) > maxDocumentRules {
		return fault.Errorf(fault.Invalid, validate, "documents has %d entries, the limit is %d", len(c.Documents), maxDocumentRules)
	}
	for i, r := range c.Documents {
		if err := r.Validate(); err != nil {
			return fmt.Errorf("documents[%d]: %w", i, err)
		}
		if _, err := auth.ParseRoles(r.KeyRoles); err != nil {
			return fmt.Errorf("documents[%d].key_roles: %w", i, err)
		}
	}
	return nil
}

func (c *Config) validateWebhooks() error {
	_, err := webhook.NewPoster(webhook.PostConfig{Hosts: c.Webhooks.Hosts})
	return err
}

func (c *Config) validateChannels() error {
	names := map[string]bool{}
	for i, ch := range c.Channels {
		if err := ch.validate(); err != nil {
			return fault.Errorf(fault.Invalid, validate, "channels[%d]: %w", i, err)
		}
		if names[ch.Name] {
			return fault.Errorf(fault.Invalid, validate, "channels[%d].name %q is taken", i, ch.Name).WithHint("give every channel a name of its own")
		}
		names[ch.Name] = true
	}
	for i, r := range c.BusRules {
		for _, name := range r.Channels {
			if !names[name] {
				return fault.Errorf(fault.Invalid, validate, "bus_rules[%d] sends to channel %q, which is not configured", i, name).WithHint("add it to channels")
			}
		}
	}
	return nil
}

func (c Channel) validate() error {
	switch {
	case c.Name == "":
		return errors.New("name is empty")
	case c.Kind == "email" && (c.SMTP == "" || c.From == "" || len(c.To) == 0):
		return fmt.Errorf("channel %s needs smtp, from and to", c.Name)
	case c.Kind == "sns" && !strings.HasPrefix(c.Topic, "arn:"):
		return fmt.Errorf("channel %s needs topic, an ARN", c.Name)
	case c.Format != "" && (c.Kind != "sns" || c.Format != "plain" && c.Format != "chatbot"):
		return fmt.Errorf("channel %s: format %q is not plain or chatbot, for sns", c.Name, c.Format)
	case c.Kind == "slack" && (c.SlackURL == "") == (c.Token == ""):
		return fmt.Errorf("channel %s needs either url_env, or token_env and slack_channel", c.Name)
	case c.Kind == "slack" && (c.SlackChannel == "") != (c.Token == ""):
		return fmt.Errorf("channel %s: token_env and slack_channel go together", c.Name)
	case c.Kind == "slack" && c.Token != "" && len(c.Hosts) > 1:
		return fmt.Errorf("channel %s: with token_env one entry of hosts is enough", c.Name)
	case c.Kind == "webhook" && c.URL == "":
		return fmt.Errorf("channel %s needs url", c.Name)
	case c.Kind != "email" && c.Kind != "sns" && c.Kind != "webhook" && c.Kind != "slack":
		return fmt.Errorf("channel %s: kind %q is not email, sns, webhook or slack", c.Name, c.Kind)
	}
	if err := c.Grouping().Validate(); err != nil {
		return fmt.Errorf("channel %s: %w", c.Name, err)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
