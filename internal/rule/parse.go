package rule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/filter"
	"github.com/parry-security/parry/internal/finding"
)

// The limits of rules.
const (
	MaxOrder = 1000
	maxName  = 256
	maxText  = 1024
	// MaxBytes bounds a file of rules.
	MaxBytes = 16 << 20
)

// FindingFieldsUpdate is the only type of action.
const FindingFieldsUpdate = "FINDING_FIELDS_UPDATE"

// document is a rule as CreateAutomationRule takes it and as
// BatchGetAutomationRules gives it.
type document struct {
	RuleArn     string            `json:"RuleArn,omitempty"`
	RuleName    string            `json:"RuleName"`
	Description string            `json:"Description"`
	RuleOrder   *json.Number      `json:"RuleOrder"`
	RuleStatus  string            `json:"RuleStatus,omitempty"`
	IsTerminal  bool              `json:"IsTerminal,omitempty"`
	Criteria    json.RawMessage   `json:"Criteria"`
	Actions     []json.RawMessage `json:"Actions"`
	CreatedAt   string            `json:"CreatedAt,omitempty"`
	UpdatedAt   string            `json:"UpdatedAt,omitempty"`
	CreatedBy   string            `json:"CreatedBy,omitempty"`
	ExpiresAt   string            `json:"ExpiresAt,omitempty"` // Parry's own
	Tags        map[string]string `json:"Tags,omitempty"`
}

type action struct {
	Type                string          `json:"Type"`
	FindingFieldsUpdate json.RawMessage `json:"FindingFieldsUpdate"`
}

func refuse(path, format string, args ...any) error {
	return fault.Errorf(fault.Invalid, "", "%s: %w", path, fmt.Errorf(format, args...))
}

// Parse reads one rule in AWS's form. The error names the place:
// "Actions[0].FindingFieldsUpdate should NOT have additional property 'Title'".
func Parse(raw []byte) (Rule, error) {
	if len(raw) > MaxBytes {
		return Rule{}, refuse("rule", "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	}
	var d document
	if err := strict(raw, &d); err != nil {
		return Rule{}, refuse("rule", "%w", err)
	}
	r := Rule{ARN: d.RuleArn, Version: 1, Name: d.RuleName, Description: d.Description, Terminal: d.IsTerminal, CreatedBy: d.CreatedBy}
	if err := errors.Join(text("RuleName", d.RuleName, maxName), text("Description", d.Description, maxText)); err != nil {
		return Rule{}, firstOf(err)
	}
	var err error
	if r.Order, err = order(d.RuleOrder); err != nil {
		return Rule{}, err
	}
	if r.Enabled, err = enabled(d.RuleStatus); err != nil {
		return Rule{}, err
	}
	if r.CreatedAt, err = stamp("CreatedAt", d.CreatedAt); err != nil {
		return Rule{}, err
	}
	if r.UpdatedAt, err = stamp("UpdatedAt", d.UpdatedAt); err != nil {
		return Rule{}, err
	}
	if r.ExpiresAt, err = stamp("ExpiresAt", d.ExpiresAt); err != nil {
		return Rule{}, err
	}
	if r.Tags, err = tags(d.Tags); err != nil {
		return Rule{}, err
	}
	if len(d.Criteria) == 0 {
		return Rule{}, refuse("Criteria", "is missing")
	}
	if r.Criteria, err = filter.ParseCriteria(d.Criteria); err != nil {
		return Rule{}, err
	}
	r.Update, err = update(d.Actions)
	return r, err
}

// ParseVersion reads a rule of version 1 or 2.
func ParseVersion(version int, raw []byte) (Rule, error) {
	switch version {
	case 1:
		return Parse(raw)
	case 2:
		return ParseV2(raw)
	}
	return Rule{}, refuse("rule", "version %d is not one that this program knows", version)
}

// firstOf takes the first of joined errors: a person mends one at a time.
func firstOf(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()[0]
	}
	return err
}

func strict(raw []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON value")
	}
	return nil
}

