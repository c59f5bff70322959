package playbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/fault"
)

// MaxSize is the largest playbook file that is read, in bytes.
const MaxSize = 64 << 10

// Parse reads one playbook file (YAML). Unknown keys, unknown predicates and
// dangling names are refused: a playbook decides what is changed in an account.
func Parse(raw []byte) (Playbook, error) {
	const op = "parse playbook"
	if len(raw) > MaxSize {
		return Playbook{}, fault.Errorf(fault.Invalid, op, "the file has %d bytes, the limit is %d", len(raw), MaxSize)
	}
	var p Playbook
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil {
		return Playbook{}, fault.E(fault.Invalid, op, err)
	}
	if err := p.Validate(); err != nil {
		return Playbook{}, err
	}
	sum := sha256.Sum256(raw)
	p.Revision = hex.EncodeToString(sum[:])
	return p, nil
}

// Validate checks that every name in p leads somewhere.
func (p Playbook) Validate() error {
	bad := func(format string, args ...any) error {
		return fault.Errorf(fault.Invalid, "check playbook "+p.ID, format, args...)
	}
	for name, v := range map[string]string{"id": p.ID, "title": p.Title, "runbook": p.Runbook, "resource": p.Resource} {
		if strings.TrimSpace(v) == "" {
			return bad("%s is empty", name)
		}
	}
	if len(p.Controls) == 0 {
		return bad("controls is empty")
	}
	if !slices.Contains([]string{"low", "medium", "high"}, p.Risk) {
		return bad("risk %q is not low, medium or high", p.Risk)
	}
	if len(p.Note) > 512 {
		return bad("note has %d characters, the limit of a finding's note is 512", len(p.Note))
	}
	reads := map[string]bool{}
	for i, r := range p.Reads {
		if r.Name == "" || r.Service == "" || r.Operation == "" || reads[r.Name] {
			return bad("reads[%d] needs a name of its own, a service and an operation", i)
		}
		reads[r.Name] = true
		for member, v := range r.Input {
			if _, err := (Resource{}).value(v); err != nil {
				return bad("reads[%d].input.%s: %v", i, member, err)
			}
		}
	}
	for name, s := range p.Parameters {
		if err := s.check(reads); err != nil {
			return bad("parameters.%s: %v", name, err)
		}
	}
	if len(p.Checks) == 0 {
		return bad("checks is empty: without a check no violation can be confirmed and no fix verified")
	}
	for i, c := range p.Checks {
		if err := c.check(reads); err != nil {
			return bad("checks[%d]: %v", i, err)
		}
	}
	return nil
}

func (s Source) check(reads map[string]bool) error {
	set := 0
	for _, v := range []string{s.Value, s.Resource, s.Derive} {
		if v != "" {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("give exactly one of value, resource, derive")
	}
	if s.Derive != "" {
		if _, ok := derivations()[s.Derive]; !ok {
			return fmt.Errorf("derive %q is not known; known are %s", s.Derive, strings.Join(keys(derivations()), ", "))
		}
		if !reads[s.From] {
			return fmt.Errorf("from %q names no read", s.From)
		}
	}
	if s.Resource != "" {
		_, err := (Resource{}).value("resource." + s.Resource)
		return err
	}
	return nil
}

func (c Check) check(reads map[string]bool) error {
	if c.Name == "" {
		return fmt.Errorf("name is empty")
	}
	if !reads[c.Read] {
		return fmt.Errorf("read %q names no read", c.Read)
	}
	if (c.Selector == "") == (c.Predicate == "") {
		return fmt.Errorf("give exactly one of selector, predicate")
	}
	if c.Predicate != "" {
		if _, ok := predicates()[c.Predicate]; !ok {
			return fmt.Errorf("predicate %q is not known; known are %s", c.Predicate, strings.Join(keys(predicates()), ", "))
		}
	}
	return nil
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
