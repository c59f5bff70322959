package pattern

import (
	"strconv"
	"strings"
)

// number is a JSON number as patterns compare it. Only a literal that a double
// holds exactly, in the sense of its shortest decimal form, takes part in
// numeric comparison: 0.1 does, 0.10000000000000001 and 9007199254740993 do not.
type number struct {
	f     float64
	exact bool
}

// parseNumber reads a literal of JSON's grammar.
func parseNumber(text string) number {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return number{} // out of range
	}
	if isShortInteger(text) {
		return number{f: f, exact: true}
	}
	var buf [32]byte
	short := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	if decimalOf(text) != decimalOf(string(short)) {
		return number{}
	}
	if f == 0 {
		f = 0 // -0 is 0
	}
	return number{f: f, exact: true}
}

// isShortInteger reports whether text is a plain integer that no rounding can
// touch.
func isShortInteger(text string) bool {
	if len(text) > 15 || text[0] == '-' {
		return false
	}
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// decimal is a number as 0.digits * 10^exponent, digits without zeros at either
// end. Two literals denote the same number exactly when their decimals are equal.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

func decimalOf(text string) decimal {
	var d decimal
	if strings.HasPrefix(text, "-") {
		d.negative, text = true, text[1:]
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		// ParseFloat has bounded what matters; an exponent beyond int belongs to
		// a zero, whose exponent is dropped below.
		d.exponent, _ = strconv.Atoi(strings.TrimPrefix(text[i+1:], "+"))
		text = text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole + fraction
	d.exponent += len(whole)
	trimmed := strings.TrimLeft(digits, "0")
	d.exponent -= len(digits) - len(trimmed)
	d.digits = strings.TrimRight(trimmed, "0")
	if d.digits == "" {
		return decimal{}
	}
	return d
}
