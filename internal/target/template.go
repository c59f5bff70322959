package target

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The variables that AWS predefines.
const (
	ruleARN       = "aws.events.rule-arn"
	ruleName      = "aws.events.rule-name"
	ingestionTime = "aws.events.event.ingestion-time"
	eventOnly     = "aws.events.event"
	eventJSON     = "aws.events.event.json"
)

func predefined() []string { return []string{ruleARN, ruleName, ingestionTime, eventOnly, eventJSON} }

// placeholder is what is taken for a variable in a template.
var placeholder = regexp.MustCompile(`^<[A-Za-z0-9_.\-]+>`)

// template is an InputTransformer, compiled.
type template struct {
	parts    []part
	names    []string // of the variables that are used: first those of paths, then the others
	paths    []Path
	raw      bool // AWS's own way of filling in
	warnings []string
}

// part is a text as it stands, and a variable after it.
type part struct {
	text     string
	variable string // "" after the last text
	index    int    // of the variable in the template's names
	quoted   bool   // the variable is in a JSON string
}

func (t InputTransformer) compile(id string, o Options) (*template, error) {
	switch {
	case len(t.InputPathsMap) > MaxVariables:
		return nil, invalid("InputPathsMap of target %s has more than %d variables", id, MaxVariables)
	case t.InputTemplate == "" || utf8.RuneCountInString(t.InputTemplate) > MaxTemplate:
		return nil, invalid("InputTemplate for target %s does not have 1 to %d characters", id, MaxTemplate)
	}
	out := &template{parts: split(t.InputTemplate), raw: o.AWSCompatible}
	if err := out.check(id); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, p := range out.parts {
		_, defined := t.InputPathsMap[p.variable]
		switch {
		case p.variable != "" && !defined && !slices.Contains(predefined(), p.variable):
			return nil, invalid("InputTemplate for target %s contains invalid placeholder %s.", id, p.variable).
				WithHint("define it in InputPathsMap; < and > cannot be escaped")
		case p.quoted && (p.variable == eventOnly || p.variable == eventJSON):
			return nil, invalid("InputTemplate for target %s has <%s> in a string; it can only be used as a value", id, p.variable).
				WithHint(`write {"event": <%s>}`, p.variable)
		}
		used[p.variable] = true
	}
	return out, out.define(t.InputPathsMap, used, id)
}

// define takes over the paths of the variables that are used, and numbers all of them.
func (t *template) define(paths map[string]string, used map[string]bool, id string) error {
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		if len(name) > MaxVariableName || !variablePattern.MatchString(name) {
			return invalid("InputPathsMap of target %s: the variable %q is not 1 to %d letters, digits, - and _", id, name, MaxVariableName).
				WithHint("names with dots, such as those that begin with AWS., are reserved")
		}
		if len(paths[name]) > MaxPath {
			return invalid("InputPathsMap of target %s: the path of %s has more than %d characters", id, name, MaxPath)
		}
		p, err := ParsePath(paths[name])
		switch {
		case err != nil:
			t.warnings = append(t.warnings, "variable "+name+": "+paths[name]+" is not a path that EventBridge knows, so it finds nothing")
		case !used[name]:
			t.warnings = append(t.warnings, "variable "+name+" is not used in the template")
		default:
			t.names, t.paths = append(t.names, name), append(t.paths, p)
		}
	}
	for i, p := range t.parts {
		if p.variable == "" {
			continue
		}
		if !slices.Contains(t.names, p.variable) {
			t.names = append(t.names, p.variable)
		}
		t.parts[i].index = slices.Index(t.names, p.variable)
	}
	return nil
}

// split takes a template apart at its variables. Whether one is in a string is told by
// counting quotes, which is right for every template that check lets pass.
func split(text string) []part {
	var parts []part
	begin, at, quoted := 0, 0, false
	for at < len(text) {
		switch c := text[at]; {
		case c == '\\' && quoted:
			at++
		case c == '"':
			quoted = !quoted
		case c == '<':
			if found := placeholder.FindString(text[at:]); found != "" {
				parts = append(parts, part{text: text[begin:at], variable: found[1 : len(found)-1], quoted: quoted})
				at += len(found)
				begin = at
				continue
			}
		}
		at++
	}
	return append(parts, part{text: text[begin:]})
}

