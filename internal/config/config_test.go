package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/awsapi"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/org"
)

const least = "organization: {hub_account: '555566667777'}\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "parry.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsHoldWhereNothingIsSaid(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "comments": "# nothing\n", "null": "policies:\n"} {
		got, err := config.Parse([]byte(text))
		if diff := cmp.Diff(config.Default(), got); err != nil || diff != "" {
			t.Errorf("%s: %v, configuration (-want +got):\n%s", name, err, diff)
		}
	}
	want := config.Config{
		DataDir: ".parry", Listen: "127.0.0.1:8470", Node: config.Default().Node,
		Organization: org.Organization{Partition: "aws", MemberRole: "ParryMemberRole", HomeRegion: "us-east-1", SessionTags: true},
		Retention:    config.Retention{ActiveDays: 400, ArchivedDays: 180, TrendDays: 730},
		Exceptions:   config.Exceptions{MaxDays: 365, WarnDays: []int{14, 3}},
	}
	if diff := cmp.Diff(want, config.Default()); diff != "" || want.Node == "" {
		t.Errorf("node %q, default (-want +got):\n%s", want.Node, diff)
	}
}

func TestParseReadsEverything(t *testing.T) {
	t.Parallel()
	got, err := config.Parse([]byte(`
data_dir: /var/lib/parry
listen: 0.0.0.0:443
tls: {certificate: a.crt, key: a.key}
database: postgres://db/parry
node: n1
organization:
  hub_account: "555566667777"
  external_id: e
  accounts: [{id: "011122223333", name: dev, unit: a/b}]
bus_rules: [{name: r, playbooks: [S3.8], channels: [m], disabled: true}]
policies: [{id: p, units: [a/b], mode: people, quorum: 2, expires: 24h}]
channels: [{name: m, kind: email, smtp: "h:25", tls: none, username: u, password_env: P, from: a@b, to: [c@d], topic: t, format: "", url: u, secret_env: S, url_env: V, hosts: [h.example.com]}]
guards:
  break_glass: [g]
  resources: ["arn:aws:s3:::x"]
  allow: [{id: a, services: [s3], units: [prod]}]
  deny: [{id: d, operations: ["Delete*"], tags: {Environment: prod}, account_tags: {Tier: "1"}, resources: ["arn:aws:s3:::y"], reason: no}]
  budgets: {per_execution: 1, per_account_hour: 2, per_hour: 3}
retention: {active_days: 90, archived_days: 0, trend_days: 30}
exceptions: {max_days: 90, warn_days: [7]}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		DataDir: "/var/lib/parry", Listen: "0.0.0.0:443", TLS: config.TLS{Certificate: "a.crt", Key: "a.key"}, Database: "postgres://db/parry", Node: "n1",
		Organization: org.Organization{
			Partition: "aws", MemberRole: "ParryMemberRole", HomeRegion: "us-east-1", SessionTags: true, HubAccount: "555566667777", ExternalID: "e",
			Accounts: []org.Account{{ID: "011122223333", Name: "dev", Unit: "a/b"}},
		},
		BusRules: []config.BusRule{{Name: "r", Playbooks: []string{"S3.8"}, Channels: []string{"m"}, Disabled: true}},
		Policies: []approve.Policy{{ID: "p", Units: []string{"a/b"}, Mode: approve.People, Quorum: 2, Expires: 24 * time.Hour}},
		Channels: []config.Channel{{
			Name: "m", Kind: "email", SMTP: "h:25", TLS: "none", Username: "u", Password: "P", From: "a@b", To: []string{"c@d"},
			Topic: "t", URL: "u", Secret: "S", SlackURL: "V", Hosts: []string{"h.example.com"},
		}},
		Guards: config.Guards{
			BreakGlass: []string{"g"}, Resources: []string{"arn:aws:s3:::x"},
			Allow: []awsapi.Rule{{ID: "a", Services: []string{"s3"}, Units: []string{"prod"}}},
			Deny: []awsapi.Rule{{
				ID: "d", Operations: []string{"Delete*"}, Tags: map[string]string{"Environment": "prod"}, AccountTags: map[string]string{"Tier": "1"},
				Resources: []string{"arn:aws:s3:::y"}, Reason: "no",
			}},
			Budgets: config.Budgets{PerExecution: 1, PerAccountHour: 2, PerHour: 3},
		},
		Retention:  config.Retention{ActiveDays: 90, TrendDays: 30},
		Exceptions: config.Exceptions{MaxDays: 90, WarnDays: []int{7}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestADocumentIsYAMLOrJSONText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ yaml, want string }{
		"YAML":              {`{source: [parry], detail: {to: [failed], n: 1, exact: 12345678901234567, ok: true, none: null}}`, `{"detail":{"exact":12345678901234567,"n":1,"none":null,"ok":true,"to":["failed"]},"source":["parry"]}`},
		"JSON text":         {`'{"source": ["parry"]}'`, `{"source": ["parry"]}`},
		"JSON in a block":   {"|\n    {\"a\": 1}\n", "{\"a\": 1}\n"},
		"text stays text":   {`{a: "012", b: '2026-01-01'}`, `{"a":"012","b":"2026-01-01"}`},
		"a date is no time": {`{a: 2026-01-01}`, `{"a":"2026-01-01"}`},
		"a list":            {`[a, 1]`, `["a",1]`},
		"an anchor":         {`{a: &x [1], b: *x}`, `{"a":[1],"b":[1]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got struct{ D config.Document }
			if err := yaml.Unmarshal([]byte("d: "+c.yaml), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got.D)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
		})
	}
	for name, text := range map[string]string{"a key that is no text": "{1: a}", "not a number": "{a: .nan}"} {
		_, err := config.Parse([]byte("automation_rules:\n  - " + text))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseNamesTheLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":         {"listn: x", `line 1: there is no key "listn" here`},
		"unknown inner key":   {"organization:\n  hub: x", `line 2: there is no key "hub" here`},
		"unknown guard key":   {"guards:\n  deny:\n    - {id: a, account: ['1']}", `line 3: there is no key "account" here`},
		"tags as a list":      {"guards:\n  deny: [{tags: [prod]}]", `line 2: this is not a map of keys and values`},
		"list for text":       {"listen: [a]", "line 1: this is not text"},
		"text for list":       {"policies: a", `line 1: "a" is not a list`},
		"text for number":     {"policies: [{quorum: two}]", `line 1: "two" is not a number`},
		"text for bool":       {"bus_rules: [{disabled: maybe}]", `"maybe" is not true or false`},
		"no duration":         {"policies: [{expires: soon}]", `"soon" is not a duration, such as 24h`},
		"text for map":        {"tls: a", `"a" is not a map of keys and values`},
		"two things wrong":    {"listn: x\nport: y", `line 1: there is no key "listn" here; line 2: there is no key "port" here`},
		"no YAML":             {"listen: [", "line 1"},
		"two documents":       {"node: a\n---\nnode: b", "more than one YAML document"},
		"a key twice":         {"node: a\nnode: b", "line 2"},
		"an anchor of itself": {"automation_rules: [&a [*a]]", "anchor 'a' value contains itself"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Parse([]byte(c.text))
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
			if fault.HintOf(err) == "" {
				t.Error("there is no hint")
			}
		})
	}
}

