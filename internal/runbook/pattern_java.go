package runbook

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Bounds of what a pattern may hold; within them every pattern compiles to a
// program of reasonable size.
const (
	maxPatternDepth  = 32
	maxPatternRepeat = 100_000
)

// lineEnds are the characters that Java's dot leaves out, for a class.
const lineEnds = `\n\r` + "\u0085\u2028\u2029"

// translation is a pattern in the syntax that Go's regexp and regexp2 share.
type translation struct {
	text string
	// backtracks says that only a backtracking engine has what it needs.
	backtracks bool
}

// translatePattern reads the syntax of java.util.regex.Pattern. What the two
// engines would read in another way than Java is written out: the dot, the
// classes \d \s \w, POSIX names, quoting, unions and intersections of classes,
// possessive repetitions, named groups.
func translatePattern(pattern string) (translation, error) {
	if len(pattern) > maxPattern {
		return translation{}, fmt.Errorf("it has more than %d characters", maxPattern)
	}
	p := &patternParser{text: []rune(pattern), names: map[string]int{}}
	out, err := p.alternatives()
	if err == nil && p.at < len(p.text) {
		err = p.errorf("a parenthesis is closed that is not open")
	}
	return translation{text: out, backtracks: p.backtracks}, err
}

type patternParser struct {
	text       []rune
	at         int
	depth      int
	backtracks bool
	dotAll     bool
	multiline  bool
	groups     int
	names      map[string]int
}

func (p *patternParser) errorf(format string, args ...any) error {
	return fmt.Errorf("at character %d: %s", p.at+1, fmt.Sprintf(format, args...))
}

// peek gives the character n places ahead, or -1 behind the end.
func (p *patternParser) peek(n int) rune {
	if p.at+n < len(p.text) {
		return p.text[p.at+n]
	}
	return -1
}

func (p *patternParser) take(token string) bool {
	for i, r := range []rune(token) {
		if p.peek(i) != r {
			return false
		}
	}
	p.at += len([]rune(token))
	return true
}

func (p *patternParser) alternatives() (string, error) {
	if p.depth++; p.depth > maxPatternDepth {
		return "", p.errorf("groups are nested more than %d deep", maxPatternDepth)
	}
	dotAll, multiline := p.dotAll, p.multiline
	defer func() { p.depth--; p.dotAll, p.multiline = dotAll, multiline }()
	var b strings.Builder
	for p.at < len(p.text) && p.peek(0) != ')' {
		if p.take("|") {
			b.WriteByte('|')
			continue
		}
		atom, repeatable, err := p.atom()
		if err != nil {
			return "", err
		}
		if repeatable {
			if atom, err = p.repeated(atom); err != nil {
				return "", err
			}
		}
		b.WriteString(atom)
	}
	return b.String(), nil
}

// atom reads one unit; flags and empty quotes cannot be repeated.
func (p *patternParser) atom() (out string, repeatable bool, err error) {
	r := p.peek(0)
	switch r {
	case '(':
		p.at++
		return p.group()
	case '[':
		p.at++
		out, err = p.class()
		return out, true, err
	case '.':
		p.at++
		if p.dotAll {
			return `[\s\S]`, true, nil
		}
		return "[^" + lineEnds + "]", true, nil
	case '^', '$':
		p.at++
		if r == '$' && !p.multiline {
			// The whole value is matched, so that nothing can follow.
			return `\z`, true, nil
		}
		return string(r), true, nil
	case '\\':
		p.at++
		return p.escape()
	case '*', '+', '?', '{':
		return "", false, p.errorf("there is nothing that %q could repeat", r)
	}
	p.at++
	return quoteRune(r), true, nil
}

