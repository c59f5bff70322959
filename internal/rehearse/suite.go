package rehearse

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/parry-security/parry/internal/automation"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/runbook"
)

// The limits of a file of cases.
const (
	MaxSize  = 1 << 20 // bytes
	maxCases = 200
	maxCalls = 500 // of one list of a case
)

// Where a case takes place unless it says otherwise.
const (
	DefaultAccount = "123456789012"
	DefaultRegion  = "us-east-1"
)

// Suite is a test.yaml. Its own members are those of every case that does not
// have them itself.
type Suite struct {
	// Document is the document's file, beside test.yaml or in one of the folders of
	// documents. Default runbook.yaml, else runbook.json.
	Document string `yaml:"document"`
	// Runbook is the document's name. Default: that of the folder.
	Runbook string `yaml:"runbook"`
	// Documents are the files of documents that aws:executeAutomation starts, by name.
	Documents map[string]string `yaml:"documents"`
	// Attachments is a folder or a zip with the document's attachments. Default: beside it.
	Attachments string `yaml:"attachments"`
	Cases       []Case `yaml:"cases"`
	Case        `yaml:",inline"`
}

// Case is one run of the document.
type Case struct {
	Name    string `yaml:"name"`
	Account string `yaml:"account"`
	Region  string `yaml:"region"`
	// Fixtures are made before the run, one after the other.
	Fixtures []Call `yaml:"fixtures"`
	// Answers are what AWS answers, by call ("s3:GetBucketAcl"): such a case needs no
	// emulator. A call that is not named answers nothing.
	Answers map[string]Input `yaml:"aws"`
	// Parameters are the document's, as `parry runbook start` takes them.
	Parameters Input `yaml:"parameters"`
	// Status is how the run ends. Default Success.
	Status string `yaml:"status"`
	// Failure is text that the failure's message contains.
	Failure string `yaml:"failure"`
	// Outputs are members of the execution's outputs, by "step.output".
	Outputs Input `yaml:"outputs"`
	// Calls, when it is there, is every change that the run makes (with aws: every
	// call), in order.
	Calls *[]Call `yaml:"calls"`
	// State are reads after the run, with what they have to show.
	State []Call `yaml:"state"`
	// Unchanged says that the state holds before the run too. Otherwise a state that
	// held already proves nothing, and the case fails.
	Unchanged bool `yaml:"unchanged"`
}

// Call is one call of AWS with what is expected of it.
type Call struct {
	Call   string `yaml:"call"` // service:Operation
	Input  Input  `yaml:"input"`
	Region string `yaml:"region"`
	// Save keeps parts of the answer under names, by selector.
	Save map[string]string `yaml:"save"`
	// Error is the error code that the call has to answer.
	Error string `yaml:"error"`
	// Select picks the part of the answer that Expect is about.
	Select string `yaml:"select"`
	// Expect is what the answer, or its part, has at least; see match.
	Expect any `yaml:"expect"`
	// Present says that there has to be something at Select.
	Present bool `yaml:"present"`

	expects bool // Expect is there, if only as null
}

// Input are members by name; YAML's dates stay the text that they were written as.
type Input map[string]any

// UnmarshalYAML reads a map.
func (in *Input) UnmarshalYAML(node *yaml.Node) error {
	datesAsText(node)
	var m map[string]any
	if err := node.Decode(&m); err != nil {
		return err
	}
	*in = m
	return nil
}

// UnmarshalYAML reads a call, refusing members that it does not have.
func (c *Call) UnmarshalYAML(node *yaml.Node) error {
	type plain Call
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i].Value
		if !slices.Contains([]string{"call", "input", "region", "save", "error", "select", "expect", "present"}, name) {
			return fmt.Errorf("line %d: a call has no member %q", node.Content[i].Line, name)
		}
		if name == "expect" {
			c.expects = true
			datesAsText(node.Content[i+1])
		}
	}
	return node.Decode((*plain)(c))
}

// datesAsText keeps an unquoted date as it is written: policies have versions
// that look like dates.
func datesAsText(node *yaml.Node) {
	if node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, n := range node.Content {
		datesAsText(n)
	}
}

// Parse reads a file of cases and gives every case on its own, with what the
// file says for all of them. Unknown members, names that nothing gives and more
// than the limits are refused.
func Parse(raw []byte) (Suite, error) {
	const op = "read test.yaml"
	var s Suite
	if len(raw) > MaxSize {
		return s, fault.Errorf(fault.Invalid, op, "it has %d bytes, the limit is %d", len(raw), MaxSize)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return s, fault.E(fault.Invalid, op, err).WithHint("docs/runbook-test.md describes the file")
	}
	if len(s.Cases) == 0 {
		s.Cases = []Case{{}}
	}
	if len(s.Cases) > maxCases {
		return s, fault.Errorf(fault.Invalid, op, "it has %d cases, the limit is %d", len(s.Cases), maxCases)
	}
	for i := range s.Cases {
		c := s.Cases[i].over(s.Case)
		if err := c.check(); err != nil {
			return s, fault.E(fault.Invalid, op, fmt.Errorf("case %d %q: %w", i+1, c.Name, err)).WithHint("docs/runbook-test.md describes the file")
		}
		s.Cases[i] = c
	}
	return s, s.files()
}

