package apimodel

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goneOrNew are prefixes that AWS's reference does not have: two are
// discontinued, the last is younger than the reference.
var goneOrNew = []string{"application-cost-profiler", "iotthingsgraph", "s3files"}

// TestDerivedActionsExist holds every action that is derived for any operation
// against AWS's reference, and every table against it too.
func TestDerivedActionsExist(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it unpacks every model")
	}
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	known, unknown := 0, map[string][]string{}
	var prefixes []string
	for _, name := range c.Services() {
		s, err := c.Service(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range s.Operations {
			for _, r := range actionRules(s, op) {
				prefix, action, _ := strings.Cut(r.Action, ":")
				switch {
				case factsOf(prefix) == nil:
					if !slices.Contains(prefixes, prefix) {
						prefixes = append(prefixes, prefix)
					}
				case knownAction(prefix, action):
					known++
				default:
					unknown[s.Name] = append(unknown[s.Name], r.Action)
				}
			}
		}
	}
	if diff := cmp.Diff(goneOrNew, prefixes); diff != "" {
		t.Errorf("prefixes that IAM does not have: %s", diff)
	}
	missing := 0
	for _, list := range unknown {
		missing += len(list)
	}
	// What is missing is younger than the reference; a mistake in a prefix or in
	// the exceptions shows as a jump.
	if missing > 435 || known < 17850 {
		t.Errorf("%d actions exist, %d do not: %v", known, missing, unknown)
	}
	for _, list := range unknown {
		for _, action := range list {
			prefix, name, _ := strings.Cut(action, ":")
			if len(images().changes[imageKey(prefix, name)]) > 0 {
				t.Errorf("%s, which the table of images is about, does not exist", action)
			}
		}
	}
}

// TestExceptionsAreOfThisWorld finds rows that name a service, an operation, a
// resource type, a variable or a member that is not there.
func TestExceptionsAreOfThisWorld(t *testing.T) {
	t.Parallel()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	a, err := actions()
	if err != nil {
		t.Fatal(err)
	}
	for service, ops := range a.Operations {
		for name, rules := range ops {
			s, op, err := c.Find(service, name)
			if err != nil || s.Name != service || op.Name != name {
				t.Errorf("actions.json: there is no %s:%s", service, name)
				continue
			}
			for _, r := range rules {
				for _, path := range []string{r.When, r.Unless} {
					if path != "" && path != "CopySource.VersionId" && !reaches(op.Input, path) {
						t.Errorf("actions.json: %s:%s has no member %s", service, name, path)
					}
				}
			}
		}
	}
	for service := range a.Prefixes {
		if s, err := c.Service(service); err != nil || s.Name != service {
			t.Errorf("actions.json: there is no service %s", service)
		}
	}
	b, err := bindings()
	if err != nil {
		t.Fatal(err)
	}
	for prefix, types := range b.Types {
		f := factsOf(prefix)
		if f == nil {
			t.Errorf("resources.json: IAM has no prefix %s", prefix)
			continue
		}
		for name, row := range types {
			template, ok := f.types[name]
			if !ok {
				t.Errorf("resources.json: %s has no resource type %s", prefix, name)
			}
			for v := range row.Vars {
				if !slices.Contains(variables(template), v) {
					t.Errorf("resources.json: the ARN of %s %s has no ${%s}", prefix, name, v)
				}
			}
		}
	}
}

func reaches(s *Shape, path string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	for s != nil && s.Type == List {
		s = s.Elem.Shape
	}
	m, ok := s.Member(name)
	return ok && (!deeper || reaches(m.Shape, rest))
}
