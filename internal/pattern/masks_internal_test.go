package pattern

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// slowMasks says byte by byte what masks are.
func slowMasks(s string) []masks {
	out := make([]masks, (len(s)+block-1)/block)
	inString, escaped := false, false
	for i := range len(s) {
		m, bit, c := &out[i/block], uint64(1)<<(i%block), s[i]
		if c == '\\' || c == '.' {
			m.odd |= bit
		}
		switch {
		case c == '"' && !escaped:
			m.quotes |= bit
			inString = !inString
		case !inString && (c == '{' || c == '['):
			m.open |= bit
		case !inString && (c == '}' || c == ']'):
			m.closed |= bit
		}
		escaped = c == '\\' && !escaped
	}
	return out
}

func checkMasks(t *testing.T, s string, step int) {
	t.Helper()
	want := slowMasks(s)
	for name, mask := range maskWays() {
		var got []masks
		var c carry
		for from := 0; from < len(s); from += block {
			var b [block]byte
			copy(b[:], s[from:])
			one := []masks{{}}
			mask(string(b[:]), one, &c)
			got = append(got, one[0])
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(masks{})); diff != "" && len(want) > 0 {
			t.Fatalf("%s, %q (-want +got)\n%s", name, s, diff)
		}
	}
	var got []masks
	var c carry
	for len(got) < len(want) {
		got = maskText(s, got, step, &c)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(masks{})); diff != "" && len(want) > 0 {
		t.Fatalf("by %d blocks, %q (-want +got)\n%s", step, s, diff)
	}
}

func TestMasks(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	alphabet := []byte("\"\"\\\\\\.{[}]a,: \x00\xff;")
	for range 3000 {
		s := make([]byte, r.IntN(400))
		for i := range s {
			s[i] = alphabet[r.IntN(len(alphabet))]
		}
		checkMasks(t, string(s), 1+r.IntN(4))
	}
}

func FuzzMasks(f *testing.F) {
	f.Add(`{"a\\":"\"","b.c":[{}]}`, 1)
	f.Fuzz(func(t *testing.T, s string, step int) { checkMasks(t, s, 1+step&7) })
}

func BenchmarkMasks(b *testing.B) {
	s := strings.Repeat(`{"Title":"a text of some \\"length\\"","n":[1.5,2]},          `, 80)[:4096]
	for name, mask := range maskWays() {
		out := [64]masks{}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4096)
			for b.Loop() {
				mask(s, out[:], &carry{})
			}
		})
	}
}