// quoteRune writes a character so that both engines read it as itself.
func quoteRune(r rune) string {
	if r < ' ' || r == 0x7f {
		return fmt.Sprintf(`\x%02X`, r)
	}
	if strings.ContainsRune(`\.+*?()|[]{}^$-&`, r) {
		return `\` + string(r)
	}
	return string(r)
}

// repeated reads the repetition that follows atom, if any.
func (p *patternParser) repeated(atom string) (string, error) {
	var count string
	switch p.peek(0) {
	case '*', '+', '?':
		count = string(p.peek(0))
		p.at++
	case '{':
		text, err := p.braces()
		if err != nil {
			return "", err
		}
		count = text
	default:
		return atom, nil
	}
	switch {
	case p.take("?"):
		return atom + count + "?", nil
	case p.take("+"):
		p.backtracks = true
		return "(?>" + atom + count + ")", nil
	}
	return atom + count, nil
}

// braces reads {2}, {2,} or {2,5}.
func (p *patternParser) braces() (string, error) {
	end := p.at
	for end < len(p.text) && p.text[end] != '}' {
		end++
	}
	inner := string(p.text[p.at+1 : min(end, len(p.text))])
	low, high, ranged := strings.Cut(inner, ",")
	least, err := strconv.Atoi(low)
	most := least
	if err == nil && ranged && high != "" {
		most, err = strconv.Atoi(high)
	}
	if end >= len(p.text) || err != nil || low[0] == '+' || least < 0 || most < least || most > maxPatternRepeat {
		return "", p.errorf("the repetition in braces is not {n}, {n,} or {n,m} with at most %d", maxPatternRepeat)
	}
	p.at = end + 1
	switch {
	case !ranged:
		return fmt.Sprintf("{%d}", least), nil
	case high == "":
		return fmt.Sprintf("{%d,}", least), nil
	}
	return fmt.Sprintf("{%d,%d}", least, most), nil
}

// group reads what follows an opening parenthesis.
func (p *patternParser) group() (out string, repeatable bool, err error) {
	open := "("
	if p.take("?") {
		switch {
		case p.take(":"):
			open = "(?:"
		case p.take("="), p.take("!"), p.take(">"):
			open = "(?" + string(p.text[p.at-1])
			p.backtracks = true
		case p.take("<="), p.take("<!"):
			open = "(?" + string(p.text[p.at-2:p.at])
			p.backtracks = true
		case p.take("<"):
			if err := p.groupName(); err != nil {
				return "", false, err
			}
		default:
			return p.flags()
		}
	}
	if open == "(" {
		p.groups++
	}
	inner, err := p.alternatives()
	if err != nil {
		return "", false, err
	}
	if !p.take(")") {
		return "", false, p.errorf("a parenthesis is not closed")
	}
	return open + inner + ")", true, nil
}

// groupName enters a named group under its number, because the engines number
// named groups in ways of their own.
func (p *patternParser) groupName() error {
	name, err := p.until('>')
	if err != nil {
		return err
	}
	if _, taken := p.names[name]; taken || !isName(name) || strings.Contains(name, "_") || name[0] <= '9' {
		return p.errorf("%.40q cannot name a group", name)
	}
	p.names[name] = p.groups + 1
	return nil
}

func (p *patternParser) until(end rune) (string, error) {
	for i := p.at; i < len(p.text); i++ {
		if p.text[i] == end {
			text := string(p.text[p.at:i])
			p.at = i + 1
			return text, nil
		}
	}
	return "", p.errorf("%q is missing", end)
}

// flags reads (?i), (?s-m) or (?i:...).
func (p *patternParser) flags() (out string, repeatable bool, err error) {
	dotAll, multiline := p.dotAll, p.multiline
	keep, on := "", true
	for ; ; p.at++ {
		switch r := p.peek(0); r {
		case '-':
			on = false
			keep += "-"
		case 'i', 'm':
			keep += string(r)
			p.multiline = r == 'm' && on || r != 'm' && p.multiline
		case 's':
			p.dotAll = on
		case ')', ':':
			p.at++
			keep = strings.TrimSuffix(keep, "-")
			if r == ')' {
				// The flag holds to the end of the group, whose dotAll alternatives restores.
				if keep == "" {
					return "", false, nil
				}
				return "(?" + keep + ")", false, nil
			}
			inner, err := p.alternatives()
			p.dotAll, p.multiline = dotAll, multiline
			if err == nil && !p.take(")") {
				err = p.errorf("a parenthesis is not closed")
			}
			return "(?" + keep + ":" + inner + ")", true, err
		default:
			return "", false, p.errorf("the flag or group is not supported")
		}
	}
}

// escape reads what follows a backslash outside a class.
func (p *patternParser) escape() (out string, repeatable bool, err error) {
	r := p.peek(0)
	switch {
	case r >= '1' && r <= '9':
		return p.backReference()
	case r == 'k':
		p.at++
		if !p.take("<") {
			return "", false, p.errorf(`\k needs the name of a group`)
		}
		name, err := p.until('>')
		n, ok := p.names[name]
		if err == nil && !ok {
			err = p.errorf("there is no group %.40q", name)
		}
		p.backtracks = true
		return fmt.Sprintf(`(?:\%d)`, n), true, err
	case r == 'b' || r == 'B' || r == 'A' || r == 'z':
		p.at++
		return `\` + string(r), true, nil
	case r == 'Z':
		p.at++
		p.backtracks = true
		return `(?=\n?\z)`, true, nil
	case r == 'R':
		p.at++
		return `(?:\r\n|[\v\f` + lineEnds + "])", true, nil
	case r == 'Q':
		p.at++
		return p.quoted()
	}
	set, err := p.classEscape()
	if err != nil {
		return "", false, err
	}
	return set.expression(p), true, nil
}

func (p *patternParser) backReference() (out string, repeatable bool, err error) {
	n := int(p.peek(0) - '0')
	p.at++
	for r := p.peek(0); r >= '0' && r <= '9' && n*10+int(r-'0') <= p.groups; r = p.peek(0) {
		n = n*10 + int(r-'0')
		p.at++
	}
	if n > p.groups {
		return "", false, p.errorf("there is no group %d", n)
	}
	p.backtracks = true
	return fmt.Sprintf(`(?:\%d)`, n), true, nil
}

// quoted reads \Q...\E; without \E it goes to the end.
func (p *patternParser) quoted() (out string, repeatable bool, err error) {
	rest := string(p.text[p.at:])
	inner, _, closed := strings.Cut(rest, `\E`)
	p.at += len([]rune(inner))
	if closed {
		p.at += 2
	}
	var b strings.Builder
	runes := []rune(inner)
	for i, r := range runes {
		q := quoteRune(r)
		if i == len(runes)-1 {
			// A repetition that follows is of the last character.
			if q, err = p.repeated(q); err != nil {
				return "", false, err
			}
		}
		b.WriteString(q)
	}
	return b.String(), false, nil
}

// asciiClasses are the POSIX and java.lang.Character names of \p{...} that have
// no other meaning in Unicode, as ranges.
var asciiClasses = map[string]string{
	"Lower": "a-z", "Upper": "A-Z", "ASCII": `\x00-\x7F`, "Alpha": "a-zA-Z", "Digit": "0-9", "Alnum": "a-zA-Z0-9",
	"Punct": `!-\/:-@\[-` + "`" + `{-~`, "Graph": "!-~", "Print": " -~", "Blank": ` \t`, "Cntrl": `\x00-\x1F\x7F`,
	"XDigit": "0-9a-fA-F", "Space": ` \t-\r`,
	"javaLowerCase": `\p{Ll}`, "javaUpperCase": `\p{Lu}`, "javaWhitespace": ` \t-\r\x1C-\x1F\p{Zs}\p{Zl}\p{Zp}`, "javaLetter": `\p{L}`,
	"javaLetterOrDigit": `\p{L}\p{Nd}`, "javaDigit": `\p{Nd}`, "javaAlphabetic": `\p{L}\p{Nl}`,
	"IsAlphabetic": `\p{L}\p{Nl}`, "IsLetter": `\p{L}`, "IsDigit": `\p{Nd}`, "IsLowercase": `\p{Ll}`, "IsUppercase": `\p{Lu}`,
	"IsPunctuation": `\p{P}`, "IsWhite_Space": "\u0085" + ` \t-\r\p{Zs}\p{Zl}\p{Zp}`,
}

// property reads the name after \p or \P and gives the ranges it stands for.
func (p *patternParser) property() (string, error) {
	name := string(p.peek(0))
	p.at++
	if name == "{" {
		var err error
		if name, err = p.until('}'); err != nil {
			return "", err
		}
	}
	if ranges, ok := asciiClasses[name]; ok {
		return ranges, nil
	}
	for _, prefix := range []string{"general_category=", "gc=", "script=", "sc=", "Is"} {
		if short, ok := strings.CutPrefix(name, prefix); ok && short != "" {
			name = short
			break
		}
	}
	_, category := unicode.Categories[name]
	_, script := unicode.Scripts[name]
	if !category && !script {
		return "", p.errorf("the property %.40q is not known", name)
	}
	return `\p{` + name + `}`, nil
}

// isHex reports whether every character is a hexadecimal digit.
func isHex(text string) bool {
	return text != "" && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}
