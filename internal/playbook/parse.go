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
	for _, check := range []func() error{p.checkIdentity, p.checkReads, p.checkParameters, p.checkChecks, p.checkSweep} {
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
		if _, err := (Resource{}).input(r.Input); err != nil {
			return fmt.Errorf("reads[%d].input.%w", i, err)
		}
	}
	return nil
}

// hasRead reports whether name is a read that is always made.
func (p Playbook) hasRead(name string) bool {
	return slices.ContainsFunc(p.Reads, func(r Read) bool { return r.Name == name && !r.Deferred })
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
	case s.Derive == "" && (s.From != "" || s.Selector != "" || s.With != ""):
		return errors.New("from, selector and with belong to derive")
	case s.Resource != "":
		_, err := (Resource{}).value("resource." + s.Resource)
		return err
	case s.Value != "":
		return nil
	}
	d, ok := derivations()[s.Derive]
	switch {
	case !ok:
		return fmt.Errorf("derive %q is not known; known are %s", s.Derive, names(derivations()))
	case !p.hasRead(s.From):
		return fmt.Errorf("from %q names no read", s.From)
	case (s.Selector != "") != d.selector:
		return fmt.Errorf("derive %s takes a selector: %t", s.Derive, d.selector)
	case (s.With != "") != d.with:
		return fmt.Errorf("derive %s takes an argument with: %t", s.Derive, d.with)
	}
	return checkSelector(s.Selector)
}

// checkSelector refuses what does not parse: nothing would ever be found by it.
func checkSelector(selector string) error {
	if selector == "" {
		return nil
	}
	if _, err := runbook.ParseSelector(selector); err != nil {
		return fmt.Errorf("selector %q: %w", selector, err)
	}
	return nil
}

func (p Playbook) checkChecks() error {
	if len(p.Checks) == 0 {
		return errors.New("checks is empty: without a check no violation can be confirmed and no fix verified")
	}
	for i, c := range p.Applies {
		if err := p.checkCheck(c); err != nil {
			return fmt.Errorf("applies[%d]: %w", i, err)
		}
		if c.Fixed || len(c.Unless) > 0 {
			return fmt.Errorf("applies[%d]: fixed and unless belong to checks", i)
		}
	}
	for i, c := range p.Checks {
		if err := p.checkCheck(c); err != nil {
			return fmt.Errorf("checks[%d]: %w", i, err)
		}
	}
	if !slices.ContainsFunc(p.Checks, func(c Check) bool { return !c.Fixed }) {
		return errors.New("every check is fixed: no violation can be confirmed")
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
	case (c.Selector == "") != (c.tests() == 0) || c.tests() > 1:
		return errors.New("selector needs equals, at_least, at_most or empty, one of them, and only selector takes it")
	case c.AtLeast < 0 || c.AtMost < 0:
		return errors.New("at_least and at_most are more than 0")
	case c.Predicate == "" && c.With != "":
		return errors.New("with belongs to predicate")
	}
	if err := p.checkTerms(c.Unless); err != nil {
		return err
	}
	if c.Predicate == "" {
		// One that does not parse would count as a violation of every resource.
		return checkSelector(c.Selector)
	}
	test, ok := predicates()[c.Predicate]
	switch {
	case !ok:
		return fmt.Errorf("predicate %q is not known; known are %s", c.Predicate, names(predicates()))
	case (c.With != "") != test.with:
		return fmt.Errorf("predicate %s takes an argument with: %t", c.Predicate, test.with)
	}
	return nil
}

// tests counts what a selector's value is compared with.
func (c Check) tests() int {
	n := 0
	for _, given := range []bool{c.Equals != "", c.AtLeast != 0, c.AtMost != 0, c.Empty} {
		if given {
			n++
		}
	}
	return n
}

func (p Playbook) checkTerms(terms []Term) error {
	for i, t := range terms {
		if !slices.ContainsFunc(p.Reads, func(r Read) bool { return r.Name == t.Read }) {
			return fmt.Errorf("unless[%d]: read %q names no read", i, t.Read)
		}
		if t.Selector == "" || t.Equals == "" {
			return fmt.Errorf("unless[%d] needs selector and equals", i)
		}
		if err := checkSelector(t.Selector); err != nil {
			return fmt.Errorf("unless[%d]: %w", i, err)
		}
	}
	return nil
}

// names lists the keys of m for a person.
func names[V any](m map[string]V) string {
	return strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}
