package playbook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
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
	err := dec.Decode(&p)
	switch {
	case errors.Is(err, io.EOF):
		return Playbook{}, fault.Errorf(fault.Invalid, op, "the file is empty")
	case err != nil:
		return Playbook{}, fault.E(fault.Invalid, op, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return Playbook{}, fault.Errorf(fault.Invalid, op, "the file holds more than one YAML document")
	}
	if err := p.Validate(); err != nil {
		return Playbook{}, err
	}
	sum := sha256.Sum256(raw)
	p.Revision = hex.EncodeToString(sum[:])
	return p, nil
}

// Validate checks that every name in p leads somewhere. The error names the
// place: "checks[2]: read ...".
func (p Playbook) Validate() error {
	for _, check := range []func() error{p.checkIdentity, p.checkReads, p.checkParameters, p.checkChecks} {
		if err := check(); err != nil {
			return fault.E(fault.Invalid, "check playbook "+p.ID, err)
		}
	}
	return nil
}

func (p Playbook) checkIdentity() error {
	for _, m := range []struct{ name, value string }{{"id", p.ID}, {"title", p.Title}, {"runbook", p.Runbook}, {"resource", p.Resource}} {
		if strings.TrimSpace(m.value) == "" {
			return fmt.Errorf("%s is empty", m.name)
		}
	}
	if len(p.Controls) == 0 {
		return errors.New("controls is empty")
	}
	for i, c := range p.Controls {
		if strings.TrimSpace(c) == "" {
			return fmt.Errorf("controls[%d] is empty", i) // it would answer every finding that is no control's
		}
	}
	if !slices.Contains([]string{"low", "medium", "high"}, p.Risk) {
		return fmt.Errorf("risk %q is not low, medium or high", p.Risk)
	}
	if n := utf8.RuneCountInString(p.Note); n > maxNote {
		return fmt.Errorf("note has %d characters, the limit of a finding's note is %d", n, maxNote)
	}
	return nil
}

// maxNote is the longest note of a finding, in characters.
const maxNote = 512

func (p Playbook) checkReads() error {
	seen := map[string]bool{}
	for i, r := range p.Reads {
		if r.Name == "" || r.Service == "" || r.Operation == "" || seen[r.Name] {
			return fmt.Errorf("reads[%d] needs a name of its own, a service and an operation", i)
		}
		seen[r.Name] = true
		for _, member := range slices.Sorted(maps.Keys(r.Input)) {
			if _, err := (Resource{}).value(r.Input[member]); err != nil {
				return fmt.Errorf("reads[%d].input.%s: %w", i, member, err)
			}
		}
	}
	return nil
}

func (p Playbook) hasRead(name string) bool {
	return slices.ContainsFunc(p.Reads, func(r Read) bool { return r.Name == name })
}

func (p Playbook) checkParameters() error {
	for _, name := range slices.Sorted(maps.Keys(p.Parameters)) {
		if err := p.checkSource(p.Parameters[name]); err != nil {
			return fmt.Errorf("parameters.%s: %w", name, err)
		}
	}
	return nil
}

func (p Playbook) checkSource(s Source) error {
	set := 0
	for _, v := range []string{s.Value, s.Resource, s.Derive} {
		if v != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("give exactly one of value, resource, derive")
	case s.Derive == "" && s.From != "":
		return errors.New("from belongs to derive")
	case s.Resource != "":
		_, err := (Resource{}).value("resource." + s.Resource)
		return err
	case s.Value != "":
		return nil
	}
	if _, ok := derivations()[s.Derive]; !ok {
		return fmt.Errorf("derive %q is not known; known are %s", s.Derive, names(derivations()))
	}
	if !p.hasRead(s.From) {
		return fmt.Errorf("from %q names no read", s.From)
	}
	return nil
}

func (p Playbook) checkChecks() error {
	if len(p.Checks) == 0 {
		return errors.New("checks is empty: without a check no violation can be confirmed and no fix verified")
	}
	for i, c := range p.Checks {
		if err := p.checkCheck(c); err != nil {
			return fmt.Errorf("checks[%d]: %w", i, err)
		}
	}
	return nil
}

func (p Playbook) checkCheck(c Check) error {
	switch {
	case c.Name == "":
		return errors.New("name is empty")
	case !p.hasRead(c.Read):
		return fmt.Errorf("read %q names no read", c.Read)
	case (c.Selector == "") == (c.Predicate == ""):
		return errors.New("give exactly one of selector, predicate")
	case (c.Selector == "") != (c.Equals == ""):
		return errors.New("selector needs equals, and only selector takes it")
	}
	if c.Predicate != "" {
		if _, ok := predicates()[c.Predicate]; !ok {
			return fmt.Errorf("predicate %q is not known; known are %s", c.Predicate, names(predicates()))
		}
		return nil
	}
	// One that does not parse would count as a violation of every resource.
	if _, err := runbook.ParseSelector(c.Selector); err != nil {
		return fmt.Errorf("selector %q: %w", c.Selector, err)
	}
	return nil
}

// names lists the keys of m for a person.
func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
