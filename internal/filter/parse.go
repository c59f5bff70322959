package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// The limits of a filter.
const (
	MaxBytes  = 256 * 1024
	MaxFields = 10 // of one GetFindings request
	MaxValues = 20 // of one field
	// maxDays keeps a relative range within what a time can hold.
	maxDays = 36500
)

// Parse reads the Filters of GetFindings. The error names the place:
// "Filters.SeverityLabel[0].Comparison: ...".
func Parse(raw []byte) (Filter, error) { return parse(raw, reader{path: "Filters"}) }

// ParseCriteria reads the Criteria of an automation rule: fewer fields, more
// values, CONTAINS and NOT_CONTAINS allowed, at least one criterion.
func ParseCriteria(raw []byte) (Filter, error) {
	return parse(raw, reader{path: "Criteria", rule: true})
}

type reader struct {
	path string
	rule bool
	ocsf bool
}

func refuse(path, format string, args ...any) error {
	return fault.Errorf(fault.Invalid, "", "%s: %w", path, fmt.Errorf(format, args...))
}

func parse(raw []byte, r reader) (Filter, error) {
	if len(raw) > MaxBytes {
		return Filter{}, refuse(r.path, "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	}
	var lists map[string][]json.RawMessage
	if err := json.Unmarshal(raw, &lists); err != nil {
		return Filter{}, refuse(r.path, "should be an object of lists: %w", err)
	}
	var out Filter
	for _, name := range slices.Sorted(maps.Keys(lists)) {
		field, ok := FieldNamed(name)
		if !ok {
			return Filter{}, refuse(r.path+"."+clip(name), "there is no such field")
		}
		if len(lists[name]) == 0 && !r.rule {
			continue // AWS's clients send empty lists for what is not asked.
		}
		c, err := r.criterion(field, lists[name])
		if err != nil {
			return Filter{}, err
		}
		out.Criteria = append(out.Criteria, c)
	}
	switch {
	case r.rule && len(out.Criteria) == 0:
		return Filter{}, refuse(r.path, "at least one criterion is needed")
	case !r.rule && len(out.Criteria) > MaxFields:
		return Filter{}, refuse(r.path, "%d fields are more than the limit of %d", len(out.Criteria), MaxFields)
	}
	return out, nil
}

func (r reader) criterion(field Field, items []json.RawMessage) (Criterion, error) {
	path := r.path + "." + field.Name
	most := MaxValues
	if r.rule {
		most = field.RuleMax
	}
	switch {
	case most == 0:
		return Criterion{}, refuse(path, "an automation rule cannot use this field")
	case len(items) == 0:
		return Criterion{}, refuse(path, "at least one value is needed")
	case len(items) > most:
		return Criterion{}, refuse(path, "%d values are more than the limit of %d", len(items), most)
	}
	c := Criterion{Field: field}
	for i, item := range items {
		if err := r.test(&c, item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
			return Criterion{}, err
		}
	}
	return c, checkMix(c, path)
}

// test reads one item of the list of c's kind.
func (r reader) test(c *Criterion, raw json.RawMessage, path string) error {
	var err error
	switch c.Field.Kind {
	case String:
		c.Strings, err = add(c.Strings, raw, path, r.checkString)
	case Map:
		c.Maps, err = add(c.Maps, raw, path, r.checkMap)
	case Number:
		c.Numbers, err = add(c.Numbers, raw, path, checkNumber)
	case Date:
		c.Dates, err = add(c.Dates, raw, path, checkDate)
	case IP:
		c.IPs, err = add(c.IPs, raw, path, checkIP)
	case Keyword:
		c.Keywords, err = add(c.Keywords, raw, path, func(t *KeywordTest, path string) error {
			return nonBlank(t.Value, path+".Value")
		})
	case Boolean:
		c.Booleans, err = add(c.Booleans, raw, path, func(*BooleanTest, string) error { return nil })
	}
	return err
}

func add[T any](list []T, raw json.RawMessage, path string, check func(*T, string) error) ([]T, error) {
	var t T
	if err := strict(raw, &t); err != nil {
		return nil, refuse(path, "%w", err)
	}
	if err := check(&t, path); err != nil {
		return nil, err
	}
	return append(list, t), nil
}

// strict decodes one object and refuses unknown members, since a test that is
// misspelt would otherwise be a test that is not made.
func strict(raw json.RawMessage, v any) error {
	if len(raw) == 0 || raw[0] != '{' {
		return errors.New("should be object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the value")
	}
	return nil
}

func nonBlank(s, path string) error {
	if strings.TrimSpace(s) == "" {
		return refuse(path, "a value that is not blank is needed")
	}
	return nil
}

func (r reader) checkString(t *StringTest, path string) error {
	if err := nonBlank(t.Value, path+".Value"); err != nil {
		return err
	}
	if r.ocsf {
		return r.checkOCSF(t.Comparison, path)
	}
	return r.checkComparison(t.Comparison, path, Equals, Prefix, NotEquals, PrefixNotEquals, Contains, NotContains)
}

func (r reader) checkMap(t *MapTest, path string) error {
	if err := nonBlank(t.Key, path+".Key"); err != nil {
		return err
	}
	if err := nonBlank(t.Value, path+".Value"); err != nil {
		return err
	}
	return r.checkComparison(t.Comparison, path, Equals, NotEquals, Contains, NotContains)
}

func (r reader) checkComparison(c Comparison, path string, allowed ...Comparison) error {
	path += ".Comparison"
	switch {
	case c == ContainsWord:
		return refuse(path, "CONTAINS_WORD works in GetFindingsV2 only")
	case !slices.Contains(allowed, c):
		return refuse(path, "should be one of %v", allowed)
	case !r.rule && (c == Contains || c == NotContains):
		return refuse(path, "%s works in automation rules only", c)
	}
	return nil
}

// checkOCSF holds a comparison to what AWS says of each: CONTAINS works in rules,
// CONTAINS_WORD in queries, NOT_CONTAINS in neither.
func (r reader) checkOCSF(c Comparison, path string) error {
	path += ".Comparison"
	if c == Contains && !r.rule {
		return refuse(path, "CONTAINS works in automation rules only; use CONTAINS_WORD")
	}
	if c == ContainsWord && r.rule {
		return refuse(path, "CONTAINS_WORD works in GetFindingsV2 only")
	}
	allowed := []Comparison{Equals, Prefix, NotEquals, PrefixNotEquals, ContainsWord}
	if r.rule {
		allowed[4] = Contains
	}
	if !slices.Contains(allowed, c) {
		return refuse(path, "should be one of %v", allowed)
	}
	return nil
}

func checkNumber(t *NumberTest, path string) error {
	n := 0
	for _, v := range []*float64{t.Gte, t.Lte, t.Eq, t.Gt, t.Lt} {
		if v == nil {
			continue
		}
		n++
		if math.IsNaN(*v) || math.IsInf(*v, 0) {
			return refuse(path, "should be a finite number")
		}
	}
	if n == 0 {
		return refuse(path, "at least one of Eq, Gt, Gte, Lt, Lte is needed")
	}
	return nil
}

func checkDate(t *DateTest, path string) error {
	if t.Range != nil {
		return checkRange(t, path)
	}
	if t.Start == "" && t.End == "" {
		return refuse(path, "Start, End or DateRange is needed")
	}
	var err error
	if t.Start != "" {
		if t.start, err = finding.ParseTime(t.Start); err != nil {
			return refuse(path+".Start", "%w", err)
		}
	}
	if t.End != "" {
		if t.end, err = finding.ParseTime(t.End); err != nil {
			return refuse(path+".End", "%w", err)
		}
	}
	return nil
}

func checkRange(t *DateTest, path string) error {
	switch {
	case t.Start != "" || t.End != "":
		return refuse(path, "DateRange cannot stand beside Start or End")
	case t.Range.Unit != "DAYS":
		return refuse(path+".DateRange.Unit", "should be DAYS")
	case t.Range.Value < 1 || t.Range.Value > maxDays:
		return refuse(path+".DateRange.Value", "should be 1 to %d", maxDays)
	}
	switch t.Range.Comparison {
	case "", Within, OlderThan:
		return nil
	}
	return refuse(path+".DateRange.Comparison", "should be WITHIN or OLDER_THAN")
}

func checkIP(t *IPTest, path string) error {
	p, err := netip.ParsePrefix(t.Cidr)
	if err != nil {
		// A single address is a network of one.
		a, err := netip.ParseAddr(t.Cidr)
		if err != nil || a.Zone() != "" {
			return refuse(path+".Cidr", "should be an address or a network such as 10.0.0.0/8")
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	t.prefix = p.Masked()
	return nil
}

// checkMix refuses the comparisons that AWS does not let stand together on one
// field (spec/securityhub.md 2.2).
func checkMix(c Criterion, path string) error {
	has := map[Comparison]bool{}
	for _, t := range c.Strings {
		has[t.Comparison] = true
	}
	for _, t := range c.Maps {
		has[t.Comparison] = true
	}
	switch {
	case has[Equals] && (has[NotEquals] || has[PrefixNotEquals]):
		return refuse(path, "EQUALS cannot stand beside NOT_EQUALS or PREFIX_NOT_EQUALS on one field")
	case has[Contains] && len(has) > 1:
		return refuse(path, "CONTAINS can stand beside CONTAINS only")
	case has[NotContains] && len(has) > 1:
		return refuse(path, "NOT_CONTAINS can stand beside NOT_CONTAINS only")
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return strings.ToValidUTF8(s[:64], "") + "…"
	}
	return s
}