func TestLoadNamesThePlaceAndTheNextStep(t *testing.T) {
	t.Parallel()
	const mail = "{name: m, kind: email, smtp: 'h:25', from: a@b, to: [c@d]}"
	for name, c := range map[string]struct{ text, want, hint string }{
		"no organization":    {"node: a", "organization.hub_account is not set", "parry demo"},
		"broken file":        {"listn: x", "there is no key", "docs/configuration.md"},
		"document rule":      {least + "documents: [{principals: [alice]}]", "names is empty", "names"},
		"document role":      {least + "documents: [{names: [a], roles: [Admin]}]", "is not the ARN of a role", "arn:"},
		"role of a key":      {least + "documents: [{names: [a], key_roles: [boss]}]", `there is no role "boss"`, "the roles are"},
		"rate":               {least + "aws: {rate: -1}", "aws.rate is -1", "docs/configuration.md"},
		"reread too late":    {least + "aws: {reread_after: 2m}", "aws.reread_after is 2m0s, not from 0s to 1m0s", "docs/configuration.md"},
		"reread shared late": {least + "aws: {reread_after: 2s, reread_shared_after: 3s}", "aws.reread_shared_after is 3s, not from 0s to aws.reread_after, 2s", "docs/configuration.md"},
		"limit without rate": {least + "aws: {limits: {iam: {burst: 5}}}", "aws.limits.iam is rate 0 and burst 5", "docs/configuration.md"},
		"limit of nothing":   {least + "aws: {limits: {'I am': {rate: 5, burst: 5}}}", `"I am", which names no service`, "cloudtrail:LookupEvents"},
		"hub account":        {"organization: {hub_account: '1'}", `hub_account "1" is not a 12-digit`, "docs/configuration.md"},
		"member role":        {"organization: {hub_account: '555566667777', member_role: ''}", "member_role", "docs/configuration.md"},
		"kept too long":      {least + "retention: {active_days: 36501}", "retention.active_days is 36501", "docs/configuration.md"},
		"kept less than not": {least + "retention: {archived_days: -1}", "retention.archived_days is -1", "docs/configuration.md"},
		"excepted for ever":  {least + "exceptions: {max_days: 0}", "exceptions.max_days is 0", "docs/configuration.md"},
		"warned too late":    {least + "exceptions: {warn_days: [0]}", "exceptions.warn_days has 0", "docs/configuration.md"},
		"warned too often":   {least + "exceptions: {warn_days: [1,2,3,4,5,6,7,8,9,10,11]}", "exceptions.warn_days has 11 entries", "docs/configuration.md"},
		"no port":            {least + "listen: localhost", `listen "localhost" is not host:port`, "127.0.0.1:8470"},
		"port too high":      {least + "listen: 127.0.0.1:70000", "not between 0 and 65535", "127.0.0.1:8470"},
		"open without TLS":   {least + "listen: 0.0.0.0:80", "no TLS certificate", "tls.certificate and tls.key"},
		"a name without TLS": {least + "listen: parry.example.com:80", "no TLS certificate", "listen on 127.0.0.1"},
		"all without TLS":    {least + "listen: ':80'", "no TLS certificate", "listen on 127.0.0.1"},
		"half a certificate": {least + "tls: {key: a}", "only one of certificate and key", "both PEM files"},
		"no PostgreSQL URL":  {least + "database: mysql://root:secret@db", "database is not a postgres:// URL", "SQLite"},
		"policy":             {least + "policies: [{id: a, mode: automatic}, {id: b, mode: maybe}]", `policies[1]: check approval policy b: mode "maybe"`, "docs/configuration.md"},
		"policy twice":       {least + "policies: [{id: a, mode: never}, {id: a, mode: people}]", `policies[1].id "a" is taken`, "an id of its own"},
		"quorum":             {least + "policies: [{id: a, mode: people, quorum: 11}]", "quorum 11", "docs/configuration.md"},
		"expiry":             {least + "policies: [{id: a, mode: people, expires: 721h}]", "expires 721h0m0s", "docs/configuration.md"},
		"channel twice":      {least + "channels: [" + mail + "," + mail + "]", `channels[1].name "m" is taken`, "a name of its own"},
		"nameless channel":   {least + "channels: [{kind: sns}]", "channels[0]: name is empty", "docs/configuration.md"},
		"unknown kind":       {least + "channels: [" + mail + ", {name: x, kind: pager}]", `channels[1]: channel x: kind "pager"`, "docs/configuration.md"},
		"mail without to":    {least + "channels: [{name: m, kind: email, smtp: 'h:25', from: a@b}]", "channel m needs smtp, from and to", "docs/configuration.md"},
		"topic":              {least + "channels: [{name: t, kind: sns, topic: alerts}]", "channel t needs topic, an ARN", "docs/configuration.md"},
		"webhook":            {least + "channels: [{name: w, kind: webhook}]", "channel w needs url", "docs/configuration.md"},
		"slack":              {least + "channels: [{name: w, kind: slack, url: 'https://hooks.slack.com/x'}]", "channel w needs either url_env, or token_env and slack_channel", "docs/configuration.md"},
		"slack twice":        {least + "channels: [{name: w, kind: slack, url_env: U, token_env: T, slack_channel: C0123ABCD}]", "channel w needs either url_env, or", "docs/configuration.md"},
		"slack to nobody":    {least + "channels: [{name: w, kind: slack, token_env: T}]", "channel w: token_env and slack_channel go together", "docs/configuration.md"},
		"group by what":      {least + "channels: [{name: m, kind: email, smtp: 'h:25', from: a@b, to: [c@d], group_by: [shoe]}]", `channel m: group_by: "shoe" is not one of kind, rule`, "docs/configuration.md"},
		"wait for no group":  {least + "channels: [{name: m, kind: email, smtp: 'h:25', from: a@b, to: [c@d], group_wait: 1s}]", "channel m: group_wait, group_interval and max_per_message need group_by", "docs/configuration.md"},
		"invited nowhere":    {least + "invitations: {url: parry.example.com}", "is not the address of a server", "https://parry.example.com"},
		"invited to a page":  {least + "invitations: {url: 'https://parry.example.com/x'}", "is not the address of a server", "https://parry.example.com"},
		"invited in clear":   {least + "invitations: {url: 'http://parry.example.com'}", "in the clear", "https://"},
		"invited by what":    {least + "invitations: {url: 'https://parry.example.com', channel: m}", `invitations.channel "m" is no channel of kind email`, "docs/configuration.md"},
		"invited from where": {least + "channels: [" + mail + "]\ninvitations: {channel: m}", "invitations.channel needs invitations.url", "https://parry.example.com"},
		"format":             {least + "channels: [{name: t, kind: sns, topic: 'arn:a', format: fancy}]", `channel t: format "fancy" is not plain or chatbot`, "docs/configuration.md"},
		"format of a mail":   {least + "channels: [{name: m, kind: email, smtp: 'h:25', from: a@b, to: [c@d], format: chatbot}]", `channel m: format "chatbot"`, "docs/configuration.md"},
		"unnamed resource":   {least + "guards: {resources: ['arn:aws:s3:::a', bucket]}", `guards.resources[1]: "bucket" is not an ARN`, "arn:aws:s3:::evidence"},
		"pattern never":      {least + "guards: {break_glass: ['*']}", `guards.break_glass[0]: "*" is a pattern`, "guards.deny"},
		"nobody never":       {least + "guards: {break_glass: ['']}", `guards.break_glass[0]: it is empty`, "docs/configuration.md"},
		"alias never":        {least + "guards: {resources: ['arn:aws:kms:eu-west-1:111122223333:alias/a']}", `is an alias`, "describe-key"},
		"guard rule":         {least + "guards: {deny: [{id: a}, {id: b, regions: ['']}]}", `guards.deny[1].regions of rule "b"`, "leave a list out"},
		"guard rule twice":   {least + "guards: {allow: [{id: a}, {id: a}]}", `guards.allow[1].id "a" is taken`, "an id of its own"},
		"budget":             {least + "guards: {budgets: {per_hour: -1}}", "guards.budgets.per_hour is -1", "parry stop on"},
		"event target":       {least + "event_targets: ['arn:aws:sqs:us-east-1:111122223333:a*']", `event_targets[0] "arn:aws:sqs:us-east-1:111122223333:a*" is not an exact ARN`, "wildcards"},
		"no region":          {least + "event_targets: ['arn:aws:sqs::111122223333:a']", `event_targets[0]`, "wildcards"},
		"foreign service":    {least + "event_targets: ['arn:aws:ec2:us-east-1:111122223333:instance/i-1']", "event_targets[0]: Parry does not call ec2", "lambda"},
		"event target twice": {least + "event_targets: ['arn:aws:sqs:us-east-1:111122223333:a', 'arn:aws:sqs:us-east-1:111122223333:a']", "is there twice", ""},
		"transformers":       {least + "event_transformers: AWS", "neither parry nor aws", ""},
		"event limit":        {least + "event_limits: [{target: sink, rate: 1}]", "event_limits[0].target", "as in the rule"},
		"limit twice":        {least + "event_limits: [{target: 'arn:a'}, {target: 'arn:a'}]", "is there twice", ""},
		"too many at a time": {least + "event_limits: [{target: 'arn:a', concurrency: 257}]", "event_limits[0].concurrency is 257", ""},
		"too slow":           {least + "event_limits: [{target: 'arn:a', timeout: 1h}]", "event_limits[0].timeout is 1h0m0s", ""},
		"a rate below zero":  {least + "event_limits: [{target: 'arn:a', rate: -1}]", "event_limits[0].rate is -1", ""},
		"unknown channel":    {least + "bus_rules: [{name: a}, {name: b, channels: [m]}]", `bus_rules[1] sends to channel "m"`, "add it to channels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, c.text)
			_, err := config.Load(path)
			if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("err = %v, want … %s …", err, c.want)
			}
			if hint := fault.HintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("hint = %q, want … %s …", hint, c.hint)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Error("the error shows a secret")
			}
		})
	}
}

