package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/approve"
	"github.com/parry-security/parry/internal/cli"
	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/pattern"
)

// initFile runs parry init in a new directory and gives what it wrote.
func initFile(t *testing.T, flags ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	var out, problems bytes.Buffer
	if code := cli.Run(t.Context(), cli.Program{In: strings.NewReader(""), Out: &out, Err: &problems}, append([]string{"init", "--dir", dir}, flags...)); code != 0 {
		t.Fatalf("init %q: exit %d: %s", flags, code, problems.String())
	}
	raw, err := os.ReadFile(filepath.Join(dir, "parry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func readConfig(t *testing.T, raw []byte) config.Config {
	t.Helper()
	cfg, err := config.Parse(raw)
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, raw)
	}
	return cfg
}

// TestInitIsReadWithEveryFlag writes the file with every combination of the flags, and
// reads it as the server does.
func TestInitIsReadWithEveryFlag(t *testing.T) {
	t.Parallel()
	options := [][]string{
		{"--management-account", "123456789012"},
		{"--home-region", "us-gov-west-1"},
		{"--member-role", "Security+Role=1"},
		{"--external-id", "a:b/c=d,e.f@g-h_i+j"},
		{"--account", `111122223333=Pay: "a" # {b} 'c' \ Zoë`},
		{"--account", "444455556666=no=prod/team one"},
		{"--postgres", "postgres://parry@db.example.com/parry?sslmode=verify-full"},
		{"--organization", "on"},
	}
	for set := range 1 << len(options) {
		flags := []string{"--hub-account", "000011112222"}
		has := func(n int) bool { return set>>n&1 == 1 }
		for n, o := range options {
			if has(n) {
				flags = append(flags, o...)
			}
		}
		if has(7) && !has(0) {
			continue // refused: init.txtar
		}
		cfg := readConfig(t, initFile(t, flags...))
		o := cfg.Organization
		pick := func(n int, yes, no string) string {
			if has(n) {
				return yes
			}
			return no
		}
		want := []string{
			"000011112222", pick(0, "123456789012", ""), pick(1, "us-gov-west-1", "us-east-1"), pick(1, "aws-us-gov", "aws"),
			pick(2, "Security+Role=1", "ParryMemberRole"), pick(6, options[6][1], ""),
		}
		if diff := cmp.Diff(want, []string{o.HubAccount, o.ManagementAccount, o.HomeRegion, o.Partition, o.MemberRole, cfg.Database}); diff != "" {
			t.Errorf("%q (-want +got): %s", flags, diff)
		}
		if has(3) && o.ExternalID != options[3][1] || o.Sync.Enabled != has(7) || cfg.Sources.Hubs[0].Region != o.HomeRegion {
			t.Errorf("%q: external id %q, sync %v, hub %+v", flags, o.ExternalID, o.Sync.Enabled, cfg.Sources.Hubs)
		}
		var accounts []string
		for _, a := range o.Accounts {
			accounts = append(accounts, fmt.Sprintf("%s|%s|%s", a.ID, a.Name, a.Unit))
		}
		var listed []string
		if has(4) {
			listed = append(listed, `111122223333|Pay: "a" # {b} 'c' \ Zoë|`)
		}
		if has(5) {
			listed = append(listed, "444455556666|no|prod/team one")
		}
		if diff := cmp.Diff(listed, accounts); diff != "" {
			t.Errorf("%q (-want +got): %s", flags, diff)
		}
	}
}

// TestInitMakesNothingAutomatic and gives every installation an external id of its own.
func TestInitMakesNothingAutomatic(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 2 {
		cfg := readConfig(t, initFile(t, "--hub-account", "000011112222"))
		seen[cfg.Organization.ExternalID] = true
		for _, p := range cfg.Policies {
			if p.Mode != approve.People {
				t.Errorf("policy %s is %s", p.ID, p.Mode)
			}
		}
		for _, h := range cfg.Sources.Hubs {
			if h.Trusted || h.WriteBack {
				t.Errorf("hub %+v", h)
			}
		}
	}
	if len(seen) != 2 {
		t.Errorf("external ids %v", seen)
	}
}

// uncommented takes the "#" from every setting that is off. A list that the file has as
// empty gives way to its example.
func uncommented(raw []byte) []byte {
	text := regexp.MustCompile(`(?m)^  accounts: \[\]\n  #  - `).ReplaceAllString(string(raw), "  accounts:\n    - ")
	// Settings of several lines keep the "#" at the place of the first.
	return []byte(regexp.MustCompile(`(?m)^( *)#([^ \n]|  +[^ ])`).ReplaceAllString(text, "$1$2"))
}

// TestInitNamesEverySection takes all comments away: what they show is read as well,
// every section is there, and what is called a default is one.
func TestInitNamesEverySection(t *testing.T) {
	t.Parallel()
	raw := uncommented(initFile(t, "--hub-account", "000011112222"))
	cfg := readConfig(t, raw)
	var file map[string]any
	if err := yaml.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if name := field.Tag.Get("yaml"); file[name] == nil {
			t.Errorf("%s is not there", name)
		}
	}
	is := config.Default()
	want := []any{is.DataDir, is.Listen, is.Retention, is.Exceptions, is.Findings, is.Organization.SessionTags}
	if diff := cmp.Diff(want, []any{cfg.DataDir, cfg.Listen, cfg.Retention, cfg.Exceptions, cfg.Findings, cfg.Organization.SessionTags}); diff != "" {
		t.Errorf("defaults (-want +got): %s", diff)
	}
	if len(cfg.Policies) != 2 || cfg.Policies[0].Mode != approve.Automatic || !slices.Equal(cfg.Policies[0].Units, []string{"dev"}) {
		t.Errorf("policies %+v", cfg.Policies)
	}
}

// TestInitPlansEveryPlaybook holds a finding of each control against the rules: that of
// its playbook matches, and no other; one that passes matches none.
func TestInitPlansEveryPlaybook(t *testing.T) {
	t.Parallel()
	cfg := readConfig(t, initFile(t, "--hub-account", "000011112222"))
	books, err := filepath.Glob(filepath.Join("..", "..", "catalog", "playbooks", "*.yaml"))
	if err != nil || len(books) < 10 || len(books) != len(cfg.BusRules) {
		t.Fatalf("%d rules for %d playbooks: %v", len(cfg.BusRules), len(books), err)
	}
	matching := func(generator, control, status string) (out []string) {
		event := fmt.Sprintf(`{"source":"aws.securityhub","detail-type":"Security Hub Findings - Imported","detail":{"findings":[{"GeneratorId":%q,
			"Compliance":{"SecurityControlId":%q,"Status":%q},"Workflow":{"Status":"NEW"},"RecordState":"ACTIVE"}]}}`, generator, control, status)
		for _, r := range cfg.BusRules {
			p, err := pattern.Parse(r.Pattern)
			if err != nil {
				t.Fatalf("%s: %v", r.Name, err)
			}
			ok, err := p.Match([]byte(event))
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				out = append(out, r.Playbooks...)
			}
		}
		return out
	}
	for _, path := range books {
		id := strings.TrimSuffix(filepath.Base(path), ".yaml")
		for generator, control := range map[string]string{"security-control/" + id: "", "pci-dss/v/3.2.1/PCI.X.1": id} {
			if got := matching(generator, control, "FAILED"); !slices.Equal(got, []string{id}) {
				t.Errorf("%s %s: %v", generator, control, got)
			}
			if got := matching(generator, control, "PASSED"); got != nil {
				t.Errorf("%s %s passes: %v", generator, control, got)
			}
		}
	}
}
