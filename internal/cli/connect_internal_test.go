package cli

import (
	"maps"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/config"
)

// TestPolicyKnowsWhatTheTemplatesMake: a type that a template of the hub has, and no
// other, has its permissions in the policy for who applies it; IAM knows each of them.
func TestPolicyKnowsWhatTheTemplatesMake(t *testing.T) {
	t.Parallel()
	c, err := connectFlags{server: "ec2"}.settings(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]bool{}
	for name, values := range map[string]any{"hub.yaml.tmpl": c.hubValues(), "forward.yaml.tmpl": forwardValues{Switches: c.forwardSwitches(), Rules: forwardRules()}} {
		raw, err := fill(name, values)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Resources map[string]struct {
				Type string `yaml:"Type"`
			} `yaml:"Resources"`
		}
		if err := yaml.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		for _, r := range file.Resources {
			types[r.Type] = true
		}
	}
	if want, got := slices.Sorted(maps.Keys(types)), slices.Sorted(maps.Keys(madeActions())); !slices.Equal(want, got) {
		t.Errorf("the templates have %q, the policy knows %q", want, got)
	}
	for _, g := range c.applyGrants() {
		if !apimodel.KnownAction(g.Action) || len(g.Resources) == 0 {
			t.Errorf("%+v: IAM has no such action, or it is about nothing", g)
		}
	}
}
