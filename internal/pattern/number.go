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

// decimal is a number as 0.whole * 10^exponent, whole without zeros at either end, n its
// digits. Two literals denote the same number exactly when their decimals are equal.
type decimal struct {
	negative bool
	n        int
	whole    uint64
	exponent int
}

// tens are the powers of ten that zeros between digits may be.
var tens = [maxDigits]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16}

// decimalOf reads a literal, false when it has more digits than a double can mean.
func decimalOf[T string | []byte](text T) (decimal, bool) {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	n, zeros, exponent, whole, fraction := 0, 0, 0, uint64(0), false
	for i := range len(text) {
		c := text[i]
		if c == '.' {
			fraction = true
			continue
		}
		if c == 'e' || c == 'E' {
			exponent += exponentOf(text[i+1:])
			break
		}
		if c == '0' && n == 0 {
			if fraction {
				exponent--
			}
			continue
		}
		if !fraction {
			exponent++
		}
		if c == '0' {
			zeros++
			continue
		}
		if n+zeros >= maxDigits {
			return decimal{}, false
		}
		if zeros > 0 {
			whole *= tens[zeros]
			n += zeros
			zeros = 0
		}
		whole = whole*10 + uint64(c-'0')
		n++
	}
	if n == 0 {
		return decimal{}, true // -0 is 0
	}
	return decimal{negative, n, whole, exponent}, true
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
	f := float64(d.whole)
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
