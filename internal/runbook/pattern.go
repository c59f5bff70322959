package runbook

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/dlclark/regexp2"
)

// Limits of an allowedPattern.
const (
	maxPattern = 4096
	// maxSlowValue bounds the values that the backtracking engine is given, in bytes.
	maxSlowValue = 16_384
	// patternTime bounds one match of the backtracking engine, which takes
	// exponential time on some patterns.
	patternTime = 250 * time.Millisecond
)

// valuePattern is an allowedPattern: a Java regular expression that must match
// the whole value, as Java's Matcher.matches does.
type valuePattern struct {
	fast *regexp.Regexp
	slow *regexp2.Regexp // where Go's engine has not what the pattern needs
}

// compilePattern translates a Java regular expression and compiles it for Go's
// engine, which takes linear time, and where that does not do (look-around,
// back-references, atomic groups, repetitions above 1,000; all found in published
// documents) for a backtracking one with a time limit.
func compilePattern(pattern string) (valuePattern, error) {
	t, err := translatePattern(pattern)
	if err != nil {
		return valuePattern{}, fmt.Errorf("the pattern cannot be evaluated: %w", err)
	}
	whole := `\A(?:` + t.text + `)\z`
	if !t.backtracks {
		if re, err := regexp.Compile(whole); err == nil {
			return valuePattern{fast: re}, nil
		}
	}
	re, err := compileSlow(whole)
	if err != nil {
		return valuePattern{}, fmt.Errorf("the pattern cannot be evaluated: %w", err)
	}
	return valuePattern{slow: re}, nil
}

func compileSlow(whole string) (*regexp2.Regexp, error) {
	re, err := regexp2.Compile(whole, regexp2.None)
	if err != nil {
		return nil, err
	}
	re.MatchTimeout = patternTime
	return re, nil
}

func (v valuePattern) match(text string) (bool, error) {
	if v.fast != nil {
		return v.fast.MatchString(text), nil
	}
	if len(text) > maxSlowValue {
		return false, fmt.Errorf("a value of more than %d bytes is too long for the pattern", maxSlowValue)
	}
	ok, err := v.slow.MatchString(text)
	if err != nil {
		// The engine's own message repeats the value.
		return false, errors.New("the pattern takes too long on this value")
	}
	return ok, nil
}