func TestLoadFillsWhatPoliciesLeaveOut(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(write(t, least+"policies: [{id: a, mode: people}]\nlisten: '[::1]:0'\n"))
	want := []approve.Policy{{ID: "a", Mode: approve.People, Quorum: 1, Expires: approve.DefaultExpiry}}
	if diff := cmp.Diff(want, cfg.Policies); err != nil || diff != "" {
		t.Errorf("%v, policies (-want +got):\n%s", err, diff)
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.yaml")
	if _, err := config.Load(missing); !fault.Is(err, fault.NotFound) || !strings.Contains(fault.HintOf(err), "--config") {
		t.Errorf("missing: %v (hint: %s)", err, fault.HintOf(err))
	}
	if _, err := config.Optional(missing); !fault.Is(err, fault.NotFound) {
		t.Errorf("missing, for a command that needs none: %v", err)
	}
	big := write(t, "")
	if err := os.Truncate(big, config.MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Load(big); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "the limit is 4194304") {
		t.Errorf("too long: %v", err)
	}
	if _, err := config.Load(t.TempDir()); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory: %v", err)
	}
}

// TestTheEnvironmentWinsOverTheFile sets variables of the process, so it is not
// parallel.
func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	path := write(t, least+"node: file\nlisten: 127.0.0.1:1\ndata_dir: file\ndatabase: postgres://file/x\n")
	t.Setenv("PARRY_NODE", "environment")
	t.Setenv("PARRY_LISTEN", "127.0.0.1:2")
	t.Setenv("PARRY_DATABASE", "postgresql://environment/x")
	t.Setenv("PARRY_DATA_DIR", "")
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{cfg.Node, cfg.Listen, cfg.Database, cfg.DataDir}
	if diff := cmp.Diff([]string{"environment", "127.0.0.1:2", "postgresql://environment/x", "file"}, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	t.Setenv("PARRY_LISTEN", "0.0.0.0:80")
	if _, err := config.Load(path); !fault.Is(err, fault.Invalid) {
		t.Errorf("an address from the environment is not checked: %v", err)
	}
}

