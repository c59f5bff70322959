package apimodel

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// The values of Smithy's rules engine and its functions, as botocore has them
// (endpoint_provider.py): where the two differ, botocore's behaviour is here.

type literal struct{ v any }

func (l literal) value(*scope) (any, error) { return l.v, nil }

type reference int

func (r reference) value(s *scope) (any, error) { return s.vars[r], nil }

// textTemplate is text with values in between; the last part has none.
type textTemplate []templatePart

type templatePart struct {
	before string
	value  expression
	path   []string
}

func (t textTemplate) value(s *scope) (any, error) {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part.before)
		if part.value == nil {
			continue
		}
		v, err := part.value.value(s)
		if err != nil {
			return nil, err
		}
		for _, name := range part.path {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		text, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("endpoint rules: a template holds %T, not a text", v)
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

type functionCall struct {
	name string
	fn   func(s *scope, args []any) (any, error)
	args []expression
}

func (c *functionCall) value(s *scope) (any, error) {
	args := make([]any, len(c.args))
	for i, x := range c.args {
		var err error
		if args[i], err = x.value(s); err != nil {
			return nil, err
		}
	}
	v, err := c.fn(s, args)
	if err != nil {
		return nil, fmt.Errorf("endpoint rules: %s: %w", c.name, err)
	}
	return v, nil
}

type ruleFunction struct {
	arity int // -1 = one or more
	fn    func(s *scope, args []any) (any, error)
}

// ruleFunctions are all functions of the language.
var ruleFunctions = map[string]ruleFunction{
	"isSet":                         {1, func(_ *scope, a []any) (any, error) { return a[0] != nil, nil }},
	"not":                           {1, func(_ *scope, a []any) (any, error) { return a[0] == nil || a[0] == false, nil }},
	"coalesce":                      {-1, coalesce},
	"ite":                           {3, ifThenElse},
	"getAttr":                       {2, getAttr},
	"substring":                     {4, substring},
	"split":                         {3, split},
	"stringEquals":                  {2, equal[string]},
	"booleanEquals":                 {2, equal[bool]},
	"uriEncode":                     {1, uriEncode},
	"parseURL":                      {1, parseURL},
	"isValidHostLabel":              {2, isValidHostLabel},
	"aws.partition":                 {1, partitionOf},
	"aws.parseArn":                  {1, parseARN},
	"aws.isVirtualHostableS3Bucket": {2, isVirtualHostable},
}

func equal[T comparable](_ *scope, a []any) (any, error) {
	x, ok := a[0].(T)
	y, also := a[1].(T)
	if !ok || !also {
		return nil, fmt.Errorf("%T and %T cannot be compared", a[0], a[1])
	}
	return x == y, nil
}

func coalesce(_ *scope, a []any) (any, error) {
	for _, v := range a {
		if v != nil {
			return v, nil
		}
	}
	return nil, nil
}

func ifThenElse(_ *scope, a []any) (any, error) {
	if a[0] == true {
		return a[1], nil
	}
	return a[2], nil
}

// getAttr follows a path such as "resourceId[1]" or "url.authority". What is
// not there is not set.
func getAttr(_ *scope, a []any) (any, error) {
	v := a[0]
	where, ok := a[1].(string)
	if !ok {
		return nil, fmt.Errorf("a path is %T", a[1])
	}
	for part := range strings.SplitSeq(where, ".") {
		name, index, indexed := strings.Cut(part, "[")
		if name != "" {
			m, _ := v.(map[string]any)
			v = m[name]
		}
		if !indexed {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil {
			return nil, fmt.Errorf("path %q has no index", where)
		}
		list, _ := v.([]string)
		if n < 0 || n >= len(list) {
			return nil, nil
		}
		v = list[n]
	}
	return v, nil
}

// substring gives nothing for a text that is too short or not ASCII.
func substring(_ *scope, a []any) (any, error) {
	text, ok := a[0].(string)
	start, ok1 := a[1].(int)
	stop, ok2 := a[2].(int)
	reverse, ok3 := a[3].(bool)
	if !ok || !ok1 || !ok2 || !ok3 {
		return nil, fmt.Errorf("%T is not a text", a[0])
	}
	if start < 0 || start >= stop || len(text) < stop || !isASCII(text) {
		return nil, nil
	}
	if reverse {
		start, stop = len(text)-stop, len(text)-start
	}
	return text[start:stop], nil
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// split gives at most limit parts; 0 means all.
func split(_ *scope, a []any) (any, error) {
	text, ok := a[0].(string)
	delimiter, ok1 := a[1].(string)
	limit, ok2 := a[2].(int)
	if !ok || !ok1 || !ok2 || delimiter == "" {
		return nil, fmt.Errorf("%T cannot be split", a[0])
	}
	if limit <= 0 {
		limit = -1
	}
	return strings.SplitN(text, delimiter, limit), nil
}

func uriEncode(_ *scope, a []any) (any, error) {
	text, ok := a[0].(string)
	if !ok {
		return nil, nil
	}
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String(), nil
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

var ipv4 = regexp.MustCompile(`^(?:[0-9]{1,3}\.){3}[0-9]{1,3}$`)

// parseURL gives nothing for what is no URL, has a query or is not HTTP.
func parseURL(_ *scope, a []any) (any, error) {
	text, ok := a[0].(string)
	if !ok {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" {
		return nil, nil //nolint:nilerr // what is no URL is not set, and no fault of the rules
	}
	normalized := u.EscapedPath()
	if normalized != "" {
		normalized = path.Clean(normalized)
	}
	if !strings.HasSuffix(normalized, "/") {
		normalized += "/"
	}
	_, err = netip.ParseAddr(u.Hostname())
	return map[string]any{
		"scheme": u.Scheme, "authority": u.Host, "path": u.EscapedPath(), "normalizedPath": normalized,
		"isIp": err == nil || ipv4.MatchString(u.Hostname()),
	}, nil
}

func isValidHostLabel(_ *scope, a []any) (any, error) {
	text, ok := a[0].(string)
	dots, _ := a[1].(bool)
	return ok && isHostLabel(text, dots), nil
}

// isHostLabel reports whether text can be a label of a host name, or several of
// them with dots in between.
func isHostLabel(text string, dots bool) bool {
	if dots {
		for label := range strings.SplitSeq(text, ".") {
			if !isHostLabel(label, false) {
				return false
			}
		}
		return true
	}
	if text == "" || len(text) > 63 || text[0] == '-' || text[len(text)-1] == '-' {
		return false
	}
	for i := range len(text) {
		if c := text[i]; c != '-' && (!isUnreserved(c) || c == '.' || c == '_' || c == '~') {
			return false
		}
	}
	return true
}

func isVirtualHostable(s *scope, a []any) (any, error) {
	text, _ := a[0].(string)
	if len(text) < 3 || strings.ToLower(text) != text || ipv4.MatchString(text) {
		return false, nil
	}
	return isValidHostLabel(s, a)
}

func partitionOf(s *scope, a []any) (any, error) {
	region, _ := a[0].(string)
	p := s.partitions.of(region)
	if p == nil {
		return nil, nil
	}
	return p.outputs, nil
}

func parseARN(_ *scope, a []any) (any, error) {
	text, _ := a[0].(string)
	parts := strings.SplitN(text, ":", 6)
	if len(parts) < 6 || parts[0] != "arn" || parts[1] == "" || parts[2] == "" || parts[5] == "" {
		return nil, nil
	}
	return map[string]any{
		"partition": parts[1], "service": parts[2], "region": parts[3], "accountId": parts[4],
		"resourceId": strings.Split(strings.ReplaceAll(parts[5], ":", "/"), "/"),
	}, nil
}
