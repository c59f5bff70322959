package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
)

const (
	// maxDepth bounds nesting, before the decoder sees the text.
	maxDepth = 32
	// maxProblems bounds how many are told at once.
	maxProblems = 10
	// maxShown bounds what of a value an error repeats.
	maxShown = 128
)

// Patterns are a model's regular expressions, each compiled when it is first asked for.
// Those that Go's engine does not take hold for every text: what they guard is checked by
// hand. The zero Patterns is ready; it is safe for concurrent use.
type Patterns struct{ compiled sync.Map } // *regexp.Regexp by its text

// match reports whether s is as a shape's pattern says.
func (p *Patterns) match(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	v, ok := p.compiled.Load(pattern)
	if !ok {
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			re = nil
		}
		v, _ = p.compiled.LoadOrStore(pattern, re)
	}
	re, _ := v.(*regexp.Regexp)
	return re == nil || re.MatchString(s)
}

// ReadInput checks raw against the input shape of an operation and gives it with
// the members that the model knows, in their exact case: encoding/json would take
// any case, and AWS ignores what it does not know.
func ReadInput(raw []byte, shape *apimodel.Shape, known *Patterns) ([]byte, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if TooDeep(raw, maxDepth) >= 0 {
		return nil, Serialization("The request body is nested more than %d levels.", maxDepth)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var body any
	if err := dec.Decode(&body); err != nil || dec.More() {
		return nil, Serialization("The request body is not valid JSON.")
	}
	c := &inputCheck{patterns: known}
	clean := c.value(shape, body, "")
	switch {
	case c.mistyped != "":
		return nil, Serialization("%s", c.mistyped)
	case len(c.problems) > 0:
		return nil, Validation(c.problems)
	}
	out, err := json.Marshal(clean)
	if err != nil {
		return nil, Serialization("The request body cannot be read.")
	}
	return out, nil
}

func Serialization(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: "SerializationException", Message: fmt.Sprintf(format, args...)}
}

func Validation(problems []string) error {
	noun := "validation error"
	if len(problems) > 1 {
		noun += "s"
	}
	return &Error{
		Status: http.StatusBadRequest, Code: "ValidationException",
		Message: fmt.Sprintf("%d %s detected: %s", len(problems), noun, strings.Join(problems, "; ")),
	}
}

// InvalidMember is a validation error that the model does not express.
func InvalidMember(member, value, constraint string) error {
	return Validation([]string{fmt.Sprintf("Value '%s' at '%s' failed to satisfy constraint: %s", Clip(value), member, constraint)})
}

func Clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

// inputCheck walks a body along its shape.
type inputCheck struct {
	patterns *Patterns
	problems []string
	mistyped string
}

func (c *inputCheck) fail(path, shown, constraint string) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s", shown, path, constraint))
	}
}

func (c *inputCheck) wrongType(path string, v any, want string) any {
	if c.mistyped == "" {
		if path == "" {
			path = "the request"
		}
		c.mistyped = fmt.Sprintf("%s is %s and should be %s.", path, typeName(v), want)
	}
	return nil
}

func typeName(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "text"
	case json.Number:
		return "a number"
	case bool:
		return "a Boolean"
	}
	return "null"
}

func (c *inputCheck) value(shape *apimodel.Shape, v any, path string) any {
	switch shape.Type {
	case apimodel.Structure:
		m, ok := v.(map[string]any)
		if !ok {
			return c.wrongType(path, v, "an object")
		}
		return c.structure(shape, m, path)
	case apimodel.Map:
		m, ok := v.(map[string]any)
		if !ok {
			return c.wrongType(path, v, "an object")
		}
		return c.mapping(shape, m, path)
	case apimodel.List:
		l, ok := v.([]any)
		if !ok {
			return c.wrongType(path, v, "a list")
		}
		return c.list(shape, l, path)
	case apimodel.Integer, apimodel.Long:
		return c.integer(shape, v, path)
	case apimodel.Timestamp:
		return c.timestamp(v, path)
	case apimodel.Boolean:
		if _, ok := v.(bool); !ok {
			return c.wrongType(path, v, "a Boolean")
		}
		return v
	default:
		s, ok := v.(string)
		if !ok {
			return c.wrongType(path, v, "text")
		}
		return c.text(shape, s, path)
	}
}

