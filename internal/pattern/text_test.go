package pattern_test

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/pattern"
)

// checkValidate holds Validate to what ParseEvent says, which reads byte by byte.
func checkValidate(t *testing.T, event string) {
	t.Helper()
	_, want := pattern.ParseEvent([]byte(event))
	text, err := pattern.Validate([]byte(event))
	if (err == nil) != (want == nil) || err != nil && err.Error() != want.Error() {
		t.Errorf("%q: Validate says %v, ParseEvent %v", event, err, want)
	}
	if err == nil && text.String() != event {
		t.Errorf("%q became %q", event, text.String())
	}
}

func TestValidateIsParseEvent(t *testing.T) {
	t.Parallel()
	lines := bufio.NewScanner(verdicts(t))
	for n := 0; lines.Scan(); n++ {
		if testing.Short() && n%5 != 0 {
			continue
		}
		var c struct{ Event string }
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		checkValidate(t, c.Event)
		for _, cut := range []int{1, len(c.Event) / 2, len(c.Event) - 1} {
			if cut > 0 && cut < len(c.Event) {
				checkValidate(t, c.Event[:cut])
				checkValidate(t, c.Event[:cut]+"\x01"+c.Event[cut:])
				checkValidate(t, c.Event[:cut]+`\`+c.Event[cut:])
				checkValidate(t, c.Event[:cut]+`"`+c.Event[cut:])
			}
		}
	}
	for _, e := range []string{
		"", " ", "{}", " { } ", `{"a":1}}`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a":01}`, `{"a":-}`, `{"a":1.}`, `{"a":1e}`, `{"a":tru}`, `{"a":nullx}`,
		`{"a":"\u12g4"}`, `{"a":"\x"}`, `{"a":"\`, `{"a":"\"`, "{\"a\":\"\n\"}", "{\"a\":\n1}", "{\"a\":\t[1 ,\r2]}", `{"a":[1,]}`, `{"a":[}`, `{"a":[1}]`, "{\"a\":\"\xff\"}",
		`{"a":` + strings.Repeat("[", 1100) + strings.Repeat("]", 1100) + `}`, `{"a":"` + strings.Repeat("x", 200) + `\` + `"}`,
		`{"a":"` + strings.Repeat("x", pattern.MaxEventBytes) + `"}`, "{\"a\":\u00a01}", "{\x00}", "{}\x00",
	} {
		checkValidate(t, e)
	}
}

func FuzzValidate(f *testing.F) {
	seeds(f, 20, func(_, e string) { f.Add(e) })
	f.Fuzz(checkValidate)
}

func BenchmarkValidate(b *testing.B) {
	events := asff(1, 500)
	n := 0
	for i := 0; b.Loop(); i++ {
		if _, err := pattern.Validate(events[i%len(events)]); err != nil {
			b.Fatal(err)
		}
		n += len(events[i%len(events)])
	}
	b.SetBytes(int64(n / b.N))
}

// checkEmbed holds Embed to Validate of the whole text.
func checkEmbed(t *testing.T, head, last string) {
	t.Helper()
	inner, err := pattern.Validate([]byte(last))
	if err != nil {
		inner = pattern.Text{}
	}
	got, err := pattern.Embed(head, inner)
	want, wrong := pattern.Validate([]byte(head + inner.String() + "}"))
	if inner == (pattern.Text{}) { // nothing that is not an object is taken, whatever comes of it
		if err == nil || got != inner {
			t.Errorf("Embed(%q, nothing) = %+v, %v", head, got, err)
		}
		return
	}
	if got != want || (err == nil) != (wrong == nil) {
		t.Errorf("Embed(%q, %q) = %+v, %v; Validate of both says %+v, %v", head, last, got, err, want, wrong)
	}
}

func TestEmbedIsValidate(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`{"a":`, pattern.MaxDepth-1) + "{}" + strings.Repeat("}", pattern.MaxDepth-1)
	for _, head := range []string{
		`{"id":"1","detail":`, `{"detail":`, ` { "a" : [1,{"b":2}], "detail" : `, `{"detail":1,"detail":`, `{"a.b":1,"detail":`, `{"\u0061":`,
		"", "{", `{"a"`, `{"a":1`, `{"a":1,`, `{"a":[`, `{"a":{"b":`, `{"a":"`, `{"a":1}`, `{"a":"\`, "{\"\xff\":", `[`, `{"a":` + strings.Repeat("[", 1100) + strings.Repeat("]", 1100) + `,"b":`,
	} {
		for _, last := range []string{
			`{}`, ` {"a":1} `, `{"a":1,"a":2}`, `{"a.b":1}`, `{"detail":{"detail":[[[]]]}}`, deep, deep[len(`{"a":`) : len(deep)-1],
			`{"a":"` + strings.Repeat("x", pattern.MaxEventBytes-8) + `"}`, `{"a":"` + strings.Repeat("x", pattern.MaxEventBytes-30) + `"}`, "", `1`, `{},"a":{}`,
		} {
			checkEmbed(t, head, last)
		}
	}
}

func FuzzEmbed(f *testing.F) {
	seeds(f, 20, func(_, e string) { f.Add(`{"id":"1","detail":`, e) })
	f.Fuzz(checkEmbed)
}
