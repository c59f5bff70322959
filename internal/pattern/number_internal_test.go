package pattern

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestNumbersAgreeWithStrconv compares with the definition: a literal is exact when
// the shortest text of its double denotes the same number.
func TestNumbersAgreeWithStrconv(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 5))
	for range 200_000 {
		text := strconv.FormatInt(r.Int64N(1<<uint(1+r.IntN(62))), 10)
		if r.IntN(2) == 0 {
			text += "." + fmt.Sprintf("%0*d", 1+r.IntN(18), r.Int64N(1<<uint(1+r.IntN(40))))
		}
		if r.IntN(3) == 0 {
			text += "e" + strconv.Itoa(r.IntN(50)-25)
		}
		if r.IntN(3) == 0 {
			text = "-" + text
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := parseNumber(text)
		if got.exact && got.f != f {
			t.Fatalf("%s is %v, want %v", text, got.f, f)
		}
		a, sure := decimalOf(text)
		b, _ := decimalOf(strconv.FormatFloat(f, 'e', -1, 64))
		if want := sure && a == b; got.exact != want {
			t.Fatalf("%s exact is %v, want %v", text, got.exact, want)
		}
	}
}