// over gives c the members of base that it does not have itself.
func (c Case) over(base Case) Case {
	c.Account = cmp.Or(c.Account, base.Account, DefaultAccount)
	c.Region = cmp.Or(c.Region, base.Region, DefaultRegion)
	c.Status = cmp.Or(c.Status, base.Status, string(automation.Success))
	c.Failure = cmp.Or(c.Failure, base.Failure)
	c.Unchanged = c.Unchanged || base.Unchanged
	if c.Fixtures == nil {
		c.Fixtures = base.Fixtures
	}
	if c.State == nil {
		c.State = base.State
	}
	if c.Calls == nil {
		c.Calls = base.Calls
	}
	for own, of := range map[*Input]Input{&c.Parameters: base.Parameters, &c.Outputs: base.Outputs} {
		if *own == nil {
			*own = of
		}
	}
	if c.Answers == nil {
		c.Answers = base.Answers
	}
	return c
}

var (
	callName    = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9_]+$`)
	accountID   = regexp.MustCompile(`^\d{12}$`)
	regionName  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d{1,2}$`)
	savedName   = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
	givenNames  = []string{"account", "region", "partition", "unique", "role"}
	endStatuses = []string{string(automation.Success), string(automation.Failed), string(automation.TimedOut), string(automation.Cancelled)}
)

// check refuses a case that cannot be run.
func (c Case) check() error {
	switch {
	case !accountID.MatchString(c.Account):
		return fmt.Errorf("account %q is not a 12-digit account id", c.Account)
	case !regionName.MatchString(c.Region):
		return fmt.Errorf("region %q is not the name of a region", c.Region)
	case !slices.Contains(endStatuses, c.Status):
		return fmt.Errorf("status %q is not one of %s", c.Status, strings.Join(endStatuses, ", "))
	case c.Answers != nil && (len(c.Fixtures) > 0 || len(c.State) > 0):
		return errors.New("it has aws, and fixtures or state: answers take the place of an emulator")
	case c.Answers == nil && len(c.State) == 0 && c.Calls == nil && len(c.Outputs) == 0 && c.Status == string(automation.Success):
		return errors.New("it expects nothing: give state, outputs, calls or another status")
	}
	names := slices.Clone(givenNames)
	for _, list := range []struct {
		of    string
		calls []Call
	}{{"fixtures", c.Fixtures}, {"parameters", []Call{{Call: "a:b", Input: c.Parameters}}}, {"state", c.State}} {
		if len(list.calls) > maxCalls {
			return fmt.Errorf("%s has %d calls, the limit is %d", list.of, len(list.calls), maxCalls)
		}
		for i, call := range list.calls {
			var err error
			if names, err = call.check(names); err != nil {
				return fmt.Errorf("%s[%d] %s: %w", list.of, i, call.Call, err)
			}
		}
	}
	if c.Calls != nil && len(*c.Calls) > maxCalls {
		return fmt.Errorf("calls has %d calls, the limit is %d", len(*c.Calls), maxCalls)
	}
	return nil
}

// check refuses a call that cannot be made, and gives names with those that the
// call saves.
func (c Call) check(names []string) ([]string, error) {
	if !callName.MatchString(c.Call) {
		return nil, fmt.Errorf("call %q is not service:Operation, such as s3:CreateBucket", c.Call)
	}
	if c.Region != "" && !regionName.MatchString(c.Region) {
		return nil, fmt.Errorf("region %q is not the name of a region", c.Region)
	}
	for _, v := range []any{map[string]any(c.Input), c.Expect} {
		for _, ref := range runbook.References(v) {
			if !slices.Contains(names, ref.String()) {
				return nil, fmt.Errorf("{{ %s }} is neither saved before nor one of %s", ref, strings.Join(givenNames, ", "))
			}
		}
	}
	if _, err := runbook.ParseSelector(c.Select); err != nil {
		return nil, fmt.Errorf("select %q: %w", c.Select, err)
	}
	if c.Present && c.Select == "" {
		return nil, errors.New("present says nothing without select")
	}
	for name, selector := range c.Save {
		if !savedName.MatchString(name) || slices.Contains(givenNames, name) {
			return nil, fmt.Errorf("save: %q is no name that can be given", name)
		}
		if _, err := runbook.ParseSelector(selector); err != nil {
			return nil, fmt.Errorf("save %s: selector %q: %w", name, selector, err)
		}
		names = append(names, name)
	}
	return names, nil
}

// files refuses names of files that lead out of the folders that they are looked
// for in.
func (s Suite) files() error {
	names := []string{s.Document, s.Attachments}
	for _, f := range s.Documents {
		names = append(names, f)
	}
	for _, n := range names {
		if n != "" && !filepath.IsLocal(n) {
			return fault.Errorf(fault.Invalid, "read test.yaml", "the file %q is not below the folder of test.yaml", n)
		}
	}
	return nil
}
