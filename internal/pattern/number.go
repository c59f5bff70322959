package pattern

import "strconv"

// number is a JSON number as patterns compare it. Only a literal that a double
// holds exactly, in the sense of its shortest decimal form, takes part in
// numeric comparison: 0.1 does, 0.10000000000000001 and 9007199254740993 do not.
type number struct {
	f     float64
	exact bool
}

// What a double holds: as many digits always, and the powers of ten that are
// doubles themselves.
const (
	sureDigits = 15
	maxDigits  = 17 // no shortest form has more
)

var powersOfTen = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseNumber reads a literal of JSON's grammar.
func parseNumber(text string) number {
	d, ok := decimalOf(text)
	if !ok {
		return number{}
	}
	if d.n == 0 {
		return number{exact: true}
	}
	if f, ok := d.short(); ok {
		return number{f: f, exact: true}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return number{} // out of range
	}
	var buf [32]byte
	short, _ := decimalOf(strconv.AppendFloat(buf[:0], f, 'e', -1, 64))
	return number{f: f, exact: d == short}
}

// decimal is a number as 0.digits * 10^exponent, digits without zeros at either
// end. Two literals denote the same number exactly when their decimals are equal.
type decimal struct {
	negative bool
	n        int
	digits   [maxDigits]byte
	exponent int
}

// decimalOf reads a literal, false when it has more digits than a double can mean.
func decimalOf[T string | []byte](text T) (d decimal, ok bool) {
	if text[0] == '-' {
		d.negative, text = true, text[1:]
	}
	zeros, fraction := 0, false
	for i := range len(text) {
		c := text[i]
		if c == '.' {
			fraction = true
			continue
		}
		if c == 'e' || c == 'E' {
			d.exponent += exponentOf(text[i+1:])
			break
		}
		if c == '0' && d.n == 0 {
			if fraction {
				d.exponent--
			}
			continue
		}
		if !fraction {
			d.exponent++
		}
		if c == '0' {
			zeros++
			continue
		}
		if d.n+zeros >= maxDigits {
			return d, false
		}
		for ; zeros > 0; zeros-- {
			d.digits[d.n] = '0'
			d.n++
		}
		d.digits[d.n] = c
		d.n++
	}
	if d.n == 0 {
		return decimal{}, true // -0 is 0
	}
	return d, true
}

// exponentOf reads an exponent. One that is cut off belongs to what ParseFloat
// refuses or rounds to zero, or to a zero, which has none.
func exponentOf[T string | []byte](text T) int {
	e, sign := 0, 1
	for i := range len(text) {
		switch c := text[i]; {
		case c == '-':
			sign = -1
		case c != '+' && e < 1<<30:
			e = e*10 + int(c-'0')
		}
	}
	return sign * e
}

// short gives the double when one operation on two doubles does, which rounds
// once and so right.
func (d *decimal) short() (float64, bool) {
	e := d.exponent - d.n
	if d.n > sureDigits || e < -22 || e > 22 {
		return 0, false
	}
	var whole int64
	for _, c := range d.digits[:d.n] {
		whole = whole*10 + int64(c-'0')
	}
	f := float64(whole)
	if e < 0 {
		f /= powersOfTen[-e]
	} else {
		f *= powersOfTen[e]
	}
	if d.negative {
		f = -f
	}
	return f, true
}