func text(path, s string, most int) error {
	switch {
	case strings.TrimSpace(s) == "":
		return refuse(path, "a text that is not blank is needed")
	case utf8.RuneCountInString(s) > most:
		return refuse(path, "more than %d characters", most)
	}
	return nil
}

func order(n *json.Number) (float64, error) {
	if n == nil {
		return 0, refuse("RuleOrder", "is missing")
	}
	v, err := n.Int64()
	if err != nil || v < 1 || v > MaxOrder {
		return 0, refuse("RuleOrder", "should be an integer from 1 to %d", MaxOrder)
	}
	return float64(v), nil
}

// The limits of tags: AWS's TagMap.
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

// tagKey is AWS's pattern of a tag's key, but for the prefix aws:.
var tagKey = regexp.MustCompile(`^[a-zA-Z+-=._:/]{1,128}$`)

func tags(in map[string]string) (map[string]string, error) {
	if len(in) == 0 {
		return nil, nil
	}
	if len(in) > maxTags {
		return nil, refuse("Tags", "%d tags are more than the limit of %d", len(in), maxTags)
	}
	for _, k := range slices.Sorted(maps.Keys(in)) {
		switch {
		case strings.HasPrefix(k, "aws:") || !tagKey.MatchString(k):
			return nil, refuse("Tags", "a key should be 1 to %d letters, digits or + - = . _ : /, and not begin with aws:", maxTagKey)
		case utf8.RuneCountInString(in[k]) > maxTagValue:
			return nil, refuse("Tags", "the value of %s has more than %d characters", k, maxTagValue)
		}
	}
	return in, nil
}

func enabled(status string) (bool, error) {
	switch status {
	case "", "ENABLED":
		return true, nil
	case "DISABLED":
		return false, nil
	}
	return false, refuse("RuleStatus", "should be ENABLED or DISABLED")
}

func stamp(path, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := finding.ParseTime(s)
	if err != nil {
		return time.Time{}, refuse(path, "%w", err)
	}
	return t, nil
}

func update(actions []json.RawMessage) (finding.Patch, error) {
	if len(actions) != 1 {
		return finding.Patch{}, refuse("Actions", "exactly one action is needed, not %d", len(actions))
	}
	var a action
	if err := strict(actions[0], &a); err != nil {
		return finding.Patch{}, refuse("Actions[0]", "%w", err)
	}
	if a.Type != FindingFieldsUpdate {
		return finding.Patch{}, refuse("Actions[0].Type", "should be %s", FindingFieldsUpdate)
	}
	const path = "Actions[0].FindingFieldsUpdate"
	if len(a.FindingFieldsUpdate) == 0 {
		return finding.Patch{}, refuse(path, "is missing")
	}
	p, err := finding.ParsePatch(a.FindingFieldsUpdate, path)
	if err != nil {
		return finding.Patch{}, err
	}
	if p.IsZero() {
		return finding.Patch{}, refuse(path, "changes nothing")
	}
	return p, nil
}

// MarshalJSON writes the rule in AWS's form.
func (r Rule) MarshalJSON() ([]byte, error) {
	if r.second != nil {
		return r.marshalV2()
	}
	criteria, err := json.Marshal(r.Criteria)
	if err != nil {
		return nil, err
	}
	patch, err := json.Marshal(r.Update)
	if err != nil {
		return nil, err
	}
	act, err := json.Marshal(action{Type: FindingFieldsUpdate, FindingFieldsUpdate: patch})
	if err != nil {
		return nil, err
	}
	number := json.Number(strconv.FormatFloat(r.Order, 'f', -1, 64))
	d := document{
		RuleArn: r.ARN, RuleName: r.Name, Description: r.Description, RuleOrder: &number, RuleStatus: r.status(),
		IsTerminal: r.Terminal, Criteria: criteria, Actions: []json.RawMessage{act}, CreatedBy: r.CreatedBy,
		CreatedAt: written(r.CreatedAt), UpdatedAt: written(r.UpdatedAt), ExpiresAt: written(r.ExpiresAt), Tags: r.Tags,
	}
	return json.Marshal(d)
}

func (r Rule) status() string {
	if r.Enabled {
		return "ENABLED"
	}
	return "DISABLED"
}

func written(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