func (c *inputCheck) structure(shape *apimodel.Shape, m map[string]any, path string) any {
	out := make(map[string]any, len(m))
	for _, member := range shape.Members {
		at := join(path, lowerFirst(member.Name))
		v, ok := m[member.Name]
		if !ok || v == nil {
			if shape.Requires(member.Name) {
				c.fail(at, "null", "Member must not be null")
			}
			continue
		}
		out[member.Name] = c.value(member.Shape, v, at)
	}
	return out
}

func (c *inputCheck) mapping(shape *apimodel.Shape, m map[string]any, path string) any {
	c.size(shape, len(m), path, "a map of "+strconv.Itoa(len(m)))
	if c.over(shape, len(m)) {
		return nil
	}
	for key, v := range m {
		c.text(shape.Key.Shape, key, path+".key")
		if v == nil {
			c.fail(path+"."+Clip(key), "null", "Member must not be null")
			continue
		}
		m[key] = c.value(shape.Value.Shape, v, path+"."+Clip(key)+".member")
	}
	return m
}

func (c *inputCheck) list(shape *apimodel.Shape, l []any, path string) any {
	c.size(shape, len(l), path, "a list of "+strconv.Itoa(len(l)))
	if c.over(shape, len(l)) {
		return nil
	}
	for i, v := range l {
		at := fmt.Sprintf("%s.%d.member", path, i+1)
		if v == nil {
			c.fail(at, "null", "Member must not be null")
			continue
		}
		l[i] = c.value(shape.Elem.Shape, v, at)
	}
	return l
}

// over reports whether n is more than shape allows: then nothing below is looked
// at.
func (c *inputCheck) over(shape *apimodel.Shape, n int) bool {
	most, err := strconv.Atoi(shape.Max)
	return err == nil && n > most
}

func (c *inputCheck) size(shape *apimodel.Shape, n int, path, shown string) {
	if least, err := strconv.Atoi(shape.Min); err == nil && n < least {
		c.fail(path, "'"+shown+"'", fmt.Sprintf("Member must have length greater than or equal to %d", least))
	}
	if c.over(shape, n) {
		c.fail(path, "'"+shown+"'", "Member must have length less than or equal to "+shape.Max)
	}
}

func (c *inputCheck) integer(shape *apimodel.Shape, v any, path string) any {
	number, ok := v.(json.Number)
	if !ok {
		return c.wrongType(path, v, "a whole number")
	}
	n, err := number.Int64()
	if err != nil {
		return c.wrongType(path, v, "a whole number")
	}
	if least, err := strconv.ParseInt(shape.Min, 10, 64); err == nil && n < least {
		c.fail(path, "'"+number.String()+"'", fmt.Sprintf("Member must have value greater than or equal to %d", least))
	}
	if most, err := strconv.ParseInt(shape.Max, 10, 64); err == nil && n > most {
		c.fail(path, "'"+number.String()+"'", fmt.Sprintf("Member must have value less than or equal to %d", most))
	}
	return number
}

// maxSeconds is the end of the year 9999.
const maxSeconds = 253_402_300_799

// timestamp takes seconds since 1970, as AWS JSON has times, and the text that people
// write.
func (c *inputCheck) timestamp(v any, path string) any {
	switch v := v.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && f >= 0 && f <= maxSeconds {
			return v
		}
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil && at.Unix() >= 0 {
			return json.Number(strconv.FormatInt(at.Unix(), 10))
		}
	}
	return c.wrongType(path, v, "a time, in seconds since 1970")
}

func (c *inputCheck) text(shape *apimodel.Shape, s, path string) any {
	shown := "'" + Clip(s) + "'"
	if shape.Sensitive {
		shown = "'[redacted]'" // An error must not repeat it to whoever keeps a log.
	}
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		c.fail(path, "''", "Member must be text without zero characters")
		return s
	}
	n := utf8.RuneCountInString(s)
	if least, err := strconv.Atoi(shape.Min); err == nil && n < least {
		c.fail(path, shown, fmt.Sprintf("Member must have length greater than or equal to %d", least))
	}
	if c.over(shape, n) {
		c.fail(path, shown, "Member must have length less than or equal to "+shape.Max)
		return s
	}
	if !c.patterns.match(shape.Pattern, s) {
		c.fail(path, shown, "Member must satisfy regular expression pattern: "+shape.Pattern)
	}
	if len(shape.Enum) > 0 && !slices.Contains(shape.Enum, s) {
		c.fail(path, shown, "Member must satisfy enum value set: ["+strings.Join(shape.Enum, ", ")+"]")
	}
	return s
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
