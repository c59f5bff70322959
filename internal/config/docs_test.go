package config_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/config"
	"github.com/parry-security/parry/internal/pattern"
)

// TestConfigurationInDocumentsIsValid reads every block of YAML in the documents that is a
// part of parry.yaml as the server would, and the patterns of its rules too.
func TestConfigurationInDocumentsIsValid(t *testing.T) {
	t.Parallel()
	var all map[string]any
	raw, err := yaml.Marshal(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks, rules := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(text), "```yaml\n")
		for _, block := range parts[1:] {
			block, _, _ = strings.Cut(block, "```")
			var keys map[string]any
			if yaml.Unmarshal([]byte(block), &keys) != nil || len(keys) == 0 {
				continue // not a map: a part of another file
			}
			if slices.ContainsFunc(slices.Collect(maps.Keys(keys)), func(k string) bool { _, ok := all[k]; return !ok }) {
				continue
			}
			blocks++
			if keys["organization"] == nil {
				block += "\n" + least
			}
			if keys["channels"] == nil { // a page may speak of one that another page has
				block += "channels: [{name: mail, kind: email, smtp: 'mail.example.com:587', from: parry@example.com, to: [security@example.com]}]\n"
			}
			cfg, err := config.Parse([]byte(block))
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				t.Errorf("%s: %v in\n%s", filepath.Base(page), err, block)
				continue
			}
			for _, r := range cfg.BusRules {
				rules++
				if _, err := pattern.Parse(r.Pattern); err != nil {
					t.Errorf("%s: rule %s: %v", filepath.Base(page), r.Name, err)
				}
				for _, id := range r.Playbooks {
					if id == "*" { // the one that answers the finding
						continue
					}
					if _, err := os.Stat(filepath.Join("..", "..", "catalog", "playbooks", id+".yaml")); err != nil {
						t.Errorf("%s: rule %s names a playbook that is not there: %v", filepath.Base(page), r.Name, err)
					}
				}
			}
		}
	}
	if blocks < 10 || rules < 5 {
		t.Errorf("only %d blocks with %d rules were read", blocks, rules)
	}
}