// check looks whether the template is JSON with null for every variable that stands as a
// value, and none of them part of a name.
func (t *template) check(id string) error {
	var sample []byte
	var quoted []int64 // where variables are in strings
	for _, p := range t.parts {
		sample = append(sample, p.text...)
		switch {
		case p.quoted:
			quoted = append(quoted, int64(len(sample)))
			sample = append(sample, '_') // so that the place is within the string
		case p.variable != "":
			sample = append(sample, "null"...)
		}
	}
	values, texts := 0, 0
	dec := jsontext.NewDecoder(bytes.NewBuffer(sample), jsontext.AllowDuplicateNames(true))
	for {
		begin := dec.InputOffset()
		token, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return notJSON(id, err)
		}
		kind, length := dec.StackIndex(dec.StackDepth())
		if dec.StackDepth() == 0 {
			values++
			if token.Kind() == '"' {
				texts++
			}
		}
		if kind == '{' && token.Kind() == '"' && length%2 == 1 {
			i, _ := slices.BinarySearch(quoted, begin)
			if i < len(quoted) && quoted[i] < dec.InputOffset() {
				return invalid("InputTemplate for target %s has a placeholder in the name of a member", id).WithHint("variables stand for values only")
			}
		}
	}
	if values == 0 || (values > 1 && values != texts) {
		return notJSON(id, errors.New("more than one value, or none"))
	}
	return nil
}

func notJSON(id string, err error) error {
	return invalid("InputTemplate for target %s is not a valid JSON text: %w", id, err).
		WithHint("a text has quotes of its own, each line of it: \"instance <instance>\"")
}

// render fills in. Everything that it takes in is JSON already.
func (t *template) render(event []byte, m Meta) ([]byte, error) {
	values, err := find(event, t.paths)
	if err != nil {
		return nil, err
	}
	for _, name := range t.names[len(t.paths):] {
		value, err := builtin(name, event, m)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	var out []byte
	for _, p := range t.parts {
		out = append(out, p.text...)
		if p.variable != "" {
			out = t.fill(out, values[p.index], p.quoted)
		}
		if len(out) > MaxOutput {
			return nil, tooLong()
		}
	}
	return out, nil
}

// builtin gives a predefined variable as JSON, nil for the variables whose path is none.
func builtin(name string, event []byte, m Meta) (jsontext.Value, error) {
	switch name {
	case ruleARN:
		return quote(m.RuleARN), nil
	case ruleName:
		return quote(m.RuleName), nil
	case ingestionTime:
		return quote(m.IngestionTime.UTC().Format(time.RFC3339)), nil
	case eventJSON:
		return event, nil
	case eventOnly:
		return withoutDetail(event)
	default:
		return nil, nil
	}
}

// quote gives a text as a JSON string. What is no UTF-8 in it is replaced.
func quote(text string) jsontext.Value {
	out, _ := jsontext.AppendQuote(nil, strings.ToValidUTF8(text, "\uFFFD"))
	return out
}

// fill appends a variable. nil is one that was not found.
func (t *template) fill(out []byte, value jsontext.Value, quoted bool) []byte {
	switch {
	case value == nil && (quoted || t.raw):
		return out
	case value == nil:
		return append(out, "null"...)
	case !quoted:
		return append(out, value...)
	case t.raw && value.Kind() == '"':
		return append(out, text(value)...)
	case t.raw:
		return append(out, bytes.ReplaceAll(value, []byte(`"`), nil)...)
	case value.Kind() == '"':
		return append(out, value[1:len(value)-1]...) // it is escaped as it stands
	default:
		escaped := quote(string(value))
		return append(out, escaped[1:len(escaped)-1]...)
	}
}

// withoutDetail gives the event less its detail.
func withoutDetail(event []byte) (jsontext.Value, error) {
	dec := decoder(event)
	if _, err := dec.ReadToken(); err != nil {
		return nil, unreadable(err)
	}
	out := jsontext.Value("{")
	for dec.PeekKind() == '"' {
		name, err := dec.ReadValue()
		if err != nil {
			return nil, unreadable(err)
		}
		member := append(slices.Clone(name), ':')
		value, err := dec.ReadValue()
		if err != nil {
			return nil, unreadable(err)
		}
		if text(member[:len(member)-1]) == "detail" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(out, member...), value...)
	}
	return append(out, '}'), nil
}
