package cli_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parry-security/parry/internal/config"
)

func configurationGuide(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestEveryKeyIsDescribed holds docs/configuration.md to the keys that there
// are, no more and no fewer.
func TestEveryKeyIsDescribed(t *testing.T) {
	t.Parallel()
	want := keysOf(reflect.TypeFor[config.Config](), "", map[reflect.Type]bool{})
	var got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][^`]*)` \\|([^|]*)\\|([^|]*)\\|").FindAllStringSubmatch(configurationGuide(t), -1) {
		got = append(got, row[1])
		if strings.TrimSpace(row[2]) == "" {
			t.Errorf("%s says nothing", row[1])
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/configuration.md (+) and the keys that there are (-): %s", diff)
	}
}

// keysOf gives the YAML keys of a struct with their path. Two lists of the same
// kind, such as guards.allow and guards.deny, are described once.
func keysOf(typ reflect.Type, path string, seen map[reflect.Type]bool) []string {
	var keys []string
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		name = path + name
		keys = append(keys, name)
		switch inner := field.Type; {
		case inner.Kind() == reflect.Struct:
			keys = append(keys, keysOf(inner, name+".", seen)...)
		case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct && !seen[inner.Elem()]:
			seen[inner.Elem()] = true
			keys = append(keys, keysOf(inner.Elem(), name+"[].", seen)...)
		}
	}
	return keys
}

// TestExamplesOfTheGuideAreRight reads every example as the server does.
func TestExamplesOfTheGuideAreRight(t *testing.T) {
	t.Parallel()
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(configurationGuide(t), -1)
	if len(examples) < 5 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		text := e[1]
		if !strings.Contains(text, "organization:") {
			text += "\norganization: {hub_account: \"999988887777\"}\n"
		}
		cfg, err := config.Parse([]byte(text))
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil {
			t.Errorf("%v\n%s", err, e[1])
		}
	}
}
