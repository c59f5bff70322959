package runbook

import (
	"regexp"
	"strings"
	"testing"
	"time"
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

func TestPatternsAreRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{
		`(a)\1`, `(?!a`, `(?!a))`, `(?!a)[b`, `(?!a)*+`, `(?!x)a++`, `(?!x)[b-a]`, `(?!x)a{2,1}`, `(?!x)a{x}`, `(?!x)a{`, `(?>a)`, `(?!x)\`, `(?!x)\p{L}`,
		`(?!x)[a&&b]`, `(?!x)|+`, strings.Repeat("(?=", 40) + strings.Repeat(")", 40), strings.Repeat("a", maxPattern+1),
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
	if took := time.Since(begin); ok || err == nil || took > 5*time.Second {
		t.Errorf("%v, %v after %s", ok, err, took)
	}
}

// FuzzPattern: where Go's engine can do it, the other one agrees.
func FuzzPattern(f *testing.F) {
	f.Add(`^(a|b[c-e]*)+\d{2,3}?$`, "abcd12")
	f.Add(`[^\w-]|x.y`, "x\ny")
	f.Add(`(?:a?){3}b|`, "aab")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 200 || strings.ToValidUTF8(text, "") != text || strings.ToValidUTF8(pattern, "") != pattern {
			return
		}
		p := &patternParser{text: []rune(pattern)}
		m, err := p.alternatives(0)
		if err != nil || p.at < len(p.text) {
			return
		}
		s := &matching{text: []rune(text)}
		got := m(s, 0, func(end int) bool { return end == len(s.text) })
		// "." leaves out \r, as in Java; "[" in a class and "[:x:]" mean other things to Go.
		if s.work > maxWork || strings.Contains(text, "\r") || strings.Contains(pattern, "[:") || strings.Contains(pattern, "**") {
			return
		}
		re, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			return
		}
		if want := re.MatchString(text); got != want {
			t.Errorf("%q on %q = %v, Go says %v", pattern, text, got, want)
		}
	})
}
