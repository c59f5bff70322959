package runbook

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPatternsWithLookAround(t *testing.T) {
	t.Parallel()
	bucket := `(?=^.{3,63}$)(?!^(\d+\.)+\d+$)(^(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])$)`
	cluster := `^(?!.*--)[a-z][a-z0-9-]{0,62}(?<!-)$`
	trail := `(^arn:(aws[a-zA-Z-]*)?:cloudtrail:[a-z0-9-]+:\d{12}:trail\/(?![-_.])(?!.*[-_.]{2})[-\w.]{3,128}$)|(^(?![-_.])[-\w.]{3,128}$)`
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{bucket, "my-bucket", true},
		{bucket, "my.bucket.x", true},
		{bucket, "ab", false},
		{bucket, "10.0.0.1", false},
		{bucket, "My-Bucket", false},
		{bucket, "-bucket", false},
		{bucket, strings.Repeat("a", 64), false},
		{cluster, "cluster-1", true},
		{cluster, "cluster--1", false},
		{cluster, "cluster-", false},
		{cluster, "", false},
		{trail, "arn:aws:cloudtrail:eu-west-1:111122223333:trail/my-trail", true},
		{trail, "my_trail", true},
		{trail, "_trail", false},
		{`^[a-zA-Z](?:(?!--)[a-zA-Z0-9-]){0,48}[a-zA-Z0-9]$|^[a-zA-Z]$`, "a-b", true},
		{`^[a-zA-Z](?:(?!--)[a-zA-Z0-9-]){0,48}[a-zA-Z0-9]$|^[a-zA-Z]$`, "a--b", false},
		{`(?<=x)y|xy`, "xy", true},
		{`x{2,1500}`, strings.Repeat("x", 1500), true},
		{`x{2,1500}`, strings.Repeat("x", 1501), false},
		{`(?!z)(ab)*?c`, "ababc", true},
		{`(?!z)[^a]+`, "bcd", true},
		{`(?!z)[\]\-a]+`, "]-a", true},
		{`(?!z)\S+\s\D\W`, "ab c.", true},
		{`(?!z)[]a]`, "]", true},
		{`(?!z).`, "\n", false},
		{`(?=a)a{1}`, "a", true},
		{`(?!x)(a|b|)*c`, "abc", true},
	} {
		p, err := compilePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got, err := p.match(tt.text); got != tt.want || err != nil {
			t.Errorf("%s on %q = %v, %v", tt.pattern, tt.text, got, err)
		}
	}
}

// Java's own reading where it differs from Go's or .NET's.
func TestPatternsAsJavaReadsThem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{`a++b`, "aab", true},
		{`a++ab`, "aab", false},
		{`[a-z]{1,3}+c`, "abc", false},
		{`(?>a|ab)c`, "abc", false},
		{`(a)\1`, "aa", true},
		{`(a)\1`, "ab", false},
		{`(a)(b)\10`, "abaa", false},
		{`(a)\10`, "aa0", true},
		{`(?<x>a|b)(c)\k<x>`, "aca", true},
		{`(c)(?<x>a|b)\2`, "cbb", true},
		{`\p{Alpha}+\p{Digit}\P{Punct}`, "ab1x", true},
		{`\p{Alpha}`, "\u00e9", false},
		{`\p{L}\p{Lu}\pL\p{IsGreek}`, "\u00e9\u00c9xα", true},
		{`[\p{Lower}\d&&[^aeiou]]+`, "xyz5", true},
		{`[\p{Lower}\d&&[^aeiou]]+`, "xya", false},
		{`[^a-c&&[a-m]]`, "b", false},
		{`[^a-c&&[a-m]]`, "x", true},
		{`[a[bc]&&b-z]`, "c", true},
		{`[a[bc]&&b-z]`, "a", false},
		{`[^\W_]+`, "ab", true},
		{`[^\W_]+`, "a_", false},
		{`[\w-]+`, "a-b", true},
		{`[\w-.]+`, "a-.b", true},
		{`[a-]`, "-", true},
		{`[]a]`, "]", true},
		{`[[:alpha:]]`, "x", false}, // a union of the characters a, h, l, p and the colon
		{`[[:alpha:]]`, ":", true},
		{`\d`, "٣", false},
		{`\w`, "\u00e9", false},
		{`(?!z)\w`, "\u00e9", false},
		{`(?!z)\d`, "٣", false},
		{`\s`, "\v", true},
		{`.`, "\r", false},
		{`.`, "\u2028", false},
		{`(?s).`, "\n", true},
		{`(?:(?s).)x.`, "\nx\n", false},
		{`\Qa.b\E+`, "a.bb", true},
		{`\Qa.b`, "axb", false},
		{`\x41\u0042\0103\x{44}\t`, "ABCD\t", true},
		{`(?i)abc`, "ABC", true},
		{`(?i:a)b`, "AB", false},
		{`(?i)a(?-i)b`, "Ab", true},
		{`abc$`, "abc\n", false}, // matches is about the whole value
		{`^$`, "", true},
		{`a|b`, "ab", false},
		{`\/\-\@\:`, "/-@:", true},
		{`a{0,1}b{2}`, "bb", true},
		{`^(?:\d{12}|[^\s"\\]+)$`, `a\b`, false},
	} {
		p, err := compilePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		if got, err := p.match(tt.text); got != tt.want || err != nil {
			t.Errorf("%s on %q = %v, %v", tt.pattern, tt.text, got, err)
		}
	}
}

func TestPatternsAreRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`\1`, `(?!a`, `(?!a))`, `(?!a)[b`, `a**`, `*a`, `[b-a]`, `a{2,1}`, `a{x}`, `a{`, `\`, `(?x)a`, `\p{Nonsense}`, `\p{`, `\k<no>`, `\kx`, `(?<1>a)`, `(?<a>a)(?<a>b)`,
		`\y`, `\x4`, `\xzz`, `\u12`, `\x{110000}`, `\ud800`, `a{200000}`, `|+`, `{`, `(?#x)`,
		strings.Repeat("(?=", 40) + strings.Repeat(")", 40), strings.Repeat("[", 40), strings.Repeat("a", maxPattern+1),
	} {
		if p, err := compilePattern(pattern); err == nil {
			t.Errorf("%.40s compiled: %+v", pattern, p)
		}
	}
}

func TestPatternWorkIsBounded(t *testing.T) {
	t.Parallel()
	p, err := compilePattern(`(?!x)((a+)+)+b`)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	ok, err := p.match(strings.Repeat("a", 5000))
	if took := time.Since(begin); ok || err == nil || strings.Contains(err.Error(), "aaa") || took > 10*time.Second {
		t.Errorf("%v, %v after %s", ok, err, took)
	}
}

// FuzzPattern: whatever compiles matches within its time, and where both engines
// can do it they agree.
func FuzzPattern(f *testing.F) {
	f.Add(`^(a|b[c-e]*)+\d{2,3}?$`, "abcd12")
	f.Add(`[^\w-]|x.y`, "x\ny")
	f.Add(`(?:a?){3}b|`, "aab")
	f.Add(`[a[^b]&&\p{L}]\Q*\E(?<n>x)\k<n>`, "a*xx")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 200 || !utf8.ValidString(text) || !utf8.ValidString(pattern) {
			return
		}
		p, err := compilePattern(pattern)
		if err != nil {
			return
		}
		got, err := p.match(text)
		if err != nil || p.fast == nil {
			return
		}
		// Word boundaries and folding go by Unicode in the other engine.
		if strings.Contains(pattern, `\b`) || strings.Contains(pattern, `\B`) || strings.Contains(pattern, "(?") {
			return
		}
		tr, err := translatePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		slow, err := compileSlow(`\A(?:` + tr.text + `)\z`)
		if err != nil {
			t.Fatalf("%q is %q, which the other engine refuses: %v", pattern, tr.text, err)
		}
		if want, err := slow.MatchString(text); err == nil && got != want {
			t.Errorf("%q (%q) on %q = %v, the other engine says %v", pattern, tr.text, text, got, want)
		}
	})
}