// TestTheWorkingDirectorysFile changes the working directory, so it is not parallel.
func TestTheWorkingDirectorysFile(t *testing.T) {
	t.Setenv("PARRY_PYTHON", "")
	t.Chdir(t.TempDir())
	if _, err := config.Load(""); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "hub_account is not set") {
		t.Errorf("without a file: %v", err)
	}
	cfg, err := config.Optional("")
	if diff := cmp.Diff(config.Default(), cfg); err != nil || diff != "" {
		t.Errorf("%v, defaults (-want +got):\n%s", err, diff)
	}
	if err := os.WriteFile("parry.yaml", []byte(least+"node: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := config.Load(""); err != nil || cfg.Node != "here" {
		t.Errorf("%v, node %q", err, cfg.Node)
	}
	if err := os.WriteFile("parry.yaml", []byte("nod: here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Optional(""); !fault.Is(err, fault.Invalid) {
		t.Errorf("a broken file is passed over: %v", err)
	}
}

// FuzzParse holds that no file makes the reader fail, and that its refusals are
// refusals of the file.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", least, "policies: [{id: a, mode: never, expires: 1h}]", "automation_rules: ['{}', {a: [1, .inf]}]", "bus_rules: [{pattern: {a: {b: [{prefix: x}]}}}]",
		"a: &a [*a]", "a: &a {<<: *a}", "node: !!binary aGk=", "automation_rules: [!!timestamp 2026-01-01, 2026-01-01, ~]", "---\n---", "\xff", "guards: {break_glass: [null]}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		cfg, err := config.Parse(raw)
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("code %s: %v", fault.CodeOf(err), err)
		}
	})
}

func TestScriptsHaveLimits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"memory: 63": "scripts.memory is 63 MiB", "memory: 20000": "scripts.memory is 20000 MiB", "concurrency: -1": "scripts.concurrency is -1",
		"concurrency: 65": "scripts.concurrency is 65", "{memory: 64, concurrency: 64, python: /p, allow_unsandboxed: true}": "",
	} {
		cfg, err := config.Parse([]byte(least + "scripts: {" + strings.Trim(text, "{}") + "}\n"))
		if err != nil {
			t.Fatal(err)
		}
		err = cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
