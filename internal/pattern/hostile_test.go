package pattern_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
)

// TestHostileInputIsBounded are the quadratic and exponential traps. A bound on
// the wall time would be luck; the limit here only tells minutes from moments.
func TestHostileInputIsBounded(t *testing.T) {
	t.Parallel()
	rows := func(n int, row func(i int) string) string {
		out := make([]string, n)
		for i := range out {
			out[i] = row(i)
		}
		return strings.Join(out, ",")
	}
	for name, tc := range map[string]struct {
		pattern, event string
		want           bool
		exhausted      bool
	}{
		"sixteen stars": {
			pattern: `{"x":[{"wildcard":"` + strings.Repeat("*a", 16) + `b"}]}`,
			event:   `{"x":"` + strings.Repeat("a", 1_000_000) + `"}`,
		},
		"3000 elements, last fits": {
			pattern: `{"d":{"a":[1],"b":[2],"c":[3]}}`,
			event:   `{"d":[` + rows(3000, func(i int) string { return `{"a":1,"b":2,"c":` + fmt.Sprint(i/2999*3) + `}` }) + `]}`,
			want:    true,
		},
		"3000 elements, none fits": {
			pattern: `{"d":{"a":[1],"b":[2]}}`,
			event:   `{"d":[` + rows(3000, func(i int) string { return [2]string{`{"a":1}`, `{"b":2}`}[i%2] }) + `]}`,
		},
		"sibling arrays": {
			pattern: `{"d":{"a":[1]},"e":{"a":[1]},"f":{"a":[1]},"g":{"a":[2]}}`,
			event: `{"d":[` + rows(3000, func(int) string { return `{"a":1}` }) + `],"e":[` + rows(3000, func(int) string { return `{"a":1}` }) +
				`],"f":[` + rows(3000, func(int) string { return `{"a":1}` }) + `],"g":[{"a":2}]}`,
			want: true,
		},
		// Paths that share an array are neighbours in the order of paths, unless
		// a key is repeated.
		"crossed arrays": {
			pattern: `{"a":{"p":[1],"q":[1],"r":[1],"s":[2]}}`,
			event: `{"a":[` + rows(3000, func(int) string { return `{"p":1,"r":1}` }) + `],"a":[` +
				rows(3000, func(int) string { return `{"q":1,"s":1}` }) + `],"a":[{"s":2,"p":3},{"q":2}]}`,
			exhausted: true,
		},
		"deep arrays": {
			pattern: `{"d":{"a":[1],"b":[{"exists":false}],"c":[2]}}`,
			event:   `{"d":` + strings.Repeat("[", 900) + rows(3000, func(int) string { return `{"a":1,"b":1,"c":2}` }) + strings.Repeat("]", 900) + `}`,

			exhausted: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			got, err := parse(t, tc.pattern).Match([]byte(tc.event))
			if tc.exhausted && !fault.Is(err, fault.Exhausted) || !tc.exhausted && err != nil {
				t.Errorf("error is %v", err)
			}
			if got != tc.want {
				t.Errorf("match is %v, want %v", got, tc.want)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %s", took)
			} else {
				t.Logf("took %s", took)
			}
		})
	}
}

func TestLongPathsDoNotMultiply(t *testing.T) {
	t.Parallel()
	event := strings.Repeat(`{"`+strings.Repeat("k", 500)+`":`, 900) + `{` + fields(40_000)[1:]
	event = strings.Replace(event, `{f0"`, `{"f0"`, 1) + strings.Repeat("}", 901)
	if _, err := pattern.ParseEvent([]byte(event)); err != nil {
		t.Fatal(err)
	}
}
